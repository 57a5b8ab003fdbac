/* Convolution kernels of every instruction set against plain loops in double. */
#include "engine/conv_check.h"

static const struct conv_case cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {1, 8, 8, 8, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},    /* as for MNIST */
    {3, 12, 10, 32, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* as for CIFAR-10 */
    {32, 9, 9, 64, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {3, 9, 7, 17, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},
    {5, 9, 8, 10, 3, 3, 2, 2, {1, 1, 1, 1}, 1, 1, 1},
    {4, 9, 8, 6, 3, 2, 1, 2, {0, 1, 2, 0}, 1, 1, 1}, /* asymmetric */
    {6, 11, 9, 5, 3, 3, 1, 1, {2, 2, 2, 2}, 2, 2, 1},
    {17, 9, 12, 20, 2, 3, 1, 1, {0, 0, 0, 0}, 1, 3, 1},
    {2, 7, 7, 3, 7, 7, 1, 1, {0, 0, 0, 0}, 1, 1, 1},   /* OH = OW = 1 */
    {3, 20, 5, 33, 4, 5, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* OW = 1 */
    {8, 6, 6, 12, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 2},
    {12, 6, 5, 9, 3, 2, 2, 1, {1, 0, 1, 1}, 1, 2, 3},
    {40, 5, 5, 68, 2, 2, 1, 1, {0, 0, 0, 0}, 1, 1, 2},  /* groups of more than a panel */
    {16, 7, 6, 16, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 16}, /* depthwise */
    {19, 8, 7, 19, 3, 3, 2, 2, {0, 1, 1, 0}, 1, 1, 19},
    {37, 9, 9, 37, 3, 3, 1, 1, {2, 2, 2, 2}, 2, 2, 37},
    {7, 6, 6, 14, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 7},  /* two filters a channel */
    {13, 6, 6, 21, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* 1 x 1 */
    {6, 8, 8, 4, 1, 1, 3, 3, {0, 0, 0, 0}, 1, 1, 1},   /* stride beyond the kernel */
    {2, 4, 300, 3, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* rows longer than a block */
    {130, 4, 4, 9, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1}, /* segments longer than a block of k */
};
#define CASES (sizeof(cases) / sizeof(*cases))

static size_t scratch(const struct fnl_cpu_kernels *k, const struct fnl_conv_shape *s, size_t n)
{
    return k->conv_scratch(s, n);
}

static const struct conv_table table = {cases, CASES, {1, 4, 7}, scratch};

static void check_forward(struct setting *t)
{
    const size_t count = t->dy.count, K = (size_t)t->s.K;
    struct sums want = sums_new(t, count);
    for_each_term(t, forward_term, &want);
    struct floats y = floats_new(count);
    for (int variant = 0; variant < 4; variant++) {
        const bool bias = variant & 1, relu = variant & 2;
        memset(y.f, 0xff, count * sizeof(float));
        t->k->conv_forward(&t->s, t->n, t->x.f, t->w.f, bias ? t->bias.f : NULL,
                           relu ? FNL_CPU_RELU : FNL_CPU_NONE, y.f, t->scratch.f);
        for (size_t i = 0; i < count; i++) {
            const double b = bias ? (double)t->bias.f[i % K] : 0, sum = want.sum[i] + b;
            check_sum("conv_forward", t->name, i, y.f[i], relu ? fmax(sum, 0) : sum,
                      want.scale[i] + fabs(b));
        }
    }
    /* The last image alone gives the same bits. */
    const size_t y_image = count / t->n, x_image = t->x.count / t->n;
    struct floats alone = floats_new(y_image);
    t->k->conv_forward(&t->s, 1, t->x.f + (t->n - 1) * x_image, t->w.f, t->bias.f, FNL_CPU_RELU,
                       alone.f, t->scratch.f);
    assert_memory_equal(alone.f, y.f + count - y_image, y_image * sizeof(float));
    floats_free(&alone);
    floats_free(&y);
    sums_free(&want);
}

static void forward_is_right_and_images_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    for_each_setting(&table, check_forward);
}

static void check_grad_weights(struct setting *t)
{
    const size_t K = (size_t)t->s.K;
    struct sums want = sums_new(t, t->plain.count);
    for_each_term(t, weights_term, &want);
    struct floats dw = floats_aligned(t->w.count), dbias = floats_new(K);
    for (int variant = 0; variant < 3; variant++) {
        const bool add = variant == 2;
        float *bias = variant > 0 ? dbias.f : NULL;
        if (add) {
            memcpy(dw.f, t->w.f, t->w.count * sizeof(float));
            memcpy(dbias.f, t->bias.f, K * sizeof(float));
        }
        t->k->conv_grad_weights(&t->s, t->n, t->x.f, t->dy.f, dw.f, bias, add, t->scratch.f);
        check_weights(t, "conv_grad_weights", dw.f, add ? t->plain.f : NULL, &want);
        if (bias) {
            check_bias(t, "conv_grad_weights: bias", bias, add ? t->bias.f : NULL);
        }
    }
    floats_free(&dw);
    floats_free(&dbias);
    sums_free(&want);
}

static void gradients_of_weights_are_set_or_added_to(void **state)
{
    (void)state;
    for_each_setting(&table, check_grad_weights);
}

static void check_data(struct setting *t)
{
    check_grad_data(t, "conv_grad_data", t->k->conv_grad_data, NULL);
}

static void gradients_of_data_are_right_in_blocks_too(void **state)
{
    (void)state;
    for_each_setting(&table, check_data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_right_and_images_do_not_depend_on_neighbours),
        cmocka_unit_test(gradients_of_weights_are_set_or_added_to),
        cmocka_unit_test(gradients_of_data_are_right_in_blocks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
