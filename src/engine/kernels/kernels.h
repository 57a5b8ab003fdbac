/* kernels.h - the sources of the GPU kernels, which travel in the program as text: they are
 * compiled on the machine that runs them, by its own driver. The table is made from *.k at build
 * time. */
#ifndef FNL_ENGINE_KERNELS_KERNELS_H
#define FNL_ENGINE_KERNELS_KERNELS_H

struct fnl_kernel_file {
    const char *name;   /* "gemm" of gemm.k */
    const char *source; /* without the dialect */
};

extern const char fnl__kernel_dialect[];
extern const struct fnl_kernel_file fnl__kernel_files[]; /* the last has name NULL */

/* The defines that a GPU's driver compiles the file with, one after the other: "" alone for most,
 * those of each tile (tiles.h) for those that include tile.kh. NULL: no more. */
const char *fnl__kernel_gpu_defines(const struct fnl_kernel_file *file, int index);

#endif
