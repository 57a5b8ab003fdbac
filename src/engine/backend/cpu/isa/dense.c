/* dense.c - fully connected layers: forward, gradient of the weights, gradient of the input.
 *
 * All three are the tile of gemm.h. Forward: rows are samples. Weights: rows are input features,
 * the steps of the sum are samples; dy is copied into panels first (M x N floats, a percent of the
 * work at K = 100). A part of them may update the parameters at once: a strip of FEATURES inputs by
 * a panel is in L1 then, and the gradient's way to memory and back is saved. Input: rows are
 * samples again, and the weights are transposed into scratch a few panels at a time, so that they
 * are read back from L1. */
#include "engine/backend/cpu/isa/gemm.h"
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/optimizer.h"
#include "engine/backend/cpu/isa/panel.h"

static const ptrdiff_t at_zero = 0;

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* y[M][N] = the product p of the rows of a. */
static void rows_by_panels(const struct fnl_product *p, size_t M, const float *a,
                           ptrdiff_t a_stride, float *y, size_t ldy)
{
    const float *from[FNL_ROWS];
    float *to[FNL_ROWS];
    const struct fnl_tiling tiling = fnl_tiling(M);
    for (size_t m = 0, t = 0; t < tiling.tiles;) {
        const size_t end = min(t + FNL_ROWS / FNL_MR, tiling.tiles);
        const size_t rows = fnl_tiles_height(&tiling, t, end);
        t = end;
        for (size_t i = 0; i < rows; i++) {
            from[i] = a + (ptrdiff_t)(m + i) * a_stride;
            to[i] = y + (m + i) * ldy;
        }
        fnl_k_product(p, rows, from, to);
        m += rows;
    }
}

void FNL_K(dense_forward)(size_t M, size_t K, size_t N, const float *x, size_t ldx, const float *w,
                          const float *bias, enum fnl_cpu_activation act, float *y, size_t ldy)
{
    const struct fnl_product p = {
        .walk = {.segments = 1, .run = K, .segment = &at_zero, .step_a = 1, .step_b = FNL_PANEL},
        .w = w,
        .N = N,
        .bias = bias,
        .relu = act == FNL_CPU_RELU,
    };
    rows_by_panels(&p, M, x, (ptrdiff_t)ldx, y, ldy);
}

/* Samples summed at a time: a panel of dy and the features of FEATURES columns of x fit in L1. */
#define SAMPLES 96
#define FEATURES (8 * FNL_MR)

/* dw, or the parameters that it is the gradient of. */
struct target {
    float *dw;             /* the whole layer's, in panels */
    struct fnl_rule *rule; /* NULL: the gradient stays in dw */
    size_t at;             /* of dw in the blocks that the rule updates */
    float *strip;          /* the gradient of one strip when nobody else wants it, or NULL */
};

static void update_strip(const struct target *t, size_t offset, float *gradient, size_t count)
{
    struct fnl_rule *r = t->rule;
    float *const value = r->value, *const slot1 = r->slot1, *const slot2 = r->slot2;
    const size_t at = t->at + offset;
    r->gradient = &gradient;
    r->value = value + at;
    r->slot1 = slot1 ? slot1 + at : NULL;
    r->slot2 = slot2 ? slot2 + at : NULL;
    fnl_k_rule_run(r, 0, count);
    r->value = value;
    r->slot1 = slot1;
    r->slot2 = slot2;
}

/* dw (+)= x^T dy over `samples` rows, dy in panels from part->panel on; last: the sum is complete.
 */
static void grad_weights_block(size_t samples, size_t K, const struct fnl_dense_part *part,
                               const float *x, size_t ldx, const float *dy_panels, bool add,
                               bool last, const struct target *to)
{
    const struct fnl_walk walk = {.segments = 1,
                                  .run = samples,
                                  .segment = &at_zero,
                                  .step_a = (ptrdiff_t)ldx,
                                  .step_b = FNL_PANEL};
    const struct fnl_finish finish = {.add = add, .columns = FNL_PANEL};
    const size_t inputs = part->k_end - part->k, blocks = (inputs + FEATURES - 1) / FEATURES;
    for (size_t i = 0; i < blocks; i++) {
        const size_t k = part->k + inputs * i / blocks;
        const size_t features = part->k + inputs * (i + 1) / blocks - k;
        for (size_t p = part->panel; p < part->panel_end; p++) {
            const size_t offset = (p * K + k) * FNL_PANEL;
            float *dw = to->strip ? to->strip : to->dw + offset;
            fnl_k_strip(features, &walk, x + k, 1,
                        dy_panels + (p - part->panel) * samples * FNL_PANEL, dw, FNL_PANEL,
                        &finish);
            if (last && to->rule) {
                update_strip(to, offset, dw, features * FNL_PANEL);
            }
        }
    }
}

/* Of all samples, SAMPLES at a time. */
static void grad_weights(size_t M, size_t K, size_t N, const float *x, size_t ldx, const float *dy,
                         size_t ldy, const struct fnl_dense_part *part, bool accumulate,
                         const struct target *to, float *scratch)
{
    const size_t blocks = M ? (M + SAMPLES - 1) / SAMPLES : 1;
    for (size_t b = 0; b < blocks; b++) {
        const size_t m = M * b / blocks, samples = M * (b + 1) / blocks - m;
        for (size_t p = part->panel; p < part->panel_end; p++) {
            const size_t n = p * FNL_PANEL;
            fnl_k_panel_copy(samples, min(N - n, FNL_PANEL), dy + m * ldy + n, ldy,
                             scratch + (p - part->panel) * samples * FNL_PANEL);
        }
        grad_weights_block(samples, K, part, x + m * ldx, ldx, scratch, accumulate || b > 0,
                           b + 1 == blocks, to);
    }
}

void FNL_K(dense_grad_weights)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                               const float *dy, size_t ldy, float *dw, float *dbias,
                               bool accumulate, float *scratch)
{
    const struct fnl_dense_part all = {.panel_end = fnl_panels(N), .k_end = K};
    const struct target to = {.dw = dw};
    grad_weights(M, K, N, x, ldx, dy, ldy, &all, accumulate, &to, scratch);
    const size_t blocks = M ? (M + SAMPLES - 1) / SAMPLES : 1;
    for (size_t b = 0; dbias && b < blocks; b++) {
        const size_t m = M * b / blocks;
        fnl_k_column_sums(M * (b + 1) / blocks - m, N, dy + m * ldy, ldy, accumulate || b > 0,
                          dbias);
    }
}

void FNL_K(dense_grad_weights_part)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                                    const float *dy, size_t ldy, struct fnl_dense_part part,
                                    float *dw, const struct fnl_update *update, size_t at,
                                    float *scratch)
{
    struct fnl_rule rule;
    struct target to = {.dw = dw, .at = at};
    if (update) {
        fnl_k_rule(update, &rule);
        to.rule = &rule;
        /* With one block of samples the gradient never leaves L1. */
        to.strip = M <= SAMPLES ? scratch : NULL;
    }
    grad_weights(M, K, N, x, ldx, dy, ldy, &part, false, &to, scratch + FEATURES * FNL_PANEL);
}

size_t FNL_K(dense_part_scratch)(size_t M, struct fnl_dense_part part)
{
    const size_t panels = part.panel_end - part.panel;
    return FEATURES * FNL_PANEL + panels * FNL_PANEL * min(M, SAMPLES);
}

/* Panels of transposed weights made at a time: 16 kB of them, at least one. */
static size_t transposed_panels(size_t N)
{
    const size_t panels = 4096 / (N * FNL_PANEL);
    return panels ? panels : 1;
}

void FNL_K(dense_grad_data)(size_t M, size_t K, size_t N, const float *dy, size_t ldy,
                            const float *w, float *dx, size_t ldx, float *scratch)
{
    struct fnl_product p = {
        .walk = {.segments = 1, .run = N, .segment = &at_zero, .step_a = 1, .step_b = FNL_PANEL},
        .w = scratch,
    };
    const size_t step = transposed_panels(N) * FNL_PANEL;
    for (size_t k = 0; k < K; k += step) {
        p.N = min(step, K - k);
        for (size_t c = 0; c < p.N; c += FNL_PANEL) {
            /* Columns k + c of the transposed weights: rows of each panel of w. */
            for (size_t n = 0; n < N; n += FNL_PANEL) {
                fnl_k_panel_transpose(min(N - n, FNL_PANEL), min(p.N - c, FNL_PANEL),
                                      w + n * K + (k + c) * FNL_PANEL, FNL_PANEL,
                                      scratch + c * N + n * FNL_PANEL);
            }
        }
        rows_by_panels(&p, M, dy, (ptrdiff_t)ldy, dx + k, ldx);
    }
}

size_t FNL_K(dense_scratch)(size_t M, size_t K, size_t N)
{
    const size_t samples = fnl_panels(N) * FNL_PANEL * min(M, SAMPLES);
    const size_t transposed = min(transposed_panels(N), fnl_panels(K)) * FNL_PANEL * N;
    return samples > transposed ? samples : transposed;
}

void FNL_K(matmul)(size_t M, size_t N, size_t K, const float *a, ptrdiff_t a_stride_m,
                   ptrdiff_t a_stride_k, const float *b, ptrdiff_t b_stride_k, ptrdiff_t b_stride_n,
                   float *c, size_t ldc, float *scratch)
{
    FNL_K(panel_pack)(K, N, b, b_stride_k, b_stride_n, scratch);
    const struct fnl_product p = {
        .walk = {.segments = 1,
                 .run = K,
                 .segment = &at_zero,
                 .step_a = a_stride_k,
                 .step_b = FNL_PANEL},
        .w = scratch,
        .N = N,
    };
    rows_by_panels(&p, M, a, a_stride_m, c, ldc);
}

size_t FNL_K(matmul_scratch)(size_t M, size_t N, size_t K)
{
    (void)M;
    return fnl_panels(N) * FNL_PANEL * K;
}
