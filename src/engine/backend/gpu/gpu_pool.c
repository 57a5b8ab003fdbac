/* gpu_pool.c - pooling over windows and its gradients, and the maximum of whole images; means of
 * whole images are sums (gpu_shape.c). */
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_share.h"

#define NO_TAP 255 /* pool.k */

/* Arguments that all windows have; image: operand with the image's shape, windows: with theirs. */
static void put_windows(struct fnl_gpu_call *c, const struct fnl_attrs *a, size_t count,
                        const struct fnl_operand *image, const struct fnl_operand *windows)
{
    fnl__gpu_u32(c, count);
    fnl__gpu_u32(c, (size_t)image->shape.dim[2]);
    fnl__gpu_u32(c, (size_t)image->shape.dim[3]);
    fnl__gpu_u32(c, (size_t)windows->shape.dim[2]);
    fnl__gpu_u32(c, (size_t)windows->shape.dim[3]);
    for (int d = 0; d < 2; d++) {
        fnl__gpu_u32(c, (size_t)a->kernel[d]);
    }
    for (int d = 0; d < 2; d++) {
        fnl__gpu_u32(c, (size_t)a->strides[d]);
    }
    for (int d = 0; d < 2; d++) {
        fnl__gpu_u32(c, (size_t)a->pads[d]);
    }
    for (int d = 0; d < 2; d++) {
        fnl__gpu_u32(c, (size_t)a->dilations[d]);
    }
}

static void put_divisor(struct fnl_gpu_call *c, const struct fnl_attrs *a)
{
    fnl__gpu_u32(c, (size_t)a->pads[2]);
    fnl__gpu_u32(c, (size_t)a->pads[3]);
    fnl__gpu_i32(c, a->count_include_pad ? 1 : 0);
}

static int launch_pool(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                       struct fnl_error *err)
{
    const struct fnl_operand *x = &step->in[0], *y = &step->out[0];
    const bool is_max = step->node->op == FNL_OP_MAX_POOL;
    size_t count = fnl__gpu_count(emit, y);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "pool", is_max ? "max_pool" : "average_pool");
    put_windows(&c, &step->node->attrs, count, x, y);
    if (!is_max) {
        put_divisor(&c, &step->node->attrs);
    }
    fnl__gpu_ptr(&c, x);
    fnl__gpu_ptr(&c, y);
    if (is_max) {
        const struct fnl_operand absent = {.value = -1};
        fnl__gpu_i32(&c, step->noted ? 1 : 0);
        fnl__gpu_i32(&c, step->mask_relu ? 1 : 0);
        fnl__gpu_ptr(&c, step->noted ? &step->out[1] : &absent);
    }
    return fnl__gpu_flat(&c, count, err);
}

/* A byte an output that names the tap which takes the gradient, where a byte can. */
static size_t note_bytes(const struct fnl_graph *g, const struct fnl_node *node)
{
    const struct fnl_shape *y = &fnl_graph_value(g, node->output[0])->shape;
    const bool fits = (int64_t)node->attrs.kernel[0] * node->attrs.kernel[1] < NO_TAP;
    return fits ? (size_t)fnl_shape_count(y, 1) : 0;
}

FNL_GPU_ROW(max_pool, MAX_POOL, "p", launch_pool, .note_bytes = note_bytes);
FNL_GPU_ROW(average_pool, AVERAGE_POOL, "p", launch_pool);

/* dy, x, y or, in place of x and y, the note. */
static int launch_max_pool_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                struct fnl_error *err)
{
    const struct fnl_operand *dx = &step->out[0];
    size_t count = fnl__gpu_count(emit, dx);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "pool", step->noted ? "max_pool_grad_noted" : "max_pool_grad");
    put_windows(&c, &step->node->attrs, count, dx, &step->in[0]);
    if (step->noted) {
        fnl__gpu_ptr(&c, &step->in[0]);
        fnl__gpu_ptr(&c, &step->in[3]);
    } else {
        fnl__gpu_i32(&c, step->mask_relu ? 1 : 0);
        fnl__gpu_ptr(&c, &step->in[0]);
        fnl__gpu_ptr(&c, &step->in[1]);
        fnl__gpu_ptr(&c, &step->in[2]);
    }
    fnl__gpu_ptr(&c, dx);
    return fnl__gpu_flat(&c, count, err);
}

static int launch_average_pool_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                    struct fnl_error *err)
{
    const struct fnl_operand *dx = &step->out[0];
    size_t count = fnl__gpu_count(emit, dx);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "pool", "average_pool_grad");
    put_windows(&c, &step->node->attrs, count, dx, &step->in[0]);
    put_divisor(&c, &step->node->attrs);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, dx);
    return fnl__gpu_flat(&c, count, err);
}

FNL_GPU_ROW(max_pool_grad, MAX_POOL_GRAD, "p", launch_max_pool_grad, .fuses_relu_grad = true,
            .takes_notes = true);
FNL_GPU_ROW(average_pool_grad, AVERAGE_POOL_GRAD, "p-", launch_average_pool_grad);

/* ---- whole images ---- */

/* y[planes] from x, or dx from dy and x. */
static int launch_global_max(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                             struct fnl_error *err)
{
    const bool grad = step->node->op == FNL_OP_GLOBAL_MAX_POOL_GRAD;
    const struct fnl_operand *x = &step->in[grad ? 1 : 0];
    const struct fnl_operand absent = {.value = -1};
    size_t pixels = (size_t)(x->shape.dim[2] * x->shape.dim[3]);
    size_t planes = fnl__gpu_count(emit, x) / pixels;
    struct fnl_gpu_share share = fnl__gpu_share(emit, planes, pixels, false, false);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "pool", "global_max");
    fnl__gpu_u32(&c, planes);
    fnl__gpu_u32(&c, pixels);
    fnl__gpu_u32(&c, share.width);
    fnl__gpu_ptr(&c, x);
    fnl__gpu_ptr(&c, &step->out[0]);
    fnl__gpu_i32(&c, grad ? 1 : 0);
    fnl__gpu_ptr(&c, grad ? &step->in[0] : &absent);
    return fnl__gpu_shared(&c, &share, err);
}

FNL_GPU_ROW(global_max_pool, GLOBAL_MAX_POOL, "p", launch_global_max);
FNL_GPU_ROW(global_max_pool_grad, GLOBAL_MAX_POOL_GRAD, "pp-", launch_global_max);
