/* evaluate.c - a finished model on a data set.
 *
 * Models of ours take raw values (normalisation is in their graph) and say in their metadata which
 * loss and which batch they were evaluated with; so the numbers are those of training's own
 * evaluation, bit for bit. Models of others get what the configuration says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/host.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "train/export.h"
#include "train/network.h"
#include "train/run_folder.h"
#include "train/train.h"

const char *const fnl_evaluate_splits[] = {"test", "validation", "train", NULL};

struct evaluation_job {
    const struct fnl_evaluate_request *request;
    struct fnl_train_config *config;
    struct fnl_splits *splits;
    const struct fnl_dataset *data;
    struct fnl_graph *model;
    enum fnl_loss loss;
    size_t batch;
    struct fnl_training_graph graph;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec *exec;
    struct fnl__feeder feeder;
    struct fnl_loader *loader;
    struct fnl_train_choice device; /* never auto */
};

static void job_free(struct evaluation_job *j)
{
    fnl_loader_free(j->loader);
    fnl__feeder_free(&j->feeder);
    fnl_exec_free(j->exec);
    fnl_pool_free(j->pool);
    fnl_params_free(j->params);
    fnl_graph_free(j->graph.graph);
    fnl_graph_free(j->model);
    fnl_splits_free(j->splits);
    fnl_train_config_free(j->config);
}

static int load_inputs(struct evaluation_job *j, struct fnl_error *err)
{
    const struct fnl_evaluate_request *q = j->request;
    char *directory = NULL;
    int rc = fnl__run_data_directory(q->config, &directory, err);
    rc = rc != 0 ? rc
                 : fnl_train_config_load(q->config, directory, q->assignments, q->assignment_count,
                                         true, &j->config, err);
    fnl_free(directory);
    rc = rc != 0 ? rc : fnl_onnx_load(q->model, &j->model, err);
    rc = rc != 0 ? rc
                 : fnl_data_load(j->config->data, j->config->directory, (uint64_t)j->config->seed,
                                 &j->splits, err);
    if (rc != 0) {
        return rc;
    }
    const struct fnl_dataset *split[] = {&j->splits->test, &j->splits->validation,
                                         &j->splits->train};
    j->data = split[q->split];
    if (j->data->count == 0) {
        return FNL_FAIL(err, CONFIG, "choose another with --split", "%s: there are no %s data",
                        q->config, fnl_evaluate_splits[q->split]);
    }
    return 0;
}

/* Loss and batch: the model's own, else the configuration's, else what goes with the targets. */
static int choose_setting(struct evaluation_job *j, struct fnl_error *err)
{
    const struct fnl_train_config *c = j->config;
    const char *loss = fnl_graph_meta(j->model, FNL_META_LOSS);
    const char *batch = fnl_graph_meta(j->model, FNL_META_BATCH);
    bool says_loss = c->train_node != NULL && c->train_node->kind == FNL_YAML_MAP &&
                     fnl_yaml_get(c->train_node, "loss") != NULL;
    j->loss = j->data->target_kind == FNL_TARGET_CLASS || says_loss ? (enum fnl_loss)c->loss
                                                                    : FNL_LOSS_MEAN_SQUARED_ERROR;
    if (loss != NULL) {
        int i = 0;
        while (fnl_loss_names[i] != NULL && strcmp(fnl_loss_names[i], loss) != 0) {
            i++;
        }
        if (fnl_loss_names[i] == NULL) {
            return FNL_FAIL(err, UNSUPPORTED, "use a newer fournil", "%s: %s: unknown loss \"%s\"",
                            j->request->model, FNL_META_LOSS, loss);
        }
        j->loss = (enum fnl_loss)i;
    }
    int64_t rows = c->evaluation_batch;
    if (j->request->batch > 0) {
        rows = j->request->batch;
    } else if (batch != NULL &&
               (!fnl_parse_int(batch, &rows) || rows < 1 || rows > FNL_MAX_BATCH)) {
        return FNL_FAIL(err, FORMAT, "give --batch", "%s: %s: expected 1 to %d, got \"%.40s\"",
                        j->request->model, FNL_META_BATCH, FNL_MAX_BATCH, batch);
    }
    j->batch = (size_t)rows;
    return 0;
}

static int make_plan(struct evaluation_job *j, struct fnl_error *err)
{
    const struct fnl_evaluate_request *q = j->request;
    int rc = fnl_model_training_graph(j->model, j->loss, false, &j->graph, err);
    rc = rc != 0 ? rc : fnl__feeder_init(&j->feeder, &j->graph, j->loss, j->data, j->batch, err);
    rc = rc != 0 ? rc
                 : fnl_pool_create(q->threads > 0 ? q->threads : fnl_host_cpus(), &j->pool, err);
    rc = rc != 0 ? rc : fnl_params_create(j->graph.graph, j->device.name, NULL, &j->params, err);
    return rc != 0 ? rc
                   : fnl__network_eval_plan(&j->graph, j->params, j->pool, j->batch, &j->exec, err);
}

static int make_loader(struct evaluation_job *j, struct fnl_error *err)
{
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = j->batch;
    o.normalize = fnl_graph_meta(j->model, FNL_META_NORMALIZATION) == NULL;
    return fnl_loader_create(j->config->data, j->splits, j->data, &o, &j->loader, err);
}

static int copy_names(const struct fnl_dataset *data, struct fnl_evaluate_result *ret,
                      struct fnl_error *err)
{
    if (data->class_names == NULL || ret->evaluation.classes != data->class_count) {
        return 0;
    }
    ret->class_names = fnl_calloc((size_t)data->class_count + 1, sizeof *ret->class_names);
    for (int i = 0; ret->class_names != NULL && i < data->class_count; i++) {
        ret->class_names[i] = fnl_strdup(data->class_names[i]);
        if (ret->class_names[i] == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for class names");
        }
    }
    return ret->class_names == NULL ? FNL_FAIL(err, NOMEM, NULL, "no memory for class names") : 0;
}

int fnl_evaluate(const struct fnl_evaluate_request *request, struct fnl_evaluate_result *ret,
                 struct fnl_error *err)
{
    struct evaluation_job j = {.request = request};
    struct fnl_evaluate_result result = {0};
    uint64_t begin_ns = fnl_clock_ns();
    char why[FNL_TRAIN_WHY];
    j.device = request->device;
    fnl_train_device_choose(&j.device, why, sizeof why);
    int rc = load_inputs(&j, err);
    rc = rc != 0 ? rc : choose_setting(&j, err);
    rc = rc != 0 ? rc : make_plan(&j, err);
    rc = rc != 0 ? rc : make_loader(&j, err);
    struct fnl__evaluator evaluator = {
        .exec = j.exec, .feeder = &j.feeder, .stop = request->stop, .stop_arg = request->stop_arg};
    rc = rc != 0 ? rc
                 : fnl__evaluate(&evaluator, j.loader, j.data->class_count, true,
                                 &result.evaluation, err);
    rc = rc != 0 ? rc : copy_names(j.data, &result, err);
    if (rc == 0) {
        result.loss = fnl_loss_names[j.loss];
        (void)snprintf(result.device, sizeof result.device, "%s", j.device.name);
        result.seconds = (double)(fnl_clock_ns() - begin_ns) * 1e-9;
        *ret = result;
    } else {
        fnl_evaluate_result_free(&result);
    }
    job_free(&j);
    return rc;
}

void fnl_evaluate_result_free(struct fnl_evaluate_result *result)
{
    fnl_evaluation_free(&result->evaluation);
    for (int i = 0; result->class_names != NULL && result->class_names[i] != NULL; i++) {
        fnl_free(result->class_names[i]);
    }
    fnl_free(result->class_names);
    result->class_names = NULL;
}
