/* pool.c - max and average pooling, channels last, and their gradients.
 *
 * x[n][H][W][C] -> y[n][OH][OW][C]. The channels of one pixel lie side by side, so a window is a
 * few vectors: a vector of channels is carried over the window's taps, in (kh, kw) order.
 *
 * Invariants:
 * 1. Taps in the padding are never read and never win; a window wholly in the padding gives -inf
 *    (max) or 0 (average).
 * 2. NaN in a window makes its maximum NaN, as in PyTorch.
 * 3. Gradients write all of dx; windows that overlap are added up in the order of the outputs.
 *
 * Two-by-two windows side by side, the commonest, have a path of their own that reads and writes
 * each number once; the others cost one pass over x per output window. */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/vops.h"

/* The taps of one output pixel that lie inside the image: kh in [kh0, kh1), kw in [kw0, kw1);
 * (h0, w0) is where tap (0, 0) falls. */
struct window {
    int h0, w0, kh0, kh1, kw0, kw1;
};

/* First tap at or after position 0, and one past the last before `extent`. */
static void clip_taps(int start, int dilation, int taps, int extent, int *ret_first, int *ret_end)
{
    int first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int end = start < extent ? (extent - start + dilation - 1) / dilation : 0;
    *ret_first = first < taps ? first : taps;
    *ret_end = end < taps ? end : taps;
}

static struct window window_at(const struct fnl_pool_shape *s, int oh, int ow)
{
    struct window w = {.h0 = oh * s->stride_h - s->pad_top, .w0 = ow * s->stride_w - s->pad_left};
    clip_taps(w.h0, s->dilation_h, s->KH, s->H, &w.kh0, &w.kh1);
    clip_taps(w.w0, s->dilation_w, s->KW, s->W, &w.kw0, &w.kw1);
    if (w.kw0 >= w.kw1) {
        w.kh1 = w.kh0; /* wholly in the padding */
    }
    return w;
}

/* Offset in the image of the first channel of row kh's first tap; from tap to tap. */
FNL_INLINE size_t first_tap(const struct fnl_pool_shape *s, const struct window *w, int kh)
{
    size_t row = (size_t)(w->h0 + kh * s->dilation_h);
    size_t column = (size_t)(w->w0 + w->kw0 * s->dilation_w);
    return (row * (size_t)s->W + column) * (size_t)s->C;
}

FNL_INLINE size_t tap_step(const struct fnl_pool_shape *s)
{
    return (size_t)s->dilation_w * (size_t)s->C;
}

/* Two by two, stride two, no padding, every window inside; a last row or column may be left over.
 */
static bool is_two_by_two(const struct fnl_pool_shape *s)
{
    return s->KH == 2 && s->KW == 2 && s->stride_h == 2 && s->stride_w == 2 && s->dilation_h == 1 &&
           s->dilation_w == 1 && s->pad_top == 0 && s->pad_left == 0 && 2 * s->OH <= s->H &&
           2 * s->OW <= s->W;
}

/* ---- max ---- */

/* The greatest of four; NaN if any is: all ones, or'ed in, are a NaN. */
FNL_INLINE fnl_vf greatest_of_four(fnl_vf a, fnl_vf b, fnl_vf c, fnl_vf d)
{
    fnl_vi nan = ~(a == a) | ~(b == b) | ~(c == c) | ~(d == d);
    return (fnl_vf)((fnl_vi)fnl_v_max(fnl_v_max(a, b), fnl_v_max(c, d)) | nan);
}

/* One row of outputs from the image rows x0, x1. */
static void max_pool_row_2x2(size_t OW, size_t C, const float *x0, const float *x1, float *y)
{
    for (size_t ow = 0; ow < OW; ow++, x0 += 2 * C, x1 += 2 * C, y += C) {
        size_t c = 0;
        for (; c + FNL_VL <= C; c += FNL_VL) {
            fnl_v_store(y + c, greatest_of_four(fnl_v_load(x0 + c), fnl_v_load(x0 + C + c),
                                                fnl_v_load(x1 + c), fnl_v_load(x1 + C + c)));
        }
        if (c < C) {
            size_t rest = C - c;
            fnl_vf m =
                greatest_of_four(fnl_v_load_part(x0 + c, rest), fnl_v_load_part(x0 + C + c, rest),
                                 fnl_v_load_part(x1 + c, rest), fnl_v_load_part(x1 + C + c, rest));
            fnl_v_store_part(y + c, m, rest);
        }
    }
}

/* lanes channels of one output. */
FNL_INLINE void max_window(const struct fnl_pool_shape *s, const struct window *w, size_t lanes,
                           const float *x, float *y)
{
    const size_t step = tap_step(s);
    fnl_vf m = fnl_v_set(-__builtin_inff());
    fnl_vi nan = {0};
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        const float *at = x + first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            fnl_vf tap = fnl_v_load_n(at, lanes);
            nan |= ~(tap == tap);
            m = fnl_v_max(tap, m);
        }
    }
    fnl_v_store_n(y, (fnl_vf)((fnl_vi)m | nan), lanes);
}

static void max_pool_pixel(const struct fnl_pool_shape *s, const struct window *w, const float *x,
                           float *y)
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
    const bool two_by_two = is_two_by_two(s);
    for (size_t image = 0; image < n; image++, x += (size_t)s->H * row) {
        for (int oh = 0; oh < s->OH; oh++, y += out_row) {
            if (two_by_two) {
                const float *x0 = x + 2 * (size_t)oh * row;
                max_pool_row_2x2((size_t)s->OW, C, x0, x0 + row, y);
                continue;
            }
            for (int ow = 0; ow < s->OW; ow++) {
                struct window w = window_at(s, oh, ow);
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
FNL_INLINE void max_grad_window(const struct fnl_pool_shape *s, const struct window *w,
                                size_t lanes, const float *dy, const float *x, const float *y,
                                bool mask_relu, float *dx)
{
    const size_t step = tap_step(s);
    fnl_vf max = fnl_v_load_n(y, lanes);
    fnl_vf left = arriving(fnl_v_load_n(dy, lanes), max, mask_relu);
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        size_t at = first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            fnl_vf taken = take(fnl_v_load_n(x + at, lanes), max, &left);
            fnl_v_store_n(dx + at, fnl_v_load_n(dx + at, lanes) + taken, lanes);
        }
    }
}

static void max_grad_pixel(const struct fnl_pool_shape *s, const struct window *w, const float *dy,
                           const float *x, const float *y, bool mask_relu, float *dx)
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
    if (is_two_by_two(s)) {
        max_pool_grad_2x2(s, n, dy, x, y, mask_relu, dx);
        return;
    }
    const size_t C = (size_t)s->C, image_size = (size_t)s->H * (size_t)s->W * C;
    memset(dx, 0, n * image_size * sizeof *dx);
    for (size_t image = 0; image < n; image++, x += image_size, dx += image_size) {
        for (int oh = 0; oh < s->OH; oh++) {
            for (int ow = 0; ow < s->OW; ow++, dy += C, y += C) {
                struct window w = window_at(s, oh, ow);
                max_grad_pixel(s, &w, dy, x, y, mask_relu, dx);
            }
        }
    }
}

/* ---- max, with a note for the gradient: which tap won ---- */

typedef uint8_t bytes __attribute__((vector_size(FNL_VL)));

/* Masked outputs, and windows wholly in the padding, take no gradient. */
#define NO_TAP FNL_POOL_NO_TAP

FNL_INLINE void store_taps(uint8_t *to, fnl_vi taps, size_t lanes)
{
#if defined(__AVX512F__)
    const __m128i packed = _mm512_cvtepi32_epi8((__m512i)taps);
#elif defined(__AVX2__)
    const __m256i v = (__m256i)taps;
    const __m128i halves =
        _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i packed = _mm_packus_epi16(halves, halves);
#else
    const bytes packed = __builtin_convertvector(taps, bytes);
#endif
    memcpy(to, &packed, lanes);
}

FNL_INLINE fnl_vi load_taps(const uint8_t *from, size_t lanes)
{
    bytes b = {0};
    memcpy(&b, from, lanes);
#if defined(__AVX2__) && !defined(__AVX512F__)
    return (fnl_vi)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)b));
#else
    return __builtin_convertvector(b, fnl_vi);
#endif
}

/* NO_TAP where a Relu's output is not above 0. */
FNL_INLINE fnl_vi masked(fnl_vi taps, fnl_vf y, bool mask_relu)
{
    return mask_relu ? taps | ((y <= 0.0F) & fnl_vi_set(NO_TAP)) : taps;
}

/* lanes channels of one window of image rows x0, x1. */
FNL_INLINE void max_noted_2x2(size_t C, size_t lanes, bool mask_relu, const float *x0,
                              const float *x1, float *y, uint8_t *taps)
{
    const fnl_vf a = fnl_v_load_n(x0, lanes), b = fnl_v_load_n(x0 + C, lanes);
    const fnl_vf c = fnl_v_load_n(x1, lanes), d = fnl_v_load_n(x1 + C, lanes);
    const fnl_vf max = greatest_of_four(a, b, c, d);
    /* All ones, -1, for each tap that is passed by; the first that is not below the maximum wins.
     */
    const fnl_vi past0 = a < max, past1 = past0 & (b < max), past2 = past1 & (c < max);
    fnl_v_store_n(y, max, lanes);
    store_taps(taps, masked(-(past0 + past1 + past2), max, mask_relu), lanes);
}

FNL_INLINE void max_noted_row_2x2(const struct fnl_pool_shape *s, bool mask_relu, const float *x0,
                                  const float *x1, float *y, uint8_t *taps)
{
    const size_t C = (size_t)s->C;
    for (int ow = 0; ow < s->OW; ow++, x0 += 2 * C, x1 += 2 * C, y += C, taps += C) {
        size_t c = 0;
        for (; c + FNL_VL <= C; c += FNL_VL) {
            max_noted_2x2(C, FNL_VL, mask_relu, x0 + c, x1 + c, y + c, taps + c);
        }
        if (c < C) {
            max_noted_2x2(C, C - c, mask_relu, x0 + c, x1 + c, y + c, taps + c);
        }
    }
}

/* lanes channels of one output. A later tap wins if it is greater, or the first NaN. */
FNL_INLINE void max_noted_window(const struct fnl_pool_shape *s, const struct window *w,
                                 size_t lanes, bool mask_relu, const float *x, float *y,
                                 uint8_t *taps)
{
    const size_t step = tap_step(s);
    fnl_vf max = fnl_v_set(-__builtin_inff());
    fnl_vi won = fnl_vi_set(w->kh0 < w->kh1 ? w->kh0 * s->KW + w->kw0 : NO_TAP);
    fnl_vi nan = {0};
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        const float *at = x + first_tap(s, w, kh);
        for (int kw = w->kw0; kw < w->kw1; kw++, at += step) {
            const fnl_vf tap = fnl_v_load_n(at, lanes);
            nan |= ~(tap == tap);
            const fnl_vi wins = tap > max;
            max = fnl_v_select(wins, tap, max);
            won = (fnl_vi_set(kh * s->KW + kw) & wins) | (won & ~wins);
        }
    }
    /* As max_pool_grad has it: of a NaN the first tap takes everything. */
    const fnl_vi first = fnl_vi_set(w->kh0 * s->KW + w->kw0);
    won = (first & nan) | (won & ~nan);
    max = (fnl_vf)((fnl_vi)max | nan);
    fnl_v_store_n(y, max, lanes);
    store_taps(taps, masked(won, max, mask_relu), lanes);
}

void FNL_K(max_pool_noted)(const struct fnl_pool_shape *s, size_t n, const float *x, bool mask_relu,
                           float *y, uint8_t *taps)
{
    const size_t C = (size_t)s->C, row = (size_t)s->W * C, out_row = (size_t)s->OW * C;
    const bool two_by_two = is_two_by_two(s);
    for (size_t image = 0; image < n; image++, x += (size_t)s->H * row) {
        for (int oh = 0; oh < s->OH; oh++, y += out_row, taps += out_row) {
            if (two_by_two) {
                const float *x0 = x + 2 * (size_t)oh * row;
                if (mask_relu) {
                    max_noted_row_2x2(s, true, x0, x0 + row, y, taps);
                } else {
                    max_noted_row_2x2(s, false, x0, x0 + row, y, taps);
                }
                continue;
            }
            for (int ow = 0; ow < s->OW; ow++) {
                const struct window w = window_at(s, oh, ow);
                for (size_t c = 0, at = (size_t)ow * C; c < C; c += FNL_VL, at += FNL_VL) {
                    max_noted_window(s, &w, C - c < FNL_VL ? C - c : FNL_VL, mask_relu, x + c,
                                     y + at, taps + at);
                }
            }
        }
    }
}

/* lanes channels of one window of image rows dx0, dx1. */
FNL_INLINE void noted_grad_2x2(size_t C, size_t lanes, const float *dy, const uint8_t *taps,
                               float *dx0, float *dx1)
{
    const fnl_vf d = fnl_v_load_n(dy, lanes);
    const fnl_vi won = load_taps(taps, lanes);
    fnl_v_store_n(dx0, fnl_v_and(won == fnl_vi_set(0), d), lanes);
    fnl_v_store_n(dx0 + C, fnl_v_and(won == fnl_vi_set(1), d), lanes);
    fnl_v_store_n(dx1, fnl_v_and(won == fnl_vi_set(2), d), lanes);
    fnl_v_store_n(dx1 + C, fnl_v_and(won == fnl_vi_set(3), d), lanes);
}

static void noted_grad_row_2x2(const struct fnl_pool_shape *s, const float *dy, const uint8_t *taps,
                               float *dx0, float *dx1)
{
    const size_t C = (size_t)s->C, step = 2 * C, left_over = (size_t)(s->W - 2 * s->OW) * C;
    for (int ow = 0; ow < s->OW; ow++) {
        size_t c = 0;
        for (; c + FNL_VL <= C; c += FNL_VL) {
            noted_grad_2x2(C, FNL_VL, dy + c, taps + c, dx0 + c, dx1 + c);
        }
        if (c < C) {
            noted_grad_2x2(C, C - c, dy + c, taps + c, dx0 + c, dx1 + c);
        }
        dy += C, taps += C, dx0 += step, dx1 += step;
    }
    memset(dx0, 0, left_over * sizeof *dx0);
    memset(dx1, 0, left_over * sizeof *dx1);
}

/* One output pixel; dx, an image, is added to. */
static void noted_grad_pixel(const struct fnl_pool_shape *s, const struct window *w,
                             const float *dy, const uint8_t *taps, float *dx)
{
    for (size_t c = 0; c < (size_t)s->C; c++) {
        if (taps[c] != NO_TAP) {
            const int h = w->h0 + taps[c] / s->KW * s->dilation_h;
            const int column = w->w0 + taps[c] % s->KW * s->dilation_w;
            dx[((size_t)h * (size_t)s->W + (size_t)column) * (size_t)s->C + c] += dy[c];
        }
    }
}

void FNL_K(max_pool_noted_grad)(const struct fnl_pool_shape *s, size_t n, const float *dy,
                                const uint8_t *taps, float *dx)
{
    const size_t C = (size_t)s->C, row = (size_t)s->W * C, image_size = (size_t)s->H * row;
    const size_t out_row = (size_t)s->OW * C;
    const bool two_by_two = is_two_by_two(s);
    for (size_t image = 0; image < n; image++, dx += image_size) {
        const size_t written = two_by_two ? 2 * (size_t)s->OH * row : 0;
        memset(dx + written, 0, (image_size - written) * sizeof *dx);
        for (int oh = 0; oh < s->OH; oh++, dy += out_row, taps += out_row) {
            if (two_by_two) {
                float *dx0 = dx + 2 * (size_t)oh * row;
                noted_grad_row_2x2(s, dy, taps, dx0, dx0 + row);
                continue;
            }
            for (int ow = 0; ow < s->OW; ow++) {
                const struct window w = window_at(s, oh, ow);
                noted_grad_pixel(s, &w, dy + (size_t)ow * C, taps + (size_t)ow * C, dx);
            }
        }
    }
}

/* ---- average ---- */

/* Taps of one axis that count: those before the end of the image and its padding. */
static int taps_counted(int start, int dilation, int taps, int padded_end)
{
    int first, end;
    clip_taps(0, dilation, taps, padded_end - start, &first, &end);
    return end;
}

/* What a window's sum is divided by. Padding counts if so asked, what ceil_mode adds beyond it
 * never does (as in PyTorch). */
static float average_divisor(const struct fnl_pool_shape *s, const struct window *w)
{
    int count = w->kh1 > w->kh0 ? (w->kh1 - w->kh0) * (w->kw1 - w->kw0) : 0;
    if (s->count_include_pad) {
        count = taps_counted(w->h0, s->dilation_h, s->KH, s->H + s->pad_bottom) *
                taps_counted(w->w0, s->dilation_w, s->KW, s->W + s->pad_right);
    }
    return count > 0 ? (float)count : 1.0F;
}

FNL_INLINE void average_window(const struct fnl_pool_shape *s, const struct window *w, size_t lanes,
                               const float *x, fnl_vf divisor, float *y)
{
    const size_t step = tap_step(s);
    fnl_vf sum = {0};
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        const float *at = x + first_tap(s, w, kh);
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
            struct window w = window_at(s, pixel / s->OW, pixel % s->OW);
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
FNL_INLINE void average_grad_window(const struct fnl_pool_shape *s, const struct window *w,
                                    size_t lanes, const float *dy, fnl_vf divisor, float *dx)
{
    const size_t step = tap_step(s);
    const fnl_vf part = fnl_v_load_n(dy, lanes) / divisor;
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        float *at = dx + first_tap(s, w, kh);
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
            struct window w = window_at(s, pixel / s->OW, pixel % s->OW);
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
