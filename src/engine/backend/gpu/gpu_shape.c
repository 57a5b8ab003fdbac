/* gpu_shape.c - operators that move, repeat or add up elements: Transpose, ExpandTo, reductions,
 * SumToShape. */
#include <string.h>

#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_share.h"

/* ---- moved and repeated ---- */

static int launch_strided(struct fnl_gpu_emit *emit, const struct fnl_gpu_walk *w, float alpha,
                          const struct fnl_operand *x, const struct fnl_operand *y,
                          struct fnl_error *err)
{
    struct fnl_gpu_call c;
    size_t count = fnl__gpu_count(emit, y);
    fnl__gpu_call(&c, emit, "shape", "strided");
    fnl__gpu_u32(&c, count);
    fnl__gpu_u32(&c, (size_t)w->rank);
    fnl__gpu_walk_sizes(&c, w, FNL_MAX_RANK);
    fnl__gpu_walk_steps(&c, w, 0, FNL_MAX_RANK);
    fnl__gpu_f32(&c, alpha);
    fnl__gpu_ptr(&c, x);
    fnl__gpu_ptr(&c, y);
    return fnl__gpu_flat(&c, count, err);
}

/* Is it one matrix after the other, each turned? y's sizes are then B, A of x[...][A][B]. */
static bool is_matrices(const struct fnl_gpu_walk *w)
{
    return (w->rank == 2 || (w->rank == 3 && w->step[0][2] == w->size[0] * w->size[1])) &&
           w->step[0][1] == 1 && w->step[0][0] == w->size[1];
}

static int launch_transpose(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                            struct fnl_error *err)
{
    const struct fnl_operand *x = &step->in[0], *y = &step->out[0];
    size_t x_step[FNL_MAX_RANK], stride = 1;
    struct fnl_gpu_walk w = {0};
    struct fnl_gpu_call c;
    for (int d = x->shape.rank - 1; d >= 0; d--) {
        x_step[d] = stride;
        stride *= fnl__gpu_dim(emit, x, d);
    }
    for (int d = y->shape.rank - 1; d >= 0; d--) {
        size_t own = x_step[step->node->attrs.perm[d]];
        fnl__gpu_walk_add(&w, fnl__gpu_dim(emit, y, d), own, own);
    }
    if (!is_matrices(&w)) {
        return launch_strided(emit, &w, 1.0F, x, y, err);
    }
    size_t A = w.size[0], B = w.size[1];
    fnl__gpu_call(&c, emit, "shape", "transpose");
    fnl__gpu_u32(&c, A);
    fnl__gpu_u32(&c, B);
    fnl__gpu_ptr(&c, x);
    fnl__gpu_ptr(&c, y);
    size_t tiles = ((A + 31) / 32) * ((B + 31) / 32) * (w.rank == 3 ? w.size[2] : 1);
    return fnl__gpu_grid(&c, tiles, 1, 1, 32, 8, err);
}

FNL_GPU_ROW(transpose, TRANSPOSE, "p", launch_transpose);

static int launch_expand_to(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                            struct fnl_error *err)
{
    struct fnl_gpu_walk w;
    fnl__gpu_walk(&w, emit, &step->out[0], &step->in[0], NULL);
    return launch_strided(emit, &w, step->node->attrs.alpha, &step->in[0], &step->out[0], err);
}

FNL_GPU_ROW(expand_to, EXPAND_TO, "p-", launch_expand_to);

/* The gradient of a mean over an image: each pixel gets its share of dy. */
static int launch_global_average_pool_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                           struct fnl_error *err)
{
    const struct fnl_operand *dx = &step->out[0];
    struct fnl_gpu_walk w;
    double pixels = (double)(dx->shape.dim[2] * dx->shape.dim[3]);
    fnl__gpu_walk(&w, emit, dx, &step->in[0], NULL);
    return launch_strided(emit, &w, (float)(1.0 / pixels), &step->in[0], dx, err);
}

FNL_GPU_ROW(global_average_pool_grad, GLOBAL_AVERAGE_POOL_GRAD, "p-",
            launch_global_average_pool_grad);

/* ---- added up ---- */

/* A sum: x's dimensions that stay, in the output's order, and those that go. */
struct sum {
    struct fnl_gpu_walk kept, gone;
    size_t outputs, length;
};

/* removed: bit d for dimension d of x. */
static struct sum sum_of(const struct fnl_gpu_emit *emit, const struct fnl_operand *x,
                         uint32_t removed)
{
    struct sum s = {.outputs = 1, .length = 1};
    size_t stride = 1;
    for (int d = x->shape.rank - 1; d >= 0; d--) {
        size_t size = fnl__gpu_dim(emit, x, d);
        bool goes = (removed & (1U << d)) != 0;
        fnl__gpu_walk_add(goes ? &s.gone : &s.kept, size, stride, stride);
        *(goes ? &s.length : &s.outputs) *= size;
        stride *= size;
    }
    return s;
}

enum { SUM_RANK = 4 }; /* of 8 dimensions, neighbours joined, at most 4 stay and 4 go */

/* One stage: from `from` (or, when NULL, the step's scratch) to `to`. */
static int launch_stage(const struct fnl_step *step, struct fnl_gpu_emit *emit, const struct sum *s,
                        const struct fnl_gpu_share *share, bool near, float factor,
                        const struct fnl_operand *from, const struct fnl_operand *to,
                        struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "shape", "reduce");
    fnl__gpu_u32(&c, s->outputs);
    fnl__gpu_u32(&c, s->length);
    fnl__gpu_u32(&c, share->chunk);
    fnl__gpu_u32(&c, share->width);
    fnl__gpu_i32(&c, near ? 1 : 0);
    fnl__gpu_f32(&c, factor);
    fnl__gpu_walk_sizes(&c, &s->kept, SUM_RANK);
    fnl__gpu_walk_steps(&c, &s->kept, 0, SUM_RANK);
    fnl__gpu_walk_sizes(&c, &s->gone, SUM_RANK);
    fnl__gpu_walk_steps(&c, &s->gone, 0, SUM_RANK);
    if (from != NULL) {
        fnl__gpu_ptr(&c, from);
    } else {
        fnl__gpu_scratch(&c, step, 0);
    }
    if (to != NULL) {
        fnl__gpu_ptr(&c, to);
    } else {
        fnl__gpu_scratch(&c, step, 0);
    }
    return fnl__gpu_shared(&c, share, err);
}

static int launch_sum(const struct fnl_step *step, struct fnl_gpu_emit *emit, uint32_t removed,
                      bool mean, struct fnl_error *err)
{
    const struct fnl_operand *x = &step->in[0], *y = &step->out[0];
    struct sum s = sum_of(emit, x, removed);
    /* Is the innermost dimension one that stays? */
    bool near = s.kept.rank > 0 && s.kept.step[0][0] == 1;
    float factor = mean ? (float)(1.0 / (double)s.length) : 1.0F;
    struct fnl_gpu_share share = fnl__gpu_share(emit, s.outputs, s.length, near, true);
    if (share.slices == 1) {
        return launch_stage(step, emit, &s, &share, near, factor, x, y, err);
    }
    struct sum join = {.outputs = s.outputs, .length = share.slices};
    fnl__gpu_walk_add(&join.kept, s.outputs, 1, 1);
    fnl__gpu_walk_add(&join.gone, share.slices, s.outputs, s.outputs);
    struct fnl_gpu_share joined = fnl__gpu_share(emit, s.outputs, share.slices, true, false);
    int rc = launch_stage(step, emit, &s, &share, near, 1.0F, x, NULL, err);
    return rc != 0 ? rc : launch_stage(step, emit, &join, &joined, true, factor, NULL, y, err);
}

static int plan_sum(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                    struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    size_t count = fnl__gpu_max_count(step, &step->in[0]);
    step->scratch_bytes = fnl__gpu_slice_floats(1, count) * sizeof(float);
    return 0;
}

static int launch_reduce(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                         struct fnl_error *err)
{
    return launch_sum(step, emit, step->node->attrs.axes_mask, step->node->op == FNL_OP_REDUCE_MEAN,
                      err);
}

FNL_GPU_ROW(reduce_sum, REDUCE_SUM, "p", launch_reduce, .plan = plan_sum);
FNL_GPU_ROW(reduce_mean, REDUCE_MEAN, "p", launch_reduce, .plan = plan_sum);

static int launch_global_average_pool(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                      struct fnl_error *err)
{
    return launch_sum(step, emit, 1U << 2 | 1U << 3, true, err);
}

FNL_GPU_ROW(global_average_pool, GLOBAL_AVERAGE_POOL, "p", launch_global_average_pool,
            .plan = plan_sum);

/* Everything that came from an element of v by broadcasting is added up in it. */
static int launch_sum_to_shape(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                               struct fnl_error *err)
{
    const struct fnl_operand *dy = &step->in[0], *y = &step->out[0];
    uint32_t removed = 0;
    for (int d = 0; d < dy->shape.rank; d++) {
        int own = d - (dy->shape.rank - y->shape.rank);
        if (own < 0 || fnl__gpu_dim(emit, y, own) == 1) {
            removed |= 1U << d;
        }
    }
    return launch_sum(step, emit, removed, false, err);
}

FNL_GPU_ROW(sum_to_shape, SUM_TO_SHAPE, "p-", launch_sum_to_shape, .plan = plan_sum);
