/* gpu_softmax.c - Softmax, LogSoftmax and their gradients, along any axis. */
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_share.h"

static int launch_softmax(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          struct fnl_error *err)
{
    const enum fnl_op op = step->node->op;
    const bool grad = op == FNL_OP_SOFTMAX_GRAD || op == FNL_OP_LOG_SOFTMAX_GRAD;
    const bool log_form = op == FNL_OP_LOG_SOFTMAX || op == FNL_OP_LOG_SOFTMAX_GRAD;
    const struct fnl_operand *y = &step->out[0];
    int axis = step->node->attrs.axis;
    axis += axis < 0 ? y->shape.rank : 0;
    size_t K = fnl__gpu_dim(emit, y, axis), inner = 1;
    for (int d = axis + 1; d < y->shape.rank; d++) {
        inner *= fnl__gpu_dim(emit, y, d);
    }
    size_t lines = fnl__gpu_count(emit, y) / K;
    struct fnl_gpu_share share = fnl__gpu_share(emit, lines, K, inner > 1, false);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "softmax", grad ? "softmax_grad" : "softmax");
    fnl__gpu_u32(&c, lines);
    fnl__gpu_u32(&c, K);
    fnl__gpu_u32(&c, inner);
    fnl__gpu_u32(&c, share.width);
    fnl__gpu_i32(&c, inner > 1 ? 1 : 0);
    fnl__gpu_i32(&c, log_form ? 1 : 0);
    fnl__gpu_ptr(&c, &step->in[0]);
    if (grad) {
        fnl__gpu_ptr(&c, &step->in[1]);
    }
    fnl__gpu_ptr(&c, y);
    return fnl__gpu_shared(&c, &share, err);
}

FNL_GPU_ROW(softmax, SOFTMAX, "p", launch_softmax);
FNL_GPU_ROW(log_softmax, LOG_SOFTMAX, "p", launch_softmax);
FNL_GPU_ROW(softmax_grad, SOFTMAX_GRAD, "p", launch_softmax);
FNL_GPU_ROW(log_softmax_grad, LOG_SOFTMAX_GRAD, "p", launch_softmax);
