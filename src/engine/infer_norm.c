/* infer_norm.c - shape inference of normalisations and their gradients. See infer.c. */
#include "engine/infer_int.h"

int fnl__infer_batch_normalization(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    if (x->rank < 2) {
        return fnl__infer_error(f, "expected [N, C, ...]");
    }
    for (int i = 1; i < 5; i++) {
        if (f->in[i]->shape.rank != 1 || f->in[i]->shape.dim[0] != x->dim[1]) {
            return fnl__infer_error(f, "scale, bias, mean and variance need one entry a channel");
        }
    }
    for (int i = 1; i < f->node->output_count; i++) {
        f->out[i].shape = fnl_shape_make(1, x->dim[1]);
        f->out[i].dtype = FNL_F32;
    }
    return fnl__infer_same_as_first(f);
}

int fnl__infer_layer_normalization(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    int axis = f->node->attrs.axis < 0 ? f->node->attrs.axis + x->rank : f->node->attrs.axis;
    if (axis < 0 || axis >= x->rank || x->dim[axis] == FNL_DIM_BATCH) {
        return fnl__infer_error(f, "axis %d out of range", f->node->attrs.axis);
    }
    for (int i = 1; i < f->node->input_count; i++) {
        if (f->in[i] == NULL) {
            continue;
        }
        const struct fnl_shape *s = &f->in[i]->shape;
        bool fits = s->rank == x->rank - axis;
        for (int d = 0; fits && d < s->rank; d++) {
            fits = s->dim[d] == x->dim[axis + d];
        }
        if (!fits) {
            return fnl__infer_error(f, "scale and bias must have the shape of the normalised part");
        }
    }
    struct fnl_shape stat = *x;
    for (int d = axis; d < stat.rank; d++) {
        stat.dim[d] = 1;
    }
    for (int i = 1; i < f->node->output_count; i++) {
        f->out[i].shape = stat;
        f->out[i].dtype = FNL_F32;
    }
    return fnl__infer_same_as_first(f);
}

int fnl__infer_norm_grad(struct fnl__infer *f)
{
    f->out[0].shape = f->in[1]->shape;
    f->out[1].shape = f->in[2]->shape;
    f->out[2].shape = f->in[2]->shape;
    for (int i = 0; i < 3; i++) {
        f->out[i].dtype = FNL_F32;
    }
    return 0;
}
