/* resume.c - going on with a run.
 *
 * The run's own config.yaml rules. A configuration given with --resume (a file, --set, flags) must
 * say the same, else the result would be that of neither; the error names the key. Three may
 * differ: the thread count, where it changes nothing; the epochs, when they are more and no
 * learning rate depends on them (then the run ends as one that had them from the start, bit for
 * bit); and the device, so that a run whose GPU was lost can be saved (that is said, for other
 * devices round otherwise). */
#include "train/resume.h"

#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "train/checkpoint.h"
#include "train/report.h"

static bool gives(const struct fnl_train_config *config, const char *key)
{
    return config->train_node != NULL && config->train_node->kind == FNL_YAML_MAP &&
           fnl_yaml_get(config->train_node, key) != NULL;
}

/* The run is to have `epochs` in all, more than it was started with. */
static int take_epochs(struct fnl__job *job, int64_t epochs, struct fnl_error *err)
{
    struct fnl_train_config *own = job->config;
    if (fnl_schedule_needs_length(&own->schedule)) {
        return FNL_FAIL(err, CONFIG,
                        "start a new run with more epochs, or one whose train.schedule is constant "
                        "or step: that can be given more at any time",
                        "run %s: its %s schedule is spread over %lld epochs: it cannot go on to "
                        "%lld",
                        job->run.id, fnl_schedule_names[own->schedule.kind], (long long)own->epochs,
                        (long long)epochs);
    }
    char assignment[48];
    (void)snprintf(assignment, sizeof assignment, "train.epochs=%lld", (long long)epochs);
    job->epochs_before = (uint32_t)own->epochs;
    own->epochs = epochs;
    return fnl_yaml_set(own->doc, assignment, err);
}

/* The run goes on elsewhere; its file says so from the moment its checkpoint was loaded. */
static int take_device(struct fnl__job *job, const struct fnl_train_choice *device,
                       struct fnl_error *err)
{
    struct fnl_train_config *own = job->config;
    char assignment[48];
    (void)snprintf(assignment, sizeof assignment, "train.device=%s", device->name);
    if (job->device_before[0] == 0) {
        memcpy(job->device_before, own->device.name, sizeof job->device_before);
    }
    own->device = *device;
    return fnl_yaml_set(own->doc, assignment, err);
}

static int compare(struct fnl__job *job, const struct fnl_train_config *given,
                   struct fnl_error *err)
{
    struct fnl_train_config *own = job->config;
    bool more = gives(given, "epochs") && given->epochs > own->epochs;
    const char *may_differ[4] = {"train.device", NULL};
    int count = 1;
    bool moves =
        given->device.kind != FNL_TRAIN_AUTO && strcmp(given->device.name, own->device.name) != 0;
    /* What was chosen by timing, or by an option at the start, stands in the run's file alone. */
    if (own->deterministic || !gives(given, "threads")) {
        may_differ[count++] = "train.threads";
    }
    if (more || !gives(given, "epochs")) {
        may_differ[count++] = "train.epochs";
    }
    char key[FNL_CONFIG_PATH];
    fnl_train_config_difference(own->doc, given->doc, may_differ, key);
    if (key[0] != 0) {
        bool fewer = strcmp(key, "train.epochs") == 0;
        return FNL_FAIL(err, CONFIG,
                        fewer ? "a run can be given more epochs, not fewer: start a new one"
                              : "resume without changes, or start a new run with the changed "
                                "configuration",
                        "run %s: %s is not what the run was started with", job->run.id, key);
    }
    if (own->deterministic && given->threads > 0) {
        own->threads = given->threads;
    }
    int rc = moves ? take_device(job, &given->device, err) : 0;
    return rc == 0 && more ? take_epochs(job, given->epochs, err) : rc;
}

/* job->config: the run's own. */
static int refuse_changes(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl_train_request *q = job->request;
    if (q->config == NULL && q->assignment_count == 0) {
        return 0;
    }
    const char *path = q->config != NULL ? q->config : job->run.file[FNL__RUN_CONFIG];
    struct fnl_train_config *given = NULL;
    int rc =
        fnl_train_config_load(path, NULL, q->assignments, q->assignment_count, false, &given, err);
    if (rc != 0) {
        return rc;
    }
    rc = compare(job, given, err);
    fnl_train_config_free(given);
    return rc;
}

/* The device that the request asks for in so many words ("train.device=cpu"), or NULL. */
static const char *asked_device(const struct fnl_train_request *q)
{
    static const char key[] = "train.device=";
    const char *found = NULL;
    for (int i = 0; i < q->assignment_count; i++) {
        if (strncmp(q->assignments[i], key, sizeof key - 1) == 0) {
            found = q->assignments[i];
        }
    }
    return found != NULL && strcmp(found + sizeof key - 1, "auto") != 0 ? found : NULL;
}

/* The run's own configuration. Its device may be gone: then another one must be asked for. */
static int load_own(struct fnl__job *job, struct fnl_error *err)
{
    const char *path = job->run.file[FNL__RUN_CONFIG], *asked = asked_device(job->request);
    struct fnl_error gone = FNL_ERROR_INIT;
    int rc = fnl_train_config_load(path, job->run.directory, NULL, 0, false, &job->config, &gone);
    if (rc == FNL_E_DEVICE && asked != NULL) {
        rc = fnl_train_config_load(path, job->run.directory, &asked, 1, false, &job->config, err);
        (void)snprintf(job->device_before, sizeof job->device_before, "a device that is gone");
        return rc;
    }
    if (rc == FNL_E_DEVICE) {
        char hint[sizeof gone.hint], name[FNL__JOB_NAME];
        (void)snprintf(hint, sizeof hint, "%s", gone.hint);
        fnl_error_hint(&gone, "%s; or go on with: fournil train --resume %s --device cpu", hint,
                       fnl__job_name(job, name));
    }
    if (rc != 0 && err != NULL) {
        *err = gone;
    }
    return rc;
}

int fnl__resume_open(struct fnl__job *job, struct fnl_error *err)
{
    int rc = fnl__run_open(job->request->dir, job->request->resume, &job->run, err);
    rc = rc != 0 ? rc : load_own(job, err);
    if (rc != 0) {
        return rc;
    }
    job->run.config_id = fnl_train_config_identity(job->config);
    return refuse_changes(job, err);
}

static int load(struct fnl__job *job, enum fnl__run_file file, struct fnl_error *err)
{
    const struct fnl__state *s = &job->state;
    const char *path = job->run.file[file];
    int rc = fnl__checkpoint_load(path, job->run.config_id, &job->state, job->network.params, err);
    if (rc == 0 && s->batch == 0 && s->best_epoch > 0 && s->best_epoch == s->epoch) {
        /* The process may have ended before best.ckpt was made of it. */
        rc = fnl__checkpoint_copy(path, job->run.file[FNL__RUN_BEST], err);
    }
    return rc;
}

/* *ret_found: a checkpoint was loaded. */
static int load_newest(struct fnl__job *job, bool *ret_found, struct fnl_error *err)
{
    bool has_last = fnl_path_exists(job->run.file[FNL__RUN_LAST]);
    bool has_previous = fnl_path_exists(job->run.file[FNL__RUN_PREVIOUS]);
    *ret_found = false;
    if (has_last) {
        struct fnl_error problem = FNL_ERROR_INIT;
        int rc = load(job, FNL__RUN_LAST, &problem);
        if (rc == 0) {
            *ret_found = true;
            return 0;
        }
        if (!has_previous || rc != FNL_E_FORMAT) {
            if (rc == FNL_E_FORMAT) {
                fnl_error_hint(&problem, "remove %s to begin the run anew",
                               job->run.file[FNL__RUN_LAST]);
            }
            if (err != NULL) {
                *err = problem;
            }
            return rc;
        }
        fnl__job_note(job, "%s; using the checkpoint before it", problem.message);
    }
    if (!has_previous) {
        return 0;
    }
    int rc = load(job, FNL__RUN_PREVIOUS, err);
    if (rc == FNL_E_FORMAT) {
        fnl_error_hint(err, "remove it and last.ckpt to begin the run anew");
    }
    *ret_found = rc == 0;
    /* A damaged last.ckpt must not become the one before at the next save. */
    return rc == 0 && has_last ? fnl__checkpoint_copy(job->run.file[FNL__RUN_PREVIOUS],
                                                      job->run.file[FNL__RUN_LAST], err)
                               : rc;
}

/* Is the checkpoint one that these epochs of this data can go on from? */
static int check_state(const struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl__state *s = &job->state;
    if (s->batch > job->batches) {
        return FNL_FAIL(err, FORMAT, "was the data changed since the run was started?",
                        "run %s: the checkpoint stands at batch %llu of %llu", job->run.id,
                        (unsigned long long)s->batch, (unsigned long long)job->batches);
    }
    if (s->epoch > (uint32_t)job->config->epochs) {
        return FNL_FAIL(err, CONFIG, "a run can be given more epochs, not fewer",
                        "run %s: it has done %u epochs, its config.yaml says %lld", job->run.id,
                        s->epoch, (long long)job->config->epochs);
    }
    if (s->stopped && job->epochs_before > 0) {
        return FNL_FAIL(err, CONFIG,
                        "start a new run with another train.early_stopping, or with none",
                        "run %s: early stopping has ended it after epoch %u: it would end there "
                        "with %lld epochs too",
                        job->run.id, s->epoch, (long long)job->config->epochs);
    }
    return 0;
}

int fnl__resume_state(struct fnl__job *job, struct fnl_error *err)
{
    bool found = false;
    int rc = load_newest(job, &found, err);
    if (rc != 0) {
        return rc;
    }
    if (!found) {
        fnl__job_note(job, "run %s has no checkpoint yet: beginning anew", job->run.id);
    }
    rc = check_state(job, err);
    if (rc == 0 && job->device_before[0] != 0) {
        fnl__job_note(job,
                      "run %s goes on on %s, after %s: its result will not be that of a run on one "
                      "device bit for bit",
                      job->run.id, job->config->device.name, job->device_before);
    }
    if (rc == 0 && (job->run.ended || job->epochs_before > 0 || job->device_before[0] != 0)) {
        rc = fnl__run_reopen(&job->run, job->config->doc, err);
    }
    return rc != 0 ? rc : fnl__metrics_rewrite(&job->run, &job->state, err);
}
