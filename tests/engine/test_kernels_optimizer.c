/* The optimiser kernels against PyTorch's numbers and against its formulas written out plainly in
 * double, on every instruction set this CPU has. */
#include "engine/impl.h"
#include "engine/kernel_check.h"
#include "golden/optimizer_golden.h"

#define CASE_COUNT (sizeof golden_cases / sizeof golden_cases[0])

static struct fnl_update update_of(const struct fnl_optimizer *o, float rate, float *value,
                                   float *slot1, float *slot2, float *const *gradient, int count)
{
    return (struct fnl_update){.optimizer = o,
                               .value = value,
                               .slot1 = slot1,
                               .slot2 = slot2,
                               .gradient = gradient,
                               .gradient_count = count,
                               .learning_rate = rate,
                               .gradient_scale = 1.0F};
}

static float *zeroed_floats(size_t count)
{
    float *p = edge_floats(count);
    memset(p, 0, count * sizeof *p);
    return p;
}

/* ---- PyTorch's own numbers ---- */
static void compare_golden(const char *isa, const struct golden_case *g, int checkpoint,
                           const float *value, const float *slot1, const float *slot2)
{
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        check_close(g->name, isa, i, (double)value[i], (double)g->at[checkpoint].value[i], 1e-6,
                    0.1);
        check_close("slot 1", isa, i, (double)slot1[i], (double)g->at[checkpoint].slot1[i], 1e-6,
                    1e-8);
        check_close("slot 2", isa, i, (double)slot2[i], (double)g->at[checkpoint].slot2[i], 1e-6,
                    1e-14);
    }
}

static void check_golden(const struct fnl_cpu_kernels *k)
{
    for (size_t c = 0; c < CASE_COUNT; c++) {
        const struct golden_case *g = &golden_cases[c];
        float *value = copied_floats(GOLDEN_COUNT, golden_value);
        float *slot1 = zeroed_floats(GOLDEN_COUNT), *slot2 = zeroed_floats(GOLDEN_COUNT);
        float *gradient = edge_floats(GOLDEN_COUNT);
        int checkpoint = 0;
        for (int t = 1; t <= golden_steps[GOLDEN_CHECKPOINTS - 1]; t++) {
            memcpy(gradient, golden_gradient[t % 4], sizeof golden_gradient[0]);
            struct fnl_update u =
                update_of(&g->optimizer, g->learning_rate, value, slot1, slot2, &gradient, 1);
            u.step = (uint64_t)t;
            k->update(&u, 0, GOLDEN_COUNT);
            if (t == golden_steps[checkpoint]) {
                compare_golden(k->isa, g, checkpoint, value, slot1, slot2);
                checkpoint++;
            }
        }
        assert_int_equal(checkpoint, GOLDEN_CHECKPOINTS);
        edge_free_all();
    }
}

static void as_pytorch_after_50_steps(void **state)
{
    (void)state;
    for_each_table(check_golden);
}

/* ---- the formulas in double ---- */
struct element {
    double value, slot1, slot2;
};

static void plain_sgd(struct element *e, const struct fnl_optimizer *o, double rate, double g)
{
    g += (double)o->weight_decay * e->value;
    if (o->momentum != 0.0F) {
        e->slot1 = (double)o->momentum * e->slot1 + g;
        g = o->nesterov ? g + (double)o->momentum * e->slot1 : e->slot1;
    }
    e->value -= rate * g;
}

static void plain_adam(struct element *e, const struct fnl_optimizer *o, double rate, double g,
                       int t)
{
    const double beta1 = (double)o->beta1, beta2 = (double)o->beta2;
    if (o->kind == FNL_ADAMW) {
        e->value *= 1.0 - rate * (double)o->weight_decay;
    } else {
        g += (double)o->weight_decay * e->value;
    }
    e->slot1 = beta1 * e->slot1 + (1.0 - beta1) * g;
    e->slot2 = beta2 * e->slot2 + (1.0 - beta2) * g * g;
    double denominator = sqrt(e->slot2) / sqrt(1.0 - pow(beta2, t)) + (double)o->epsilon;
    e->value -= rate / (1.0 - pow(beta1, t)) * e->slot1 / denominator;
}

static void plain_step(struct element *e, const struct fnl_update *u, size_t i)
{
    const struct fnl_optimizer *o = u->optimizer;
    double g = 0.0, clip = (double)o->clip_value;
    for (int shard = 0; shard < u->gradient_count; shard++) {
        g += (double)u->gradient[shard][i];
    }
    g *= (double)u->gradient_scale;
    if (clip > 0.0) {
        g = g > clip ? clip : g < -clip ? -clip : g;
    }
    if (o->kind == FNL_SGD) {
        plain_sgd(e, o, (double)u->learning_rate, g);
    } else {
        plain_adam(e, o, (double)u->learning_rate, g, (int)u->step);
    }
}

/* Every combination of kind, momentum, Nesterov, decay and clamp. */
static bool next_optimizer(struct fnl_optimizer *o, int index)
{
    static const struct fnl_optimizer start = FNL_OPTIMIZER_INIT;
    if (index >= 3 * 16) {
        return false;
    }
    *o = start;
    o->kind = (enum fnl_optimizer_kind)(index / 16);
    o->weight_decay = index & 1 ? 0.01F : 0.0F;
    o->clip_value = index & 2 ? 0.3F : 0.0F;
    o->momentum = index & 4 ? 0.9F : 0.0F;
    o->nesterov = (index & 8) != 0;
    return true;
}

#define SHARDS 3

static void check_plain_at(const struct fnl_cpu_kernels *k, const struct fnl_optimizer *o,
                           int shards, size_t n)
{
    float *value = filled_floats(n, -1.0F, 1.0F), *gradient[SHARDS];
    float *slot1 = zeroed_floats(n), *slot2 = zeroed_floats(n);
    struct element plain[64];
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++) {
        plain[i] = (struct element){.value = (double)value[i]};
    }
    for (int s = 0; s < SHARDS; s++) {
        gradient[s] = edge_floats(n);
    }
    struct fnl_update u = update_of(o, 0.01F, value, slot1, slot2, gradient, shards);
    u.gradient_scale = 0.7F;
    for (int t = 1; t <= 50; t++) {
        for (int s = 0; s < shards; s++) {
            for (size_t i = 0; i < n; i++) {
                gradient[s][i] = check_uniform(-1.0F, 1.0F);
            }
        }
        u.step = (uint64_t)t;
        k->update(&u, 0, n);
        for (size_t i = 0; i < n; i++) {
            plain_step(&plain[i], &u, i);
        }
    }
    for (size_t i = 0; i < n; i++) {
        check_close("value", k->isa, i, (double)value[i], plain[i].value, 5e-6, 1.0);
        check_close("slot 1", k->isa, i, (double)slot1[i], plain[i].slot1, 5e-6, 1.0);
        check_close("slot 2", k->isa, i, (double)slot2[i], plain[i].slot2, 2e-5, 1e-3);
    }
    edge_free_all();
}

static void check_plain(const struct fnl_cpu_kernels *k)
{
    struct fnl_optimizer o;
    for (int index = 0; next_optimizer(&o, index); index++) {
        for (int shards = 1; shards <= SHARDS; shards++) {
            check_plain_at(k, &o, shards, 41);
        }
        for (size_t n = 0; n <= 40; n++) {
            check_plain_at(k, &o, 1 + (int)(n % SHARDS), n);
        }
    }
}

static void every_combination_follows_the_formulas(void **state)
{
    (void)state;
    for_each_table(check_plain);
}

/* ---- ranges and shards ---- */
#define BLOCK 203

static void check_ranges(const struct fnl_cpu_kernels *k)
{
    struct fnl_optimizer o;
    for (int index = 0; next_optimizer(&o, index); index++) {
        float *start = filled_floats(BLOCK, -1.0F, 1.0F), *v[2], *m[2], *s[2];
        float *gradient[2] = {filled_floats(BLOCK, -1.0F, 1.0F), filled_floats(BLOCK, -1.0F, 1.0F)};
        float *moments = filled_floats(BLOCK, 0.0F, 1.0F);
        for (int cut = 0; cut < 2; cut++) {
            v[cut] = copied_floats(BLOCK, start);
            m[cut] = copied_floats(BLOCK, moments);
            s[cut] = copied_floats(BLOCK, moments);
            struct fnl_update u = update_of(&o, 0.01F, v[cut], m[cut], s[cut], gradient, 2);
            u.step = 3;
            for (size_t i = 0; i < BLOCK;) {
                size_t n = cut ? 1 + check_word() % 29 : BLOCK;
                n = n < BLOCK - i ? n : BLOCK - i;
                k->update(&u, i, i + n);
                i += n;
            }
        }
        assert_true(same_bits(v[0], v[1], BLOCK));
        assert_true(same_bits(m[0], m[1], BLOCK) && same_bits(s[0], s[1], BLOCK));
        edge_free_all();
    }
}

static void cutting_the_block_changes_no_bit(void **state)
{
    (void)state;
    for_each_table(check_ranges);
}

/* ((0 + 1) + 2), rounded each time, then the same update as of one gradient. */
static void check_shards(const struct fnl_cpu_kernels *k)
{
    struct fnl_optimizer o;
    for (int index = 0; next_optimizer(&o, index); index++) {
        float *shard[SHARDS], *summed = edge_floats(BLOCK), *start = filled_floats(BLOCK, -1, 1);
        for (int s = 0; s < SHARDS; s++) {
            shard[s] = filled_floats(BLOCK, -1.0F, 1.0F);
        }
        for (size_t i = 0; i < BLOCK; i++) {
            volatile float first = shard[0][i] + shard[1][i];
            summed[i] = first + shard[2][i];
        }
        float *a = copied_floats(BLOCK, start), *b = copied_floats(BLOCK, start);
        float *a1 = zeroed_floats(BLOCK), *b1 = zeroed_floats(BLOCK);
        float *a2 = zeroed_floats(BLOCK), *b2 = zeroed_floats(BLOCK);
        struct fnl_update of_shards = update_of(&o, 0.01F, a, a1, a2, shard, SHARDS);
        struct fnl_update of_sum = update_of(&o, 0.01F, b, b1, b2, &summed, 1);
        of_shards.step = of_sum.step = 1;
        k->update(&of_shards, 0, BLOCK);
        k->update(&of_sum, 0, BLOCK);
        assert_true(same_bits(a, b, BLOCK) && same_bits(a1, b1, BLOCK) && same_bits(a2, b2, BLOCK));
        edge_free_all();
    }
}

static void shards_are_summed_in_order(void **state)
{
    (void)state;
    for_each_table(check_shards);
}

/* Padding: value, state and gradient 0 stay 0; nothing outside [begin, end) is touched. */
static void check_padding(const struct fnl_cpu_kernels *k)
{
    struct fnl_optimizer o;
    for (int index = 0; next_optimizer(&o, index); index++) {
        float *zero = zeroed_floats(BLOCK), *v = zeroed_floats(BLOCK), *m = zeroed_floats(BLOCK);
        float *s = zeroed_floats(BLOCK);
        v[0] = v[BLOCK - 1] = m[0] = m[BLOCK - 1] = s[0] = s[BLOCK - 1] = 9.0F;
        for (uint64_t t = 1; t <= 5; t++) {
            struct fnl_update u = update_of(&o, 0.01F, v, m, s, &zero, 1);
            u.step = t;
            k->update(&u, 1, BLOCK - 1);
        }
        for (size_t i = 0; i < BLOCK; i++) {
            float want = i == 0 || i == BLOCK - 1 ? 9.0F : 0.0F;
            assert_true(v[i] == want && m[i] == want && s[i] == want);
        }
        edge_free_all();
    }
}

static void padding_stays_zero(void **state)
{
    (void)state;
    for_each_table(check_padding);
}

static void check_norm(const struct fnl_cpu_kernels *k)
{
    for (size_t n = 0; n <= 130; n++) {
        float *gradient[SHARDS];
        for (int s = 0; s < SHARDS; s++) {
            gradient[s] = filled_floats(n + 3, -1.0F, 1.0F);
        }
        for (int shards = 1; shards <= SHARDS; shards++) {
            double want = 0.0;
            for (size_t i = 3; i < n + 3; i++) {
                volatile float sum = gradient[0][i];
                for (int s = 1; s < shards; s++) {
                    sum = sum + gradient[s][i];
                }
                want += (double)sum * (double)sum;
            }
            double got = k->gradient_norm2(gradient, shards, 3, n + 3);
            check_close("norm", k->isa, n, got, want, 1e-14, 0.0);
        }
        edge_free_all();
    }
}

static void norm_of_the_summed_gradient_in_double(void **state)
{
    (void)state;
    for_each_table(check_norm);
}

/* A NaN gradient must not be hidden by the clamp. */
static void check_nan_gradient(const struct fnl_cpu_kernels *k)
{
    struct fnl_optimizer o = FNL_OPTIMIZER_INIT;
    float value[2] = {1.0F, 1.0F}, numbers[2] = {NAN, INFINITY}, *gradient = numbers;
    o.clip_value = 0.5F;
    struct fnl_update u = update_of(&o, 1.0F, value, NULL, NULL, &gradient, 1);
    u.step = 1;
    k->update(&u, 0, 2);
    assert_true(isnan(value[0]) && value[1] == 0.5F);
}

static void clamping_keeps_nan(void **state)
{
    (void)state;
    for_each_table(check_nan_gradient);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_pytorch_after_50_steps),
        cmocka_unit_test(every_combination_follows_the_formulas),
        cmocka_unit_test(cutting_the_block_changes_no_bit),
        cmocka_unit_test(shards_are_summed_in_order),
        cmocka_unit_test(padding_stays_zero),
        cmocka_unit_test(norm_of_the_summed_gradient_in_double),
        cmocka_unit_test(clamping_keeps_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
