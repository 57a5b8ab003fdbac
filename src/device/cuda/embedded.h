/* embedded.h - PTX made when Fournil was built, for machines with a driver and no NVRTC. The table
 * is made by tools/embed_ptx.c; where the build had no NVRTC it is empty. Deflated: as text it
 * would be twice as large as the rest of the program. */
#ifndef FNL_DEVICE_CUDA_EMBEDDED_H
#define FNL_DEVICE_CUDA_EMBEDDED_H

#include <stddef.h>

struct fnl__cuda_embedded {
    const char *name;    /* "gemm" of gemm.k */
    const char *defines; /* "", "-DA=1" */
    const unsigned char *deflated;
    size_t deflated_size, size; /* of the text */
};

extern const struct fnl__cuda_embedded fnl__cuda_embedded[]; /* the last has name NULL */
extern const char fnl__cuda_embedded_by[];                   /* "13.0": NVRTC's version; or "" */

/* The text (fnl_free); NULL: out of memory. */
char *fnl__cuda_embedded_ptx(const struct fnl__cuda_embedded *e);

#endif
