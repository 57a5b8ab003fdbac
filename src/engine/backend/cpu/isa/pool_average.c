/* pool_average.c - average pooling, channels last, and its gradient (pool.h). One pass over x per
 * output window. */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/pool.h"

/* Taps of one axis that count: those before the end of the image and its padding. */
static int taps_counted(int start, int dilation, int taps, int padded_end)
{
    int first, end;
    fnl_pool_clip_taps(0, dilation, taps, padded_end - start, &first, &end);
    return end;
}

/* What a window's sum is divided by. Padding counts if so asked, what ceil_mode adds beyond it
 * never does (as in PyTorch). */
static float average_divisor(const struct fnl_pool_shape *s, const struct fnl_pool_window *w)
{
    int count = w->kh1 > w->kh0 ? (w->kh1 - w->kh0) * (w->kw1 - w->kw0) : 0;
    if (s->count_include_pad) {
        count = taps_counted(w->h0, s->dilation_h, s->KH, s->H + s->pad_bottom) *
                taps_counted(w->w0, s->dilation_w, s->KW, s->W + s->pad_right);
    }
    return count > 0 ? (float)count : 1.0F;
}

FNL_INLINE void average_window(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                               size_t lanes, const float *x, fnl_vf divisor, float *y)
{
    const size_t step = fnl_pool_tap_step(s);
    fnl_vf sum = {0};
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        const float *at = x + fnl_pool_first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            sum += fnl_v_load_n(at, lanes);
        }
    }
    fnl_v_store_n(y, sum / divisor, lanes);
}

void FNL_K(average_pool)(const struct fnl_pool_shape *s, size_t n, const float *x, float *y)
{
    const size_t C = (size_t)s->C, image_size = (size_t)s->H * (size_t)s->W * C;
    for (size_t image = 0; image < n; image++, x += image_size) {
        for (int pixel = 0; pixel < s->OH * s->OW; pixel++, y += C) {
            struct fnl_pool_window w = fnl_pool_window_at(s, pixel / s->OW, pixel % s->OW);
            const fnl_vf divisor = fnl_v_set(average_divisor(s, &w));
            size_t c = 0;
            for (; c + FNL_VL <= C; c += FNL_VL) {
                average_window(s, &w, FNL_VL, x + c, divisor, y + c);
            }
            if (c < C) {
                average_window(s, &w, C - c, x + c, divisor, y + c);
            }
        }
    }
}

/* dx is added to. */
FNL_INLINE void average_grad_window(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                                    size_t lanes, const float *dy, fnl_vf divisor, float *dx)
{
    const size_t step = fnl_pool_tap_step(s);
    const fnl_vf part = fnl_v_load_n(dy, lanes) / divisor;
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        float *at = dx + fnl_pool_first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            fnl_v_store_n(at, fnl_v_load_n(at, lanes) + part, lanes);
        }
    }
}

void FNL_K(average_pool_grad)(const struct fnl_pool_shape *s, size_t n, const float *dy, float *dx)
{
    const size_t C = (size_t)s->C, image_size = (size_t)s->H * (size_t)s->W * C;
    memset(dx, 0, n * image_size * sizeof *dx);
    for (size_t image = 0; image < n; image++, dx += image_size) {
        for (int pixel = 0; pixel < s->OH * s->OW; pixel++, dy += C) {
            struct fnl_pool_window w = fnl_pool_window_at(s, pixel / s->OW, pixel % s->OW);
            const fnl_vf divisor = fnl_v_set(average_divisor(s, &w));
            size_t c = 0;
            for (; c + FNL_VL <= C; c += FNL_VL) {
                average_grad_window(s, &w, FNL_VL, dy + c, divisor, dx + c);
            }
            if (c < C) {
                average_grad_window(s, &w, C - c, dy + c, divisor, dx + c);
            }
        }
    }
}
