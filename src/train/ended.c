/* ended.c - the result of a run that has ended, read back from its summary.json.
 *
 * Somebody who resumes such a run has nothing to wait for and has made no mistake: a script that
 * repeats `train --resume` until it says 0 must come to an end. */
#include "train/ended.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "train/environment.h"

/* A number of the object, NAN for null or none. */
static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static bool says(const json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL && strcmp(value, text) == 0;
}

static int load(const char *path, json_t **ret_summary, struct fnl_error *err)
{
    char *text = NULL;
    size_t size = 0;
    int rc = fnl_file_read(path, FNL_MAX_RUN_TEXT_BYTES, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    json_error_t problem;
    json_t *summary = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    fnl_free(text);
    double epochs = number(summary, "epochs");
    if (summary == NULL || !(epochs >= 0.0 && epochs <= FNL_MAX_EPOCHS)) {
        rc = FNL_FAIL(err, FORMAT, "remove it and resume the run: it is written again", "%s:%d: %s",
                      path, summary == NULL ? problem.line : 1,
                      summary == NULL ? problem.text : "\"epochs\" is missing or no such number");
        json_decref(summary);
        return rc;
    }
    *ret_summary = summary;
    return 0;
}

static void read_test(const json_t *test, struct fnl_train_result *ret)
{
    ret->has_test = json_is_object(test);
    if (!ret->has_test) {
        return;
    }
    ret->test.rows = (size_t)json_integer_value(json_object_get(test, "samples"));
    ret->test.loss = number(test, "loss");
    ret->test.accuracy = number(test, "accuracy");
    ret->test.has_accuracy = !isnan(ret->test.accuracy);
}

static const char *products_of(const json_t *summary)
{
    for (int i = 0; fnl__products[i] != NULL; i++) {
        if (says(summary, "products", fnl__products[i])) {
            return fnl__products[i];
        }
    }
    return fnl__products[0];
}

/* ret->way_on. */
static void tell_way_on(const struct fnl__job *job, struct fnl_train_result *ret)
{
    const struct fnl_schedule *s = &job->config->schedule;
    char name[FNL__JOB_NAME];
    uint32_t more = ret->epochs <= FNL_MAX_EPOCHS / 2 ? 2 * ret->epochs : FNL_MAX_EPOCHS;
    if (ret->stopped_early) {
        (void)snprintf(ret->way_on, sizeof ret->way_on,
                       "early stopping has ended it: more epochs would change nothing");
    } else if (fnl_schedule_needs_length(s)) {
        (void)snprintf(ret->way_on, sizeof ret->way_on,
                       "its %s schedule has ended with it: for more epochs start a new run",
                       fnl_schedule_names[s->kind]);
    } else if (more > ret->epochs) {
        (void)snprintf(ret->way_on, sizeof ret->way_on,
                       "to go on: fournil train --resume %s --epochs %u", fnl__job_name(job, name),
                       more);
    }
}

int fnl__ended_read(const struct fnl__job *job, struct fnl_train_result *ret, struct fnl_error *err)
{
    const char *path = job->run.file[FNL__RUN_SUMMARY];
    json_t *summary = NULL;
    int rc = load(path, &summary, err);
    if (rc != 0) {
        return rc;
    }
    const char *device = json_string_value(json_object_get(summary, "device"));
    ret->device_read = fnl_strdup(device != NULL ? device : "");
    if (ret->device_read == NULL) {
        json_decref(summary);
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    }
    ret->device = ret->device_read;
    ret->precision = fnl_precision_names[job->config->precision];
    ret->products = products_of(summary);
    ret->epochs = (uint32_t)number(summary, "epochs");
    ret->stopped_early = says(summary, "status", "stopped_early");
    double best_epoch = number(summary, "best_epoch");
    ret->best_epoch = best_epoch >= 1.0 && best_epoch <= ret->epochs ? (uint32_t)best_epoch : 0;
    ret->weights_are_best = says(summary, "weights", "best");
    ret->samples_per_s = number(summary, "samples_per_s");
    ret->seconds = number(summary, "seconds");
    read_test(json_object_get(summary, "test"), ret);
    ret->had_ended = true;
    json_decref(summary);
    tell_way_on(job, ret);
    return 0;
}
