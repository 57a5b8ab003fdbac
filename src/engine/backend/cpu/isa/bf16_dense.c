/* bf16_dense.c - fully connected layers in bfloat16: as dense.c, on packed pairs (bf16.h).
 *
 * Forward: rows are samples, pairs are neighbouring inputs. Gradient of the input: rows are
 * samples, pairs are neighbouring units. Gradient of the weights: rows are features, pairs are
 * neighbouring samples, so that two rows of x or dy make a row of pairs without a transposition.
 * The weights are packed once a call, the rows FNL_BF16_ROWS at a time. */
#include "engine/backend/cpu/isa/bf16.h"
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/panel.h"

/* Samples and features of a block of the weights' gradient: both packed operands fit in L1. */
#define SAMPLES ((size_t)96)
#define FEATURES ((size_t)8 * FNL_MR)

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Floats of the packed weights for sums over `steps`, `columns` results. */
static size_t packed_floats(size_t steps, size_t columns)
{
    return fnl_panels(columns) * FNL_PANEL * fnl_pairs(steps);
}

/* The product p of the rows a[M][lda], `length` long, packed into `rows` a few at a time. */
static void rows_by_panels(struct fnl_bf16_product *p, size_t M, size_t length, const float *a,
                           size_t lda, float *rows)
{
    p->steps = fnl_pairs(length);
    p->a = rows;
    p->a_row = (ptrdiff_t)p->steps;
    p->a_step = 1;
    for (size_t m = 0; m < M; m += FNL_BF16_ROWS) {
        const size_t count = min(M - m, FNL_BF16_ROWS);
        for (size_t i = 0; i < count; i++) {
            fnl_bf16_pack_row(length, a + (m + i) * lda, rows + i * p->steps);
        }
        fnl_k_bf16_product(p, count);
        p->y += count * p->ldy;
    }
}

void FNL_K(dense_forward_bf16)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                               const float *w, const float *bias, enum fnl_cpu_activation act,
                               float *y, size_t ldy, float *scratch)
{
    struct fnl_bf16_product p = {
        .b = scratch, .N = N, .bias = bias, .relu = act == FNL_CPU_RELU, .y = y, .ldy = ldy};
    fnl_k_bf16_pair_panels(K, N, w, scratch);
    rows_by_panels(&p, M, K, x, ldx, scratch + packed_floats(K, N));
}

void FNL_K(dense_grad_data_bf16)(size_t M, size_t K, size_t N, const float *dy, size_t ldy,
                                 const float *w, float *dx, size_t ldx, float *scratch)
{
    struct fnl_bf16_product p = {.b = scratch, .N = K, .y = dx, .ldy = ldx};
    fnl_k_bf16_transpose_panels(K, N, w, scratch);
    rows_by_panels(&p, M, N, dy, ldy, scratch + packed_floats(N, K));
}

/* dw (+)= x^T dy over `samples` rows. */
static void grad_weights_block(size_t samples, size_t K, size_t N, const float *x, size_t ldx,
                               const float *dy, size_t ldy, float *dw, bool add, float *scratch)
{
    const size_t pairs = fnl_pairs(samples);
    float *features = scratch + packed_floats(samples, N);
    for (size_t n = 0; n < N; n += FNL_PANEL) {
        fnl_k_bf16_pair_rows(samples, min(N - n, FNL_PANEL), dy + n, ldy, FNL_PANEL,
                             scratch + n * pairs);
    }
    for (size_t k = 0; k < K; k += FEATURES) {
        const size_t count = min(K - k, FEATURES);
        fnl_k_bf16_pair_rows(samples, count, x + k, ldx, count, features);
        for (size_t n = 0; n < N; n += FNL_PANEL) {
            const struct fnl_bf16_product p = {.steps = pairs,
                                               .a = features,
                                               .a_row = 1,
                                               .a_step = (ptrdiff_t)count,
                                               .b = scratch + n * pairs,
                                               .N = FNL_PANEL,
                                               .add = add,
                                               .y = dw + n * K + k * FNL_PANEL,
                                               .ldy = FNL_PANEL};
            fnl_k_bf16_product(&p, count);
        }
    }
}

void FNL_K(dense_grad_weights_bf16)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                                    const float *dy, size_t ldy, float *dw, float *dbias,
                                    bool accumulate, float *scratch)
{
    const size_t blocks = M ? (M + SAMPLES - 1) / SAMPLES : 1, pairs = fnl_pairs(M);
    for (size_t b = 0; b < blocks; b++) {
        const size_t m = 2 * (pairs * b / blocks);
        const size_t samples = min(2 * (pairs * (b + 1) / blocks), M) - m;
        const bool add = accumulate || b > 0;
        if (dbias) {
            fnl_k_column_sums(samples, N, dy + m * ldy, ldy, add, dbias);
        }
        grad_weights_block(samples, K, N, x + m * ldx, ldx, dy + m * ldy, ldy, dw, add, scratch);
    }
}

size_t FNL_K(dense_scratch_bf16)(size_t M, size_t K, size_t N)
{
    const size_t rows = min(M, FNL_BF16_ROWS), samples = min(M, SAMPLES);
    const size_t forward = packed_floats(K, N) + rows * fnl_pairs(K);
    const size_t data = packed_floats(N, K) + rows * fnl_pairs(N);
    const size_t weights = packed_floats(samples, N) + fnl_pairs(samples) * min(K, FEATURES);
    return max(max(forward, data), weights);
}
