/* infer_shape.c - shape inference of operators that move or sum up elements: Flatten, Reshape,
 * Transpose, reductions. See infer.c. */
#include "engine/infer_int.h"

int fnl__infer_flatten(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    int axis = f->node->attrs.axis < 0 ? f->node->attrs.axis + x->rank : f->node->attrs.axis;
    if (axis < 0 || axis > x->rank || (axis == 0 && x->rank > 0 && x->dim[0] == FNL_DIM_BATCH) ||
        (axis > 1 && x->dim[0] == FNL_DIM_BATCH)) {
        return fnl__infer_error(f, "cannot flatten at axis %d", f->node->attrs.axis);
    }
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < x->rank; i++) {
        int64_t *side = i < axis ? &outer : &inner;
        *side = i == 0 && x->dim[0] == FNL_DIM_BATCH ? FNL_DIM_BATCH : *side * x->dim[i];
    }
    f->out[0].shape = fnl_shape_make(2, outer, inner);
    return 0;
}

int fnl__infer_reshape(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    struct fnl_shape *y = &f->out[0].shape;
    *y = f->node->attrs.shape;
    bool batched = x->rank > 0 && x->dim[0] == FNL_DIM_BATCH;
    int first = 0;
    if (batched) { /* the batch stays in front; the rest is one row */
        if (y->rank < 1 || (y->dim[0] != FNL_DIM_BATCH && y->dim[0] != 0)) {
            return fnl__infer_error(f, "a reshape must keep the batch dimension in front");
        }
        y->dim[0] = FNL_DIM_BATCH;
        first = 1;
    }
    int64_t have = fnl_shape_count(x, 1), known = 1;
    int unknown = -1;
    for (int i = first; i < y->rank; i++) {
        if (y->dim[i] == 0 && i < x->rank) {
            y->dim[i] = x->dim[i];
        }
        if (y->dim[i] == -1 && unknown < 0) {
            unknown = i;
        } else if (y->dim[i] < 1 || __builtin_mul_overflow(known, y->dim[i], &known)) {
            return fnl__infer_error(f, "bad target shape");
        }
    }
    if (unknown >= 0 && have % known == 0) {
        y->dim[unknown] = have / known;
        known = have;
    }
    if (have != known) {
        return fnl__infer_error(f, "cannot reshape %lld elements to %lld", (long long)have,
                                (long long)known);
    }
    return 0;
}

int fnl__infer_transpose(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    unsigned seen = 0;
    f->out[0].shape.rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        int p = f->node->attrs.perm[i];
        if (p < 0 || p >= x->rank || (seen & (1U << p)) != 0) {
            return fnl__infer_error(f, "perm is not a permutation");
        }
        seen |= 1U << p;
        f->out[0].shape.dim[i] = x->dim[p];
        if (x->dim[p] == FNL_DIM_BATCH && i != 0) {
            return fnl__infer_error(f, "the batch dimension must stay in front");
        }
    }
    return 0;
}

int fnl__infer_reduce(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    struct fnl_shape *y = &f->out[0].shape;
    uint32_t mask = f->node->attrs.axes_mask;
    if (mask == 0 || (mask >> x->rank) != 0 || ((mask & 1) != 0 && x->dim[0] == FNL_DIM_BATCH)) {
        return fnl__infer_error(f, "axes out of range, or over the batch");
    }
    y->rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if ((mask & (1U << i)) == 0) {
            y->dim[y->rank++] = x->dim[i];
        } else if (f->node->attrs.keepdims) {
            y->dim[y->rank++] = 1;
        }
    }
    return 0;
}
