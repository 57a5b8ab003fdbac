/* nvrtc.h - NVIDIA's run-time compiler, opened at run time: CUDA C++ to PTX or to machine code,
 * without a GPU or its driver. */
#ifndef FNL_DEVICE_CUDA_NVRTC_H
#define FNL_DEVICE_CUDA_NVRTC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct fnl__nvrtc;

/* Opens it once for the process. FNL_E_NOTFOUND: not installed, FNL_E_UNSUPPORTED: too old; the
 * hint says what to install. */
int fnl__nvrtc_open(const struct fnl__nvrtc **ret_nvrtc, struct fnl_error *err);
/* Test hook: the next call opens it afresh. */
void fnl__nvrtc_forget(void);

/* "13.0" */
const char *fnl__nvrtc_version(const struct fnl__nvrtc *nvrtc);
/* The best architecture that it knows for a device of this compute capability (75 is 7.5): the
 * highest that is not above it; 0: the device is older than all it knows. */
int fnl__nvrtc_arch(const struct fnl__nvrtc *nvrtc, int capability);
/* Does it know exactly this one? */
bool fnl__nvrtc_knows(const struct fnl__nvrtc *nvrtc, int capability);

struct fnl__nvrtc_job {
    const char *name; /* file, for the compiler's messages: "gemm.k" */
    const char *source;
    const char *defines; /* "-DA=1 -DB", or "" */
    int arch;            /* 75 */
    bool machine_code;   /* a cubin for just this architecture, with its resources in the log */
};

/* *ret_image (fnl_free) is NUL-terminated beyond *ret_size; *ret_log (fnl_free; may be NULL) is
 * what the compiler said. FNL_E_INTERNAL: the source is wrong, the message is the compiler's.
 * FNL_E_UNSUPPORTED: the compiler itself does not work. */
int fnl__nvrtc_compile(const struct fnl__nvrtc *nvrtc, const struct fnl__nvrtc_job *job,
                       char **ret_image, size_t *ret_size, char **ret_log, struct fnl_error *err);

#endif
