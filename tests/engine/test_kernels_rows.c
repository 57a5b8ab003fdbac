/* The CPU kernels over rows against plain double loops, on every instruction set this CPU has. */
#include <float.h>

#include "engine/kernel_check.h"

#define ROWS 19 /* more than any vector has lanes */

static const size_t long_lengths[] = {63, 64, 65, 100, 257, 1000};

static void for_each_length(const struct fnl_cpu_kernels *k,
                            void (*check)(const struct fnl_cpu_kernels *k, size_t N))
{
    for (size_t N = 1; N <= 40; N++) {
        check(k, N);
        edge_free_all();
    }
    for (size_t i = 0; i < sizeof long_lengths / sizeof long_lengths[0]; i++) {
        check(k, long_lengths[i]);
        edge_free_all();
    }
}

/* log softmax of a row in double; NaN and infinities as the formula gives them. */
static void want_log_softmax(size_t N, const float *x, double *y)
{
    double greatest = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < N; i++) {
        greatest = (double)x[i] > greatest ? (double)x[i] : greatest;
    }
    for (size_t i = 0; i < N; i++) {
        sum += exp((double)x[i] - greatest);
    }
    for (size_t i = 0; i < N; i++) {
        y[i] = (double)x[i] - greatest - log(sum);
    }
}

/* x - greatest is rounded before exp(), so the relative error of p grows with log p. */
static double p_tolerance(double log_p)
{
    return isfinite(log_p) ? 4e-7 + 1.2e-7 * fabs(log_p) : 0.0;
}

static void compare_softmax(const struct fnl_cpu_kernels *k, size_t M, size_t N, const float *x,
                            const float *p, const float *log_p)
{
    double *want = edge_doubles(N);
    for (size_t m = 0; m < M; m++) {
        want_log_softmax(N, x + m * N, want);
        for (size_t i = 0; i < N; i++) {
            size_t at = m * N + i;
            check_close("softmax", k->isa, at, (double)p[at], exp(want[i]), p_tolerance(want[i]),
                        1e-30);
            check_close("log softmax", k->isa, at, (double)log_p[at], want[i], 3e-7, 1.0);
        }
    }
}

static void check_softmax_at(const struct fnl_cpu_kernels *k, size_t N)
{
    const float *x = filled_floats(ROWS * N, -10.0F, 10.0F);
    float *p = edge_floats(ROWS * N), *log_p = edge_floats(ROWS * N);
    float *in_place = copied_floats(ROWS * N, x), *alone = edge_floats(N);
    k->softmax(ROWS, N, false, x, p);
    k->softmax(ROWS, N, true, x, log_p);
    compare_softmax(k, ROWS, N, x, p, log_p);
    k->softmax(ROWS, N, false, in_place, in_place);
    assert_true(same_bits(p, in_place, ROWS * N));
    memcpy(in_place, x, ROWS * N * sizeof *x);
    k->softmax(ROWS, N, true, in_place, in_place);
    assert_true(same_bits(log_p, in_place, ROWS * N));
    for (size_t m = 0; m < ROWS; m++) {
        k->softmax(1, N, false, x + m * N, alone);
        assert_true(same_bits(alone, p + m * N, N));
    }
}

static void check_softmax(const struct fnl_cpu_kernels *k)
{
    for_each_length(k, check_softmax_at);
}

static void softmax_in_every_length(void **state)
{
    (void)state;
    for_each_table(check_softmax);
}

/* Very large, very small, -inf, +inf, NaN, in turn in each place of a row. */
static void check_softmax_edges_at(const struct fnl_cpu_kernels *k, size_t N)
{
    static const float edges[] = {FLT_MAX, -FLT_MAX, 1e4F, -1e4F, -INFINITY, INFINITY, NAN};
    const size_t M = sizeof edges / sizeof edges[0];
    float *x = filled_floats(M * N, -3.0F, 3.0F);
    float *p = edge_floats(M * N), *log_p = edge_floats(M * N);
    for (size_t m = 0; m < M; m++) {
        x[m * N + check_word() % N] = edges[m];
    }
    k->softmax(M, N, false, x, p);
    k->softmax(M, N, true, x, log_p);
    compare_softmax(k, M, N, x, p, log_p);
}

static void check_softmax_edges(const struct fnl_cpu_kernels *k)
{
    for_each_length(k, check_softmax_edges_at);
}

static void softmax_of_extreme_rows(void **state)
{
    (void)state;
    for_each_table(check_softmax_edges);
}

static void check_softmax_grad_at(const struct fnl_cpu_kernels *k, size_t N)
{
    const float *x = filled_floats(ROWS * N, -2.0F, 2.0F);
    const float *dy = filled_floats(ROWS * N, -1.0F, 1.0F);
    float *y = edge_floats(ROWS * N), *dx = edge_floats(ROWS * N);
    for (int log_form = 0; log_form < 2; log_form++) {
        k->softmax(ROWS, N, log_form, x, y);
        k->softmax_grad(ROWS, N, log_form, dy, y, dx);
        for (size_t m = 0; m < ROWS; m++) {
            const float *d = dy + m * N, *v = y + m * N;
            double dot = 0.0, sum = 0.0;
            for (size_t i = 0; i < N; i++) {
                dot += (double)d[i] * (double)v[i];
                sum += (double)d[i];
            }
            for (size_t i = 0; i < N; i++) {
                double want = log_form ? (double)d[i] - exp((double)v[i]) * sum
                                       : (double)v[i] * ((double)d[i] - dot);
                check_close("softmax_grad", k->isa, m * N + i, (double)dx[m * N + i], want, 2e-6,
                            1.0);
            }
        }
        float *on_dy = copied_floats(ROWS * N, dy), *on_y = copied_floats(ROWS * N, y);
        k->softmax_grad(ROWS, N, log_form, on_dy, y, on_dy);
        k->softmax_grad(ROWS, N, log_form, dy, on_y, on_y);
        assert_true(same_bits(dx, on_dy, ROWS * N) && same_bits(dx, on_y, ROWS * N));
    }
}

static void check_softmax_grad(const struct fnl_cpu_kernels *k)
{
    for_each_length(k, check_softmax_grad_at);
}

static void softmax_gradient_in_every_length(void **state)
{
    (void)state;
    for_each_table(check_softmax_grad);
}

/* ---- cross-entropy ---- */
static void check_entropy_rows(const struct fnl_cpu_kernels *k, size_t M, size_t N, float range)
{
    const float scale = 1.0F / 64.0F;
    const float *x = filled_floats(M * N, -range, range);
    float *p = edge_floats(M * N), *loss = edge_floats(M), *dx = edge_floats(M * N);
    int32_t *label = edge_bytes(M * sizeof *label);
    double *want = edge_doubles(N);
    for (size_t m = 0; m < M; m++) {
        label[m] = (int32_t)(check_word() % N);
    }
    k->softmax_cross_entropy(M, N, x, label, loss, p);
    k->softmax_cross_entropy_grad(M, N, p, label, scale, dx);
    for (size_t m = 0; m < M; m++) {
        want_log_softmax(N, x + m * N, want);
        check_close("loss", k->isa, m, (double)loss[m], -want[label[m]], 4e-7, 1.0);
        for (size_t i = 0; i < N; i++) {
            size_t at = m * N + i;
            double onehot = i == (size_t)label[m] ? 1.0 : 0.0;
            check_close("p", k->isa, at, (double)p[at], exp(want[i]), p_tolerance(want[i]), 1e-30);
            check_close("dx", k->isa, at, (double)dx[at], (exp(want[i]) - onehot) * (double)scale,
                        1e-6, (double)scale);
        }
    }
    float *on_p = copied_floats(M * N, p), *on_x = copied_floats(M * N, x), *loss2 = edge_floats(M);
    k->softmax_cross_entropy_grad(M, N, on_p, label, scale, on_p);
    k->softmax_cross_entropy(M, N, on_x, label, loss2, on_x);
    assert_true(same_bits(dx, on_p, M * N));
    assert_true(same_bits(p, on_x, M * N) && same_bits(loss, loss2, M));
    edge_free_all();
}

static void check_entropy(const struct fnl_cpu_kernels *k)
{
    for (size_t N = 1; N <= 40; N++) {
        check_entropy_rows(k, ROWS, N, 5.0F);
    }
    for (size_t M = 0; M <= 40; M++) {
        check_entropy_rows(k, M, 10, 5.0F);
    }
    check_entropy_rows(k, 64, 10, 60.0F);
    check_entropy_rows(k, 64, 10, 1e6F);
    check_entropy_rows(k, 7, 1000, 20.0F);
}

static void cross_entropy_and_its_gradient(void **state)
{
    (void)state;
    for_each_table(check_entropy);
}

/* A row's loss is the same alone as among others. */
static void check_entropy_alone(const struct fnl_cpu_kernels *k)
{
    const size_t M = 37, N = 10;
    const float *x = filled_floats(M * N, -5.0F, 5.0F);
    float *p = edge_floats(M * N), *loss = edge_floats(M), *row = edge_floats(N), one;
    int32_t *label = edge_bytes(M * sizeof *label);
    for (size_t m = 0; m < M; m++) {
        label[m] = (int32_t)(m % N);
    }
    k->softmax_cross_entropy(M, N, x, label, loss, p);
    for (size_t m = 0; m < M; m++) {
        k->softmax_cross_entropy(1, N, x + m * N, label + m, &one, row);
        assert_true(same_bits(&one, loss + m, 1) && same_bits(row, p + m * N, N));
    }
}

static void a_loss_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    for_each_table(check_entropy_alone);
}

static void check_entropy_nan(const struct fnl_cpu_kernels *k)
{
    const int32_t label[2] = {0, 0};
    float x[20] = {0}, p[20], loss[2];
    x[3] = NAN;
    k->softmax_cross_entropy(2, 10, x, label, loss, p);
    assert_true(isnan(loss[0]) && isnan(p[0]) && isnan(p[9]));
    check_close("loss", k->isa, 1, (double)loss[1], log(10.0), 1e-6, 0.0);
}

static void nan_in_a_row_makes_its_loss_nan(void **state)
{
    (void)state;
    for_each_table(check_entropy_nan);
}

/* ---- layer normalisation ---- */
#define EPSILON 1e-5F

static void check_layer_norm_at(const struct fnl_cpu_kernels *k, size_t N)
{
    const float *x = filled_floats(ROWS * N, 9.0F, 12.0F), *gain = filled_floats(N, 0.5F, 2.0F);
    const float *bias = filled_floats(N, -1.0F, 1.0F);
    float *y = edge_floats(ROWS * N), *bare = edge_floats(ROWS * N);
    float *mean = edge_floats(ROWS), *inv_std = edge_floats(ROWS);
    float *in_place = copied_floats(ROWS * N, x);
    k->layer_norm(ROWS, N, EPSILON, x, gain, bias, y, mean, inv_std);
    k->layer_norm(ROWS, N, EPSILON, x, gain, NULL, bare, NULL, NULL);
    for (size_t m = 0; m < ROWS; m++) {
        double sum = 0.0, sum2 = 0.0;
        for (size_t i = 0; i < N; i++) {
            sum += (double)x[m * N + i];
        }
        double want_mean = sum / (double)N;
        for (size_t i = 0; i < N; i++) {
            double d = (double)x[m * N + i] - want_mean;
            sum2 += d * d;
        }
        double want_inv_std = 1.0 / sqrt(sum2 / (double)N + (double)EPSILON);
        check_close("mean", k->isa, m, (double)mean[m], want_mean, 3e-7, 0.0);
        /* a mean of 10 rounded to float leaves 5e-7 in each difference */
        check_close("1/std", k->isa, m, (double)inv_std[m], want_inv_std, 1e-5, 0.0);
        for (size_t i = 0; i < N; i++) {
            size_t at = m * N + i;
            double want = ((double)x[at] - want_mean) * want_inv_std * (double)gain[i];
            double scale = 1.0 + want_inv_std;
            check_close("layer_norm", k->isa, at, (double)bare[at], want, 3e-6, scale);
            check_close("layer_norm", k->isa, at, (double)y[at], want + (double)bias[i], 3e-6,
                        scale);
        }
    }
    k->layer_norm(ROWS, N, EPSILON, in_place, gain, bias, in_place, NULL, NULL);
    assert_true(same_bits(y, in_place, ROWS * N));
}

static void check_layer_norm(const struct fnl_cpu_kernels *k)
{
    for_each_length(k, check_layer_norm_at);
}

static void check_bad_labels(const struct fnl_cpu_kernels *k)
{
    enum { M = 3, N = 5 };
    static const int32_t bad[M] = {N, -1, 1000000000};
    const float *x = filled_floats(M * N, -1.0F, 1.0F);
    float *p = edge_floats(M * N), *loss = edge_floats(M), *dx = edge_floats(M * N);
    k->softmax_cross_entropy(M, N, x, bad, loss, p);
    k->softmax_cross_entropy_grad(M, N, p, bad, 0.5F, dx);
    float *on_p = copied_floats(M * N, p);
    k->softmax_cross_entropy_grad(M, N, on_p, bad, 0.5F, on_p);
    for (size_t m = 0; m < M; m++) {
        assert_true(isnan(loss[m]));
    }
    for (size_t i = 0; i < M * N; i++) {
        check_close("dx", k->isa, i, (double)dx[i], 0.5 * (double)p[i], 1e-6, 1e-3);
    }
    assert_true(same_bits(dx, on_p, M * N));
    edge_free_all();
}

static void a_label_that_names_no_class_reads_and_writes_nothing(void **state)
{
    (void)state;
    for_each_table(check_bad_labels);
}

static void layer_norm_in_every_length(void **state)
{
    (void)state;
    for_each_table(check_layer_norm);
}

/* sum(dy y) of one row in double, x[at] moved by h: its slope is dx[at]. */
static double layer_norm_loss(size_t N, const float *dy, const float *x, const float *gain,
                              size_t at, double h)
{
    double sum = 0.0, sum2 = 0.0, loss = 0.0;
    for (size_t i = 0; i < N; i++) {
        sum += (double)x[i] + (i == at ? h : 0.0);
    }
    for (size_t i = 0; i < N; i++) {
        double d = (double)x[i] + (i == at ? h : 0.0) - sum / (double)N;
        sum2 += d * d;
    }
    double inv_std = 1.0 / sqrt(sum2 / (double)N + (double)EPSILON);
    for (size_t i = 0; i < N; i++) {
        double d = (double)x[i] + (i == at ? h : 0.0) - sum / (double)N;
        loss += (double)dy[i] * d * inv_std * (double)gain[i];
    }
    return loss;
}

static void check_layer_norm_grad_at(const struct fnl_cpu_kernels *k, size_t N)
{
    const float *dy = filled_floats(ROWS * N, -1.0F, 1.0F);
    const float *x = filled_floats(ROWS * N, -2.0F, 2.0F), *gain = filled_floats(N, 0.5F, 2.0F);
    float *y = edge_floats(ROWS * N), *dx = edge_floats(ROWS * N), *mean = edge_floats(ROWS);
    float *inv_std = edge_floats(ROWS), *dgain = filled_floats(N, 0.0F, 1.0F);
    float *dbias = filled_floats(N, 0.0F, 1.0F), *on_dy = copied_floats(ROWS * N, dy);
    float *dgain2 = edge_floats(N), *dbias2 = edge_floats(N);
    k->layer_norm(ROWS, N, EPSILON, x, gain, NULL, y, mean, inv_std);
    k->layer_norm_grad(ROWS, N, dy, x, gain, mean, inv_std, dx, dgain, dbias, false);
    for (size_t m = 0; m<ROWS; m += N> 60 ? ROWS - 1 : 1) {
        /* rows whose spread is near epsilon bend too much for a difference */
        double scale = 1.0 + 10.0 * (double)inv_std[m];
        for (size_t i = 0; N > 2 && i<N; i += N> 60 ? 13 : 1) {
            const double h = 1e-5;
            double want = (layer_norm_loss(N, dy + m * N, x + m * N, gain, i, h) -
                           layer_norm_loss(N, dy + m * N, x + m * N, gain, i, -h)) /
                          (2.0 * h);
            check_close("layer_norm_grad", k->isa, m * N + i, (double)dx[m * N + i], want, 1e-5,
                        scale);
        }
    }
    for (size_t i = 0; i < N; i++) {
        double want = 0.0, want_gain = 0.0;
        for (size_t m = 0; m < ROWS; m++) {
            double xhat = ((double)x[m * N + i] - (double)mean[m]) * (double)inv_std[m];
            want += (double)dy[m * N + i];
            want_gain += (double)dy[m * N + i] * xhat;
        }
        check_close("dbias", k->isa, i, (double)dbias[i], want, 2e-6, 1.0);
        check_close("dgain", k->isa, i, (double)dgain[i], want_gain, 2e-6, 3.0);
    }
    /* in two blocks and in place: the same */
    k->layer_norm_grad(5, N, on_dy, x, gain, mean, inv_std, on_dy, dgain2, dbias2, false);
    k->layer_norm_grad(ROWS - 5, N, on_dy + 5 * N, x + 5 * N, gain, mean + 5, inv_std + 5,
                       on_dy + 5 * N, dgain2, dbias2, true);
    assert_true(same_bits(dx, on_dy, ROWS * N));
    assert_true(same_bits(dgain, dgain2, N) && same_bits(dbias, dbias2, N));
}

static void check_layer_norm_grad(const struct fnl_cpu_kernels *k)
{
    for_each_length(k, check_layer_norm_grad_at);
}

static void layer_norm_gradient_by_finite_differences(void **state)
{
    (void)state;
    for_each_table(check_layer_norm_grad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_in_every_length),
        cmocka_unit_test(softmax_of_extreme_rows),
        cmocka_unit_test(softmax_gradient_in_every_length),
        cmocka_unit_test(cross_entropy_and_its_gradient),
        cmocka_unit_test(a_loss_does_not_depend_on_its_neighbours),
        cmocka_unit_test(nan_in_a_row_makes_its_loss_nan),
        cmocka_unit_test(a_label_that_names_no_class_reads_and_writes_nothing),
        cmocka_unit_test(layer_norm_in_every_length),
        cmocka_unit_test(layer_norm_gradient_by_finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
