/* onnx_craft.h - ONNX files made by hand, field by field, for tests of the reader. */
#ifndef TESTS_MODEL_ONNX_CRAFT_H
#define TESTS_MODEL_ONNX_CRAFT_H

#include <onnx.pb-c.h>

#include "model_check.h"

#define CRAFT_MAX 8

/* A model under construction; all its parts live in it, so it is large and static. */
struct craft {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset, *opsets[1];
    Onnx__NodeProto node[CRAFT_MAX], *nodes[CRAFT_MAX];
    char *names[CRAFT_MAX][CRAFT_MAX + 1];
    Onnx__AttributeProto attribute[CRAFT_MAX][CRAFT_MAX], *attributes[CRAFT_MAX][CRAFT_MAX];
    Onnx__TensorProto tensor[CRAFT_MAX], *tensors[CRAFT_MAX];
    int64_t dims[CRAFT_MAX][CRAFT_MAX];
    Onnx__ValueInfoProto info[2], *infos[2];
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor_type;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dim[CRAFT_MAX], *dim_list[CRAFT_MAX];
    Onnx__StringStringEntryProto external[3], *externals[3];
};

/* "N" first, then dims; input "x", output "y". */
static inline void craft_begin(struct craft *c, int opset, int rank, const int64_t *dims)
{
    memset(c, 0, sizeof *c);
    onnx__model_proto__init(&c->model);
    onnx__graph_proto__init(&c->graph);
    onnx__operator_set_id_proto__init(&c->opset);
    onnx__type_proto__init(&c->type);
    onnx__type_proto__tensor__init(&c->tensor_type);
    onnx__tensor_shape_proto__init(&c->shape);
    c->opsets[0] = &c->opset;
    c->opset.has_version = 1;
    c->opset.version = opset;
    c->model.opset_import = c->opsets;
    c->model.n_opset_import = 1;
    c->model.graph = &c->graph;
    c->graph.node = c->nodes;
    c->graph.initializer = c->tensors;
    for (int i = 0; i < 2; i++) {
        onnx__value_info_proto__init(&c->info[i]);
        c->infos[i] = &c->info[i];
    }
    c->info[0].name = (char *)(uintptr_t) "x";
    c->info[1].name = (char *)(uintptr_t) "y";
    c->info[0].type = &c->type;
    c->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    c->type.tensor_type = &c->tensor_type;
    c->tensor_type.has_elem_type = 1;
    c->tensor_type.elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    c->tensor_type.shape = &c->shape;
    c->shape.dim = c->dim_list;
    c->shape.n_dim = (size_t)rank;
    for (int i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&c->dim[i]);
        c->dim_list[i] = &c->dim[i];
        c->dim[i].value_case = i == 0 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                                      : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (i == 0) {
            c->dim[i].dim_param = (char *)(uintptr_t) "N";
        } else {
            c->dim[i].dim_value = dims[i];
        }
    }
    c->graph.input = &c->infos[0];
    c->graph.n_input = 1;
    c->graph.output = &c->infos[1];
    c->graph.n_output = 1;
}

/* inputs: names between blanks, "x w b". Returns the node's index. */
static inline size_t craft_node(struct craft *c, const char *op, const char *inputs,
                                const char *output)
{
    static char storage[CRAFT_MAX][CRAFT_MAX][32];
    size_t i = c->graph.n_node++;
    Onnx__NodeProto *n = &c->node[i];
    onnx__node_proto__init(n);
    c->nodes[i] = n;
    n->op_type = (char *)(uintptr_t)op;
    n->name = (char *)(uintptr_t)output;
    n->input = c->names[i];
    n->output = &c->names[i][CRAFT_MAX];
    n->output[0] = (char *)(uintptr_t)output;
    n->n_output = 1;
    n->attribute = c->attributes[i];
    while (*inputs != '\0') {
        size_t size = strcspn(inputs, " ");
        assert_true(size < 32);
        memcpy(storage[i][n->n_input], inputs, size);
        storage[i][n->n_input][size] = '\0';
        n->input[n->n_input] = strcmp(storage[i][n->n_input], "-") == 0 ? (char *)(uintptr_t) ""
                                                                        : storage[i][n->n_input];
        n->n_input++;
        inputs += size + (inputs[size] == ' ' ? 1 : 0);
    }
    return i;
}

static inline Onnx__AttributeProto *craft_attribute(struct craft *c, size_t node, const char *name,
                                                    int type)
{
    size_t i = c->node[node].n_attribute++;
    Onnx__AttributeProto *a = &c->attribute[node][i];
    onnx__attribute_proto__init(a);
    c->attributes[node][i] = a;
    a->name = (char *)(uintptr_t)name;
    a->has_type = 1;
    a->type = (Onnx__AttributeProto__AttributeType)type;
    return a;
}

static inline void craft_int(struct craft *c, size_t node, const char *name, int64_t value)
{
    Onnx__AttributeProto *a =
        craft_attribute(c, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    a->has_i = 1;
    a->i = value;
}

static inline void craft_float(struct craft *c, size_t node, const char *name, float value)
{
    Onnx__AttributeProto *a =
        craft_attribute(c, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    a->has_f = 1;
    a->f = value;
}

static inline void craft_ints(struct craft *c, size_t node, const char *name, size_t count,
                              const int64_t *value)
{
    Onnx__AttributeProto *a =
        craft_attribute(c, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    a->ints = (int64_t *)(uintptr_t)value;
    a->n_ints = count;
}

static inline void craft_text(struct craft *c, size_t node, const char *name, const char *value)
{
    Onnx__AttributeProto *a =
        craft_attribute(c, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    a->has_s = 1;
    a->s.data = (uint8_t *)(uintptr_t)value;
    a->s.len = strlen(value);
}

/* An initializer with raw data. */
static inline Onnx__TensorProto *craft_tensor(struct craft *c, const char *name, int type,
                                              size_t rank, const int64_t *dims, const void *data,
                                              size_t size)
{
    size_t i = c->graph.n_initializer++;
    Onnx__TensorProto *t = &c->tensor[i];
    onnx__tensor_proto__init(t);
    c->tensors[i] = t;
    for (size_t d = 0; d < rank; d++) {
        c->dims[i][d] = dims[d];
    }
    t->name = (char *)(uintptr_t)name;
    t->dims = c->dims[i];
    t->n_dims = rank;
    t->has_data_type = 1;
    t->data_type = type;
    t->has_raw_data = data != NULL;
    t->raw_data.data = (uint8_t *)(uintptr_t)data;
    t->raw_data.len = size;
    return t;
}

/* Marks the tensor as kept in a file. NULL: no such entry. */
static inline void craft_external(struct craft *c, Onnx__TensorProto *t, const char *location,
                                  const char *offset, const char *length)
{
    const char *entries[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    t->has_raw_data = 0;
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    t->external_data = c->externals;
    for (int i = 0; i < 3; i++) {
        if (entries[i][1] != NULL) {
            Onnx__StringStringEntryProto *e = &c->external[t->n_external_data];
            onnx__string_string_entry_proto__init(e);
            e->key = (char *)(uintptr_t)entries[i][0];
            e->value = (char *)(uintptr_t)entries[i][1];
            c->externals[t->n_external_data++] = e;
        }
    }
}

/* Packs and parses. */
static inline int craft_parse(const struct craft *c, const char *folder, struct fnl_graph **ret,
                              struct fnl_error *err)
{
    size_t size = onnx__model_proto__get_packed_size(&c->model);
    uint8_t *data = fnl_malloc(size + 1);
    onnx__model_proto__pack(&c->model, data);
    int rc = fnl_onnx_parse("crafted.onnx", data, size, folder, ret, err);
    fnl_free(data);
    return rc;
}

static inline struct fnl_graph *craft_must_parse(const struct craft *c)
{
    struct fnl_graph *g = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = craft_parse(c, NULL, &g, &err);
    if (rc != 0) {
        print_message("%s\n", err.message);
    }
    assert_int_equal(rc, 0);
    return g;
}

static inline void craft_must_fail(const struct craft *c, const char *folder, int code,
                                   const char *message)
{
    struct fnl_graph *g = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = craft_parse(c, folder, &g, &err);
    if (rc != code || strstr(err.message, message) == NULL) {
        print_message("code %d: %s\nwanted: %s\n", rc, err.message, message);
    }
    assert_null(g);
    assert_int_equal(rc, code);
    assert_non_null(strstr(err.message, message));
}

#endif
