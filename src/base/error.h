/* error.h - the error object every fallible function fills; what it looks like, and its codes, are
 * public (fournil/error.h). Here stands how it is raised. */
#ifndef FNL_BASE_ERROR_H
#define FNL_BASE_ERROR_H

#include <stddef.h>

#include "fournil/error.h"

/* Fills err (when not NULL) and returns code, so that callers write `return FNL_FAIL(...)`.
 * hint may be NULL. */
int fnl_error_set(struct fnl_error *err, int code, const char *source_file, int source_line,
                  const char *hint, const char *format, ...) __attribute__((format(printf, 6, 7)));

#define FNL_FAIL(err, code, hint, ...)                                                             \
    fnl_error_set((err), FNL_E_##code, __FILE__, __LINE__, (hint), __VA_ARGS__)

/* Puts "context: " in front of the message; code and hint stay. Returns err->code (or code given
 * when err is NULL). */
int fnl_error_context(struct fnl_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the hint from a format. */
void fnl_error_hint(struct fnl_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
