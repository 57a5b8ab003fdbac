/* conv_depthwise.c - convolutions with one channel and one filter a group: vectors run over
 * channels, since a panel would hold one filter only.
 *
 * The weights, a column of a panel for each group, are gathered as [KH * KW][C] into `kept` first.
 * Cost: two loads a multiply-add, bound by the load ports. */
#include "engine/backend/cpu/isa/conv.h"

void fnl_k_depthwise_gather(const struct fnl_conv_shape *s, const struct fnl_window *win,
                            const float *w)
{
    const size_t C = (size_t)s->C;
    for (size_t c = 0; c < C; c++) {
        for (size_t k = 0; k < win->features; k++, w += FNL_PANEL) {
            win->kept[k * C + c] = *w;
        }
    }
}

static fnl_vf relu(fnl_vf v)
{
    return (fnl_vf)(~(v < (fnl_vf){0}) & (fnl_vi)v);
}

void fnl_k_depthwise_forward(const struct fnl_conv_shape *s, const struct fnl_window *win,
                             size_t count, const float *x, const float *bias, bool clip, float *y)
{
    const size_t C = (size_t)s->C, pixels = count * win->y_pixels;
    struct fnl_pixels at = fnl_pixels_begin(s, win, x);
    for (size_t p = 0; p < pixels; p++, y += C) {
        const float *window = fnl_pixels_next(&at);
        size_t c = 0;
        for (; c + FNL_VL <= C; c += FNL_VL) {
            fnl_vf sum = {0};
            for (size_t k = 0; k < win->features; k++) {
                sum = fnl_v_fma(fnl_v_load(window + win->segment[k] + c),
                                fnl_v_load(win->kept + k * C + c), sum);
            }
            sum = bias ? sum + fnl_v_load(bias + c) : sum;
            fnl_v_store(y + c, clip ? relu(sum) : sum);
        }
        for (; c < C; c++) {
            float sum = 0;
            for (size_t k = 0; k < win->features; k++) {
                sum += window[win->segment[k] + (ptrdiff_t)c] * win->kept[k * C + c];
            }
            sum = bias ? sum + bias[c] : sum;
            y[c] = clip && sum < 0 ? 0 : sum;
        }
    }
}

/* sums[k][c] += x * dy over the windows of count images. */
static void add_products(const struct fnl_conv_shape *s, const struct fnl_window *win, size_t count,
                         const float *x, const float *dy, float *sums)
{
    const size_t C = (size_t)s->C, pixels = count * win->y_pixels;
    struct fnl_pixels at = fnl_pixels_begin(s, win, x);
    for (size_t p = 0; p < pixels; p++, dy += C) {
        const float *window = fnl_pixels_next(&at);
        for (size_t k = 0; k < win->features; k++) {
            const float *from = window + win->segment[k];
            float *to = sums + k * C;
            size_t c = 0;
            for (; c + FNL_VL <= C; c += FNL_VL) {
                fnl_v_store(to + c, fnl_v_fma(fnl_v_load(from + c), fnl_v_load(dy + c),
                                              fnl_v_load(to + c)));
            }
            for (; c < C; c++) {
                to[c] += from[c] * dy[c];
            }
        }
    }
}

void fnl_k_depthwise_grad_weights(const struct fnl_conv_shape *s, const struct fnl_window *win,
                                  size_t n, const float *x, const float *dy, float *dw,
                                  bool accumulate)
{
    const size_t C = (size_t)s->C;
    memset(win->kept, 0, win->features * C * sizeof(float));
    for (size_t i = 0; i < n; i += win->images_at_once) {
        const size_t count = win->images_at_once < n - i ? win->images_at_once : n - i;
        const float *images = x + i * win->x_image;
        if (win->padded) {
            fnl_k_conv_pad(s, win, count, images);
            images = win->images;
        }
        add_products(s, win, count, images, dy + i * win->y_image, win->kept);
    }
    if (!accumulate) {
        memset(dw, 0, C * win->features * FNL_PANEL * sizeof(float));
    }
    for (size_t c = 0; c < C; c++) {
        for (size_t k = 0; k < win->features; k++, dw += FNL_PANEL) {
            *dw += win->kept[k * C + c];
        }
    }
}

void fnl_k_depthwise_grad_image(const struct fnl_conv_shape *s, const struct fnl_window *win,
                                const float *dy, float *dx)
{
    const size_t C = (size_t)s->C, pixels = win->y_pixels;
    struct fnl_pixels at = fnl_pixels_begin(s, win, dx);
    for (size_t p = 0; p < pixels; p++, dy += C) {
        float *window = dx + (fnl_pixels_next(&at) - dx);
        for (size_t k = 0; k < win->features; k++) {
            const float *w = win->kept + k * C;
            float *to = window + win->segment[k];
            size_t c = 0;
            for (; c + FNL_VL <= C; c += FNL_VL) {
                fnl_v_store(to + c,
                            fnl_v_fma(fnl_v_load(w + c), fnl_v_load(dy + c), fnl_v_load(to + c)));
            }
            for (; c < C; c++) {
                to[c] += w[c] * dy[c];
            }
        }
    }
}
