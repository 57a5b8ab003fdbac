/* elementwise.c - activations, sums, scaling by channel, dropout: whatever maps element to element.
 * Layout does not matter as long as all operands share it. */
#include <string.h>

#include "base/rng.h"
#include "engine/backend/cpu/cpu_int.h"

/* ---- y = f(x) ---- */

#define UNARY(id, opcode, call)                                                                    \
    static void id##_run(const struct fnl_step *s, const struct fnl_run *r)                        \
    {                                                                                              \
        size_t count = fnl_elements(r, &s->in[0]);                                                 \
        const float *x = fnl_f32(r, &s->in[0]);                                                    \
        float *y = fnl_f32(r, &s->out[0]);                                                         \
        const struct fnl_attrs *a = &s->node->attrs;                                               \
        (void)a;                                                                                   \
        fnl_cpu_kernels()->call;                                                                   \
    }                                                                                              \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 20,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "s",                               \
                                                   .out_layout = "s",                              \
                                                   .run = id##_run}

UNARY(relu, FNL_OP_RELU, relu(count, x, y));
UNARY(leaky_relu, FNL_OP_LEAKY_RELU, leaky_relu(count, a->alpha, x, y));
UNARY(gelu, FNL_OP_GELU, gelu(count, a->gelu_tanh, x, y));
UNARY(sigmoid, FNL_OP_SIGMOID, sigmoid(count, x, y));
UNARY(tanh, FNL_OP_TANH, tanh_(count, x, y));
UNARY(erf, FNL_OP_ERF, erf_(count, x, y));

/* ---- dx = f(dy, x or y) ---- */

#define UNARY_GRAD(id, opcode, call)                                                               \
    static void id##_run(const struct fnl_step *s, const struct fnl_run *r)                        \
    {                                                                                              \
        size_t count = fnl_elements(r, &s->in[0]);                                                 \
        const float *dy = fnl_f32(r, &s->in[0]), *x = fnl_f32(r, &s->in[1]);                       \
        float *dx = fnl_f32(r, &s->out[0]);                                                        \
        const struct fnl_attrs *a = &s->node->attrs;                                               \
        (void)a;                                                                                   \
        fnl_cpu_kernels()->call;                                                                   \
    }                                                                                              \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 20,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "s",                               \
                                                   .out_layout = "s",                              \
                                                   .run = id##_run}

UNARY_GRAD(relu_grad, FNL_OP_RELU_GRAD, relu_grad(count, dy, x, dx));
UNARY_GRAD(leaky_relu_grad, FNL_OP_LEAKY_RELU_GRAD, leaky_relu_grad(count, a->alpha, dy, x, dx));
UNARY_GRAD(gelu_grad, FNL_OP_GELU_GRAD, gelu_grad(count, a->gelu_tanh, dy, x, dx));
UNARY_GRAD(sigmoid_grad, FNL_OP_SIGMOID_GRAD, sigmoid_grad(count, dy, x, dx));
UNARY_GRAD(tanh_grad, FNL_OP_TANH_GRAD, tanh_grad(count, dy, x, dx));
UNARY_GRAD(erf_grad, FNL_OP_ERF_GRAD, erf_grad(count, dy, x, dx));

/* ---- sums and products of two tensors of one shape, both batched ---- */

static bool same_shape(const struct fnl_graph *g, const struct fnl_node *n)
{
    const struct fnl_value *a = fnl_graph_value(g, n->input[0]);
    const struct fnl_value *b = fnl_graph_value(g, n->input[1]);
    return fnl_shape_equal(&a->shape, &b->shape) && a->shape.rank > 0 &&
           a->shape.dim[0] == FNL_DIM_BATCH && a->dtype == FNL_F32 && b->dtype == FNL_F32;
}

static void add_run(const struct fnl_step *s, const struct fnl_run *r)
{
    fnl_cpu_kernels()->add(fnl_elements(r, &s->in[0]), fnl_f32(r, &s->in[0]), fnl_f32(r, &s->in[1]),
                           fnl_f32(r, &s->out[0]));
}

const struct fnl_op_impl fnl__cpu_impl_add = {.op = FNL_OP_ADD,
                                              .name = "cpu.add",
                                              .rank = 20,
                                              .rowwise = true,
                                              .in_layout = "s",
                                              .out_layout = "s",
                                              .supports = same_shape,
                                              .run = add_run};

/* The compiler's own vectors serve: these are bound by memory. */
static void arithmetic_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const float *a = fnl_f32(r, &s->in[0]), *b = fnl_f32(r, &s->in[1]);
    float *y = fnl_f32(r, &s->out[0]);
    size_t count = fnl_elements(r, &s->in[0]);
    switch (s->node->op) {
    case FNL_OP_SUB:
        for (size_t i = 0; i < count; i++) {
            y[i] = a[i] - b[i];
        }
        return;
    case FNL_OP_DIV:
        for (size_t i = 0; i < count; i++) {
            y[i] = a[i] / b[i];
        }
        return;
    default:
        for (size_t i = 0; i < count; i++) {
            y[i] = a[i] * b[i];
        }
    }
}

#define ARITHMETIC(id, opcode)                                                                     \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 20,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "s",                               \
                                                   .out_layout = "s",                              \
                                                   .supports = same_shape,                         \
                                                   .run = arithmetic_run}
ARITHMETIC(mul, FNL_OP_MUL);
ARITHMETIC(sub, FNL_OP_SUB);
ARITHMETIC(div, FNL_OP_DIV);

/* ---- x * w or x + w with one w a channel ([1, C, 1, 1]), a feature ([F]), or for all ---- */

/* Entries of w when it is of such a shape, else 0. */
static int64_t channel_entries(const struct fnl_shape *x, const struct fnl_shape *w)
{
    int64_t count = fnl_shape_count(w, -1);
    if (count == 1) {
        return 1;
    }
    int channel = x->rank == 4 ? 1 : x->rank - 1;
    int offset = x->rank - w->rank;
    int at = channel - offset;
    bool fits = (x->rank == 4 || x->rank == 2) && at >= 0 && at < w->rank &&
                w->dim[at] == x->dim[channel] && count == x->dim[channel];
    return fits ? count : 0;
}

static bool by_channel(const struct fnl_graph *g, const struct fnl_node *n)
{
    const struct fnl_value *x = fnl_graph_value(g, n->input[0]);
    const struct fnl_value *w = fnl_graph_value(g, n->input[1]);
    bool fixed = w->kind == FNL_VALUE_CONST || w->kind == FNL_VALUE_PARAM;
    return fixed && x->dtype == FNL_F32 && w->dtype == FNL_F32 && x->shape.rank > 0 &&
           x->shape.dim[0] == FNL_DIM_BATCH &&
           fnl_shape_equal(&x->shape, &fnl_graph_value(g, n->output[0])->shape) &&
           channel_entries(&x->shape, &w->shape) > 0;
}

/* The neutral partner of w: scaling adds -0.0, shifting multiplies by 1, both exact. */
static int channel_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                        struct fnl_error *err)
{
    (void)g;
    size_t C = s->in[1].row_size;
    float *neutral = fnl_arena_array(arena, C, sizeof *neutral);
    if (neutral == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    for (size_t c = 0; c < C; c++) {
        neutral[c] = s->node->op == FNL_OP_MUL ? -0.0F : 1.0F;
    }
    s->state = neutral;
    return 0;
}

static void channel_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = s->in[1].row_size;
    const float *w = fnl_f32(r, &s->in[1]), *neutral = s->state;
    bool scale = s->node->op == FNL_OP_MUL;
    fnl_cpu_kernels()->channel_affine(fnl_elements(r, &s->in[0]) / C, C, fnl_f32(r, &s->in[0]),
                                      scale ? w : neutral, scale ? neutral : w,
                                      fnl_f32(r, &s->out[0]));
}

#define CHANNEL(id, opcode)                                                                        \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 15,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "cp",                              \
                                                   .out_layout = "c",                              \
                                                   .supports = by_channel,                         \
                                                   .plan = channel_plan,                           \
                                                   .run = channel_run}
CHANNEL(add_channel, FNL_OP_ADD);
CHANNEL(mul_channel, FNL_OP_MUL);

static void channel_arithmetic_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = s->in[1].row_size, pixels = fnl_elements(r, &s->in[0]) / C;
    const float *x = fnl_f32(r, &s->in[0]), *w = fnl_f32(r, &s->in[1]);
    float *y = fnl_f32(r, &s->out[0]);
    bool divide = s->node->op == FNL_OP_DIV;
    for (size_t p = 0; p < pixels; p++, x += C, y += C) {
        for (size_t c = 0; c < C; c++) {
            y[c] = divide ? x[c] / w[c] : x[c] - w[c];
        }
    }
}

#define CHANNEL_ARITHMETIC(id, opcode)                                                             \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 15,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "cp",                              \
                                                   .out_layout = "c",                              \
                                                   .supports = by_channel,                         \
                                                   .run = channel_arithmetic_run}
CHANNEL_ARITHMETIC(sub_channel, FNL_OP_SUB);
CHANNEL_ARITHMETIC(div_channel, FNL_OP_DIV);

/* ---- dropout: the mask is a function of (seed, node, step, element), whoever computes it ---- */

static bool dropout_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    const struct fnl_shape *x = &fnl_graph_value(g, n->input[0])->shape;
    return n->attrs.training && n->output_count == 2 && x->rank > 0 && x->dim[0] == FNL_DIM_BATCH;
}

static void dropout_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct fnl_attrs *a = &s->node->attrs;
    size_t count = fnl_elements(r, &s->in[0]);
    uint64_t first = (uint64_t)(r->first_row + r->row0) * s->in[0].row_size;
    const float *x = fnl_f32(r, &s->in[0]);
    float *y = fnl_f32(r, &s->out[0]), *mask = fnl_f32(r, &s->out[1]);
    double limit = (double)a->ratio * 4294967296.0;
    float keep = 1.0F / (1.0F - a->ratio);
    uint32_t word[4];
    for (size_t i = 0; i < count; i++) {
        uint64_t e = first + i;
        if (i == 0 || e % 4 == 0) {
            fnl_rng_at(r->seed, FNL_RNG_DROPOUT, a->seed, (r->step << 40) + e / 4, word);
        }
        mask[i] = (double)word[e % 4] >= limit ? keep : 0.0F;
        y[i] = x[i] * mask[i];
    }
}

/* Element indices follow ONNX order, so images are wanted plain. */
const struct fnl_op_impl fnl__cpu_impl_dropout = {.op = FNL_OP_DROPOUT,
                                                  .name = "cpu.dropout",
                                                  .rank = 20,
                                                  .rowwise = true,
                                                  .in_layout = "p",
                                                  .out_layout = "p",
                                                  .supports = dropout_supports,
                                                  .run = dropout_run};
