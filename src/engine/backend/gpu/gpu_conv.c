/* gpu_conv.c - convolutions and their gradients, on images [N, C, H, W] and filters
 * [K, C / group, KH, KW]. All three are one kernel (kernels/conv.k), which is told how its two
 * factors lie; here stands how. */
#include "engine/backend/gpu/gpu_product.h"
#include "engine/backend/gpu/gpu_rows.h"

#define MOST_STRIDED 1000000 /* rows or columns: (1000000 + 2 * 4096) * 4096 < 2^32 */

struct shapes {
    size_t N, C, H, W, K, OH, OW, KH, KW; /* C and K of all groups */
    size_t groups, group_c, group_k;      /* channels of one group */
};

static struct shapes shapes_of(const struct fnl_step *step, const struct fnl_operand *x,
                               const struct fnl_operand *w, const struct fnl_operand *y,
                               size_t rows)
{
    struct shapes s = {
        .N = x->shape.dim[0] == FNL_DIM_BATCH ? rows : (size_t)x->shape.dim[0],
        .C = (size_t)x->shape.dim[1],
        .H = (size_t)x->shape.dim[2],
        .W = (size_t)x->shape.dim[3],
        .K = (size_t)y->shape.dim[1],
        .OH = (size_t)y->shape.dim[2],
        .OW = (size_t)y->shape.dim[3],
        .KH = (size_t)w->shape.dim[2],
        .KW = (size_t)w->shape.dim[3],
        .groups = (size_t)step->node->attrs.group,
    };
    s.group_c = s.C / s.groups;
    s.group_k = s.K / s.groups;
    return s;
}

/* The kernel's view; names as there. */
struct view {
    enum fnl_gpu_product_file file;
    size_t M, N, K, groups, sums;
    size_t pixels, columns, taps, taps_w, height, width;
    int32_t mul, add, step, divide;
    size_t image_src, image, line_a, tap_a, line_y, group_a, group_src, group_y;
    const struct fnl_operand *a, *src;
};

/* Two numbers in one argument; attributes are within 4096. */
static int32_t pair(int32_t rows, int32_t columns)
{
    return (int32_t)(((uint32_t)rows << 16) | ((uint32_t)columns & 0xffff));
}

static struct view forward_view(const struct fnl_step *step, size_t rows)
{
    const struct fnl_attrs *at = &step->node->attrs;
    struct shapes s = shapes_of(step, &step->in[0], &step->in[1], &step->out[0], rows);
    size_t taps = s.KH * s.KW, pixels = s.OH * s.OW;
    return (struct view){.file = FNL_GPU_CONV,
                         .M = s.group_k,
                         .N = s.N * pixels,
                         .K = s.group_c * taps,
                         .groups = s.groups,
                         .pixels = pixels,
                         .columns = s.OW,
                         .taps = taps,
                         .taps_w = s.KW,
                         .height = s.H,
                         .width = s.W,
                         .mul = pair(at->strides[0], at->strides[1]),
                         .add = pair(-at->pads[0], -at->pads[1]),
                         .step = pair(at->dilations[0], at->dilations[1]),
                         .divide = pair(1, 1),
                         .image_src = s.C * s.H * s.W,
                         .image = s.K * pixels,
                         .line_a = s.group_c * taps,
                         .tap_a = taps,
                         .line_y = pixels,
                         .group_a = s.group_k * s.group_c * taps,
                         .group_src = s.group_c * s.H * s.W,
                         .group_y = s.group_k * pixels,
                         .a = &step->in[1],
                         .src = &step->in[0]};
}

/* (dy, w, x) -> dx: a pixel of x gathers, through the taps walked backwards, from dy's pixels,
 * which stand a stride apart in x. */
static struct view data_view(const struct fnl_step *step, size_t rows)
{
    const struct fnl_attrs *at = &step->node->attrs;
    struct shapes s = shapes_of(step, &step->out[0], &step->in[1], &step->in[0], rows);
    size_t taps = s.KH * s.KW, pixels = s.H * s.W;
    bool strided = at->strides[0] > 1 || at->strides[1] > 1;
    return (struct view){.file = strided ? FNL_GPU_CONV_STRIDED : FNL_GPU_CONV,
                         .M = s.group_c,
                         .N = s.N * pixels,
                         .K = s.group_k * taps,
                         .groups = s.groups,
                         .pixels = pixels,
                         .columns = s.W,
                         .taps = taps,
                         .taps_w = s.KW,
                         .height = s.OH,
                         .width = s.OW,
                         .mul = pair(1, 1),
                         .add = pair(at->pads[0], at->pads[1]),
                         .step = pair(-at->dilations[0], -at->dilations[1]),
                         .divide = pair(at->strides[0], at->strides[1]),
                         .image_src = s.K * s.OH * s.OW,
                         .image = s.C * pixels,
                         .line_a = taps,
                         .tap_a = s.group_c * taps,
                         .line_y = pixels,
                         .group_a = s.group_k * s.group_c * taps,
                         .group_src = s.group_k * s.OH * s.OW,
                         .group_y = s.group_c * pixels,
                         .a = &step->in[1],
                         .src = &step->in[0]};
}

/* (dy, x, w) -> dw, and dy's sums into out[FNL_STEP_SUM]. */
static struct view weights_view(const struct fnl_step *step, size_t rows)
{
    const struct fnl_attrs *at = &step->node->attrs;
    struct shapes s = shapes_of(step, &step->in[1], &step->out[0], &step->in[0], rows);
    size_t taps = s.KH * s.KW, pixels = s.OH * s.OW;
    return (struct view){.file = FNL_GPU_CONV_WEIGHTS,
                         .M = s.group_k,
                         .N = s.group_c * taps,
                         .K = s.N * pixels,
                         .groups = s.groups,
                         .sums = step->out[FNL_STEP_SUM].value >= 0 ? s.K : 0,
                         .pixels = pixels,
                         .columns = s.OW,
                         .taps = taps,
                         .taps_w = s.KW,
                         .height = s.H,
                         .width = s.W,
                         .mul = pair(at->strides[0], at->strides[1]),
                         .add = pair(-at->pads[0], -at->pads[1]),
                         .step = pair(at->dilations[0], at->dilations[1]),
                         .divide = pair(1, 1),
                         .image_src = s.C * s.H * s.W,
                         .image = s.K * pixels,
                         .line_a = pixels,
                         .tap_a = taps,
                         .line_y = s.group_c * taps,
                         .group_a = s.group_k * pixels,
                         .group_src = s.group_c * s.H * s.W,
                         .group_y = s.group_k * s.group_c * taps,
                         .a = &step->in[0],
                         .src = &step->in[1]};
}

static void add_numbers(struct fnl_gpu_call *c, const struct view *v, const struct fnl_gpu_cut *cut,
                        uint32_t flags)
{
    const size_t first[] = {
        v->M,      v->N,       v->K,    flags,     cut->chunk, v->M * v->N * v->groups + v->sums,
        v->pixels, v->columns, v->taps, v->taps_w, v->height,  v->width};
    const int32_t pairs[] = {v->mul, v->add, v->step, v->divide};
    const size_t last[] = {v->image_src, v->image,   v->line_a,    v->tap_a,
                           v->line_y,    v->group_a, v->group_src, v->group_y};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        fnl__gpu_u32(c, first[i]);
    }
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        fnl__gpu_i32(c, pairs[i]);
    }
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        fnl__gpu_u32(c, last[i]);
    }
}

static int launch_conv(const struct fnl_step *step, struct fnl_gpu_emit *emit, const struct view *v,
                       const struct fnl_gpu_cut *cut, struct fnl_error *err)
{
    static const struct fnl_operand absent = {.value = -1};
    static const char *const kernel_name[FNL_GPU_PRODUCTS] = {
        [FNL_GPU_CONV] = "conv",
        [FNL_GPU_CONV_STRIDED] = "conv_strided",
        [FNL_GPU_CONV_WEIGHTS] = "conv_weights"};
    bool split = cut->splits > 1, sums = v->sums > 0;
    uint32_t flags = split ? FNL_GPU_SPLIT : fnl__gpu_product_flags(step);
    flags |= sums ? FNL_GPU_SUM_A : 0;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, cut->tile->file[v->file], kernel_name[v->file]);
    add_numbers(&c, v, cut, flags);
    fnl__gpu_ptr(&c, v->a);
    fnl__gpu_ptr(&c, v->src);
    fnl__gpu_ptr(&c, (flags & FNL_GPU_BIAS) != 0 ? &step->in[2] : &absent);
    fnl__gpu_ptr(&c, (flags & FNL_GPU_MASK) != 0 ? &step->in[FNL_STEP_MASK] : &absent);
    if (split) {
        fnl__gpu_buf(&c, emit->scratch, step->scratch_offset);
    } else {
        fnl__gpu_ptr(&c, &step->out[0]);
    }
    fnl__gpu_ptr(&c, sums && !split ? &step->out[FNL_STEP_SUM] : &absent);
    c.too_large = c.too_large || fnl__gpu_count(emit, v->a) > UINT32_MAX ||
                  fnl__gpu_count(emit, v->src) > UINT32_MAX ||
                  fnl__gpu_count(emit, &step->out[0]) > UINT32_MAX;
    return fnl__gpu_grid(&c, cut->tiles, cut->splits, v->groups, cut->tile->threads, 1, err);
}

static int launch_view(const struct fnl_step *step, struct fnl_gpu_emit *emit, const struct view *v,
                       struct fnl_error *err)
{
    struct fnl_gpu_cut cut;
    fnl__gpu_cut(emit, v->M, v->N, v->K, v->groups, v->sums, step->scratch_bytes, &cut);
    int rc = launch_conv(step, emit, v, &cut, err);
    if (rc != 0 || cut.splits == 1) {
        return rc;
    }
    const struct fnl_gpu_join join = {
        .M = v->M * v->groups, .N = v->N, .sums = v->sums, .splits = cut.splits, .alpha = 1.0F};
    return fnl__gpu_join(step, emit, &join, err);
}

static int launch_forward(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          struct fnl_error *err)
{
    struct view v = forward_view(step, emit->rows);
    return launch_view(step, emit, &v, err);
}

static int launch_data(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                       struct fnl_error *err)
{
    struct view v = data_view(step, emit->rows);
    /* The kernel divides by strides, up to 4096, in 32 bits. */
    if (v.file == FNL_GPU_CONV_STRIDED &&
        (v.columns > MOST_STRIDED || v.pixels / v.columns > MOST_STRIDED)) {
        return FNL_FAIL(err, LIMIT, "train on --device cpu",
                        "a convolution with strides on images of more than %d rows or columns",
                        MOST_STRIDED);
    }
    return launch_view(step, emit, &v, err);
}

static int launch_weights(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          struct fnl_error *err)
{
    struct view v = weights_view(step, emit->rows);
    return launch_view(step, emit, &v, err);
}

static int plan_weights(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                        struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    struct view v = weights_view(step, step->max_rows);
    step->scratch_bytes = fnl__gpu_cut_scratch(v.M, v.N, v.K, v.groups, v.sums);
    return 0;
}

static int launch_bias(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                       struct fnl_error *err)
{
    const struct fnl_operand *dy = &step->in[0];
    size_t channels = fnl__gpu_dim(emit, dy, 1);
    size_t pixels = fnl__gpu_dim(emit, dy, 2) * fnl__gpu_dim(emit, dy, 3);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "conv_bias", "conv_bias");
    fnl__gpu_u32(&c, fnl__gpu_dim(emit, dy, 0));
    fnl__gpu_u32(&c, channels);
    fnl__gpu_u32(&c, pixels);
    fnl__gpu_ptr(&c, dy);
    fnl__gpu_ptr(&c, &step->out[0]);
    c.too_large = c.too_large || fnl__gpu_count(emit, dy) > UINT32_MAX;
    return fnl__gpu_grid(&c, channels, 1, 1, emit->group, 1, err);
}

const struct fnl_op_impl fnl__gpu_conv = {
    .op = FNL_OP_CONV, .name = "gpu.conv", .fuses_relu = true, .launch = launch_forward};
const struct fnl_op_impl fnl__gpu_conv_grad_data = {.op = FNL_OP_CONV_GRAD_DATA,
                                                    .name = "gpu.conv.grad_data",
                                                    .in_layout = "pp-",
                                                    .fuses_mask = true,
                                                    .launch = launch_data};
const struct fnl_op_impl fnl__gpu_conv_grad_weights = {.op = FNL_OP_CONV_GRAD_WEIGHTS,
                                                       .name = "gpu.conv.grad_weights",
                                                       .in_layout = "pp-",
                                                       .fuses_sum = true,
                                                       .plan = plan_weights,
                                                       .launch = launch_weights};
const struct fnl_op_impl fnl__gpu_conv_grad_bias = {
    .op = FNL_OP_CONV_GRAD_BIAS, .name = "gpu.conv.grad_bias", .launch = launch_bias};
