/* gpu_data.c - a data set on the device, and many steps over it without the host (interface in
 * engine/exec.h: fnl_exec_bind, fnl_exec_train_rows, fnl_exec_run_rows).
 *
 * Samples stay as they were read (bytes stay bytes). A call sends the order of its rows once,
 * queues one replay a step, and reads all sums back at the end. Recordings find their rows by the
 * step counter on the device. */
#include <string.h>

#include "base/mem.h"
#include "engine/backend/gpu/gpu_exec_int.h"

void fnl__gpu_data_free(struct fnl_gpu_exec *e)
{
    struct fnl_gpu_data *d = &e->data;
    struct fnl_accel_buf *const bufs[] = {d->x,      d->scale,   d->shift,
                                          d->labels, d->targets, d->index};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        e->driver->buf_free(e->accel, bufs[i]);
    }
    fnl_free(d->order);
    *d = (struct fnl_gpu_data){.x = NULL};
}

/* ---- upload ---- */

static int upload(struct fnl_gpu_exec *e, const void *src, size_t bytes,
                  struct fnl_accel_buf **ret_buf, struct fnl_error *err)
{
    int rc = fnl__gpu_memory(e, bytes, ret_buf, err);
    return rc != 0 ? rc : e->driver->put(e->accel, *ret_buf, 0, src, bytes, err);
}

/* One multiplier and one summand a channel, as the gather kernels take them. */
static int upload_normalization(struct fnl_gpu_exec *e, const struct fnl_exec_data *set,
                                struct fnl_error *err)
{
    struct fnl_gpu_data *d = &e->data;
    size_t channels = set->image_channels;
    float *mul = fnl_malloc(2 * channels * sizeof *mul);
    if (mul == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a data set");
    }
    for (size_t c = 0; c < channels; c++) {
        size_t from = set->norm_channels == 1 ? 0 : c;
        mul[c] = set->norm_channels > 0 ? set->mul[from] : 1.0F;
        mul[channels + c] = set->norm_channels > 0 ? set->add[from] : 0.0F;
    }
    int rc = upload(e, mul, channels * sizeof *mul, &d->scale, err);
    rc = rc != 0 ? rc : upload(e, mul + channels, channels * sizeof *mul, &d->shift, err);
    int done = e->driver->sync(e->accel, rc == 0 ? err : NULL); /* mul is about to go */
    fnl_free(mul);
    return rc != 0 ? rc : done;
}

static int check_set(const struct fnl_gpu_exec *e, const struct fnl_exec_data *set,
                     struct fnl_error *err)
{
    const struct fnl_graph *g = e->graph;
    const struct fnl_value *x = fnl_graph_value(g, fnl_graph_input(g, set->input));
    size_t row = (size_t)fnl_shape_count(&x->shape, 1);
    if (set->count == 0 || set->count > UINT32_MAX || row != set->sample_size ||
        set->sample_size % set->image_channels != 0 ||
        (set->norm_channels > 1 && (size_t)set->norm_channels != set->image_channels) ||
        (set->labels == NULL) == (set->targets == NULL)) {
        return FNL_FAIL(err, INVALID, NULL, "the data set does not fit the network");
    }
    return 0;
}

int fnl__gpu_exec_bind(struct fnl_gpu_exec *e, const struct fnl_exec_data *set,
                       struct fnl_error *err)
{
    struct fnl_gpu_data *d = &e->data;
    size_t bytes = set->sample_size * (set->dtype == FNL_U8 ? 1 : sizeof(float));
    int rc = check_set(e, set, err);
    rc = rc != 0 ? rc : e->driver->sync(e->accel, err);
    if (rc != 0) {
        return rc;
    }
    fnl__gpu_drop_recordings(e);
    fnl__gpu_data_free(e);
    rc = upload(e, set->x, set->count * bytes, &d->x, err);
    rc = rc != 0 ? rc : upload_normalization(e, set, err);
    if (rc == 0 && set->labels != NULL) {
        rc = upload(e, set->labels, set->count * sizeof(int32_t), &d->labels, err);
    } else if (rc == 0) {
        rc = upload(e, set->targets, set->count * set->target_size * sizeof(float), &d->targets,
                    err);
    }
    rc = rc != 0 ? rc : e->driver->sync(e->accel, err);
    if (rc != 0) {
        fnl__gpu_data_free(e);
        return fnl_error_context(err, rc, "%zu samples", set->count);
    }
    d->set = *set;
    d->set.x = NULL;
    d->set.labels = NULL;
    d->set.targets = d->set.mul = d->set.add = NULL;
    return 0;
}

/* ---- the gather, recorded in front of a step ---- */

static int gather_targets(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    const struct fnl_gpu_data *d = &e->data;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "data", "gather_targets");
    fnl__gpu_u32(&c, e->emit.rows);
    fnl__gpu_u32(&c, d->set.target_size);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_buf(&c, d->index, 0);
    fnl__gpu_u32(&c, e->options.batch);
    fnl__gpu_buf(&c, d->targets, 0);
    fnl__gpu_buf(&c, e->emit.space[FNL_SPACE_FEED0 + d->set.target], 0);
    return fnl__gpu_flat(&c, e->emit.rows * d->set.target_size, err);
}

int fnl__gpu_emit_gather(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    const struct fnl_gpu_data *d = &e->data;
    bool is_u8 = d->set.dtype == FNL_U8, has_labels = d->labels != NULL;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "data", is_u8 ? "gather_u8" : "gather_f32");
    fnl__gpu_u32(&c, e->emit.rows);
    fnl__gpu_u32(&c, d->set.sample_size);
    fnl__gpu_u32(&c, d->set.image_channels);
    fnl__gpu_u32(&c, d->set.sample_size / d->set.image_channels);
    fnl__gpu_i32(&c, d->set.channels_last ? 1 : 0);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_buf(&c, d->index, 0);
    fnl__gpu_u32(&c, e->options.batch);
    fnl__gpu_buf(&c, d->x, 0);
    if (!is_u8) {
        fnl__gpu_i32(&c, d->set.norm_channels > 0 ? 1 : 0);
    }
    fnl__gpu_buf(&c, d->scale, 0);
    fnl__gpu_buf(&c, d->shift, 0);
    fnl__gpu_buf(&c, e->emit.space[FNL_SPACE_FEED0 + d->set.input], 0);
    fnl__gpu_i32(&c, has_labels ? 1 : 0);
    fnl__gpu_buf(&c, d->labels, 0);
    fnl__gpu_buf(&c, has_labels ? e->emit.space[FNL_SPACE_FEED0 + d->set.target] : NULL, 0);
    int rc = fnl__gpu_flat(&c, e->emit.rows * d->set.sample_size, err);
    return rc != 0 || has_labels ? rc : gather_targets(e, err);
}

/* ---- steps ---- */

static int index_room(struct fnl_gpu_exec *e, size_t rows, struct fnl_error *err)
{
    struct fnl_gpu_data *d = &e->data;
    if (rows <= d->index_rows) {
        return 0;
    }
    fnl__gpu_drop_recordings(e);
    e->driver->buf_free(e->accel, d->index);
    fnl_free(d->order);
    d->index = NULL;
    d->index_rows = 0;
    d->order = fnl_malloc(rows * sizeof *d->order);
    if (d->order == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for the order of %zu samples", rows);
    }
    int rc = fnl__gpu_memory(e, rows * sizeof *d->order, &d->index, err);
    d->index_rows = rc == 0 ? rows : 0;
    return rc;
}

/* The samples of the rows, checked: a wrong number would read outside the data set. */
static int put_order(struct fnl_gpu_exec *e, const struct fnl_exec_rows *rows,
                     struct fnl_error *err)
{
    struct fnl_gpu_data *d = &e->data;
    for (size_t i = 0; i < rows->count; i++) {
        uint32_t sample = rows->order != NULL ? rows->order[i] : (uint32_t)(rows->first + i);
        if (sample >= d->set.count) {
            return FNL_FAIL(err, INVALID, NULL, "sample %u of %zu", sample, d->set.count);
        }
        d->order[i] = sample;
    }
    return e->driver->put(e->accel, d->index, 0, d->order, rows->count * sizeof *d->order, err);
}

/* Room for everything, before anything is recorded: growing drops recordings. */
static int prepare(struct fnl_gpu_exec *e, const struct fnl_exec_rows *rows, size_t steps,
                   struct fnl_error *err)
{
    if (e->data.x == NULL || rows->count == 0) {
        return FNL_FAIL(err, INVALID, NULL, "no data set is bound, or no rows");
    }
    int rc = fnl__gpu_steps_room(e, steps, err);
    rc = rc != 0 ? rc : index_room(e, rows->count, err);
    return rc != 0 ? rc : put_order(e, rows, err);
}

int fnl__gpu_exec_run_rows(struct fnl_gpu_exec *e, const struct fnl_exec_rows *rows,
                           const double *rate, uint64_t step, struct fnl_step_result *ret,
                           struct fnl_error *err)
{
    size_t batch = e->options.batch, whole = rows->count / batch, rest = rows->count % batch;
    size_t steps = whole + (rest > 0 ? 1 : 0);
    struct fnl_gpu_recording *full = NULL, *last = NULL;
    struct fnl_gpu_kind kind = {.rows = batch, .train = rate != NULL, .bound = true};
    int rc = prepare(e, rows, steps, err);
    if (rc == 0 && whole > 0) {
        rc = fnl__gpu_record(e, kind, &full, err);
    }
    kind.rows = rest;
    if (rc == 0 && rest > 0) {
        rc = fnl__gpu_record(e, kind, &last, err);
    }
    rc = rc != 0 ? rc : fnl__gpu_put_control(e, rate, steps, step, err);
    for (size_t i = 0; rc == 0 && i < steps; i++) {
        rc = e->driver->rec_run(e->accel, i < whole ? full->rec : last->rec, err);
    }
    return rc != 0 ? rc : fnl__gpu_get_results(e, rate != NULL, steps, step, ret, err);
}
