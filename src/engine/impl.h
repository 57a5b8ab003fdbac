/* impl.h - how an operator runs on a back end: the interface between planner/executor and back
 * ends.
 *
 * A plan is an array of steps; a step is one node (or several, fused) with its operands resolved to
 * (space, offset). One shard runs the steps in order on its rows; consecutive steps that are
 * row-wise may be run block of rows by block of rows, so that what one step writes is still in
 * cache when the next reads it. Steps never allocate, lock or fail: all that can fail is checked by
 * plan(). */
#ifndef FNL_ENGINE_IMPL_H
#define FNL_ENGINE_IMPL_H

#include "base/arena.h"
#include "engine/exec.h"
#include "engine/graph.h"

/* How a tensor of logical (ONNX) shape lies in memory. */
enum fnl_layout {
    FNL_LAYOUT_PLAIN,         /* row-major in ONNX order */
    FNL_LAYOUT_CHANNELS_LAST, /* rank 4 activations: N, H, W, C */
    FNL_LAYOUT_NATIVE, /* parameters, and their gradients: as the back end's param_layout says */
};

enum fnl_space {
    FNL_SPACE_ARENA, /* activations of one shard */
    FNL_SPACE_BATCH, /* activations of all shards, each at its rows: for steps that threads share */
    FNL_SPACE_PARAM, /* weights, shared by all shards; with bfloat16 a rounded copy */
    FNL_SPACE_STATE, /* parameters that are not trained (running statistics), shared; written in
                        merge() only */
    FNL_SPACE_GRADIENT, /* one shard's gradients, laid out like PARAM */
    FNL_SPACE_CONST,
    FNL_SPACE_FEED0, /* graph input 0, 1, ...: the caller's rows, at the shard's first row */
    FNL_SPACE_FEED1,
    FNL_SPACE_FEED2,
    FNL_SPACE_FEED3,
    FNL_SPACES
};

struct fnl_operand {
    int value; /* graph value, or -1: absent */
    enum fnl_space space;
    enum fnl_layout layout;
    enum fnl_dtype dtype;
    struct fnl_shape shape; /* logical; dim[0] == FNL_DIM_BATCH when batched */
    size_t offset;          /* bytes from the space's base */
    size_t row_bytes; /* bytes from row to row; 0 when not batched, or when only one block of rows
                         is kept */
    size_t row_size;  /* elements of one row (batched) or of all (not) */
};

/* What changes from run to run, for one shard and one block of rows. */
struct fnl_run {
    unsigned char *base[FNL_SPACES];
    unsigned char
        *scratch; /* at least the step's scratch_bytes, 64-byte aligned, private to the shard */
    size_t row0, rows;   /* the block: rows [row0, row0 + rows) of the shard */
    size_t shard_rows;   /* rows of the shard */
    size_t batch_rows;   /* rows of the whole batch: the divisor of mean losses */
    size_t first_row;    /* the shard's first row in the batch */
    bool first_block;    /* row0 == 0: outputs that sum over rows are set, else added to */
    uint64_t seed, step; /* Dropout */
};

#define FNL_STEP_INPUTS 8
#define FNL_STEP_OUTPUTS 4
/* Operands of what is fused behind a step (fnl_op_impl.fuses_*); value -1 when nothing is. */
#define FNL_STEP_MASK (FNL_STEP_INPUTS - 1)
#define FNL_STEP_SUM (FNL_STEP_OUTPUTS - 1)

struct fnl_step {
    const struct fnl_op_impl *impl;
    const struct fnl_node *node;
    struct fnl_operand in[FNL_STEP_INPUTS], out[FNL_STEP_OUTPUTS];
    int in_count, out_count;
    bool bf16;             /* the run's precision is bfloat16 */
    bool bf16_product;     /* set by plan(): multiplies bfloat16, not rounded float32 */
    int parts;             /* > 0: threads share it, in so many parts; set before plan() */
    size_t max_rows;       /* most rows of one block; for plan() to size its scratch */
    size_t scratch_bytes;  /* set by plan(), for each part; kept from block to block of one run */
    size_t scratch_offset; /* the executor's */
    void *state;           /* set by plan(), in the plan's arena; NULL when not needed */
    int activation;        /* fused activation after the op: enum of the back end, 0 = none */
    bool mask_relu;        /* fused ReluGrad after a MaxPoolGrad */
    bool noted;            /* leaves its gradient a note, the last output; or takes one, the last
                              input, in place of all other inputs but the first */
    int sum_input;         /* product with out[FNL_STEP_SUM]: which input is summed, 0 or 1 */
};

/* Pointer to the block's first row (batched) or the tensor (not). NULL when absent. */
static inline void *fnl_at(const struct fnl_run *run, const struct fnl_operand *o)
{
    if (o->value < 0) {
        return NULL;
    }
    size_t row = run->row0 + (o->space == FNL_SPACE_BATCH ? run->first_row : 0);
    return run->base[o->space] + o->offset + row * o->row_bytes;
}
/* Is its first dimension the batch? */
static inline bool fnl_batched(const struct fnl_operand *o)
{
    return o->shape.rank > 0 && o->shape.dim[0] == FNL_DIM_BATCH;
}
/* Elements of the block (batched) or of the tensor (not). */
static inline size_t fnl_elements(const struct fnl_run *run, const struct fnl_operand *o)
{
    return fnl_batched(o) ? run->rows * o->row_size : o->row_size;
}
static inline float *fnl_f32(const struct fnl_run *run, const struct fnl_operand *o)
{
    return (float *)fnl_at(run, o);
}

struct fnl_gpu_emit;
struct fnl_update;

struct fnl_op_impl {
    enum fnl_op op;
    const char *name; /* "ref.gemm", "cpu.conv.nhwc" */
    int rank;         /* the highest that supports the node wins */
    /* Each row of the output depends on the same row of the batched inputs alone (outputs that sum
     * over rows are added up with first_block), so the executor may run it in blocks of rows. */
    bool rowwise;
    /* The planner may fuse a following Relu (step.activation = 1), or a following ReluGrad whose y
     * is this MaxPoolGrad's x (step.mask_relu). */
    bool fuses_relu, fuses_relu_grad;
    /* The planner may fuse behind: a ReluGrad(dy, y) of what this step writes, y given as
     * in[FNL_STEP_MASK]; for a product whose input dy is also summed over its rows into a bias'
     * gradient, that sum, written to out[FNL_STEP_SUM]; for a loss, its gradient, written to
     * out[FNL_STEP_SUM]. */
    bool fuses_mask, fuses_sum, fuses_gradient;
    /* Layout wanted for input i / given for output i, when in question: 'p' plain, 'c' channels
     * last, 's' same as the first rank 4 operand whatever it is, 'n' native (parameter or its
     * gradient). One letter per operand; the last repeats. */
    const char *in_layout, *out_layout;
    bool (*supports)(const struct fnl_graph *g, const struct fnl_node *node); /* NULL: always */
    /* (optional) What the gradient needs of a forward step may be a note of so many bytes a row
     * (0: none) instead of its input and output, if the gradient's implementation takes_notes; the
     * step's mask_relu then tells that the gradient masks. */
    size_t (*note_bytes)(const struct fnl_graph *g, const struct fnl_node *node);
    bool takes_notes;
    /* (optional) Rows a block should have at least for run() to be fast; asked before plan(). */
    size_t (*block_rows)(const struct fnl_step *step);
    int (*plan)(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                struct fnl_error *err); /* (optional) */
    void (*run)(const struct fnl_step *step, const struct fnl_run *run);
    /* (optional) Steps that look across the whole batch (BatchNormalization): run() on every shard,
     * then merge() once with all shards' runs, then finish() on every shard. row0 = 0 and rows =
     * shard_rows for all. */
    void (*merge)(const struct fnl_step *step, const struct fnl_run *runs, int shards);
    void (*finish)(const struct fnl_step *step, const struct fnl_run *run);
    /* Back ends on accelerators, in place of run, merge and finish: queues the kernels that do the
     * step's work (backend/gpu/gpu.h). Called while recording. */
    int (*launch)(const struct fnl_step *step, struct fnl_gpu_emit *emit, struct fnl_error *err);
    /* (optional) Threads may share this gradient of a parameter instead of each summing up its own
     * shard's: parts() says in how many parts for so many threads, 0: not shared. run_part() is
     * given the whole batch and sums in the order of its rows, so that the bits depend neither on
     * parts nor on shards. With an update the part's parameters are updated at once, by the same
     * operations that the back end's update() would do, and the gradient may not be left. */
    int (*parts)(const struct fnl_step *step, const struct fnl_graph *g, int threads);
    void (*run_part)(const struct fnl_step *step, const struct fnl_run *run, int part,
                     const struct fnl_update *update /* or NULL */);
};

/* How a parameter lies in the flat blocks. */
struct fnl_param_layout {
    size_t size; /* floats, padding included; padding is zero and stays zero */
    int kind;    /* the back end's own */
    int dims[6]; /* the back end's own */
};

/* One flat optimiser update over floats [begin, end) of the parameter block. */
struct fnl_update {
    const struct fnl_optimizer *optimizer;
    float *value, *slot1, *slot2; /* whole blocks */
    float *const *gradient;       /* one block per shard; summed in order 0, 1, ... */
    int gradient_count;
    float learning_rate;
    float gradient_scale; /* from clipping by norm, 1 otherwise */
    uint64_t step;        /* from 1 */
};

struct fnl_backend {
    const char *name;
    const struct fnl_op_impl *const *impls; /* NULL-terminated list */
    const struct fnl_backend
        *fallback;      /* (optional) asked for what this one lacks, on the same memory */
    bool shards;        /* may run with more than one shard, and in blocks of rows */
    bool channels_last; /* feeds images channels last */
    bool accelerator;   /* rows have launch(), not run(); memory is on a device */
    bool views;         /* Flatten, Reshape and Identity may be views, not copies */
    void (*round_bf16)(size_t count, const float *x, float *y);
    /* (optional; plain row-major when NULL) */
    int (*param_layout)(const struct fnl_graph *g, int value, struct fnl_param_layout *ret);
    void (*param_pack)(const struct fnl_param_layout *l, const float *plain, float *native);
    void (*param_unpack)(const struct fnl_param_layout *l, const float *native, float *plain);
    void (*update)(const struct fnl_update *u, size_t begin, size_t end);
    /* Sum of squares of the summed gradients over [begin, end), in double. */
    double (*gradient_norm2)(float *const *gradient, int count, size_t begin, size_t end);
};

extern const struct fnl_backend fnl_backend_ref;
extern const struct fnl_backend fnl_backend_cpu;

#endif
