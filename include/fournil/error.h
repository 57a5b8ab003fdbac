/* error.h - errors are values.
 *
 * Functions of libfournil return 0 or a negative enum fnl_code and take `struct fnl_error *err`
 * (may be NULL) last. The message says what is wrong and where; the hint says what to do next.
 * Nothing prints, exits or keeps an error for later. Outputs (ret_x) are written on success only.
 */
#ifndef FOURNIL_ERROR_H
#define FOURNIL_ERROR_H

#include <stddef.h>

#include "fournil/visibility.h"

#ifdef __cplusplus
extern "C" {
#endif

/* code, value, exit status that suits a program, text */
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

FNL_API const char *fnl_code_name(int code); /* "FORMAT" */
FNL_API const char *fnl_code_text(int code); /* "bad input" */
FNL_API int fnl_code_status(int code);       /* exit status of a program for this code */

#ifdef __cplusplus
}
#endif

#endif
