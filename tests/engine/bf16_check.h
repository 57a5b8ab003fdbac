/* bf16_check.h - sums of bfloat16 products as the kernels' documentation has them: operands rounded
 * to the nearest bfloat16, products added up in pairs of steps, the second of each first. */
#ifndef FNL_TESTS_ENGINE_BF16_CHECK_H
#define FNL_TESTS_ENGINE_BF16_CHECK_H

#include "engine/product_check.h"

/* The nearest bfloat16, the even one of two: by distance, not by bits. */
static inline float bf16_rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t below = bits & 0xFFFF0000u, above = below + 0x10000u;
    float low, high;
    memcpy(&low, &below, sizeof(low));
    memcpy(&high, &above, sizeof(high));
    const double to_low = fabs((double)x - (double)low), to_high = fabs((double)high - (double)x);
    return to_low < to_high || (to_low <= to_high && !(below & 0x10000u)) ? low : high;
}

/* A sum over pairs of steps, the second of each first. */
struct pair_sum {
    float f;
    double d, scale;
    float a, b; /* first of a pair, when half */
    bool half;
};

static inline struct pair_sum pair_sum_from(float start)
{
    return (struct pair_sum){.f = start, .d = (double)start, .scale = fabs((double)start)};
}

static inline void pair_sum_end(struct pair_sum *s)
{
    s->f += s->half ? s->a * s->b : 0;
    s->half = false;
}

static inline void pair_sum_add(struct pair_sum *s, float a, float b)
{
    a = bf16_rounded(a);
    b = bf16_rounded(b);
    s->d += (double)a * (double)b;
    s->scale += fabs((double)a * (double)b);
    if (s->half) {
        s->f += a * b;
        pair_sum_end(s);
    } else {
        s->a = a;
        s->b = b;
        s->half = true;
    }
}

static inline void check_pair_sum(const struct fnl_cpu_kernels *k, const char *what,
                                  const char *shape, size_t index, float got, struct pair_sum *s,
                                  bool relu)
{
    pair_sum_end(s);
    check_sum(what, shape, index, got, relu ? fmax(s->d, 0) : s->d, s->scale);
    const float want = relu && s->f < 0 ? 0 : s->f;
    if (!k->has_bf16 && !(got >= want && got <= want)) {
        fail_msg("%s, %s: element %zu is %.9g, in this order %.9g", what, shape, index, (double)got,
                 (double)want);
    }
}

static inline struct floats floats_untouched(size_t count)
{
    struct floats b = floats_new(count);
    for (size_t i = 0; i < count; i++) {
        b.f[i] = -77;
    }
    return b;
}

static inline void untouched(float x)
{
    assert_true(x >= -77 && x <= -77);
}

#endif
