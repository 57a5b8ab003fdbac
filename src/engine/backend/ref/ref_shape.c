/* ref_shape.c - operators that move, repeat or add up elements: copies under another shape,
 * Transpose, broadcasting and its reverse, reductions. */
#include <string.h>

#include "engine/backend/ref/ref_int.h"

/* Identity, Flatten, Reshape: row-major order stays, only the shape differs. */
static void run_copy(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    memmove(y.at, x.at, y.count * sizeof *y.at);
}

FNL_REF_IMPL(identity, IDENTITY, "p", .run = run_copy);
FNL_REF_IMPL(flatten, FLATTEN, "p", .run = run_copy);
FNL_REF_IMPL(reshape, RESHAPE, "p", .run = run_copy);
FNL_REF_IMPL(reshape_to, RESHAPE_TO, "p-", .run = run_copy);

/* y[i0, i1, ...] = x[...] with dimension d of y being dimension perm[d] of x. */
static void run_transpose(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    size_t x_stride[FNL_MAX_RANK] = {0};
    for (int d = 0; d < x.rank; d++) {
        x_stride[d] = fnl__ref_extent(&x, d + 1, x.rank);
    }
    for (size_t i = 0; i < y.count; i++) {
        size_t rest = i, from = 0;
        for (int d = y.rank - 1; d >= 0; d--) {
            from += rest % y.dim[d] * x_stride[step->node->attrs.perm[d]];
            rest /= y.dim[d];
        }
        y.at[i] = x.at[from];
    }
}

FNL_REF_IMPL(transpose, TRANSPOSE, "p", .run = run_transpose);

/* y has the shape of input 1; input 0 is repeated into it, times alpha. */
static void run_expand_to(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    for (size_t i = 0; i < y.count; i++) {
        y.at[i] = dy.at[fnl__ref_broadcast_index(&dy, &y, i)] * step->node->attrs.alpha;
    }
}

FNL_REF_IMPL(expand_to, EXPAND_TO, "p-", .run = run_expand_to);

static void store_sums(const struct fnl_ref_tensor *y, const double *sum, double divisor)
{
    for (size_t i = 0; i < y->count; i++) {
        y->at[i] = (float)(sum[i] / divisor);
    }
}

/* The reverse of broadcasting: everything that came from an element is added up in it. */
static void run_sum_to_shape(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    double *sum = (double *)(void *)run->scratch;
    memset(sum, 0, y.count * sizeof *sum);
    for (size_t i = 0; i < dy.count; i++) {
        sum[fnl__ref_broadcast_index(&y, &dy, i)] += (double)dy.at[i];
    }
    store_sums(&y, sum, 1.0);
}

FNL_REF_IMPL(sum_to_shape, SUM_TO_SHAPE, "p-", .plan = fnl__ref_plan_sums, .run = run_sum_to_shape);

/* ReduceSum and ReduceMean over the dimensions in axes_mask; the batch is never among them. */
static void run_reduce(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    struct fnl_ref_tensor kept = x; /* y's shape with keepdims */
    size_t reduced = 1;
    for (int d = 0; d < x.rank; d++) {
        if ((step->node->attrs.axes_mask & (1U << d)) != 0) {
            reduced *= x.dim[d];
            kept.dim[d] = 1;
        }
    }
    double *sum = (double *)(void *)run->scratch;
    memset(sum, 0, y.count * sizeof *sum);
    for (size_t i = 0; i < x.count; i++) {
        sum[fnl__ref_broadcast_index(&kept, &x, i)] += (double)x.at[i];
    }
    store_sums(&y, sum, step->node->op == FNL_OP_REDUCE_MEAN ? (double)reduced : 1.0);
}

FNL_REF_IMPL(reduce_sum, REDUCE_SUM, "p", .plan = fnl__ref_plan_sums, .run = run_reduce);
FNL_REF_IMPL(reduce_mean, REDUCE_MEAN, "p", .plan = fnl__ref_plan_sums, .run = run_reduce);
