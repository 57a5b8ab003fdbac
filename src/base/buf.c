/* buf.c - the growing byte buffer. Invariants while not failed: size <= max, and when data is not
 * NULL, size < capacity and data[size] == 0. After a failure the bytes so far stay readable. Grows
 * by doubling: an append costs its bytes, amortised. */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define CAPACITY_MIN 64u

void fnl_buf_init(struct fnl_buf *b, size_t max)
{
    *b = (struct fnl_buf){.max = max < PTRDIFF_MAX ? max : PTRDIFF_MAX - 1};
}

void fnl_buf_free(struct fnl_buf *b)
{
    fnl_free(b->data);
    *b = (struct fnl_buf){.max = b->max};
}

void fnl_buf_reset(struct fnl_buf *b)
{
    b->size = 0;
    b->failed = false;
    b->code = 0;
    if (b->data != NULL) {
        b->data[0] = 0;
    }
}

static int fail(struct fnl_buf *b, int code)
{
    b->failed = true;
    b->code = code;
    return code;
}

int fnl_buf_reserve(struct fnl_buf *b, size_t extra)
{
    if (b->failed) {
        return b->code;
    }
    if (extra > b->max - b->size) {
        return fail(b, FNL_E_LIMIT);
    }
    size_t need = b->size + extra + 1;
    if (need <= b->capacity) {
        return 0;
    }
    size_t capacity = b->capacity < CAPACITY_MIN / 2 ? CAPACITY_MIN : b->capacity * 2;
    if (capacity > b->max + 1) {
        capacity = b->max + 1;
    }
    if (capacity < need) {
        capacity = need;
    }
    char *data = fnl_realloc(b->data, capacity);
    if (data == NULL) {
        return fail(b, FNL_E_NOMEM);
    }
    data[b->size] = 0;
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int fnl_buf_append(struct fnl_buf *b, const void *data, size_t size)
{
    int rc = fnl_buf_reserve(b, size);
    if (rc != 0) {
        return rc;
    }
    if (size != 0) {
        memcpy(b->data + b->size, data, size);
    }
    b->size += size;
    b->data[b->size] = 0;
    return 0;
}

int fnl_buf_puts(struct fnl_buf *b, const char *s)
{
    return fnl_buf_append(b, s, strlen(s));
}

int fnl_buf_vprintf(struct fnl_buf *b, const char *format, va_list ap)
{
    if (b->failed) {
        return b->code;
    }
    va_list again;
    va_copy(again, ap);
    size_t room = b->capacity - b->size; /* 0 when there is no data yet */
    int n = vsnprintf(room != 0 ? b->data + b->size : NULL, room, format, ap);
    int rc = 0;
    if (n < 0) {
        rc = fail(b, FNL_E_LIMIT); /* the result is longer than INT_MAX */
    } else if ((size_t)n > b->max - b->size || (size_t)n >= room) {
        rc = fnl_buf_reserve(b, (size_t)n);
        if (rc == 0) {
            n = vsnprintf(b->data + b->size, (size_t)n + 1, format, again);
        }
    }
    va_end(again);
    if (rc == 0) {
        b->size += (size_t)n;
    } else if (b->data != NULL) {
        b->data[b->size] = 0; /* undo what the first try wrote */
    }
    return rc;
}

int fnl_buf_printf(struct fnl_buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int rc = fnl_buf_vprintf(b, format, ap);
    va_end(ap);
    return rc;
}
