/* model_check.h - what the tests of src/model share: models from text, comparing graphs, running
 * them on the reference back end. */
#ifndef TESTS_MODEL_MODEL_CHECK_H
#define TESTS_MODEL_MODEL_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/exec.h"
#include "model/model.h"

/* Builds the list under "model:" of this text. */
static inline int build_text(const char *yaml, const struct fnl_shape *sample, int classes,
                             uint64_t seed, struct fnl_graph **ret, struct fnl_error *err)
{
    struct fnl_yaml *doc = NULL;
    int rc = fnl_yaml_parse("net.yaml", yaml, strlen(yaml), &doc, err);
    if (rc != 0) {
        return rc;
    }
    rc = fnl_model_from_layers(doc, fnl_yaml_get(fnl_yaml_root(doc), "model"), sample, classes,
                               seed, ret, err);
    fnl_yaml_free(doc);
    return rc;
}

static inline struct fnl_graph *must_build(const char *yaml, const struct fnl_shape *sample)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = NULL;
    int rc = build_text(yaml, sample, 0, 7, &g, &err);
    if (rc != 0) {
        print_message("%s (%s)\n", err.message, err.hint);
    }
    assert_int_equal(rc, 0);
    return g;
}

static inline const struct fnl_value *value_named(const struct fnl_graph *g, const char *name)
{
    int v = fnl_graph_find_value(g, name);
    if (v < 0) {
        print_message("no value \"%s\"\n", name);
    }
    assert_true(v >= 0);
    return fnl_graph_value(g, v);
}

static inline const struct fnl_shape *output_shape(const struct fnl_graph *g)
{
    return &fnl_graph_value(g, fnl_graph_output(g, 0))->shape;
}

static inline void assert_shape(const struct fnl_shape *s, const char *wanted)
{
    char text[FNL_SHAPE_TEXT];
    assert_string_equal(fnl_shape_text(s, text), wanted);
}

/* All the same but for the indices of values: nodes in order, names, attributes, data, metadata. */
static inline void assert_same_graph(const struct fnl_graph *a, const struct fnl_graph *b)
{
    assert_int_equal(fnl_graph_node_count(a), fnl_graph_node_count(b));
    assert_int_equal(fnl_graph_value_count(a), fnl_graph_value_count(b));
    assert_int_equal(fnl_graph_output_count(a), fnl_graph_output_count(b));
    assert_int_equal(fnl_graph_input_count(a), fnl_graph_input_count(b));
    assert_int_equal(fnl_graph_meta_count(a), fnl_graph_meta_count(b));
    for (int v = 0; v < fnl_graph_value_count(a); v++) {
        const struct fnl_value *x = fnl_graph_value(a, v), *y = value_named(b, x->name);
        assert_int_equal(x->kind, y->kind);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->trainable, y->trainable);
        assert_true(fnl_shape_equal(&x->shape, &y->shape));
        if (x->data != NULL) {
            size_t size = (size_t)fnl_shape_count(&x->shape, 1) * fnl_dtype_size(x->dtype);
            assert_memory_equal(x->data, y->data, size);
        }
    }
    for (int i = 0; i < fnl_graph_node_count(a); i++) {
        const struct fnl_node *x = fnl_graph_node(a, i), *y = fnl_graph_node(b, i);
        assert_int_equal(x->op, y->op);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->input_count, y->input_count);
        assert_int_equal(x->output_count, y->output_count);
        for (int k = 0; k < x->input_count; k++) {
            assert_string_equal(fnl_graph_value(a, x->input[k])->name,
                                fnl_graph_value(b, y->input[k])->name);
        }
        assert_memory_equal(&x->attrs, &y->attrs, sizeof x->attrs);
    }
    for (int i = 0; i < fnl_graph_output_count(a); i++) {
        assert_string_equal(fnl_graph_value(a, fnl_graph_output(a, i))->name,
                            fnl_graph_value(b, fnl_graph_output(b, i))->name);
    }
    for (int i = 0; i < fnl_graph_meta_count(a); i++) {
        const char *key, *text;
        fnl_graph_meta_at(a, i, &key, &text);
        assert_string_equal(fnl_graph_meta(b, key), text);
    }
}

/* Elements of rows rows of a value. */
static inline size_t elements(const struct fnl_graph *g, int value, size_t rows)
{
    return (size_t)fnl_shape_count(&fnl_graph_value(g, value)->shape, (int64_t)rows);
}

/* Runs the graph on the reference back end; the first output's rows into y. Images in ONNX order.
 * Returns 0 or a code. */
static inline int run_ref_inputs(const struct fnl_graph *g, const void *const *inputs, size_t rows,
                                 float *y, struct fnl_error *err)
{
    struct fnl_params *params = NULL;
    struct fnl_pool *pool = NULL;
    struct fnl_exec *exec = NULL;
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    options.batch = rows;
    options.shards = 1;
    struct fnl_feed feed = {rows, inputs, false};
    int rc = fnl_params_create(g, "ref", NULL, &params, err);
    rc = rc != 0 ? rc : fnl_pool_create(1, &pool, err);
    rc = rc != 0 ? rc : fnl_exec_create(g, params, pool, &options, &exec, err);
    rc = rc != 0 ? rc : fnl_exec_run(exec, &feed, err);
    rc = rc != 0 ? rc : fnl_exec_read(exec, fnl_graph_output(g, 0), y, err);
    fnl_exec_free(exec);
    fnl_pool_free(pool);
    fnl_params_free(params);
    return rc;
}

static inline int run_ref(const struct fnl_graph *g, const float *x, size_t rows, float *y,
                          struct fnl_error *err)
{
    const void *inputs[1] = {x};
    return run_ref_inputs(g, inputs, rows, y, err);
}

static inline void fill_random(float *x, size_t count, uint32_t stream)
{
    struct fnl_rng rng;
    fnl_rng_init(&rng, 3, FNL_RNG_TEST, stream);
    for (size_t i = 0; i < count; i++) {
        x[i] = fnl_rng_normal(&rng);
    }
}

/* A folder of the test's own. */
static inline void make_folder(char path[64])
{
    snprintf(path, 64, "/tmp/fournil-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

#endif
