/* predictor.c - fournil/predictor.h over the engine: one graph, its parameters, one plan.
 *
 * Everything that can be wrong with a model is found when it is loaded; what a run can still refuse
 * is its own arguments. Invariants:
 *   1. Every input and output is float32 and begins with the batch: its rows lie row_size apart.
 *   2. part_input has room for a pointer an input, so a run allocates nothing.
 * Cost of a run: rows / batch runs of the plan, and a copy of each output that is wanted. */
#include "fournil/predictor.h"

#include "base/host.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/pool.h"
#include "engine/exec.h"
#include "model/model.h"

_Static_assert(FNL_TENSOR_MAX_RANK == FNL_MAX_RANK, "a public shape holds every shape");

struct fnl_predictor {
    struct fnl_graph *graph;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec *exec;
    size_t batch;
    const void **part_input; /* of the rows computed now */
};

/* ---- what the model takes and gives ---- */

static void describe(const struct fnl_value *v, struct fnl_tensor_info *ret)
{
    *ret = (struct fnl_tensor_info){.name = v->name, .rank = v->shape.rank};
    for (int d = 0; d < v->shape.rank; d++) {
        ret->dim[d] = v->shape.dim[d];
    }
    ret->row_size = (size_t)fnl_shape_count(&v->shape, 1);
}

int fnl_predictor_input_count(const struct fnl_predictor *predictor)
{
    return fnl_graph_input_count(predictor->graph);
}

int fnl_predictor_output_count(const struct fnl_predictor *predictor)
{
    return fnl_graph_output_count(predictor->graph);
}

int fnl_predictor_input(const struct fnl_predictor *predictor, int index,
                        struct fnl_tensor_info *ret_info, struct fnl_error *err)
{
    int count = fnl_graph_input_count(predictor->graph);
    if (index < 0 || index >= count) {
        return FNL_FAIL(err, INVALID, NULL, "input %d: the model has %d, counted from 0", index,
                        count);
    }
    describe(fnl_graph_value(predictor->graph, fnl_graph_input(predictor->graph, index)), ret_info);
    return 0;
}

int fnl_predictor_output(const struct fnl_predictor *predictor, int index,
                         struct fnl_tensor_info *ret_info, struct fnl_error *err)
{
    int count = fnl_graph_output_count(predictor->graph);
    if (index < 0 || index >= count) {
        return FNL_FAIL(err, INVALID, NULL, "output %d: the model has %d, counted from 0", index,
                        count);
    }
    describe(fnl_graph_value(predictor->graph, fnl_graph_output(predictor->graph, index)),
             ret_info);
    return 0;
}

const char *fnl_predictor_metadata(const struct fnl_predictor *predictor, const char *key)
{
    return key != NULL ? fnl_graph_meta(predictor->graph, key) : NULL;
}

int fnl_predictor_threads(const struct fnl_predictor *predictor)
{
    return fnl_pool_threads(predictor->pool);
}

/* ---- loading ---- */

/* Rows are cut from inputs and put together in outputs, so each must have them. */
static int check_tensor(const char *name, const char *what, const struct fnl_value *v,
                        struct fnl_error *err)
{
    char shape[FNL_SHAPE_TEXT];
    if (v->dtype != FNL_F32) {
        return FNL_FAIL(err, UNSUPPORTED, "export the model with float32 inputs and outputs",
                        "%s: %s \"%s\" is %s, not float32", name, what, v->name,
                        fnl_dtype_name(v->dtype));
    }
    if (v->shape.rank < 1 || v->shape.dim[0] != FNL_DIM_BATCH) {
        return FNL_FAIL(err, UNSUPPORTED, "remove it from the model's outputs",
                        "%s: %s \"%s\" %s does not have the batch in front", name, what, v->name,
                        fnl_shape_text(&v->shape, shape));
    }
    return 0;
}

static int check_model(const char *name, const struct fnl_graph *g, struct fnl_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < fnl_graph_input_count(g); i++) {
        rc = check_tensor(name, "input", fnl_graph_value(g, fnl_graph_input(g, i)), err);
    }
    for (int i = 0; rc == 0 && i < fnl_graph_output_count(g); i++) {
        const struct fnl_value *v = fnl_graph_value(g, fnl_graph_output(g, i));
        rc = check_tensor(name, "output", v, err);
        if (rc == 0 && v->kind != FNL_VALUE_NODE) {
            rc = FNL_FAIL(err, UNSUPPORTED, "remove it from the model's outputs",
                          "%s: output \"%s\" is an input, not computed", name, v->name);
        }
    }
    return rc;
}

static int check_options(const struct fnl_predictor_options *o, struct fnl_error *err)
{
    if (o->version != 1) {
        return FNL_FAIL(err, INVALID, "start from FNL_PREDICTOR_OPTIONS_INIT",
                        "options of version %d, expected 1", o->version);
    }
    if (o->threads < 0 || o->threads > FNL_MAX_THREADS) {
        return FNL_FAIL(err, INVALID, NULL, "threads: expected 0 to %d, got %d", FNL_MAX_THREADS,
                        o->threads);
    }
    if (o->batch < 1 || o->batch > FNL_MAX_BATCH) {
        return FNL_FAIL(err, INVALID, NULL, "batch: expected 1 to %d, got %zu", FNL_MAX_BATCH,
                        o->batch);
    }
    return 0;
}

/* Takes the graph, also when it fails. */
static int create(const char *name, struct fnl_graph *graph, const struct fnl_predictor_options *o,
                  struct fnl_predictor **ret_predictor, struct fnl_error *err)
{
    struct fnl_predictor *p = fnl_calloc(1, sizeof *p);
    if (p == NULL) {
        fnl_graph_free(graph);
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    p->graph = graph;
    p->batch = o->batch;
    struct fnl_exec_options plan = FNL_EXEC_OPTIONS_INIT;
    plan.batch = o->batch;
    int threads = o->threads > 0 ? o->threads : fnl_host_cpus();
    plan.shards = threads < FNL_MAX_SHARDS ? threads : FNL_MAX_SHARDS;
    plan.shards = (size_t)plan.shards < o->batch ? plan.shards : (int)o->batch;
    int rc = check_model(name, graph, err);
    p->part_input = fnl_calloc((size_t)fnl_graph_input_count(graph) + 1, sizeof *p->part_input);
    if (rc == 0 && p->part_input == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    rc = rc != 0 ? rc : fnl_pool_create(threads, &p->pool, err);
    rc = rc != 0 ? rc : fnl_params_create(graph, "cpu", NULL, &p->params, err);
    rc = rc != 0 ? rc : fnl_exec_create(graph, p->params, p->pool, &plan, &p->exec, err);
    if (rc != 0) {
        fnl_predictor_free(p);
        return rc;
    }
    *ret_predictor = p;
    return 0;
}

static const struct fnl_predictor_options defaults = FNL_PREDICTOR_OPTIONS_INIT;

int fnl_predictor_load(const char *path, const struct fnl_predictor_options *options,
                       struct fnl_predictor **ret_predictor, struct fnl_error *err)
{
    const struct fnl_predictor_options *o = options != NULL ? options : &defaults;
    struct fnl_graph *graph = NULL;
    int rc = check_options(o, err);
    if (rc == 0 && path == NULL) {
        rc = FNL_FAIL(err, INVALID, NULL, "no path of a model given");
    }
    rc = rc != 0 ? rc : fnl_onnx_load(path, &graph, err);
    return rc != 0 ? rc : create(path, graph, o, ret_predictor, err);
}

int fnl_predictor_parse(const char *name, const void *data, size_t size,
                        const struct fnl_predictor_options *options,
                        struct fnl_predictor **ret_predictor, struct fnl_error *err)
{
    const struct fnl_predictor_options *o = options != NULL ? options : &defaults;
    const char *called = name != NULL ? name : "model";
    struct fnl_graph *graph = NULL;
    int rc = check_options(o, err);
    if (rc == 0 && data == NULL) {
        rc = FNL_FAIL(err, INVALID, NULL, "%s: no bytes given", called);
    }
    rc = rc != 0 ? rc : fnl_onnx_parse(called, data, size, NULL, &graph, err);
    return rc != 0 ? rc : create(called, graph, o, ret_predictor, err);
}

void fnl_predictor_free(struct fnl_predictor *predictor)
{
    if (predictor == NULL) {
        return;
    }
    fnl_exec_free(predictor->exec);
    fnl_params_free(predictor->params);
    fnl_pool_free(predictor->pool);
    fnl_graph_free(predictor->graph);
    fnl_free(predictor->part_input);
    fnl_free(predictor);
}

/* ---- running ---- */

static size_t row_size(const struct fnl_graph *g, int value)
{
    return (size_t)fnl_shape_count(&fnl_graph_value(g, value)->shape, 1);
}

/* Rows [first, first + rows), rows <= batch. */
static int run_part(struct fnl_predictor *p, size_t first, size_t rows, const float *const *inputs,
                    float *const *outputs, struct fnl_error *err)
{
    const struct fnl_graph *g = p->graph;
    for (int i = 0; i < fnl_graph_input_count(g); i++) {
        p->part_input[i] = inputs[i] + first * row_size(g, fnl_graph_input(g, i));
    }
    struct fnl_feed feed = {.rows = rows, .input = p->part_input};
    int rc = fnl_exec_run(p->exec, &feed, err);
    for (int i = 0; rc == 0 && i < fnl_graph_output_count(g); i++) {
        int value = fnl_graph_output(g, i);
        if (outputs[i] != NULL) {
            rc = fnl_exec_read(p->exec, value, outputs[i] + first * row_size(g, value), err);
        }
    }
    return rc;
}

int fnl_predictor_run(struct fnl_predictor *predictor, size_t rows, const float *const *inputs,
                      float *const *outputs, struct fnl_error *err)
{
    const struct fnl_graph *g = predictor->graph;
    if (outputs == NULL || (inputs == NULL && fnl_graph_input_count(g) > 0)) {
        return FNL_FAIL(err, INVALID, NULL, "no %s given", outputs == NULL ? "outputs" : "inputs");
    }
    for (int i = 0; i < fnl_graph_input_count(g); i++) {
        if (inputs[i] == NULL) {
            return FNL_FAIL(err, INVALID, NULL, "no data for input \"%s\"",
                            fnl_graph_value(g, fnl_graph_input(g, i))->name);
        }
    }
    int rc = 0;
    for (size_t first = 0; rc == 0 && first < rows; first += predictor->batch) {
        size_t left = rows - first;
        rc = run_part(predictor, first, left < predictor->batch ? left : predictor->batch, inputs,
                      outputs, err);
    }
    return rc;
}
