/* ref_optimizer.c - one step of SGD, Adam or AdamW over the flat parameter block, by the formulas
 * (and in the order) of PyTorch's torch.optim.
 *
 * The gradient of an element is the sum over shards, times gradient_scale (clipping by norm), then
 * clipped by value; the decay comes after the clipping. Sources: Sutskever et al., "On the
 * importance of initialization and momentum", 2013; Kingma, Ba, "Adam", 2015; Loshchilov, Hutter,
 * "Decoupled Weight Decay Regularization", 2019. */
#include <math.h>

#include "engine/backend/ref/ref_int.h"

static double summed(float *const *gradient, int count, size_t i)
{
    double sum = 0.0;
    for (int s = 0; s < count; s++) {
        sum += (double)gradient[s][i];
    }
    return sum;
}

static double clipped_gradient(const struct fnl_update *u, size_t i)
{
    double g = summed(u->gradient, u->gradient_count, i) * (double)u->gradient_scale;
    double limit = u->optimizer->clip_value;
    if (limit > 0.0) {
        g = g > limit ? limit : g < -limit ? -limit : g;
    }
    return g;
}

/* v = momentum v + g; w -= lr v, or with Nesterov w -= lr (g + momentum v). */
static void update_sgd(const struct fnl_update *u, size_t i)
{
    const struct fnl_optimizer *o = u->optimizer;
    double w = u->value[i], momentum = o->momentum;
    double g = clipped_gradient(u, i) + (double)o->weight_decay * w;
    if (momentum != 0.0) {
        double v = momentum * (double)u->slot1[i] + g;
        u->slot1[i] = (float)v;
        g = o->nesterov ? g + momentum * v : v;
    }
    u->value[i] = (float)(w - (double)u->learning_rate * g);
}

/* m and v are running means of g and g^2, with their bias towards the zero start divided out. */
static void update_adam(const struct fnl_update *u, size_t i)
{
    const struct fnl_optimizer *o = u->optimizer;
    double w = u->value[i], g = clipped_gradient(u, i), decay = o->weight_decay;
    double lr = u->learning_rate, beta1 = o->beta1, beta2 = o->beta2;
    if (o->kind == FNL_ADAMW) {
        w -= lr * decay * w;
    } else {
        g += decay * w;
    }
    double m = beta1 * (double)u->slot1[i] + (1.0 - beta1) * g;
    double v = beta2 * (double)u->slot2[i] + (1.0 - beta2) * g * g;
    u->slot1[i] = (float)m;
    u->slot2[i] = (float)v;
    double m_unbiased = m / (1.0 - pow(beta1, (double)u->step));
    double v_unbiased = v / (1.0 - pow(beta2, (double)u->step));
    u->value[i] = (float)(w - lr * m_unbiased / (sqrt(v_unbiased) + (double)o->epsilon));
}

void fnl__ref_update(const struct fnl_update *u, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        if (u->optimizer->kind == FNL_SGD) {
            update_sgd(u, i);
        } else {
            update_adam(u, i);
        }
    }
}

double fnl__ref_gradient_norm2(float *const *gradient, int count, size_t begin, size_t end)
{
    double sum = 0.0;
    for (size_t i = begin; i < end; i++) {
        double g = summed(gradient, count, i);
        sum += g * g;
    }
    return sum;
}
