/* buf.h - the growing byte buffer. Its maximum is set at birth; an append beyond it (or out of
 * memory) makes the buffer fail, stick, and every later append a no-op, so that callers check
 * once at the end. Always NUL-terminated when not failed. */
#ifndef FNL_BASE_BUF_H
#define FNL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct fnl_buf {
    char *data; /* NULL until the first append */
    size_t size;
    size_t capacity;
    size_t max; /* of size; the NUL does not count */
    bool failed;
    int code; /* of the first failure: FNL_E_NOMEM or FNL_E_LIMIT; 0 while not failed */
};

void fnl_buf_init(struct fnl_buf *b, size_t max);
void fnl_buf_free(struct fnl_buf *b);
void fnl_buf_reset(struct fnl_buf *b); /* size 0, memory kept, failure cleared */
int fnl_buf_append(struct fnl_buf *b, const void *data, size_t size); /* 0 or FNL_E_NOMEM/LIMIT */
int fnl_buf_puts(struct fnl_buf *b, const char *s);
int fnl_buf_printf(struct fnl_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int fnl_buf_vprintf(struct fnl_buf *b, const char *format, va_list ap);
int fnl_buf_reserve(struct fnl_buf *b, size_t extra);

#endif
