/* embedded.h - PTX made when Fournil was built, for machines with a driver and no NVRTC. The table
 * is made by tools/embed_ptx.c; where the build had no NVRTC it is empty. */
#ifndef FNL_DEVICE_CUDA_EMBEDDED_H
#define FNL_DEVICE_CUDA_EMBEDDED_H

struct fnl__cuda_embedded {
    const char *name;    /* "gemm" of gemm.k */
    const char *defines; /* "", "-DA=1" */
    const char *ptx;
};

extern const struct fnl__cuda_embedded fnl__cuda_embedded[]; /* the last has name NULL */
extern const char fnl__cuda_embedded_by[];                   /* "13.0": NVRTC's version; or "" */

#endif
