/* The per-channel CPU kernels against plain double loops, on every instruction set this CPU has. */
#include "engine/kernel_check.h"

static const size_t channel_counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                        14, 15, 16, 17, 24, 31, 32, 33, 40, 48, 64, 71, 100};
static const size_t pixel_counts[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 40, 129, 300, 1025};
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static void for_each_size(const struct fnl_cpu_kernels *k,
                          void (*check)(const struct fnl_cpu_kernels *k, size_t pixels, size_t C))
{
    for (size_t c = 0; c < COUNT_OF(channel_counts); c++) {
        for (size_t p = 0; p < COUNT_OF(pixel_counts); p++) {
            check(k, pixel_counts[p], channel_counts[c]);
            edge_free_all();
        }
    }
}

static void check_sums_at(const struct fnl_cpu_kernels *k, size_t pixels, size_t C)
{
    const float *x = filled_floats(pixels * C, 1.0F, 3.0F), *mean = filled_floats(C, 1.5F, 2.5F);
    double *sum = edge_doubles(C), *sum2 = edge_doubles(C);
    for (int centred = 0; centred < 2; centred++) {
        k->channel_sums(pixels, C, x, centred ? mean : NULL, sum, sum2);
        for (size_t c = 0; c < C; c++) {
            double want = 0.0, want2 = 0.0;
            for (size_t p = 0; p < pixels; p++) {
                double d = (double)x[p * C + c] - (centred ? (double)mean[c] : 0.0);
                want += d;
                want2 += d * d;
            }
            /* the only roundings to float are those of x - mean */
            double slack = centred ? 6e-8 * (double)pixels : 0.0;
            check_close("sum", k->isa, c, sum[c], want, 1e-12, 1.0 + slack * 1e12);
            check_close("sum2", k->isa, c, sum2[c], want2, 1e-12, 1.0 + slack * 2e12);
        }
    }
}

static void check_sums(const struct fnl_cpu_kernels *k)
{
    for_each_size(k, check_sums_at);
}

static void sums_are_added_up_in_double(void **state)
{
    (void)state;
    for_each_table(check_sums);
}

static void check_grad_sums_at(const struct fnl_cpu_kernels *k, size_t pixels, size_t C)
{
    const float *dy = filled_floats(pixels * C, -1.0F, 1.0F);
    const float *x = filled_floats(pixels * C, 1.0F, 3.0F);
    const float *mean = filled_floats(C, 1.5F, 2.5F), *inv_std = filled_floats(C, 0.5F, 2.0F);
    double *sum = edge_doubles(C), *sum_xhat = edge_doubles(C);
    k->channel_grad_sums(pixels, C, dy, x, mean, inv_std, sum, sum_xhat);
    for (size_t c = 0; c < C; c++) {
        double want = 0.0, want_xhat = 0.0;
        for (size_t p = 0; p < pixels; p++) {
            double d = (double)dy[p * C + c];
            want += d;
            want_xhat += d * ((double)x[p * C + c] - (double)mean[c]) * (double)inv_std[c];
        }
        check_close("sum of dy", k->isa, c, sum[c], want, 1e-12, 1.0);
        check_close("sum of dy xhat", k->isa, c, sum_xhat[c], want_xhat, 2e-7,
                    1.0 + (double)pixels);
    }
}

static void check_grad_sums(const struct fnl_cpu_kernels *k)
{
    for_each_size(k, check_grad_sums_at);
}

static void gradient_sums(void **state)
{
    (void)state;
    for_each_table(check_grad_sums);
}

/* volatile: one multiply, rounded, then one add, whatever the compiler is told. */
static float multiplied_then_added(float x, float mul, float add)
{
    volatile float product = x * mul;
    return product + add;
}

static void check_affine_at(const struct fnl_cpu_kernels *k, size_t pixels, size_t C)
{
    const float *x = filled_floats(pixels * C, 0.0F, 255.0F);
    const float *mul = filled_floats(C, 0.001F, 0.1F), *add = filled_floats(C, -3.0F, 0.0F);
    float *y = edge_floats(pixels * C), *in_place = copied_floats(pixels * C, x);
    k->channel_affine(pixels, C, x, mul, add, y);
    k->channel_affine(pixels, C, in_place, mul, add, in_place);
    for (size_t i = 0; i < pixels * C; i++) {
        float want = multiplied_then_added(x[i], mul[i % C], add[i % C]);
        assert_true(same_bits(&want, &y[i], 1));
    }
    assert_true(same_bits(y, in_place, pixels * C));
}

static void check_affine(const struct fnl_cpu_kernels *k)
{
    for_each_size(k, check_affine_at);
}

static void affine_has_the_bits_of_mul_then_add(void **state)
{
    (void)state;
    for_each_table(check_affine);
}

static void check_grad_at(const struct fnl_cpu_kernels *k, size_t pixels, size_t C)
{
    const float *dy = filled_floats(pixels * C, -1.0F, 1.0F);
    const float *x = filled_floats(pixels * C, -2.0F, 2.0F);
    const float *a = filled_floats(C, -1.0F, 1.0F), *b = filled_floats(C, -1.0F, 1.0F);
    const float *shift = filled_floats(C, -1.0F, 1.0F);
    float *dx = edge_floats(pixels * C), *on_dy = copied_floats(pixels * C, dy);
    float *on_x = copied_floats(pixels * C, x);
    k->channel_grad(pixels, C, dy, x, a, b, shift, dx);
    k->channel_grad(pixels, C, on_dy, x, a, b, shift, on_dy);
    k->channel_grad(pixels, C, dy, on_x, a, b, shift, on_x);
    for (size_t i = 0; i < pixels * C; i++) {
        size_t c = i % C;
        double want = (double)a[c] * (double)dy[i] + (double)b[c] * (double)x[i] + (double)shift[c];
        check_close("channel_grad", k->isa, i, (double)dx[i], want, 3e-7, 1.0);
    }
    assert_true(same_bits(dx, on_dy, pixels * C) && same_bits(dx, on_x, pixels * C));
}

static void check_grad(const struct fnl_cpu_kernels *k)
{
    for_each_size(k, check_grad_at);
}

static void gradient_map(void **state)
{
    (void)state;
    for_each_table(check_grad);
}

static void check_bias_at(const struct fnl_cpu_kernels *k, size_t pixels, size_t C)
{
    const float *dy = filled_floats(pixels * C, -1.0F, 1.0F),
                *start = filled_floats(C, -1.0F, 1.0F);
    float *set = copied_floats(C, start), *added = copied_floats(C, start);
    k->channel_bias_grad(pixels, C, dy, set, false);
    k->channel_bias_grad(pixels, C, dy, added, true);
    for (size_t c = 0; c < C; c++) {
        double want = 0.0;
        for (size_t p = 0; p < pixels; p++) {
            want += (double)dy[p * C + c];
        }
        double scale = 1.0 + sqrt((double)pixels);
        check_close("bias, set", k->isa, c, (double)set[c], want, 6e-7, scale);
        check_close("bias, added", k->isa, c, (double)added[c], want + (double)start[c], 6e-7,
                    scale);
    }
}

static void check_bias(const struct fnl_cpu_kernels *k)
{
    for_each_size(k, check_bias_at);
}

static void bias_gradient_set_and_added(void **state)
{
    (void)state;
    for_each_table(check_bias);
}

/* A long sum of numbers of one sign: blocks keep the error far below that of a running sum. */
static void check_long_bias(const struct fnl_cpu_kernels *k)
{
    const size_t pixels = 28800, C = 32;
    const float *dy = filled_floats(pixels * C, 0.0F, 1.0F);
    float *dbias = edge_floats(C);
    k->channel_bias_grad(pixels, C, dy, dbias, false);
    for (size_t c = 0; c < C; c++) {
        double want = 0.0;
        for (size_t p = 0; p < pixels; p++) {
            want += (double)dy[p * C + c];
        }
        check_close("long bias", k->isa, c, (double)dbias[c], want, 1e-6, 0.0);
    }
}

static void a_long_bias_sum_keeps_its_digits(void **state)
{
    (void)state;
    for_each_table(check_long_bias);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_added_up_in_double),
        cmocka_unit_test(gradient_sums),
        cmocka_unit_test(affine_has_the_bits_of_mul_then_add),
        cmocka_unit_test(gradient_map),
        cmocka_unit_test(bias_gradient_set_and_added),
        cmocka_unit_test(a_long_bias_sum_keeps_its_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
