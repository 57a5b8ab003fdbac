/* onnx_read.c - an ONNX file to a graph.
 *
 * Order: scan the bytes (onnx_scan.c), decode them (protobuf-c), make the table of names
 * (onnx_names.c), find chains that mean Gelu (onnx_fuse.c), then append node by node
 * (onnx_ops.c); initializers join the graph when the first node reads them. The first dimension of
 * every input is the batch, whatever the file says. Cost: O(file size + n log n) in names. */
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "model/onnx_int.h"

/* ---- the decoder's memory ---- */

static void *allocate(void *failed, size_t size)
{
    void *p = fnl_malloc(size > 0 ? size : 1);
    if (p == NULL) {
        *(bool *)failed = true;
    }
    return p;
}

static void release(void *failed, void *p)
{
    (void)failed;
    fnl_free(p);
}

/* ---- operator set ---- */

static int read_opset(struct fnl__onnx *o)
{
    int64_t version = 0;
    for (size_t i = 0; i < o->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = o->model->opset_import[i];
        if (set->domain == NULL || set->domain[0] == '\0' || strcmp(set->domain, "ai.onnx") == 0) {
            version = set->version;
        }
    }
    if (version < FNL__OPSET_MIN || version > FNL__OPSET_MAX) {
        return FNL_FAIL(o->err, UNSUPPORTED, "export the model again with opset 17",
                        "%s: operator set %lld; supported are %d to %d", o->file,
                        (long long)version, FNL__OPSET_MIN, FNL__OPSET_MAX);
    }
    o->opset = (int)version;
    return 0;
}

static int check_model(const struct fnl__onnx *o)
{
    const Onnx__ModelProto *m = o->model;
    if (m->graph == NULL || m->graph->n_node == 0) {
        return FNL_FAIL(o->err, FORMAT, "is it an ONNX model?", "%s: it holds no graph", o->file);
    }
    if (m->graph->n_sparse_initializer > 0) {
        return FNL_FAIL(o->err, UNSUPPORTED, NULL, "%s: sparse tensors are not supported", o->file);
    }
    /* Inputs may list all initializers, as files before IR version 4 do; real ones are counted
     * later. */
    if (m->graph->n_output > FNL_MAX_ONNX_ENTRIES || m->n_metadata_props > FNL_MAX_ONNX_ENTRIES) {
        return FNL_FAIL(o->err, LIMIT, NULL, "%s: more than %d outputs or metadata entries",
                        o->file, FNL_MAX_ONNX_ENTRIES);
    }
    return 0;
}

/* ---- inputs ---- */

static int input_fail(const struct fnl__onnx *o, const char *name, const char *hint,
                      const char *what)
{
    return FNL_FAIL(o->err, UNSUPPORTED, hint, "%s: input \"%s\": %s", o->file, name, what);
}

/* The first dimension is the batch; the others must be numbers. */
static int read_input_shape(struct fnl__onnx *o, const char *name,
                            const Onnx__TensorShapeProto *proto, struct fnl_shape *ret)
{
    if (proto == NULL || proto->n_dim == 0) {
        return input_fail(o, name, "export the model with input shapes", "it has no shape");
    }
    if (proto->n_dim > FNL_MAX_RANK) {
        return input_fail(o, name, NULL, "it has too many dimensions");
    }
    ret->rank = (int)proto->n_dim;
    int64_t count = 1;
    for (size_t i = 0; i < proto->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *d = proto->dim[i];
        bool known = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        ret->dim[i] = known ? d->dim_value : -1;
        if (i == 0) {
            o->fixed_batch = known && d->dim_value > 0 ? d->dim_value : o->fixed_batch;
            ret->dim[0] = FNL_DIM_BATCH;
        } else if (ret->dim[i] < 1) {
            return input_fail(o, name, "export it with a fixed size; only the batch may vary",
                              "a dimension other than the first is not fixed");
        } else if (__builtin_mul_overflow(count, ret->dim[i], &count) || count > INT32_MAX) {
            return input_fail(o, name, NULL, "it is too large");
        }
    }
    return 0;
}

static int add_input(struct fnl__onnx *o, const Onnx__ValueInfoProto *proto,
                     struct fnl__onnx_name *entry)
{
    struct fnl_shape shape = {0};
    const Onnx__TypeProto *type = proto->type;
    if (type == NULL || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        type->tensor_type == NULL ||
        type->tensor_type->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
        return input_fail(o, entry->name, "export the model in float32",
                          "only tensors of float32 are supported");
    }
    int rc = read_input_shape(o, entry->name, type->tensor_type->shape, &shape);
    if (rc != 0) {
        return rc;
    }
    entry->value = fnl_graph_add_input(o->g, entry->name, FNL_F32, &shape, o->err);
    return entry->value < 0 ? entry->value : 0;
}

static int read_inputs(struct fnl__onnx *o)
{
    int count = 0;
    for (size_t i = 0; i < o->proto->n_input; i++) {
        const char *name = o->proto->input[i]->name;
        struct fnl__onnx_name *entry = name != NULL ? fnl__onnx_find(o, name) : NULL;
        if (entry == NULL) {
            return FNL_FAIL(o->err, FORMAT, NULL, "%s: input %zu has no name", o->file, i);
        }
        if (entry->kind == FNL__ONNX_INPUT) {
            int rc = ++count > FNL_MAX_ONNX_ENTRIES
                         ? FNL_FAIL(o->err, LIMIT, NULL, "%s: more than %d inputs", o->file,
                                    FNL_MAX_ONNX_ENTRIES)
                         : add_input(o, o->proto->input[i], entry);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* ---- outputs, metadata ---- */

static int read_outputs(struct fnl__onnx *o)
{
    for (size_t i = 0; i < o->proto->n_output; i++) {
        const char *name = o->proto->output[i]->name;
        const struct fnl__onnx_name *entry = name != NULL ? fnl__onnx_find(o, name) : NULL;
        if (entry != NULL && entry->ints != NULL) {
            return FNL_FAIL(o->err, UNSUPPORTED, "remove it from the model's outputs",
                            "%s: output \"%s\" is made from shapes", o->file, name);
        }
        if (entry == NULL || entry->value < 0 || entry->kind != FNL__ONNX_OUTPUT) {
            return FNL_FAIL(o->err, FORMAT, NULL, "%s: no node makes output \"%s\"", o->file,
                            name != NULL ? name : "");
        }
        int rc = fnl_graph_add_output(o->g, entry->value, o->err);
        if (rc != 0) {
            return rc;
        }
    }
    if (o->proto->n_output == 0) {
        return FNL_FAIL(o->err, FORMAT, NULL, "%s: it has no output", o->file);
    }
    return 0;
}

/* Parameters that are not trained, one name a line: the file format cannot say it otherwise. */
static int read_frozen(struct fnl__onnx *o, const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        char *name = fnl_arena_strndup(&o->arena, text, size);
        if (name == NULL) {
            return FNL_FAIL(o->err, NOMEM, NULL, "%s: out of memory", o->file);
        }
        int v = fnl_graph_find_value(o->g, name);
        if (v >= 0 && fnl_graph_value(o->g, v)->kind == FNL_VALUE_PARAM) {
            fnl_graph_set_trainable(o->g, v, false);
        }
        text += size + (text[size] == '\n' ? 1 : 0);
    }
    return 0;
}

static int read_meta(struct fnl__onnx *o)
{
    for (size_t i = 0; i < o->model->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *e = o->model->metadata_props[i];
        const char *text = e->value != NULL ? e->value : "";
        if (e->key == NULL) {
            continue;
        }
        int rc = strcmp(e->key, FNL__META_FROZEN) == 0
                     ? read_frozen(o, text)
                     : fnl_graph_set_meta(o->g, e->key, text, o->err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- all of it ---- */

static int read_graph(struct fnl__onnx *o)
{
    int rc = read_opset(o);
    rc = rc != 0 ? rc : check_model(o);
    rc = rc != 0 ? rc : fnl__onnx_names(o);
    rc = rc != 0 ? rc : fnl__onnx_fuse(o);
    rc = rc != 0 ? rc : fnl_graph_create(&o->g, o->err);
    rc = rc != 0 ? rc : read_inputs(o);
    for (size_t i = 0; rc == 0 && i < o->proto->n_node; i++) {
        rc = fnl__onnx_read_node(o, (int)i);
    }
    rc = rc != 0 ? rc : read_outputs(o);
    return rc != 0 ? rc : read_meta(o);
}

int fnl_onnx_parse(const char *name, const void *data, size_t size, const char *model_dir,
                   struct fnl_graph **ret_graph, struct fnl_error *err)
{
    if (size > FNL_MAX_ONNX_BYTES) {
        return FNL_FAIL(err, LIMIT, "keep the weights in a file of their own",
                        "%s: %zu bytes; a model file has at most 2 GiB", name, size);
    }
    int rc = fnl__onnx_scan(name, data, size, err);
    if (rc != 0) {
        return rc;
    }
    bool failed = false;
    ProtobufCAllocator allocator = {allocate, release, &failed};
    Onnx__ModelProto *model = onnx__model_proto__unpack(&allocator, size, data);
    if (model == NULL) {
        return failed
                   ? FNL_FAIL(err, NOMEM, NULL, "%s: no memory for %zu bytes", name, size)
                   : FNL_FAIL(err, FORMAT, "is it an ONNX model?", "%s: cannot be decoded", name);
    }
    struct fnl__onnx o = {
        .file = name, .model_dir = model_dir, .model = model, .proto = model->graph, .err = err};
    fnl_arena_init(&o.arena, FNL_MAX_ONNX_TABLE_BYTES);
    rc = read_graph(&o);
    fnl_arena_free(&o.arena);
    onnx__model_proto__free_unpacked(model, &allocator);
    if (rc != 0) {
        fnl_graph_free(o.g);
        return rc;
    }
    *ret_graph = o.g;
    return 0;
}

int fnl_onnx_load(const char *path, struct fnl_graph **ret_graph, struct fnl_error *err)
{
    char *data = NULL;
    size_t size = 0;
    int rc = fnl_file_read(path, FNL_MAX_ONNX_BYTES, &data, &size, err);
    if (rc != 0) {
        return rc;
    }
    char *folder = fnl_path_dirname(path);
    rc = folder == NULL ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                        : fnl_onnx_parse(path, data, size, folder, ret_graph, err);
    fnl_free(folder);
    fnl_free(data);
    return rc;
}
