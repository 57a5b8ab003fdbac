/* pool.c - pooling, channels last. Global pools are pools whose window is the image. */
#include "engine/backend/cpu/cpu_int.h"

/* x [N, C, H, W], y [N, C, OH, OW] */
static int plan_pool(struct fnl_step *s, struct fnl_arena *arena, const struct fnl_shape *x,
                     const struct fnl_shape *y, bool global, struct fnl_error *err)
{
    struct fnl_pool_shape *p = fnl_arena_alloc(arena, sizeof *p);
    if (p == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    const struct fnl_attrs *a = &s->node->attrs;
    *p = (struct fnl_pool_shape){.C = (int)x->dim[1],
                                 .H = (int)x->dim[2],
                                 .W = (int)x->dim[3],
                                 .OH = (int)y->dim[2],
                                 .OW = (int)y->dim[3],
                                 .KH = (int)x->dim[2],
                                 .KW = (int)x->dim[3],
                                 .stride_h = 1,
                                 .stride_w = 1,
                                 .dilation_h = 1,
                                 .dilation_w = 1};
    if (!global) {
        p->KH = a->kernel[0];
        p->KW = a->kernel[1];
        p->stride_h = a->strides[0];
        p->stride_w = a->strides[1];
        p->pad_top = a->pads[0];
        p->pad_left = a->pads[1];
        p->pad_bottom = a->pads[2];
        p->pad_right = a->pads[3];
        p->dilation_h = a->dilations[0];
        p->dilation_w = a->dilations[1];
        p->count_include_pad = a->count_include_pad;
    }
    s->state = p;
    return 0;
}

static bool is_global(const struct fnl_step *s)
{
    enum fnl_op op = s->node->op;
    return op == FNL_OP_GLOBAL_AVERAGE_POOL || op == FNL_OP_GLOBAL_MAX_POOL ||
           op == FNL_OP_GLOBAL_AVERAGE_POOL_GRAD || op == FNL_OP_GLOBAL_MAX_POOL_GRAD;
}

static int forward_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                        struct fnl_error *err)
{
    (void)g;
    return plan_pool(s, arena, &s->in[0].shape, &s->out[0].shape, is_global(s), err);
}

static int grad_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                     struct fnl_error *err)
{
    (void)g;
    return plan_pool(s, arena, &s->out[0].shape, &s->in[0].shape, is_global(s), err);
}

static void max_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    const float *x = fnl_f32(r, &s->in[0]);
    float *y = fnl_f32(r, &s->out[0]);
    if (s->noted) {
        k->max_pool_noted(s->state, r->rows, x, s->mask_relu, y, fnl_at(r, &s->out[1]));
    } else {
        k->max_pool(s->state, r->rows, x, y);
    }
}

/* dy, x, y or, in place of x and y, the note */
static void max_grad_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    const float *dy = fnl_f32(r, &s->in[0]);
    float *dx = fnl_f32(r, &s->out[0]);
    if (s->noted) {
        k->max_pool_noted_grad(s->state, r->rows, dy, fnl_at(r, &s->in[3]), dx);
    } else {
        k->max_pool_grad(s->state, r->rows, dy, fnl_f32(r, &s->in[1]), fnl_f32(r, &s->in[2]),
                         s->mask_relu, dx);
    }
}

/* A byte an output, where that can name every tap. */
static size_t max_note_bytes(const struct fnl_graph *g, const struct fnl_node *n)
{
    const struct fnl_shape *y = &fnl_graph_value(g, n->output[0])->shape;
    const bool fits = (int64_t)n->attrs.kernel[0] * n->attrs.kernel[1] <= FNL_POOL_NO_TAP;
    return fits ? (size_t)fnl_shape_count(y, 1) : 0;
}

static void average_run(const struct fnl_step *s, const struct fnl_run *r)
{
    fnl_cpu_kernels()->average_pool(s->state, r->rows, fnl_f32(r, &s->in[0]),
                                    fnl_f32(r, &s->out[0]));
}

static void average_grad_run(const struct fnl_step *s, const struct fnl_run *r)
{
    fnl_cpu_kernels()->average_pool_grad(s->state, r->rows, fnl_f32(r, &s->in[0]),
                                         fnl_f32(r, &s->out[0]));
}

#define POOL(id, opcode, label, inputs, plan_fn, run_fn, ...)                                      \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = label,                                  \
                                                   .rank = 20,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = inputs,                            \
                                                   .out_layout = "c",                              \
                                                   .plan = plan_fn,                                \
                                                   .run = run_fn,                                  \
                                                   __VA_ARGS__}

POOL(max_pool, FNL_OP_MAX_POOL, "cpu.max_pool", "c", forward_plan, max_run,
     .note_bytes = max_note_bytes);
POOL(max_pool_grad, FNL_OP_MAX_POOL_GRAD, "cpu.max_pool.grad", "c", grad_plan, max_grad_run,
     .fuses_relu_grad = true, .takes_notes = true);
POOL(average_pool, FNL_OP_AVERAGE_POOL, "cpu.average_pool", "c", forward_plan, average_run,
     .fuses_relu_grad = false);
POOL(average_pool_grad, FNL_OP_AVERAGE_POOL_GRAD, "cpu.average_pool.grad", "c-", grad_plan,
     average_grad_run, .fuses_relu_grad = false);
POOL(global_average_pool, FNL_OP_GLOBAL_AVERAGE_POOL, "cpu.global_average_pool", "c", forward_plan,
     average_run, .fuses_relu_grad = false);
POOL(global_average_pool_grad, FNL_OP_GLOBAL_AVERAGE_POOL_GRAD, "cpu.global_average_pool.grad",
     "c-", grad_plan, average_grad_run, .fuses_relu_grad = false);
POOL(global_max_pool, FNL_OP_GLOBAL_MAX_POOL, "cpu.global_max_pool", "c", forward_plan, max_run,
     .fuses_relu_grad = false);
POOL(global_max_pool_grad, FNL_OP_GLOBAL_MAX_POOL_GRAD, "cpu.global_max_pool.grad", "c", grad_plan,
     max_grad_run, .fuses_relu_grad = true);
