/* gpu_run.c - runs recordings: where they stand up, their sums down (interface in gpu_exec.h).
 *
 * Numbers of a call go up in one transfer each before its first step and come down in one after its
 * last; between them the host only queues replays. */
#include <math.h>
#include <string.h>

#include "engine/backend/gpu/gpu_exec_int.h"

static int put_feed(struct fnl_gpu_exec *e, const struct fnl_feed *feed, struct fnl_error *err)
{
    for (int i = 0; i < fnl_graph_input_count(e->graph); i++) {
        const struct fnl_value *v = fnl_graph_value(e->graph, fnl_graph_input(e->graph, i));
        const void *rows = feed->input[i];
        bool is_batched = v->shape.rank > 0 && v->shape.dim[0] == FNL_DIM_BATCH;
        size_t count = (size_t)fnl_shape_count(&v->shape, 1) * (is_batched ? feed->rows : 1);
        if (e->staging[i] != NULL && feed->images_channels_last) {
            fnl__reorder_images(&v->shape, feed->rows, false, rows, e->staging[i]);
            rows = e->staging[i];
        }
        int rc = e->driver->put(e->accel, e->emit.space[FNL_SPACE_FEED0 + i], 0, rows,
                                count * fnl_dtype_size(v->dtype), err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* What the update of one step needs of its number: see optimizer.k. */
static void set_rates(const struct fnl_optimizer *o, double rate, uint64_t step, float ret[4])
{
    ret[0] = (float)rate;
    ret[1] = (float)(1.0 - pow((double)o->beta1, (double)step));
    ret[2] = (float)(1.0 - pow((double)o->beta2, (double)step));
    ret[3] = 0.0F;
}

int fnl__gpu_put_control(struct fnl_gpu_exec *e, const double *rate, size_t steps, uint64_t step,
                         struct fnl_error *err)
{
    memset(e->control, 0, sizeof e->control);
    e->control[FNL_GPU_STEP_LO] = (uint32_t)step;
    e->control[FNL_GPU_STEP_HI] = (uint32_t)(step >> 32);
    int rc = e->driver->put(e->accel, e->emit.control, 0, e->control, sizeof e->control, err);
    if (rc != 0 || rate == NULL) {
        return rc;
    }
    for (size_t i = 0; i < steps; i++) {
        set_rates(&e->params->optimizer, rate[i], step + i, e->host + 4 * i);
    }
    return e->driver->put(e->accel, e->rates, 0, e->host, steps * 4 * sizeof *e->host, err);
}

/* The running statistics of before the step that failed, which was the last to move them. */
static int restore_state(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    if (e->before == NULL) {
        return 0;
    }
    int rc = e->driver->copy(e->accel, e->params->gpu->block[0],
                             e->params->trainable_size * sizeof(float), e->before, 0,
                             fnl__gpu_state_floats(e) * sizeof(float), err);
    return rc != 0 ? rc : e->driver->sync(e->accel, err);
}

static int diverged(struct fnl_gpu_exec *e, uint64_t step, struct fnl_error *err)
{
    int rc = restore_state(e, err);
    return rc != 0
               ? rc
               : FNL_FAIL(err, DIVERGED,
                          "lower train.optimizer.learning_rate, or set train.clip_norm: 1.0",
                          "the loss is not a finite number at step %llu", (unsigned long long)step);
}

int fnl__gpu_get_results(struct fnl_gpu_exec *e, bool train, size_t steps, uint64_t step,
                         struct fnl_step_result *ret, struct fnl_error *err)
{
    struct fnl_step_result sum = {0};
    if (e->options.loss_value < 0) {
        return e->driver->sync(e->accel, err);
    }
    int rc = e->driver->get(e->accel, e->ring, 0, e->host, steps * 2 * sizeof *e->host, err);
    for (size_t i = 0; rc == 0 && i < steps; i++) {
        uint32_t correct = 0;
        memcpy(&correct, &e->host[2 * i + 1], sizeof correct);
        sum.loss_sum += (double)e->host[2 * i];
        sum.correct += correct;
        if (train && !isfinite(e->host[2 * i])) {
            return diverged(e, step + i, err);
        }
    }
    if (rc == 0 && train && e->partial != NULL) {
        float norm = 0.0F;
        rc = e->driver->get(e->accel, e->emit.control, FNL_GPU_NORM * sizeof(uint32_t), &norm,
                            sizeof norm, err);
        sum.grad_norm = (double)norm;
    }
    if (rc == 0) {
        *ret = sum;
    }
    return rc;
}

int fnl__gpu_exec_run(struct fnl_gpu_exec *e, const struct fnl_feed *feed, bool train, double rate,
                      uint64_t step, struct fnl_step_result *ret, struct fnl_error *err)
{
    struct fnl_gpu_recording *r = NULL;
    if (feed->rows < 1 || feed->rows > e->options.batch) {
        return FNL_FAIL(err, INVALID, NULL, "%zu rows for a plan of up to %zu", feed->rows,
                        e->options.batch);
    }
    struct fnl_gpu_kind kind = {.rows = feed->rows, .train = train};
    int rc = fnl__gpu_record(e, kind, &r, err);
    rc = rc != 0 ? rc : put_feed(e, feed, err);
    rc = rc != 0 ? rc : fnl__gpu_put_control(e, train ? &rate : NULL, 1, step, err);
    rc = rc != 0 ? rc : e->driver->rec_run(e->accel, r->rec, err);
    return rc != 0 ? rc : fnl__gpu_get_results(e, train, 1, step, ret, err);
}
