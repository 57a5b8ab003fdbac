/* onnx_ops.c - ONNX operators, opset 11 to 21, to nodes of the graph.
 *
 * One row an operator: how many of its inputs are tensors of the graph (the others, such as
 * Reshape's shape, are constants that become attributes) and the function that reads its
 * attributes. Where versions of an operator differ, that function asks for the opset. Follows the
 * operators' changelog of the ONNX specification. */
#include <string.h>

#include "base/limits.h"
#include "model/onnx_int.h"

struct op_row {
    enum fnl_op op;
    const char *text; /* operator of ONNX that becomes op; NULL: op's own */
    int tensors;      /* leading inputs that are tensors of the graph */
    int inputs_max;   /* with those that are constants */
    int (*read)(struct fnl__onnx *o, struct fnl__onnx_node *n); /* (optional) */
};

static const struct fnl_shape *shape_of(const struct fnl__onnx *o, const struct fnl__onnx_node *n)
{
    return &fnl_graph_value(o->g, n->input[0])->shape;
}

/* ---- activations ---- */

static int read_leaky_relu(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    n->attrs.alpha = 0.01F;
    return fnl__onnx_attr_float(o, n, "alpha", &n->attrs.alpha);
}

static int read_gelu(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    static const char *const names[] = {"none", "tanh", NULL};
    int approximate = 0;
    int rc = fnl__onnx_attr_enum(o, n, "approximate", names, &approximate);
    n->attrs.gelu_tanh = approximate == 1;
    return rc;
}

/* A name for a tensor the file does not have. */
static const char *fresh_name(struct fnl__onnx *o, const char *base, const char *suffix)
{
    const char *name = fnl_arena_printf(&o->arena, "%s/%s", base, suffix);
    while (name != NULL && fnl__onnx_find(o, name) != NULL) {
        name = fnl_arena_printf(&o->arena, "%s_", name);
    }
    return name;
}

/* Appends a Reshape of the node's input; n->input[0] becomes its result. */
static int reshape_input(struct fnl__onnx *o, struct fnl__onnx_node *n,
                         const struct fnl_shape *shape, const char *output)
{
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.shape = *shape;
    int rc = fnl_graph_add_node(o->g, FNL_OP_RESHAPE, output, n->input, 1, &attrs, &output, 1,
                                &n->input[0], o->err);
    return rc < 0 ? rc : 0;
}

/* Before opset 13 all dimensions from axis on were one. What that changes is said by reshapes:
 * the node is made here and *back says that a reshape to shape follows. */
static int read_softmax(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const struct fnl_shape *x = shape_of(o, n);
    int64_t axis = o->opset < 13 ? 1 : -1;
    int rc = fnl__onnx_attr_int(o, n, "axis", -FNL_MAX_RANK, FNL_MAX_RANK, &axis);
    if (rc != 0) {
        return rc;
    }
    n->attrs.axis = (int32_t)axis;
    if (o->opset >= 13) {
        return 0;
    }
    int first = (int)(axis < 0 ? axis + x->rank : axis);
    if (first < 0 || first >= x->rank || (first == 0 && x->dim[0] == FNL_DIM_BATCH)) {
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "axis %lld is over the batch",
                              (long long)axis);
    }
    n->attrs.axis = -1;
    if (first == x->rank - 1) {
        return 0;
    }
    struct fnl_shape flat = *x;
    for (int i = first + 1; i < x->rank; i++) {
        flat.dim[first] *= x->dim[i];
    }
    flat.rank = first + 1;
    n->reshape_back = true;
    n->back = *x;
    const char *name = fresh_name(o, n->proto->output[0], "flat");
    return name != NULL ? reshape_input(o, n, &flat, name)
                        : FNL_FAIL(o->err, NOMEM, NULL, "%s: out of memory", o->file);
}

/* ---- products ---- */

static int read_gemm(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    int rc = fnl__onnx_attr_float(o, n, "alpha", &n->attrs.alpha);
    rc = rc != 0 ? rc : fnl__onnx_attr_float(o, n, "beta", &n->attrs.beta);
    rc = rc != 0 ? rc : fnl__onnx_attr_bool(o, n, "transA", &n->attrs.trans_a);
    return rc != 0 ? rc : fnl__onnx_attr_bool(o, n, "transB", &n->attrs.trans_b);
}

/* ---- normalisation, dropout ---- */

static int read_dropout(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const Onnx__NodeProto *p = n->proto;
    int64_t seed = 0;
    int rc = 0;
    if (o->opset < 12) {
        rc = fnl__onnx_attr_float(o, n, "ratio", &n->attrs.ratio);
    } else {
        rc = fnl__onnx_attr_int(o, n, "seed", INT64_MIN, INT64_MAX, &seed);
    }
    bool training = false;
    if (rc == 0 && p->n_input > 1 && p->input[1][0] != '\0' &&
        !fnl__onnx_constant_float(o, p->input[1], &n->attrs.ratio)) {
        rc = fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "ratio must be a constant");
    }
    if (rc == 0 && p->n_input > 2 && p->input[2][0] != '\0' &&
        (!fnl__onnx_constant_bool(o, p->input[2], &training) || training)) {
        rc = fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, "export the model in evaluation mode",
                            "it is in training mode");
    }
    n->attrs.seed = o->dropouts++;
    return rc;
}

static int read_batch_norm(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    bool training = false;
    int rc = fnl__onnx_attr_float(o, n, "epsilon", &n->attrs.epsilon);
    rc = rc != 0 ? rc : fnl__onnx_attr_float(o, n, "momentum", &n->attrs.momentum);
    if (rc == 0 && o->opset >= 14) {
        rc = fnl__onnx_attr_bool(o, n, "training_mode", &training);
    }
    if (rc == 0 && training) {
        rc = fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, "export the model in evaluation mode",
                            "it is in training mode");
    }
    return rc;
}

static int read_layer_norm(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    int64_t axis = -1, stash = 1;
    int rc = fnl__onnx_attr_int(o, n, "axis", -FNL_MAX_RANK, FNL_MAX_RANK, &axis);
    n->attrs.axis = (int32_t)axis;
    rc = rc != 0 ? rc : fnl__onnx_attr_float(o, n, "epsilon", &n->attrs.epsilon);
    /* 1 = float32, the only type of computation here */
    return rc != 0 ? rc : fnl__onnx_attr_int(o, n, "stash_type", 1, 1, &stash);
}

/* ---- reductions ---- */

/* The mean over height and width is GlobalAveragePool, which back ends have kernels for. */
static void mean_is_pool(const struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    n->op = FNL_OP_GLOBAL_AVERAGE_POOL;
    n->reshape_back = !n->attrs.keepdims;
    const struct fnl_shape *x = shape_of(o, n);
    n->back = fnl_shape_make(2, x->dim[0], x->dim[1]);
    n->attrs.axes_mask = 0;
    n->attrs.keepdims = true;
}

static int read_reduce(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const Onnx__NodeProto *p = n->proto;
    int64_t axes[FNL_MAX_RANK];
    int count = 0, rank = shape_of(o, n)->rank;
    bool noop = false, as_input = o->opset >= (n->op == FNL_OP_REDUCE_SUM ? 13 : 18);
    int rc = fnl__onnx_attr_bool(o, n, "keepdims", &n->attrs.keepdims);
    if (rc == 0 && as_input) {
        rc = fnl__onnx_attr_bool(o, n, "noop_with_empty_axes", &noop);
        if (rc == 0 && p->n_input > 1 && p->input[1][0] != '\0') {
            rc = fnl__onnx_constant_ints(o, p->input[1], axes, FNL_MAX_RANK, &count);
        }
    } else if (rc == 0) {
        rc = fnl__onnx_attr_ints(o, n, "axes", FNL_MAX_RANK, axes, &count);
    }
    if (rc != 0) {
        return rc;
    }
    if (count == 0 && noop) {
        n->op = FNL_OP_IDENTITY;
        return 0;
    }
    n->attrs.axes_mask = count == 0 ? (1U << rank) - 1U : 0;
    for (int i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank) {
            return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "axis %lld of %d dimensions",
                                  (long long)axes[i], rank);
        }
        n->attrs.axes_mask |= 1U << axis;
    }
    if (n->op == FNL_OP_REDUCE_MEAN && rank == 4 && n->attrs.axes_mask == 0xCU) {
        mean_is_pool(o, n);
    }
    return 0;
}

/* ---- the table ---- */

static const struct op_row rows[] = {
    {FNL_OP_ADD, NULL, 2, 2, NULL},
    {FNL_OP_SUB, NULL, 2, 2, NULL},
    {FNL_OP_MUL, NULL, 2, 2, NULL},
    {FNL_OP_DIV, NULL, 2, 2, NULL},
    {FNL_OP_RELU, NULL, 1, 1, NULL},
    {FNL_OP_LEAKY_RELU, NULL, 1, 1, read_leaky_relu},
    {FNL_OP_GELU, NULL, 1, 1, read_gelu},
    {FNL_OP_SIGMOID, NULL, 1, 1, NULL},
    {FNL_OP_TANH, NULL, 1, 1, NULL},
    {FNL_OP_ERF, NULL, 1, 1, NULL},
    {FNL_OP_SOFTMAX, NULL, 1, 1, read_softmax},
    {FNL_OP_LOG_SOFTMAX, NULL, 1, 1, read_softmax},
    {FNL_OP_IDENTITY, NULL, 1, 1, NULL},
    {FNL_OP_FLATTEN, NULL, 1, 1, fnl__onnx_read_flatten},
    {FNL_OP_RESHAPE, NULL, 1, 2, fnl__onnx_read_reshape},
    {FNL_OP_TRANSPOSE, NULL, 1, 1, fnl__onnx_read_transpose},
    {FNL_OP_MATMUL, NULL, 2, 2, NULL},
    {FNL_OP_GEMM, NULL, 3, 3, read_gemm},
    {FNL_OP_CONV, NULL, 3, 3, fnl__onnx_read_conv},
    {FNL_OP_MAX_POOL, NULL, 1, 1, fnl__onnx_read_pool},
    {FNL_OP_AVERAGE_POOL, NULL, 1, 1, fnl__onnx_read_pool},
    {FNL_OP_GLOBAL_AVERAGE_POOL, NULL, 1, 1, NULL},
    {FNL_OP_GLOBAL_MAX_POOL, NULL, 1, 1, NULL},
    {FNL_OP_DROPOUT, NULL, 1, 3, read_dropout},
    {FNL_OP_BATCH_NORMALIZATION, NULL, 5, 5, read_batch_norm},
    {FNL_OP_LAYER_NORMALIZATION, NULL, 3, 3, read_layer_norm},
    {FNL_OP_REDUCE_SUM, NULL, 1, 2, read_reduce},
    {FNL_OP_REDUCE_MEAN, NULL, 1, 2, read_reduce},
    {FNL_OP_IDENTITY, "Cast", 1, 1, fnl__onnx_read_cast},
    {FNL_OP_RESHAPE, "Squeeze", 1, 2, fnl__onnx_read_squeeze},
    {FNL_OP_RESHAPE, "Unsqueeze", 1, 2, fnl__onnx_read_unsqueeze},
};
#define ROWS (sizeof rows / sizeof rows[0])

static bool is_standard(const Onnx__NodeProto *p)
{
    return p->domain == NULL || p->domain[0] == '\0' || strcmp(p->domain, "ai.onnx") == 0;
}

static const char *row_text(const struct op_row *row)
{
    return row->text != NULL ? row->text : fnl_op_text(row->op);
}

static const struct op_row *find_row(const Onnx__NodeProto *p)
{
    for (size_t i = 0; p->op_type != NULL && is_standard(p) && i < ROWS; i++) {
        if (strcmp(row_text(&rows[i]), p->op_type) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static int unsupported(struct fnl__onnx *o, const struct fnl__onnx_node *n)
{
    char hint[384] = "supported:";
    size_t used = strlen(hint);
    for (size_t i = 0; i < ROWS; i++) {
        const char *text = row_text(&rows[i]);
        size_t size = strlen(text);
        if (used + size + 2 < sizeof hint) {
            hint[used++] = ' ';
            memcpy(hint + used, text, size + 1);
            used += size;
        }
    }
    const char *domain = n->proto->domain != NULL ? n->proto->domain : "";
    return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, hint, "operator %s%s%s is not supported", domain,
                          domain[0] != '\0' ? "." : "",
                          n->proto->op_type != NULL ? n->proto->op_type : "\"\"");
}

/* ---- one node ---- */

int fnl__onnx_value(struct fnl__onnx *o, const struct fnl__onnx_node *n, const char *name)
{
    struct fnl__onnx_name *entry = fnl__onnx_find(o, name);
    if (entry == NULL) {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "it reads \"%s\", which nothing makes",
                              name);
    }
    if (entry->ints != NULL) {
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL,
                              "it computes with \"%s\", integers made from shapes, as numbers",
                              name);
    }
    if (entry->value < 0 && entry->kind == FNL__ONNX_OUTPUT) {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL,
                              entry->index < n->index
                                  ? "it reads \"%s\", an optional output that is not supported"
                                  : "it reads \"%s\", which is made later: the nodes are not in "
                                    "order, or stand in a circle",
                              name);
    }
    if (entry->value < 0 && entry->kind != FNL__ONNX_INPUT) {
        int value = fnl__onnx_add_tensor(o, entry);
        if (value < 0) {
            return value;
        }
        entry->value = value;
    }
    return entry->value;
}

/* n->input from the first `tensors` inputs of the file. */
static int read_inputs(struct fnl__onnx *o, struct fnl__onnx_node *n, int tensors)
{
    const Onnx__NodeProto *p = n->proto;
    for (size_t i = 0; i < p->n_input && i < (size_t)tensors; i++) {
        n->input[n->input_count++] = -1;
        if (p->input[i][0] == '\0') { /* absent */
            continue;
        }
        int value = fnl__onnx_value(o, n, p->input[i]);
        if (value < 0) {
            return value;
        }
        n->input[i] = value;
    }
    while (n->input_count > 1 && n->input[n->input_count - 1] < 0) {
        n->input_count--; /* absent ones at the end */
    }
    if (n->input_count == 0 || n->input[0] < 0) {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "input 0 is missing");
    }
    return 0;
}

/* The first output has a name, the optional others are not read by anyone. */
static int check_outputs(struct fnl__onnx *o, const struct fnl__onnx_node *n)
{
    const Onnx__NodeProto *p = n->proto;
    if (p->n_output == 0 || p->output[0][0] == '\0') {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "its output has no name");
    }
    for (size_t i = 1; i < p->n_output; i++) {
        const struct fnl__onnx_name *entry = fnl__onnx_find(o, p->output[i]);
        if (entry != NULL && entry->uses > 0) {
            return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "its output %zu is not supported",
                                  i);
        }
    }
    return 0;
}

static int append_node(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const Onnx__NodeProto *p = n->proto;
    const char *output = p->output[0];
    const char *inner = n->reshape_back ? fresh_name(o, output, "flat_result") : output;
    if (inner == NULL) {
        return FNL_FAIL(o->err, NOMEM, NULL, "%s: out of memory", o->file);
    }
    int value;
    int rc = fnl_graph_add_node(o->g, n->op, p->name, n->input, n->input_count, &n->attrs, &inner,
                                1, &value, o->err);
    if (rc >= 0 && n->reshape_back) {
        n->input[0] = value;
        rc = reshape_input(o, n, &n->back, output);
        value = n->input[0];
    }
    if (rc < 0) {
        return fnl_error_context(o->err, rc, "%s", o->file);
    }
    fnl__onnx_find(o, output)->value = value;
    return 0;
}

/* The end of a chain that means Gelu. */
static int append_gelu(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *x, bool tanh_form)
{
    int value = fnl__onnx_value(o, n, x);
    if (value < 0) {
        return value;
    }
    n->op = FNL_OP_GELU;
    n->attrs.gelu_tanh = tanh_form;
    n->input[0] = value;
    n->input_count = 1;
    return append_node(o, n);
}

int fnl__onnx_read_node(struct fnl__onnx *o, int index)
{
    struct fnl__onnx_node n = {
        .proto = o->proto->node[index], .index = index, .attrs = FNL_ATTRS_INIT};
    const struct fnl__onnx_fused *fused = &o->fused[index];
    if (fused->fate == FNL__ONNX_SKIP) {
        return 0;
    }
    if (is_standard(n.proto) && fnl__onnx_folds(o, n.proto)) {
        int wrong = check_outputs(o, &n);
        return wrong != 0 ? wrong : fnl__onnx_fold(o, &n);
    }
    const struct op_row *row = find_row(n.proto);
    bool pad =
        is_standard(n.proto) && n.proto->op_type != NULL && strcmp(n.proto->op_type, "Pad") == 0;
    if (row == NULL && !pad) {
        return unsupported(o, &n);
    }
    int rc = check_outputs(o, &n);
    if (pad) {
        return rc != 0 ? rc : fnl__onnx_read_pad(o, &n);
    }
    n.op = row->op;
    if (rc == 0 && fused->fate != FNL__ONNX_KEEP) {
        return append_gelu(o, &n, fused->x, fused->fate == FNL__ONNX_GELU_TANH);
    }
    if (rc == 0 && n.proto->n_input > (size_t)row->inputs_max) {
        rc = fnl__onnx_fail(o, &n, FNL_E_FORMAT, NULL, "it has %zu inputs, at most %d",
                            n.proto->n_input, row->inputs_max);
    }
    rc = rc != 0 ? rc : read_inputs(o, &n, row->tensors);
    if (rc == 0 && row->tensors > 1 && (n.input_count < 2 || n.input[1] < 0)) {
        rc = fnl__onnx_fail(o, &n, FNL_E_FORMAT, NULL, "input 1 is missing");
    }
    rc = rc == 0 && row->read != NULL ? row->read(o, &n) : rc;
    rc = rc != 0 ? rc : fnl__onnx_attr_rest(o, &n);
    return rc != 0 ? rc : append_node(o, &n);
}
