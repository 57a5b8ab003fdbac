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
/* Runs of features from which on strips are faster than tiles that span several runs. */
#define STRIP_RUN 8
/* Kernel rows that a tile of the data gradient adds up at most. */
#define KERNEL_ROWS 16
/* Lines asked for in a tile at most. */
#define FETCH_LINES 16

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
    struct fnl_prefetch next_x, next_dy; /* what the next block reads */
    size_t lines_a_tile; /* of each, so that all has come by the end of this block */
};

/* dw (+)= of one group and one panel of its filters, over the block. */
static void weights_panel(struct row_block *b, size_t group, size_t filter, float *dw)
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
        fnl_k_panel_copy(b->pixels, columns, dy, (size_t)b->s->K, win->kept);
        dy = win->kept;
        walk.step_b = FNL_PANEL;
    }
    const struct fnl_finish finish = {.add = b->add, .columns = FNL_PANEL};
    if (win->run >= STRIP_RUN) {
        const size_t lines = b->lines_a_tile * fnl_tiling(win->run).tiles;
        for (size_t segment = 0; segment < win->segments; segment++) {
            fnl_prefetch_lines(&b->next_dy, lines);
            fnl_prefetch_lines(&b->next_x, lines);
            fnl_k_strip(win->run, &walk, b->x + group * win->group_C + win->segment[segment], 1, dy,
                        dw + segment * win->run * FNL_PANEL, FNL_PANEL, &finish);
        }
        return;
    }
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
        fnl_prefetch_lines(&b->next_dy, b->lines_a_tile);
        fnl_prefetch_lines(&b->next_x, b->lines_a_tile);
        fnl_k_tile[rows](&walk, from, dy, to, 0, &finish);
    }
}

/* Sets b to rows [begin, end). */
static void set_rows(struct row_block *b, size_t begin, size_t end, const float *dy)
{
    const size_t OH = (size_t)b->s->OH, OW = (size_t)b->s->OW;
    b->rows = end - begin;
    b->pixels = b->rows * OW;
    b->dy = dy + begin * OW * (size_t)b->s->K;
    for (size_t r = 0; r < b->rows; r++) {
        const size_t image = (begin + r) / OH, oh = (begin + r) % OH;
        b->segment[r] =
            (ptrdiff_t)(image * b->win->image + oh * (size_t)b->s->stride_h * b->win->row);
    }
}

/* Has the rows [end, next) behind those of b fetched while b is worked on. */
static void fetch_rows(struct row_block *b, size_t end, size_t next)
{
    const struct fnl_window *win = b->win;
    const size_t OH = (size_t)b->s->OH, row = (size_t)b->s->OW * (size_t)b->s->K;
    const size_t tiles =
        (size_t)b->s->group * fnl_panels(win->group_K) * fnl_tiling(win->features).tiles;
    b->next_dy.at = b->dy + b->rows * row;
    b->next_dy.end = b->next_dy.at + (next - end) * row;
    const size_t step = (size_t)b->s->stride_h * win->row;
    b->next_x.at = b->x + end / OH * win->image + end % OH * step;
    b->next_x.end = b->x + next / OH * win->image + next % OH * step;
    const size_t floats = (next - end) * (row > step ? row : step);
    const size_t lines = floats / 16 / tiles + 1;
    /* With few features the hints would cost more than the misses. */
    b->lines_a_tile = lines <= FETCH_LINES ? lines : 0;
}

/* count images; x padded if need be. */
static void weights(const struct fnl_conv_shape *s, const struct fnl_window *win, size_t count,
                    const float *x, const float *dy, float *dw, float *dbias, bool add)
{
    const size_t OW = (size_t)s->OW, K = (size_t)s->K, all = count * (size_t)s->OH;
    size_t per_block = FNL_CONV_PIXELS / OW;
    per_block = per_block < 1 ? 1 : min(per_block, BLOCK_ROWS);
    const size_t blocks = (all + per_block - 1) / per_block;
    struct row_block b = {.s = s, .win = win, .x = x};
    for (size_t i = 0; i < blocks; i++) {
        const size_t end = all * (i + 1) / blocks,
                     next = i + 2 < blocks ? all * (i + 2) / blocks : all;
        set_rows(&b, all * i / blocks, end, dy);
        fetch_rows(&b, end, next);
        b.add = add || i > 0;
        if (dbias) {
            fnl_k_column_sums(b.pixels, K, b.dy, K, b.add, dbias);
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
    fnl_k_conv_window(s, n, scratch, &win);
    if (fnl_conv_is_depthwise(s)) {
        if (dbias) {
            fnl_k_column_sums(n * win.y_pixels, (size_t)s->K, dy, (size_t)s->K, accumulate, dbias);
        }
        fnl_k_depthwise_grad_weights(s, &win, n, x, dy, dw, accumulate);
        return;
    }
    for (size_t i = 0; i < n; i += win.images_at_once) {
        const size_t count = min(win.images_at_once, n - i);
        const float *images = x + i * win.x_image;
        if (win.padded) {
            fnl_k_conv_pad(s, &win, count, images);
            images = win.images;
        }
        weights(s, &win, count, images, dy + i * win.y_image, dw, dbias, accumulate || i > 0);
    }
}

/* A window's features by columns: `parts` runs a kernel row, each in panels. Weights for the
 * gradient of data lie in `kept` as [group][part][panel of the run][kh][filter][FNL_PANEL], so that
 * a tile may add up several kernel rows. */
static size_t parts_of(const struct fnl_conv_shape *s, const struct fnl_window *win)
{
    return win->segments / (size_t)s->KH;
}

static void transpose_weights(const struct fnl_conv_shape *s, const struct fnl_window *win,
                              const float *w)
{
    const size_t parts = parts_of(s, win), K = win->group_K;
    float *to = win->kept;
    for (size_t g = 0; g < (size_t)s->group; g++) {
        for (size_t part = 0; part < parts; part++) {
            for (size_t c = 0; c < win->run; c += FNL_PANEL) {
                for (size_t kh = 0; kh < (size_t)s->KH; kh++) {
                    const size_t feature = (kh * parts + part) * win->run + c;
                    for (size_t f = 0; f < K; f += FNL_PANEL) {
                        fnl_k_panel_transpose(min(K - f, FNL_PANEL), min(win->run - c, FNL_PANEL),
                                              w + f * win->features + feature * FNL_PANEL,
                                              FNL_PANEL, to);
                        to += min(K - f, FNL_PANEL) * FNL_PANEL;
                    }
                }
            }
        }
        w += fnl_panels(K) * win->features * FNL_PANEL;
    }
}

/* As a tile with finish->add, for rows of y that overlap: one row after the other. */
static void tile_overlapping(size_t rows, const struct fnl_walk *walk, const float *const *a,
                             const float *b, float *const *y, size_t column, size_t columns)
{
    static const struct fnl_finish finish = {.columns = FNL_PANEL};
    float sums[FNL_MR][FNL_PANEL];
    float *to[FNL_MR];
    for (size_t i = 0; i < rows; i++) {
        to[i] = sums[i];
    }
    fnl_k_tile[rows](walk, a, b, to, 0, &finish);
    for (size_t i = 0; i < rows; i++) {
        for (size_t c = 0; c < columns; c++) {
            y[i][column + c] += sums[i][c];
        }
    }
}

/* Rows of dx that take the same kernel rows: row r (of `rows`) begins at dx_row + r * dx_step and
 * takes, for i < count, kernel row kh + i times the row of dy i * dy_back floats before
 * dy + r * OW * K. */
struct data_pass {
    const struct fnl_conv_shape *s;
    const struct fnl_window *win;
    size_t rows, kh, count, dx_step;
    ptrdiff_t dy_back;
    const float *dy;
    float *dx;
};

/* dx += of up to FNL_ROWS pixels of one group: dy from[i], windows of dx at to[i]; kernel rows
 * p->kh and on, `steps` of them at a time. */
static void data_rows(const struct data_pass *p, const struct fnl_walk *walk, size_t rows,
                      const float *const *from, float *const *to, const float *weights)
{
    const struct fnl_window *win = p->win;
    const size_t K = win->group_K, parts = parts_of(p->s, win);
    /* Windows of neighbouring pixels begin a stride apart; only a panel's width of each is added to
     * at a time. */
    const bool apart = (size_t)p->s->stride_w * win->pixel >= min(win->run, FNL_PANEL);
    const struct fnl_tiling tiling = fnl_tiling(rows);
    for (size_t part = 0; part < parts; part++) {
        for (size_t c = 0; c < win->run; c += FNL_PANEL) {
            const struct fnl_finish finish = {.add = true, .columns = min(win->run - c, FNL_PANEL)};
            const size_t column = (size_t)win->segment[part] + c;
            const float *b = weights + p->kh * K * FNL_PANEL;
            for (size_t t = 0, i = 0; t < tiling.tiles; t++) {
                const size_t height = fnl_tile_height(&tiling, t);
                if (apart) {
                    fnl_k_tile[height](walk, from + i, b, to + i, column, &finish);
                } else {
                    tile_overlapping(height, walk, from + i, b, to + i, column, finish.columns);
                }
                i += height;
            }
            weights += (size_t)p->s->KH * K * FNL_PANEL;
        }
    }
}

static void data_pass(const struct data_pass *p)
{
    const struct fnl_conv_shape *s = p->s;
    const struct fnl_window *win = p->win;
    const size_t OW = (size_t)s->OW, K = (size_t)s->K, pixels = p->rows * OW;
    const size_t group_floats =
        parts_of(s, win) * fnl_panels(win->run) * (size_t)s->KH * win->group_K * FNL_PANEL;
    ptrdiff_t back[KERNEL_ROWS];
    for (size_t i = 0; i < p->count; i++) {
        back[i] = -(ptrdiff_t)i * p->dy_back;
    }
    const struct fnl_walk walk = {.segments = p->count,
                                  .run = win->group_K,
                                  .segment = back,
                                  .step_a = 1,
                                  .step_b = FNL_PANEL};
    const struct fnl_tiling tiling = fnl_tiling(pixels);
    float *row = p->dx;
    size_t ow = 0;
    for (size_t m = 0, t = 0; t < tiling.tiles;) {
        const float *from[FNL_ROWS];
        float *to[FNL_ROWS];
        const size_t end = min(t + FNL_ROWS / FNL_MR, tiling.tiles);
        const size_t rows = fnl_tiles_height(&tiling, t, end);
        t = end;
        for (size_t i = 0; i < rows; i++, m++) {
            from[i] = p->dy + m * K;
            to[i] = row + ow * (size_t)s->stride_w * win->pixel;
            if (++ow == OW) {
                ow = 0;
                row += p->dx_step;
            }
        }
        for (size_t g = 0; g < (size_t)s->group; g++) {
            data_rows(p, &walk, rows, from, to, win->kept + g * group_floats);
            for (size_t i = 0; g + 1 < (size_t)s->group && i < rows; i++) {
                from[i] += win->group_K;
                to[i] += win->group_C;
            }
        }
    }
}

/* dx += of one image; dx zeroed and padded if need be. A row h of dx takes kernel row kh from row
 * (h - kh * dilation) / stride of dy. With stride 1 several kernel rows are added up in one tile:
 * rows of dx with the same range of kernel rows go together. Else one kernel row at a time. */
static void data_image(const struct fnl_conv_shape *s, const struct fnl_window *win,
                       const float *dy, float *dx)
{
    const size_t OH = (size_t)s->OH, KH = (size_t)s->KH, dilation = (size_t)s->dilation_h;
    const size_t dy_row = (size_t)s->OW * (size_t)s->K;
    struct data_pass p = {.s = s, .win = win};
    if (s->stride_h > 1 || KH > KERNEL_ROWS) {
        p.rows = OH;
        p.dx_step = (size_t)s->stride_h * win->row;
        p.count = 1;
        p.dy = dy;
        for (p.kh = 0; p.kh < KH; p.kh++) {
            p.dx = dx + p.kh * dilation * win->row;
            data_pass(&p);
        }
        return;
    }
    p.dx_step = win->row;
    p.dy_back = (ptrdiff_t)(dilation * dy_row);
    const size_t height = OH + (KH - 1) * dilation;
    for (size_t h = 0; h < height; h += p.rows) {
        /* Kernel rows first to last: 0 <= h - kh * dilation < OH. */
        const size_t last = min(h / dilation, KH - 1);
        const size_t first = h < OH ? 0 : (h - OH) / dilation + 1;
        for (p.rows = 1; h + p.rows < height; p.rows++) {
            const size_t next = h + p.rows;
            if (min(next / dilation, KH - 1) != last ||
                (next < OH ? 0 : (next - OH) / dilation + 1) != first) {
                break;
            }
        }
        if (first > last) {
            continue; /* between the rows of a dilated kernel longer than the output */
        }
        p.kh = first;
        p.count = last - first + 1;
        p.dx = dx + h * win->row;
        p.dy = dy + (h - first * dilation) * dy_row;
        data_pass(&p);
    }
}

void FNL_K(conv_grad_data)(const struct fnl_conv_shape *s, size_t n, const float *dy,
                           const float *w, float *dx, float *scratch, bool first_block)
{
    struct fnl_window win;
    fnl_k_conv_window(s, n, scratch, &win);
    const bool depthwise = fnl_conv_is_depthwise(s);
    if (first_block && depthwise) {
        fnl_k_depthwise_gather(s, &win, w);
    } else if (first_block) {
        transpose_weights(s, &win, w);
    }
    const size_t x_row = (size_t)s->W * (size_t)s->C;
    for (size_t i = 0; i < n; i++, dx += win.x_image, dy += win.y_image) {
        float *image = win.padded ? win.images : dx;
        memset(image, 0, win.image * sizeof(float));
        if (depthwise) {
            fnl_k_depthwise_grad_image(s, &win, dy, image);
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
