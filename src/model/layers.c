/* layers.c - the `model:` list of a configuration to a graph.
 *
 * Each item is a layer's name, or a map of one entry {name: arguments}. Its kind stands in one of
 * the tables below (one file a family), which says what arguments it takes, how they are read
 * (base/schema.h) and which nodes it makes. Invariants: (1) b->value is what the layers so far
 * give; (2) layer names are unique in the whole model, also inside residual; (3) parameter i of the
 * model draws from random stream i, so adding a layer at the end changes no earlier weight.
 * Recursion: only residual, at most FNL_MAX_LAYER_NESTING deep. Cost: O(layers^2) comparisons of
 * names, and one draw a weight. */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/layers_int.h"
#include "model/model.h"

static const struct fnl__layer_kind *const families[] = {
    fnl__layer_dense_kinds,      fnl__layer_conv_kinds, fnl__layer_pool_kinds,
    fnl__layer_activation_kinds, fnl__layer_norm_kinds, fnl__layer_residual_kinds,
};
#define FAMILIES (sizeof families / sizeof families[0])
#define KINDS_MAX 40

/* What other tools call them; for hints. */
static const struct {
    const char *other, *ours;
} other_names[] = {
    {"linear", "dense"},
    {"fc", "dense"},
    {"fully_connected", "dense"},
    {"conv", "conv2d"},
    {"convolution", "conv2d"},
    {"maxpool", "max_pooling2d"},
    {"maxpool2d", "max_pooling2d"},
    {"max_pool", "max_pooling2d"},
    {"max_pool2d", "max_pooling2d"},
    {"avgpool2d", "average_pooling2d"},
    {"average_pool", "average_pooling2d"},
    {"batch_norm", "batch_normalization"},
    {"batchnorm", "batch_normalization"},
    {"batchnorm2d", "batch_normalization"},
    {"layer_norm", "layer_normalization"},
    {"layernorm", "layer_normalization"},
    {"add", "residual"},
};

/* ---- for the kinds ---- */

struct fnl_yaml_node *fnl__short_map(struct fnl__short_map *room, const char *key,
                                     struct fnl_yaml_node *value)
{
    if (value == NULL || value->kind == FNL_YAML_MAP || fnl_yaml_is_null(value)) {
        return value;
    }
    *room = (struct fnl__short_map){
        .map = {.kind = FNL_YAML_MAP, .line = value->line, .column = value->column, .count = 1},
        .key_node = {.kind = FNL_YAML_SCALAR,
                     .line = value->line,
                     .column = value->column,
                     .scalar = key},
        .item = value,
    };
    room->key = &room->key_node;
    room->map.key = &room->key;
    room->map.item = &room->item;
    return &room->map;
}

int fnl__layer_fail(const struct fnl__layers *b, const char *hint, const char *format, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    return fnl_yaml_fail(b->doc, b->node, hint, b->err, "%s (%s \"%s\"): %s", b->path,
                         b->kind->name, b->name, n < 0 ? "?" : what);
}

/* An error of the graph, told as one of the layer. Memory and limits stay what they are. */
static int graph_error(struct fnl__layers *b, int code)
{
    if (b->err == NULL || code == FNL_E_NOMEM || code == FNL_E_LIMIT) {
        return code;
    }
    struct fnl_error inner = *b->err;
    return fnl__layer_fail(b, inner.hint[0] != 0 ? inner.hint : NULL, "%s", inner.message);
}

int fnl__layer_emit(struct fnl__layers *b, enum fnl_op op, const char *suffix,
                    const struct fnl_attrs *attrs, const int *inputs, int input_count, bool last)
{
    char node[FNL_MAX_LAYER_NAME_BYTES + 32];
    (void)snprintf(node, sizeof node, "%s%s%s", b->name, suffix != NULL ? "." : "",
                   suffix != NULL ? suffix : "");
    const char *output = last && b->final ? "output" : node;
    int rc = fnl_graph_add_node(b->g, op, node, inputs, input_count, attrs, &output, 1, &b->value,
                                b->err);
    return rc < 0 ? graph_error(b, rc) : 0;
}

int fnl__layer_param(struct fnl__layers *b, const char *suffix, const struct fnl_shape *shape,
                     const struct fnl__init *init, double fan_in, double fan_out, bool trainable)
{
    int64_t count = fnl_shape_count(shape, -1);
    if (count < 1 || (uint64_t)count > FNL_MAX_GRAPH_BYTES / sizeof(float)) {
        char text[FNL_SHAPE_TEXT];
        return fnl__layer_fail(b, NULL, "its %s %s would be too large", suffix,
                               fnl_shape_text(shape, text));
    }
    float *data = fnl_malloc((size_t)count * sizeof *data);
    if (data == NULL) {
        return FNL_FAIL(b->err, NOMEM, "use fewer units or filters",
                        "%s (%s \"%s\"): no memory for its %s", b->path, b->kind->name, b->name,
                        suffix);
    }
    struct fnl_rng rng;
    fnl_rng_init(&rng, b->seed, FNL_RNG_INIT, b->param_index++);
    fnl__init_fill(init, fan_in, fan_out, &rng, data, (size_t)count);
    char name[FNL_MAX_LAYER_NAME_BYTES + 32];
    (void)snprintf(name, sizeof name, "%s.%s", b->name, suffix);
    int value = fnl_graph_add_param(b->g, name, shape, data, trainable, b->err);
    fnl_free(data);
    return value < 0 ? graph_error(b, value) : value;
}

int fnl__layer_init(struct fnl__layers *b, struct fnl_yaml_node *node, const char *key,
                    const char *fallback, struct fnl__init *ret)
{
    const char *where = fnl_arena_printf(&b->arena, "%s.%s", b->path, key);
    if (where == NULL) {
        return FNL_FAIL(b->err, NOMEM, NULL, "%s: out of memory", b->path);
    }
    return fnl__init_read(b->doc, node, where, fallback, &b->arena, ret, b->err);
}

const struct fnl_shape *fnl__layer_input(const struct fnl__layers *b)
{
    return &fnl_graph_value(b->g, b->value)->shape;
}

int fnl__layer_need_rank(const struct fnl__layers *b, int rank)
{
    char text[FNL_SHAPE_TEXT];
    const struct fnl_shape *x = fnl__layer_input(b);
    if (x->rank == rank) {
        return 0;
    }
    if (rank == 4) {
        return fnl__layer_fail(b, "put it before flatten, or check the shape of the data",
                               "needs images [N, channels, height, width], got %s",
                               fnl_shape_text(x, text));
    }
    return fnl__layer_fail(b, "put \"- flatten\" or \"- global_average_pooling2d\" in front of it",
                           "needs rows [N, features], got %s", fnl_shape_text(x, text));
}

int fnl__layer_pair(const struct fnl__layers *b, const struct fnl_ints *given, const char *key,
                    int32_t ret[2])
{
    if (given->count > 2) {
        return fnl__layer_fail(b, NULL,
                               "%s: expected one number or [height, width], got %d numbers", key,
                               given->count);
    }
    if (given->count > 0) { /* the schema has checked the range */
        ret[0] = (int32_t)given->value[0];
        ret[1] = (int32_t)given->value[given->count - 1];
    }
    return 0;
}

/* Keras' "same": the output has ceil(input / stride) places; an odd pad goes to bottom and right.
 */
static void pad_same(const struct fnl_shape *x, struct fnl_attrs *a)
{
    for (int d = 0; d < 2; d++) {
        int64_t in = x->dim[2 + d], stride = a->strides[d];
        int64_t out = (in + stride - 1) / stride;
        int64_t span = (int64_t)(a->kernel[d] - 1) * a->dilations[d] + 1;
        int64_t total = (out - 1) * stride + span - in;
        total = total > 0 ? total : 0;
        a->pads[d] = (int32_t)(total / 2);
        a->pads[d + 2] = (int32_t)(total - total / 2);
    }
}

static bool pad_number(const struct fnl_yaml_node *node, int32_t *ret)
{
    int64_t value;
    if (node->kind != FNL_YAML_SCALAR || !fnl_parse_int(node->scalar, &value) || value < 0 ||
        value > FNL_MAX_WINDOW) {
        return false;
    }
    *ret = (int32_t)value;
    return true;
}

int fnl__layer_padding(const struct fnl__layers *b, const struct fnl_yaml_node *node,
                       struct fnl_attrs *attrs)
{
    bool scalar = node != NULL && node->kind == FNL_YAML_SCALAR;
    if (node == NULL || (scalar && strcmp(node->scalar, "valid") == 0)) {
        return 0;
    }
    if (scalar && strcmp(node->scalar, "same") == 0) {
        pad_same(fnl__layer_input(b), attrs);
        return 0;
    }
    int32_t p[4];
    bool good = false;
    if (scalar) {
        good = pad_number(node, &p[0]);
        p[1] = p[2] = p[3] = p[0];
    } else if (node->kind == FNL_YAML_SEQUENCE && (node->count == 2 || node->count == 4)) {
        good = true;
        for (size_t i = 0; i < 4; i++) {
            good = good && pad_number(node->item[i % node->count], &p[i]);
        }
    }
    if (!good) {
        return fnl__layer_fail(b, NULL,
                               "padding: expected valid, same, a number up to %d, [height, width] "
                               "or [top, left, bottom, right]",
                               FNL_MAX_WINDOW);
    }
    memcpy(attrs->pads, p, sizeof p);
    return 0;
}

/* ---- kinds and names ---- */

static const struct fnl__layer_kind *find_kind(const char *name)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        for (const struct fnl__layer_kind *k = families[f]; k->name != NULL; k++) {
            if (strcmp(k->name, name) == 0) {
                return k;
            }
        }
    }
    return NULL;
}

bool fnl_model_is_layer(const char *kind)
{
    return find_kind(kind) != NULL;
}

const char *fnl_model_layer_shorthand(const char *kind)
{
    const struct fnl__layer_kind *k = find_kind(kind);
    return k != NULL ? k->shorthand : NULL;
}

static int unknown_kind(const struct fnl__layers *b, const struct fnl_yaml_node *node,
                        const char *name, const char *path)
{
    const char *names[KINDS_MAX + 1] = {0};
    int count = 0;
    for (size_t f = 0; f < FAMILIES; f++) {
        for (const struct fnl__layer_kind *k = families[f]; k->name != NULL && count < KINDS_MAX;
             k++) {
            names[count++] = k->name;
        }
    }
    const char *near = NULL;
    for (size_t i = 0; i < sizeof other_names / sizeof other_names[0]; i++) {
        if (strcmp(other_names[i].other, name) == 0) {
            near = other_names[i].ours;
        }
    }
    near = near != NULL ? near : fnl_nearest_name(name, names);
    int rc = fnl_yaml_fail(b->doc, node, "docs/config.md lists the layers", b->err,
                           "%s: no layer is called \"%s\"", path, name);
    if (near != NULL) {
        fnl_error_hint(b->err, "did you mean \"%s\"?", near);
    }
    return rc;
}

static bool name_taken(const struct fnl__layers *b, const char *name)
{
    for (const struct fnl__layer_name *n = b->names; n != NULL; n = n->next) {
        if (strcmp(n->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* "dense", "dense_1", ... */
static const char *made_name(struct fnl__layers *b, const char *kind)
{
    const char *name = kind;
    for (int i = 1; name != NULL && name_taken(b, name); i++) {
        name = fnl_arena_printf(&b->arena, "%s_%d", kind, i);
    }
    return name;
}

/* A dot would clash with the names of parameters. */
static bool name_is_fit(const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > FNL_MAX_LAYER_NAME_BYTES || strcmp(name, "input") == 0 ||
        strcmp(name, "output") == 0) {
        return false;
    }
    for (const char *p = name; *p != 0; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && !(*p >= '0' && *p <= '9') && *p != '_' && *p != '-' && *p != '/') {
            return false;
        }
    }
    return true;
}

/* b->name from the argument `name`, or made. */
static int name_layer(struct fnl__layers *b, const char *given)
{
    b->name = given != NULL ? given : b->kind->name;
    if (given != NULL && !name_is_fit(given)) {
        return fnl__layer_fail(
            b, NULL,
            "name: use up to %d letters, digits, \"_\", \"-\" and \"/\", and not "
            "\"input\" or \"output\"",
            FNL_MAX_LAYER_NAME_BYTES);
    }
    if (given != NULL && name_taken(b, given)) {
        return fnl__layer_fail(b, "give each layer a name of its own",
                               "another layer has this name");
    }
    const char *name = given != NULL ? given : made_name(b, b->kind->name);
    struct fnl__layer_name *entry = fnl_arena_alloc(&b->arena, sizeof *entry);
    if (name == NULL || entry == NULL) {
        return FNL_FAIL(b->err, NOMEM, NULL, "%s: out of memory", b->path);
    }
    *entry = (struct fnl__layer_name){name, b->names};
    b->names = entry;
    b->name = name;
    return 0;
}

/* ---- one layer, a list of them ---- */

/* b->kind and *ret_arguments (NULL: none) of one item of a list. */
static int read_item(struct fnl__layers *b, struct fnl_yaml_node *item,
                     struct fnl_yaml_node **ret_arguments)
{
    const char *name = NULL;
    b->node = item;
    *ret_arguments = NULL;
    if (item->kind == FNL_YAML_SCALAR && item->scalar[0] != 0 && !fnl_yaml_is_null(item)) {
        name = item->scalar;
    } else if (item->kind == FNL_YAML_MAP && item->count == 1) {
        name = item->key[0]->scalar;
        b->node = item->key[0];
        *ret_arguments = item->item[0];
    } else {
        return fnl_yaml_fail(b->doc, item,
                             "write \"- flatten\" or \"- dense: {units: 10}\": one layer an item",
                             b->err, "%s: expected a layer", b->path);
    }
    b->kind = find_kind(name);
    return b->kind != NULL ? 0 : unknown_kind(b, b->node, name, b->path);
}

static int build_layer(struct fnl__layers *b, struct fnl_yaml_node *item)
{
    struct fnl_yaml_node *arguments;
    if (b->layer_count++ >= FNL_MAX_LAYERS) {
        return FNL_FAIL(b->err, LIMIT, NULL, "%s: more than %d layers", fnl_yaml_name(b->doc),
                        FNL_MAX_LAYERS);
    }
    int rc = read_item(b, item, &arguments);
    if (rc != 0) {
        return rc;
    }
    struct fnl__short_map room;
    if (b->kind->shorthand != NULL) {
        arguments = fnl__short_map(&room, b->kind->shorthand, arguments);
    }
    void *args = fnl_arena_alloc(&b->arena, b->kind->args_size);
    if (args == NULL) {
        return FNL_FAIL(b->err, NOMEM, NULL, "%s: out of memory", b->path);
    }
    /* A bare name has no map whose line an error could name: the item itself stands in. */
    struct fnl_yaml_node none = {.kind = FNL_YAML_MAP, .line = item->line, .column = item->column};
    if (arguments == NULL || fnl_yaml_is_null(arguments)) {
        arguments = &none;
    }
    rc = fnl_schema_read(b->doc, arguments, b->path, b->kind->fields, &b->arena, args, b->err);
    if (rc == 0) {
        rc = name_layer(b, *(const char *const *)args);
    }
    return rc != 0 ? rc : b->kind->build(b, args);
}

int fnl__layers_build(struct fnl__layers *b, struct fnl_yaml_node *list, const char *path,
                      bool final)
{
    if (list == NULL || list->kind != FNL_YAML_SEQUENCE || list->count == 0) {
        return fnl_yaml_fail(b->doc, list, "write one layer an item: \"- dense: {units: 10}\"",
                             b->err, "%s: expected a list of layers", path);
    }
    for (size_t i = 0; i < list->count; i++) {
        b->path = fnl_arena_printf(&b->arena, "%s.%zu", path, i);
        if (b->path == NULL) {
            return FNL_FAIL(b->err, NOMEM, NULL, "%s: out of memory", path);
        }
        b->final = final && i + 1 == list->count;
        int rc = build_layer(b, list->item[i]);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the whole model ---- */

/* The last layer must give one number a class. */
static int check_classes(const struct fnl__layers *b, int classes)
{
    const struct fnl_shape *y = fnl__layer_input(b);
    char text[FNL_SHAPE_TEXT];
    if (classes == 0 || (y->rank == 2 && y->dim[1] == classes)) {
        return 0;
    }
    return fnl__layer_fail(b,
                           y->rank == 2 ? "set the units of the last layer"
                                        : "end the model with flatten and a dense layer",
                           "the model ends with %s, but the data needs [N, %d]",
                           fnl_shape_text(y, text), classes);
}

static int build_model(struct fnl__layers *b, struct fnl_yaml_node *layers,
                       const struct fnl_shape *sample, int classes)
{
    if (sample->rank < 1 || sample->rank >= FNL_MAX_RANK) {
        return FNL_FAIL(b->err, INVALID, NULL, "samples of rank %d", sample->rank);
    }
    struct fnl_shape input = {.rank = sample->rank + 1, .dim = {FNL_DIM_BATCH}};
    memcpy(&input.dim[1], sample->dim, (size_t)sample->rank * sizeof sample->dim[0]);
    b->value = fnl_graph_add_input(b->g, "input", FNL_F32, &input, b->err);
    if (b->value < 0) {
        return b->value;
    }
    int rc = fnl__layers_build(b, layers, "model", true);
    rc = rc == 0 ? check_classes(b, classes) : rc;
    return rc == 0 ? fnl_graph_add_output(b->g, b->value, b->err) : rc;
}

int fnl_model_from_layers(const struct fnl_yaml *doc, const struct fnl_yaml_node *layers,
                          const struct fnl_shape *sample, int classes, uint64_t seed,
                          struct fnl_graph **ret_graph, struct fnl_error *err)
{
    struct fnl__layers b = {.doc = doc, .seed = seed, .err = err};
    int rc = fnl_graph_create(&b.g, err);
    if (rc != 0) {
        return rc;
    }
    fnl_arena_init(&b.arena, FNL_MAX_YAML_TREE_BYTES);
    /* The reader of tables hands out nodes that may be changed; nothing here changes them. */
    rc = build_model(&b, (struct fnl_yaml_node *)(uintptr_t)layers, sample, classes);
    fnl_arena_free(&b.arena);
    if (rc != 0) {
        fnl_graph_free(b.g);
        return rc;
    }
    *ret_graph = b.g;
    return 0;
}

int fnl_model_layers_doc(struct fnl_buf *out)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        for (const struct fnl__layer_kind *k = families[f]; k->name != NULL; k++) {
            fnl_buf_printf(out, "#### `%s`\n\n%s.", k->name, k->doc);
            if (k->shorthand != NULL) {
                fnl_buf_printf(out, " `%s: X` is short for `%s: {%s: X}`.", k->name, k->name,
                               k->shorthand);
            }
            fnl_buf_puts(out, "\n\n");
            int rc = fnl_schema_print(k->fields, out);
            if (rc != 0) {
                return rc;
            }
            fnl_buf_puts(out, "\n");
        }
    }
    fnl_buf_puts(out, "#### Initialisers\n\nBy name (`kernel_initializer: he_normal`) or with "
                      "arguments (`kernel_initializer: {random_normal: {stddev: 0.02}}`).\n\n");
    return fnl__init_doc(out);
}
