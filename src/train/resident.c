/* resident.c - training and validation over data sets that lie on the accelerator (interface in
 * resident.h).
 *
 * The rows of an epoch and their order are the loader's, so that the same numbers are computed as
 * when batches are fed. Chunks grow until one takes about CHUNK_NS: long enough that the host's
 * part does not count, short enough for Ctrl-C and the progress line. */
#include "train/resident.h"

#include "base/clock.h"
#include "base/mem.h"
#include "train/train_int.h"

#define FIRST_CHUNK 8
#define CHUNK_NS 200e6

static struct fnl_exec_data set_of(const struct fnl__job *job, const struct fnl_dataset *d,
                                   const struct fnl__feeder *feeder)
{
    const struct fnl_normalization *n = &job->splits->normalization;
    bool labels = fnl_targets_are_counted(&feeder->targets);
    return (struct fnl_exec_data){.count = d->count,
                                  .dtype = d->dtype,
                                  .x = d->samples,
                                  .sample_size = d->sample_size,
                                  .image_channels = (size_t)d->sample.dim[0],
                                  .channels_last = d->sample.rank == 3,
                                  .norm_channels = n->channels,
                                  .mul = n->mul,
                                  .add = n->add,
                                  .labels = labels ? d->labels : NULL,
                                  .targets = labels ? NULL : d->targets,
                                  .target_size = d->target_size,
                                  .input = feeder->input_at,
                                  .target = feeder->target_at};
}

/* Classes as integers, or numbers as they are; one-hot rows are made by the CPU. */
static bool is_plain(const struct fnl__feeder *feeder)
{
    return feeder->targets.rows == NULL;
}

/* false: it stays with the host. */
static bool bind(struct fnl__job *job, struct fnl_exec *exec, const struct fnl_dataset *d,
                 const struct fnl__feeder *feeder)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_exec_data set = set_of(job, d, feeder);
    int rc = fnl_exec_bind(exec, &set, &err);
    if (rc != 0) {
        fnl__job_note(job, "the data stays with the host: %s", err.message);
    }
    return rc == 0;
}

int fnl__resident_prepare(struct fnl__job *job, struct fnl_error *err)
{
    struct fnl__resident *r = &job->resident;
    struct fnl__network *n = &job->network;
    if (!fnl_exec_on_accelerator(n->train_exec) || !is_plain(&n->train_feeder)) {
        return 0;
    }
    r->chunk = FIRST_CHUNK;
    if (!job->config->augments) {
        r->order = fnl_malloc(job->splits->train.count * sizeof *r->order);
        r->rate = fnl_malloc(job->batches * sizeof *r->rate);
        if (r->order == NULL || r->rate == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for the order of an epoch");
        }
        r->train = bind(job, n->train_exec, &job->splits->train, &n->train_feeder);
    }
    r->validation = job->validation != NULL &&
                    (fnl_targets_are_counted(&n->eval_feeder.targets) ||
                     !fnl_targets_have_accuracy(&n->eval_feeder.targets)) &&
                    bind(job, n->eval_exec, job->validation, &n->eval_feeder);
    return 0;
}

void fnl__resident_free(struct fnl__resident *r)
{
    fnl_free(r->order);
    fnl_free(r->rate);
    *r = (struct fnl__resident){0};
}

/* More batches at a time while a chunk takes less than it may. */
static void adapt(struct fnl__resident *r, size_t steps, uint64_t ns)
{
    double wanted = (double)steps * CHUNK_NS / (double)(ns > 0 ? ns : 1);
    double most = 8.0 * (double)r->chunk;
    r->chunk = wanted < 1.0 ? 1 : (size_t)(wanted < most ? wanted : most);
}

int fnl__resident_steps(struct fnl__job *job, struct fnl_error *err)
{
    struct fnl__resident *r = &job->resident;
    struct fnl__state *s = &job->state;
    size_t batch = (size_t)job->config->batch, samples = job->splits->train.count;
    size_t first = (size_t)s->batch * batch, left = (size_t)(job->batches - s->batch);
    size_t steps = r->chunk < left ? r->chunk : left;
    if (!r->is_ordered || r->ordered != s->epoch) {
        fnl_loader_order(job->train_loader, s->epoch, r->order);
        r->ordered = s->epoch;
        r->is_ordered = true;
    }
    for (size_t i = 0; i < steps; i++) {
        r->rate[i] = fnl_schedule_rate(&job->config->schedule, s->step + i, job->batches,
                                       (uint64_t)job->config->epochs);
    }
    struct fnl_exec_rows rows = {.order = r->order + first, .count = steps * batch};
    rows.count = rows.count < samples - first ? rows.count : samples - first;
    struct fnl_step_result result;
    uint64_t begin_ns = fnl_clock_ns();
    int rc =
        fnl_exec_train_rows(job->network.train_exec, &rows, r->rate, s->step + 1, &result, err);
    if (rc != 0) {
        return fnl_error_context(err, rc, "epoch %u", s->epoch + 1);
    }
    adapt(r, steps, fnl_clock_ns() - begin_ns);
    s->loss_sum += result.loss_sum;
    s->correct += result.correct;
    s->rows += rows.count;
    s->learning_rate = r->rate[steps - 1];
    s->batch += steps;
    s->step += steps;
    return 0;
}

int fnl__resident_validate(struct fnl__job *job, struct fnl_evaluation *ret, struct fnl_error *err)
{
    struct fnl__resident *r = &job->resident;
    size_t count = job->validation->count, batch = (size_t)job->config->evaluation_batch;
    double loss = 0.0;
    uint64_t correct = 0;
    for (size_t first = 0, steps = r->chunk; first < count; first += steps * batch) {
        struct fnl_exec_rows rows = {.first = first, .count = steps * batch};
        struct fnl_step_result result;
        rows.count = rows.count < count - first ? rows.count : count - first;
        int rc = fnl_exec_run_rows(job->network.eval_exec, &rows, &result, err);
        if (rc == 0 && job->request->stop != NULL && job->request->stop(job->request->stop_arg)) {
            rc = FNL_FAIL(err, INTERRUPTED, NULL, "interrupted");
        }
        if (rc != 0) {
            return rc;
        }
        loss += result.loss_sum;
        correct += result.correct;
    }
    *ret = (struct fnl_evaluation){.rows = count,
                                   .loss = loss / (double)count,
                                   .has_accuracy =
                                       fnl_targets_have_accuracy(&job->network.eval_feeder.targets),
                                   .accuracy = (double)correct / (double)count};
    return 0;
}
