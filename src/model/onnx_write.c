/* onnx_write.c - a graph to an ONNX file: opset 17, IR version 8.
 *
 * The messages are made in one arena and point to the graph's names and data; packing streams them
 * into the file, so a model is never in memory twice. Normalisation stands in front as Mul and Add,
 * so that the file takes raw input. The file is whole or absent. */
#include <string.h>

#include "base/buf.h"
#include "base/files.h"
#include "base/limits.h"
#include "model/onnx_int.h"
#include "model/onnx_write_int.h"

/* Most ONNX nodes, and initializers of our own, that one node becomes (Gelu with tanh). */
#define NODES_PER_NODE 9
#define NUMBERS_PER_NODE 5

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void *take(struct fnl__onnx_writer *w, size_t count, size_t size)
{
    void *p = fnl_arena_array(&w->arena, count > 0 ? count : 1, size);
    w->failed = w->failed || p == NULL;
    return p;
}

static int out_of_memory(const struct fnl__onnx_writer *w)
{
    return FNL_FAIL(w->err, NOMEM, NULL, "no memory to write the model");
}

/* Room for all nodes and initializers at once. */
static int make_room(struct fnl__onnx_writer *w)
{
    size_t nodes = (size_t)fnl_graph_node_count(w->g);
    size_t values = (size_t)fnl_graph_value_count(w->g);
    w->graph.node = take(w, nodes * NODES_PER_NODE + 2, sizeof *w->graph.node);
    w->graph.initializer =
        take(w, values + nodes * NUMBERS_PER_NODE + 2, sizeof *w->graph.initializer);
    w->written = take(w, values, sizeof *w->written);
    return w->failed ? out_of_memory(w) : 0;
}

/* ---- inputs and outputs ---- */

static Onnx__TensorShapeProto *put_shape(struct fnl__onnx_writer *w, const struct fnl_shape *shape)
{
    size_t rank = (size_t)shape->rank;
    Onnx__TensorShapeProto *s = take(w, 1, sizeof *s);
    Onnx__TensorShapeProto__Dimension *d = take(w, rank, sizeof *d);
    Onnx__TensorShapeProto__Dimension **list = take(w, rank, sizeof(void *));
    if (w->failed) {
        return NULL;
    }
    onnx__tensor_shape_proto__init(s);
    s->dim = list;
    s->n_dim = rank;
    for (size_t i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&d[i]);
        list[i] = &d[i];
        if (shape->dim[i] == FNL_DIM_BATCH) {
            d[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            d[i].dim_param = text("N");
        } else {
            d[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            d[i].dim_value = shape->dim[i];
        }
    }
    return s;
}

static Onnx__ValueInfoProto *put_info(struct fnl__onnx_writer *w, const struct fnl_value *v)
{
    Onnx__ValueInfoProto *info = take(w, 1, sizeof *info);
    Onnx__TypeProto *type = take(w, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = take(w, 1, sizeof *tensor);
    Onnx__TensorShapeProto *shape = put_shape(w, &v->shape);
    if (w->failed) {
        return NULL;
    }
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    info->name = text(v->name);
    info->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = fnl__onnx_type(v->dtype);
    tensor->shape = shape;
    return info;
}

static int put_ends(struct fnl__onnx_writer *w)
{
    int inputs = fnl_graph_input_count(w->g), outputs = fnl_graph_output_count(w->g);
    w->graph.input = take(w, (size_t)inputs, sizeof(void *));
    w->graph.output = take(w, (size_t)outputs, sizeof(void *));
    for (int i = 0; !w->failed && i < inputs; i++) {
        w->graph.input[w->graph.n_input++] =
            put_info(w, fnl_graph_value(w->g, fnl_graph_input(w->g, i)));
    }
    for (int i = 0; !w->failed && i < outputs; i++) {
        const struct fnl_value *v = fnl_graph_value(w->g, fnl_graph_output(w->g, i));
        if (v->kind != FNL_VALUE_NODE) {
            return FNL_FAIL(w->err, INVALID, NULL, "output \"%s\" is not made by a node", v->name);
        }
        w->graph.output[w->graph.n_output++] = put_info(w, v);
    }
    return w->failed ? out_of_memory(w) : 0;
}

/* ---- normalisation ---- */

/* input -> Mul -> Add -> w->feed */
static int put_normalization(struct fnl__onnx_writer *w, int channels, const float *mul,
                             const float *add)
{
    const struct fnl_value *x =
        fnl_graph_input_count(w->g) == 1 ? fnl_graph_value(w->g, fnl_graph_input(w->g, 0)) : NULL;
    if (x == NULL || x->shape.rank < 2 || channels < 1 ||
        (channels != 1 && channels != x->shape.dim[1])) {
        return FNL_FAIL(w->err, INVALID, NULL,
                        "normalisation of %d channels does not fit the model's input", channels);
    }
    struct fnl_shape shape = {.rank = x->shape.rank};
    for (int i = 0; i < shape.rank; i++) {
        shape.dim[i] = i == 1 ? channels : 1;
    }
    const char *factor = fnl__onnx_fresh(w, x->name, "mul");
    const char *term = fnl__onnx_fresh(w, x->name, "add");
    const char *scaled = fnl__onnx_fresh(w, x->name, "scaled");
    fnl__onnx_put_tensor(w, factor, FNL_F32, &shape, mul);
    fnl__onnx_put_tensor(w, term, FNL_F32, &shape, add);
    w->input = fnl_graph_input(w->g, 0);
    w->feed = fnl__onnx_fresh(w, x->name, "normalized");
    fnl__onnx_put_node(w, "Mul", scaled, scaled, (const char *[]){x->name, factor, NULL});
    fnl__onnx_put_node(w, "Add", w->feed, w->feed, (const char *[]){scaled, term, NULL});
    return w->failed ? out_of_memory(w) : 0;
}

/* ---- metadata ---- */

/* Running means and variances of BatchNormalization: a reader knows that they are not trained. */
static bool *state_values(struct fnl__onnx_writer *w)
{
    bool *state = take(w, (size_t)fnl_graph_value_count(w->g), sizeof *state);
    for (int i = 0; state != NULL && i < fnl_graph_node_count(w->g); i++) {
        const struct fnl_node *n = fnl_graph_node(w->g, i);
        if (n->op == FNL_OP_BATCH_NORMALIZATION) {
            state[n->input[3]] = state[n->input[4]] = true;
        }
    }
    return state;
}

/* Names of parameters that are not trained, one a line; "" when there are none. */
static const char *frozen_names(struct fnl__onnx_writer *w)
{
    struct fnl_buf names;
    const bool *state = state_values(w);
    fnl_buf_init(&names, FNL_MAX_ONNX_BYTES);
    for (int v = 0; state != NULL && v < fnl_graph_value_count(w->g); v++) {
        const struct fnl_value *value = fnl_graph_value(w->g, v);
        if (value->kind == FNL_VALUE_PARAM && !value->trainable && w->written[v] && !state[v]) {
            fnl_buf_printf(&names, "%s%s", names.size > 0 ? "\n" : "", value->name);
        }
    }
    const char *copy = names.data == NULL && !names.failed
                           ? ""
                           : (names.failed ? NULL : fnl_arena_strdup(&w->arena, names.data));
    fnl_buf_free(&names);
    w->failed = w->failed || copy == NULL;
    return copy;
}

static void put_entry(struct fnl__onnx_writer *w, Onnx__ModelProto *model, const char *key,
                      const char *value)
{
    Onnx__StringStringEntryProto *e = take(w, 1, sizeof *e);
    if (w->failed) {
        return;
    }
    onnx__string_string_entry_proto__init(e);
    e->key = text(key);
    e->value = text(value);
    model->metadata_props[model->n_metadata_props++] = e;
}

static int put_meta(struct fnl__onnx_writer *w, Onnx__ModelProto *model)
{
    int count = fnl_graph_meta_count(w->g);
    const char *frozen = frozen_names(w);
    model->metadata_props = take(w, (size_t)count + 1, sizeof(void *));
    for (int i = 0; i < count; i++) {
        const char *key, *value;
        fnl_graph_meta_at(w->g, i, &key, &value);
        put_entry(w, model, key, value);
    }
    if (!w->failed && frozen[0] != '\0') {
        put_entry(w, model, FNL__META_FROZEN, frozen);
    }
    return w->failed ? out_of_memory(w) : 0;
}

/* ---- the file ---- */

struct sink {
    ProtobufCBuffer base;
    struct fnl_file_writer *file;
    int rc; /* of the first write that failed */
    struct fnl_error *err;
};

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    struct sink *s = (struct sink *)buffer;
    if (s->rc == 0) {
        s->rc = fnl_file_append(s->file, data, size, s->err);
    }
}

static int write_file(const Onnx__ModelProto *model, const char *path, struct fnl_error *err)
{
    size_t size = onnx__model_proto__get_packed_size(model);
    if (size > FNL_MAX_ONNX_BYTES) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: the model has %zu bytes; an ONNX file at most 2 GiB",
                        path, size);
    }
    struct sink s = {.base = {append}, .err = err};
    int rc = fnl_file_begin(path, &s.file, err);
    if (rc != 0) {
        return rc;
    }
    onnx__model_proto__pack_to_buffer(model, &s.base);
    if (s.rc != 0) {
        fnl_file_abort(s.file);
        return s.rc;
    }
    return fnl_file_commit(s.file, err);
}

static int write_model(struct fnl__onnx_writer *w, const char *path)
{
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT;
    Onnx__OperatorSetIdProto *opsets[1] = {&opset};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    opset.domain = text("");
    opset.has_version = 1;
    opset.version = FNL__OPSET_WRITTEN;
    model.has_ir_version = 1;
    model.ir_version = FNL__IR_WRITTEN;
    model.opset_import = opsets;
    model.n_opset_import = 1;
    model.producer_name = text("fournil");
    model.producer_version = text(FNL_VERSION);
    model.graph = &w->graph;
    w->graph.name = text("fournil");
    int rc = put_meta(w, &model);
    return rc != 0 ? rc : write_file(&model, path, w->err);
}

int fnl_onnx_save(const struct fnl_graph *g, const char *path, int channels, const float *mul,
                  const float *add, struct fnl_error *err)
{
    struct fnl__onnx_writer w = {.g = g, .graph = ONNX__GRAPH_PROTO__INIT, .input = -1, .err = err};
    fnl_arena_init(&w.arena, FNL_MAX_ONNX_TABLE_BYTES);
    int rc = make_room(&w);
    if (rc == 0 && mul != NULL && add != NULL) {
        rc = put_normalization(&w, channels, mul, add);
    }
    for (int i = 0; rc == 0 && i < fnl_graph_node_count(g); i++) {
        rc = fnl__onnx_put(&w, fnl_graph_node(g, i));
    }
    rc = rc != 0 ? rc : put_ends(&w);
    rc = rc != 0 ? rc : write_model(&w, path);
    fnl_arena_free(&w.arena);
    return rc;
}
