/* network.h - the graphs, parameters, threads and plans of one run. */
#ifndef FNL_TRAIN_NETWORK_H
#define FNL_TRAIN_NETWORK_H

#include "data/data.h"
#include "engine/exec.h"
#include "model/model.h"
#include "train/config.h"
#include "train/feed.h"

struct fnl__network {
    struct fnl_graph *inference;
    struct fnl_training_graph training, evaluation;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec *train_exec, *eval_exec; /* share params */
    struct fnl__feeder train_feeder, eval_feeder;
    const char *backend; /* "cpu", "opencl:0"; borrowed from the configuration */
    int threads, shards;
    size_t parameter_count; /* trainable numbers */
};

/* The graphs, with fresh weights from the seed. */
int fnl__network_build(struct fnl__network *n, const struct fnl_train_config *config,
                       const struct fnl_dataset *data, struct fnl_error *err);

/* Parts of a training batch. Results depend on it; on the number of threads only through it. */
int fnl__network_shards(const struct fnl_train_config *config, int threads);

/* A training plan of these parameters on this pool; seed: of Dropout. */
int fnl__network_train_plan(const struct fnl__network *n, const struct fnl_train_config *config,
                            struct fnl_params *params, struct fnl_pool *pool, int shards,
                            struct fnl_exec **ret_exec, struct fnl_error *err);

/* Parameters, pool and both plans, for `threads` threads. */
int fnl__network_prepare(struct fnl__network *n, const struct fnl_train_config *config,
                         const struct fnl_dataset *data, int threads, struct fnl_error *err);

/* The plan of an evaluation graph; always float32. */
int fnl__network_eval_plan(const struct fnl_training_graph *graph, struct fnl_params *params,
                           struct fnl_pool *pool, size_t batch, struct fnl_exec **ret_exec,
                           struct fnl_error *err);

void fnl__network_free(struct fnl__network *n);

#endif
