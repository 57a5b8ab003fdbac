/* step_driver.c - the timed side of bench/train_vs_pytorch.py: the training steps of a
 * configuration, nothing else.
 *
 *   step_driver CONFIG --dump DIR              initial weights (one raw float32 file a parameter,
 * ONNX order) and the order of the samples in epoch 0 (order.u32), for the peer to start from
 *   step_driver CONFIG --steps N [--threads T] [--set a.b=c]...
 *                                              N steps after a warm-up of N/10, on the real data:
 * one JSON line with the seconds and the losses of the first 100 steps
 *   step_driver CONFIG --follow FILE           for each record of FILE (all parameters, float32,
 * ONNX order, as another program had them before a step): sets the weights to it and makes one
 * step. One JSON line: the losses, and after each step how far our weights are from the next
 * record, relative to the way that the other program went. The optimiser's state is our own
 * throughout. Steps that run freely from equal weights part from any other program's as soon as
 * rounding decides a relu or a maximum otherwise; this shows whether each step is the same.
 *
 * Graphs, plan and loader are those of `fournil train` (train/network.h), so what is timed is what
 * runs. A step is what a user pays for: gather and normalise the batch, forward, backward, update.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/backend/cpu/kernels.h"
#include "train/network.h"

enum { LOSSES = 100, MAX_SETS = 16 };

struct driver {
    struct fnl_train_config *config;
    struct fnl_splits *splits;
    struct fnl__network network;
    struct fnl_loader *loader;
    uint32_t epoch;
    uint64_t step, samples;
    int losses;
    double loss[LOSSES];
};

static void check(int rc, const struct fnl_error *err)
{
    if (rc < 0) {
        fprintf(stderr, "step_driver: %s\n", err->message);
        if (err->hint[0] != '\0') {
            fprintf(stderr, "  hint: %s\n", err->hint);
        }
        exit(1);
    }
}

static void open_driver(struct driver *d, int threads, struct fnl_error *err)
{
    struct fnl_train_config *c = d->config;
    check(fnl_data_load(c->data, c->directory, (uint64_t)c->seed, &d->splits, err), err);
    check(fnl__network_build(&d->network, c, &d->splits->train, err), err);
    check(fnl__network_prepare(&d->network, c, &d->splits->train, threads, err), err);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = (size_t)c->batch;
    o.shuffle = c->shuffle;
    o.augment = true;
    o.seed = (uint64_t)c->seed;
    check(fnl_loader_create(c->data, d->splits, &d->splits->train, &o, &d->loader, err), err);
    check(fnl_loader_start(d->loader, 0, 0, err), err);
}

static void one_step(struct driver *d, struct fnl_error *err)
{
    struct fnl_batch batch;
    check(fnl_loader_next(d->loader, &batch, err), err);
    if (batch.rows == 0) {
        check(fnl_loader_start(d->loader, ++d->epoch, 0, err), err);
        check(fnl_loader_next(d->loader, &batch, err), err);
    }
    struct fnl_feed feed = fnl__feeder_feed(&d->network.train_feeder, &batch);
    struct fnl_step_result result;
    double rate = d->config->schedule.learning_rate;
    check(fnl_exec_train_step(d->network.train_exec, &feed, rate, ++d->step, &result, err), err);
    d->samples += batch.rows;
    if (d->losses < LOSSES) {
        d->loss[d->losses++] = result.loss_sum / (double)batch.rows;
    }
}

static void write_file(const char *dir, const char *name, const void *data, size_t size)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = length < (int)sizeof path ? fopen(path, "wb") : NULL;
    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        fprintf(stderr, "step_driver: cannot write %s/%s\n", dir, name);
        exit(1);
    }
}

static void *memory(size_t count, size_t size)
{
    void *p = fnl_malloc(count * size);
    if (p == NULL) {
        fprintf(stderr, "step_driver: out of memory\n");
        exit(1);
    }
    return p;
}

static void dump(const struct driver *d, const char *dir, struct fnl_error *err)
{
    const struct fnl_params *params = d->network.params;
    for (int i = 0; i < fnl_params_count(params); i++) {
        size_t count = fnl_params_size(params, i);
        float *values = memory(count, sizeof *values);
        check(fnl_params_read(params, i, 0, values, err), err);
        write_file(dir, fnl_params_name(params, i), values, count * sizeof *values);
        fnl_free(values);
        printf("%s\n", fnl_params_name(params, i));
    }
    size_t count = d->splits->train.count;
    uint32_t *order = memory(count, sizeof *order);
    fnl_rng_permutation((uint64_t)d->config->seed, FNL_RNG_SHUFFLE, 0, order, count);
    write_file(dir, "order.u32", order, count * sizeof *order);
    fnl_free(order);
}

/* On an accelerator the data set lies there, and an epoch is one call: train/resident.c. */
static void bind_data(struct driver *d, struct fnl_error *err)
{
    const struct fnl_dataset *set = &d->splits->train;
    const struct fnl_normalization *n = &d->splits->normalization;
    const struct fnl_exec_data data = {.count = set->count,
                                       .dtype = set->dtype,
                                       .x = set->samples,
                                       .sample_size = set->sample_size,
                                       .image_channels = (size_t)set->sample.dim[0],
                                       .channels_last = set->sample.rank == 3,
                                       .norm_channels = n->channels,
                                       .mul = n->mul,
                                       .add = n->add,
                                       .labels = set->labels,
                                       .targets = set->labels != NULL ? NULL : set->targets,
                                       .target_size = set->target_size,
                                       .input = d->network.train_feeder.input_at,
                                       .target = d->network.train_feeder.target_at};
    check(fnl_exec_bind(d->network.train_exec, &data, err), err);
}

static void bound_steps(struct driver *d, int steps, struct fnl_error *err)
{
    size_t batch = (size_t)d->config->batch, whole = d->splits->train.count / batch;
    uint32_t *order = memory(d->splits->train.count, sizeof *order);
    double *rate = memory(whole, sizeof *rate);
    for (size_t i = 0; i < whole; i++) {
        rate[i] = d->config->schedule.learning_rate;
    }
    for (size_t left = (size_t)steps; left > 0;) {
        size_t now = left < whole ? left : whole;
        struct fnl_exec_rows rows = {.count = now * batch, .order = order};
        struct fnl_step_result result;
        fnl_loader_order(d->loader, d->epoch++, order);
        check(fnl_exec_train_rows(d->network.train_exec, &rows, rate, d->step + 1, &result, err),
              err);
        d->step += now;
        d->samples += rows.count;
        left -= now;
    }
    fnl_free(order);
    fnl_free(rate);
}

static void run_steps(struct driver *d, int steps, struct fnl_error *err)
{
    if (fnl_exec_on_accelerator(d->network.train_exec)) {
        bound_steps(d, steps, err);
        return;
    }
    for (int i = 0; i < steps; i++) {
        one_step(d, err);
    }
}

static void time_steps(struct driver *d, int steps, struct fnl_error *err)
{
    if (fnl_exec_on_accelerator(d->network.train_exec)) {
        for (int i = 0; i < LOSSES; i++) { /* fed one by one, for the losses */
            one_step(d, err);
        }
        bind_data(d, err);
    }
    run_steps(d, steps / 10, err);
    uint64_t before = d->samples, start = fnl_clock_ns();
    run_steps(d, steps, err);
    double seconds = (double)(fnl_clock_ns() - start) / 1e9;
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    printf("{\"steps\":%d,\"seconds\":%.9f,\"samples_per_s\":%.1f,\"isa\":\"%s\","
           "\"has_bf16\":%s,\"losses\":[",
           steps, seconds, (double)(d->samples - before) / seconds, k->isa,
           k->has_bf16 ? "true" : "false");
    for (int i = 0; i < d->losses; i++) {
        printf("%s%.9g", i > 0 ? "," : "", d->loss[i]);
    }
    printf("]}\n");
}

/* Reads the next record of a file to follow; false at its end. */
static bool read_record(FILE *f, float *record, size_t count)
{
    return fread(record, sizeof *record, count, f) == count;
}

static void set_weights(struct driver *d, const float *record, struct fnl_error *err)
{
    struct fnl_params *params = d->network.params;
    for (int i = 0; i < fnl_params_count(params); i++) {
        check(fnl_params_write(params, i, 0, record, err), err);
        record += fnl_params_size(params, i);
    }
}

/* |weights - to| / |to - from|, over all parameters. */
static double distance(const struct driver *d, const float *from, const float *to, float *values,
                       struct fnl_error *err)
{
    const struct fnl_params *params = d->network.params;
    double apart = 0, way = 0;
    for (int i = 0; i < fnl_params_count(params); i++) {
        size_t count = fnl_params_size(params, i);
        check(fnl_params_read(params, i, 0, values, err), err);
        for (size_t j = 0; j < count; j++) {
            double a = (double)values[j] - (double)to[j], b = (double)to[j] - (double)from[j];
            apart += a * a;
            way += b * b;
        }
        from += count;
        to += count;
    }
    return sqrt(apart / way);
}

static void follow(struct driver *d, const char *path, struct fnl_error *err)
{
    size_t count = 0;
    for (int i = 0; i < fnl_params_count(d->network.params); i++) {
        count += fnl_params_size(d->network.params, i);
    }
    float *record = memory(3 * count, sizeof *record);
    float *from = record, *to = record + count, *values = record + 2 * count;
    double updates[LOSSES];
    FILE *f = fopen(path, "rb");
    if (f == NULL || !read_record(f, from, count)) {
        fprintf(stderr, "step_driver: %s: cannot be read, or too short\n", path);
        exit(1);
    }
    int steps = 0;
    for (; steps < LOSSES && read_record(f, to, count); steps++) {
        set_weights(d, from, err);
        one_step(d, err);
        updates[steps] = distance(d, from, to, values, err);
        float *swap = from;
        from = to;
        to = swap;
    }
    printf("{\"steps\":%d,\"losses\":[", steps);
    for (int i = 0; i < steps; i++) {
        printf("%s%.9g", i > 0 ? "," : "", d->loss[i]);
    }
    printf("],\"updates\":[");
    for (int i = 0; i < steps; i++) {
        printf("%s%.3g", i > 0 ? "," : "", updates[i]);
    }
    printf("]}\n");
    (void)fclose(f);
    fnl_free(record);
}

int main(int argc, char **argv)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct driver d = {0};
    const char *sets[MAX_SETS], *dir = NULL, *path = NULL;
    int set_count = 0, threads = 1, i = 2;
    long steps = 0;
    for (; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dump") == 0) {
            dir = argv[i + 1];
        } else if (strcmp(argv[i], "--follow") == 0) {
            path = argv[i + 1];
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--threads") == 0) {
            threads = (int)strtol(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--set") == 0 && set_count < MAX_SETS) {
            sets[set_count++] = argv[i + 1];
        } else {
            break;
        }
    }
    if (argc < 4 || i != argc ||
        (dir == NULL && path == NULL && (steps < 1 || steps > 100000000)) || threads < 1) {
        fprintf(stderr,
                "usage: step_driver CONFIG --dump DIR | --follow FILE | --steps N [--threads T] "
                "[--set a.b=c]...\n");
        return 2;
    }
    check(fnl_train_config_load(argv[1], NULL, sets, set_count, false, &d.config, &err), &err);
    open_driver(&d, threads, &err);
    if (dir != NULL) {
        dump(&d, dir, &err);
    } else if (path != NULL) {
        follow(&d, path, &err);
    } else {
        time_steps(&d, (int)steps, &err);
    }
    fnl_loader_free(d.loader);
    fnl__network_free(&d.network);
    fnl_splits_free(d.splits);
    fnl_train_config_free(d.config);
    return 0;
}
