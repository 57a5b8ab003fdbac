/* peer_tool.c - writes networks as ONNX files, with inputs and what we compute from them, for
 * tests/peers/onnxruntime_check.py.
 *
 *   model_peer_tool FOLDER
 *
 * For each network below: FOLDER/<name>.onnx, and <name>.f32: int32 rows, inputs and outputs of a
 * row, then the inputs and the outputs of the reference and of the CPU back end, as float32. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/exec.h"
#include "model/model.h"

#define ROWS 5

static const struct network {
    const char *name, *layers;
    struct fnl_shape sample;
    bool normalize;
} networks[] = {
    {"mlp", "[flatten, {dense: {units: 16, activation: relu}}, {dense: 10}]", {3, {1, 6, 6}}, true},
    {"cnn",
     "[{conv2d: {filters: 8, kernel_size: 3, activation: relu}}, max_pooling2d, "
     "{conv2d: {filters: 6, kernel_size: 3, padding: same, strides: 2, groups: 2}}, relu, flatten, "
     "{dense: {units: 5, activation: softmax}}]",
     {3, {3, 12, 12}},
     true},
    {"norms",
     "[{conv2d: {filters: 4, kernel_size: 3}}, batch_normalization, {leaky_relu: 0.1}, "
     "{average_pooling2d: {pool_size: 3, strides: 2, padding: same}}, flatten, "
     "layer_normalization, "
     "{dropout: 0.4}, {dense: 3}, {batch_normalization: {center: false}}]",
     {3, {2, 8, 8}},
     false},
    {"gelu",
     "[{dense: {units: 8, activation: gelu}}, {gelu: {approximate: true}}, {dense: 4}]",
     {1, {7}},
     true},
    {"residual",
     "[{residual: {layers: [{conv2d: {filters: 4, kernel_size: 3, padding: same, strides: 2}}, "
     "relu], shortcut: [{conv2d: {filters: 4, kernel_size: 1, strides: 2}}], activation: relu}}, "
     "{residual: [{conv2d: {filters: 4, kernel_size: 3, padding: same}}, tanh]}, "
     "global_average_pooling2d, {dense: {units: 1, activation: sigmoid}}]",
     {3, {3, 8, 8}},
     false},
    {"windows",
     "[{conv2d: {filters: 4, kernel_size: [3, 2], padding: [1, 0, 2, 3], dilation_rate: 2}}, "
     "{max_pooling2d: {pool_size: 3, strides: 2, padding: same}}, "
     "{average_pooling2d: {pool_size: 2, padding: 1}}, global_max_pooling2d]",
     {3, {2, 9, 9}},
     true},
};

static int build(const struct network *n, struct fnl_graph **ret, struct fnl_error *err)
{
    struct fnl_yaml *doc = NULL;
    int rc = fnl_yaml_parse(n->name, n->layers, strlen(n->layers), &doc, err);
    if (rc == 0) {
        rc = fnl_model_from_layers(doc, fnl_yaml_root(doc), &n->sample, 0, 11, ret, err);
    }
    fnl_yaml_free(doc);
    return rc;
}

/* Statistics and shifts that are not those of a fresh network. */
static void shake(struct fnl_graph *g)
{
    float data[256];
    for (int v = 0; v < fnl_graph_value_count(g); v++) {
        const struct fnl_value *x = fnl_graph_value(g, v);
        int64_t count = fnl_shape_count(&x->shape, 1);
        if (x->kind != FNL_VALUE_PARAM || x->shape.rank != 1 || count > 256) {
            continue;
        }
        bool variance = strstr(x->name, "running_var") != NULL;
        struct fnl_rng rng;
        fnl_rng_init(&rng, 5, FNL_RNG_TEST, (uint32_t)v);
        for (int64_t i = 0; i < count; i++) {
            data[i] = variance ? 0.5F + fnl_rng_uniform(&rng) : fnl_rng_uniform(&rng) - 0.3F;
        }
        fnl_graph_set_data(g, v, data, NULL);
    }
}

static int run(const struct fnl_graph *g, const char *backend, const float *x, float *y,
               struct fnl_error *err)
{
    struct fnl_params *params = NULL;
    struct fnl_pool *pool = NULL;
    struct fnl_exec *exec = NULL;
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    options.batch = ROWS;
    const void *inputs[1] = {x};
    struct fnl_feed feed = {ROWS, inputs, false};
    int rc = fnl_params_create(g, backend, NULL, &params, err);
    rc = rc != 0 ? rc : fnl_pool_create(1, &pool, err);
    rc = rc != 0 ? rc : fnl_exec_create(g, params, pool, &options, &exec, err);
    rc = rc != 0 ? rc : fnl_exec_run(exec, &feed, err);
    rc = rc != 0 ? rc : fnl_exec_read(exec, fnl_graph_output(g, 0), y, err);
    fnl_exec_free(exec);
    fnl_pool_free(pool);
    fnl_params_free(params);
    return rc;
}

/* The graph that the file holds, normalisation and all, is what is run. */
static int write_values(const struct fnl_graph *g, const char *path, struct fnl_error *err)
{
    int output = fnl_graph_output(g, 0), input = fnl_graph_input(g, 0);
    size_t in = (size_t)fnl_shape_count(&fnl_graph_value(g, input)->shape, ROWS);
    size_t out = (size_t)fnl_shape_count(&fnl_graph_value(g, output)->shape, ROWS);
    int32_t head[3] = {ROWS, (int32_t)(in / ROWS), (int32_t)(out / ROWS)};
    size_t count = in + 2 * out;
    float *values = fnl_malloc(count * sizeof *values);
    if (values == NULL) {
        return FNL_E_NOMEM;
    }
    struct fnl_rng rng;
    fnl_rng_init(&rng, 9, FNL_RNG_TEST, 0);
    for (size_t i = 0; i < in; i++) {
        values[i] = fnl_rng_normal(&rng);
    }
    int rc = run(g, "ref", values, values + in, err);
    rc = rc != 0 ? rc : run(g, "cpu", values, values + in + out, err);
    struct fnl_buf b;
    fnl_buf_init(&b, 1 << 20);
    fnl_buf_append(&b, head, sizeof head);
    fnl_buf_append(&b, values, count * sizeof *values);
    rc = rc != 0 ? rc : fnl_file_write(path, b.data, b.size, err);
    fnl_buf_free(&b);
    fnl_free(values);
    return rc;
}

static int export(const struct network *n, const char *folder, struct fnl_error *err)
{
    static const float mul[3] = {0.5F, 2.0F, 1.25F}, add[3] = {-0.25F, 0.5F, 0.125F};
    char path[1024];
    struct fnl_graph *g = NULL, *back = NULL;
    int rc = build(n, &g, err);
    if (rc != 0) {
        return rc;
    }
    shake(g);
    int channels = n->sample.rank == 1 ? 1 : (int)n->sample.dim[0];
    snprintf(path, sizeof path, "%s/%s.onnx", folder, n->name);
    rc = fnl_graph_set_meta(g, "fournil.classes", "[\"a\", \"b\"]", err);
    rc = rc != 0 ? rc
                 : fnl_onnx_save(g, path, channels, n->normalize ? mul : NULL,
                                 n->normalize ? add : NULL, err);
    rc = rc != 0 ? rc : fnl_onnx_load(path, &back, err);
    snprintf(path, sizeof path, "%s/%s.f32", folder, n->name);
    rc = rc != 0 ? rc : write_values(back, path, err);
    fnl_graph_free(back);
    fnl_graph_free(g);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: model_peer_tool FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        struct fnl_error err = FNL_ERROR_INIT;
        if (export(&networks[i], argv[1], &err) != 0) {
            fprintf(stderr, "%s: %s\n", networks[i].name, err.message);
            return 1;
        }
    }
    return 0;
}
