/* product_check.h - buffers and comparisons for the tests of the CPU kernels. */
#ifndef FNL_TESTS_ENGINE_PRODUCT_CHECK_H
#define FNL_TESTS_ENGINE_PRODUCT_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/backend/cpu/kernels.h"

/* A block of exactly `count` floats, so that a sanitizer sees the first one read or written
 * outside; not aligned beyond a float, as a caller's rows may be. */
struct floats {
    void *block;
    float *f;
    size_t count;
};

static inline struct floats floats_new(size_t count)
{
    struct floats b = {.count = count};
    b.block = malloc((count + 1) * sizeof(float));
    assert_non_null(b.block);
    b.f = (float *)b.block + 1;
    return b;
}

/* Scratch and weights are aligned, as the executor's are. */
static inline struct floats floats_aligned(size_t count)
{
    struct floats b = {.count = count};
    assert_int_equal(posix_memalign(&b.block, 64, count ? count * sizeof(float) : 1), 0);
    b.f = b.block;
    for (size_t i = 0; i < count; i++) {
        b.f[i] = NAN; /* nothing may lean on what scratch held */
    }
    return b;
}

static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline struct floats floats_random(size_t count, uint32_t seed)
{
    struct floats b = floats_new(count);
    for (size_t i = 0; i < count; i++) {
        b.f[i] = (float)next_random(&seed) / 8388608.0f - 1.0f;
    }
    return b;
}

static inline void floats_free(struct floats *b)
{
    free(b->block);
}

/* got is a float32 sum of terms whose absolute values add up to scale; want is the sum in double.
 */
static inline void check_sum(const char *what, const char *shape, size_t index, float got,
                             double want, double scale)
{
    if (!(fabs((double)got - want) <= 4e-6 * scale + 1e-30)) {
        fail_msg("%s, %s: element %zu is %.9g, should be %.9g", what, shape, index, (double)got,
                 want);
    }
}

/* ---- matrices in panels ---- */

static inline size_t panel_floats(const struct fnl_cpu_kernels *k, size_t K, size_t N)
{
    const size_t panel = (size_t)k->panel;
    return (N + panel - 1) / panel * panel * K;
}

/* plain[K][N] in panels. */
static inline struct floats pack_panels(const struct fnl_cpu_kernels *k, size_t K, size_t N,
                                        const float *plain)
{
    struct floats panels = floats_aligned(panel_floats(k, K, N));
    k->panel_pack(K, N, plain, (ptrdiff_t)N, 1, panels.f);
    return panels;
}

#endif
