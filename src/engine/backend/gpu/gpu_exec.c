/* gpu_exec.c - the executor of a plan on a device: its memory, and reading what a run left
 * (interface in gpu_exec.h).
 *
 * For each kind of run (number of rows, training or not) the plan's steps, the sums of the loss,
 * and the update are recorded once (gpu_record.c); a run is then: feed up, replay, results down
 * (gpu_run.c).
 *
 * Invariants: (1) the host allocates nothing after the first run of a kind; (2) parameters change
 * only after a finite loss was seen: the update reads FNL_GPU_STOPPED, which the sum of the loss
 * sets before it; (3) running statistics, which move in the forward pass, are copied aside before
 * it and put back by the host when the loss was not finite. */
#include "engine/backend/gpu/gpu_exec_int.h"
#include "engine/backend/gpu/gpu_update.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

/* Work-items of a flat launch's group: eight warps, enough to hide latency, and few enough that a
 * small tensor is spread over the device. */
#define FLAT_GROUP 256

/* ---- memory ---- */

int fnl__gpu_memory(struct fnl_gpu_exec *e, size_t bytes, struct fnl_accel_buf **ret_buf,
                    struct fnl_error *err)
{
    int rc = e->driver->buf_alloc(e->accel, bytes > 0 ? bytes : 4, ret_buf, err);
    e->memory_bytes += rc == 0 ? bytes : 0;
    return rc;
}

/* The largest tensor of the activations, for messages. */
static const struct fnl_operand *largest_tensor(const struct fnl_plan *plan)
{
    const struct fnl_operand *best = NULL;
    for (int s = 0; s < plan->step_count; s++) {
        for (int i = 0; i < plan->step[s].out_count; i++) {
            const struct fnl_operand *o = &plan->step[s].out[i];
            if (o->value >= 0 && o->space == FNL_SPACE_ARENA &&
                (best == NULL || o->row_bytes > best->row_bytes)) {
                best = o;
            }
        }
    }
    return best;
}

/* Says what needs the memory, and which batch would fit. */
static int too_large(const struct fnl_gpu_exec *e, uint64_t free_bytes, struct fnl_error *err)
{
    const struct fnl_plan *plan = e->plan;
    const struct fnl_operand *o = largest_tensor(plan);
    char shape[FNL_SHAPE_TEXT] = "none";
    double batch = (double)e->options.batch, need = (double)plan->arena_bytes;
    double fits = need > 0.0 ? batch * (double)free_bytes * 0.9 / need : batch;
    if (o != NULL) {
        (void)fnl_shape_text(&o->shape, shape);
    }
    int rc = FNL_FAIL(err, NOMEM, NULL,
                      "%s: a batch of %zu needs %.1f MiB for activations (the largest: \"%s\" %s, "
                      "%.1f MiB), and %.1f MiB are free",
                      e->accel->info.name, e->options.batch, need / 1048576.0,
                      o != NULL ? fnl_graph_value(e->graph, o->value)->name : "-", shape,
                      o != NULL ? (double)o->row_bytes * batch / 1048576.0 : 0.0,
                      (double)free_bytes / 1048576.0);
    if (fits >= 1.0) {
        fnl_error_hint(err, "use a smaller batch: about %.0f would fit", floor(fits));
    } else {
        fnl_error_hint(err, "free the device's memory, or use a smaller network");
    }
    return rc;
}

static int alloc_activations(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    uint64_t free_bytes = e->accel->info.memory_bytes;
    if (e->driver->memory_free != NULL) {
        int rc = e->driver->memory_free(e->accel, &free_bytes);
        if (rc != 0) {
            return rc;
        }
    }
    if (e->plan->arena_bytes > free_bytes) {
        return too_large(e, free_bytes, err);
    }
    int rc = fnl__gpu_memory(e, e->plan->arena_bytes, &e->emit.space[FNL_SPACE_ARENA], err);
    if (rc == FNL_E_NOMEM) {
        return too_large(e, free_bytes, err);
    }
    return rc != 0 ? rc : fnl__gpu_memory(e, e->plan->scratch_bytes, &e->emit.scratch, err);
}

static int alloc_training(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    size_t floats = e->params->trainable_size;
    int rc = fnl__gpu_memory(e, floats * sizeof(float), &e->emit.space[FNL_SPACE_GRADIENT], err);
    rc = rc != 0 || floats == 0 ? rc /* padding between gradients stays zero */
                                : e->driver->fill(e->accel, e->emit.space[FNL_SPACE_GRADIENT], 0, 0,
                                                  floats * sizeof(float), err);
    if (rc == 0 && e->params->optimizer.clip_norm > 0.0F) {
        rc = fnl__gpu_memory(e, FNL_GPU_NORM_GROUPS * sizeof(float), &e->partial, err);
    }
    if (rc == 0 && fnl__gpu_state_floats(e) > 0) {
        rc = fnl__gpu_memory(e, fnl__gpu_state_floats(e) * sizeof(float), &e->before, err);
    }
    return rc;
}

/* Room for each input, and for turning images around on the host. */
static int alloc_feeds(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    for (int i = 0; i < fnl_graph_input_count(e->graph); i++) {
        const struct fnl_value *v = fnl_graph_value(e->graph, fnl_graph_input(e->graph, i));
        size_t count = (size_t)fnl_shape_count(&v->shape, (int64_t)e->options.batch);
        size_t bytes = count * fnl_dtype_size(v->dtype);
        int rc = fnl__gpu_memory(e, bytes, &e->emit.space[FNL_SPACE_FEED0 + i], err);
        if (rc != 0) {
            return rc;
        }
        if (!fnl__layouts_alike(&v->shape) && v->dtype == FNL_F32) {
            e->staging[i] = fnl_alloc_aligned(bytes);
            if (e->staging[i] == NULL) {
                return FNL_FAIL(err, NOMEM, "use a smaller batch",
                                "no memory for a batch of images");
            }
        }
    }
    return 0;
}

int fnl__gpu_steps_room(struct fnl_gpu_exec *e, size_t steps, struct fnl_error *err)
{
    if (steps <= e->steps) {
        return 0;
    }
    int rc = e->driver->sync(e->accel, err);
    if (rc != 0) {
        return rc;
    }
    fnl__gpu_drop_recordings(e);
    e->driver->buf_free(e->accel, e->ring);
    e->driver->buf_free(e->accel, e->rates);
    fnl_free(e->host);
    e->ring = e->rates = NULL;
    e->steps = 0;
    e->host = fnl_calloc(steps * 4, sizeof *e->host);
    if (e->host == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for the results of %zu steps", steps);
    }
    rc = fnl__gpu_memory(e, steps * 2 * sizeof(float), &e->ring, err);
    rc = rc != 0 ? rc : fnl__gpu_memory(e, steps * 4 * sizeof(float), &e->rates, err);
    e->steps = rc == 0 ? steps : 0;
    return rc;
}

static int alloc_all(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    size_t constants = e->plan->constant_bytes;
    e->emit.space[FNL_SPACE_PARAM] = e->params->gpu->block[0];
    e->emit.space[FNL_SPACE_STATE] = e->params->gpu->block[0];
    int rc = alloc_activations(e, err);
    rc = rc != 0 ? rc : fnl__gpu_memory(e, constants, &e->emit.space[FNL_SPACE_CONST], err);
    rc = rc != 0 ? rc
                 : e->driver->put(e->accel, e->emit.space[FNL_SPACE_CONST], 0, e->plan->constants,
                                  constants, err);
    rc = rc != 0
             ? rc
             : fnl__gpu_memory(e, FNL_GPU_CONTROL_WORDS * sizeof(uint32_t), &e->emit.control, err);
    rc = rc != 0 ? rc : fnl__gpu_steps_room(e, 1, err);
    rc = rc != 0 ? rc : alloc_feeds(e, err);
    if (rc == 0 && e->options.training) {
        rc = alloc_training(e, err);
    }
    return rc != 0 ? rc : e->driver->sync(e->accel, err);
}

/* FOURNIL_GPU_GROUP: another size of flat groups, for tests. */
static uint32_t flat_group(const struct fnl_accel *accel)
{
    int64_t group = FLAT_GROUP;
    const char *text = getenv("FOURNIL_GPU_GROUP");
    if (text != NULL &&
        (!fnl_parse_int(text, &group) || group < 1 || group > 1024 || (group & (group - 1)) != 0)) {
        group = FLAT_GROUP;
    }
    while (accel->info.max_group > 0 && (uint64_t)group > accel->info.max_group) {
        group /= 2;
    }
    return (uint32_t)group;
}

int fnl__gpu_exec_create(const struct fnl_graph *g, struct fnl_params *params,
                         const struct fnl_plan *plan, const struct fnl_exec_options *options,
                         struct fnl_gpu_exec **ret_exec, struct fnl_error *err)
{
    struct fnl_gpu_exec *e = fnl_calloc(1, sizeof *e);
    if (e == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
    }
    e->graph = g;
    e->params = params;
    e->plan = plan;
    e->options = *options;
    e->accel = fnl__gpu_accel(params->gpu->gpu);
    e->driver = e->accel->driver;
    e->emit.gpu = params->gpu->gpu;
    e->emit.seed = options->seed;
    e->emit.group = flat_group(e->accel);
    fnl__gpu_hold(e->emit.gpu);
    int rc = alloc_all(e, err);
    if (rc != 0) {
        fnl__gpu_exec_free(e);
        return rc;
    }
    *ret_exec = e;
    return 0;
}

void fnl__gpu_exec_free(struct fnl_gpu_exec *e)
{
    if (e == NULL) {
        return;
    }
    (void)e->driver->sync(e->accel, NULL);
    fnl__gpu_drop_recordings(e);
    fnl__gpu_data_free(e);
    for (int s = 0; s < FNL_SPACES; s++) {
        if (s != FNL_SPACE_PARAM && s != FNL_SPACE_STATE) {
            e->driver->buf_free(e->accel, e->emit.space[s]);
        }
    }
    struct fnl_accel_buf *const bufs[] = {e->emit.scratch, e->emit.control, e->ring,
                                          e->rates,        e->partial,      e->before};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        e->driver->buf_free(e->accel, bufs[i]);
    }
    for (int i = 0; i < 4; i++) {
        fnl_free(e->staging[i]);
    }
    fnl_free(e->host);
    fnl__gpu_release(e->emit.gpu);
    fnl_free(e);
}

/* ---- reading ---- */

int fnl__gpu_exec_read(const struct fnl_gpu_exec *e, const struct fnl_operand *src, size_t rows,
                       float *dst, struct fnl_error *err)
{
    size_t count = src->row_size * (src->row_bytes > 0 ? rows : 1);
    return e->driver->get(e->accel, e->emit.space[src->space], src->offset, dst,
                          count * sizeof(float), err);
}

int fnl__gpu_exec_read_gradient(const struct fnl_gpu_exec *e, size_t offset, size_t count,
                                float *dst, struct fnl_error *err)
{
    return e->driver->get(e->accel, e->emit.space[FNL_SPACE_GRADIENT], offset * sizeof(float), dst,
                          count * sizeof(float), err);
}

size_t fnl__gpu_exec_memory_bytes(const struct fnl_gpu_exec *e)
{
    size_t bytes = e->memory_bytes;
    for (int b = 0; b < 3; b++) {
        bytes += e->params->gpu->size[b] * sizeof(float);
    }
    return bytes;
}
