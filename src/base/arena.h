/* arena.h - memory with one lifetime: many small allocations, freed together. */
#ifndef FNL_BASE_ARENA_H
#define FNL_BASE_ARENA_H

#include <stddef.h>

struct fnl_arena {
    struct fnl_arena_block *head; /* newest block first */
    size_t used_bytes;            /* sum of all allocations */
    size_t max_bytes;             /* limit set at birth */
};

void fnl_arena_init(struct fnl_arena *a, size_t max_bytes);
/* 16-byte aligned, zeroed; NULL when memory or the limit ends. */
void *fnl_arena_alloc(struct fnl_arena *a, size_t size);
void *fnl_arena_array(struct fnl_arena *a, size_t count, size_t size); /* overflow-checked */
char *fnl_arena_strdup(struct fnl_arena *a, const char *s);
char *fnl_arena_strndup(struct fnl_arena *a, const char *s, size_t n);
char *fnl_arena_printf(struct fnl_arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void fnl_arena_free(struct fnl_arena *a);

#endif
