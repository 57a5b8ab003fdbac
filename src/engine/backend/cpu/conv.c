/* conv.c - convolutions, channels last, on panel weights: direct, by Winograd's algorithm where
 * that is faster (conv_winograd.c), or on bfloat16. Weights that are not parameters are packed into
 * scratch once a run. */
#include <string.h>

#include "engine/backend/cpu/cpu_int.h"

struct conv_state {
    struct fnl_conv_shape shape;
    struct fnl_param_layout weights;
    bool winograd;         /* by the winograd_* kernels */
    size_t kernel_scratch; /* floats; packed weights, when needed, come behind */
};

/* The operands: x [N, C, H, W], y or dy [N, K, OH, OW], w or dw [K, C/group, KH, KW]. */
struct operands {
    const struct fnl_operand *x, *y, *w;
};

static struct operands operands_of(const struct fnl_step *s)
{
    switch (s->node->op) {
    case FNL_OP_CONV_GRAD_WEIGHTS: /* dy, x, w -> dw */
        return (struct operands){&s->in[1], &s->in[0], &s->out[0]};
    case FNL_OP_CONV_GRAD_DATA: /* dy, w, x -> dx */
        return (struct operands){&s->out[0], &s->in[0], &s->in[1]};
    default: /* x, w, bias -> y */
        return (struct operands){&s->in[0], &s->out[0], &s->in[1]};
    }
}

static struct fnl_conv_shape shape_of(const struct fnl_step *s)
{
    const struct fnl_attrs *a = &s->node->attrs;
    const struct operands o = operands_of(s);
    const struct fnl_shape *x = &o.x->shape, *y = &o.y->shape, *w = &o.w->shape;
    return (struct fnl_conv_shape){
        .C = (int)x->dim[1],
        .H = (int)x->dim[2],
        .W = (int)x->dim[3],
        .K = (int)y->dim[1],
        .OH = (int)y->dim[2],
        .OW = (int)y->dim[3],
        .KH = (int)w->dim[2],
        .KW = (int)w->dim[3],
        .stride_h = a->strides[0],
        .stride_w = a->strides[1],
        .pad_top = a->pads[0],
        .pad_left = a->pads[1],
        .pad_bottom = a->pads[2],
        .pad_right = a->pads[3],
        .dilation_h = a->dilations[0],
        .dilation_w = a->dilations[1],
        .group = a->group,
    };
}

/* One filter a channel is no product: vectors of channels beat nearly empty panels. */
static bool multiplies_bf16(const struct fnl_step *s, const struct fnl_conv_shape *c)
{
    const bool depthwise = c->group > 1 && c->group == c->C && c->group == c->K;
    return s->bf16 && !depthwise && fnl_cpu_bf16_products();
}

/* Winograd's weights pass by once a block: with four images they are no longer noticed. */
static size_t block_rows(const struct fnl_step *s)
{
    const struct fnl_conv_shape c = shape_of(s);
    return !multiplies_bf16(s, &c) && fnl_cpu_winograd(&c) ? 4 : 1;
}

static size_t kernel_scratch(const struct fnl_step *s, const struct conv_state *state)
{
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    if (s->bf16_product) {
        return k->conv_scratch_bf16(&state->shape);
    }
    return (state->winograd ? k->winograd_scratch : k->conv_scratch)(&state->shape, s->max_rows);
}

static int plan_conv(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                     struct fnl_error *err)
{
    (void)g;
    struct conv_state *state = fnl_arena_alloc(arena, sizeof *state);
    if (state == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    const struct fnl_operand *w = operands_of(s).w;
    state->shape = shape_of(s);
    fnl__cpu_conv_layout(&w->shape, s->node->attrs.group, &state->weights);
    s->bf16_product = multiplies_bf16(s, &state->shape);
    state->winograd = !s->bf16_product && fnl_cpu_winograd(&state->shape);
    state->kernel_scratch = (kernel_scratch(s, state) + 15) / 16 * 16;
    size_t packed = w->layout == FNL_LAYOUT_NATIVE ? 0 : state->weights.size;
    s->scratch_bytes = (state->kernel_scratch + packed) * sizeof(float);
    s->state = state;
    return 0;
}

/* The weights in panels: where they are, or packed into scratch at the run's first block. */
static const float *weights(const struct fnl_run *r, const struct conv_state *state,
                            const struct fnl_operand *w)
{
    const float *given = fnl_f32(r, w);
    if (w->layout == FNL_LAYOUT_NATIVE) {
        return given;
    }
    float *packed = (float *)(void *)r->scratch + state->kernel_scratch;
    if (r->first_block) {
        fnl__cpu_param_pack(&state->weights, given, packed);
    }
    return packed;
}

static void forward_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct conv_state *state = s->state;
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    const float *x = fnl_f32(r, &s->in[0]), *w = weights(r, state, &s->in[1]);
    const float *bias = s->in_count > 2 ? fnl_f32(r, &s->in[2]) : NULL;
    enum fnl_cpu_activation act = s->activation != 0 ? FNL_CPU_RELU : FNL_CPU_NONE;
    float *y = fnl_f32(r, &s->out[0]), *scratch = (float *)(void *)r->scratch;
    if (s->bf16_product) {
        k->conv_forward_bf16(&state->shape, r->rows, x, w, bias, act, y, scratch, r->first_block);
    } else if (state->winograd) {
        k->winograd_forward(&state->shape, r->rows, x, w, bias, act, y, scratch, r->first_block);
    } else {
        k->conv_forward(&state->shape, r->rows, x, w, bias, act, y, scratch);
    }
}

const struct fnl_op_impl fnl__cpu_impl_conv = {.op = FNL_OP_CONV,
                                               .name = "cpu.conv",
                                               .rank = 20,
                                               .rowwise = true,
                                               .fuses_relu = true,
                                               .in_layout = "cnp",
                                               .out_layout = "c",
                                               .block_rows = block_rows,
                                               .plan = plan_conv,
                                               .run = forward_run};

/* ---- inputs (dy, x, w) -> dw ---- */

static void grad_weights_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct conv_state *state = s->state;
    bool native = s->out[0].layout == FNL_LAYOUT_NATIVE;
    float *panels =
        native ? fnl_f32(r, &s->out[0]) : (float *)(void *)r->scratch + state->kernel_scratch;
    const bool last_block = r->row0 + r->rows == r->shard_rows;
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    const float *dy = fnl_f32(r, &s->in[0]), *x = fnl_f32(r, &s->in[1]);
    float *scratch = (float *)(void *)r->scratch;
    if (state->winograd) {
        k->winograd_grad_weights(&state->shape, r->rows, x, dy, panels, scratch, r->first_block,
                                 last_block);
    } else {
        (s->bf16_product ? k->conv_grad_weights_bf16 : k->conv_grad_weights)(
            &state->shape, r->rows, x, dy, panels, NULL, !r->first_block, scratch);
    }
    if (!native && last_block) {
        fnl__cpu_param_unpack(&state->weights, panels, fnl_f32(r, &s->out[0]));
    }
}

const struct fnl_op_impl fnl__cpu_impl_conv_grad_weights = {.op = FNL_OP_CONV_GRAD_WEIGHTS,
                                                            .name = "cpu.conv.grad_weights",
                                                            .rank = 20,
                                                            .rowwise = true,
                                                            .in_layout = "cc-",
                                                            .out_layout = "n",
                                                            .block_rows = block_rows,
                                                            .plan = plan_conv,
                                                            .run = grad_weights_run};

/* ---- inputs (dy, w, x) -> dx ---- */

static void grad_data_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct conv_state *state = s->state;
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    (s->bf16_product   ? k->conv_grad_data_bf16
     : state->winograd ? k->winograd_grad_data
                       : k->conv_grad_data)(&state->shape, r->rows, fnl_f32(r, &s->in[0]),
                                            weights(r, state, &s->in[1]), fnl_f32(r, &s->out[0]),
                                            (float *)(void *)r->scratch, r->first_block);
}

const struct fnl_op_impl fnl__cpu_impl_conv_grad_data = {.op = FNL_OP_CONV_GRAD_DATA,
                                                         .name = "cpu.conv.grad_data",
                                                         .rank = 20,
                                                         .rowwise = true,
                                                         .in_layout = "cn-",
                                                         .out_layout = "c",
                                                         .block_rows = block_rows,
                                                         .plan = plan_conv,
                                                         .run = grad_data_run};

/* ---- dy -> db ---- */

static void grad_bias_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = (size_t)s->in[0].shape.dim[1];
    fnl_cpu_kernels()->channel_bias_grad(r->rows * s->in[0].row_size / C, C, fnl_f32(r, &s->in[0]),
                                         fnl_f32(r, &s->out[0]), !r->first_block);
}

const struct fnl_op_impl fnl__cpu_impl_conv_grad_bias = {.op = FNL_OP_CONV_GRAD_BIAS,
                                                         .name = "cpu.conv.grad_bias",
                                                         .rank = 20,
                                                         .rowwise = true,
                                                         .in_layout = "c",
                                                         .out_layout = "n",
                                                         .run = grad_bias_run};
