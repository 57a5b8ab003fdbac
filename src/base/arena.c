/* arena.c - many allocations, one free. Blocks double from 4 KiB to 1 MiB; an item larger than a
 * quarter of the next block gets a block of its own, so that little is wasted. Blocks come zeroed.
 * Cost: a pointer bump. In a build with FNL_ARENA_MALLOC (always so under AddressSanitizer) each
 * item is its own block, so that tools see an overrun of each. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) && !defined(FNL_ARENA_MALLOC)
#define FNL_ARENA_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(FNL_ARENA_MALLOC)
#define FNL_ARENA_MALLOC 1
#endif
#endif

#define ALIGN 16u
#define BLOCK_MIN ((size_t)4 << 10)
#define BLOCK_MAX ((size_t)1 << 20)

struct fnl_arena_block {
    struct fnl_arena_block *next;
    size_t used, capacity;
    _Alignas(ALIGN) unsigned char data[];
};

void fnl_arena_init(struct fnl_arena *a, size_t max_bytes)
{
    *a = (struct fnl_arena){NULL, 0, max_bytes};
}

static struct fnl_arena_block *block_new(size_t capacity)
{
    struct fnl_arena_block *b = fnl_calloc(1, sizeof *b + capacity);
    if (b != NULL) {
        b->capacity = capacity;
    }
    return b;
}

#ifdef FNL_ARENA_MALLOC
static void *take(struct fnl_arena *a, size_t size, size_t rounded)
{
    (void)rounded;
    struct fnl_arena_block *b = block_new(size);
    if (b == NULL) {
        return NULL;
    }
    b->used = size;
    b->next = a->head;
    a->head = b;
    return b->data;
}
#else
static void *take(struct fnl_arena *a, size_t size, size_t rounded)
{
    (void)size;
    struct fnl_arena_block *head = a->head;
    if (head == NULL || head->capacity - head->used < rounded) {
        size_t capacity = head == NULL ? BLOCK_MIN : head->capacity * 2;
        capacity = capacity > BLOCK_MAX ? BLOCK_MAX : capacity;
        if (rounded > capacity / 4 && head != NULL) {
            /* A block of its own, behind the head, whose rest stays in use. */
            struct fnl_arena_block *own = block_new(rounded);
            if (own == NULL) {
                return NULL;
            }
            own->used = rounded;
            own->next = head->next;
            head->next = own;
            return own->data;
        }
        struct fnl_arena_block *b = block_new(capacity > rounded ? capacity : rounded);
        if (b == NULL) {
            return NULL;
        }
        b->next = head;
        a->head = head = b;
    }
    void *p = head->data + head->used;
    head->used += rounded;
    return p;
}
#endif

void *fnl_arena_alloc(struct fnl_arena *a, size_t size)
{
    if (size > PTRDIFF_MAX - ALIGN) {
        return NULL;
    }
    size_t rounded = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (rounded == 0) {
        rounded = ALIGN;
    }
    if (rounded > a->max_bytes - a->used_bytes) {
        return NULL;
    }
    void *p = take(a, size, rounded);
    if (p != NULL) {
        a->used_bytes += rounded;
    }
    return p;
}

void *fnl_arena_array(struct fnl_arena *a, size_t count, size_t size)
{
    size_t total = 0;
    return __builtin_mul_overflow(count, size, &total) ? NULL : fnl_arena_alloc(a, total);
}

char *fnl_arena_strdup(struct fnl_arena *a, const char *s)
{
    return fnl_arena_strndup(a, s, SIZE_MAX);
}

char *fnl_arena_strndup(struct fnl_arena *a, const char *s, size_t n)
{
    size_t size = n == SIZE_MAX ? strlen(s) : strnlen(s, n);
    char *copy = fnl_arena_alloc(a, size + 1);
    if (copy != NULL) {
        memcpy(copy, s, size);
    }
    return copy;
}

char *fnl_arena_printf(struct fnl_arena *a, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *text = NULL;
    if (n >= 0 && (unsigned)n < FNL_MAX_FORMATTED_BYTES) {
        text = fnl_arena_alloc(a, (size_t)n + 1);
        if (text != NULL) {
            (void)vsnprintf(text, (size_t)n + 1, format, again);
        }
    }
    va_end(again);
    return text;
}

void fnl_arena_free(struct fnl_arena *a)
{
    struct fnl_arena_block *b = a->head;
    while (b != NULL) {
        struct fnl_arena_block *next = b->next;
        fnl_free(b);
        b = next;
    }
    a->head = NULL;
    a->used_bytes = 0;
}
