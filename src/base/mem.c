/* mem.c - allocation with a counter and a failure switch. Everything comes from malloc's family, so
 * fnl_free is free() for all of it and leak checkers see each block. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static _Atomic uint64_t alloc_count;
static _Atomic uint64_t fail_countdown; /* 0 = off */

/* Counts one allocation; true when it is the one that must fail. */
static bool must_fail(void)
{
    atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
    uint64_t n = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    while (n != 0) {
        if (atomic_compare_exchange_weak_explicit(&fail_countdown, &n, n - 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return n == 1;
        }
    }
    return false;
}

void *fnl_malloc(size_t size)
{
    if (size > PTRDIFF_MAX || must_fail()) {
        return NULL;
    }
    return malloc(size != 0 ? size : 1); /* NULL means failure only */
}

void *fnl_calloc(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX || must_fail()) {
        return NULL;
    }
    return calloc(1, total != 0 ? total : 1);
}

void *fnl_realloc(void *p, size_t size)
{
    if (size > PTRDIFF_MAX || must_fail()) {
        return NULL;
    }
    return realloc(p, size != 0 ? size : 1);
}

char *fnl_strdup(const char *s)
{
    return fnl_strndup(s, SIZE_MAX);
}

char *fnl_strndup(const char *s, size_t n)
{
    size_t size = n == SIZE_MAX ? strlen(s) : strnlen(s, n);
    char *copy = fnl_malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, s, size);
        copy[size] = 0;
    }
    return copy;
}

void fnl_mem_huge(void *p, size_t size)
{
    uintptr_t begin = ((uintptr_t)p + HUGE_PAGE_BYTES - 1) & ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)p + size) & ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
    if (begin < end) {
        /* Kernels without huge pages refuse it harmlessly. */
        (void)madvise((char *)p + (begin - (uintptr_t)p), end - begin, MADV_HUGEPAGE);
    }
}

void *fnl_alloc_aligned(size_t size)
{
    if (size > PTRDIFF_MAX - HUGE_PAGE_BYTES || must_fail()) {
        return NULL;
    }
    /* Whole cache lines: kernels may read a full vector at the end of the last row. */
    size_t rounded = (size + FNL_CACHE_LINE - 1) / FNL_CACHE_LINE * FNL_CACHE_LINE;
    if (rounded == 0) {
        rounded = FNL_CACHE_LINE;
    }
    bool huge = rounded >= HUGE_PAGE_BYTES;
    void *p = NULL;
    if (posix_memalign(&p, huge ? HUGE_PAGE_BYTES : FNL_CACHE_LINE, rounded) != 0) {
        return NULL;
    }
    if (huge) {
        fnl_mem_huge(p, rounded); /* before the first touch */
    }
    memset(p, 0, rounded);
    return p;
}

void fnl_free(void *p)
{
    free(p);
}

uint64_t fnl_mem_alloc_count(void)
{
    return atomic_load_explicit(&alloc_count, memory_order_relaxed);
}

void fnl_mem_fail_at(uint64_t n)
{
    atomic_store_explicit(&fail_countdown, n, memory_order_relaxed);
}
