/* Products of matrices on a GPU: each tile, with whole and split sums, in sizes that fill no tile,
 * against the reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/backend/gpu/gpu_product.h"
#include "engine/backend/gpu/gpu_rows.h"
#include "gpu_step.h"

extern const struct fnl_op_impl fnl__ref_gemm, fnl__ref_matmul;

static struct fnl_gpu *gpu;

/* M, N, K, which is transposed, and all that may stand behind a product. */
struct product {
    int64_t M, N, K;
    bool trans_a, trans_b;
    int bias; /* 0: none, 1: [N], 2: [1, N], 3: [M, 1], 4: [M, N], 5: a scalar, 6: [1] */
    bool relu, mask;
    int sum; /* 0: none, 1: rows of op(a), 2: columns of op(b) */
    float alpha, beta;
    size_t shift;
};

static void set_bias(struct gpu_step *t, const struct product *p)
{
    static const int rank[] = {0, 1, 2, 2, 2, 0, 1};
    const int64_t dims[][2] = {{0, 0},       {p->N, 0}, {1, p->N}, {p->M, 1},
                               {p->M, p->N}, {0, 0},    {1, 0}};
    if (p->bias > 0) {
        gpu_step_operand(t, &t->step.in[2], p->shift, rank[p->bias], dims[p->bias]);
    }
}

/* What is fused behind, in plain loops over the reference's result. */
static void finish(struct gpu_step *t, const struct product *p)
{
    float *y = gpu_step_at(t, t->want, &t->step.out[0]);
    const float *mask = p->mask ? gpu_step_at(t, t->want, &t->step.in[FNL_STEP_MASK]) : NULL;
    for (int64_t i = 0; i < p->M * p->N; i++) {
        y[i] = p->relu && y[i] < 0.0F ? 0.0F : y[i];
        y[i] = mask != NULL && !(mask[i] > 0.0F) ? 0.0F : y[i];
    }
    if (p->sum == 0) {
        return;
    }
    float *sum = gpu_step_at(t, t->want, &t->step.out[FNL_STEP_SUM]);
    const float *from = gpu_step_at(t, t->want, &t->step.in[p->sum - 1]);
    bool k_fast = p->sum == 1 ? !p->trans_a : p->trans_b;
    int64_t lines = p->sum == 1 ? p->M : p->N;
    for (int64_t i = 0; i < lines; i++) {
        double s = 0.0;
        for (int64_t k = 0; k < p->K; k++) {
            s += (double)(k_fast ? from[i * p->K + k] : from[k * lines + i]);
        }
        sum[i] = (float)s;
    }
}

static int check(const struct product *p, uint32_t seed)
{
    struct gpu_step t;
    bool gemm = p->bias > 0 || p->alpha != 1.0F;
    gpu_step_begin(&t, gpu, gemm ? FNL_OP_GEMM : FNL_OP_MATMUL, seed);
    t.node.attrs.trans_a = p->trans_a;
    t.node.attrs.trans_b = p->trans_b;
    t.node.attrs.alpha = p->alpha;
    t.node.attrs.beta = p->beta;
    const int64_t a[] = {p->trans_a ? p->K : p->M, p->trans_a ? p->M : p->K};
    const int64_t b[] = {p->trans_b ? p->N : p->K, p->trans_b ? p->K : p->N};
    const int64_t y[] = {p->M, p->N}, sums[] = {p->sum == 1 ? p->M : p->N};
    gpu_step_operand(&t, &t.step.in[0], p->shift, 2, a);
    gpu_step_operand(&t, &t.step.in[1], p->shift, 2, b);
    gpu_step_operand(&t, &t.step.out[0], p->shift, 2, y);
    set_bias(&t, p);
    t.step.activation = p->relu ? 1 : 0;
    if (p->mask) {
        gpu_step_operand(&t, &t.step.in[FNL_STEP_MASK], 0, 2, y);
    }
    if (p->sum > 0) {
        gpu_step_operand(&t, &t.step.out[FNL_STEP_SUM], 0, 1, sums);
        t.step.sum_input = p->sum - 1;
    }
    gpu_step_run(&t, gemm ? &fnl__gpu_gemm : &fnl__gpu_matmul,
                 gemm ? &fnl__ref_gemm : &fnl__ref_matmul);
    finish(&t, p);
    char what[160];
    snprintf(what, sizeof what,
             "%lld x %lld x %lld, trans %d %d, bias %d, relu %d, mask %d, sum %d", (long long)p->M,
             (long long)p->N, (long long)p->K, p->trans_a, p->trans_b, p->bias, p->relu, p->mask,
             p->sum);
    gpu_step_check(&t, what);
    gpu_step_end(&t);
    return t.launches;
}

/* Every size with every transposition; what stands behind changes from case to case. */
static void check_sizes(void)
{
    static const int64_t size[][3] = {{1, 1, 1},      {3, 17, 65},   {17, 3, 1},    {63, 65, 129},
                                      {65, 129, 63},  {129, 63, 17}, {64, 64, 32},  {128, 128, 64},
                                      {257, 10, 100}, {10, 257, 36}, {33, 140, 300}};
    uint32_t n = 0;
    for (size_t s = 0; s < sizeof size / sizeof size[0]; s++) {
        for (int trans = 0; trans < 4; trans++, n++) {
            struct product p = {.M = size[s][0],
                                .N = size[s][1],
                                .K = size[s][2],
                                .trans_a = (trans & 1) != 0,
                                .trans_b = (trans & 2) != 0,
                                .bias = (int)(n % 7),
                                .relu = n % 3 == 0,
                                .mask = n % 5 == 1,
                                .sum = (int)(n % 4) % 3,
                                .alpha = n % 2 == 0 ? 1.0F : 0.5F,
                                .beta = n % 3 == 1 ? -2.0F : 1.0F,
                                .shift = n % 3};
            (void)check(&p, n + 1);
        }
    }
}

static void products_of_every_tile(void **state)
{
    (void)state;
    if (gpu == NULL) {
        skip();
    }
    for (int tile = 0; tile < fnl__gpu_tile_count; tile++) {
        fnl__gpu_cut_force(tile, 0);
        check_sizes();
    }
    fnl__gpu_cut_force(-1, 0);
}

static void split_products_of_every_tile(void **state)
{
    (void)state;
    if (gpu == NULL) {
        skip();
    }
    for (int tile = 0; tile < fnl__gpu_tile_count; tile++) {
        fnl__gpu_cut_force(tile, 3);
        check_sizes();
        const struct product p = {
            .M = 10, .N = 20, .K = 1000, .alpha = 1.0F, .beta = 1.0F, .sum = 2, .trans_a = true};
        assert_int_equal(check(&p, 1), 2); /* really in two stages */
    }
    fnl__gpu_cut_force(-1, 0);
}

static void chosen_tiles(void **state)
{
    (void)state;
    if (gpu == NULL) {
        skip();
    }
    check_sizes();
    const struct product tall = {.M = 10, .N = 10, .K = 9000, .alpha = 1.0F, .beta = 1.0F};
    assert_int_equal(check(&tall, 1), 2);
    const struct product mlp = {.M = 64, .N = 128, .K = 784, .alpha = 1.0F, .beta = 1.0F};
    assert_int_equal(check(&mlp, 1), 1);
}

/* A NaN in a row makes that row's outputs NaN, Relu or not, and no others. */
static void nan_comes_through(void **state)
{
    (void)state;
    if (gpu == NULL) {
        skip();
    }
    const int64_t a[] = {5, 40}, b[] = {40, 7}, y[] = {5, 7};
    struct gpu_step t;
    gpu_step_begin(&t, gpu, FNL_OP_MATMUL, 1);
    gpu_step_operand(&t, &t.step.in[0], 0, 2, a);
    gpu_step_operand(&t, &t.step.in[1], 0, 2, b);
    gpu_step_operand(&t, &t.step.out[0], 0, 2, y);
    t.step.activation = 1;
    t.poison = 2 * 40 + 39;
    gpu_step_run(&t, &fnl__gpu_matmul, &fnl__ref_matmul);
    const float *got = gpu_step_at(&t, t.got, &t.step.out[0]);
    for (int i = 0; i < 35; i++) {
        assert_true((isnan(got[i]) != 0) == (i / 7 == 2));
    }
    gpu_step_end(&t);
}

static int open_device(void **state)
{
    (void)state;
    gpu = gpu_step_device();
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    fnl__gpu_release(gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_every_tile),
        cmocka_unit_test(split_products_of_every_tile),
        cmocka_unit_test(chosen_tiles),
        cmocka_unit_test(nan_comes_through),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
