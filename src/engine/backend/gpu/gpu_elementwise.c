/* gpu_elementwise.c - operators whose output element depends on the same element of the inputs. */
#include "engine/backend/gpu/gpu_rows.h"

static int launch_relu(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                       struct fnl_error *err)
{
    struct fnl_gpu_call c;
    size_t count = fnl__gpu_count(emit, &step->out[0]);
    fnl__gpu_call(&c, emit, "elementwise", "relu");
    fnl__gpu_u32(&c, count);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->out[0]);
    return fnl__gpu_flat(&c, count, err);
}

const struct fnl_op_impl fnl__gpu_relu = {
    .op = FNL_OP_RELU, .name = "gpu.relu", .launch = launch_relu};
