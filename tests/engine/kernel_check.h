/* kernel_check.h - what the tests of the CPU kernels share: arrays that end where memory ends,
 * numbers to fill them, and comparisons that say where they failed. */
#ifndef FNL_TESTS_ENGINE_KERNEL_CHECK_H
#define FNL_TESTS_ENGINE_KERNEL_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/backend/cpu/kernels.h"

/* ---- arrays whose last byte is the last before a page nobody may touch, with another such page in
 * front: a kernel that reads or writes one vector too far is killed, sanitizer or not ---- */
#define EDGE_ARRAYS 64

static struct {
    void *map;
    size_t size;
} edge_array[EDGE_ARRAYS];
static int edge_array_count;

static inline void *edge_bytes(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (size + page - 1) / page * page, total = room + 2 * page;
    unsigned char *map =
        mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_true(edge_array_count < EDGE_ARRAYS);
    assert_int_equal(mprotect(map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(map + page + room, page, PROT_NONE), 0);
    edge_array[edge_array_count].map = map;
    edge_array[edge_array_count++].size = total;
    return map + page + room - size;
}

static inline float *edge_floats(size_t count)
{
    return edge_bytes(count * sizeof(float));
}

static inline double *edge_doubles(size_t count)
{
    return edge_bytes(count * sizeof(double));
}

static inline void edge_free_all(void)
{
    while (edge_array_count > 0) {
        edge_array_count--;
        munmap(edge_array[edge_array_count].map, edge_array[edge_array_count].size);
    }
}

/* ---- numbers: xorshift64*, the same in every run ---- */
static uint64_t check_state = 0x9E3779B97F4A7C15U;

static inline uint32_t check_word(void)
{
    check_state ^= check_state >> 12;
    check_state ^= check_state << 25;
    check_state ^= check_state >> 27;
    return (uint32_t)((check_state * 0x2545F4914F6CDD1DU) >> 32);
}

static inline float check_uniform(float low, float high)
{
    return low + (high - low) * ((float)(check_word() >> 8) * 0x1p-24F);
}

static inline float *filled_floats(size_t count, float low, float high)
{
    float *p = edge_floats(count);
    for (size_t i = 0; i < count; i++) {
        p[i] = check_uniform(low, high);
    }
    return p;
}

static inline float *copied_floats(size_t count, const float *src)
{
    float *p = edge_floats(count);
    memcpy(p, src, count * sizeof *p);
    return p;
}

/* A copy may be of nothing, so that loops over lengths may start at 0. */
static inline bool same_bits(const float *a, const float *b, size_t count)
{
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

/* ---- comparisons ---- */

/* |got - want| <= tolerance * (scale + |want|); NaN and infinities must be the same. */
static inline void check_close(const char *what, const char *isa, size_t index, double got,
                               double want, double tolerance, double scale)
{
    bool good = fabs(got - want) <= tolerance * (scale + fabs(want));
    if (isnan(want) || isnan(got)) {
        good = isnan(want) && isnan(got);
    } else if (isinf(want) || isinf(got)) {
        good = got == want;
    }
    if (!good) {
        fail_msg("%s (%s): element %zu is %.9g, must be %.9g", what, isa, index, got, want);
    }
}

/* Runs check(table) for every table this CPU has. */
static inline void for_each_table(void (*check)(const struct fnl_cpu_kernels *k))
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        check(list[i]);
        edge_free_all();
    }
}

#endif
