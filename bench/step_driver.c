/* step_driver.c - the timed side of bench/train_vs_pytorch.py: the training steps of a
 * configuration, nothing else.
 *
 *   step_driver CONFIG --dump DIR              initial weights (one raw float32 file a parameter,
 * ONNX order) and the order of the samples in epoch 0 (order.u32), for the peer to start from
 *   step_driver CONFIG --steps N [--threads T] [--set a.b=c]...
 *                                              N steps after a warm-up of N/10, on the real data:
 * one JSON line with seconds and the losses of the first 100 steps
 *
 * A step is what a user pays for: gather and normalise the batch, forward, backward, update. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/data.h"
#include "engine/exec.h"
#include "model/model.h"
#include "train/config.h"

enum { LOSSES = 100, MAX_SETS = 16 };

struct driver {
    struct fnl_train_config *config;
    struct fnl_splits *splits;
    struct fnl_graph *graph;
    struct fnl_training_graph training;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec *exec;
    struct fnl_loader *loader;
    uint32_t epoch;
    uint64_t step;
    int losses;
    double loss[LOSSES];
};

static void check(int rc, const struct fnl_error *err)
{
    if (rc < 0) {
        fprintf(stderr, "step_driver: %s\n", err->message);
        exit(1);
    }
}

static void open_data(struct driver *d, struct fnl_error *err)
{
    struct fnl_train_config *c = d->config;
    check(fnl_data_load(c->data, c->directory, (uint64_t)c->seed, &d->splits, err), err);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = (size_t)c->batch;
    o.shuffle = true;
    o.seed = (uint64_t)c->seed;
    check(fnl_loader_create(c->data, d->splits, &d->splits->train, &o, &d->loader, err), err);
    check(fnl_loader_start(d->loader, 0, 0, err), err);
}

static void open_engine(struct driver *d, int threads, struct fnl_error *err)
{
    struct fnl_train_config *c = d->config;
    check(fnl_model_from_layers(c->doc, c->layers, &d->splits->train.sample,
                                d->splits->train.class_count, (uint64_t)c->seed, &d->graph, err),
          err);
    check(fnl_model_training_graph(d->graph, (enum fnl_loss)c->loss, true, &d->training, err), err);
    check(fnl_params_create(d->training.graph, "cpu", &c->optimizer, &d->params, err), err);
    check(fnl_pool_create(threads, &d->pool, err), err);
    struct fnl_exec_options o = FNL_EXEC_OPTIONS_INIT;
    o.batch = (size_t)c->batch;
    o.training = true;
    o.precision = (enum fnl_precision)c->precision;
    o.seed = (uint64_t)c->seed;
    o.loss_value = d->training.loss;
    o.scores_value = d->training.scores;
    check(fnl_exec_create(d->training.graph, d->params, d->pool, &o, &d->exec, err), err);
}

static void one_step(struct driver *d, struct fnl_error *err)
{
    struct fnl_batch batch;
    check(fnl_loader_next(d->loader, &batch, err), err);
    if (batch.rows == 0) {
        check(fnl_loader_start(d->loader, ++d->epoch, 0, err), err);
        check(fnl_loader_next(d->loader, &batch, err), err);
    }
    const void *input[2] = {batch.x, batch.labels};
    struct fnl_feed feed = {batch.rows, input, true};
    struct fnl_step_result result;
    double rate = d->config->schedule.learning_rate;
    check(fnl_exec_train_step(d->exec, &feed, rate, ++d->step, &result, err), err);
    if (d->losses < LOSSES) {
        d->loss[d->losses++] = result.loss_sum / (double)batch.rows;
    }
}

static void write_file(const char *dir, const char *name, const void *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        fprintf(stderr, "step_driver: cannot write %s\n", path);
        exit(1);
    }
}

static void dump(struct driver *d, const char *dir, struct fnl_error *err)
{
    for (int i = 0; i < fnl_params_count(d->params); i++) {
        size_t count = fnl_params_size(d->params, i);
        float *values = fnl_malloc(count * sizeof *values);
        check(values == NULL ? -1 : fnl_params_read(d->params, i, 0, values, err), err);
        write_file(dir, fnl_params_name(d->params, i), values, count * sizeof *values);
        fnl_free(values);
        printf("%s\n", fnl_params_name(d->params, i));
    }
    size_t count = d->splits->train.count;
    uint32_t *order = fnl_malloc(count * sizeof *order);
    if (order == NULL) {
        exit(1);
    }
    fnl_rng_permutation((uint64_t)d->config->seed, FNL_RNG_SHUFFLE, 0, order, count);
    write_file(dir, "order.u32", order, count * sizeof *order);
    fnl_free(order);
}

static void time_steps(struct driver *d, int steps, struct fnl_error *err)
{
    for (int i = 0; i < steps / 10; i++) {
        one_step(d, err);
    }
    uint64_t start = fnl_clock_ns();
    for (int i = 0; i < steps; i++) {
        one_step(d, err);
    }
    double seconds = (double)(fnl_clock_ns() - start) / 1e9;
    printf("{\"steps\":%d,\"seconds\":%.9f,\"samples_per_s\":%.1f,\"losses\":[", steps, seconds,
           (double)steps * (double)d->config->batch / seconds);
    for (int i = 0; i < d->losses; i++) {
        printf("%s%.9g", i > 0 ? "," : "", d->loss[i]);
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct driver d = {0};
    const char *sets[MAX_SETS], *dir = NULL;
    int set_count = 0, steps = 0, threads = 1;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dump") == 0) {
            dir = argv[i + 1];
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = (int)strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--threads") == 0) {
            threads = (int)strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--set") == 0 && set_count < MAX_SETS) {
            sets[set_count++] = argv[i + 1];
        }
    }
    if (argc < 4 || (dir == NULL && steps < 1) || threads < 1) {
        fprintf(stderr, "usage: step_driver CONFIG --dump DIR | --steps N [--threads T] "
                        "[--set a.b=c]\n");
        return 2;
    }
    check(fnl_train_config_load(argv[1], NULL, sets, set_count, false, &d.config, &err), &err);
    open_data(&d, &err);
    open_engine(&d, threads, &err);
    if (dir != NULL) {
        dump(&d, dir, &err);
    } else {
        time_steps(&d, steps, &err);
    }
    fnl_loader_free(d.loader);
    fnl_exec_free(d.exec);
    fnl_pool_free(d.pool);
    fnl_params_free(d.params);
    fnl_graph_free(d.training.graph);
    fnl_graph_free(d.graph);
    fnl_splits_free(d.splits);
    fnl_train_config_free(d.config);
    return 0;
}
