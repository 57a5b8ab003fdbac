/* pool_noted.c - max pooling that notes for the gradient which tap won, a byte an output, and the
 * gradient from these notes alone (pool.h).
 *
 * Outputs and gradients are those of pool_max.c. Two-by-two windows side by side have a path of
 * their own here too. */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/pool.h"

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
    const fnl_vf max = fnl_pool_greatest_of_four(a, b, c, d);
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
FNL_INLINE void max_noted_window(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
                                 size_t lanes, bool mask_relu, const float *x, float *y,
                                 uint8_t *taps)
{
    const size_t step = fnl_pool_tap_step(s);
    fnl_vf max = fnl_v_set(-__builtin_inff());
    fnl_vi won = fnl_vi_set(w->kh0 < w->kh1 ? w->kh0 * s->KW + w->kw0 : NO_TAP);
    fnl_vi nan = {0};
    for (int kh = w->kh0; kh < w->kh1; kh++) {
        const float *at = x + fnl_pool_first_tap(s, w, kh);
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
    const bool two_by_two = fnl_pool_is_two_by_two(s);
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
                const struct fnl_pool_window w = fnl_pool_window_at(s, oh, ow);
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
static void noted_grad_pixel(const struct fnl_pool_shape *s, const struct fnl_pool_window *w,
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
    const bool two_by_two = fnl_pool_is_two_by_two(s);
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
                const struct fnl_pool_window w = fnl_pool_window_at(s, oh, ow);
                noted_grad_pixel(s, &w, dy + (size_t)ow * C, taps + (size_t)ow * C, dx);
            }
        }
    }
}
