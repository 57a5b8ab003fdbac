/* autodiff.c - reverse-mode differentiation as graph rewriting: for each forward operator one rule
 * that appends the nodes of its vector-Jacobian product. A linear operator's gradient is made of
 * forward operators (Gemm's are MatMuls), so their kernels do most of the backward work; the others
 * have a Grad operator of their own.
 *
 * fnl_graph_autodiff(g, loss) walks the forward nodes backwards from the loss. Invariants: (1) a
 * value gets a gradient only when a trainable parameter lies behind it; (2) gradients that meet at
 * a value are added in the order they are found, so the graph, and the bits, are the same every
 * time; (3) the gradient is that of the mean loss over the batch: the divisor is applied once, in
 * the loss's own gradient. Cost: O(nodes). */
#include <string.h>

#include "base/mem.h"
#include "engine/graph_int.h"

struct autodiff {
    struct fnl_graph *g;
    bool *wanted; /* per forward value: does a trainable parameter lie behind it? */
    int *grad;    /* per forward value: its gradient so far, or -1 */
    int forward_values;
    struct fnl_error *err;
};

typedef int rule_fn(struct autodiff *ad, const struct fnl_node *n, int dy);

static bool wants(const struct autodiff *ad, int value)
{
    return value >= 0 && ad->wanted[value];
}

/* Appends a node with one output and returns the value, or a negative code. */
static int emit(struct autodiff *ad, enum fnl_op op, const struct fnl_attrs *attrs, int count,
                const int *inputs)
{
    int out[4];
    int rc =
        fnl__graph_add_node(ad->g, op, NULL, inputs, count, attrs, true, NULL, 1, out, ad->err);
    return rc < 0 ? rc : out[0];
}

static int emit2(struct autodiff *ad, enum fnl_op op, const struct fnl_attrs *attrs, int a, int b)
{
    return emit(ad, op, attrs, 2, (int[]){a, b});
}

/* Adds gradient d to value's. d may be a negative code, which is passed on. */
static int give(struct autodiff *ad, int value, int d)
{
    if (d < 0) {
        return d;
    }
    if (ad->grad[value] >= 0) {
        d = emit2(ad, FNL_OP_ADD, NULL, ad->grad[value], d);
        if (d < 0) {
            return d;
        }
    }
    ad->grad[value] = d;
    return 0;
}

/* The same, when value was broadcast: sums what was repeated. */
static int give_unbroadcast(struct autodiff *ad, int value, int d)
{
    if (d < 0) {
        return d;
    }
    if (!fnl_shape_equal(&ad->g->values[value].shape, &ad->g->values[d].shape)) {
        d = emit2(ad, FNL_OP_SUM_TO_SHAPE, NULL, d, value);
    }
    return give(ad, value, d);
}

/* ---- arithmetic ---- */

static int negate(struct autodiff *ad, int value)
{
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.alpha = -1.0F;
    return emit2(ad, FNL_OP_EXPAND_TO, &a, value, value);
}

static int rule_add(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int a = n->input[0], b = n->input[1];
    int rc = wants(ad, a) ? give_unbroadcast(ad, a, dy) : 0;
    if (rc == 0 && wants(ad, b)) {
        rc = give_unbroadcast(ad, b, n->op == FNL_OP_SUB ? negate(ad, dy) : dy);
    }
    return rc;
}

static int rule_mul(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int a = n->input[0], b = n->input[1];
    int rc = wants(ad, a) ? give_unbroadcast(ad, a, emit2(ad, FNL_OP_MUL, NULL, dy, b)) : 0;
    if (rc == 0 && wants(ad, b)) {
        rc = give_unbroadcast(ad, b, emit2(ad, FNL_OP_MUL, NULL, dy, a));
    }
    return rc;
}

/* y = a / b: da = dy / b, db = -(dy / b) * y */
static int rule_div(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int a = n->input[0], b = n->input[1], y = n->output[0];
    int quotient = emit2(ad, FNL_OP_DIV, NULL, dy, b);
    if (quotient < 0) {
        return quotient;
    }
    int rc = wants(ad, a) ? give_unbroadcast(ad, a, quotient) : 0;
    if (rc == 0 && wants(ad, b)) {
        int product = emit2(ad, FNL_OP_MUL, NULL, quotient, y);
        rc = product < 0 ? product : give_unbroadcast(ad, b, negate(ad, product));
    }
    return rc;
}

/* ---- element-wise: one Grad operator each, of (dy, x) or (dy, y) ---- */

static int rule_unary(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    static const struct {
        enum fnl_op op, grad;
        bool of_input;
    } table[] = {
        {FNL_OP_RELU, FNL_OP_RELU_GRAD, false},
        {FNL_OP_LEAKY_RELU, FNL_OP_LEAKY_RELU_GRAD, false},
        {FNL_OP_GELU, FNL_OP_GELU_GRAD, true},
        {FNL_OP_SIGMOID, FNL_OP_SIGMOID_GRAD, false},
        {FNL_OP_TANH, FNL_OP_TANH_GRAD, false},
        {FNL_OP_ERF, FNL_OP_ERF_GRAD, true},
        {FNL_OP_SOFTMAX, FNL_OP_SOFTMAX_GRAD, false},
        {FNL_OP_LOG_SOFTMAX, FNL_OP_LOG_SOFTMAX_GRAD, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].op == n->op) {
            /* A negative slope turns signs around: there the output does not tell the side. */
            bool of_input =
                table[i].of_input || (n->op == FNL_OP_LEAKY_RELU && n->attrs.alpha < 0.0F);
            int of = of_input ? n->input[0] : n->output[0];
            return give(ad, n->input[0], emit2(ad, table[i].grad, &n->attrs, dy, of));
        }
    }
    return FNL_FAIL(ad->err, INTERNAL, NULL, "no gradient for %s", fnl_op_text(n->op));
}

static int rule_identity(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    return give(ad, n->input[0], dy);
}

static int rule_reshape(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    return give(ad, n->input[0], emit2(ad, FNL_OP_RESHAPE_TO, NULL, dy, n->input[0]));
}

static int rule_transpose(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    struct fnl_attrs a = FNL_ATTRS_INIT;
    int rank = ad->g->values[n->input[0]].shape.rank;
    for (int i = 0; i < rank; i++) {
        a.perm[n->attrs.perm[i]] = i;
    }
    return give(ad, n->input[0], emit(ad, FNL_OP_TRANSPOSE, &a, 1, &dy));
}

static int rule_dropout(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    if (!n->attrs.training || n->output_count < 2) {
        return give(ad, n->input[0], dy);
    }
    return give(ad, n->input[0], emit2(ad, FNL_OP_MUL, NULL, dy, n->output[1]));
}

/* ---- products ---- */

static int product(struct autodiff *ad, int a, bool trans_a, int b, bool trans_b, float alpha)
{
    struct fnl_attrs at = FNL_ATTRS_INIT;
    at.trans_a = trans_a;
    at.trans_b = trans_b;
    int p = emit2(ad, FNL_OP_MATMUL, &at, a, b);
    if (p >= 0 && alpha != 1.0F) { /* exact 1 is the default, anything else scales */
        struct fnl_attrs scale = FNL_ATTRS_INIT;
        scale.alpha = alpha;
        p = emit2(ad, FNL_OP_EXPAND_TO, &scale, p, p);
    }
    return p;
}

/* y = alpha op(a) op(b) + beta c:
 *   d op(a) = alpha dy op(b)^T, d op(b) = alpha op(a)^T dy, dc = beta dy summed over what was
 * broadcast. */
static int rule_gemm(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int a = n->input[0], b = n->input[1], c = n->input_count > 2 ? n->input[2] : -1;
    bool ta = n->attrs.trans_a, tb = n->attrs.trans_b;
    float alpha = n->op == FNL_OP_GEMM ? n->attrs.alpha : 1.0F;
    int rc = 0;
    if (wants(ad, b)) {
        rc = give(ad, b,
                  tb ? product(ad, dy, true, a, ta, alpha) : product(ad, a, !ta, dy, false, alpha));
    }
    if (rc == 0 && wants(ad, c)) {
        int d = dy;
        if (n->attrs.beta != 1.0F) {
            struct fnl_attrs scale = FNL_ATTRS_INIT;
            scale.alpha = n->attrs.beta;
            d = emit2(ad, FNL_OP_EXPAND_TO, &scale, dy, dy);
        }
        rc = give_unbroadcast(ad, c, d);
    }
    if (rc == 0 && wants(ad, a)) {
        rc = give(ad, a,
                  ta ? product(ad, b, tb, dy, true, alpha) : product(ad, dy, false, b, !tb, alpha));
    }
    return rc;
}

static int rule_conv(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int x = n->input[0], w = n->input[1], b = n->input_count > 2 ? n->input[2] : -1;
    int rc = 0;
    if (wants(ad, w)) {
        rc = give(ad, w, emit(ad, FNL_OP_CONV_GRAD_WEIGHTS, &n->attrs, 3, (int[]){dy, x, w}));
    }
    if (rc == 0 && wants(ad, b)) {
        rc = give(ad, b, emit(ad, FNL_OP_CONV_GRAD_BIAS, NULL, 1, &dy));
    }
    if (rc == 0 && wants(ad, x)) {
        rc = give(ad, x, emit(ad, FNL_OP_CONV_GRAD_DATA, &n->attrs, 3, (int[]){dy, w, x}));
    }
    return rc;
}

/* ---- pools ---- */

static int rule_pool(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int x = n->input[0], y = n->output[0];
    switch (n->op) {
    case FNL_OP_MAX_POOL:
        return give(ad, x, emit(ad, FNL_OP_MAX_POOL_GRAD, &n->attrs, 3, (int[]){dy, x, y}));
    case FNL_OP_GLOBAL_MAX_POOL:
        return give(ad, x, emit(ad, FNL_OP_GLOBAL_MAX_POOL_GRAD, NULL, 3, (int[]){dy, x, y}));
    case FNL_OP_AVERAGE_POOL:
        return give(ad, x, emit2(ad, FNL_OP_AVERAGE_POOL_GRAD, &n->attrs, dy, x));
    default:
        return give(ad, x, emit2(ad, FNL_OP_GLOBAL_AVERAGE_POOL_GRAD, NULL, dy, x));
    }
}

/* ---- normalisation ---- */

static int rule_norm(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    bool batch = n->op == FNL_OP_BATCH_NORMALIZATION;
    if (n->output_count < 3) {
        return FNL_FAIL(ad->err, UNSUPPORTED, "put the layer in training mode",
                        "node \"%s\" (%s): no gradient in inference mode", n->name,
                        fnl_op_text(n->op));
    }
    int out[4];
    int in[5] = {dy, n->input[0], n->input[1], n->output[1], n->output[2]};
    int rc = fnl__graph_add_node(
        ad->g, batch ? FNL_OP_BATCH_NORMALIZATION_GRAD : FNL_OP_LAYER_NORMALIZATION_GRAD, NULL, in,
        5, &n->attrs, true, NULL, 3, out, ad->err);
    rc = rc < 0 ? rc : 0;
    for (int i = 0; rc == 0 && i < 3 && i < n->input_count; i++) {
        if (wants(ad, n->input[i])) {
            rc = give(ad, n->input[i], out[i]);
        }
    }
    return rc;
}

/* ---- reductions ---- */

static int rule_reduce(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    int x = n->input[0];
    const struct fnl_shape *s = &ad->g->values[x].shape;
    struct fnl_attrs a = FNL_ATTRS_INIT;
    struct fnl_attrs keep = FNL_ATTRS_INIT;
    keep.shape.rank = s->rank;
    for (int i = 0; i < s->rank; i++) {
        bool reduced = (n->attrs.axes_mask & (1U << i)) != 0;
        keep.shape.dim[i] = reduced ? 1 : s->dim[i];
        if (reduced && n->op == FNL_OP_REDUCE_MEAN) {
            a.alpha /= (float)s->dim[i];
        }
    }
    if (!n->attrs.keepdims) {
        dy = emit(ad, FNL_OP_RESHAPE, &keep, 1, &dy);
    }
    return dy < 0 ? dy : give(ad, x, emit2(ad, FNL_OP_EXPAND_TO, &a, dy, x));
}

/* ---- losses: dy is not used, the gradient is that of their mean ---- */

static int rule_loss(struct autodiff *ad, const struct fnl_node *n, int dy)
{
    (void)dy;
    int x = n->input[0], t = n->input[1];
    if (n->op == FNL_OP_SOFTMAX_CROSS_ENTROPY) {
        return give(ad, x, emit2(ad, FNL_OP_SOFTMAX_CROSS_ENTROPY_GRAD, NULL, n->output[1], t));
    }
    /* Per-sample losses that are means over K features have (p - t) * c / K as gradient. */
    struct fnl_attrs a = FNL_ATTRS_INIT;
    float features = (float)fnl_shape_count(&ad->g->values[x].shape, 1);
    if (n->op == FNL_OP_BINARY_CROSS_ENTROPY) {
        a.alpha = 1.0F / features;
    } else if (n->op == FNL_OP_MEAN_SQUARED_ERROR) {
        a.alpha = 2.0F / features;
    }
    int p = n->op == FNL_OP_MEAN_SQUARED_ERROR ? x : n->output[1];
    return give(ad, x, emit2(ad, FNL_OP_DIFFERENCE_GRAD, &a, p, t));
}

static rule_fn *rule_of(enum fnl_op op)
{
    static rule_fn *const table[FNL_OP_COUNT] = {
        [FNL_OP_ADD] = rule_add,
        [FNL_OP_SUB] = rule_add,
        [FNL_OP_MUL] = rule_mul,
        [FNL_OP_DIV] = rule_div,
        [FNL_OP_RELU] = rule_unary,
        [FNL_OP_LEAKY_RELU] = rule_unary,
        [FNL_OP_GELU] = rule_unary,
        [FNL_OP_SIGMOID] = rule_unary,
        [FNL_OP_TANH] = rule_unary,
        [FNL_OP_ERF] = rule_unary,
        [FNL_OP_SOFTMAX] = rule_unary,
        [FNL_OP_LOG_SOFTMAX] = rule_unary,
        [FNL_OP_IDENTITY] = rule_identity,
        [FNL_OP_FLATTEN] = rule_reshape,
        [FNL_OP_RESHAPE] = rule_reshape,
        [FNL_OP_TRANSPOSE] = rule_transpose,
        [FNL_OP_DROPOUT] = rule_dropout,
        [FNL_OP_MATMUL] = rule_gemm,
        [FNL_OP_GEMM] = rule_gemm,
        [FNL_OP_CONV] = rule_conv,
        [FNL_OP_MAX_POOL] = rule_pool,
        [FNL_OP_AVERAGE_POOL] = rule_pool,
        [FNL_OP_GLOBAL_AVERAGE_POOL] = rule_pool,
        [FNL_OP_GLOBAL_MAX_POOL] = rule_pool,
        [FNL_OP_BATCH_NORMALIZATION] = rule_norm,
        [FNL_OP_LAYER_NORMALIZATION] = rule_norm,
        [FNL_OP_REDUCE_SUM] = rule_reduce,
        [FNL_OP_REDUCE_MEAN] = rule_reduce,
        [FNL_OP_SOFTMAX_CROSS_ENTROPY] = rule_loss,
        [FNL_OP_CATEGORICAL_CROSS_ENTROPY] = rule_loss,
        [FNL_OP_BINARY_CROSS_ENTROPY] = rule_loss,
        [FNL_OP_MEAN_SQUARED_ERROR] = rule_loss,
    };
    return table[op];
}

/* Which forward values depend on a trainable parameter. */
static void mark_wanted(struct autodiff *ad, int forward_nodes)
{
    for (int v = 0; v < ad->forward_values; v++) {
        const struct fnl_value *value = &ad->g->values[v];
        ad->wanted[v] = value->kind == FNL_VALUE_PARAM && value->trainable;
        ad->grad[v] = -1;
    }
    for (int i = 0; i < forward_nodes; i++) {
        const struct fnl_node *n = &ad->g->nodes[i];
        bool any = false;
        for (int k = 0; k < n->input_count; k++) {
            any = any || wants(ad, n->input[k]);
        }
        for (int k = 0; k < n->output_count; k++) {
            ad->wanted[n->output[k]] = any;
        }
    }
}

static int walk_back(struct autodiff *ad, int forward_nodes, int loss)
{
    int loss_node = ad->g->values[loss].producer;
    for (int i = forward_nodes - 1; i >= 0; i--) {
        struct fnl_node n = ad->g->nodes[i]; /* a copy: the array grows */
        int dy = i == loss_node ? loss : ad->grad[n.output[0]];
        if (dy < 0 || !ad->wanted[n.output[0]]) {
            continue;
        }
        rule_fn *rule = rule_of(n.op);
        if (rule == NULL) {
            return FNL_FAIL(ad->err, UNSUPPORTED, NULL, "node \"%s\": %s cannot be trained through",
                            n.name, fnl_op_text(n.op));
        }
        int rc = rule(ad, &n, dy);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Writes down value v's gradient. Two parameters may have been given the same one: each needs its
 * own. */
static int finish_value(struct autodiff *ad, int v)
{
    int d = ad->grad[v];
    bool param = ad->g->values[v].kind == FNL_VALUE_PARAM && ad->g->values[v].trainable;
    if (param && d >= 0 && ad->g->values[d].gradient_of >= 0) {
        d = emit(ad, FNL_OP_IDENTITY, NULL, 1, &d);
        if (d < 0) {
            return d;
        }
    }
    ad->g->values[v].gradient = d;
    if (param && d >= 0) {
        ad->g->values[d].gradient_of = v;
    }
    return 0;
}

static int check_loss(const struct fnl_graph *g, int loss, struct fnl_error *err)
{
    int producer = g->values[loss].producer;
    enum fnl_op op = producer < 0 ? FNL_OP_COUNT : g->nodes[producer].op;
    if (op < FNL_OP_SOFTMAX_CROSS_ENTROPY || op > FNL_OP_MEAN_SQUARED_ERROR) {
        return FNL_FAIL(err, INVALID, NULL, "tensor \"%s\" is not the output of a loss",
                        g->values[loss].name);
    }
    return 0;
}

int fnl_graph_autodiff(struct fnl_graph *g, int loss, struct fnl_error *err)
{
    int rc = check_loss(g, loss, err);
    if (rc != 0) {
        return rc;
    }
    struct autodiff ad = {.g = g, .forward_values = g->value_count, .err = err};
    int forward_nodes = g->node_count;
    ad.wanted = fnl_calloc((size_t)g->value_count, sizeof *ad.wanted);
    ad.grad = fnl_calloc((size_t)g->value_count, sizeof *ad.grad);
    if (ad.wanted == NULL || ad.grad == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "no memory for gradients");
        goto out;
    }
    mark_wanted(&ad, forward_nodes);
    rc = walk_back(&ad, forward_nodes, loss);
    for (int v = 0; rc == 0 && v < ad.forward_values; v++) {
        rc = finish_value(&ad, v);
    }
out:
    fnl_free(ad.wanted);
    fnl_free(ad.grad);
    return rc;
}
