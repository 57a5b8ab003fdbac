/* mem.h - the only way to allocate. Counts allocations (a training step must make none, and a test
 * checks it) and can be told to fail the n-th one (torture tests). */
#ifndef FNL_BASE_MEM_H
#define FNL_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#define FNL_CACHE_LINE 64

/* All return NULL on failure; sizes are checked for overflow. Zeroed memory from fnl_calloc. */
void *fnl_malloc(size_t size);
void *fnl_calloc(size_t count, size_t size);
void *fnl_realloc(void *p, size_t size);
char *fnl_strdup(const char *s);
char *fnl_strndup(const char *s, size_t n);
/* 64-byte aligned and zeroed; freed with fnl_free. Large blocks ask for transparent huge pages. */
void *fnl_alloc_aligned(size_t size);
/* Asks for huge pages for a large fresh block of any of the above that will be read here and there,
 * so that each jump does not cost a walk of the page tables. Advice only; before the first touch.
 */
void fnl_mem_huge(void *p, size_t size);
void fnl_free(void *p); /* takes NULL */

uint64_t fnl_mem_alloc_count(void); /* allocations since start, all threads */
/* Test hook: the n-th allocation from now fails (1 = the next); 0 turns it off. */
void fnl_mem_fail_at(uint64_t n);

#endif
