/* conv.c - convolution, forward, and the geometry that its gradients share.
 *
 * Direct convolution as products of rows by panels: the row of an output pixel is its window, read
 * in place, so nothing is gathered. Pixels of all images follow each other in tiles, so that
 * partial tiles are rare. Padded images are copied into scratch first, a few at a time.
 *
 * Cost: that of the tile (gemm.h); pointers to windows are made once for all panels and groups. */
#include "engine/backend/cpu/isa/conv.h"
#include "engine/backend/cpu/isa/gemm.h"
#include "engine/backend/cpu/isa/kernel_list.h"

/* Padded images held at once, in floats: a quarter of a common L2. */
#define IMAGES_FLOATS 32768

/* Windows of so few features go row by row: there the pointers to single windows cost more than the
 * lower tiles at the end of a row. */
#define SMALL_WINDOW 96
static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t round_up(size_t floats)
{
    return (floats + 15) & ~(size_t)15;
}

static size_t table_floats(const struct fnl_window *w)
{
    return round_up(w->segments * sizeof(ptrdiff_t) / sizeof(float));
}

/* What the gradients keep in scratch: a panel of dy for a block of pixels, the transposed weights
 * of all windows, or a depthwise kernel's weights or their gradients, pixel by pixel. */
static size_t kept_floats(const struct fnl_conv_shape *s, const struct fnl_window *w)
{
    if (fnl_conv_is_depthwise(s)) {
        return round_up(w->features * (size_t)s->C);
    }
    const size_t pixels = FNL_CONV_PIXELS + (size_t)s->OW;
    const size_t transposed = (size_t)s->group * w->segments * fnl_panels(w->run) * w->group_K;
    return FNL_PANEL * max(pixels, transposed);
}

/* All of w but the pointers. */
static void measure(const struct fnl_conv_shape *s, size_t n, struct fnl_window *w)
{
    const size_t group = (size_t)s->group, C = (size_t)s->C;
    const size_t KH = (size_t)s->KH, KW = (size_t)s->KW;
    *w = (struct fnl_window){.group_C = C / group, .group_K = (size_t)s->K / group, .pixel = C};
    w->features = KH * KW * w->group_C;
    w->padded = s->pad_top || s->pad_left || s->pad_bottom || s->pad_right;
    const bool whole_rows = group == 1 && (s->dilation_w == 1 || KW == 1);
    w->segments = whole_rows ? KH : KH * KW;
    w->run = w->features / w->segments;
    w->row = (size_t)(s->W + s->pad_left + s->pad_right) * C;
    w->image = (size_t)(s->H + s->pad_top + s->pad_bottom) * w->row;
    w->x_image = (size_t)s->H * (size_t)s->W * C;
    w->y_pixels = (size_t)s->OH * (size_t)s->OW;
    w->y_image = w->y_pixels * (size_t)s->K;
    w->images_at_once = w->padded ? min(max(IMAGES_FLOATS / w->image, 1), n) : n;
}

void fnl_k_conv_window(const struct fnl_conv_shape *s, size_t n, float *scratch,
                       struct fnl_window *w)
{
    measure(s, n, w);
    ptrdiff_t *segment = (ptrdiff_t *)(void *)scratch;
    const size_t per_row = w->segments / (size_t)s->KH;
    for (size_t i = 0; i < w->segments; i++) {
        segment[i] = (ptrdiff_t)(i / per_row * (size_t)s->dilation_h * w->row +
                                 i % per_row * (size_t)s->dilation_w * w->pixel);
    }
    w->segment = segment;
    w->kept = scratch + table_floats(w);
    w->images = w->kept + kept_floats(s, w);
}

size_t FNL_K(conv_scratch)(const struct fnl_conv_shape *s, size_t n)
{
    struct fnl_window w;
    measure(s, n, &w);
    return table_floats(&w) + kept_floats(s, &w) + (w.padded ? w.images_at_once * w.image : 0);
}

void fnl_k_conv_pad(const struct fnl_conv_shape *s, const struct fnl_window *w, size_t count,
                    const float *x)
{
    const size_t top = (size_t)s->pad_top * w->row, bottom = (size_t)s->pad_bottom * w->row;
    const size_t left = (size_t)s->pad_left * w->pixel, right = (size_t)s->pad_right * w->pixel;
    const size_t inner = (size_t)s->W * w->pixel;
    float *to = w->images;
    for (size_t i = 0; i < count; i++) {
        memset(to, 0, top * sizeof(float));
        to += top;
        for (int h = 0; h < s->H; h++) {
            memset(to, 0, left * sizeof(float));
            memcpy(to + left, x, inner * sizeof(float));
            memset(to + left + inner, 0, right * sizeof(float));
            to += w->row;
            x += inner;
        }
        memset(to, 0, bottom * sizeof(float));
        to += bottom;
    }
}

/* As forward(), a row of output pixels at a time. */
static void forward_rows(const struct fnl_conv_shape *s, const struct fnl_window *win, size_t count,
                         const float *x, const float *w, const float *bias, bool relu, float *y)
{
    const size_t OH = (size_t)s->OH, OW = (size_t)s->OW, K = (size_t)s->K;
    const struct fnl_walk walk = {.segments = win->segments,
                                  .run = win->run,
                                  .segment = win->segment,
                                  .step_a = 1,
                                  .step_b = FNL_PANEL};
    for (size_t r = 0; r < count * OH; r++, y += OW * K) {
        const float *row = x + r / OH * win->image + r % OH * (size_t)s->stride_h * win->row;
        const float *panel = w;
        for (size_t f = 0; f < K; f += FNL_PANEL, panel += win->features * FNL_PANEL) {
            const struct fnl_finish finish = {
                .relu = relu, .columns = FNL_PANEL, .bias = bias ? bias + f : NULL};
            fnl_k_strip(OW, &walk, row, s->stride_w * (ptrdiff_t)win->pixel, panel, y + f,
                        (ptrdiff_t)K, &finish);
        }
    }
}

/* count images, of which x is padded if need be. */
static void forward(const struct fnl_conv_shape *s, const struct fnl_window *win, size_t count,
                    const float *x, const float *w, const float *bias, bool relu, float *y)
{
    const size_t K = (size_t)s->K, pixels = count * win->y_pixels;
    const size_t w_group = fnl_panels(win->group_K) * win->features * FNL_PANEL;
    struct fnl_product p = {.walk = {.segments = win->segments,
                                     .run = win->run,
                                     .segment = win->segment,
                                     .step_a = 1,
                                     .step_b = FNL_PANEL},
                            .N = win->group_K,
                            .relu = relu};
    struct fnl_pixels at = fnl_pixels_begin(s, win, x);
    const struct fnl_tiling tiling = fnl_tiling(pixels);
    for (size_t m = 0, t = 0; t < tiling.tiles;) {
        const float *from[FNL_ROWS];
        float *to[FNL_ROWS];
        const size_t end = min(t + FNL_ROWS / FNL_MR, tiling.tiles);
        const size_t rows = fnl_tiles_height(&tiling, t, end);
        t = end;
        for (size_t i = 0; i < rows; i++) {
            from[i] = fnl_pixels_next(&at);
            to[i] = y + (m + i) * K;
        }
        m += rows;
        for (size_t g = 0; g < (size_t)s->group; g++) {
            p.w = w + g * w_group;
            p.bias = bias ? bias + g * win->group_K : NULL;
            fnl_k_product(&p, rows, from, to);
            for (size_t i = 0; g + 1 < (size_t)s->group && i < rows; i++) {
                from[i] += win->group_C;
                to[i] += win->group_K;
            }
        }
    }
}

void FNL_K(conv_forward)(const struct fnl_conv_shape *s, size_t n, const float *x, const float *w,
                         const float *bias, enum fnl_cpu_activation act, float *y, float *scratch)
{
    struct fnl_window win;
    fnl_k_conv_window(s, n, scratch, &win);
    const bool depthwise = fnl_conv_is_depthwise(s), relu = act == FNL_CPU_RELU;
    if (depthwise) {
        fnl_k_depthwise_gather(s, &win, w);
    }
    const bool rows =
        s->group == 1 && win.features <= SMALL_WINDOW && s->OW >= 4 && s->K % FNL_PANEL == 0;
    for (size_t i = 0; i < n; i += win.images_at_once) {
        const size_t count = min(win.images_at_once, n - i);
        const float *images = x + i * win.x_image;
        if (win.padded) {
            fnl_k_conv_pad(s, &win, count, images);
            images = win.images;
        }
        if (depthwise) {
            fnl_k_depthwise_forward(s, &win, count, images, bias, relu, y + i * win.y_image);
        } else {
            (rows ? forward_rows : forward)(s, &win, count, images, w, bias, relu,
                                            y + i * win.y_image);
        }
    }
}
