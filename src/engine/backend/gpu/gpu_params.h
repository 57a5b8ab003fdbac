/* gpu_params.h - the parameter blocks of a network on a device. */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_PARAMS_H
#define FNL_ENGINE_BACKEND_GPU_GPU_PARAMS_H

#include "engine/backend/gpu/gpu.h"

struct fnl_gpu_params {
    struct fnl_gpu *gpu;
    struct fnl_accel_buf *block[3]; /* as fnl_params.block */
    size_t size[3];                 /* floats of each */
};

/* device: "opencl:0". Blocks come with fnl__gpu_params_alloc. */
int fnl__gpu_params_create(const char *device, struct fnl_gpu_params **ret_params,
                           struct fnl_error *err);
void fnl__gpu_params_free(struct fnl_gpu_params *p); /* takes NULL */
/* floats of zeros. */
int fnl__gpu_params_alloc(struct fnl_gpu_params *p, int block, size_t floats,
                          struct fnl_error *err);
/* count floats at `offset` of a block. The transfer is over on return. */
int fnl__gpu_params_read(const struct fnl_gpu_params *p, int block, size_t offset, size_t count,
                         float *dst, struct fnl_error *err);
int fnl__gpu_params_write(struct fnl_gpu_params *p, int block, size_t offset, size_t count,
                          const float *src, struct fnl_error *err);

#endif
