/* Dense, matmul and panel kernels of every instruction set against plain loops in double. */
#include "engine/impl.h"
#include "engine/product_check.h"

struct dims {
    size_t M, K, N;
};

static const struct dims all_dims[] = {
    {1, 1, 1},     {1, 1, 17},    {2, 3, 5},      {3, 7, 16},    {5, 16, 10},
    {6, 17, 33},   {7, 33, 15},   {8, 1, 32},     {13, 6, 1},    {11, 49, 31},
    {64, 128, 10}, {1, 784, 128}, {64, 784, 128}, {32, 300, 64}, {100, 65, 47},
    {203, 31, 48}, {97, 322, 17}, {12, 641, 70},  {385, 12, 9},  {6, 2000, 3},
};
#define DIMS (sizeof(all_dims) / sizeof(*all_dims))

typedef void check_fn(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape);

/* Runs check for each table of this CPU and all shapes. */
static void for_all(check_fn *check)
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    assert_in_range(count, 1, 4);
    for (int i = 0; i < count; i++) {
        for (size_t d = 0; d < DIMS; d++) {
            char shape[96];
            snprintf(shape, sizeof(shape), "%s M=%zu K=%zu N=%zu", list[i]->isa, all_dims[d].M,
                     all_dims[d].K, all_dims[d].N);
            check(list[i], &all_dims[d], shape);
        }
    }
}

static void check_panels(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape)
{
    const size_t K = d->K, N = d->N, panel = (size_t)k->panel;
    struct floats plain = floats_random(K * N, 1);
    const ptrdiff_t strides[3][2] = {{(ptrdiff_t)N, 1}, {1, (ptrdiff_t)K}, {-1, -(ptrdiff_t)K}};
    for (int s = 0; s < 3; s++) {
        const ptrdiff_t stride_k = strides[s][0], stride_n = strides[s][1];
        const float *origin = plain.f + (s == 2 ? K * N - 1 : 0);
        struct floats panels = floats_aligned(panel_floats(k, K, N));
        k->panel_pack(K, N, origin, stride_k, stride_n, panels.f);
        for (size_t i = 0; i < panels.count; i++) {
            const size_t n = i / (K * panel) * panel + i % panel, row = i / panel % K;
            const float want =
                n < N ? origin[(ptrdiff_t)row * stride_k + (ptrdiff_t)n * stride_n] : 0;
            if (panels.f[i] != want) {
                fail_msg("panel_pack, %s, strides %d: element %zu", shape, s, i);
            }
        }
        struct floats back = floats_new(K * N);
        memset(back.f, 0xff, K * N * sizeof(float));
        k->panel_unpack(K, N, panels.f, back.f + (s == 2 ? K * N - 1 : 0), stride_k, stride_n);
        assert_memory_equal(back.f, plain.f, K * N * sizeof(float));
        floats_free(&panels);
        floats_free(&back);
    }
    floats_free(&plain);
}

static void panels_hold_the_matrix_and_zeros(void **state)
{
    (void)state;
    for_all(check_panels);
}

/* y = act(x w + bias), with rows of x and y further apart than they are long. */
static void check_forward(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 3, ldy = N + 5;
    struct floats x = floats_random((M - 1) * ldx + K, 2), plain = floats_random(K * N, 3);
    struct floats bias = floats_random(N, 4), w = pack_panels(k, K, N, plain.f);
    struct floats y = floats_new((M - 1) * ldy + N), row = floats_new(N);
    for (int variant = 0; variant < 4; variant++) {
        const float *b = variant & 1 ? bias.f : NULL;
        const enum fnl_cpu_activation act = variant & 2 ? FNL_CPU_RELU : FNL_CPU_NONE;
        for (size_t i = 0; i < y.count; i++) {
            y.f[i] = -77;
        }
        k->dense_forward(M, K, N, x.f, ldx, w.f, b, act, y.f, ldy);
        for (size_t i = 0; i < y.count; i++) {
            const size_t m = i / ldy, n = i % ldy;
            if (n >= N) {
                assert_true(y.f[i] == -77);
                continue;
            }
            double sum = 0, scale = 0;
            for (size_t j = 0; j < K; j++) {
                double term = (double)x.f[m * ldx + j] * (double)plain.f[j * N + n];
                sum += term;
                scale += fabs(term);
            }
            sum += b ? (double)b[n] : 0;
            scale += b ? fabs((double)b[n]) : 0;
            check_sum("dense_forward", shape, i, y.f[i], act == FNL_CPU_RELU ? fmax(sum, 0) : sum,
                      scale);
        }
        for (size_t m = 0; m < M; m += 1 + M / 7) {
            k->dense_forward(1, K, N, x.f + m * ldx, ldx, w.f, b, act, row.f, N);
            assert_memory_equal(row.f, y.f + m * ldy, N * sizeof(float));
        }
    }
    floats_free(&x);
    floats_free(&plain);
    floats_free(&bias);
    floats_free(&w);
    floats_free(&y);
    floats_free(&row);
}

static void forward_is_right_and_rows_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    for_all(check_forward);
}

static void compare_weights(const struct fnl_cpu_kernels *k, const struct dims *d,
                            const char *shape, const float *x, size_t ldx, const float *dy,
                            size_t ldy, const float *dw, const float *dbias, const float *before)
{
    const size_t M = d->M, K = d->K, N = d->N;
    struct floats plain = floats_new(K * N);
    k->panel_unpack(K, N, dw, plain.f, (ptrdiff_t)N, 1);
    for (size_t i = 0; i < K * N; i++) {
        double sum = before ? (double)before[i] : 0, scale = fabs(sum);
        for (size_t m = 0; m < M; m++) {
            double term = (double)x[m * ldx + i / N] * (double)dy[m * ldy + i % N];
            sum += term;
            scale += fabs(term);
        }
        check_sum("dense_grad_weights", shape, i, plain.f[i], sum, scale);
    }
    for (size_t n = 0; dbias && n < N; n++) {
        double sum = before ? 0.5 : 0, scale = sum;
        for (size_t m = 0; m < M; m++) {
            sum += (double)dy[m * ldy + n];
            scale += fabs((double)dy[m * ldy + n]);
        }
        check_sum("dense_grad_weights: bias", shape, n, dbias[n], sum, scale);
    }
    floats_free(&plain);
}

static void check_grad_weights(const struct fnl_cpu_kernels *k, const struct dims *d,
                               const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 1, ldy = N + 2;
    struct floats x = floats_random((M - 1) * ldx + K, 5);
    struct floats dy = floats_random((M - 1) * ldy + N, 6), before = floats_random(K * N, 7);
    struct floats dw = floats_aligned(panel_floats(k, K, N)), dbias = floats_new(N);
    struct floats scratch = floats_aligned(k->dense_scratch(M, K, N));
    memset(dbias.f, 0xff, N * sizeof(float));
    k->dense_grad_weights(M, K, N, x.f, ldx, dy.f, ldy, dw.f, dbias.f, false, scratch.f);
    compare_weights(k, d, shape, x.f, ldx, dy.f, ldy, dw.f, dbias.f, NULL);
    k->dense_grad_weights(M, K, N, x.f, ldx, dy.f, ldy, dw.f, NULL, false, scratch.f);
    compare_weights(k, d, shape, x.f, ldx, dy.f, ldy, dw.f, NULL, NULL);
    k->panel_pack(K, N, before.f, (ptrdiff_t)N, 1, dw.f);
    for (size_t n = 0; n < N; n++) {
        dbias.f[n] = 0.5f;
    }
    k->dense_grad_weights(M, K, N, x.f, ldx, dy.f, ldy, dw.f, dbias.f, true, scratch.f);
    compare_weights(k, d, shape, x.f, ldx, dy.f, ldy, dw.f, dbias.f, before.f);
    floats_free(&x);
    floats_free(&dy);
    floats_free(&before);
    floats_free(&dw);
    floats_free(&dbias);
    floats_free(&scratch);
}

static void gradients_of_weights_are_set_or_added_to(void **state)
{
    (void)state;
    for_all(check_grad_weights);
}

static void check_grad_data(const struct fnl_cpu_kernels *k, const struct dims *d,
                            const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 4, ldy = N + 1;
    struct floats dy = floats_random((M - 1) * ldy + N, 8), plain = floats_random(K * N, 9);
    struct floats w = pack_panels(k, K, N, plain.f), dx = floats_new((M - 1) * ldx + K);
    struct floats scratch = floats_aligned(k->dense_scratch(M, K, N));
    for (size_t i = 0; i < dx.count; i++) {
        dx.f[i] = -77;
    }
    k->dense_grad_data(M, K, N, dy.f, ldy, w.f, dx.f, ldx, scratch.f);
    for (size_t i = 0; i < dx.count; i++) {
        const size_t m = i / ldx, j = i % ldx;
        if (j >= K) {
            assert_true(dx.f[i] == -77);
            continue;
        }
        double sum = 0, scale = 0;
        for (size_t n = 0; n < N; n++) {
            double term = (double)dy.f[m * ldy + n] * (double)plain.f[j * N + n];
            sum += term;
            scale += fabs(term);
        }
        check_sum("dense_grad_data", shape, i, dx.f[i], sum, scale);
    }
    floats_free(&dy);
    floats_free(&plain);
    floats_free(&w);
    floats_free(&dx);
    floats_free(&scratch);
}

static void gradients_of_data_are_right(void **state)
{
    (void)state;
    for_all(check_grad_data);
}

/* All four cases of plain and transposed operands. */
static void check_matmul(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldc = N + 1;
    struct floats a = floats_random(M * K, 10), b = floats_random(K * N, 11);
    struct floats c = floats_new((M - 1) * ldc + N);
    struct floats scratch = floats_aligned(k->matmul_scratch(M, N, K));
    for (int transposed = 0; transposed < 4; transposed++) {
        const size_t am = transposed & 1 ? 1 : K, ak = transposed & 1 ? M : 1;
        const size_t bk = transposed & 2 ? 1 : N, bn = transposed & 2 ? K : 1;
        for (size_t i = 0; i < c.count; i++) {
            c.f[i] = -77;
        }
        k->matmul(M, N, K, a.f, (ptrdiff_t)am, (ptrdiff_t)ak, b.f, (ptrdiff_t)bk, (ptrdiff_t)bn,
                  c.f, ldc, scratch.f);
        for (size_t i = 0; i < c.count; i++) {
            const size_t m = i / ldc, n = i % ldc;
            if (n >= N) {
                assert_true(c.f[i] == -77);
                continue;
            }
            double sum = 0, scale = 0;
            for (size_t j = 0; j < K; j++) {
                double term = (double)a.f[m * am + j * ak] * (double)b.f[j * bk + n * bn];
                sum += term;
                scale += fabs(term);
            }
            check_sum("matmul", shape, i, c.f[i], sum, scale);
        }
    }
    floats_free(&a);
    floats_free(&b);
    floats_free(&c);
    floats_free(&scratch);
}

static void matmul_takes_transposed_operands(void **state)
{
    (void)state;
    for_all(check_matmul);
}

static void relu_lets_a_nan_through(void **state)
{
    (void)state;
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        const float x[2] = {NAN, -1}, one = 1;
        float y[2];
        struct floats w = pack_panels(list[i], 1, 1, &one);
        list[i]->dense_forward(2, 1, 1, x, 1, w.f, NULL, FNL_CPU_RELU, y, 1);
        assert_true(isnan(y[0]));
        assert_true(y[1] == 0);
        floats_free(&w);
    }
}

static void environment_chooses_among_the_tables_this_cpu_runs(void **state)
{
    (void)state;
    const struct fnl_cpu_kernels *list[4], *chosen = fnl_cpu_kernels();
    int count = fnl_cpu_kernels_list(list);
    bool found = false;
    const char *wanted = getenv("FOURNIL_ISA");
    for (int i = 0; i < count; i++) {
        found |= list[i] == chosen;
        if (wanted && strcmp(wanted, list[i]->isa) == 0) {
            assert_string_equal(chosen->isa, wanted);
        }
    }
    assert_true(found);
    assert_string_equal(list[count - 1]->isa, "generic");
}

/* The four quarters of dw, or the whole. */
static void by_parts(const struct fnl_cpu_kernels *k, const struct dims *d, int parts,
                     const float *x, const float *dy, float *dw, const struct fnl_update *update,
                     size_t at)
{
    const size_t panels = (d->N + (size_t)k->panel - 1) / (size_t)k->panel;
    const int half = parts > 1 ? 2 : 1;
    for (int i = 0; i < parts; i++) {
        const size_t p = (size_t)(i % half), q = (size_t)(i / half), h = (size_t)half;
        const struct fnl_dense_part part = {panels * p / h, panels * (p + 1) / h, d->K * q / h,
                                            d->K * (q + 1) / h};
        struct floats scratch = floats_aligned(k->dense_part_scratch(d->M, part));
        k->dense_grad_weights_part(d->M, d->K, d->N, x, d->K, dy, d->N, part, dw, update, at,
                                   scratch.f);
        floats_free(&scratch);
    }
}

static void check_parts(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape)
{
    enum { AT = 64 };
    const size_t M = d->M, K = d->K, N = d->N, size = panel_floats(k, K, N);
    struct floats x = floats_random(M * K, 5), dy = floats_random(M * N, 6);
    struct floats dw = floats_aligned(size), parts = floats_aligned(size);
    struct floats value = floats_random(AT + size, 7), fused = floats_random(AT + size, 7);
    struct floats scratch = floats_aligned(k->dense_scratch(M, K, N));
    k->dense_grad_weights(M, K, N, x.f, K, dy.f, N, dw.f, NULL, false, scratch.f);
    by_parts(k, d, 4, x.f, dy.f, parts.f, NULL, 0);
    if (memcmp(parts.f, dw.f, size * sizeof(float)) != 0) {
        fail_msg("dense_grad_weights_part, %s: not the bits of the whole", shape);
    }
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    float *gradient = dw.f;
    struct fnl_update u = {.optimizer = &sgd,
                           .value = value.f + AT,
                           .gradient = &gradient,
                           .gradient_count = 1,
                           .learning_rate = 0.25F,
                           .gradient_scale = 1.0F,
                           .step = 1};
    k->update(&u, 0, size);
    u.value = fused.f;
    for (int count = 1; count <= 4; count += 3) {
        by_parts(k, d, count, x.f, dy.f, parts.f, &u, AT);
        if (memcmp(fused.f, value.f, (AT + size) * sizeof(float)) != 0) {
            fail_msg("dense_grad_weights_part, %s: update of %d parts", shape, count);
        }
        struct floats again = floats_random(AT + size, 7);
        memcpy(fused.f, again.f, (AT + size) * sizeof(float));
        floats_free(&again);
    }
    floats_free(&x);
    floats_free(&dy);
    floats_free(&dw);
    floats_free(&parts);
    floats_free(&value);
    floats_free(&fused);
    floats_free(&scratch);
}

static void parts_of_a_gradient_make_the_bits_of_the_whole_and_its_update(void **state)
{
    (void)state;
    for_all(check_parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_gradient_make_the_bits_of_the_whole_and_its_update),
        cmocka_unit_test(panels_hold_the_matrix_and_zeros),
        cmocka_unit_test(forward_is_right_and_rows_do_not_depend_on_neighbours),
        cmocka_unit_test(gradients_of_weights_are_set_or_added_to),
        cmocka_unit_test(gradients_of_data_are_right),
        cmocka_unit_test(matmul_takes_transposed_operands),
        cmocka_unit_test(relu_lets_a_nan_through),
        cmocka_unit_test(environment_chooses_among_the_tables_this_cpu_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
