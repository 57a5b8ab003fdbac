/* gemm.h - the one micro-kernel under dense, matmul and convolution: a tile of up to FNL_MR rows by
 * one panel of columns, y[i][0..panel) (+)= sum over steps of a_i[offset of step] *
 * b[step][0..panel).
 *
 * A is read in place, one float at a time (broadcast), at the same offset from each of the tile's
 * row pointers; so a row may be a dense row, the pixels under a convolution's window (a segment
 * per kernel row) or, for gradients of weights, one input feature over all samples. Nothing but the
 * floats named by the walk is read; B rows are whole panels; y is never touched beyond `columns`.
 */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_GEMM_H
#define FNL_ENGINE_BACKEND_CPU_ISA_GEMM_H

#include "engine/backend/cpu/isa/isa.h"

/* Shared by the files of this folder, one of each a build. */
#define fnl_k_tile FNL_K(tile)
#define fnl_k_strip FNL_K(strip)
#define fnl_k_product FNL_K(product)

/* Rows of a tile: as many as the registers hold accumulators for, two vectors a row. */
#if defined(__AVX512F__)
#define FNL_MR 12
#elif defined(__SSE2__) && !defined(__AVX2__)
#define FNL_MR 2
#else
#define FNL_MR 6
#endif

/* Rows whose pointers a caller prepares at once. */
#define FNL_ROWS (16 * FNL_MR)

/* The steps of a product's sum, in order: for each segment, `run` steps. */
struct fnl_walk {
    size_t segments, run;
    const ptrdiff_t *segment; /* [segments]: offset in A of each segment's first step */
    ptrdiff_t step_a, step_b; /* floats from one step to the next */
};

/* What becomes of a tile. */
struct fnl_finish {
    bool add; /* start from what y holds, not from bias or zero */
    bool relu;
    size_t columns;    /* 1 to FNL_PANEL */
    const float *bias; /* [FNL_PANEL] or NULL */
};

/* One tile of `rows` (1 to FNL_MR) rows: y[i][0..columns). */
typedef void fnl_tile(const struct fnl_walk *walk, const float *const *a, const float *b,
                      float *const *y, size_t column, const struct fnl_finish *finish);
extern fnl_tile *const fnl_k_tile[FNL_MR + 1];

/* Tiles one below the other, without pointers to each row: row i of A at a + i * a_row, row i of y,
 * one whole panel (finish->columns is not looked at), at y + i * y_row. Cheaper than tiles where
 * the sums are short: neighbouring features in gradients of weights, neighbouring pixels of small
 * windows. */
void fnl_k_strip(size_t rows, const struct fnl_walk *walk, const float *a, ptrdiff_t a_row,
                 const float *b, float *y, ptrdiff_t y_row, const struct fnl_finish *finish);

/* The rows of y as products with all panels of w. */
struct fnl_product {
    struct fnl_walk walk;
    const float *w; /* [ceil(N / panel)][segments * run][panel] */
    size_t N;
    const float *bias; /* [N] or NULL */
    bool relu, add;
};
/* rows <= FNL_ROWS; y[i][0..N). */
void fnl_k_product(const struct fnl_product *p, size_t rows, const float *const *a,
                   float *const *y);

/* Rows split into the fewest tiles, of nearly equal height: the first `taller` have one row more. A
 * tile of 2 rows costs nearly as much as one of 6, so 32 rows are 6 + 6 + 5 + 5 + 5 + 5. */
struct fnl_tiling {
    size_t tiles, height, taller;
};
static inline struct fnl_tiling fnl_tiling(size_t rows)
{
    struct fnl_tiling s = {.tiles = (rows + FNL_MR - 1) / FNL_MR};
    s.height = s.tiles ? rows / s.tiles : 0;
    s.taller = s.tiles ? rows % s.tiles : 0;
    return s;
}
/* Rows of tile t. */
static inline size_t fnl_tile_height(const struct fnl_tiling *s, size_t t)
{
    return s->height + (t < s->taller);
}
/* Rows of tiles [t, end). */
static inline size_t fnl_tiles_height(const struct fnl_tiling *s, size_t t, size_t end)
{
    const size_t taller_end = end < s->taller ? end : s->taller;
    return (end - t) * s->height + (t < taller_end ? taller_end - t : 0);
}

/* Memory that will be read soon, asked for a few lines at a time while tiles run. The hint is for
 * L2: L1 is full of what the tiles read now. */
struct fnl_prefetch {
    const float *at, *end;
};
static inline void fnl_prefetch_lines(struct fnl_prefetch *p, size_t lines)
{
    for (; lines > 0 && p->at < p->end; lines--, p->at += 16) {
        __builtin_prefetch(p->at, 0, 2);
    }
}

static inline size_t fnl_panels(size_t N)
{
    return (N + FNL_PANEL - 1) / FNL_PANEL;
}

#endif
