/* conv_grad.c - gradients of a convolution.
 *
 * Weights: dw[feature][filter] += sum over pixels of x[pixel's window][feature] *
 * dy[pixel][filter]. A tile's rows are features of the window, its steps are pixels: each feature
 * is found at the same distance from every pixel, so again x is read in place. Blocks of output
 * rows keep a panel of dy in L1 while all features pass over it.
 *
 * Data: the products dy[pixel] w^T are the window's gradients; a tile of pixels adds them to dx
 * where the windows lie, so that no product with a zero of a padded or dilated dy is made, whatever
 * the stride. The rows of a tile must then not overlap: see `apart`.
 *
 * Sums are added in a fixed order: by block of rows, and by (window segment, panel) in dx. */
#include "engine/backend/cpu/isa/conv.h"
#include "engine/backend/cpu/isa/gemm.h"
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/panel.h"

/* Output rows of a block at most. */
#define BLOCK_ROWS 64

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows [begin, end) of all output rows of the images at x. */
struct row_block {
    const struct fnl_conv_shape *s;
    const struct fnl_window *win;
    size_t pixels;
    ptrdiff_t segment[BLOCK_ROWS]; /* where the first window of each row begins */
    size_t rows;
    const float *x, *dy; /* dy: of the first row */
    bool add;
};

/* dw (+)= of one group and one panel of its filters, over the block. */
static void weights_panel(const struct row_block *b, size_t group, size_t filter, float *dw)
{
    const struct fnl_window *win = b->win;
    const size_t columns = min(win->group_K - filter, FNL_PANEL);
    const float *dy = b->dy + group * win->group_K + filter;
    struct fnl_walk walk = {.segments = b->rows,
                            .run = (size_t)b->s->OW,
                            .segment = b->segment,
                            .step_a = b->s->stride_w * (ptrdiff_t)win->pixel,
                            .step_b = b->s->K};
    if (columns < FNL_PANEL) {
        FNL_K(panel_copy)(b->pixels, columns, dy, (size_t)b->s->K, win->kept);
        dy = win->kept;
        walk.step_b = FNL_PANEL;
    }
    const struct fnl_finish finish = {.add = b->add, .columns = FNL_PANEL};
    const struct fnl_tiling tiling = fnl_tiling(win->features);
    size_t segment = 0, at = 0; /* feature = segment * run + at */
    for (size_t t = 0, k = 0; t < tiling.tiles; t++) {
        const size_t rows = fnl_tile_height(&tiling, t);
        const float *from[FNL_MR];
        float *to[FNL_MR];
        for (size_t i = 0; i < rows; i++, k++) {
            from[i] = b->x + group * win->group_C + win->segment[segment] + at;
            to[i] = dw + k * FNL_PANEL;
            if (++at == win->run) {
                at = 0;
                segment++;
            }
        }
        FNL_K(tile)[rows](&walk, from, dy, to, 0, &finish);
    }
}

/* count images; x padded if need be. */
static void weights(const struct fnl_conv_shape *s, const struct fnl_window *win, size_t count,
                    const float *x, const float *dy, float *dw, float *dbias, bool add)
{
    const size_t OH = (size_t)s->OH, OW = (size_t)s->OW, K = (size_t)s->K, all = count * OH;
    size_t per_block = FNL_CONV_PIXELS / OW;
    per_block = per_block < 1 ? 1 : min(per_block, BLOCK_ROWS);
    const size_t blocks = (all + per_block - 1) / per_block;
    struct row_block b = {.s = s, .win = win, .x = x};
    for (size_t i = 0; i < blocks; i++) {
        const size_t begin = all * i / blocks;
        b.rows = all * (i + 1) / blocks - begin;
        b.pixels = b.rows * OW;
        b.dy = dy + begin * OW * K;
        b.add = add || i > 0;
        for (size_t r = 0; r < b.rows; r++) {
            const size_t image = (begin + r) / OH, oh = (begin + r) % OH;
            b.segment[r] = (ptrdiff_t)(image * win->image + oh * (size_t)s->stride_h * win->row);
        }
        if (dbias) {
            FNL_K(column_sums)(b.pixels, K, b.dy, K, b.add, dbias);
        }
        float *to = dw;
        for (size_t g = 0; g < (size_t)s->group; g++) {
            for (size_t f = 0; f < win->group_K; f += FNL_PANEL) {
                weights_panel(&b, g, f, to);
                to += win->features * FNL_PANEL;
            }
        }
    }
}

void FNL_K(conv_grad_weights)(const struct fnl_conv_shape *s, size_t n, const float *x,
                              const float *dy, float *dw, float *dbias, bool accumulate,
                              float *scratch)
{
    struct fnl_window win;
    FNL_K(conv_window)(s, n, scratch, &win);
    if (fnl_conv_is_depthwise(s)) {
        if (dbias) {
            FNL_K(column_sums)
            (n * win.y_pixels, (size_t)s->K, dy, (size_t)s->K, accumulate, dbias);
        }
        FNL_K(depthwise_grad_weights)(s, &win, n, x, dy, dw, accumulate);
        return;
    }
    for (size_t i = 0; i < n; i += win.images_at_once) {
        const size_t count = min(win.images_at_once, n - i);
        const float *images = x + i * win.x_image;
        if (win.padded) {
            FNL_K(conv_pad)(s, &win, count, images);
            images = win.images;
        }
        weights(s, &win, count, images, dy + i * win.y_image, dw, dbias, accumulate || i > 0);
    }
}

/* kept = the weights of each group, window segment and panel of its features, as
 * [filter][FNL_PANEL features]. */
static void transpose_weights(const struct fnl_conv_shape *s, const struct fnl_window *win,
                              const float *w)
{
    float *to = win->kept;
    for (size_t g = 0; g < (size_t)s->group; g++) {
        for (size_t segment = 0; segment < win->segments; segment++) {
            for (size_t c = 0; c < win->run; c += FNL_PANEL) {
                for (size_t f = 0; f < win->group_K; f += FNL_PANEL) {
                    const float *from =
                        w + (f * win->features + (segment * win->run + c) * FNL_PANEL);
                    FNL_K(panel_transpose)
                    (min(win->group_K - f, FNL_PANEL), min(win->run - c, FNL_PANEL), from,
                     FNL_PANEL, to);
                    to += min(win->group_K - f, FNL_PANEL) * FNL_PANEL;
                }
            }
        }
        w += fnl_panels(win->group_K) * win->features * FNL_PANEL;
    }
}

/* As a tile with finish->add, for rows of y that overlap: one row after the other. */
static void tile_overlapping(size_t rows, const struct fnl_walk *walk, const float *const *a,
                             const float *b, float *const *y, size_t columns)
{
    static const struct fnl_finish finish = {.columns = FNL_PANEL};
    float sums[FNL_MR][FNL_PANEL];
    float *to[FNL_MR];
    for (size_t i = 0; i < rows; i++) {
        to[i] = sums[i];
    }
    FNL_K(tile)[rows](walk, a, b, to, 0, &finish);
    for (size_t i = 0; i < rows; i++) {
        for (size_t c = 0; c < columns; c++) {
            y[i][c] += sums[i][c];
        }
    }
}

/* dx += of up to FNL_ROWS pixels of one group: dy rows from[i], windows of dx at to[i]. */
static void data_rows(const struct fnl_window *win, bool apart, size_t rows,
                      const float *const *from, float *const *to, const float *transposed)
{
    static const ptrdiff_t zero = 0;
    const struct fnl_walk walk = {
        .segments = 1, .run = win->group_K, .segment = &zero, .step_a = 1, .step_b = FNL_PANEL};
    const struct fnl_tiling tiling = fnl_tiling(rows);
    for (size_t segment = 0; segment < win->segments; segment++) {
        for (size_t c = 0; c < win->run; c += FNL_PANEL) {
            const struct fnl_finish finish = {.add = true, .columns = min(win->run - c, FNL_PANEL)};
            const size_t column = (size_t)win->segment[segment] + c;
            for (size_t t = 0, i = 0; t < tiling.tiles; t++) {
                const size_t height = fnl_tile_height(&tiling, t);
                if (apart) {
                    FNL_K(tile)[height](&walk, from + i, transposed, to + i, column, &finish);
                } else {
                    float *moved[FNL_MR];
                    for (size_t r = 0; r < height; r++) {
                        moved[r] = to[i + r] + column;
                    }
                    tile_overlapping(height, &walk, from + i, transposed, moved, finish.columns);
                }
                i += height;
            }
            transposed += win->group_K * FNL_PANEL;
        }
    }
}

/* dx[image] += of one image; dx zeroed and padded if need be. */
static void data_image(const struct fnl_conv_shape *s, const struct fnl_window *win,
                       const float *dy, float *dx)
{
    const size_t K = (size_t)s->K, pixels = win->y_pixels;
    const size_t group_floats = win->segments * fnl_panels(win->run) * win->group_K * FNL_PANEL;
    /* Windows of neighbouring pixels begin a stride apart; only a panel's width of each is added to
     * at a time. */
    const bool apart = (size_t)s->stride_w * win->pixel >= min(win->run, FNL_PANEL);
    struct fnl_pixels at = fnl_pixels_begin(s, win, dx);
    const struct fnl_tiling tiling = fnl_tiling(pixels);
    for (size_t m = 0, t = 0; t < tiling.tiles;) {
        const float *from[FNL_ROWS];
        float *to[FNL_ROWS];
        const size_t end = min(t + FNL_ROWS / FNL_MR, tiling.tiles);
        const size_t rows = fnl_tiles_height(&tiling, t, end);
        t = end;
        for (size_t i = 0; i < rows; i++) {
            from[i] = dy + (m + i) * K;
            to[i] = dx + (fnl_pixels_next(&at) - dx);
        }
        m += rows;
        for (size_t g = 0; g < (size_t)s->group; g++) {
            data_rows(win, apart, rows, from, to, win->kept + g * group_floats);
            for (size_t i = 0; g + 1 < (size_t)s->group && i < rows; i++) {
                from[i] += win->group_K;
                to[i] += win->group_C;
            }
        }
    }
}

void FNL_K(conv_grad_data)(const struct fnl_conv_shape *s, size_t n, const float *dy,
                           const float *w, float *dx, float *scratch, bool first_block)
{
    struct fnl_window win;
    FNL_K(conv_window)(s, n, scratch, &win);
    const bool depthwise = fnl_conv_is_depthwise(s);
    if (first_block && depthwise) {
        FNL_K(depthwise_gather)(s, &win, w);
    } else if (first_block) {
        transpose_weights(s, &win, w);
    }
    const size_t x_row = (size_t)s->W * (size_t)s->C;
    for (size_t i = 0; i < n; i++, dx += win.x_image, dy += win.y_image) {
        float *image = win.padded ? win.images : dx;
        memset(image, 0, win.image * sizeof(float));
        if (depthwise) {
            FNL_K(depthwise_grad_image)(s, &win, dy, image);
        } else {
            data_image(s, &win, dy, image);
        }
        if (win.padded) {
            const float *inner =
                image + (size_t)s->pad_top * win.row + (size_t)s->pad_left * win.pixel;
            for (size_t h = 0; h < (size_t)s->H; h++) {
                memcpy(dx + h * x_row, inner + h * win.row, x_row * sizeof(float));
            }
        }
    }
}
