/* resume.c - going on with a run.
 *
 * The run's own config.yaml rules. A configuration given with --resume (a file, --set, flags) must
 * say the same, else the result would be that of neither; the error names the key. Only the thread
 * count may differ, and only where it changes nothing. */
#include "train/resume.h"

#include "base/files.h"
#include "train/checkpoint.h"
#include "train/report.h"

static bool gives_threads(const struct fnl_train_config *config)
{
    return config->train_node != NULL && config->train_node->kind == FNL_YAML_MAP &&
           fnl_yaml_get(config->train_node, "threads") != NULL;
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
    /* A count chosen by timing stands in the run's file alone. */
    bool free_threads = job->config->deterministic || !gives_threads(given);
    static const char *const threads[] = {"train.threads", NULL};
    char key[FNL_CONFIG_PATH];
    fnl_train_config_difference(job->config->doc, given->doc, free_threads ? threads : NULL, key);
    if (key[0] != 0) {
        rc = FNL_FAIL(err, CONFIG,
                      "resume without changes, or start a new run with the changed configuration",
                      "run %s: %s is not what the run was started with", job->run.id, key);
    } else if (job->config->deterministic && given->threads > 0) {
        job->config->threads = given->threads;
    }
    fnl_train_config_free(given);
    return rc;
}

int fnl__resume_open(struct fnl__job *job, struct fnl_error *err)
{
    int rc = fnl__run_open(job->request->dir, job->request->resume, &job->run, err);
    rc = rc != 0 ? rc
                 : fnl_train_config_load(job->run.file[FNL__RUN_CONFIG], job->run.directory, NULL,
                                         0, false, &job->config, err);
    return rc != 0 ? rc : refuse_changes(job, err);
}

static int load(struct fnl__job *job, enum fnl__run_file file, struct fnl_error *err)
{
    const struct fnl__state *s = &job->state;
    const char *path = job->run.file[file];
    int rc = fnl__checkpoint_load(path, job->run.config_crc, &job->state, job->network.params, err);
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
    if (job->state.batch > job->batches || job->state.epoch > (uint32_t)job->config->epochs) {
        return FNL_FAIL(err, FORMAT, "was the data changed since the run was started?",
                        "run %s: the checkpoint stands at batch %llu of %llu", job->run.id,
                        (unsigned long long)job->state.batch, (unsigned long long)job->batches);
    }
    return fnl__metrics_rewrite(&job->run, &job->state, err);
}
