/* training.c - fournil/training.h over train/train.h: the public structs are copies of the internal
 * ones, so that these may change. */
#include "fournil/training.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "train/train.h"

struct fnl_training_result {
    struct fnl_train_result of_run;
};

/* A run that goes on: the caller's functions, and whether one of them said stop. */
struct watch {
    const struct fnl_training_options *options;
    uint32_t epochs;
    bool stop;
};

static void started(void *arg, const struct fnl_train_start *s)
{
    ((struct watch *)arg)->epochs = s->epochs;
}

static void progressed(void *arg, const struct fnl_train_progress *p)
{
    struct watch *w = arg;
    struct fnl_training_progress shown = {.epoch = p->epoch,
                                          .epochs = p->epochs,
                                          .batch = p->batch,
                                          .batches = p->batches,
                                          .loss = p->loss,
                                          .accuracy = p->accuracy,
                                          .samples_per_s = p->samples_per_s};
    w->stop |= w->options->progress(w->options->arg, &shown) != 0;
}

static void epoch_ended(void *arg, const struct fnl_epoch *e, double eta_s)
{
    struct watch *w = arg;
    struct fnl_training_epoch shown = {.epoch = e->epoch,
                                       .epochs = w->epochs,
                                       .loss = e->loss,
                                       .accuracy = e->accuracy,
                                       .val_loss = e->val_loss,
                                       .val_accuracy = e->val_accuracy,
                                       .learning_rate = e->learning_rate,
                                       .seconds = e->seconds,
                                       .samples_per_s = e->samples_per_s};
    (void)eta_s;
    w->stop |= w->options->epoch(w->options->arg, &shown) != 0;
}

static void noted(void *arg, const char *text)
{
    struct watch *w = arg;
    w->options->note(w->options->arg, text);
}

static bool must_stop(void *arg)
{
    return ((struct watch *)arg)->stop;
}

static int check_options(const struct fnl_training_options *o, struct fnl_error *err)
{
    if (o == NULL || o->version != 1) {
        return FNL_FAIL(err, INVALID, "start from FNL_TRAINING_OPTIONS_INIT",
                        "training: options of version %d, expected 1", o != NULL ? o->version : 0);
    }
    if (o->threads < 0 || o->threads > FNL_MAX_SHARDS) {
        return FNL_FAIL(err, INVALID, NULL, "training: threads: expected 0 to %d, got %d",
                        FNL_MAX_SHARDS, o->threads);
    }
    if (o->config == NULL && o->resume == NULL) {
        return FNL_FAIL(err, INVALID, "set config, or resume",
                        "training: neither a configuration nor a run to go on with");
    }
    if (o->assignment_count < 0 || (o->assignment_count > 0 && o->assignments == NULL)) {
        return FNL_FAIL(err, INVALID, NULL, "training: %d assignments, but no list of them",
                        o->assignment_count);
    }
    return 0;
}

static int train(const struct fnl_training_options *o, const char *const *assignments, int count,
                 struct fnl_train_result *result, struct fnl_error *err)
{
    struct watch watch = {.options = o};
    struct fnl_train_request request = FNL_TRAIN_REQUEST_INIT;
    request.config = o->config;
    request.assignments = assignments;
    request.assignment_count = count;
    request.dir = o->dir != NULL ? o->dir : FNL_TRAIN_DIR;
    request.resume = o->resume;
    request.stop = must_stop;
    request.stop_arg = &watch;
    request.observer.arg = &watch;
    request.observer.start = started;
    request.observer.progress = o->progress != NULL ? progressed : NULL;
    request.observer.epoch = o->epoch != NULL ? epoch_ended : NULL;
    request.observer.note = o->note != NULL ? noted : NULL;
    return fnl_train(&request, result, err);
}

int fnl_training_run(const struct fnl_training_options *options,
                     struct fnl_training_result **ret_result, struct fnl_error *err)
{
    int rc = check_options(options, err);
    if (rc != 0) {
        return rc;
    }
    int count = options->assignment_count;
    const char **assignments = fnl_calloc((size_t)count + 1, sizeof *assignments);
    struct fnl_training_result *result = fnl_calloc(1, sizeof *result);
    if (assignments == NULL || result == NULL) {
        fnl_free(assignments);
        fnl_free(result);
        return FNL_FAIL(err, NOMEM, NULL, "training: out of memory");
    }
    for (int i = 0; i < count; i++) {
        assignments[i] = options->assignments[i];
    }
    char threads[40]; /* last, so that it wins */
    (void)snprintf(threads, sizeof threads, "train.threads=%d", options->threads);
    if (options->threads > 0) {
        assignments[count++] = threads;
    }
    rc = train(options, assignments, count, &result->of_run, err);
    fnl_free(assignments);
    if (rc == 0 && ret_result != NULL) {
        *ret_result = result;
    } else {
        fnl_training_result_free(result);
    }
    return rc;
}

void fnl_training_result_free(struct fnl_training_result *result)
{
    if (result != NULL) {
        fnl_train_result_free(&result->of_run);
        fnl_free(result);
    }
}

const char *fnl_training_result_id(const struct fnl_training_result *result)
{
    return result->of_run.run;
}

const char *fnl_training_result_folder(const struct fnl_training_result *result)
{
    return result->of_run.folder;
}

const char *fnl_training_result_model(const struct fnl_training_result *result)
{
    return result->of_run.model;
}

uint32_t fnl_training_result_epochs(const struct fnl_training_result *result)
{
    return result->of_run.epochs;
}

uint32_t fnl_training_result_best_epoch(const struct fnl_training_result *result)
{
    return result->of_run.best_epoch;
}

double fnl_training_result_test_loss(const struct fnl_training_result *result)
{
    return result->of_run.has_test ? result->of_run.test.loss : (double)NAN;
}

double fnl_training_result_test_accuracy(const struct fnl_training_result *result)
{
    bool known = result->of_run.has_test && result->of_run.test.has_accuracy;
    return known ? result->of_run.test.accuracy : (double)NAN;
}

double fnl_training_result_samples_per_s(const struct fnl_training_result *result)
{
    return result->of_run.samples_per_s;
}

double fnl_training_result_seconds(const struct fnl_training_result *result)
{
    return result->of_run.seconds;
}
