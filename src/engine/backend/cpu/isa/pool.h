/* pool.h - what the pooling kernels of this folder share: where a window's taps lie in an image.
 *
 * x[n][H][W][C] -> y[n][OH][OW][C]. The channels of one pixel lie side by side, so a window is a
 * few vectors: a vector of channels is carried over the window's taps, in (kh, kw) order.
 *
 * Invariants of all of them:
 * 1. Taps in the padding are never read and never win; a window wholly in the padding gives -inf
 *    (max) or 0 (average).
 * 2. NaN in a window makes its maximum NaN, as in PyTorch.
 * 3. Gradients write all of dx; windows that overlap are added up in the order of the outputs. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_POOL_H
#define FNL_ENGINE_BACKEND_CPU_ISA_POOL_H

#include "engine/backend/cpu/isa/vops.h"

/* The taps of one output pixel that lie inside the image: kh in [kh0, kh1), kw in [kw0, kw1);
 * (h0, w0) is where tap (0, 0) falls. */
struct fnl_pool_window {
    int h0, w0, kh0, kh1, kw0, kw1;
};

/* First tap at or after position 0, and one past the last before `extent`. */
static inline void fnl_pool_clip_taps(int start, int dilation, int taps, int extent, int *ret_first,
                                      int *ret_end)
{
    int first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int end = start < extent ? (extent - start + dilation - 1) / dilation : 0;
    *ret_first = first < taps ? first : taps;
    *ret_end = end < taps ? end : taps;
}

static inline struct fnl_pool_window fnl_pool_window_at(const struct fnl_pool_shape *s, int oh,
                                                        int ow)
{
    struct fnl_pool_window w = {.h0 = oh * s->stride_h - s->pad_top,
                                .w0 = ow * s->stride_w - s->pad_left};
    fnl_pool_clip_taps(w.h0, s->dilation_h, s->KH, s->H, &w.kh0, &w.kh1);
    fnl_pool_clip_taps(w.w0, s->dilation_w, s->KW, s->W, &w.kw0, &w.kw1);
    if (w.kw0 >= w.kw1) {
        w.kh1 = w.kh0; /* wholly in the padding */
    }
    return w;
}

/* Offset in the image of the first channel of row kh's first tap; from tap to tap. */
FNL_INLINE size_t fnl_pool_first_tap(const struct fnl_pool_shape *s,
                                     const struct fnl_pool_window *w, int kh)
{
    size_t row = (size_t)(w->h0 + kh * s->dilation_h);
    size_t column = (size_t)(w->w0 + w->kw0 * s->dilation_w);
    return (row * (size_t)s->W + column) * (size_t)s->C;
}

FNL_INLINE size_t fnl_pool_tap_step(const struct fnl_pool_shape *s)
{
    return (size_t)s->dilation_w * (size_t)s->C;
}

/* Two by two, stride two, no padding, every window inside; a last row or column may be left over.
 */
static inline bool fnl_pool_is_two_by_two(const struct fnl_pool_shape *s)
{
    return s->KH == 2 && s->KW == 2 && s->stride_h == 2 && s->stride_w == 2 && s->dilation_h == 1 &&
           s->dilation_w == 1 && s->pad_top == 0 && s->pad_left == 0 && 2 * s->OH <= s->H &&
           2 * s->OW <= s->W;
}

/* The greatest of four; NaN if any is: all ones, or'ed in, are a NaN. */
FNL_INLINE fnl_vf fnl_pool_greatest_of_four(fnl_vf a, fnl_vf b, fnl_vf c, fnl_vf d)
{
    fnl_vi nan = ~(a == a) | ~(b == b) | ~(c == c) | ~(d == d);
    return (fnl_vf)((fnl_vi)fnl_v_max(fnl_v_max(a, b), fnl_v_max(c, d)) | nan);
}

#endif
