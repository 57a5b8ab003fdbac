/* gpu_product.h - what products of matrices and convolutions share: tiles (kernels/tile.kh) and how
 * one is chosen. */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_PRODUCT_H
#define FNL_ENGINE_BACKEND_GPU_GPU_PRODUCT_H

#include "engine/backend/gpu/gpu.h"

enum fnl_gpu_product_file {
    FNL_GPU_GEMM,
    FNL_GPU_CONV,
    FNL_GPU_CONV_STRIDED,
    FNL_GPU_CONV_WEIGHTS,
    FNL_GPU_PRODUCTS
};

struct fnl_gpu_tile {
    const char *file[FNL_GPU_PRODUCTS]; /* with defines, as fnl__gpu_call takes it */
    uint32_t rows, columns;             /* outputs of a group */
    uint32_t step;                      /* of k */
    uint32_t threads;
    uint32_t local_bytes;
    bool processor; /* for OpenCL on a processor; others are for GPUs, and run there too */
};

extern const struct fnl_gpu_tile fnl__gpu_tiles[];
extern const int fnl__gpu_tile_count;

/* How to cut a product of M x N sums over K, of which `count` are made side by side. */
struct fnl_gpu_cut {
    const struct fnl_gpu_tile *tile;
    size_t tiles;  /* groups along x */
    size_t splits; /* parts of K; 1: the sum is whole */
    size_t chunk;  /* k of a part, a multiple of the tile's step */
};

/* scratch_bytes: room for the parts, each M * N * count + sums floats. */
void fnl__gpu_cut(const struct fnl_gpu_emit *emit, size_t M, size_t N, size_t K, size_t count,
                  size_t sums, size_t scratch_bytes, struct fnl_gpu_cut *ret_cut);
/* For plan(): enough scratch for any cut of such a product. */
size_t fnl__gpu_cut_scratch(size_t M, size_t N, size_t K, size_t count, size_t sums);

/* Tests: this tile, and so many parts, wherever they are possible; -1 and 0: chosen again. Not
 * thread-safe. */
void fnl__gpu_cut_force(int tile, size_t splits);

/* Flags of gemm.k, conv.k and split.k. */
enum fnl_gpu_product_flags {
    FNL_GPU_A_K_FAST = 1,
    FNL_GPU_A_QUADS = 2,
    FNL_GPU_B_K_FAST = 4,
    FNL_GPU_B_QUADS = 8,
    FNL_GPU_RELU = 16,
    FNL_GPU_MASK = 32,
    FNL_GPU_BIAS = 64,
    FNL_GPU_SUM_A = 128,
    FNL_GPU_SUM_B = 256,
    FNL_GPU_SPLIT = 512,
};
/* RELU, MASK and BIAS as the step asks for. */
uint32_t fnl__gpu_product_flags(const struct fnl_step *step);

/* The second stage: adds `splits` parts of M * N sums and `sums` more from the step's scratch. */
struct fnl_gpu_join {
    size_t M, N, sums, splits;
    uint32_t flags;
    float alpha, beta;
    size_t bias_m, bias_n;
};
int fnl__gpu_join(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                  const struct fnl_gpu_join *join, struct fnl_error *err);

#endif
