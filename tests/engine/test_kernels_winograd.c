/* Winograd's convolution kernels of every instruction set against plain loops in double.
 *
 * Rounding errors are of the size of the largest terms of a tile, not of the sum itself, so sums
 * are judged by the greatest sum of absolute values in the whole result. */
#include "engine/conv_check.h"

static const struct conv_case cases[] = {
    {1, 4, 4, 1, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},     /* one tile of 2 x 2 */
    {8, 5, 6, 8, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},     /* of 3 x 4 */
    {7, 7, 8, 9, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},     /* 5 = 3 + 2 outputs, 6 = 4 + 2 */
    {32, 15, 15, 64, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* as for CIFAR-10 */
    {3, 9, 11, 5, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},    /* same padding, odd sizes */
    {17, 10, 7, 33, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},  /* a channel beyond whole vectors */
    {31, 6, 13, 47, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},
    {40, 8, 8, 24, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},
    {4, 3, 2, 3, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},    /* every window beyond the image */
    {5, 1, 1, 6, 3, 3, 1, 1, {2, 2, 2, 2}, 1, 1, 1},    /* an image of one pixel */
    {6, 7, 9, 20, 3, 3, 1, 1, {0, 2, 1, 0}, 1, 1, 1},   /* asymmetric */
    {3, 3, 4, 4, 3, 3, 1, 1, {5, 1, 4, 7}, 1, 1, 1},    /* tiles wholly in the padding */
    {100, 6, 6, 70, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1}, /* several panels of both */
};
#define CASES (sizeof(cases) / sizeof(*cases))

static size_t scratch(const struct fnl_cpu_kernels *k, const struct fnl_conv_shape *s, size_t n)
{
    return k->winograd_scratch(s, n);
}

static const struct conv_table table = {cases, CASES, {1, 4, 7}, scratch};

/* Half of what check_sum allows for sums of the greatest size. */
static void to_greatest(double *scale, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, scale[i]);
    }
    for (size_t i = 0; i < count; i++) {
        scale[i] = most / 2;
    }
}

static void check_forward(struct setting *t)
{
    const size_t count = t->dy.count, K = (size_t)t->s.K;
    struct sums want = sums_new(t, count);
    for_each_term(t, forward_term, &want);
    to_greatest(want.scale, count);
    struct floats y = floats_new(count);
    for (int variant = 0; variant < 4; variant++) {
        const bool bias = variant & 1, relu = variant & 2;
        memset(y.f, 0xff, count * sizeof(float));
        t->k->winograd_forward(&t->s, t->n, t->x.f, t->w.f, bias ? t->bias.f : NULL,
                               relu ? FNL_CPU_RELU : FNL_CPU_NONE, y.f, t->scratch.f, variant == 0);
        for (size_t i = 0; i < count; i++) {
            const double sum = want.sum[i] + (bias ? (double)t->bias.f[i % K] : 0);
            check_sum("winograd_forward", t->name, i, y.f[i], relu ? fmax(sum, 0) : sum,
                      want.scale[i] + 1);
        }
    }
    /* The last image alone gives the same bits. */
    const size_t y_image = count / t->n, x_image = t->x.count / t->n;
    struct floats alone = floats_new(y_image);
    t->k->winograd_forward(&t->s, 1, t->x.f + (t->n - 1) * x_image, t->w.f, t->bias.f, FNL_CPU_RELU,
                           alone.f, t->scratch.f, false);
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
    struct sums want = sums_new(t, t->plain.count);
    for_each_term(t, weights_term, &want);
    to_greatest(want.scale, t->plain.count);
    struct floats dw = floats_aligned(t->w.count);
    t->k->winograd_grad_weights(&t->s, t->n, t->x.f, t->dy.f, dw.f, t->scratch.f, true, true);
    check_weights(t, "winograd_grad_weights", dw.f, NULL, &want);
    /* In blocks of images: the same bits, padding of the panels too. */
    const size_t first = (t->n + 1) / 2, x_image = t->x.count / t->n, y_image = t->dy.count / t->n;
    struct floats blocks = floats_aligned(t->w.count);
    t->k->winograd_grad_weights(&t->s, first, t->x.f, t->dy.f, blocks.f, t->scratch.f, true,
                                first == t->n);
    if (first < t->n) {
        t->k->winograd_grad_weights(&t->s, t->n - first, t->x.f + first * x_image,
                                    t->dy.f + first * y_image, blocks.f, t->scratch.f, false, true);
    }
    assert_memory_equal(blocks.f, dw.f, dw.count * sizeof(float));
    floats_free(&blocks);
    floats_free(&dw);
    sums_free(&want);
}

static void gradients_of_weights_are_right_in_blocks_too(void **state)
{
    (void)state;
    for_each_setting(&table, check_grad_weights);
}

static void check_data(struct setting *t)
{
    check_grad_data(t, "winograd_grad_data", t->k->winograd_grad_data, to_greatest);
}

static void gradients_of_data_are_right_in_blocks_too(void **state)
{
    (void)state;
    for_each_setting(&table, check_data);
}

/* The panels' zero columns must stay zero, whatever the gradients: updates go over them too. */
static void columns_beyond_the_filters_stay_zero(void **state)
{
    (void)state;
    struct setting t = setting_new(fnl_cpu_kernels(), &cases[2], 3, scratch);
    struct floats dw = floats_aligned(t.w.count);
    t.k->winograd_grad_weights(&t.s, t.n, t.x.f, t.dy.f, dw.f, t.scratch.f, true, true);
    const size_t panel = (size_t)t.k->panel;
    for (size_t i = 0; i < dw.count; i++) {
        const size_t filter = i / (panel * t.features) * panel + i % panel;
        assert_true((filter >= t.filters) == (dw.f[i] == 0));
    }
    floats_free(&dw);
    setting_free(&t);
}

static struct fnl_conv_shape square(int C, int size, int K)
{
    return (struct fnl_conv_shape){.C = C,
                                   .H = size + 2,
                                   .W = size + 2,
                                   .K = K,
                                   .OH = size,
                                   .OW = size,
                                   .KH = 3,
                                   .KW = 3,
                                   .stride_h = 1,
                                   .stride_w = 1,
                                   .dilation_h = 1,
                                   .dilation_w = 1,
                                   .group = 1};
}

static void chosen_where_it_pays_and_never_where_it_cannot_run(void **state)
{
    (void)state;
    unsetenv("FOURNIL_CONV");
    struct fnl_conv_shape wide = square(32, 13, 64), thin = square(3, 30, 32),
                          tiny = square(32, 1, 64);
    assert_true(fnl_cpu_winograd(&wide));
    assert_false(fnl_cpu_winograd(&thin)); /* the maps would cost more than they save */
    setenv("FOURNIL_CONV", "direct", 1);
    assert_false(fnl_cpu_winograd(&wide));
    setenv("FOURNIL_CONV", "winograd", 1);
    assert_true(fnl_cpu_winograd(&thin));
    assert_false(fnl_cpu_winograd(&tiny));
    struct fnl_conv_shape other[5];
    for (int i = 0; i < 5; i++) {
        other[i] = wide;
    }
    other[0].stride_w = 2;
    other[1].dilation_h = 2;
    other[2].group = 32;
    other[3].KH = 5;
    other[4].KW = 1;
    for (int i = 0; i < 5; i++) {
        assert_false(fnl_cpu_winograd(&other[i]));
    }
    unsetenv("FOURNIL_CONV");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_right_and_images_do_not_depend_on_neighbours),
        cmocka_unit_test(gradients_of_weights_are_right_in_blocks_too),
        cmocka_unit_test(gradients_of_data_are_right_in_blocks_too),
        cmocka_unit_test(columns_beyond_the_filters_stay_zero),
        cmocka_unit_test(chosen_where_it_pays_and_never_where_it_cannot_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
