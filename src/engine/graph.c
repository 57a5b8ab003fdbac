/* graph.c - building and reading graphs.
 *
 * Everything a graph owns lives in its arena, except the growing index arrays. Invariants: (1)
 * nodes are in topological order, because a node can name only values that exist; (2) every value
 * has a dtype and a shape; (3) names of values are unique. Adding a value or node costs O(1)
 * amortised. A failed add leaves the graph as it was, but for arena bytes. */
#include "engine/graph_int.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "engine/op_int.h"

int fnl_graph_create(struct fnl_graph **ret_graph, struct fnl_error *err)
{
    struct fnl_graph *g = fnl_calloc(1, sizeof *g);
    if (g == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a graph");
    }
    fnl_arena_init(&g->arena, FNL_MAX_GRAPH_BYTES);
    *ret_graph = g;
    return 0;
}

void fnl_graph_free(struct fnl_graph *g)
{
    if (g == NULL) {
        return;
    }
    fnl_arena_free(&g->arena);
    fnl_free(g->values);
    fnl_free(g->nodes);
    fnl_free(g->slots);
    fnl_free(g->inputs);
    fnl_free(g->outputs);
    fnl_free(g->meta);
    fnl_free(g);
}

/* Room for one more element in a growing array. */
static int grow(void **array, int count, int *capacity, size_t size)
{
    if (count < *capacity) {
        return 0;
    }
    int wanted = *capacity < 16 ? 16 : *capacity * 2;
    void *p = fnl_realloc(*array, (size_t)wanted * size);
    if (p == NULL) {
        return FNL_E_NOMEM;
    }
    *array = p;
    *capacity = wanted;
    return 0;
}

/* ---- names ---- */

static uint32_t hash_name(const char *s)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 16777619U;
    }
    return h;
}

/* The slot of name: its own, or the free one where it would go. */
static int *find_slot(const struct fnl_graph *g, const char *name)
{
    uint32_t mask = (uint32_t)g->slot_count - 1;
    for (uint32_t i = hash_name(name) & mask;; i = (i + 1) & mask) {
        int *slot = &g->slots[i];
        if (*slot == 0 || strcmp(g->values[*slot - 1].name, name) == 0) {
            return slot;
        }
    }
}

static int grow_slots(struct fnl_graph *g)
{
    if (g->value_count * 2 < g->slot_count) {
        return 0;
    }
    int count = g->slot_count == 0 ? 64 : g->slot_count * 2;
    int *slots = fnl_calloc((size_t)count, sizeof *slots);
    if (slots == NULL) {
        return FNL_E_NOMEM;
    }
    fnl_free(g->slots);
    g->slots = slots;
    g->slot_count = count;
    for (int v = 0; v < g->value_count; v++) {
        *find_slot(g, g->values[v].name) = v + 1;
    }
    return 0;
}

int fnl_graph_find_value(const struct fnl_graph *g, const char *name)
{
    return g->slot_count == 0 ? -1 : *find_slot(g, name) - 1;
}

/* ---- values ---- */

/* Appends *proto under name (NULL: made up); the name is copied. */
static int add_value(struct fnl_graph *g, const char *name, const struct fnl_value *proto,
                     struct fnl_error *err)
{
    char made[32];
    if (name == NULL || name[0] == '\0') {
        int suffix = g->value_count;
        do {
            snprintf(made, sizeof made, "v%d", suffix++);
        } while (fnl_graph_find_value(g, made) >= 0);
        name = made;
    } else if (fnl_graph_find_value(g, name) >= 0) {
        return FNL_FAIL(err, FORMAT, "every tensor needs a name of its own",
                        "two tensors are named \"%s\"", name);
    }
    if (g->value_count >= FNL_MAX_GRAPH_VALUES) {
        return FNL_FAIL(err, LIMIT, NULL, "more than %d tensors in a graph", FNL_MAX_GRAPH_VALUES);
    }
    char *copy = fnl_arena_strdup(&g->arena, name);
    if (copy == NULL || grow_slots(g) != 0 ||
        grow((void **)&g->values, g->value_count, &g->value_capacity, sizeof *g->values) != 0) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for tensor \"%s\"", name);
    }
    *find_slot(g, copy) = g->value_count + 1;
    struct fnl_value *v = &g->values[g->value_count];
    *v = *proto;
    v->name = copy;
    v->gradient = -1;
    v->gradient_of = -1;
    return g->value_count++;
}

static int append_index(int **array, int *count, int *capacity, int index, struct fnl_error *err)
{
    if (grow((void **)array, *count, capacity, sizeof **array) != 0) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a graph");
    }
    (*array)[(*count)++] = index;
    return 0;
}

int fnl_graph_add_input(struct fnl_graph *g, const char *name, enum fnl_dtype dtype,
                        const struct fnl_shape *shape, struct fnl_error *err)
{
    int64_t row = fnl_shape_count(shape, 1);
    if (row < 1 || row > (int64_t)1 << 40) { /* so that products of sizes never overflow */
        char text[FNL_SHAPE_TEXT];
        return FNL_FAIL(err, FORMAT, NULL, "input \"%s\" %s is empty or too large",
                        name != NULL ? name : "", fnl_shape_text(shape, text));
    }
    struct fnl_value proto = {
        .kind = FNL_VALUE_INPUT, .dtype = dtype, .shape = *shape, .producer = -1};
    int v = add_value(g, name, &proto, err);
    if (v < 0) {
        return v;
    }
    int rc = append_index(&g->inputs, &g->input_count, &g->input_capacity, v, err);
    return rc != 0 ? rc : v;
}

/* Copies data of this shape into the arena. */
static const void *copy_data(struct fnl_graph *g, enum fnl_dtype dtype,
                             const struct fnl_shape *shape, const void *data)
{
    int64_t count = fnl_shape_count(shape, -1);
    if (count < 0 || count > INT64_MAX / 16) {
        return NULL;
    }
    size_t size = (size_t)count * fnl_dtype_size(dtype);
    void *copy = fnl_arena_alloc(&g->arena, size > 0 ? size : 1);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static int add_data(struct fnl_graph *g, const char *name, struct fnl_value *proto,
                    const void *data, struct fnl_error *err)
{
    proto->producer = -1;
    proto->data = copy_data(g, proto->dtype, &proto->shape, data);
    if (proto->data == NULL) {
        char text[FNL_SHAPE_TEXT];
        return FNL_FAIL(err, NOMEM, NULL, "tensor \"%s\" %s is too large", name != NULL ? name : "",
                        fnl_shape_text(&proto->shape, text));
    }
    return add_value(g, name, proto, err);
}

int fnl_graph_add_param(struct fnl_graph *g, const char *name, const struct fnl_shape *shape,
                        const float *data, bool trainable, struct fnl_error *err)
{
    struct fnl_value proto = {
        .kind = FNL_VALUE_PARAM, .dtype = FNL_F32, .shape = *shape, .trainable = trainable};
    return add_data(g, name, &proto, data, err);
}

int fnl_graph_add_const(struct fnl_graph *g, const char *name, enum fnl_dtype dtype,
                        const struct fnl_shape *shape, const void *data, struct fnl_error *err)
{
    struct fnl_value proto = {.kind = FNL_VALUE_CONST, .dtype = dtype, .shape = *shape};
    return add_data(g, name, &proto, data, err);
}

int fnl_graph_set_data(struct fnl_graph *g, int value, const void *data, struct fnl_error *err)
{
    struct fnl_value *v = &g->values[value];
    if (v->kind != FNL_VALUE_PARAM && v->kind != FNL_VALUE_CONST) {
        return FNL_FAIL(err, INVALID, NULL, "tensor \"%s\" holds no data", v->name);
    }
    /* The copy belongs to this graph's arena, so it may be written. */
    memcpy((void *)(uintptr_t)v->data, data,
           (size_t)fnl_shape_count(&v->shape, -1) * fnl_dtype_size(v->dtype));
    return 0;
}

void fnl_graph_set_trainable(struct fnl_graph *g, int value, bool trainable)
{
    g->values[value].trainable = trainable;
}

/* ---- nodes ---- */

static int check_arity(const struct fnl_graph *g, enum fnl_op op, const char *name,
                       const int *inputs, int input_count, int output_count, struct fnl_error *err)
{
    const struct fnl_op_arity *a = fnl__op_arity(op);
    if (input_count < a->inputs_min || input_count > a->inputs_max) {
        return FNL_FAIL(err, FORMAT, NULL, "node \"%s\" (%s): %d inputs, expected %d to %d", name,
                        a->text, input_count, a->inputs_min, a->inputs_max);
    }
    if (output_count < a->outputs_min || output_count > a->outputs_max) {
        return FNL_FAIL(err, FORMAT, NULL, "node \"%s\" (%s): %d outputs, expected %d to %d", name,
                        a->text, output_count, a->outputs_min, a->outputs_max);
    }
    for (int i = 0; i < input_count; i++) {
        if (inputs[i] >= g->value_count || (inputs[i] < 0 && i < a->inputs_min)) {
            return FNL_FAIL(err, FORMAT, NULL, "node \"%s\" (%s): input %d is missing", name,
                            a->text, i);
        }
    }
    return 0;
}

static int fill_node(struct fnl_graph *g, struct fnl_node *n, const int *inputs, const char *name,
                     struct fnl_error *err)
{
    n->name = fnl_arena_strdup(&g->arena, name);
    n->input = fnl_arena_array(&g->arena, (size_t)n->input_count + 1, sizeof *n->input);
    n->output = fnl_arena_array(&g->arena, (size_t)n->output_count, sizeof *n->output);
    if (n->name == NULL || n->input == NULL || n->output == NULL ||
        grow((void **)&g->nodes, g->node_count, &g->node_capacity, sizeof *g->nodes) != 0) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for node \"%s\"", name);
    }
    for (int i = 0; i < n->input_count; i++) {
        n->input[i] = inputs[i] < 0 ? -1 : inputs[i];
    }
    return 0;
}

#define MAX_OUTPUTS 4

int fnl__graph_add_node(struct fnl_graph *g, enum fnl_op op, const char *name, const int *inputs,
                        int input_count, const struct fnl_attrs *attrs, bool backward,
                        const char *const *output_names, int output_count, int *ret_outputs,
                        struct fnl_error *err)
{
    static const struct fnl_attrs defaults = FNL_ATTRS_INIT;
    char made[32];
    if (name == NULL || name[0] == '\0') {
        snprintf(made, sizeof made, "n%d", g->node_count);
        name = made;
    }
    if (output_count <= 0) {
        output_count = fnl__op_arity(op)->outputs_min;
    }
    int rc = check_arity(g, op, name, inputs, input_count, output_count, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_node node = {.op = op,
                            .input_count = input_count,
                            .output_count = output_count,
                            .attrs = attrs != NULL ? *attrs : defaults,
                            .backward = backward};
    rc = fill_node(g, &node, inputs, name, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_value outputs[MAX_OUTPUTS] = {{0}};
    rc = fnl__infer(g, &node, outputs, err);
    if (rc != 0) {
        return rc;
    }
    for (int i = 0; i < output_count; i++) {
        outputs[i].kind = FNL_VALUE_NODE;
        outputs[i].producer = g->node_count;
        const char *output_name = output_names != NULL ? output_names[i] : NULL;
        int v = add_value(g, output_name, &outputs[i], err);
        if (v < 0) {
            return v;
        }
        node.output[i] = v;
        if (ret_outputs != NULL) {
            ret_outputs[i] = v;
        }
    }
    g->nodes[g->node_count] = node;
    return g->node_count++;
}

int fnl_graph_add_node(struct fnl_graph *g, enum fnl_op op, const char *name, const int *inputs,
                       int input_count, const struct fnl_attrs *attrs,
                       const char *const *output_names, int output_count, int *ret_outputs,
                       struct fnl_error *err)
{
    return fnl__graph_add_node(g, op, name, inputs, input_count, attrs, false, output_names,
                               output_count, ret_outputs, err);
}

/* ---- reading ---- */

int fnl_graph_value_count(const struct fnl_graph *g)
{
    return g->value_count;
}

const struct fnl_value *fnl_graph_value(const struct fnl_graph *g, int value)
{
    return &g->values[value];
}

int fnl_graph_node_count(const struct fnl_graph *g)
{
    return g->node_count;
}

const struct fnl_node *fnl_graph_node(const struct fnl_graph *g, int node)
{
    return &g->nodes[node];
}

int fnl_graph_add_output(struct fnl_graph *g, int value, struct fnl_error *err)
{
    for (int i = 0; i < g->output_count; i++) {
        if (g->outputs[i] == value) {
            return 0;
        }
    }
    return append_index(&g->outputs, &g->output_count, &g->output_capacity, value, err);
}

int fnl_graph_output_count(const struct fnl_graph *g)
{
    return g->output_count;
}

int fnl_graph_output(const struct fnl_graph *g, int index)
{
    return g->outputs[index];
}

int fnl_graph_input_count(const struct fnl_graph *g)
{
    return g->input_count;
}

int fnl_graph_input(const struct fnl_graph *g, int index)
{
    return g->inputs[index];
}

/* ---- metadata ---- */

int fnl_graph_set_meta(struct fnl_graph *g, const char *key, const char *text,
                       struct fnl_error *err)
{
    const char *text_copy = fnl_arena_strdup(&g->arena, text);
    if (text_copy == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for metadata \"%s\"", key);
    }
    for (int i = 0; i < g->meta_count; i++) {
        if (strcmp(g->meta[i].key, key) == 0) {
            g->meta[i].text = text_copy;
            return 0;
        }
    }
    const char *key_copy = fnl_arena_strdup(&g->arena, key);
    if (key_copy == NULL ||
        grow((void **)&g->meta, g->meta_count, &g->meta_capacity, sizeof *g->meta) != 0) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for metadata \"%s\"", key);
    }
    g->meta[g->meta_count++] = (struct fnl_meta){key_copy, text_copy};
    return 0;
}

const char *fnl_graph_meta(const struct fnl_graph *g, const char *key)
{
    for (int i = 0; i < g->meta_count; i++) {
        if (strcmp(g->meta[i].key, key) == 0) {
            return g->meta[i].text;
        }
    }
    return NULL;
}

int fnl_graph_meta_count(const struct fnl_graph *g)
{
    return g->meta_count;
}

void fnl_graph_meta_at(const struct fnl_graph *g, int index, const char **key, const char **text)
{
    *key = g->meta[index].key;
    *text = g->meta[index].text;
}

/* ---- copy ---- */

static int copy_value(struct fnl_graph *to, const struct fnl_value *v, struct fnl_error *err)
{
    struct fnl_value proto = *v;
    int index;
    if (v->kind == FNL_VALUE_INPUT) {
        index = fnl_graph_add_input(to, v->name, v->dtype, &v->shape, err);
    } else if (v->data != NULL) {
        index = add_data(to, v->name, &proto, v->data, err);
    } else {
        index = add_value(to, v->name, &proto, err);
    }
    if (index >= 0) {
        to->values[index].gradient = v->gradient;
        to->values[index].gradient_of = v->gradient_of;
    }
    return index;
}

static int copy_node(struct fnl_graph *to, const struct fnl_node *n, struct fnl_error *err)
{
    struct fnl_node copy = *n;
    int rc = fill_node(to, &copy, n->input, n->name, err);
    if (rc != 0) {
        return rc;
    }
    memcpy(copy.output, n->output, (size_t)n->output_count * sizeof *n->output);
    to->nodes[to->node_count++] = copy;
    return 0;
}

/* Indices stay the same: values and nodes are copied in order. */
int fnl_graph_copy(const struct fnl_graph *g, struct fnl_graph **ret_copy, struct fnl_error *err)
{
    struct fnl_graph *to = NULL;
    int rc = fnl_graph_create(&to, err);
    for (int v = 0; rc == 0 && v < g->value_count; v++) {
        rc = copy_value(to, &g->values[v], err);
        rc = rc < 0 ? rc : 0;
    }
    for (int n = 0; rc == 0 && n < g->node_count; n++) {
        rc = copy_node(to, &g->nodes[n], err);
    }
    for (int i = 0; rc == 0 && i < g->output_count; i++) {
        rc = fnl_graph_add_output(to, g->outputs[i], err);
    }
    for (int i = 0; rc == 0 && i < g->meta_count; i++) {
        rc = fnl_graph_set_meta(to, g->meta[i].key, g->meta[i].text, err);
    }
    if (rc != 0) {
        fnl_graph_free(to);
        return rc;
    }
    *ret_copy = to;
    return 0;
}
