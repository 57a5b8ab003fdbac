/* error.h - the error object every fallible function fills.
 *
 * Functions return 0 or a negative enum fnl_code and take `struct fnl_error *err` (may be NULL)
 * last. The message says what is wrong and where; the hint says what to do next. */
#ifndef FNL_BASE_ERROR_H
#define FNL_BASE_ERROR_H

#include <stddef.h>

/* code, value, exit status of the program, text */
#define FNL_CODES(X)                                                                               \
    X(OK, 0, 0, "success")                                                                         \
    X(NOMEM, -1, 5, "out of memory")                                                               \
    X(INVALID, -2, 2, "invalid argument")                                                          \
    X(CONFIG, -3, 3, "bad configuration")                                                          \
    X(FORMAT, -4, 3, "bad input")                                                                  \
    X(NOTFOUND, -5, 3, "not found")                                                                \
    X(UNSUPPORTED, -6, 3, "not supported")                                                         \
    X(LIMIT, -7, 3, "limit exceeded")                                                              \
    X(DEVICE, -8, 4, "device not available")                                                       \
    X(BUSY, -9, 4, "resource in use")                                                              \
    X(IO, -10, 5, "input/output error")                                                            \
    X(DIVERGED, -11, 5, "training diverged")                                                       \
    X(INTERRUPTED, -12, 130, "interrupted")                                                        \
    X(INTERNAL, -13, 5, "internal error")                                                          \
    X(DEVICE_LOST, -14, 5, "device lost")

enum fnl_code {
#define FNL_CODE_ENUM(name, value, status, text) FNL_E_##name = (value),
    FNL_CODES(FNL_CODE_ENUM)
#undef FNL_CODE_ENUM
};

struct fnl_error {
    int code;                /* enum fnl_code */
    int source_line;         /* where in Fournil's source it was raised */
    const char *source_file; /* static string */
    char message[768];       /* what and where, no trailing newline */
    char hint[384];          /* what to do next, or "" */
};

#define FNL_ERROR_INIT                                                                             \
    {                                                                                              \
        0, 0, NULL, {0},                                                                           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

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

const char *fnl_code_name(int code); /* "FORMAT" */
const char *fnl_code_text(int code); /* "bad input" */
int fnl_code_status(int code);       /* exit status of the program for this code */

#endif
