/* gpu_loss.c - the losses of rows; DifferenceGrad is in gpu_elementwise.c. The divisor of the mean
 * is emit->rows: the whole batch is on one device. */
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_share.h"

static const char *kernel_of(enum fnl_op op)
{
    switch (op) {
    case FNL_OP_SOFTMAX_CROSS_ENTROPY:
        return "softmax_cross_entropy";
    case FNL_OP_CATEGORICAL_CROSS_ENTROPY:
        return "categorical_cross_entropy";
    case FNL_OP_BINARY_CROSS_ENTROPY:
        return "binary_cross_entropy";
    default: /* FNL_OP_MEAN_SQUARED_ERROR */
        return "mean_squared_error";
    }
}

static int launch_loss(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                       struct fnl_error *err)
{
    const enum fnl_op op = step->node->op;
    size_t K = step->in[0].row_size;
    struct fnl_gpu_share share = fnl__gpu_share(emit, emit->rows, K, false, false);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "loss", kernel_of(op));
    fnl__gpu_u32(&c, emit->rows);
    fnl__gpu_u32(&c, K);
    fnl__gpu_u32(&c, share.width);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_ptr(&c, &step->out[0]);
    if (op != FNL_OP_MEAN_SQUARED_ERROR) {
        fnl__gpu_ptr(&c, &step->out[1]);
    }
    if (op == FNL_OP_SOFTMAX_CROSS_ENTROPY) {
        fnl__gpu_i32(&c, step->out[FNL_STEP_SUM].value >= 0 ? 1 : 0);
        fnl__gpu_ptr(&c, &step->out[FNL_STEP_SUM]);
    }
    return fnl__gpu_shared(&c, &share, err);
}

FNL_GPU_ROW(softmax_cross_entropy, SOFTMAX_CROSS_ENTROPY, "p", launch_loss, .fuses_gradient = true);
FNL_GPU_ROW(categorical_cross_entropy, CATEGORICAL_CROSS_ENTROPY, "p", launch_loss);
FNL_GPU_ROW(binary_cross_entropy, BINARY_CROSS_ENTROPY, "p", launch_loss);
FNL_GPU_ROW(mean_squared_error, MEAN_SQUARED_ERROR, "p", launch_loss);

static int launch_softmax_cross_entropy_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                             struct fnl_error *err)
{
    size_t count = fnl__gpu_count(emit, &step->out[0]);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "loss", "softmax_cross_entropy_grad");
    fnl__gpu_u32(&c, count);
    fnl__gpu_u32(&c, emit->rows);
    fnl__gpu_u32(&c, step->in[0].row_size);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_ptr(&c, &step->out[0]);
    return fnl__gpu_flat(&c, count, err);
}

FNL_GPU_ROW(softmax_cross_entropy_grad, SOFTMAX_CROSS_ENTROPY_GRAD, "p",
            launch_softmax_cross_entropy_grad);
