/* gpu_update.h - the optimiser's update of all parameters, as launches (kernels: optimizer.k). */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_UPDATE_H
#define FNL_ENGINE_BACKEND_GPU_GPU_UPDATE_H

#include "engine/backend/gpu/gpu.h"

#define FNL_GPU_NORM_GROUPS 64 /* first stage of the gradients' norm */

/* The blocks of the parameters, `count` floats each, and what the kernels read beside them. */
struct fnl_gpu_update {
    const struct fnl_optimizer *optimizer;
    size_t count;
    struct fnl_accel_buf *gradient;
    struct fnl_accel_buf *const *block; /* [3]: values, optimiser state 1 and 2 (NULL: none) */
    struct fnl_accel_buf *rates;        /* f32[steps][4]: see optimizer.k */
};

/* scaled: gradients are multiplied by the control buffer's FNL_GPU_SCALE. */
int fnl__gpu_update(struct fnl_gpu_emit *emit, const struct fnl_gpu_update *u, bool scaled,
                    struct fnl_error *err);
/* The gradients' norm and the scale that follows from `limit`, into the control buffer. partial:
 * f32[groups]. */
int fnl__gpu_norm(struct fnl_gpu_emit *emit, const struct fnl_gpu_update *u,
                  struct fnl_accel_buf *partial, size_t groups, float limit, struct fnl_error *err);

#endif
