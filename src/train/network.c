/* network.c - from the list of layers to two plans over one set of parameters.
 *
 * Legal order: build, prepare, then anything; free at any point (a zeroed struct is free). */
#include "train/network.h"

#include "train/evaluation.h"

/* Parts of a batch under `deterministic`: enough for the CPUs of a usual machine; each part has the
 * rows that a thread would have there. */
#define DETERMINISTIC_SHARDS 8

/* Units that the last layer must have; 0: what fits is checked by fnl_targets_init. */
static int expected_units(const struct fnl_train_config *config, const struct fnl_dataset *data)
{
    bool categorical = config->loss == FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY ||
                       config->loss == FNL_LOSS_CATEGORICAL_CROSSENTROPY;
    return categorical && data->target_kind == FNL_TARGET_CLASS ? data->class_count : 0;
}

int fnl__network_build(struct fnl__network *n, const struct fnl_train_config *config,
                       const struct fnl_dataset *data, struct fnl_error *err)
{
    n->backend = config->device.kind == FNL_TRAIN_AUTO ? "cpu" : config->device.name;
    int rc = fnl_model_from_layers(config->doc, config->layers, &data->sample,
                                   expected_units(config, data), (uint64_t)config->seed,
                                   &n->inference, err);
    enum fnl_loss loss = (enum fnl_loss)config->loss;
    rc = rc != 0 ? rc : fnl_model_training_graph(n->inference, loss, true, &n->training, err);
    rc = rc != 0 ? rc : fnl_model_training_graph(n->inference, loss, false, &n->evaluation, err);
    return rc;
}

int fnl__network_shards(const struct fnl_train_config *config, int threads)
{
    int shards = config->deterministic ? DETERMINISTIC_SHARDS : threads;
    return config->batch < shards ? (int)config->batch : shards;
}

int fnl__network_train_plan(const struct fnl__network *n, const struct fnl_train_config *config,
                            struct fnl_params *params, struct fnl_pool *pool, int shards,
                            struct fnl_exec **ret_exec, struct fnl_error *err)
{
    struct fnl_exec_options o = FNL_EXEC_OPTIONS_INIT;
    o.batch = (size_t)config->batch;
    o.shards = shards;
    o.training = true;
    o.precision = (enum fnl_precision)config->precision;
    o.seed = (uint64_t)config->seed;
    o.loss_value = n->training.loss;
    o.scores_value = n->training.scores;
    return fnl_exec_create(n->training.graph, params, pool, &o, ret_exec, err);
}

int fnl__network_eval_plan(const struct fnl_training_graph *graph, struct fnl_params *params,
                           struct fnl_pool *pool, size_t batch, struct fnl_exec **ret_exec,
                           struct fnl_error *err)
{
    struct fnl_exec_options o = FNL_EXEC_OPTIONS_INIT;
    o.batch = batch;
    o.shards = batch < FNL_EVALUATION_SHARDS ? (int)batch : FNL_EVALUATION_SHARDS;
    o.loss_value = graph->loss;
    o.scores_value = graph->scores;
    return fnl_exec_create(graph->graph, params, pool, &o, ret_exec, err);
}

static size_t count_parameters(const struct fnl_params *params)
{
    size_t sum = 0;
    for (int i = 0; i < fnl_params_count(params); i++) {
        sum += fnl_params_trainable(params, i) ? fnl_params_size(params, i) : 0;
    }
    return sum;
}

int fnl__network_prepare(struct fnl__network *n, const struct fnl_train_config *config,
                         const struct fnl_dataset *data, int threads, struct fnl_error *err)
{
    enum fnl_loss loss = (enum fnl_loss)config->loss;
    size_t eval_batch = (size_t)config->evaluation_batch;
    n->threads = threads;
    n->shards = fnl__network_shards(config, threads);
    int rc =
        fnl__feeder_init(&n->train_feeder, &n->training, loss, data, (size_t)config->batch, err);
    rc = rc != 0 ? rc
                 : fnl__feeder_init(&n->eval_feeder, &n->evaluation, loss, data, eval_batch, err);
    rc = rc != 0 ? rc : fnl_pool_create(threads, &n->pool, err);
    rc = rc != 0 ? rc
                 : fnl_params_create(n->training.graph, n->backend, &config->optimizer, &n->params,
                                     err);
    rc = rc != 0 ? rc
                 : fnl__network_train_plan(n, config, n->params, n->pool, n->shards, &n->train_exec,
                                           err);
    rc = rc != 0 ? rc
                 : fnl__network_eval_plan(&n->evaluation, n->params, n->pool, eval_batch,
                                          &n->eval_exec, err);
    if (rc == 0) {
        n->parameter_count = count_parameters(n->params);
    }
    return rc;
}

void fnl__network_free(struct fnl__network *n)
{
    fnl_exec_free(n->eval_exec);
    fnl_exec_free(n->train_exec);
    fnl__feeder_free(&n->eval_feeder);
    fnl__feeder_free(&n->train_feeder);
    fnl_params_free(n->params);
    fnl_pool_free(n->pool);
    fnl_graph_free(n->evaluation.graph);
    fnl_graph_free(n->training.graph);
    fnl_graph_free(n->inference);
    *n = (struct fnl__network){0};
}
