/* winograd.c - 3x3 convolution of stride 1 with fewer multiplications, and its gradients.
 *
 * Toom and Cook's product of polynomials, turned into a convolution by Winograd: inputs and weights
 * are mapped to points, multiplied there, and the products mapped back. For each point that is a
 * product of matrices [tiles][C] [C][K]. A tile of 4 x 4 outputs takes 36 multiplications for each
 * pair of channels instead of 144. After Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks" (2016), F(4x4, 3x3), with two changes:
 *
 * - Outputs are not rounded up to whole tiles: a row of outputs is cut into tiles of 4, the last
 *   ones of 3 or 2 (13 = 4 + 4 + 3 + 2), which use the first of the same points. So each direction
 *   costs outputs + 2 * tiles products, and the weights are mapped once for all sizes.
 * - Gradients are the adjoints of the forward maps, on the same tiles: of dy's points Z and the
 *   inputs' points V, the weights' gradient at each point is V^T Z, that of the data Z U^T. Neither
 *   makes more multiplications than the forward pass.
 *
 * Order of work, for so many images at a time that their points stay in L2: points of all channels
 * of x (or dy), then for each panel of filters (or channels) the products at all points and the way
 * back. Weights' gradients are summed up in scratch, at the points, over all blocks of a run, and
 * mapped back after the last.
 *
 * Invariants: an output is a function of its image alone: products add up channels in order, and
 * dx its tiles in order; gradients of weights add up all tiles of all images in order, whatever the
 * blocks. What a tile shares with its neighbours it shares in rounding too: errors are of the size
 * of the tile's largest terms (about 1e-6 of them), not of the output's own.
 *
 * Cost: see ../conv_winograd.c. */
#include "engine/backend/cpu/isa/winograd.h"
#include "engine/backend/cpu/isa/gemm.h"
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/panel.h"

enum { LINE = FNL_WINO_LINE, POINTS = FNL_WINO_POINTS };

/* Points and weights worked on at once, in floats: most of a common L2. */
#define WORK_FLOATS 106496
/* Floats that part the matrices of two points, so that equal places in all of them do not compete
 * for the same lines of L1. */
#define SKEW 16

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- tiles ---- */

static size_t tiles_along(int outputs)
{
    return ((size_t)outputs + FNL_WINO_TILE - 1) / FNL_WINO_TILE;
}

/* Outputs of tile t of a line: 4, but for the end: 4 3, 4 2 or, for a single one left, 3 2. */
static int tile_outputs(int outputs, size_t t)
{
    const int left = outputs - (int)t * FNL_WINO_TILE;
    return left == FNL_WINO_TILE + 1 ? 3 : left <= 1 ? 2 : left < FNL_WINO_TILE ? left : 4;
}

/* First output of tile t. */
static size_t tile_begin(int outputs, size_t t)
{
    const bool short_one = t * FNL_WINO_TILE + 1 == (size_t)outputs;
    return t * FNL_WINO_TILE - short_one;
}

/* The points of a block of images: where the matrix of each begins, and how many tiles have it. */
struct field {
    const struct fnl_conv_shape *s;
    size_t tiles_h, tiles_w;
    size_t having_h[LINE], having_w[LINE]; /* tiles, in each direction, that have the point */
    size_t begin[POINTS];                  /* rows of the matrices before, for `images` images */
    size_t rows, images;
};

static void count_having(int outputs, size_t tiles, size_t having[LINE])
{
    for (int i = 0; i < LINE; i++) {
        having[i] = 0;
        for (size_t t = 0; t < tiles; t++) {
            having[i] += tile_outputs(outputs, t) + 2 > i;
        }
    }
}

/* rows of `stride` floats: of the points of all images, and of a panel of them; weights: floats of
 * a panel of weights at all points. */
static void lay_out(struct field *f, const struct fnl_conv_shape *s, size_t n, size_t stride,
                    size_t weights)
{
    *f = (struct field){
        .s = s, .tiles_h = tiles_along(s->OH), .tiles_w = tiles_along(s->OW), .images = 1};
    count_having(s->OH, f->tiles_h, f->having_h);
    count_having(s->OW, f->tiles_w, f->having_w);
    size_t rows = 0;
    for (int p = 0; p < POINTS; p++) {
        rows += f->having_h[p / LINE] * f->having_w[p % LINE];
    }
    const size_t an_image = rows * (stride + FNL_PANEL);
    if (weights + 2 * an_image <= WORK_FLOATS) {
        f->images = min((WORK_FLOATS - weights) / an_image, n);
    }
    for (int p = 0; p < POINTS; p++) {
        f->begin[p] = f->rows;
        f->rows += f->images * f->having_h[p / LINE] * f->having_w[p % LINE];
    }
}

static float *matrix(const struct field *f, int point, float *points, size_t stride)
{
    return points + f->begin[point] * stride + (size_t)point * SKEW;
}

static size_t matrices_floats(const struct field *f, size_t stride)
{
    return f->rows * stride + POINTS * SKEW;
}

static size_t matrix_rows(const struct field *f, int point, size_t count)
{
    return count * f->having_h[point / LINE] * f->having_w[point % LINE];
}

static struct fnl_wino_cursor cursor(const struct field *f, float *points, size_t stride)
{
    struct fnl_wino_cursor c;
    for (int p = 0; p < POINTS; p++) {
        c.at[p / LINE][p % LINE] = matrix(f, p, points, stride);
    }
    return c;
}

/* ---- from tile to tile ---- */

/* A tile on the way through images, in the order of the matrices' rows. */
struct walk {
    const struct field *f;
    size_t image, th, tw;
    size_t h, w; /* first output */
    int height, width;
};

static void at_tile(struct walk *k)
{
    const struct fnl_conv_shape *s = k->f->s;
    k->w = tile_begin(s->OW, k->tw);
    k->width = tile_outputs(s->OW, k->tw);
    if (k->tw == 0) {
        k->h = tile_begin(s->OH, k->th);
        k->height = tile_outputs(s->OH, k->th);
    }
}

static struct walk first_tile(const struct field *f)
{
    struct walk k = {.f = f};
    at_tile(&k);
    return k;
}

static void next_tile(struct walk *k)
{
    if (++k->tw == k->f->tiles_w) {
        k->tw = 0;
        if (++k->th == k->f->tiles_h) {
            k->th = 0;
            k->image++;
        }
    }
    at_tile(k);
}

/* The part of a tile's window of inputs that lies in the image: rows [top, bottom) and columns
 * [left, right) of the window; its first pixel is pixel (h, w) of the image. */
struct inside {
    ptrdiff_t h, w;
    size_t top, bottom, left, right;
    bool whole;
};

static void clip(ptrdiff_t begin, int length, int extent, size_t *ret_first, size_t *ret_end)
{
    const ptrdiff_t first = begin < 0 ? -begin : 0;
    const ptrdiff_t end = begin + length > extent ? extent - begin : length;
    *ret_first = (size_t)(first < length ? first : length);
    *ret_end = end > first ? (size_t)end : *ret_first;
}

static struct inside inside_of(const struct walk *k)
{
    const struct fnl_conv_shape *s = k->f->s;
    struct inside in = {.h = (ptrdiff_t)k->h - s->pad_top, .w = (ptrdiff_t)k->w - s->pad_left};
    clip(in.h, k->height + 2, s->H, &in.top, &in.bottom);
    clip(in.w, k->width + 2, s->W, &in.left, &in.right);
    in.whole = in.top == 0 && in.left == 0 && in.bottom == (size_t)k->height + 2 &&
               in.right == (size_t)k->width + 2;
    return in;
}

/* Floats from the image's first to those of the window's row h, from column `left` on. */
static size_t image_row(const struct fnl_conv_shape *s, const struct inside *in, size_t h)
{
    const size_t row = (size_t)(in->h + (ptrdiff_t)h),
                 column = (size_t)(in->w + (ptrdiff_t)in->left);
    return (row * (size_t)s->W + column) * (size_t)s->C;
}

/* Points of count images of x, all channels. window: LINE x LINE pixels. */
static void spread_x(const struct field *f, size_t count, const float *x, size_t stride,
                     float *points, float *window)
{
    const struct fnl_conv_shape *s = f->s;
    const size_t C = (size_t)s->C, image = (size_t)s->H * (size_t)s->W * C;
    struct fnl_wino_cursor to = cursor(f, points, stride);
    for (struct walk k = first_tile(f); k.image < count; next_tile(&k)) {
        struct fnl_wino_tile t = {.height = k.height,
                                  .width = k.width,
                                  .row = (size_t)s->W * C,
                                  .pixel = C,
                                  .channels = C};
        const struct inside in = inside_of(&k);
        const float *from = x + k.image * image;
        if (in.whole) {
            from += image_row(s, &in, 0);
        } else {
            t.row = LINE * C;
            memset(window, 0, LINE * t.row * sizeof(float));
            for (size_t h = in.top; h < in.bottom; h++) {
                memcpy(window + h * t.row + in.left * C, from + image_row(s, &in, h),
                       (in.right - in.left) * C * sizeof(float));
            }
            from = window;
        }
        fnl_k_wino_spread_x(&t, from, stride, &to);
    }
}

/* Points of count images of dy, `channels` of its channels. */
static void spread_dy(const struct field *f, size_t count, const float *dy, size_t channels,
                      size_t stride, float *points)
{
    const size_t K = (size_t)f->s->K, row = (size_t)f->s->OW * K;
    struct fnl_wino_cursor to = cursor(f, points, stride);
    for (struct walk k = first_tile(f); k.image < count; next_tile(&k)) {
        const struct fnl_wino_tile t = {
            .height = k.height, .width = k.width, .row = row, .pixel = K, .channels = channels};
        const size_t at = (k.image * (size_t)f->s->OH + k.h) * row + k.w * K;
        fnl_k_wino_spread_dy(&t, dy + at, stride, &to);
    }
}

static void gather_y(const struct field *f, size_t count, float *points, size_t channels,
                     const float *bias, bool relu, float *y)
{
    const size_t K = (size_t)f->s->K, row = (size_t)f->s->OW * K;
    struct fnl_wino_cursor from = cursor(f, points, FNL_PANEL);
    for (struct walk k = first_tile(f); k.image < count; next_tile(&k)) {
        const struct fnl_wino_tile t = {
            .height = k.height, .width = k.width, .row = row, .pixel = K, .channels = channels};
        const size_t at = (k.image * (size_t)f->s->OH + k.h) * row + k.w * K;
        fnl_k_wino_gather_y(&t, &from, bias, relu, y + at);
    }
}

/* The part of a window that lies in the image, added to it; columns [.., channels) of each pixel.
 */
static void add_window(const struct fnl_conv_shape *s, const struct inside *in, size_t channels,
                       const float *window, float *dx)
{
    for (size_t h = in->top; h < in->bottom; h++) {
        const float *from = window + (h * LINE + in->left) * FNL_PANEL;
        float *to = dx + image_row(s, in, h);
        for (size_t w = in->left; w < in->right; w++, from += FNL_PANEL, to += s->C) {
            for (size_t c = 0; c < channels; c++) {
                to[c] += from[c];
            }
        }
    }
}

/* `channels` channels of the gradients of count images, added. window: LINE x LINE x FNL_PANEL. */
static void gather_dx(const struct field *f, size_t count, float *points, size_t channels,
                      float *dx, float *window)
{
    const struct fnl_conv_shape *s = f->s;
    const size_t C = (size_t)s->C, image = (size_t)s->H * (size_t)s->W * C;
    struct fnl_wino_cursor from = cursor(f, points, FNL_PANEL);
    for (struct walk k = first_tile(f); k.image < count; next_tile(&k)) {
        struct fnl_wino_tile t = {.height = k.height,
                                  .width = k.width,
                                  .row = (size_t)s->W * C,
                                  .pixel = C,
                                  .channels = channels};
        const struct inside in = inside_of(&k);
        float *to = dx + k.image * image;
        if (in.whole) {
            fnl_k_wino_gather_dx(&t, &from, to + image_row(s, &in, 0));
            continue;
        }
        t.row = LINE * FNL_PANEL;
        t.pixel = FNL_PANEL;
        memset(window, 0, LINE * t.row * sizeof(float));
        fnl_k_wino_gather_dx(&t, &from, window);
        add_window(s, &in, channels, window, to);
    }
}

/* ---- scratch ---- */

/* Where things lie in scratch; what is kept from block to block comes first and does not depend on
 * the number of images. */
struct room {
    float *weights; /* at the points: [panel][POINTS][rows][FNL_PANEL]; of gradients, their sums */
    float *window, *points, *panel;
};

/* A convolution's channels as the rows of a panel of weights and those of a pixel's points. */
static size_t lanes(size_t channels)
{
    return round_up(channels, FNL_VL);
}

static size_t weights_floats(size_t rows, size_t columns)
{
    return fnl_panels(columns) * POINTS * rows * FNL_PANEL;
}

static size_t window_floats(const struct fnl_conv_shape *s)
{
    const size_t C = (size_t)s->C;
    return round_up(POINTS * (C > FNL_PANEL ? C : FNL_PANEL), 16);
}

/* rows: channels that the products add up or, for gradients of weights, rows of a panel. */
static struct room rooms(const struct fnl_conv_shape *s, const struct field *f, size_t rows,
                         size_t columns, float *scratch)
{
    struct room r = {.weights = scratch};
    r.window = r.weights + weights_floats(rows, columns);
    r.points = r.window + window_floats(s);
    r.panel = r.points + round_up(matrices_floats(f, lanes(rows)), 16);
    return r;
}

static size_t room_floats(const struct fnl_conv_shape *s, size_t n, size_t rows, size_t columns)
{
    struct field f;
    lay_out(&f, s, n, lanes(rows), POINTS * rows * FNL_PANEL);
    return weights_floats(rows, columns) + window_floats(s) +
           round_up(matrices_floats(&f, lanes(rows)), 16) + matrices_floats(&f, FNL_PANEL);
}

size_t FNL_K(winograd_scratch)(const struct fnl_conv_shape *s, size_t n)
{
    const size_t C = (size_t)s->C, K = (size_t)s->K;
    const size_t forward = room_floats(s, n, C, K);
    /* Behind the transposed weights at first one panel of them, not transposed yet. */
    const size_t data = room_floats(s, n, K, C) + POINTS * C * FNL_PANEL;
    return forward > data ? forward : data;
}

/* ---- products ---- */

/* At each point [tiles][rows of weights] by one panel of weights, to panel. */
static void multiply(const struct field *f, size_t count, size_t rows, const struct room *r,
                     const float *weights)
{
    static const ptrdiff_t start = 0;
    const struct fnl_walk walk = {
        .segments = 1, .run = rows, .segment = &start, .step_a = 1, .step_b = FNL_PANEL};
    const struct fnl_finish finish = {.columns = FNL_PANEL};
    for (int p = 0; p < POINTS; p++, weights += rows * FNL_PANEL) {
        fnl_k_strip(matrix_rows(f, p, count), &walk, matrix(f, p, r->points, lanes(rows)),
                    (ptrdiff_t)lanes(rows), weights, matrix(f, p, r->panel, FNL_PANEL), FNL_PANEL,
                    &finish);
    }
}

void FNL_K(winograd_forward)(const struct fnl_conv_shape *s, size_t n, const float *x,
                             const float *w, const float *bias, enum fnl_cpu_activation act,
                             float *y, float *scratch, bool first_block)
{
    const size_t C = (size_t)s->C, K = (size_t)s->K, panel = POINTS * C * FNL_PANEL;
    struct field f;
    lay_out(&f, s, n, lanes(C), panel);
    const struct room r = rooms(s, &f, C, K, scratch);
    for (size_t i = 0; first_block && i < fnl_panels(K); i++) {
        fnl_k_wino_weights(C, w + i * 9 * C * FNL_PANEL, r.weights + i * panel);
    }
    for (size_t i = 0; i < n; i += f.images) {
        const size_t count = min(f.images, n - i);
        float *to = y + i * (size_t)s->OH * (size_t)s->OW * K;
        spread_x(&f, count, x + i * (size_t)s->H * (size_t)s->W * C, lanes(C), r.points, r.window);
        for (size_t k = 0; k < K; k += FNL_PANEL) {
            multiply(&f, count, C, &r, r.weights + k / FNL_PANEL * panel);
            gather_y(&f, count, r.panel, min(K - k, FNL_PANEL), bias ? bias + k : NULL,
                     act == FNL_CPU_RELU, to + k);
        }
    }
}

void FNL_K(winograd_grad_weights)(const struct fnl_conv_shape *s, size_t n, const float *x,
                                  const float *dy, float *dw, float *scratch, bool first_block,
                                  bool last_block)
{
    static const ptrdiff_t start = 0;
    const size_t C = (size_t)s->C, K = (size_t)s->K, panel = POINTS * C * FNL_PANEL;
    struct field f;
    lay_out(&f, s, n, lanes(C), panel);
    const struct room r = rooms(s, &f, C, K, scratch);
    for (size_t i = 0; i < n; i += f.images) {
        const size_t count = min(f.images, n - i);
        const float *from = dy + i * (size_t)s->OH * (size_t)s->OW * K;
        spread_x(&f, count, x + i * (size_t)s->H * (size_t)s->W * C, lanes(C), r.points, r.window);
        const struct fnl_finish finish = {.add = !first_block || i > 0, .columns = FNL_PANEL};
        for (size_t k = 0; k < K; k += FNL_PANEL) {
            spread_dy(&f, count, from + k, min(K - k, FNL_PANEL), FNL_PANEL, r.panel);
            float *to = r.weights + k / FNL_PANEL * panel;
            for (int p = 0; p < POINTS; p++, to += C * FNL_PANEL) {
                const struct fnl_walk walk = {.segments = 1,
                                              .run = matrix_rows(&f, p, count),
                                              .segment = &start,
                                              .step_a = (ptrdiff_t)lanes(C),
                                              .step_b = FNL_PANEL};
                fnl_k_strip(C, &walk, matrix(&f, p, r.points, lanes(C)), 1,
                            matrix(&f, p, r.panel, FNL_PANEL), to, FNL_PANEL, &finish);
            }
        }
    }
    for (size_t i = 0; last_block && i < fnl_panels(K); i++) {
        fnl_k_wino_weights_adjoint(C, r.weights + i * panel, dw + i * 9 * C * FNL_PANEL);
    }
}

/* Weights at the points, the other way round: panels of channels, rows of filters. one: a panel of
 * filters. */
static void transposed_weights(const struct fnl_conv_shape *s, const float *w, float *to,
                               float *one)
{
    const size_t C = (size_t)s->C, K = (size_t)s->K;
    for (size_t k = 0; k < K; k += FNL_PANEL) {
        fnl_k_wino_weights(C, w + k * 9 * C, one);
        for (size_t c = 0; c < C; c += FNL_PANEL) {
            for (size_t p = 0; p < POINTS; p++) {
                fnl_k_panel_transpose(min(K - k, FNL_PANEL), min(C - c, FNL_PANEL),
                                      one + (p * C + c) * FNL_PANEL, FNL_PANEL,
                                      to + ((c / FNL_PANEL * POINTS + p) * K + k) * FNL_PANEL);
            }
        }
    }
}

void FNL_K(winograd_grad_data)(const struct fnl_conv_shape *s, size_t n, const float *dy,
                               const float *w, float *dx, float *scratch, bool first_block)
{
    const size_t C = (size_t)s->C, K = (size_t)s->K, panel = POINTS * K * FNL_PANEL;
    struct field f;
    lay_out(&f, s, n, lanes(K), panel);
    const struct room r = rooms(s, &f, K, C, scratch);
    if (first_block) {
        transposed_weights(s, w, r.weights, r.window);
    }
    const size_t x_image = (size_t)s->H * (size_t)s->W * C;
    for (size_t i = 0; i < n; i += f.images) {
        const size_t count = min(f.images, n - i);
        spread_dy(&f, count, dy + i * (size_t)s->OH * (size_t)s->OW * K, K, lanes(K), r.points);
        memset(dx + i * x_image, 0, count * x_image * sizeof(float));
        for (size_t c = 0; c < C; c += FNL_PANEL) {
            multiply(&f, count, K, &r, r.weights + c / FNL_PANEL * panel);
            gather_dx(&f, count, r.panel, min(C - c, FNL_PANEL), dx + i * x_image + c, r.window);
        }
    }
}
