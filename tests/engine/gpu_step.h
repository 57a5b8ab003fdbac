/* gpu_step.h - one step of a plan by hand, run by a row of the GPU back end and by one of the
 * reference on the same numbers.
 *
 * All operands stand in one block of memory with a guard around each; what a kernel writes beside
 * its outputs shows there. */
#ifndef TESTS_ENGINE_GPU_STEP_H
#define TESTS_ENGINE_GPU_STEP_H

#include "engine/backend/gpu/gpu.h"

#define GPU_STEP_DEVICE "opencl:0"

struct gpu_step {
    struct fnl_gpu *gpu;
    struct fnl_node node;
    struct fnl_step step;
    size_t floats; /* of the block so far */
    float *want, *got;
    int launches; /* of the last run */
    uint32_t seed;
    size_t poison; /* element of input 0 that is NaN; 0: none */
};

/* NULL, with a line on stderr that says so, where there is no OpenCL device. */
struct fnl_gpu *gpu_step_device(void);

/* Memory of the device: made of bytes, read back, given back. */
struct fnl_accel_buf *gpu_step_put(struct fnl_gpu *gpu, const void *data, size_t bytes);
void gpu_step_get(struct fnl_gpu *gpu, struct fnl_accel_buf *b, void *data, size_t bytes);
void gpu_step_drop(struct fnl_gpu *gpu, struct fnl_accel_buf *b);

void gpu_step_begin(struct gpu_step *t, struct fnl_gpu *gpu, enum fnl_op op, uint32_t seed);
/* Gives an operand its shape and place; shift: floats from an aligned address. */
void gpu_step_operand(struct gpu_step *t, struct fnl_operand *o, size_t shift, int rank,
                      const int64_t *dims);
/* Fills the inputs, plans and runs both, and leaves `want` and `got`. Outputs start as NaN. */
void gpu_step_run(struct gpu_step *t, const struct fnl_op_impl *gpu, const struct fnl_op_impl *ref);
/* The operand in a block. */
float *gpu_step_at(const struct gpu_step *t, float *block, const struct fnl_operand *o);
/* Everything but the listed outputs must be as before; each output within rounding of the
 * reference's. */
void gpu_step_check(struct gpu_step *t, const char *what);
void gpu_step_end(struct gpu_step *t);

#endif
