/* onnx_write_ops.c - nodes of the graph to ONNX operators of opset 17. One function a family; what
 * opset 17 lacks (Gelu) is written in operators it has, in the form that onnx_fuse.c knows. */
#include <string.h>

#include "model/onnx_int.h"
#include "model/onnx_write_int.h"

#define ATTRIBUTES_MAX 8
#define INPUTS_MAX 8
#define ATTRIBUTE_TYPE(x) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##x
#define DATA_TYPE(x) ONNX__TENSOR_PROTO__DATA_TYPE__##x

static void *take(struct fnl__onnx_writer *w, size_t count, size_t size)
{
    void *p = fnl_arena_array(&w->arena, count, size);
    w->failed = w->failed || p == NULL;
    return p;
}

const char *fnl__onnx_fresh(struct fnl__onnx_writer *w, const char *base, const char *suffix)
{
    const char *name = fnl_arena_printf(&w->arena, "%s/%s", base, suffix);
    while (name != NULL && fnl_graph_find_value(w->g, name) >= 0) {
        name = fnl_arena_printf(&w->arena, "%s_", name);
    }
    w->failed = w->failed || name == NULL;
    return name != NULL ? name : "";
}

/* protobuf-c's fields are not const; packing only reads them. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

Onnx__NodeProto *fnl__onnx_put_node(struct fnl__onnx_writer *w, const char *op, const char *name,
                                    const char *output, const char *const *inputs)
{
    Onnx__NodeProto *n = take(w, 1, sizeof *n);
    char **names = take(w, INPUTS_MAX + 1, sizeof *names);
    Onnx__AttributeProto **attributes = take(w, ATTRIBUTES_MAX, sizeof(Onnx__AttributeProto *));
    if (n == NULL || names == NULL || attributes == NULL) {
        return NULL;
    }
    onnx__node_proto__init(n);
    n->op_type = text(op);
    n->name = text(name);
    n->attribute = attributes;
    n->input = names;
    n->output = &names[INPUTS_MAX];
    n->output[0] = text(output);
    n->n_output = 1;
    for (; n->n_input < INPUTS_MAX && inputs[n->n_input] != NULL; n->n_input++) {
        n->input[n->n_input] = text(inputs[n->n_input]);
    }
    w->graph.node[w->graph.n_node++] = n; /* onnx_write.c made room for all */
    return n;
}

/* ---- initializers ---- */

int fnl__onnx_type(enum fnl_dtype dtype)
{
    static const int types[] = {
        [FNL_DTYPE_NONE] = DATA_TYPE(UNDEFINED),
        [FNL_F32] = DATA_TYPE(FLOAT),
        [FNL_BF16] = DATA_TYPE(BFLOAT16),
        [FNL_F16] = DATA_TYPE(FLOAT16),
        [FNL_F64] = DATA_TYPE(DOUBLE),
        [FNL_U8] = DATA_TYPE(UINT8),
        [FNL_I8] = DATA_TYPE(INT8),
        [FNL_I32] = DATA_TYPE(INT32),
        [FNL_I64] = DATA_TYPE(INT64),
        [FNL_BOOL] = DATA_TYPE(BOOL),
    };
    return types[dtype];
}

void fnl__onnx_put_tensor(struct fnl__onnx_writer *w, const char *name, enum fnl_dtype dtype,
                          const struct fnl_shape *shape, const void *data)
{
    Onnx__TensorProto *t = take(w, 1, sizeof *t);
    int64_t *dims = take(w, FNL_MAX_RANK, sizeof *dims);
    if (t == NULL || dims == NULL) {
        return;
    }
    onnx__tensor_proto__init(t);
    memcpy(dims, shape->dim, (size_t)shape->rank * sizeof *dims);
    t->dims = dims;
    t->n_dims = (size_t)shape->rank;
    t->has_data_type = 1;
    t->data_type = fnl__onnx_type(dtype);
    t->name = text(name);
    t->has_raw_data = 1;
    t->raw_data.len = (size_t)fnl_shape_count(shape, 1) * fnl_dtype_size(dtype);
    t->raw_data.data = (uint8_t *)(uintptr_t)data;
    w->graph.initializer[w->graph.n_initializer++] = t;
}

/* A float constant of the writer's own; returns its name. */
static const char *put_number(struct fnl__onnx_writer *w, const char *base, const char *suffix,
                              float value)
{
    const char *name = fnl__onnx_fresh(w, base, suffix);
    float *data = take(w, 1, sizeof *data);
    if (data != NULL) {
        *data = value;
        fnl__onnx_put_tensor(w, name, FNL_F32, &(struct fnl_shape){0}, data);
    }
    return name;
}

static const char *put_ints(struct fnl__onnx_writer *w, const char *base, const char *suffix,
                            const int64_t *value, int count)
{
    const char *name = fnl__onnx_fresh(w, base, suffix);
    int64_t *data = take(w, (size_t)count + 1, sizeof *data);
    if (data != NULL) {
        memcpy(data, value, (size_t)count * sizeof *data);
        fnl__onnx_put_tensor(w, name, FNL_I64, &fnl_shape_make(1, count), data);
    }
    return name;
}

/* ---- attributes ---- */

static Onnx__AttributeProto *put_attribute(struct fnl__onnx_writer *w, Onnx__NodeProto *n,
                                           const char *name, int type)
{
    Onnx__AttributeProto *a = take(w, 1, sizeof *a);
    if (a == NULL || n == NULL) {
        return NULL;
    }
    onnx__attribute_proto__init(a);
    a->name = text(name);
    a->has_type = 1;
    a->type = (Onnx__AttributeProto__AttributeType)type;
    n->attribute[n->n_attribute++] = a;
    return a;
}

static void put_int(struct fnl__onnx_writer *w, Onnx__NodeProto *n, const char *name, int64_t value)
{
    Onnx__AttributeProto *a = put_attribute(w, n, name, ATTRIBUTE_TYPE(INT));
    if (a != NULL) {
        a->has_i = 1;
        a->i = value;
    }
}

static void put_float(struct fnl__onnx_writer *w, Onnx__NodeProto *n, const char *name, float value)
{
    Onnx__AttributeProto *a = put_attribute(w, n, name, ATTRIBUTE_TYPE(FLOAT));
    if (a != NULL) {
        a->has_f = 1;
        a->f = value;
    }
}

static void put_list(struct fnl__onnx_writer *w, Onnx__NodeProto *n, const char *name,
                     const int32_t *value, size_t count)
{
    Onnx__AttributeProto *a = put_attribute(w, n, name, ATTRIBUTE_TYPE(INTS));
    int64_t *ints = take(w, count, sizeof *ints);
    if (a == NULL || ints == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ints[i] = value[i];
    }
    a->ints = ints;
    a->n_ints = count;
}

/* ---- operators ---- */

struct writing {
    struct fnl__onnx_writer *w;
    const struct fnl_node *n;
    const char *inputs[INPUTS_MAX + 1]; /* names, NULL at the end */
    const char *output;
};

static const struct fnl_shape *input_shape(const struct writing *p)
{
    return &fnl_graph_value(p->w->g, p->n->input[0])->shape;
}

/* The operator of the same name, with the same inputs. */
static Onnx__NodeProto *put_same(struct writing *p)
{
    return fnl__onnx_put_node(p->w, fnl_op_text(p->n->op), p->n->name, p->output, p->inputs);
}

static void put_plain(struct writing *p)
{
    put_same(p);
}

static void put_leaky_relu(struct writing *p)
{
    put_float(p->w, put_same(p), "alpha", p->n->attrs.alpha);
}

static void put_axis(struct writing *p)
{
    put_int(p->w, put_same(p), "axis", p->n->attrs.axis);
}

/* output = op(a, b), an inner node of the layer called "<layer>/<suffix>". */
static const char *put_inner(struct writing *p, const char *suffix, const char *op, const char *a,
                             const char *b)
{
    const char *node = fnl_arena_printf(&p->w->arena, "%s/%s", p->n->name, suffix);
    const char *output = fnl__onnx_fresh(p->w, p->output, suffix);
    p->w->failed = p->w->failed || node == NULL;
    fnl__onnx_put_node(p->w, op, node, output, (const char *[]){a, b, NULL});
    return output;
}

/* y = x (1 + t) / 2 with t = erf(x / sqrt(2)), or tanh(sqrt(2 / pi) (x + 0.044715 x^3)) */
static void put_gelu(struct writing *p)
{
    struct fnl__onnx_writer *w = p->w;
    const char *x = p->inputs[0], *t;
    if (p->n->attrs.gelu_tanh) {
        const char *square = put_inner(p, "square", "Mul", x, x);
        const char *cube = put_inner(p, "cube", "Mul", square, x);
        const char *part =
            put_inner(p, "part", "Mul", cube, put_number(w, p->output, "c044715", 0.044715F));
        const char *sum = put_inner(p, "inner", "Add", x, part);
        const char *scaled = put_inner(p, "scaled", "Mul", sum,
                                       put_number(w, p->output, "sqrt_2_pi", 0.7978845608F));
        t = put_inner(p, "tanh", "Tanh", scaled, NULL);
    } else {
        const char *quotient =
            put_inner(p, "div", "Div", x, put_number(w, p->output, "sqrt_2", 1.41421356237F));
        t = put_inner(p, "erf", "Erf", quotient, NULL);
    }
    const char *sum = put_inner(p, "sum", "Add", t, put_number(w, p->output, "one", 1.0F));
    const char *product = put_inner(p, "product", "Mul", x, sum);
    const char *half = put_number(w, p->output, "half", 0.5F);
    fnl__onnx_put_node(w, "Mul", p->n->name, p->output, (const char *[]){product, half, NULL});
}

/* The shape of the result, 0 for the batch. */
static void put_reshape(struct writing *p)
{
    struct fnl_shape y = fnl_graph_value(p->w->g, p->n->output[0])->shape;
    if (y.rank > 0 && y.dim[0] == FNL_DIM_BATCH) {
        y.dim[0] = 0;
    }
    p->inputs[1] = put_ints(p->w, p->output, "shape", y.dim, y.rank);
    p->inputs[2] = NULL;
    put_same(p);
}

static void put_transpose(struct writing *p)
{
    put_list(p->w, put_same(p), "perm", p->n->attrs.perm, (size_t)input_shape(p)->rank);
}

static void put_gemm(struct writing *p)
{
    Onnx__NodeProto *n = put_same(p);
    put_float(p->w, n, "alpha", p->n->attrs.alpha);
    put_float(p->w, n, "beta", p->n->attrs.beta);
    put_int(p->w, n, "transA", p->n->attrs.trans_a);
    put_int(p->w, n, "transB", p->n->attrs.trans_b);
}

static Onnx__NodeProto *put_window(struct writing *p)
{
    const struct fnl_attrs *a = &p->n->attrs;
    Onnx__NodeProto *n = put_same(p);
    put_list(p->w, n, "kernel_shape", a->kernel, 2);
    put_list(p->w, n, "strides", a->strides, 2);
    put_list(p->w, n, "pads", a->pads, 4);
    if (p->n->op != FNL_OP_AVERAGE_POOL) { /* which has none before opset 19 */
        put_list(p->w, n, "dilations", a->dilations, 2);
    }
    return n;
}

static void put_conv(struct writing *p)
{
    put_int(p->w, put_window(p), "group", p->n->attrs.group);
}

static void put_pool(struct writing *p)
{
    Onnx__NodeProto *n = put_window(p);
    put_int(p->w, n, "ceil_mode", p->n->attrs.ceil_mode);
    if (p->n->op == FNL_OP_AVERAGE_POOL) {
        put_int(p->w, n, "count_include_pad", p->n->attrs.count_include_pad);
    }
}

static void put_dropout(struct writing *p)
{
    p->inputs[1] = put_number(p->w, p->output, "ratio", p->n->attrs.ratio);
    p->inputs[2] = NULL;
    put_same(p);
}

static void put_batch_norm(struct writing *p)
{
    Onnx__NodeProto *n = put_same(p);
    put_float(p->w, n, "epsilon", p->n->attrs.epsilon);
    put_float(p->w, n, "momentum", p->n->attrs.momentum);
}

static void put_layer_norm(struct writing *p)
{
    Onnx__NodeProto *n = put_same(p);
    put_int(p->w, n, "axis", p->n->attrs.axis);
    put_float(p->w, n, "epsilon", p->n->attrs.epsilon);
}

/* Opset 17: the axes are an input of ReduceSum and an attribute of ReduceMean. */
static void put_reduce(struct writing *p)
{
    int64_t axes[FNL_MAX_RANK];
    int32_t narrow[FNL_MAX_RANK];
    int count = 0;
    for (int i = 0; i < FNL_MAX_RANK; i++) {
        if ((p->n->attrs.axes_mask & (1U << i)) != 0) {
            narrow[count] = i;
            axes[count++] = i;
        }
    }
    if (p->n->op == FNL_OP_REDUCE_SUM) {
        p->inputs[1] = put_ints(p->w, p->output, "axes", axes, count);
        p->inputs[2] = NULL;
    }
    Onnx__NodeProto *n = put_same(p);
    if (p->n->op == FNL_OP_REDUCE_MEAN) {
        put_list(p->w, n, "axes", narrow, (size_t)count);
    }
    put_int(p->w, n, "keepdims", p->n->attrs.keepdims);
}

typedef void put_fn(struct writing *p);

static put_fn *const table[FNL_OP_COUNT] = {
    [FNL_OP_ADD] = put_plain,
    [FNL_OP_SUB] = put_plain,
    [FNL_OP_MUL] = put_plain,
    [FNL_OP_DIV] = put_plain,
    [FNL_OP_RELU] = put_plain,
    [FNL_OP_LEAKY_RELU] = put_leaky_relu,
    [FNL_OP_GELU] = put_gelu,
    [FNL_OP_SIGMOID] = put_plain,
    [FNL_OP_TANH] = put_plain,
    [FNL_OP_ERF] = put_plain,
    [FNL_OP_SOFTMAX] = put_axis,
    [FNL_OP_LOG_SOFTMAX] = put_axis,
    [FNL_OP_IDENTITY] = put_plain,
    [FNL_OP_FLATTEN] = put_axis,
    [FNL_OP_RESHAPE] = put_reshape,
    [FNL_OP_TRANSPOSE] = put_transpose,
    [FNL_OP_MATMUL] = put_plain,
    [FNL_OP_GEMM] = put_gemm,
    [FNL_OP_CONV] = put_conv,
    [FNL_OP_MAX_POOL] = put_pool,
    [FNL_OP_AVERAGE_POOL] = put_pool,
    [FNL_OP_GLOBAL_AVERAGE_POOL] = put_plain,
    [FNL_OP_GLOBAL_MAX_POOL] = put_plain,
    [FNL_OP_DROPOUT] = put_dropout,
    [FNL_OP_BATCH_NORMALIZATION] = put_batch_norm,
    [FNL_OP_LAYER_NORMALIZATION] = put_layer_norm,
    [FNL_OP_REDUCE_SUM] = put_reduce,
    [FNL_OP_REDUCE_MEAN] = put_reduce,
};

/* What opset 17 cannot say. */
static int check_node(const struct fnl__onnx_writer *w, const struct fnl_node *n)
{
    const struct fnl_attrs *a = &n->attrs;
    if (table[n->op] == NULL || n->backward || a->training ||
        (n->op == FNL_OP_MATMUL && (a->trans_a || a->trans_b))) {
        return FNL_FAIL(w->err, INVALID, "save the inference form",
                        "node \"%s\" (%s) is not part of an inference graph", n->name,
                        fnl_op_text(n->op));
    }
    if (n->op == FNL_OP_AVERAGE_POOL && (a->dilations[0] != 1 || a->dilations[1] != 1)) {
        return FNL_FAIL(w->err, UNSUPPORTED, NULL,
                        "node \"%s\": AveragePool with dilations cannot be written in opset %d",
                        n->name, FNL__OPSET_WRITTEN);
    }
    return n->input_count <= INPUTS_MAX
               ? 0
               : FNL_FAIL(w->err, INTERNAL, NULL, "node \"%s\": too many inputs", n->name);
}

int fnl__onnx_put(struct fnl__onnx_writer *w, const struct fnl_node *n)
{
    int rc = check_node(w, n);
    if (rc != 0) {
        return rc;
    }
    struct writing p = {.w = w, .n = n, .output = fnl_graph_value(w->g, n->output[0])->name};
    for (int i = 0; i < n->input_count; i++) {
        if (n->input[i] < 0) {
            p.inputs[i] = "";
            continue;
        }
        const struct fnl_value *v = fnl_graph_value(w->g, n->input[i]);
        p.inputs[i] = n->input[i] == w->input ? w->feed : v->name;
        if (v->data != NULL && !w->written[n->input[i]]) {
            w->written[n->input[i]] = true;
            fnl__onnx_put_tensor(w, v->name, v->dtype, &v->shape, v->data);
        }
    }
    table[n->op](&p);
    return w->failed ? FNL_FAIL(w->err, NOMEM, NULL, "no memory to write the model") : 0;
}
