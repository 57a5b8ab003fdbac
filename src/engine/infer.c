/* infer.c - shape inference: one rule per operator, from input shapes and attributes to output
 * shapes.
 *
 * Follows the ONNX operator specifications (opset 13..21). The batch dimension (FNL_DIM_BATCH) may
 * stand only in front and is carried along; an operator that would mix rows of the batch (a
 * reduction over dimension 0 and the like) is refused. Here stand the table of rules, and those of
 * element-wise operators, products and losses; the others in infer_shape.c, infer_window.c and
 * infer_norm.c. */
#include <stdarg.h>
#include <stdio.h>

#include "engine/infer_int.h"

int fnl__infer_error(const struct fnl__infer *f, const char *format, ...)
{
    char what[256];
    char a[FNL_SHAPE_TEXT], b[FNL_SHAPE_TEXT];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    bool two = f->node->input_count > 1 && f->in[1] != NULL;
    return FNL_FAIL(f->err, FORMAT, NULL, "node \"%s\" (%s): %s; input %s%s%s", f->node->name,
                    fnl_op_text(f->node->op), what, fnl_shape_text(&f->in[0]->shape, a),
                    two ? " and " : "", two ? fnl_shape_text(&f->in[1]->shape, b) : "");
}

int fnl__infer_same_as_first(struct fnl__infer *f)
{
    f->out[0].shape = f->in[0]->shape;
    return 0;
}

/* numpy broadcasting; the batch dimension meets itself or 1. */
static int broadcast(struct fnl__infer *f)
{
    const struct fnl_shape *a = &f->in[0]->shape, *b = &f->in[1]->shape;
    struct fnl_shape *y = &f->out[0].shape;
    y->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < y->rank; i++) {
        int ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1) {
            return fnl__infer_error(f, "shapes cannot be broadcast together");
        }
        y->dim[i] = da == 1 ? db : da;
        if (y->dim[i] == FNL_DIM_BATCH && i > 0) {
            return fnl__infer_error(f, "the batch dimension must stay in front");
        }
    }
    return 0;
}

static int matrix_product(struct fnl__infer *f, bool trans_a, bool trans_b)
{
    const struct fnl_shape *a = &f->in[0]->shape, *b = &f->in[1]->shape;
    if (a->rank != 2 || b->rank != 2) {
        return fnl__infer_error(f, "only matrices (rank 2) are multiplied");
    }
    int64_t m = a->dim[trans_a ? 1 : 0], ka = a->dim[trans_a ? 0 : 1];
    int64_t kb = b->dim[trans_b ? 1 : 0], n = b->dim[trans_b ? 0 : 1];
    if (ka != kb || n == FNL_DIM_BATCH) {
        return fnl__infer_error(f, "inner sizes %lld and %lld differ", (long long)ka,
                                (long long)kb);
    }
    if (ka == FNL_DIM_BATCH && !f->node->backward) {
        return fnl__infer_error(f, "a product would sum over the batch");
    }
    f->out[0].shape = fnl_shape_make(2, m, n);
    return 0;
}

static int matmul(struct fnl__infer *f)
{
    return matrix_product(f, f->node->attrs.trans_a, f->node->attrs.trans_b);
}

static int gemm(struct fnl__infer *f)
{
    int rc = matrix_product(f, f->node->attrs.trans_a, f->node->attrs.trans_b);
    if (rc == 0 && f->node->input_count > 2 && f->in[2] != NULL) {
        const struct fnl_shape *c = &f->in[2]->shape, *y = &f->out[0].shape;
        bool fits = c->rank <= 2;
        for (int i = 0; i < c->rank && fits; i++) {
            int64_t want = y->dim[2 - c->rank + i];
            fits = c->dim[i] == 1 || c->dim[i] == want;
        }
        if (!fits) {
            char text[FNL_SHAPE_TEXT];
            return fnl__infer_error(f, "bias %s does not fit the product", fnl_shape_text(c, text));
        }
    }
    return rc;
}

static int softmax(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    int axis = f->node->attrs.axis < 0 ? f->node->attrs.axis + x->rank : f->node->attrs.axis;
    if (axis < 0 || axis >= x->rank || x->dim[axis] == FNL_DIM_BATCH) {
        return fnl__infer_error(f, "axis %d out of range", f->node->attrs.axis);
    }
    return fnl__infer_same_as_first(f);
}

static int dropout(struct fnl__infer *f)
{
    float ratio = f->node->attrs.ratio;
    if (!(ratio >= 0.0F && ratio < 1.0F)) {
        return fnl__infer_error(f, "ratio %g is not in [0, 1)", (double)ratio);
    }
    if (f->node->output_count > 1) {
        f->out[1].shape = f->in[0]->shape;
        f->out[1].dtype = FNL_F32;
    }
    return fnl__infer_same_as_first(f);
}

/* Losses: scores [N, K] (or [N] with targets alike) against labels [N] or targets of the same
 * shape. */
static int loss(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape, *t = &f->in[1]->shape;
    bool sparse = f->node->op == FNL_OP_SOFTMAX_CROSS_ENTROPY;
    /* Softmax and label of one class a row; the other losses take features of any shape. */
    bool classes = sparse || f->node->op == FNL_OP_CATEGORICAL_CROSS_ENTROPY;
    if (x->rank < 2 || (classes && x->rank != 2) ||
        (sparse && (t->rank != 1 || t->dim[0] != x->dim[0])) ||
        (!sparse && !fnl_shape_equal(x, t))) {
        return fnl__infer_error(f, "the network's output does not fit the targets");
    }
    if (sparse && f->in[1]->dtype != FNL_I32) {
        return fnl__infer_error(f, "labels must be int32");
    }
    f->out[0].shape = fnl_shape_make(1, x->dim[0]);
    f->out[0].dtype = FNL_F32;
    if (f->node->output_count > 1) {
        f->out[1].shape = *x;
        f->out[1].dtype = FNL_F32;
    }
    return 0;
}

/* Gradients that have the shape of one input: that of input `from`. */
static int shape_of(struct fnl__infer *f, int from)
{
    f->out[0].shape = f->in[from]->shape;
    return 0;
}

static int backward(struct fnl__infer *f)
{
    switch (f->node->op) {
    case FNL_OP_CONV_GRAD_BIAS:
        f->out[0].shape = fnl_shape_make(1, f->in[0]->shape.dim[1]);
        return 0;
    case FNL_OP_CONV_GRAD_DATA:
    case FNL_OP_CONV_GRAD_WEIGHTS:
        return shape_of(f, 2);
    case FNL_OP_MAX_POOL_GRAD:
    case FNL_OP_AVERAGE_POOL_GRAD:
    case FNL_OP_GLOBAL_AVERAGE_POOL_GRAD:
    case FNL_OP_GLOBAL_MAX_POOL_GRAD:
    case FNL_OP_SUM_TO_SHAPE:
    case FNL_OP_EXPAND_TO:
    case FNL_OP_RESHAPE_TO:
        return shape_of(f, 1);
    case FNL_OP_BATCH_NORMALIZATION_GRAD:
    case FNL_OP_LAYER_NORMALIZATION_GRAD:
        return fnl__infer_norm_grad(f);
    default: /* element-wise gradients, and those of losses */
        return fnl__infer_same_as_first(f);
    }
}

static int forward(struct fnl__infer *f)
{
    switch (f->node->op) {
    case FNL_OP_ADD:
    case FNL_OP_SUB:
    case FNL_OP_MUL:
    case FNL_OP_DIV:
        return broadcast(f);
    case FNL_OP_FLATTEN:
        return fnl__infer_flatten(f);
    case FNL_OP_RESHAPE:
        return fnl__infer_reshape(f);
    case FNL_OP_TRANSPOSE:
        return fnl__infer_transpose(f);
    case FNL_OP_MATMUL:
        return matmul(f);
    case FNL_OP_GEMM:
        return gemm(f);
    case FNL_OP_CONV:
        return fnl__infer_conv(f);
    case FNL_OP_MAX_POOL:
    case FNL_OP_AVERAGE_POOL:
        return fnl__infer_pool(f);
    case FNL_OP_GLOBAL_AVERAGE_POOL:
    case FNL_OP_GLOBAL_MAX_POOL:
        return fnl__infer_global_pool(f);
    case FNL_OP_SOFTMAX:
    case FNL_OP_LOG_SOFTMAX:
        return softmax(f);
    case FNL_OP_DROPOUT:
        return dropout(f);
    case FNL_OP_BATCH_NORMALIZATION:
        return fnl__infer_batch_normalization(f);
    case FNL_OP_LAYER_NORMALIZATION:
        return fnl__infer_layer_normalization(f);
    case FNL_OP_REDUCE_SUM:
    case FNL_OP_REDUCE_MEAN:
        return fnl__infer_reduce(f);
    case FNL_OP_SOFTMAX_CROSS_ENTROPY:
    case FNL_OP_CATEGORICAL_CROSS_ENTROPY:
    case FNL_OP_BINARY_CROSS_ENTROPY:
    case FNL_OP_MEAN_SQUARED_ERROR:
        return loss(f);
    default:
        return backward(f);
    }
}

/* Every size must be countable: products below 2^40 elements, so that bytes never overflow. */
static int check_output(struct fnl__infer *f, const struct fnl_shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++) {
        int64_t d = s->dim[i] == FNL_DIM_BATCH && i == 0 ? 1 : s->dim[i];
        if (d < 1 || d > (int64_t)1 << 32 || count > ((int64_t)1 << 40) / d) {
            return fnl__infer_error(f, "the result is empty or too large");
        }
        count *= d;
    }
    return 0;
}

int fnl__infer(const struct fnl_graph *g, const struct fnl_node *node, struct fnl_value *outputs,
               struct fnl_error *err)
{
    struct fnl__infer f = {.g = g, .node = node, .out = outputs, .err = err};
    for (int i = 0; i < node->input_count; i++) {
        f.in[i] = node->input[i] < 0 ? NULL : &g->values[node->input[i]];
    }
    outputs[0].dtype = f.in[0]->dtype;
    int rc = forward(&f);
    for (int i = 0; rc == 0 && i < node->output_count; i++) {
        rc = check_output(&f, &outputs[i].shape);
    }
    return rc;
}
