/* convert.c - bytes or floats to normalised floats: y = x * mul[channel] + add[channel], one
 * multiply, then one add. The file is compiled without contraction, so no build and no CPU fuses
 * the two, and an ONNX Mul and Add give the same bits.
 *
 * mul and add are expanded to a pattern of whole channels (24 entries for 3 channels), so that
 * every loop is a plain one over contiguous memory that compilers turn into vectors. On x86 each
 * loop is also compiled for AVX2 and chosen when a loader is made. Measured figures:
 * docs/internals/data.md.
 */
#include <string.h>

#include "base/mem.h"
#include "data/data_int.h"

#define PATTERN_MIN 16u /* elements: below, the inner loop is too short */
#define INLINE static inline __attribute__((always_inline))

/* --- bodies, inlined into one function per instruction set ------------------------------------ */

INLINE void u8_plain(const uint8_t *restrict x, float *restrict y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = (float)x[i];
    }
}

INLINE void u8_one(float mul, float add, const uint8_t *restrict x, float *restrict y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float scaled = (float)x[i] * mul;
        y[i] = scaled + add;
    }
}

INLINE void u8_pattern(const float *restrict mul, const float *restrict add, size_t pattern,
                       const uint8_t *restrict x, float *restrict y, size_t count)
{
    for (; count >= pattern; count -= pattern, x += pattern, y += pattern) {
        for (size_t i = 0; i < pattern; i++) {
            float scaled = (float)x[i] * mul[i];
            y[i] = scaled + add[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        float scaled = (float)x[i] * mul[i];
        y[i] = scaled + add[i];
    }
}

INLINE void f32_one(float mul, float add, const float *restrict x, float *restrict y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float scaled = x[i] * mul;
        y[i] = scaled + add;
    }
}

INLINE void f32_pattern(const float *restrict mul, const float *restrict add, size_t pattern,
                        const float *restrict x, float *restrict y, size_t count)
{
    for (; count >= pattern; count -= pattern, x += pattern, y += pattern) {
        for (size_t i = 0; i < pattern; i++) {
            float scaled = x[i] * mul[i];
            y[i] = scaled + add[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        float scaled = x[i] * mul[i];
        y[i] = scaled + add[i];
    }
}

INLINE void convert_u8(const struct fnl__convert *c, const uint8_t *x, float *y, size_t count)
{
    if (c->channels == 0) {
        u8_plain(x, y, count);
    } else if (c->channels == 1) {
        u8_one(c->mul[0], c->add[0], x, y, count);
    } else if (c->pattern == 24) {
        u8_pattern(c->mul, c->add, 24, x, y, count); /* a constant: the inner loop is unrolled */
    } else {
        u8_pattern(c->mul, c->add, c->pattern, x, y, count);
    }
}

INLINE void convert_f32(const struct fnl__convert *c, const float *x, float *y, size_t count)
{
    if (c->channels == 0) {
        memcpy(y, x, count * sizeof *y);
    } else if (c->channels == 1) {
        f32_one(c->mul[0], c->add[0], x, y, count);
    } else {
        f32_pattern(c->mul, c->add, c->pattern, x, y, count);
    }
}

/* --- instruction sets ------------------------------------------------------------------------- */

static void convert_u8_any(const struct fnl__convert *c, const uint8_t *x, float *y, size_t count)
{
    convert_u8(c, x, y, count);
}

static void convert_f32_any(const struct fnl__convert *c, const float *x, float *y, size_t count)
{
    convert_f32(c, x, y, count);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
convert_u8_avx2(const struct fnl__convert *c, const uint8_t *x, float *y, size_t count)
{
    convert_u8(c, x, y, count);
}

__attribute__((target("avx2"))) static void convert_f32_avx2(const struct fnl__convert *c,
                                                             const float *x, float *y, size_t count)
{
    convert_f32(c, x, y, count);
}
#endif

static void choose(struct fnl__convert *c)
{
    c->u8 = convert_u8_any;
    c->f32 = convert_f32_any;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        c->u8 = convert_u8_avx2;
        c->f32 = convert_f32_avx2;
    }
#endif
}

int fnl__convert_init(struct fnl__convert *c, const struct fnl_normalization *n,
                      struct fnl_error *err)
{
    *c = (struct fnl__convert){.channels = n != NULL ? n->channels : 0};
    choose(c);
    if (c->channels == 0) {
        return 0;
    }
    size_t channels = (size_t)c->channels;
    c->pattern = channels == 3 ? 24 : (PATTERN_MIN + channels - 1) / channels * channels;
    float *mul = fnl_calloc(2 * c->pattern, sizeof *mul);
    if (mul == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory for normalisation");
    }
    c->mul = mul;
    c->add = mul + c->pattern;
    for (size_t i = 0; i < c->pattern; i++) {
        c->mul[i] = n->mul[i % channels];
        c->add[i] = n->add[i % channels];
    }
    return 0;
}

void fnl__convert_free(struct fnl__convert *c)
{
    fnl_free(c->mul);
    c->mul = NULL;
    c->add = NULL;
}
