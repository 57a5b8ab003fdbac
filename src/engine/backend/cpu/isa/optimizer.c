/* optimizer.c - the update of all parameters in one pass over the flat block.
 *
 * Per element: the shards' gradients summed in order, times gradient_scale, clamped to clip_value,
 * then one step of SGD, Adam or AdamW with PyTorch's formulas in PyTorch's order of operations
 * (torch.optim.SGD, Adam, AdamW): D. P. Kingma and J. Ba, "Adam" (2014); I. Loshchilov and F.
 * Hutter, "Decoupled Weight Decay Regularization" (2017); momentum and Nesterov's as in I.
 * Sutskever et al. (2013).
 *
 *   SGD    g += decay p;  b = momentum b + g;  g = nesterov ? g + momentum b : b;  p -= rate g
 *   Adam   g += decay p;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g g;
 *          p -= rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 *   AdamW  p *= 1 - rate decay;  then Adam without decay
 *
 * What depends on the step alone is computed in double, once. Momentum starts from zero, which
 * gives PyTorch's first step. Zeros with zero gradients (a layout's padding) stay zero.
 *
 * Each element depends on itself alone, so [begin, end) may be cut anywhere. Cost: each array read
 * and written once; Adam is bound by a division and a square root an element. */
#include <math.h>

#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/optimizer.h"

/* A coefficient such as 0.999 comes as the nearest float; 1 - 0.999F is 1.3e-5 off 0.001. Where a
 * decimal of six places is that float, it is what was meant. */
static double decimal_meant(float coefficient)
{
    double decimal = nearbyint((double)coefficient * 1e6) / 1e6;
    return (float)decimal == coefficient ? decimal : (double)coefficient;
}

void fnl_k_rule(const struct fnl_update *u, struct fnl_rule *r)
{
    const struct fnl_optimizer *o = u->optimizer;
    const double beta1 = decimal_meant(o->beta1), beta2 = decimal_meant(o->beta2);
    const double rate = (double)u->learning_rate, t = (double)u->step;
    const bool adam = o->kind != FNL_SGD;
    r->kind = o->kind;
    r->value = u->value;
    r->slot1 = u->slot1;
    r->slot2 = u->slot2;
    r->gradient = u->gradient;
    r->gradient_count = u->gradient_count;
    r->clips = o->clip_value > 0.0F;
    r->decays = o->weight_decay != 0.0F;
    r->has_momentum = !adam && o->momentum != 0.0F;
    r->nesterov = o->nesterov;
    r->simple = r->gradient_count == 1 && !r->decays && !r->clips && !r->has_momentum;
    r->scale = fnl_v_set(u->gradient_scale);
    r->clip = fnl_v_set(o->clip_value);
    r->decay = fnl_v_set(o->weight_decay);
    r->rate = fnl_v_set(u->learning_rate);
    r->momentum = fnl_v_set(o->momentum);
    r->beta1 = fnl_v_set((float)beta1);
    r->rest1 = fnl_v_set((float)(1.0 - beta1));
    r->beta2 = fnl_v_set((float)beta2);
    r->rest2 = fnl_v_set((float)(1.0 - beta2));
    r->inv_root2 = fnl_v_set(adam ? (float)(1.0 / sqrt(1.0 - pow(beta2, t))) : 0.0F);
    r->epsilon = fnl_v_set(o->epsilon);
    r->step_size = fnl_v_set(adam ? (float)(rate / (1.0 - pow(beta1, t))) : 0.0F);
    r->shrink = fnl_v_set((float)(1.0 - rate * decimal_meant(o->weight_decay)));
}

/* The summed, scaled, clamped gradient of lanes elements at i. */
FNL_INLINE fnl_vf gradient_at(const struct fnl_rule *r, size_t i, size_t lanes)
{
    fnl_vf g = fnl_v_load_n(r->gradient[0] + i, lanes);
    for (int shard = 1; shard < r->gradient_count; shard++) {
        g += fnl_v_load_n(r->gradient[shard] + i, lanes);
    }
    g *= r->scale;
    if (r->clips) {
        g = fnl_v_max(-r->clip, fnl_v_min(r->clip, g)); /* NaN stays */
    }
    return g;
}

FNL_INLINE void sgd_at(const struct fnl_rule *r, size_t i, size_t lanes)
{
    fnl_vf value = fnl_v_load_n(r->value + i, lanes);
    fnl_vf g = gradient_at(r, i, lanes);
    if (r->decays) {
        g = fnl_v_fma(r->decay, value, g);
    }
    if (r->has_momentum) {
        fnl_vf b = fnl_v_load_n(r->slot1 + i, lanes) * r->momentum + g;
        fnl_v_store_n(r->slot1 + i, b, lanes);
        g = r->nesterov ? fnl_v_fma(r->momentum, b, g) : b;
    }
    fnl_v_store_n(r->value + i, fnl_v_fma(-r->rate, g, value), lanes);
}

FNL_INLINE void adam_at(const struct fnl_rule *r, bool decoupled, size_t i, size_t lanes)
{
    fnl_vf value = fnl_v_load_n(r->value + i, lanes);
    fnl_vf g = gradient_at(r, i, lanes);
    if (decoupled) {
        value *= r->shrink;
    } else if (r->decays) {
        g = fnl_v_fma(r->decay, value, g);
    }
    fnl_vf m = fnl_v_fma(r->rest1, g, fnl_v_load_n(r->slot1 + i, lanes) * r->beta1);
    fnl_vf v = fnl_v_load_n(r->slot2 + i, lanes) * r->beta2 + r->rest2 * g * g;
    fnl_v_store_n(r->slot1 + i, m, lanes);
    fnl_v_store_n(r->slot2 + i, v, lanes);
    fnl_vf denominator = fnl_v_fma(fnl_v_sqrt(v), r->inv_root2, r->epsilon);
    fnl_v_store_n(r->value + i, value - r->step_size * m / denominator, lanes);
}

FNL_INLINE void update_at(const struct fnl_rule *r, enum fnl_optimizer_kind kind, size_t i,
                          size_t lanes)
{
    if (kind == FNL_SGD) {
        sgd_at(r, i, lanes);
    } else {
        adam_at(r, kind == FNL_ADAMW, i, lanes);
    }
}

/* simple: one gradient, no clamp, no decay added to it, no momentum; said so that the compiler
 * drops them from the loop. The operations left are the same, so the bits are too. */
FNL_INLINE void update_all(const struct fnl_rule *rule, enum fnl_optimizer_kind kind, bool simple,
                           size_t begin, size_t end)
{
    struct fnl_rule r = *rule;
    if (simple) {
        r.gradient_count = 1;
        r.clips = r.decays = r.has_momentum = false;
    }
    size_t i = begin;
    for (; i + FNL_VL <= end; i += FNL_VL) {
        update_at(&r, kind, i, FNL_VL);
    }
    if (i < end) {
        update_at(&r, kind, i, end - i);
    }
}

/* One function each, so that a loop's constants stay in registers. */
#define FNL_UPDATE_LOOP(name, kind, simple)                                                        \
    static __attribute__((noinline)) void name(const struct fnl_rule *r, size_t begin, size_t end) \
    {                                                                                              \
        update_all(r, kind, simple, begin, end);                                                   \
    }
FNL_UPDATE_LOOP(sgd_simple, FNL_SGD, true)
FNL_UPDATE_LOOP(sgd, FNL_SGD, false)
FNL_UPDATE_LOOP(adam_simple, FNL_ADAM, true)
FNL_UPDATE_LOOP(adam, FNL_ADAM, false)
FNL_UPDATE_LOOP(adamw, FNL_ADAMW, false)

void fnl_k_rule_run(const struct fnl_rule *r, size_t begin, size_t end)
{
    switch (r->kind) {
    case FNL_SGD:
        (r->simple ? sgd_simple : sgd)(r, begin, end);
        break;
    case FNL_ADAM:
        (r->simple ? adam_simple : adam)(r, begin, end);
        break;
    case FNL_ADAMW:
        adamw(r, begin, end);
        break;
    }
}

void FNL_K(update)(const struct fnl_update *u, size_t begin, size_t end)
{
    struct fnl_rule r;
    fnl_k_rule(u, &r);
    fnl_k_rule_run(&r, begin, end);
}

/* Sum of squares of the summed gradients, in double: per lane first, then the lanes in order. */
double FNL_K(gradient_norm2)(float *const *gradient, int count, size_t begin, size_t end)
{
    fnl_vd low = {0}, high = {0};
    for (size_t i = begin; i < end; i += FNL_VL) {
        size_t lanes = end - i < FNL_VL ? end - i : FNL_VL;
        fnl_vf g = fnl_v_load_n(gradient[0] + i, lanes);
        for (int shard = 1; shard < count; shard++) {
            g += fnl_v_load_n(gradient[shard] + i, lanes);
        }
        fnl_vd g_low = fnl_vd_low(g), g_high = fnl_vd_high(g);
        low = fnl_vd_add_product(g_low, g_low, low);
        high = fnl_vd_add_product(g_high, g_high, high);
    }
    double sum = 0.0;
    for (int lane = 0; lane < FNL_VL / 2; lane++) {
        sum += low[lane] + high[lane];
    }
    return sum;
}
