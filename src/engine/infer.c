/* infer.c - shape inference: one rule per operator, from input shapes and attributes to output
 * shapes.
 *
 * Follows the ONNX operator specifications (opset 13..21). The batch dimension (FNL_DIM_BATCH) may
 * stand only in front and is carried along; an operator that would mix rows of the batch (a
 * reduction over dimension 0 and the like) is refused. Each rule fills out[0].shape; dtype is that
 * of input 0 unless the rule says otherwise. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/graph_int.h"

struct infer {
    const struct fnl_graph *g;
    const struct fnl_node *node;
    const struct fnl_value *in[8]; /* NULL when absent */
    struct fnl_value *out;
    struct fnl_error *err;
};

/* "node "x" (Conv): ..." with the shapes of the first two inputs. */
static int shape_error(const struct infer *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int shape_error(const struct infer *f, const char *format, ...)
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

static int same_as_first(struct infer *f)
{
    f->out[0].shape = f->in[0]->shape;
    return 0;
}

/* numpy broadcasting; the batch dimension meets itself or 1. */
static int broadcast(struct infer *f)
{
    const struct fnl_shape *a = &f->in[0]->shape, *b = &f->in[1]->shape;
    struct fnl_shape *y = &f->out[0].shape;
    y->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < y->rank; i++) {
        int ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1) {
            return shape_error(f, "shapes cannot be broadcast together");
        }
        y->dim[i] = da == 1 ? db : da;
        if (y->dim[i] == FNL_DIM_BATCH && i > 0) {
            return shape_error(f, "the batch dimension must stay in front");
        }
    }
    return 0;
}

static int flatten(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    int axis = f->node->attrs.axis < 0 ? f->node->attrs.axis + x->rank : f->node->attrs.axis;
    if (axis < 0 || axis > x->rank || (axis == 0 && x->rank > 0 && x->dim[0] == FNL_DIM_BATCH) ||
        (axis > 1 && x->dim[0] == FNL_DIM_BATCH)) {
        return shape_error(f, "cannot flatten at axis %d", f->node->attrs.axis);
    }
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < x->rank; i++) {
        int64_t *side = i < axis ? &outer : &inner;
        *side = i == 0 && x->dim[0] == FNL_DIM_BATCH ? FNL_DIM_BATCH : *side * x->dim[i];
    }
    f->out[0].shape = fnl_shape_make(2, outer, inner);
    return 0;
}

static int reshape(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    struct fnl_shape *y = &f->out[0].shape;
    *y = f->node->attrs.shape;
    bool batched = x->rank > 0 && x->dim[0] == FNL_DIM_BATCH;
    int first = 0;
    if (batched) { /* the batch stays in front; the rest is one row */
        if (y->rank < 1 || (y->dim[0] != FNL_DIM_BATCH && y->dim[0] != 0)) {
            return shape_error(f, "a reshape must keep the batch dimension in front");
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
            return shape_error(f, "bad target shape");
        }
    }
    if (unknown >= 0 && have % known == 0) {
        y->dim[unknown] = have / known;
        known = have;
    }
    if (have != known) {
        return shape_error(f, "cannot reshape %lld elements to %lld", (long long)have,
                           (long long)known);
    }
    return 0;
}

static int transpose(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    unsigned seen = 0;
    f->out[0].shape.rank = x->rank;
    for (int i = 0; i < x->rank; i++) {
        int p = f->node->attrs.perm[i];
        if (p < 0 || p >= x->rank || (seen & (1U << p)) != 0) {
            return shape_error(f, "perm is not a permutation");
        }
        seen |= 1U << p;
        f->out[0].shape.dim[i] = x->dim[p];
        if (x->dim[p] == FNL_DIM_BATCH && i != 0) {
            return shape_error(f, "the batch dimension must stay in front");
        }
    }
    return 0;
}

static int matrix_product(struct infer *f, bool trans_a, bool trans_b)
{
    const struct fnl_shape *a = &f->in[0]->shape, *b = &f->in[1]->shape;
    if (a->rank != 2 || b->rank != 2) {
        return shape_error(f, "only matrices (rank 2) are multiplied");
    }
    int64_t m = a->dim[trans_a ? 1 : 0], ka = a->dim[trans_a ? 0 : 1];
    int64_t kb = b->dim[trans_b ? 1 : 0], n = b->dim[trans_b ? 0 : 1];
    if (ka != kb || n == FNL_DIM_BATCH) {
        return shape_error(f, "inner sizes %lld and %lld differ", (long long)ka, (long long)kb);
    }
    if (ka == FNL_DIM_BATCH && !f->node->backward) {
        return shape_error(f, "a product would sum over the batch");
    }
    f->out[0].shape = fnl_shape_make(2, m, n);
    return 0;
}

static int matmul(struct infer *f)
{
    return matrix_product(f, f->node->attrs.trans_a, f->node->attrs.trans_b);
}

static int gemm(struct infer *f)
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
            return shape_error(f, "bias %s does not fit the product", fnl_shape_text(c, text));
        }
    }
    return rc;
}

int64_t fnl__window_extent(int64_t extent, int kernel, int stride, int dilation, int pad_begin,
                           int pad_end, bool ceil_mode)
{
    int64_t span = (int64_t)dilation * (kernel - 1) + 1;
    int64_t room = extent + pad_begin + pad_end - span;
    if (room < 0) {
        return -1;
    }
    int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    /* A window of ceil mode must not start in the padding behind. */
    if (ceil_mode && (out - 1) * stride >= extent + pad_begin) {
        out--;
    }
    return out;
}

/* The spatial part of Conv and pools: rank 4, sane attributes, output H and W. */
static int windows(struct infer *f, const struct fnl_attrs *a, bool ceil_mode)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    if (x->rank != 4) {
        return shape_error(f, "expected an image batch [N, C, H, W]");
    }
    for (int d = 0; d < 2; d++) {
        int lo = a->pads[d], hi = a->pads[d + 2];
        if (a->kernel[d] < 1 || a->strides[d] < 1 || a->dilations[d] < 1 || lo < 0 || hi < 0 ||
            a->kernel[d] > 4096 || a->dilations[d] > 4096 || a->strides[d] > 4096 || lo > 4096 ||
            hi > 4096) {
            return shape_error(f, "kernel, strides, dilations or pads out of range");
        }
        int64_t extent = fnl__window_extent(x->dim[2 + d], a->kernel[d], a->strides[d],
                                            a->dilations[d], lo, hi, ceil_mode);
        if (extent < 1) {
            return shape_error(f, "a %d x %d window does not fit the image", a->kernel[0],
                               a->kernel[1]);
        }
        f->out[0].shape.dim[2 + d] = extent;
    }
    f->out[0].shape.rank = 4;
    f->out[0].shape.dim[0] = x->dim[0];
    return 0;
}

static int conv(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape, *w = &f->in[1]->shape;
    const struct fnl_attrs *a = &f->node->attrs;
    if (x->rank != 4 || w->rank != 4) {
        return shape_error(f,
                           "expected an image batch [N, C, H, W] and filters [K, C/group, h, w]");
    }
    if (a->group < 1 || x->dim[1] != w->dim[1] * a->group || w->dim[0] % a->group != 0) {
        return shape_error(f, "channels and filters do not fit with group %d", a->group);
    }
    struct fnl_attrs with_kernel = *a;
    for (int d = 0; d < 2; d++) {
        if (w->dim[2 + d] > 4096) {
            return shape_error(f, "filters are too large");
        }
        with_kernel.kernel[d] = (int32_t)w->dim[2 + d];
    }
    if (f->node->input_count > 2 && f->in[2] != NULL &&
        (f->in[2]->shape.rank != 1 || f->in[2]->shape.dim[0] != w->dim[0])) {
        return shape_error(f, "the bias must have one entry for each filter");
    }
    f->out[0].shape.dim[1] = w->dim[0];
    return windows(f, &with_kernel, false);
}

static int pool(struct infer *f)
{
    const struct fnl_attrs *a = &f->node->attrs;
    int rc = windows(f, a, a->ceil_mode);
    for (int d = 0; rc == 0 && d < 2; d++) {
        int reach = a->dilations[d] * (a->kernel[d] - 1);
        bool reaches_out = a->pads[d] > 0 || a->pads[d + 2] > 0 || a->ceil_mode;
        if (a->pads[d] > reach || a->pads[d + 2] > reach) {
            return shape_error(f, "pads must be smaller than the window");
        }
        /* A window must hold a pixel: one whose taps step over the whole image has no maximum. */
        if (reaches_out && reach > 0 && a->dilations[d] > f->in[0]->shape.dim[2 + d]) {
            return shape_error(f, "dilations step over the whole image");
        }
    }
    if (rc == 0) {
        f->out[0].shape.dim[1] = f->in[0]->shape.dim[1];
    }
    return rc;
}

static int global_pool(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    if (x->rank != 4) {
        return shape_error(f, "expected an image batch [N, C, H, W]");
    }
    f->out[0].shape = fnl_shape_make(4, x->dim[0], x->dim[1], 1, 1);
    return 0;
}

static int softmax(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    int axis = f->node->attrs.axis < 0 ? f->node->attrs.axis + x->rank : f->node->attrs.axis;
    if (axis < 0 || axis >= x->rank || x->dim[axis] == FNL_DIM_BATCH) {
        return shape_error(f, "axis %d out of range", f->node->attrs.axis);
    }
    return same_as_first(f);
}

static int dropout(struct infer *f)
{
    float ratio = f->node->attrs.ratio;
    if (!(ratio >= 0.0F && ratio < 1.0F)) {
        return shape_error(f, "ratio %g is not in [0, 1)", (double)ratio);
    }
    if (f->node->output_count > 1) {
        f->out[1].shape = f->in[0]->shape;
        f->out[1].dtype = FNL_F32;
    }
    return same_as_first(f);
}

static int batch_normalization(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    if (x->rank < 2) {
        return shape_error(f, "expected [N, C, ...]");
    }
    for (int i = 1; i < 5; i++) {
        if (f->in[i]->shape.rank != 1 || f->in[i]->shape.dim[0] != x->dim[1]) {
            return shape_error(f, "scale, bias, mean and variance need one entry a channel");
        }
    }
    for (int i = 1; i < f->node->output_count; i++) {
        f->out[i].shape = fnl_shape_make(1, x->dim[1]);
        f->out[i].dtype = FNL_F32;
    }
    return same_as_first(f);
}

static int layer_normalization(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    int axis = f->node->attrs.axis < 0 ? f->node->attrs.axis + x->rank : f->node->attrs.axis;
    if (axis < 0 || axis >= x->rank || x->dim[axis] == FNL_DIM_BATCH) {
        return shape_error(f, "axis %d out of range", f->node->attrs.axis);
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
            return shape_error(f, "scale and bias must have the shape of the normalised part");
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
    return same_as_first(f);
}

static int reduce(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    struct fnl_shape *y = &f->out[0].shape;
    uint32_t mask = f->node->attrs.axes_mask;
    if (mask == 0 || (mask >> x->rank) != 0 || ((mask & 1) != 0 && x->dim[0] == FNL_DIM_BATCH)) {
        return shape_error(f, "axes out of range, or over the batch");
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

/* Losses: scores [N, K] (or [N] with targets alike) against labels [N] or targets of the same
 * shape. */
static int loss(struct infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape, *t = &f->in[1]->shape;
    bool sparse = f->node->op == FNL_OP_SOFTMAX_CROSS_ENTROPY;
    /* Softmax and label of one class a row; the other losses take features of any shape. */
    bool classes = sparse || f->node->op == FNL_OP_CATEGORICAL_CROSS_ENTROPY;
    if (x->rank < 2 || (classes && x->rank != 2) ||
        (sparse && (t->rank != 1 || t->dim[0] != x->dim[0])) ||
        (!sparse && !fnl_shape_equal(x, t))) {
        return shape_error(f, "the network's output does not fit the targets");
    }
    if (sparse && f->in[1]->dtype != FNL_I32) {
        return shape_error(f, "labels must be int32");
    }
    f->out[0].shape = fnl_shape_make(1, x->dim[0]);
    f->out[0].dtype = FNL_F32;
    if (f->node->output_count > 1) {
        f->out[1].shape = *x;
        f->out[1].dtype = FNL_F32;
    }
    return 0;
}

static int norm_grad(struct infer *f)
{
    f->out[0].shape = f->in[1]->shape;
    f->out[1].shape = f->in[2]->shape;
    f->out[2].shape = f->in[2]->shape;
    for (int i = 0; i < 3; i++) {
        f->out[i].dtype = FNL_F32;
    }
    return 0;
}

/* Gradients that have the shape of one input: that of input `from`. */
static int shape_of(struct infer *f, int from)
{
    f->out[0].shape = f->in[from]->shape;
    return 0;
}

static int backward(struct infer *f)
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
        return norm_grad(f);
    default: /* element-wise gradients, and those of losses */
        return same_as_first(f);
    }
}

static int forward(struct infer *f)
{
    switch (f->node->op) {
    case FNL_OP_ADD:
    case FNL_OP_SUB:
    case FNL_OP_MUL:
    case FNL_OP_DIV:
        return broadcast(f);
    case FNL_OP_FLATTEN:
        return flatten(f);
    case FNL_OP_RESHAPE:
        return reshape(f);
    case FNL_OP_TRANSPOSE:
        return transpose(f);
    case FNL_OP_MATMUL:
        return matmul(f);
    case FNL_OP_GEMM:
        return gemm(f);
    case FNL_OP_CONV:
        return conv(f);
    case FNL_OP_MAX_POOL:
    case FNL_OP_AVERAGE_POOL:
        return pool(f);
    case FNL_OP_GLOBAL_AVERAGE_POOL:
    case FNL_OP_GLOBAL_MAX_POOL:
        return global_pool(f);
    case FNL_OP_SOFTMAX:
    case FNL_OP_LOG_SOFTMAX:
        return softmax(f);
    case FNL_OP_DROPOUT:
        return dropout(f);
    case FNL_OP_BATCH_NORMALIZATION:
        return batch_normalization(f);
    case FNL_OP_LAYER_NORMALIZATION:
        return layer_normalization(f);
    case FNL_OP_REDUCE_SUM:
    case FNL_OP_REDUCE_MEAN:
        return reduce(f);
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
static int check_output(struct infer *f, const struct fnl_shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++) {
        int64_t d = s->dim[i] == FNL_DIM_BATCH && i == 0 ? 1 : s->dim[i];
        if (d < 1 || d > (int64_t)1 << 32 || count > ((int64_t)1 << 40) / d) {
            return shape_error(f, "the result is empty or too large");
        }
        count *= d;
    }
    return 0;
}

int fnl__infer(const struct fnl_graph *g, const struct fnl_node *node, struct fnl_value *outputs,
               struct fnl_error *err)
{
    struct infer f = {.g = g, .node = node, .out = outputs, .err = err};
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
