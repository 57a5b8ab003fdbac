/* train.c - one training run from request to result.
 *
 * configuration -> data -> graphs -> threads -> plans -> run folder -> (checkpoint) -> loop ->
 * test, model.onnx, curves.svg, summary.json. What can be wrong with the request is found before
 * the run's folder is made, so that failed starts leave nothing behind. */
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/host.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/ended.h"
#include "train/environment.h"
#include "train/export.h"
#include "train/report.h"
#include "train/resume.h"
#include "train/threads.h"
#include "train/train_int.h"

#define PREFETCH 2 /* batches: one being used, one ready */

static void job_free(struct fnl__job *job)
{
    fnl_loader_free(job->test_loader);
    fnl_loader_free(job->validation_loader);
    fnl_loader_free(job->train_loader);
    fnl__resident_free(&job->resident);
    fnl__network_free(&job->network);
    fnl_splits_free(job->splits);
    fnl_train_config_free(job->config);
    fnl__state_free(&job->state);
    fnl__run_close(&job->run);
}

/* ---- before the first step ---- */

static int open_config(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl_train_request *q = job->request;
    if (q->resume != NULL) {
        return fnl__resume_open(job, err);
    }
    if (q->config == NULL) {
        return FNL_FAIL(err, INVALID, "fournil train CONFIG.yaml", "no configuration given");
    }
    return fnl_train_config_load(q->config, NULL, q->assignments, q->assignment_count, false,
                                 &job->config, err);
}

static int load_data(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl_train_config *c = job->config;
    int rc = fnl_data_load(c->data, c->directory, (uint64_t)c->seed, &job->splits, err);
    if (rc != 0) {
        return rc;
    }
    const struct fnl_splits *s = job->splits;
    if (s->train.count == 0) {
        return FNL_FAIL(err, CONFIG, NULL, "%s: the training data has no samples",
                        fnl_yaml_name(c->doc));
    }
    job->validation = s->validation.count > 0 ? &s->validation
                      : s->test.count > 0     ? &s->test
                                              : NULL;
    return 0;
}

/* A chosen count goes into the run's configuration, so that --resume uses the same. */
static int choose_threads(struct fnl__job *job, int *ret_threads, struct fnl_error *err)
{
    struct fnl_train_config *c = job->config;
    int cpus = fnl_host_cpus();
    if (c->threads > 0) {
        *ret_threads = (int)c->threads;
        return 0;
    }
    if (c->deterministic) {
        int shards = fnl__network_shards(c, cpus);
        *ret_threads = cpus < shards ? cpus : shards;
        return 0;
    }
    int rc = fnl__threads_choose(&job->network, c, job->splits, ret_threads, err);
    if (rc != 0) {
        return rc;
    }
    char assignment[40];
    (void)snprintf(assignment, sizeof assignment, "train.threads=%d", *ret_threads);
    job->threads_timed = cpus > 1;
    return fnl_yaml_set(c->doc, assignment, err);
}

static int prepare_on_device(struct fnl__job *job, struct fnl_error *err)
{
    struct fnl_train_config *c = job->config;
    const struct fnl_dataset *train = &job->splits->train;
    int threads = 1;
    int rc = fnl__network_build(&job->network, c, train, err);
    if (rc == 0 && c->device.kind != FNL_TRAIN_ACCELERATOR) {
        rc = choose_threads(job, &threads, err);
    }
    return rc != 0 ? rc : fnl__network_prepare(&job->network, c, train, threads, err);
}

/* The device goes into the run's configuration, so that --resume uses the same. */
static int keep_device(struct fnl__job *job, struct fnl_error *err)
{
    char assignment[48];
    (void)snprintf(assignment, sizeof assignment, "train.device=%s", job->config->device.name);
    return fnl_yaml_set(job->config->doc, assignment, err);
}

/* `auto` means a GPU where there is one that takes the network, else the CPU, and says so. */
static int prepare_network(struct fnl__job *job, struct fnl_error *err)
{
    struct fnl_train_config *c = job->config;
    bool is_auto = c->device.kind == FNL_TRAIN_AUTO;
    struct fnl_error gpu = FNL_ERROR_INIT;
    fnl_train_device_choose(&c->device, job->device_why, sizeof job->device_why);
    int rc = fnl__monitors_resolve(c, job->validation != NULL,
                                   job->splits->train.target_kind == FNL_TARGET_CLASS, err);
    if (rc != 0) {
        return rc;
    }
    bool may_fall_back = is_auto && c->device.kind == FNL_TRAIN_ACCELERATOR;
    rc = prepare_on_device(job, may_fall_back ? &gpu : err);
    if (rc != 0 && may_fall_back) {
        (void)snprintf(job->device_why, sizeof job->device_why, "%s cannot train this: %s",
                       c->device.name, gpu.message);
        fnl__network_free(&job->network);
        c->device = (struct fnl_train_choice){FNL_TRAIN_CPU, "cpu"};
        rc = prepare_on_device(job, err);
    }
    return rc == 0 && is_auto ? keep_device(job, err) : rc;
}

static int make_loaders(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl_train_config *c = job->config;
    /* A thread for batches pays where a CPU is left for it, or where they are costly to make. */
    int prefetch = c->augments || fnl_host_cpus() > job->network.threads ? PREFETCH : 0;
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = (size_t)c->batch;
    o.shuffle = c->shuffle;
    o.augment = true;
    o.prefetch = prefetch;
    o.seed = (uint64_t)c->seed;
    int rc =
        fnl_loader_create(c->data, job->splits, &job->splits->train, &o, &job->train_loader, err);
    o.batch = (size_t)c->evaluation_batch;
    o.shuffle = false;
    o.augment = false;
    if (rc == 0 && job->validation != NULL) {
        rc = fnl_loader_create(c->data, job->splits, job->validation, &o, &job->validation_loader,
                               err);
    }
    if (rc == 0 && job->splits->test.count > 0) {
        rc =
            fnl_loader_create(c->data, job->splits, &job->splits->test, &o, &job->test_loader, err);
    }
    if (rc == 0) {
        job->batches = fnl_loader_batches(job->train_loader);
    }
    return rc;
}

/* Has the resumed run done all its epochs? Then ret is what it said at its end. */
static int look_for_end(const struct fnl__job *job, struct fnl_train_result *ret,
                        struct fnl_error *err)
{
    if (!job->run.ended || job->epochs_before > 0) {
        return 0;
    }
    int rc = fnl__ended_read(job, ret, err);
    /* Its config.yaml may have been given more epochs by hand. */
    ret->had_ended =
        rc == 0 && (ret->stopped_early || ret->epochs >= (uint32_t)job->config->epochs);
    if (!ret->had_ended) { /* it goes on, and will say its own */
        fnl_train_result_free(ret);
        ret->device = NULL;
    }
    return rc;
}

static int prepare(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl_train_request *q = job->request;
    int rc = load_data(job, err);
    rc = rc != 0 ? rc : prepare_network(job, err);
    rc = rc != 0 ? rc : make_loaders(job, err);
    rc = rc != 0 ? rc : fnl__resident_prepare(job, err);
    if (rc == 0 && q->resume == NULL) {
        job->run.config_id = fnl_train_config_identity(job->config);
        rc = fnl__run_create(q->dir, q->config, job->config->directory, job->config->doc, &job->run,
                             err);
    } else if (rc == 0) {
        rc = fnl__resume_state(job, err);
    }
    return rc;
}

static void tell_start(const struct fnl__job *job)
{
    const struct fnl_train_observer *o = &job->request->observer;
    if (o->start == NULL) {
        return;
    }
    struct fnl_train_start s = {.run = job->run.id,
                                .folder = job->run.folder,
                                .device = job->network.backend,
                                .device_why = job->device_why,
                                .threads = job->network.threads,
                                .threads_timed = job->threads_timed,
                                .parameters = job->network.parameter_count,
                                .train_count = job->splits->train.count,
                                .validation_count = job->splits->validation.count,
                                .test_count = job->splits->test.count,
                                .validation_is_test = job->validation == &job->splits->test,
                                .epochs = (uint32_t)job->config->epochs,
                                .first_epoch = job->state.epoch + 1,
                                .batches = job->batches,
                                .first_batch = job->state.batch};
    o->start(o->arg, &s);
}

/* ---- after the last ---- */

static int test(struct fnl__job *job, struct fnl_train_result *ret, struct fnl_error *err)
{
    if (job->test_loader == NULL) {
        return 0;
    }
    char name[FNL__JOB_NAME];
    struct fnl__evaluator evaluator = {.exec = job->network.eval_exec,
                                       .feeder = &job->network.eval_feeder,
                                       .stop = job->request->stop,
                                       .stop_arg = job->request->stop_arg};
    int rc = fnl__evaluate(&evaluator, job->test_loader, job->splits->test.class_count, true,
                           &ret->test, err);
    ret->has_test = rc == 0;
    if (rc == FNL_E_INTERRUPTED) { /* last.ckpt has it all: resume makes the test and the files */
        fnl_error_hint(err, "finish with: fournil train --resume %s", fnl__job_name(job, name));
    }
    return rc;
}

static int finish(struct fnl__job *job, uint64_t begin_ns, struct fnl_train_result *ret,
                  struct fnl_error *err)
{
    const struct fnl_early_stopping *stopping = &job->config->early_stopping;
    const struct fnl__state *s = &job->state;
    int rc = 0;
    ret->weights_are_best = stopping->on && stopping->restore_best && s->best_epoch > 0;
    if (ret->weights_are_best && s->best_epoch != s->epoch) {
        rc = fnl__checkpoint_load(job->run.file[FNL__RUN_BEST], job->run.config_id, NULL,
                                  job->network.params, err);
    }
    rc = rc != 0 ? rc : test(job, ret, err);
    if (rc != 0) {
        return rc;
    }
    /* A copy: the name lies in the configuration, which goes with the job. */
    ret->device_read = fnl_strdup(job->network.backend);
    if (ret->device_read == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "run %s: out of memory", job->run.id);
    }
    ret->device = ret->device_read;
    ret->precision = fnl_precision_names[job->config->precision];
    ret->products = fnl__environment_products(job->network.backend, job->config->precision);
    ret->epochs = s->epoch;
    ret->stopped_early = s->stopped && s->epoch < (uint32_t)job->config->epochs;
    ret->best_epoch = s->best_epoch;
    ret->samples_per_s =
        s->total_seconds > 0.0 ? (double)s->total_rows / s->total_seconds : (double)NAN;
    ret->seconds = (double)(fnl_clock_ns() - begin_ns) * 1e-9;
    struct fnl__summary summary = {.run = &job->run,
                                   .config = job->config,
                                   .network = &job->network,
                                   .state = s,
                                   .splits = job->splits,
                                   .result = ret};
    rc = fnl__export_model(&job->network, job->config, job->splits, job->run.file[FNL__RUN_MODEL],
                           err);
    rc =
        rc != 0 ? rc : fnl__curves_write(job->run.file[FNL__RUN_CURVES], s->history, s->epoch, err);
    return rc != 0 ? rc : fnl__summary_write(&summary, err);
}

/* What the user has in hand when a run fails, said in the hint. */
static void add_way_on(const struct fnl__job *job, int rc, struct fnl_error *err)
{
    if (err == NULL || job->run.folder == NULL || job->run.lock_fd < 0 || rc == FNL_E_INTERRUPTED) {
        return;
    }
    char hint[sizeof err->hint], name[FNL__JOB_NAME];
    (void)snprintf(hint, sizeof hint, "%s", err->hint);
    if (rc == FNL_E_DIVERGED && fnl_path_exists(job->run.file[FNL__RUN_LAST])) {
        fnl_error_hint(err, "%s; the last good weights are in %s", hint,
                       job->run.file[FNL__RUN_LAST]);
    } else if (rc == FNL_E_DEVICE_LOST && !fnl_path_exists(job->run.file[FNL__RUN_SUMMARY])) {
        fnl_error_hint(err,
                       "go on from the last checkpoint with: fournil train --resume %s (on the "
                       "processor: --device cpu)%s%s",
                       fnl__job_name(job, name), hint[0] != 0 ? "; " : "", hint);
    } else if (rc == FNL_E_IO && !fnl_path_exists(job->run.file[FNL__RUN_SUMMARY])) {
        fnl_error_hint(err, "%s%sthen go on with: fournil train --resume %s", hint,
                       hint[0] != 0 ? "; " : "", fnl__job_name(job, name));
    }
}

static int name_result(const struct fnl__job *job, struct fnl_train_result *ret,
                       struct fnl_error *err)
{
    (void)snprintf(ret->run, sizeof ret->run, "%s", job->run.id);
    ret->folder = fnl_strdup(job->run.folder);
    ret->model = fnl_strdup(job->run.file[FNL__RUN_MODEL]);
    return ret->folder == NULL || ret->model == NULL
               ? FNL_FAIL(err, NOMEM, NULL, "run %s: out of memory", job->run.id)
               : 0;
}

int fnl_train(const struct fnl_train_request *request, struct fnl_train_result *ret,
              struct fnl_error *err)
{
    struct fnl__job job = {.request = request, .run = FNL__RUN_INIT};
    uint64_t begin_ns = fnl_clock_ns();
    *ret = (struct fnl_train_result){.samples_per_s = (double)NAN};
    int rc = open_config(&job, err);
    rc = rc != 0 ? rc : look_for_end(&job, ret, err);
    bool goes_on = rc == 0 && !ret->had_ended;
    rc = goes_on ? prepare(&job, err) : rc;
    rc = rc != 0 ? rc : name_result(&job, ret, err);
    if (rc == 0 && goes_on) {
        const char *slow = fnl__environment_slow(job.network.backend, job.config->precision);
        if (slow != NULL) {
            fnl__job_note(&job, "%s", slow);
        }
        tell_start(&job);
        rc = fnl__loop_run(&job, err);
        rc = rc != 0 ? rc : finish(&job, begin_ns, ret, err);
    }
    if (rc != 0) {
        add_way_on(&job, rc, err);
    }
    job_free(&job);
    return rc;
}

void fnl_train_result_free(struct fnl_train_result *result)
{
    fnl_evaluation_free(&result->test);
    fnl_free(result->folder);
    fnl_free(result->model);
    fnl_free(result->device_read);
    result->folder = NULL;
    result->model = NULL;
    result->device_read = NULL;
}
