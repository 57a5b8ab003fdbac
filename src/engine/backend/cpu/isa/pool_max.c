/* pool_max.c - max pooling, channels last, and its gradient from input and output (pool.h; with a
 * note: pool_noted.c).
 *
 * The gradient goes to the first tap of a window that is not below its maximum. Two-by-two windows
 * side by side, the commonest, have a path of their own that reads and writes each number once; the
 * others cost one pass over x per output window. */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/pool.h"

/* One row of outputs from the image rows x0, x1. */
static void max_pool_row_2x2(size_t OW, size_t C, const float *x0, const float *x1, float *y)
{
    for (size_t ow = 0; ow < OW; ow++, x0 += 2 * C, x1 += 2 * C, y += C) {
        size_t c = 0;
        for (; c + FNL_VL <= C; c += FNL_VL) {
            fnl_v_store(y + c,
                        fnl_pool_greatest_of_four(fnl_v_load(x0 + c), fnl_v_load(x0 + C + c),
                                                  fnl_v_load(x1 + c), fnl_v_load(x1 + C + c)));
        }
        if (c < C) {
            size_t rest = C - c;
            fnl_vf m = fnl_pool_greatest_of_four(
                fnl_v_load_part(x0 + c, rest), fnl_v_load_part(x0 + C + c, rest),
                fnl_v_load_part(x1 + c, rest), fnl_v_load_part(x1 + C + c, rest));
            fnl_v_store_part(y + c, m, rest);
        }
    }
}

/* lanes channels of one output. */
FNL_INLINE void max_window(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                           size_t lanes, const float *x, float *y)
{
    const size_t step = fnl_pool_tap_step(s);
    fnl_vf m = fnl_v_set(-__builtin_inff());
    fnl_vi nan = {0};
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        const float *at = x + fnl_pool_first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            fnl_vf tap = fnl_v_load_n(at, lanes);
            nan |= ~(tap == tap);
            m = fnl_v_max(tap, m);
        }
    }
    fnl_v_store_n(y, (fnl_vf)((fnl_vi)m | nan), lanes);
}

static void max_pool_pixel(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                           const float *x, float *y)
{
    const size_t C = (size_t)s->C;
    size_t c = 0;
    for (; c + FNL_VL <= C; c += FNL_VL) {
        max_window(s, w, FNL_VL, x + c, y + c);
    }
    if (c < C) {
        max_window(s, w, C - c, x + c, y + c);
    }
}

void FNL_K(max_pool)(const struct fnl_pool_shape *s, size_t n, const float *x, float *y)
{
    const size_t C = (size_t)s->C, row = (size_t)s->W * C, out_row = (size_t)s->OW * C;
    const bool two_by_two = fnl_pool_is_two_by_two(s);
    for (size_t image = 0; image < n; image++, x += (size_t)s->H * row) {
        for (int oh = 0; oh < s->OH; oh++, y += out_row) {
            if (two_by_two) {
                const float *x0 = x + 2 * (size_t)oh * row;
                max_pool_row_2x2((size_t)s->OW, C, x0, x0 + row, y);
                continue;
            }
            for (int ow = 0; ow < s->OW; ow++) {
                struct fnl_pool_window w = fnl_pool_window_at(s, oh, ow);
                max_pool_pixel(s, &w, x, y + (size_t)ow * C);
            }
        }
    }
}

/* What arrives at the window: dy, or nothing where a Relu's output is not above 0. */
FNL_INLINE fnl_vf arriving(fnl_vf dy, fnl_vf y, bool mask_relu)
{
    return mask_relu ? fnl_v_and(~(y <= 0.0F), dy) : dy;
}

/* A tap takes all that has not been taken yet, unless it is below the maximum. */
FNL_INLINE fnl_vf take(fnl_vf x, fnl_vf y, fnl_vf *left)
{
    fnl_vi below = x < y;
    fnl_vf taken = fnl_v_and(~below, *left);
    *left = fnl_v_and(below, *left);
    return taken;
}

/* lanes channels of one window of image rows x0, x1, dx0, dx1. */
FNL_INLINE void max_grad_2x2(size_t C, size_t lanes, bool mask_relu, const float *dy,
                             const float *x0, const float *x1, const float *y, float *dx0,
                             float *dx1)
{
    fnl_vf max = fnl_v_load_n(y, lanes);
    fnl_vf left = arriving(fnl_v_load_n(dy, lanes), max, mask_relu);
    fnl_v_store_n(dx0, take(fnl_v_load_n(x0, lanes), max, &left), lanes);
    fnl_v_store_n(dx0 + C, take(fnl_v_load_n(x0 + C, lanes), max, &left), lanes);
    fnl_v_store_n(dx1, take(fnl_v_load_n(x1, lanes), max, &left), lanes);
    fnl_v_store_n(dx1 + C, take(fnl_v_load_n(x1 + C, lanes), max, &left), lanes);
}

/* One row of outputs; dx0, dx1 are image rows and are written up to column W. */
FNL_INLINE void max_grad_row_2x2(const struct fnl_pool_shape *s, bool mask_relu, const float *dy,
                                 const float *x0, const float *x1, const float *y, float *dx0,
                                 float *dx1)
{
    const size_t C = (size_t)s->C, step = 2 * C, left_over = (size_t)(s->W - 2 * s->OW) * C;
    for (int ow = 0; ow < s->OW; ow++) {
        size_t c = 0;
        for (; c + FNL_VL <= C; c += FNL_VL) {
            max_grad_2x2(C, FNL_VL, mask_relu, dy + c, x0 + c, x1 + c, y + c, dx0 + c, dx1 + c);
        }
        if (c < C) {
            max_grad_2x2(C, C - c, mask_relu, dy + c, x0 + c, x1 + c, y + c, dx0 + c, dx1 + c);
        }
        dy += C, y += C, x0 += step, x1 += step, dx0 += step, dx1 += step;
    }
    memset(dx0, 0, left_over * sizeof *dx0);
    memset(dx1, 0, left_over * sizeof *dx1);
}

static void max_pool_grad_2x2(const struct fnl_pool_shape *s, size_t n, const float *dy,
                              const float *x, const float *y, bool mask_relu, float *dx)
{
    const size_t row = (size_t)s->W * (size_t)s->C, out_row = (size_t)s->OW * (size_t)s->C;
    const size_t rows_left_over = (size_t)(s->H - 2 * s->OH) * row;
    for (size_t image = 0; image < n; image++) {
        for (int oh = 0; oh < s->OH; oh++) {
            if (mask_relu) {
                max_grad_row_2x2(s, true, dy, x, x + row, y, dx, dx + row);
            } else {
                max_grad_row_2x2(s, false, dy, x, x + row, y, dx, dx + row);
            }
            dy += out_row, y += out_row, x += 2 * row, dx += 2 * row;
        }
        memset(dx, 0, rows_left_over * sizeof *dx);
        x += rows_left_over, dx += rows_left_over;
    }
}

/* lanes channels of one output; dx is added to. */
FNL_INLINE void max_grad_window(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                                size_t lanes, const float *dy, const float *x, const float *y,
                                bool mask_relu, float *dx)
{
    const size_t step = fnl_pool_tap_step(s);
    fnl_vf max = fnl_v_load_n(y, lanes);
    fnl_vf left = arriving(fnl_v_load_n(dy, lanes), max, mask_relu);
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        size_t at = fnl_pool_first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            fnl_vf taken = take(fnl_v_load_n(x + at, lanes), max, &left);
            fnl_v_store_n(dx + at, fnl_v_load_n(dx + at, lanes) + taken, lanes);
        }
    }
}

static void max_grad_pixel(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                           const float *dy, const float *x, const float *y, bool mask_relu,
                           float *dx)
{
    const size_t C = (size_t)s->C;
    size_t c = 0;
    for (; c + FNL_VL <= C; c += FNL_VL) {
        max_grad_window(s, w, FNL_VL, dy + c, x + c, y + c, mask_relu, dx + c);
    }
    if (c < C) {
        max_grad_window(s, w, C - c, dy + c, x + c, y + c, mask_relu, dx + c);
    }
}

void FNL_K(max_pool_grad)(const struct fnl_pool_shape *s, size_t n, const float *dy, const float *x,
                          const float *y, bool mask_relu, float *dx)
{
    if (fnl_pool_is_two_by_two(s)) {
        max_pool_grad_2x2(s, n, dy, x, y, mask_relu, dx);
        return;
    }
    const size_t C = (size_t)s->C, image_size = (size_t)s->H * (size_t)s->W * C;
    memset(dx, 0, n * image_size * sizeof *dx);
    for (size_t image = 0; image < n; image++, x += image_size, dx += image_size) {
        for (int oh = 0; oh < s->OH; oh++) {
            for (int ow = 0; ow < s->OW; ow++, dy += C, y += C) {
                struct fnl_pool_window w = fnl_pool_window_at(s, oh, ow);
                max_grad_pixel(s, &w, dy, x, y, mask_relu, dx);
            }
        }
    }
}
