/* gpu_norm.c - BatchNormalization (at rest, in training, its gradient) and LayerNormalization.
 *
 * In training the statistics are those of the whole batch, which is on one device. Running
 * statistics move in the forward pass; the executor puts them back when the loss was not finite. */
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_share.h"

/* ---- BatchNormalization ---- */

/* x[N, C, ...] as [N][C][P]: M = N * P elements a channel. */
struct channels {
    size_t C, P, M, count;
    bool near;
    struct fnl_gpu_share share;
};

static struct channels channels_of(const struct fnl_gpu_emit *emit, const struct fnl_operand *x)
{
    struct channels s = {.C = (size_t)x->shape.dim[1], .count = fnl__gpu_count(emit, x)};
    s.M = s.count / s.C;
    s.P = s.M / fnl__gpu_dim(emit, x, 0);
    s.near = s.P < 8; /* rows of channels; else a channel's pixels lie side by side */
    s.share = fnl__gpu_share(emit, s.C, s.M, s.near, true);
    return s;
}

static void put_channels(struct fnl_gpu_call *c, const struct channels *s)
{
    fnl__gpu_u32(c, s->C);
    fnl__gpu_u32(c, s->P);
    fnl__gpu_u32(c, s->M);
    fnl__gpu_u32(c, s->share.chunk);
    fnl__gpu_u32(c, s->share.width);
    fnl__gpu_i32(c, s->near ? 1 : 0);
}

/* What the slices found, two numbers a channel, in the step's scratch. */
static void put_slices(struct fnl_gpu_call *c, const struct fnl_step *step,
                       const struct channels *s)
{
    fnl__gpu_scratch(c, step, 2 * s->C);
    fnl__gpu_scratch(c, step, (2 + s->share.slices) * s->C);
}

/* Mean and 1 / std of this step: outputs 1 and 2, or, where they are not wanted, the front of the
 * scratch. */
static void put_saved(struct fnl_gpu_call *c, const struct fnl_step *step, const struct channels *s)
{
    for (int i = 0; i < 2; i++) {
        if (step->out[1 + i].value >= 0) {
            fnl__gpu_ptr(c, &step->out[1 + i]);
        } else {
            fnl__gpu_scratch(c, step, (size_t)i * s->C);
        }
    }
}

static int plan_batch_norm(struct fnl_step *step, const struct fnl_graph *g,
                           struct fnl_arena *arena, struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    const struct fnl_operand *x = &step->in[step->node->op == FNL_OP_BATCH_NORMALIZATION ? 0 : 1];
    size_t C = (size_t)x->shape.dim[1], M = fnl__gpu_max_count(step, x) / C;
    step->scratch_bytes = 2 * (C + fnl__gpu_slice_floats(C, M)) * sizeof(float);
    return 0;
}

static int launch_apply(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                        const struct channels *s, bool at_rest, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "batch_apply");
    fnl__gpu_u32(&c, s->count);
    fnl__gpu_u32(&c, s->C);
    fnl__gpu_u32(&c, s->P);
    fnl__gpu_i32(&c, at_rest ? 1 : 0);
    fnl__gpu_f32(&c, step->node->attrs.epsilon);
    for (int i = 0; i < 3; i++) {
        fnl__gpu_ptr(&c, &step->in[i]);
    }
    if (at_rest) {
        fnl__gpu_ptr(&c, &step->in[3]);
        fnl__gpu_ptr(&c, &step->in[4]);
    } else {
        put_saved(&c, step, s);
    }
    fnl__gpu_ptr(&c, &step->out[0]);
    return fnl__gpu_flat(&c, s->count, err);
}

static bool is_at_rest(const struct fnl_graph *g, const struct fnl_node *node)
{
    (void)g;
    return !node->attrs.training && node->output_count == 1;
}

static bool is_training(const struct fnl_graph *g, const struct fnl_node *node)
{
    (void)g;
    return node->attrs.training;
}

static int launch_at_rest(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          struct fnl_error *err)
{
    struct channels s = channels_of(emit, &step->in[0]);
    return launch_apply(step, emit, &s, true, err);
}

FNL_GPU_ROW(batch_norm, BATCH_NORMALIZATION, "p", launch_at_rest, .supports = is_at_rest);

static int launch_moments(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          const struct channels *s, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "batch_moments");
    put_channels(&c, s);
    fnl__gpu_ptr(&c, &step->in[0]);
    put_slices(&c, step, s);
    return fnl__gpu_shared(&c, &s->share, err);
}

static int launch_training(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                           struct fnl_error *err)
{
    struct channels s = channels_of(emit, &step->in[0]);
    int rc = launch_moments(step, emit, &s, err);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "batch_statistics");
    fnl__gpu_u32(&c, s.C);
    fnl__gpu_u32(&c, s.M);
    fnl__gpu_u32(&c, s.share.chunk);
    fnl__gpu_u32(&c, s.share.slices);
    fnl__gpu_f32(&c, step->node->attrs.epsilon);
    fnl__gpu_f32(&c, step->node->attrs.momentum);
    fnl__gpu_buf(&c, emit->control, 0);
    put_slices(&c, step, &s);
    fnl__gpu_ptr(&c, &step->in[3]);
    fnl__gpu_ptr(&c, &step->in[4]);
    put_saved(&c, step, &s);
    rc = rc != 0 ? rc : fnl__gpu_flat(&c, s.C, err);
    return rc != 0 ? rc : launch_apply(step, emit, &s, false, err);
}

FNL_GPU_ROW(batch_norm_training, BATCH_NORMALIZATION, "p", launch_training, .supports = is_training,
            .plan = plan_batch_norm);

/* Two sums of `count` each, of slices that lie in the step's scratch from `at` on. */
static int join_slices(const struct fnl_step *step, struct fnl_gpu_emit *emit, size_t count,
                       size_t slices, size_t at, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "shape", "add_slices");
    fnl__gpu_u32(&c, count);
    fnl__gpu_u32(&c, slices);
    fnl__gpu_scratch(&c, step, at);
    fnl__gpu_scratch(&c, step, at + slices * count);
    fnl__gpu_ptr(&c, &step->out[2]);
    fnl__gpu_ptr(&c, &step->out[1]);
    return fnl__gpu_flat(&c, count, err);
}

/* The sums over a channel are the gradients of bias and scale: outputs 2 and 1. */
static int launch_grad_sums(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                            const struct channels *s, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "batch_grad_sums");
    put_channels(&c, s);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_ptr(&c, &step->in[3]);
    fnl__gpu_ptr(&c, &step->in[4]);
    if (s->share.slices == 1) {
        fnl__gpu_ptr(&c, &step->out[2]);
        fnl__gpu_ptr(&c, &step->out[1]);
        return fnl__gpu_shared(&c, &s->share, err);
    }
    put_slices(&c, step, s);
    int rc = fnl__gpu_shared(&c, &s->share, err);
    return rc != 0 ? rc : join_slices(step, emit, s->C, s->share.slices, 2 * s->C, err);
}

static int launch_batch_norm_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                  struct fnl_error *err)
{
    struct channels s = channels_of(emit, &step->in[1]);
    int rc = launch_grad_sums(step, emit, &s, err);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "batch_grad");
    fnl__gpu_u32(&c, s.count);
    fnl__gpu_u32(&c, s.C);
    fnl__gpu_u32(&c, s.P);
    fnl__gpu_u32(&c, s.M);
    for (int i = 0; i < 5; i++) {
        fnl__gpu_ptr(&c, &step->in[i]);
    }
    fnl__gpu_ptr(&c, &step->out[2]);
    fnl__gpu_ptr(&c, &step->out[1]);
    fnl__gpu_ptr(&c, &step->out[0]);
    return rc != 0 ? rc : fnl__gpu_flat(&c, s.count, err);
}

FNL_GPU_ROW(batch_norm_grad, BATCH_NORMALIZATION_GRAD, "p", launch_batch_norm_grad,
            .plan = plan_batch_norm);

/* ---- LayerNormalization: x as rows of D numbers, D those of the scale ---- */

static int launch_layer_norm(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                             struct fnl_error *err)
{
    size_t D = step->in[1].row_size, rows = fnl__gpu_count(emit, &step->in[0]) / D;
    struct fnl_gpu_share share = fnl__gpu_share(emit, rows, D, false, false);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "layer_norm");
    fnl__gpu_u32(&c, rows);
    fnl__gpu_u32(&c, D);
    fnl__gpu_u32(&c, share.width);
    fnl__gpu_f32(&c, step->node->attrs.epsilon);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_i32(&c, step->in[2].value >= 0 ? 1 : 0);
    fnl__gpu_ptr(&c, &step->in[2]);
    for (int i = 0; i < 3; i++) {
        fnl__gpu_ptr(&c, &step->out[i]);
    }
    fnl__gpu_i32(&c, step->out[1].value >= 0 ? 1 : 0);
    fnl__gpu_i32(&c, step->out[2].value >= 0 ? 1 : 0);
    return fnl__gpu_shared(&c, &share, err);
}

FNL_GPU_ROW(layer_norm, LAYER_NORMALIZATION, "p", launch_layer_norm);

static int plan_layer_norm_grad(struct fnl_step *step, const struct fnl_graph *g,
                                struct fnl_arena *arena, struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    size_t D = step->in[2].row_size, rows = fnl__gpu_max_count(step, &step->in[1]) / D;
    step->scratch_bytes = 2 * fnl__gpu_slice_floats(D, rows) * sizeof(float);
    return 0;
}

/* Gradients of bias and scale: sums over the rows. */
static int launch_layer_sums(const struct fnl_step *step, struct fnl_gpu_emit *emit, size_t rows,
                             size_t D, struct fnl_error *err)
{
    struct fnl_gpu_share share = fnl__gpu_share(emit, D, rows, true, true);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "layer_grad_sums");
    fnl__gpu_u32(&c, rows);
    fnl__gpu_u32(&c, D);
    fnl__gpu_u32(&c, share.chunk);
    fnl__gpu_u32(&c, share.width);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_ptr(&c, &step->in[3]);
    fnl__gpu_ptr(&c, &step->in[4]);
    if (share.slices == 1) {
        fnl__gpu_ptr(&c, &step->out[2]);
        fnl__gpu_ptr(&c, &step->out[1]);
        return fnl__gpu_shared(&c, &share, err);
    }
    fnl__gpu_scratch(&c, step, 0);
    fnl__gpu_scratch(&c, step, share.slices * D);
    int rc = fnl__gpu_shared(&c, &share, err);
    return rc != 0 ? rc : join_slices(step, emit, D, share.slices, 0, err);
}

static int launch_layer_norm_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                  struct fnl_error *err)
{
    size_t D = step->in[2].row_size, rows = fnl__gpu_count(emit, &step->in[1]) / D;
    struct fnl_gpu_share share = fnl__gpu_share(emit, rows, D, false, false);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "norm", "layer_grad");
    fnl__gpu_u32(&c, rows);
    fnl__gpu_u32(&c, D);
    fnl__gpu_u32(&c, share.width);
    for (int i = 0; i < 5; i++) {
        fnl__gpu_ptr(&c, &step->in[i]);
    }
    fnl__gpu_ptr(&c, &step->out[0]);
    int rc = fnl__gpu_shared(&c, &share, err);
    return rc != 0 ? rc : launch_layer_sums(step, emit, rows, D, err);
}

FNL_GPU_ROW(layer_norm_grad, LAYER_NORMALIZATION_GRAD, "p", launch_layer_norm_grad,
            .plan = plan_layer_norm_grad);
