/* gpu.h - operators on an accelerator: from a step of the plan to launches of kernels.
 *
 * The GPU back end is one for all drivers. Its rows (struct fnl_op_impl) have launch() in place of
 * run(): it is called once per number of rows while the step is being recorded, and queues the
 * kernels that do the step's work; replaying the recording does the work. Tensors lie row-major in
 * ONNX order; parameters and gradients too.
 *
 *   int launch(step, emit, err) {
 *       struct fnl_gpu_call c;
 *       fnl__gpu_call(&c, emit, "elementwise", "relu");
 *       fnl__gpu_u32(&c, count);
 *       fnl__gpu_ptr(&c, &step->in[0]);
 *       fnl__gpu_ptr(&c, &step->out[0]);
 *       return fnl__gpu_flat(&c, count, err);
 *   }
 *
 * The first failure of a call's building is kept in it and returned by flat() or grid(). */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_H
#define FNL_ENGINE_BACKEND_GPU_GPU_H

#include "device/accel.h"
#include "engine/impl.h"

/* An open device with its compiled kernels; shared by the parameters and plans on it. */
struct fnl_gpu;

/* name: "opencl:0", "cuda:1". */
int fnl__gpu_open(const char *name, struct fnl_gpu **ret_gpu, struct fnl_error *err);
void fnl__gpu_hold(struct fnl_gpu *gpu);    /* one more owner */
void fnl__gpu_release(struct fnl_gpu *gpu); /* takes NULL; the last owner's closes the device */
struct fnl_accel *fnl__gpu_accel(const struct fnl_gpu *gpu);
/* A kernel of file `file`, compiled when first asked for: the name of a .k file, and behind a space
 * the defines to compile it with ("gemm -DBM=64"); a literal, or something else that stays. */
int fnl__gpu_kernel(struct fnl_gpu *gpu, const char *file, const char *name,
                    struct fnl_accel_kernel **ret_kernel, struct fnl_error *err);

/* Words of the control buffer, through which a recording finds out where it stands; see control.k.
 * All steps of one call to the executor count from 0. */
enum fnl_gpu_control {
    FNL_GPU_NEXT,    /* step being run, until the loss is known */
    FNL_GPU_DONE,    /* step whose loss is known: what the update belongs to */
    FNL_GPU_STOPPED, /* 1: a loss was not finite; nothing is updated any more */
    FNL_GPU_STEP_LO, /* the run's step number of step 0 (from 1), 64 bits: Dropout's stream */
    FNL_GPU_STEP_HI,
    FNL_GPU_SCALE, /* float: what gradients are multiplied by, from clipping by norm */
    FNL_GPU_NORM,  /* float: their norm */
    FNL_GPU_CONTROL_WORDS = 16,
};

/* What launch() may use. */
struct fnl_gpu_emit {
    struct fnl_gpu *gpu;
    struct fnl_accel_buf *space[FNL_SPACES]; /* memory of each space; NULL: none */
    struct fnl_accel_buf *scratch;           /* of the step: from step->scratch_offset on */
    struct fnl_accel_buf *control;           /* u32[FNL_GPU_CONTROL_WORDS] */
    size_t rows;                             /* of the batch */
    uint64_t seed;                           /* Dropout */
    uint32_t group;                          /* work-items of a flat launch's group */
    int launches;                            /* counted */
};

struct fnl_gpu_call {
    struct fnl_gpu_emit *emit;
    const char *file, *name;
    struct fnl_accel_arg arg[FNL_ACCEL_MAX_ARGS];
    int count;
    bool too_large; /* a number did not fit u32 */
};

void fnl__gpu_call(struct fnl_gpu_call *c, struct fnl_gpu_emit *emit, const char *file,
                   const char *name);
void fnl__gpu_u32(struct fnl_gpu_call *c, size_t value); /* must fit: launch() checks shapes */
void fnl__gpu_i32(struct fnl_gpu_call *c, int32_t value);
void fnl__gpu_f32(struct fnl_gpu_call *c, float value);
/* The operand's first element; an absent operand is a null pointer. An operand of (nearly) 2^32
 * elements or more fails the launch with FNL_E_LIMIT. */
void fnl__gpu_ptr(struct fnl_gpu_call *c, const struct fnl_operand *o);
void fnl__gpu_buf(struct fnl_gpu_call *c, struct fnl_accel_buf *buf, size_t offset);
/* Work-items [0, count), in groups of emit->group; the kernel loops over FLAT_SIZE_X. */
int fnl__gpu_flat(struct fnl_gpu_call *c, size_t count, struct fnl_error *err);
/* groups x, y, z of x, y work-items. */
int fnl__gpu_grid(struct fnl_gpu_call *c, size_t groups_x, size_t groups_y, size_t groups_z,
                  uint32_t size_x, uint32_t size_y, struct fnl_error *err);

/* Dimension d of an operand, the batch put in; elements of it all. */
size_t fnl__gpu_dim(const struct fnl_gpu_emit *emit, const struct fnl_operand *o, int d);
size_t fnl__gpu_count(const struct fnl_gpu_emit *emit, const struct fnl_operand *o);

/* ---- the rows, by family ---- */
extern const struct fnl_backend fnl_backend_gpu;

#endif
