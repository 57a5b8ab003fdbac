/* loop.c - epochs of steps.
 *
 * Where a run stands is job->state alone: (epochs over, batches of this epoch, sums so far), and
 * every batch is a function of (seed, epoch, batch index). So the loop can be entered at any
 * saved state and goes on bit for bit as if it had not been left.
 *
 * States: steps of an epoch -> validation -> end of epoch (best.ckpt, last.ckpt, metrics line) ->
 * next epoch or done. Stopping by signal is looked at after every step and every batch of a
 * validation: the state is saved as it is, a validation is made again. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/shell.h"
#include "train/checkpoint.h"
#include "train/report.h"
#include "train/train_int.h"

static double seconds_since(uint64_t begin_ns)
{
    return (double)(fnl_clock_ns() - begin_ns) * 1e-9;
}

static double mean(double sum, uint64_t rows)
{
    return rows > 0 ? sum / (double)rows : (double)NAN;
}

static bool must_stop(const struct fnl__job *job)
{
    return job->request->stop != NULL && job->request->stop(job->request->stop_arg);
}

void fnl__job_note(const struct fnl__job *job, const char *format, ...)
{
    const struct fnl_train_observer *o = &job->request->observer;
    if (o->note == NULL) {
        return;
    }
    char text[1024];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    o->note(o->arg, text);
}

const char *fnl__job_name(const struct fnl__job *job, char out[FNL__JOB_NAME])
{
    bool is_usual = strcmp(job->request->dir, FNL_TRAIN_DIR) == 0;
    return fnl_shell_word(is_usual ? job->run.id : job->run.folder, out, FNL__JOB_NAME);
}

int fnl__job_save(struct fnl__job *job, struct fnl_error *err)
{
    int rc = fnl__checkpoint_save(job->run.file[FNL__RUN_LAST], true, job->run.config_id,
                                  &job->state, job->network.params, err);
    if (rc == 0) {
        job->saved_ns = fnl_clock_ns();
    }
    return rc;
}

static int save_and_stop(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl__state *s = &job->state;
    char name[FNL__JOB_NAME];
    int rc = fnl__job_save(job, err);
    if (rc != 0) {
        return rc;
    }
    rc = FNL_FAIL(err, INTERRUPTED, NULL, "stopped in epoch %u after %llu of %llu batches; saved",
                  s->epoch + 1, (unsigned long long)s->batch, (unsigned long long)job->batches);
    fnl_error_hint(err, "go on with: fournil train --resume %s", fnl__job_name(job, name));
    return rc;
}

/* ---- one step ---- */

static void tell_progress(struct fnl__job *job, uint64_t begin_ns, double seconds_before)
{
    const struct fnl_train_observer *o = &job->request->observer;
    const struct fnl__state *s = &job->state;
    uint64_t now = fnl_clock_ns();
    if (o->progress == NULL ||
        (double)(now - job->shown_ns) * 1e-9 < job->request->progress_interval_s) {
        return;
    }
    job->shown_ns = now;
    bool has_accuracy = fnl_targets_have_accuracy(&job->network.train_feeder.targets);
    struct fnl_train_progress p = {.epoch = s->epoch + 1,
                                   .epochs = (uint32_t)job->config->epochs,
                                   .batch = s->batch,
                                   .batches = job->batches,
                                   .loss = mean(s->loss_sum, s->rows),
                                   .accuracy = (double)NAN};
    double seconds = seconds_before + (double)(now - begin_ns) * 1e-9;
    p.accuracy = has_accuracy ? mean((double)s->correct, s->rows) : (double)NAN;
    p.samples_per_s = seconds > 0.0 ? (double)s->rows / seconds : (double)NAN;
    o->progress(o->arg, &p);
}

static int step(struct fnl__job *job, const struct fnl_batch *batch, struct fnl_error *err)
{
    struct fnl__network *n = &job->network;
    struct fnl__state *s = &job->state;
    struct fnl_feed feed = fnl__feeder_feed(&n->train_feeder, batch);
    struct fnl_step_result result;
    uint64_t correct = 0;
    double rate = fnl_schedule_rate(&job->config->schedule, s->step, job->batches,
                                    (uint64_t)job->config->epochs);
    int rc = fnl_exec_train_step(n->train_exec, &feed, rate, s->step + 1, &result, err);
    if (rc != 0) {
        return fnl_error_context(err, rc, "epoch %u, batch %llu", s->epoch + 1,
                                 (unsigned long long)s->batch + 1);
    }
    rc = fnl__feeder_correct(&n->train_feeder, n->train_exec, batch, &result, &correct, err);
    s->loss_sum += result.loss_sum;
    s->correct += correct;
    s->rows += batch->rows;
    s->learning_rate = rate;
    s->batch++;
    s->step++;
    return rc;
}

/* ---- the steps of one epoch ---- */

/* Time spent saving is not training: *begin_ns is moved. */
static int save_when_due(struct fnl__job *job, uint64_t *begin_ns, double *seconds_before,
                         struct fnl_error *err)
{
    int64_t every = job->config->checkpoint.every_seconds;
    if (every <= 0 || seconds_since(job->saved_ns) < (double)every) {
        return 0;
    }
    job->state.seconds = *seconds_before + seconds_since(*begin_ns);
    *seconds_before = job->state.seconds;
    int rc = fnl__job_save(job, err);
    *begin_ns = fnl_clock_ns();
    return rc;
}

/* One batch from the loader, or a chunk of them on the device; *ret_over: there was none left. */
static int advance(struct fnl__job *job, bool *ret_over, struct fnl_error *err)
{
    if (job->resident.train) {
        *ret_over = job->state.batch >= job->batches;
        return *ret_over ? 0 : fnl__resident_steps(job, err);
    }
    struct fnl_batch batch;
    int rc = fnl_loader_next(job->train_loader, &batch, err);
    *ret_over = rc == 0 && batch.rows == 0;
    return rc != 0 || *ret_over ? rc : step(job, &batch, err);
}

static int run_steps(struct fnl__job *job, struct fnl_error *err)
{
    struct fnl__state *s = &job->state;
    if (s->batch >= job->batches) { /* stopped in the validation */
        return 0;
    }
    double seconds_before = s->seconds;
    uint64_t begin_ns = fnl_clock_ns();
    int rc = job->resident.train
                 ? 0
                 : fnl_loader_start(job->train_loader, s->epoch, (size_t)s->batch, err);
    while (rc == 0) {
        bool over = false;
        rc = advance(job, &over, err);
        if (over) {
            break;
        }
        if (rc == 0 && must_stop(job)) {
            s->seconds = seconds_before + seconds_since(begin_ns);
            return save_and_stop(job, err);
        }
        if (rc == 0) {
            tell_progress(job, begin_ns, seconds_before);
            rc = save_when_due(job, &begin_ns, &seconds_before, err);
        }
    }
    s->seconds = seconds_before + seconds_since(begin_ns);
    return rc;
}

/* ---- the end of an epoch ---- */

static int validate(struct fnl__job *job, struct fnl_epoch *e, struct fnl_error *err)
{
    e->val_loss = (double)NAN;
    e->val_accuracy = (double)NAN;
    if (job->validation_loader == NULL) {
        return 0;
    }
    struct fnl_evaluation result;
    struct fnl__evaluator evaluator = {.exec = job->network.eval_exec,
                                       .feeder = &job->network.eval_feeder,
                                       .stop = job->request->stop,
                                       .stop_arg = job->request->stop_arg};
    int rc = job->resident.validation
                 ? fnl__resident_validate(job, &result, err)
                 : fnl__evaluate(&evaluator, job->validation_loader, job->validation->class_count,
                                 false, &result, err);
    if (rc != 0) {
        return rc == FNL_E_INTERRUPTED ? save_and_stop(job, err) : rc;
    }
    e->val_loss = result.loss;
    e->val_accuracy = result.has_accuracy ? result.accuracy : (double)NAN;
    if (!isfinite(result.loss)) {
        return FNL_FAIL(err, DIVERGED,
                        "lower train.optimizer.learning_rate, or set train.clip_norm: 1.0",
                        "epoch %u: the validation loss is not a finite number", e->epoch);
    }
    return 0;
}

static double eta_of(const struct fnl__job *job, double process_s, uint32_t done_here)
{
    const struct fnl__state *s = &job->state;
    if (s->stopped || done_here == 0) {
        return s->stopped ? 0.0 : (double)NAN;
    }
    return process_s / (double)done_here * (double)(job->config->epochs - (int64_t)s->epoch);
}

/* best.ckpt is the same file as last.ckpt at that moment: nothing is written twice. A crash between
 * the two is mended by fnl__resume_state. */
static int save_epoch(struct fnl__job *job, bool is_best, struct fnl_error *err)
{
    const struct fnl__state *s = &job->state;
    bool is_last = s->stopped || s->epoch >= (uint32_t)job->config->epochs;
    bool is_due = is_last || s->epoch % job->config->checkpoint.every_epochs == 0;
    int rc = is_due || is_best ? fnl__job_save(job, err) : 0;
    if (rc == 0 && is_best) {
        rc = fnl__checkpoint_copy(job->run.file[FNL__RUN_LAST], job->run.file[FNL__RUN_BEST], err);
    }
    return rc != 0 ? rc : fnl__metrics_append(&job->run, s, err);
}

static int end_epoch(struct fnl__job *job, struct fnl_epoch *ret_epoch, struct fnl_error *err)
{
    struct fnl__state *s = &job->state;
    bool has_accuracy = fnl_targets_have_accuracy(&job->network.train_feeder.targets);
    struct fnl_epoch e = {.epoch = s->epoch + 1,
                          .loss = mean(s->loss_sum, s->rows),
                          .accuracy = (double)NAN,
                          .learning_rate = s->learning_rate,
                          .seconds = s->seconds};
    e.accuracy = has_accuracy ? mean((double)s->correct, s->rows) : (double)NAN;
    e.samples_per_s = s->seconds > 0.0 ? (double)s->rows / s->seconds : (double)NAN;
    int rc = validate(job, &e, err);
    bool is_best = false;
    rc = rc != 0 ? rc : fnl__state_end_epoch(s, job->config, &e, &is_best, err);
    rc = rc != 0 ? rc : save_epoch(job, is_best, err);
    *ret_epoch = e;
    return rc;
}

int fnl__loop_run(struct fnl__job *job, struct fnl_error *err)
{
    const struct fnl_train_observer *o = &job->request->observer;
    struct fnl__state *s = &job->state;
    uint64_t begin_ns = fnl_clock_ns();
    uint32_t done_here = 0;
    job->saved_ns = begin_ns;
    job->shown_ns = 0;
    while (!s->stopped && s->epoch < (uint32_t)job->config->epochs) {
        struct fnl_epoch e;
        int rc = run_steps(job, err);
        rc = rc != 0 ? rc : end_epoch(job, &e, err);
        if (rc != 0) {
            return rc;
        }
        done_here++;
        if (o->epoch != NULL) {
            o->epoch(o->arg, &e, eta_of(job, seconds_since(begin_ns), done_here));
        }
    }
    return 0;
}
