/* bf16.c - packing of bfloat16 pairs, and the tile that multiplies them (bf16.h).
 *
 * Invariants
 * 1. The terms of one output are added in the order of the steps (within a pair, the second first),
 *    one after the other in one float32, whatever the tile's height, the number of rows or the
 *    blocking over steps: partial sums wait in y, which is exact. Products of bfloat16 are exact in
 *    float32, so all instruction sets give the same bits (denormal numbers apart).
 * 2. Nothing outside the named operands is read or written.
 *
 * Cost: with AVX512_BF16 a step of a 12-row tile is 24 instructions of 32 multiply-adds each on 2
 * loads and 12 broadcasts; elsewhere the step is emulated and slower than its float32 product. */
#include "engine/backend/cpu/isa/bf16.h"
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/panel.h"

#if defined(__clang__)
#define FNL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FNL_UNROLL _Pragma("GCC unroll 16")
#endif

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- packing ---- */

#if FNL_VL == 16
#define EVENS(a, b)                                                                                \
    __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODDS(a, b)                                                                                 \
    __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#else
#define EVENS(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODDS(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#endif

/* Pairs of neighbours of the 2 * FNL_VL floats of low and high. */
FNL_INLINE fnl_vu neighbours(fnl_vf low, fnl_vf high)
{
    return fnl_v_pair_bf16(EVENS(low, high), ODDS(low, high));
}

void fnl_k_bf16_narrow(size_t count, const float *from, unsigned char *to)
{
    const size_t width = 2 * FNL_VL;
    for (; count >= width; count -= width, from += width, to += 2 * width) {
        const fnl_vu pairs = neighbours(fnl_v_load(from), fnl_v_load(from + FNL_VL));
        memcpy(to, &pairs, sizeof(pairs));
    }
    if (count > 0) {
        const size_t low = min(count, FNL_VL);
        const fnl_vf first = fnl_v_load_part(from, low);
        const fnl_vf second = fnl_v_load_part(from + low, count - low);
        const fnl_vu pairs = neighbours(first, second);
        memcpy(to, &pairs, 2 * count);
    }
}

/* One row of pairs; second may be NULL: zeros. */
static void pair_row(size_t columns, const float *first, const float *second, size_t width,
                     float *to)
{
    size_t c = 0;
    for (; c + FNL_VL <= columns; c += FNL_VL) {
        const fnl_vf below = second ? fnl_v_load(second + c) : (fnl_vf){0};
        fnl_v_store(to + c, (fnl_vf)fnl_v_pair_bf16(fnl_v_load(first + c), below));
    }
    if (c < columns) {
        const size_t rest = columns - c;
        const fnl_vf below = second ? fnl_v_load_part(second + c, rest) : (fnl_vf){0};
        fnl_v_store_part(to + c, (fnl_vf)fnl_v_pair_bf16(fnl_v_load_part(first + c, rest), below),
                         rest);
    }
    memset(to + columns, 0, (width - columns) * sizeof(float));
}

void fnl_k_bf16_pair_rows(size_t rows, size_t columns, const float *from, size_t ld, size_t width,
                          float *to)
{
    for (size_t r = 0; r < rows; r += 2, from += 2 * ld, to += width) {
        pair_row(columns, from, r + 1 < rows ? from + ld : NULL, width, to);
    }
}

void fnl_k_bf16_pair_panels(size_t K, size_t N, const float *w, float *to)
{
    for (size_t n = 0; n < N; n += FNL_PANEL) {
        fnl_k_bf16_pair_rows(K, FNL_PANEL, w, FNL_PANEL, FNL_PANEL, to);
        w += K * FNL_PANEL;
        to += fnl_pairs(K) * FNL_PANEL;
    }
}

/* Neighbours in n, FNL_PANEL rows of a panel at a time, then 32-bit lanes turned around. The
 * columns beyond N are zero in w, so an odd last one is paired with zero. */
void fnl_k_bf16_transpose_panels(size_t K, size_t N, const float *w, float *to)
{
    float pairs[FNL_PANEL * FNL_VL];
    for (size_t k = 0; k < K; k += FNL_PANEL) {
        const size_t columns = min(K - k, FNL_PANEL);
        for (size_t n = 0; n < N; n += FNL_PANEL) {
            const float *from = w + n * K + k * FNL_PANEL;
            for (size_t c = 0; c < columns; c++, from += FNL_PANEL) {
                fnl_v_store(pairs + c * FNL_VL,
                            (fnl_vf)neighbours(fnl_v_load(from), fnl_v_load(from + FNL_VL)));
            }
            const size_t rows = fnl_pairs(min(N - n, FNL_PANEL));
            fnl_k_panel_transpose(rows, columns, pairs, FNL_VL, to);
            to += rows * FNL_PANEL;
        }
    }
}

/* ---- the tile ---- */

struct tile {
    size_t steps;
    const float *a;
    ptrdiff_t a_row, a_step;
    const float *b;
    float *y;
    size_t ldy;
    size_t columns;    /* 1 to FNL_PANEL */
    const float *bias; /* [columns] or NULL */
    bool relu, add;
};

FNL_INLINE fnl_vu broadcast(const float *pair)
{
    uint32_t bits;
    memcpy(&bits, pair, sizeof(bits));
    return bits - (fnl_vu){0};
}

/* `rows` is a constant of the caller, so that the sums are registers. */
FNL_INLINE void tile_of(const int rows, const struct tile *t)
{
    const size_t low = min(t->columns, FNL_VL), high = t->columns - low;
    fnl_vf sum[FNL_MR][2];
    const float *row[FNL_MR];
    FNL_UNROLL
    for (int i = 0; i < rows; i++) {
        const float *from = t->add ? t->y + (size_t)i * t->ldy : t->bias;
        row[i] = t->a + i * t->a_row;
        sum[i][0] = from ? fnl_v_load_n(from, low) : (fnl_vf){0};
        sum[i][1] = from ? fnl_v_load_n(from + low, high) : (fnl_vf){0};
    }
    const float *b = t->b;
    ptrdiff_t at = 0;
    for (size_t s = t->steps; s > 0; s--, b += FNL_PANEL, at += t->a_step) {
        const fnl_vu b0 = (fnl_vu)fnl_v_load(b), b1 = (fnl_vu)fnl_v_load(b + FNL_VL);
        FNL_UNROLL
        for (int i = 0; i < rows; i++) {
            const fnl_vu x = broadcast(row[i] + at);
            sum[i][0] = fnl_v_dot_bf16(sum[i][0], x, b0);
            sum[i][1] = fnl_v_dot_bf16(sum[i][1], x, b1);
        }
    }
    FNL_UNROLL
    for (int i = 0; i < rows; i++) {
        float *to = t->y + (size_t)i * t->ldy;
        if (t->relu) { /* a NaN passes, so that a diverged run is seen */
            sum[i][0] = fnl_v_max((fnl_vf){0}, sum[i][0]);
            sum[i][1] = fnl_v_max((fnl_vf){0}, sum[i][1]);
        }
        fnl_v_store_n(to, sum[i][0], low);
        fnl_v_store_n(to + low, sum[i][1], high);
    }
}

#define TILE(rows)                                                                                 \
    case rows:                                                                                     \
        tile_of(rows, t);                                                                          \
        break;

__attribute__((noinline)) static void tile(size_t rows, const struct tile *t)
{
    switch (rows) {
        TILE(1)
        TILE(2)
#if FNL_MR >= 6
        TILE(3)
        TILE(4)
        TILE(5)
        TILE(6)
#endif
#if FNL_MR >= 12
        TILE(7)
        TILE(8)
        TILE(9)
        TILE(10)
        TILE(11)
        TILE(12)
#endif
    }
}

/* Pairs of a panel that are kept in L1 at a time: 16 to 20 kB. */
#define STEPS ((size_t)320 * 16 / FNL_PANEL)

void fnl_k_bf16_product(const struct fnl_bf16_product *p, size_t rows)
{
    const size_t blocks = p->steps ? (p->steps + STEPS - 1) / STEPS : 1;
    const struct fnl_tiling tiling = fnl_tiling(rows);
    struct tile t = {.a_row = p->a_row, .a_step = p->a_step, .ldy = p->ldy};
    for (size_t k = 0; k < blocks; k++) {
        const size_t begin = p->steps * k / blocks;
        t.steps = p->steps * (k + 1) / blocks - begin;
        t.add = p->add || k > 0;
        t.relu = p->relu && k + 1 == blocks;
        for (size_t column = 0; column < p->N; column += FNL_PANEL) {
            t.b = p->b + column * p->steps + begin * FNL_PANEL;
            t.bias = p->bias ? p->bias + column : NULL;
            t.columns = min(p->N - column, FNL_PANEL);
            t.a = p->a + (ptrdiff_t)begin * p->a_step;
            t.y = p->y + column;
            for (size_t i = 0; i < tiling.tiles; i++) {
                const size_t height = fnl_tile_height(&tiling, i);
                tile(height, &t);
                t.a += (ptrdiff_t)height * p->a_row;
                t.y += height * p->ldy;
            }
        }
    }
}
