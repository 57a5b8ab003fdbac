/* gemm.c - the micro-kernel of gemm.h, and the loops that keep its operands in cache.
 *
 * Interface: fnl_k_tile[rows] is the micro-kernel for that many rows; fnl_k_product multiplies up
 * to FNL_ROWS rows by all panels of a weight.
 *
 * Invariants
 * 1. The terms of one output are added in the walk's order, one after the other in one float32 (a
 *    fused multiply-add each where the CPU has it), whatever the tile's height, the number of rows
 *    or the blocking over k: partial sums wait in y, which is exact.
 * 2. Only the floats that the walk names are read from A; B is read by whole panel rows; y is read
 *    and written in `columns` columns only.
 *
 * Cost: with AVX2 a step of a 6-row tile is 12 fused multiply-adds on 8 loads: 6 cycles on a core
 * with two FMA pipes, and the loads, the counters and the branch fit beside them, so the loop needs
 * neither unrolling nor packed A. What must hold is that the panel's block (KC steps) and the rows
 * lie in L1.
 *
 * After Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34(3),
 * 2008), less the packing of A. */
#include "engine/backend/cpu/isa/gemm.h"

/* The number of rows is a constant in each tile, the loops over rows and vectors are unrolled, and
 * so the sums are registers. Not where a sanitizer watches each access: compilers need minutes
 * then. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FNL_WATCHED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FNL_WATCHED
#endif
#if defined(FNL_WATCHED)
#define FNL_UNROLL
#define FNL_INLINE __attribute__((noinline)) static
#elif defined(__clang__)
#define FNL_UNROLL _Pragma("clang loop unroll(full)")
#define FNL_INLINE __attribute__((always_inline)) static inline
#else
#define FNL_UNROLL _Pragma("GCC unroll 16")
#define FNL_INLINE __attribute__((always_inline)) static inline
#endif

/* A vector of one register, and how many make a panel row. */
#if defined(__AVX2__) || defined(__AVX512F__)
#define LANES FNL_VL
#else
#define LANES 4
#endif
#define WIDTH (FNL_PANEL / LANES)
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t vec_mask __attribute__((vector_size(4 * LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4)));

static inline vec load(const float *p)
{
    return *(const vec_unaligned *)p;
}

static inline vec multiply_add(vec a, vec b, vec c)
{
#if defined(__AVX2__) || defined(__AVX512F__)
    return fnl_v_fma(a, b, c);
#else
    return a * b + c;
#endif
}

/* A NaN passes, so that a diverged run is seen. */
static inline vec relu(vec v)
{
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps(_mm512_setzero_ps(), (__m512)v);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps(_mm256_setzero_ps(), (__m256)v);
#else
    return (vec)(~(v < (vec){0}) & (vec_mask)v);
#endif
}

/* sum[i][] += the walk's products of the rows and b. `rows` is a constant of the caller, so that
 * the sums are registers. */
FNL_INLINE void accumulate(const int rows, vec sum[FNL_MR][WIDTH], const struct fnl_walk *walk,
                           const float *const *row, const float *b)
{
    const ptrdiff_t step_a = walk->step_a, step_b = walk->step_b;
    for (size_t s = 0; s < walk->segments; s++) {
        ptrdiff_t at = walk->segment[s];
        for (size_t r = walk->run; r > 0; r--) {
            vec b_row[WIDTH];
            FNL_UNROLL
            for (int v = 0; v < WIDTH; v++) {
                b_row[v] = load(b + v * LANES);
            }
            FNL_UNROLL
            for (int i = 0; i < rows; i++) {
                vec x = row[i][at] - (vec){0};
                FNL_UNROLL
                for (int v = 0; v < WIDTH; v++) {
                    sum[i][v] = multiply_add(x, b_row[v], sum[i][v]);
                }
            }
            at += step_a;
            b += step_b;
        }
    }
}

FNL_INLINE void start(const int rows, vec sum[FNL_MR][WIDTH], const float *bias)
{
    FNL_UNROLL
    for (int v = 0; v < WIDTH; v++) {
        vec first = bias ? load(bias + v * LANES) : (vec){0};
        FNL_UNROLL
        for (int i = 0; i < rows; i++) {
            sum[i][v] = first;
        }
    }
}

FNL_INLINE void start_from(const int rows, vec sum[FNL_MR][WIDTH], float *const *y)
{
    FNL_UNROLL
    for (int i = 0; i < rows; i++) {
        FNL_UNROLL
        for (int v = 0; v < WIDTH; v++) {
            sum[i][v] = load(y[i] + v * LANES);
        }
    }
}

FNL_INLINE void end(const int rows, vec sum[FNL_MR][WIDTH], bool clip, float *const *y)
{
    if (clip) {
        FNL_UNROLL
        for (int i = 0; i < rows; i++) {
            FNL_UNROLL
            for (int v = 0; v < WIDTH; v++) {
                sum[i][v] = relu(sum[i][v]);
            }
        }
    }
    FNL_UNROLL
    for (int i = 0; i < rows; i++) {
        FNL_UNROLL
        for (int v = 0; v < WIDTH; v++) {
            *(vec_unaligned *)(y[i] + v * LANES) = sum[i][v];
        }
    }
}

/* A tile over a whole panel. */
FNL_INLINE void whole_tile(const int rows, const struct fnl_walk *walk, const float *const *a,
                           const float *b, float *const *y, size_t column,
                           const struct fnl_finish *finish)
{
    vec sum[FNL_MR][WIDTH];
    const float *row[FNL_MR];
    float *to[FNL_MR];
    FNL_UNROLL
    for (int i = 0; i < rows; i++) {
        row[i] = a[i];
        to[i] = y[i] + column;
    }
    if (finish->add) {
        start_from(rows, sum, to);
    } else {
        start(rows, sum, finish->bias);
    }
    accumulate(rows, sum, walk, row, b);
    end(rows, sum, finish->relu, to);
}

/* The last, narrower panel of y: by way of a whole one on the stack. */
__attribute__((noinline)) static void edge_tile(int rows, const struct fnl_walk *walk,
                                                const float *const *a, const float *b,
                                                float *const *y, size_t column,
                                                const struct fnl_finish *finish)
{
    float edge[FNL_MR][FNL_PANEL];
    float *to[FNL_MR];
    const size_t bytes = finish->columns * sizeof(float);
    for (int i = 0; i < rows; i++) {
        to[i] = edge[i];
        if (finish->add) {
            memset(edge[i], 0, sizeof(edge[i]));
            memcpy(edge[i], y[i] + column, bytes);
        }
    }
    struct fnl_finish whole = *finish;
    whole.columns = FNL_PANEL;
    fnl_k_tile[rows](walk, a, b, to, 0, &whole);
    for (int i = 0; i < rows; i++) {
        memcpy(y[i] + column, edge[i], bytes);
    }
}

#define FNL_TILE(rows)                                                                             \
    static void tile_##rows(const struct fnl_walk *walk, const float *const *a, const float *b,    \
                            float *const *y, size_t column, const struct fnl_finish *finish)       \
    {                                                                                              \
        if (finish->columns == FNL_PANEL) {                                                        \
            whole_tile(rows, walk, a, b, y, column, finish);                                       \
        } else {                                                                                   \
            edge_tile(rows, walk, a, b, y, column, finish);                                        \
        }                                                                                          \
    }
FNL_TILE(1)
FNL_TILE(2)
#if FNL_MR >= 6
FNL_TILE(3)
FNL_TILE(4)
FNL_TILE(5)
FNL_TILE(6)
#endif
#if FNL_MR >= 12
FNL_TILE(7)
FNL_TILE(8)
FNL_TILE(9)
FNL_TILE(10)
FNL_TILE(11)
FNL_TILE(12)
#endif

fnl_tile *const fnl_k_tile[FNL_MR + 1] = {
    NULL,   tile_1, tile_2,
#if FNL_MR >= 6
    tile_3, tile_4, tile_5, tile_6,
#endif
#if FNL_MR >= 12
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12,
#endif
};

/* Tiles one below the other: row i of A is a + i * a_row, row i of y is y + i * y_row. */
FNL_INLINE void strip(const int rows, size_t tiles, const struct fnl_walk *walk, const float *a,
                      ptrdiff_t a_row, const float *b, float *y, ptrdiff_t y_row,
                      const struct fnl_finish *finish)
{
    const bool add = finish->add, clip = finish->relu;
    const float *bias = finish->bias;
    for (; tiles > 0; tiles--, a += rows * a_row, y += rows * y_row) {
        vec sum[FNL_MR][WIDTH];
        const float *row[FNL_MR];
        float *to[FNL_MR];
        FNL_UNROLL
        for (int i = 0; i < rows; i++) {
            row[i] = a + i * a_row;
            to[i] = y + i * y_row;
        }
        if (add) {
            start_from(rows, sum, to);
        } else {
            start(rows, sum, bias);
        }
        accumulate(rows, sum, walk, row, b);
        end(rows, sum, clip, to);
    }
}

#define FNL_STRIP(rows)                                                                            \
    case rows:                                                                                     \
        if (a_row == 1 && y_row == FNL_PANEL) {                                                    \
            strip(rows, tiles, walk, a, 1, b, y, FNL_PANEL, finish);                               \
        } else {                                                                                   \
            strip(rows, tiles, walk, a, a_row, b, y, y_row, finish);                               \
        }                                                                                          \
        break;

static void strip_of(size_t height, size_t tiles, const struct fnl_walk *walk, const float *a,
                     ptrdiff_t a_row, const float *b, float *y, ptrdiff_t y_row,
                     const struct fnl_finish *finish)
{
    switch (height) {
        FNL_STRIP(1)
        FNL_STRIP(2)
#if FNL_MR >= 6
        FNL_STRIP(3)
        FNL_STRIP(4)
        FNL_STRIP(5)
        FNL_STRIP(6)
#endif
#if FNL_MR >= 12
        FNL_STRIP(7)
        FNL_STRIP(8)
        FNL_STRIP(9)
        FNL_STRIP(10)
        FNL_STRIP(11)
        FNL_STRIP(12)
#endif
    }
}

void fnl_k_strip(size_t rows, const struct fnl_walk *walk, const float *a, ptrdiff_t a_row,
                 const float *b, float *y, ptrdiff_t y_row, const struct fnl_finish *finish)
{
    const struct fnl_tiling s = fnl_tiling(rows);
    const ptrdiff_t done = (ptrdiff_t)(s.taller * (s.height + 1));
    strip_of(s.height + 1, s.taller, walk, a, a_row, b, y, y_row, finish);
    strip_of(s.height, s.tiles - s.taller, walk, a + done * a_row, a_row, b, y + done * y_row,
             y_row, finish);
}

/* Steps of a panel that are kept in L1 at a time: 16 to 20 kB. */
#define KC (320 * 16 / FNL_PANEL)

/* All panels and rows over one block of k. w points to the block's first row of panel 0. */
static void block(const struct fnl_product *p, const struct fnl_walk *walk, const float *w,
                  bool first, bool last, size_t rows, const float *const *a, float *const *y)
{
    const size_t panel_size = p->walk.segments * p->walk.run * FNL_PANEL;
    const struct fnl_tiling tiling = fnl_tiling(rows);
    for (size_t column = 0; column < p->N; column += FNL_PANEL, w += panel_size) {
        const size_t left = p->N - column;
        float bias[FNL_PANEL];
        struct fnl_finish finish = {.add = p->add || !first,
                                    .relu = p->relu && last,
                                    .columns = left < FNL_PANEL ? left : FNL_PANEL};
        if (p->bias && first) {
            if (left < FNL_PANEL) {
                memset(bias, 0, sizeof(bias));
                memcpy(bias, p->bias + column, left * sizeof(float));
                finish.bias = bias;
            } else {
                finish.bias = p->bias + column;
            }
        }
        for (size_t t = 0, i = 0; t < tiling.tiles; t++) {
            const size_t height = fnl_tile_height(&tiling, t);
            fnl_k_tile[height](walk, a + i, w, y + i, column, &finish);
            i += height;
        }
    }
}

void fnl_k_product(const struct fnl_product *p, size_t rows, const float *const *a, float *const *y)
{
    const struct fnl_walk *whole = &p->walk;
    struct fnl_walk part = *whole;
    const float *w = p->w;
    if (whole->run <= KC) {
        /* Blocks of whole segments. */
        const size_t per_block = KC / whole->run;
        const size_t blocks = (whole->segments + per_block - 1) / per_block;
        for (size_t k = 0; k < blocks; k++) {
            size_t begin = whole->segments * k / blocks, end = whole->segments * (k + 1) / blocks;
            part.segment = whole->segment + begin;
            part.segments = end - begin;
            block(p, &part, w, k == 0, k + 1 == blocks, rows, a, y);
            w += part.segments * part.run * FNL_PANEL;
        }
        return;
    }
    /* Blocks within a segment. */
    const size_t blocks = (whole->run + KC - 1) / KC;
    for (size_t s = 0; s < whole->segments; s++) {
        for (size_t k = 0; k < blocks; k++) {
            size_t begin = whole->run * k / blocks;
            ptrdiff_t at = whole->segment[s] + (ptrdiff_t)begin * whole->step_a;
            part.segment = &at;
            part.segments = 1;
            part.run = whole->run * (k + 1) / blocks - begin;
            block(p, &part, w, s == 0 && k == 0, s + 1 == whole->segments && k + 1 == blocks, rows,
                  a, y);
            w += part.run * FNL_PANEL;
        }
    }
}
