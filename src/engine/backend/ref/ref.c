/* ref.c - the reference back end: every operator as the plainest loop that is obviously right.
 *
 * It is the oracle the other back ends are tested against, and what they fall back to. No blocks of
 * rows, every tensor row-major in ONNX order, every sum in double and rounded once. Speed is no
 * aim: indices are computed afresh for each element where that reads better. Operators stand in
 * files by family (ref_<family>.c); this one holds the table and what the families share. */
#include "engine/backend/ref/ref_int.h"

#include <stdint.h>

static struct fnl_ref_tensor tensor_of(const struct fnl_run *run, const struct fnl_operand *o)
{
    struct fnl_ref_tensor t = {.at = fnl_f32(run, o), .rank = o->shape.rank, .count = 1};
    if (t.at == NULL) {
        return t;
    }
    for (int d = 0; d < t.rank; d++) {
        t.dim[d] = o->shape.dim[d] == FNL_DIM_BATCH ? run->rows : (size_t)o->shape.dim[d];
        t.count *= t.dim[d];
    }
    return t;
}

struct fnl_ref_tensor fnl__ref_in(const struct fnl_step *step, const struct fnl_run *run, int index)
{
    if (index >= step->in_count) {
        return (struct fnl_ref_tensor){0};
    }
    return tensor_of(run, &step->in[index]);
}

struct fnl_ref_tensor fnl__ref_out(const struct fnl_step *step, const struct fnl_run *run,
                                   int index)
{
    if (index >= step->out_count) {
        return (struct fnl_ref_tensor){0};
    }
    return tensor_of(run, &step->out[index]);
}

size_t fnl__ref_broadcast_index(const struct fnl_ref_tensor *from,
                                const struct fnl_ref_tensor *over, size_t index)
{
    size_t result = 0, stride = 1;
    for (int back = 1; back <= from->rank && back <= over->rank; back++) {
        size_t extent = over->dim[over->rank - back], own = from->dim[from->rank - back];
        size_t coordinate = index % extent;
        index /= extent;
        if (own != 1) {
            result += coordinate * stride;
        }
        stride *= own;
    }
    return result;
}

int fnl__ref_axis(const struct fnl_step *step, int rank)
{
    int axis = step->node->attrs.axis;
    return axis < 0 ? axis + rank : axis;
}

size_t fnl__ref_extent(const struct fnl_ref_tensor *t, int begin, int end)
{
    size_t count = 1;
    for (int d = begin; d < end; d++) {
        count *= t->dim[d];
    }
    return count;
}

int fnl__ref_plan_sums(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                       struct fnl_error *err)
{
    (void)g;
    (void)arena;
    const struct fnl_operand *o = &step->out[0];
    bool batched = o->shape.rank > 0 && o->shape.dim[0] == FNL_DIM_BATCH;
    size_t rows = batched ? step->max_rows : 1;
    if (rows != 0 && o->row_size > SIZE_MAX / sizeof(double) / rows) {
        return FNL_FAIL(err, LIMIT, "use a smaller batch", "node \"%s\": too large for its sums",
                        step->node->name);
    }
    step->scratch_bytes = rows * o->row_size * sizeof(double);
    return 0;
}

static void round_bf16(size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = fnl_bf16_to_f32(fnl_bf16_from_f32(x[i]));
    }
}

static const struct fnl_op_impl *const impls[] = {
#define FNL_REF_ROW(name) &fnl__ref_##name,
    FNL_REF_IMPLS(FNL_REF_ROW)
#undef FNL_REF_ROW
        NULL,
};

const struct fnl_backend fnl_backend_ref = {
    .name = "ref",
    .impls = impls,
    .shards = false,
    .channels_last = false,
    .views = false,
    .round_bf16 = round_bf16,
    .update = fnl__ref_update,
    .gradient_norm2 = fnl__ref_gradient_norm2,
};
