/* gpu_exec.c - records a plan on a device, and replays it (interface in gpu_exec.h).
 *
 * For each number of rows that comes, the plan's steps, the sums of the loss, and the update are
 * recorded once; a run is then: feed up, replay, results down. Where in the run a replay stands
 * (step, learning rate) it reads from buffers on the device, so a recording is never changed.
 *
 * Invariants: (1) the host allocates nothing after the first run of a number of rows; (2)
 * parameters change only after a finite loss was seen: the update reads FNL_GPU_STOPPED, which the
 * sum of the loss sets before it; (3) running statistics, which move in the forward pass, are
 * copied aside before it and put back by the host when the loss was not finite. */
#include "engine/backend/gpu/gpu_exec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/backend/gpu/gpu_params.h"
#include "engine/params_int.h"

/* Work-items of a flat launch's group: eight warps, enough to hide latency, and few enough that a
 * small tensor is spread over the device. */
#define FLAT_GROUP 256
#define NORM_GROUPS 64 /* first stage of the gradients' norm */

struct recording {
    size_t rows; /* 0: free */
    bool train;  /* with the update */
    struct fnl_accel_rec *rec;
    int launches;
    uint64_t used; /* clock of the last use: the oldest makes room */
};

struct fnl_gpu_exec {
    const struct fnl_graph *graph;
    struct fnl_params *params;
    const struct fnl_plan *plan;
    struct fnl_exec_options options;
    struct fnl_accel *accel;
    const struct fnl_accel_driver *driver;
    struct fnl_gpu_emit emit;
    struct fnl_accel_buf *ring;    /* [steps][2]: loss, correct */
    struct fnl_accel_buf *rates;   /* [steps][4]: see optimizer.k */
    struct fnl_accel_buf *correct; /* u32[batch] */
    struct fnl_accel_buf *partial; /* [NORM_GROUPS], clipping by norm */
    struct fnl_accel_buf *before;  /* running statistics before the step */
    float *staging[4];             /* images in ONNX order */
    struct recording recording[FNL_MAX_RECORDINGS];
    uint64_t clock;
    size_t memory_bytes;
};

/* ---- memory ---- */

static size_t state_floats(const struct fnl_gpu_exec *e)
{
    return e->options.training ? e->params->size - e->params->trainable_size : 0;
}

static int get_memory(struct fnl_gpu_exec *e, size_t bytes, struct fnl_accel_buf **ret_buf,
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
    int rc = get_memory(e, e->plan->arena_bytes, &e->emit.space[FNL_SPACE_ARENA], err);
    if (rc == FNL_E_NOMEM) {
        return too_large(e, free_bytes, err);
    }
    return rc != 0 ? rc : get_memory(e, e->plan->scratch_bytes, &e->emit.scratch, err);
}

static int alloc_training(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    size_t floats = e->params->trainable_size;
    int rc = get_memory(e, floats * sizeof(float), &e->emit.space[FNL_SPACE_GRADIENT], err);
    rc = rc != 0 || floats == 0 ? rc /* padding between gradients stays zero */
                                : e->driver->fill(e->accel, e->emit.space[FNL_SPACE_GRADIENT], 0, 0,
                                                  floats * sizeof(float), err);
    rc = rc != 0 ? rc : get_memory(e, 4 * sizeof(float), &e->rates, err);
    if (rc == 0 && e->params->optimizer.clip_norm > 0.0F) {
        rc = get_memory(e, NORM_GROUPS * sizeof(float), &e->partial, err);
    }
    if (rc == 0 && state_floats(e) > 0) {
        rc = get_memory(e, state_floats(e) * sizeof(float), &e->before, err);
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
        int rc = get_memory(e, bytes, &e->emit.space[FNL_SPACE_FEED0 + i], err);
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

static int alloc_all(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    size_t constants = e->plan->constant_bytes;
    e->emit.space[FNL_SPACE_PARAM] = e->params->gpu->block[0];
    e->emit.space[FNL_SPACE_STATE] = e->params->gpu->block[0];
    int rc = alloc_activations(e, err);
    rc = rc != 0 ? rc : get_memory(e, constants, &e->emit.space[FNL_SPACE_CONST], err);
    rc = rc != 0 ? rc
                 : e->driver->put(e->accel, e->emit.space[FNL_SPACE_CONST], 0, e->plan->constants,
                                  constants, err);
    rc = rc != 0 ? rc
                 : get_memory(e, FNL_GPU_CONTROL_WORDS * sizeof(uint32_t), &e->emit.control, err);
    rc = rc != 0 ? rc : get_memory(e, 2 * sizeof(float), &e->ring, err);
    rc = rc != 0 ? rc : get_memory(e, e->options.batch * sizeof(uint32_t), &e->correct, err);
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
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        e->driver->rec_free(e->accel, e->recording[i].rec);
    }
    for (int s = 0; s < FNL_SPACES; s++) {
        if (s != FNL_SPACE_PARAM && s != FNL_SPACE_STATE) {
            e->driver->buf_free(e->accel, e->emit.space[s]);
        }
    }
    struct fnl_accel_buf *const bufs[] = {e->emit.scratch, e->emit.control, e->ring,  e->rates,
                                          e->correct,      e->partial,      e->before};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        e->driver->buf_free(e->accel, bufs[i]);
    }
    for (int i = 0; i < 4; i++) {
        fnl_free(e->staging[i]);
    }
    fnl__gpu_release(e->emit.gpu);
    fnl_free(e);
}

/* ---- recording ---- */

/* The operand of a value that is kept; value -1 when it has no place. */
static struct fnl_operand operand_of(const struct fnl_gpu_exec *e, int value)
{
    struct fnl_operand o = {.value = -1};
    enum fnl_layout layout = FNL_LAYOUT_PLAIN;
    int slot = value < 0 ? -1 : fnl__plan_slot(e->plan, value, &layout);
    if (slot >= 0) {
        const struct fnl_value *v = fnl_graph_value(e->graph, value);
        o = (struct fnl_operand){.value = value,
                                 .space = e->plan->slot[slot].space,
                                 .dtype = v->dtype,
                                 .shape = v->shape,
                                 .offset = e->plan->slot[slot].offset,
                                 .row_bytes = e->plan->slot[slot].row_bytes,
                                 .row_size = (size_t)fnl_shape_count(&v->shape, 1)};
    }
    return o;
}

/* Flags the rows whose best score is their label; *ret_counts says whether there are labels. */
static int emit_correct(struct fnl_gpu_exec *e, bool *ret_counts, struct fnl_error *err)
{
    *ret_counts = false;
    struct fnl_operand scores = operand_of(e, e->options.scores_value);
    int producer = fnl_graph_value(e->graph, e->options.loss_value)->producer;
    struct fnl_operand labels = operand_of(e, fnl_graph_node(e->graph, producer)->input[1]);
    if (scores.value < 0 || labels.value < 0 || labels.dtype != FNL_I32) {
        return 0;
    }
    *ret_counts = true;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "loss", "correct");
    fnl__gpu_u32(&c, e->emit.rows);
    fnl__gpu_u32(&c, scores.row_size);
    fnl__gpu_ptr(&c, &scores);
    fnl__gpu_ptr(&c, &labels);
    fnl__gpu_buf(&c, e->correct, 0);
    return fnl__gpu_flat(&c, e->emit.rows, err);
}

/* Sums of the loss and of the rows that were right, into the ring. */
static int emit_loss(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    struct fnl_operand loss = operand_of(e, e->options.loss_value);
    bool counts = false;
    if (loss.value < 0) {
        return 0;
    }
    int rc = emit_correct(e, &counts, err);
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "loss", "loss_sum");
    fnl__gpu_u32(&c, e->emit.rows);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_ptr(&c, &loss);
    fnl__gpu_buf(&c, e->correct, 0);
    fnl__gpu_i32(&c, counts ? 1 : 0);
    fnl__gpu_buf(&c, e->ring, 0);
    fnl__gpu_i32(&c, e->options.training ? 1 : 0);
    return rc != 0 ? rc : fnl__gpu_grid(&c, 1, 1, 1, 256, 1, err);
}

/* The norm of all gradients, in two stages. */
static int emit_norm(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "optimizer", "norm2");
    fnl__gpu_u32(&c, e->params->trainable_size);
    fnl__gpu_buf(&c, e->emit.space[FNL_SPACE_GRADIENT], 0);
    fnl__gpu_buf(&c, e->partial, 0);
    int rc = fnl__gpu_grid(&c, NORM_GROUPS, 1, 1, 256, 1, err);
    fnl__gpu_call(&c, &e->emit, "optimizer", "norm2_scale");
    fnl__gpu_u32(&c, NORM_GROUPS);
    fnl__gpu_buf(&c, e->partial, 0);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_f32(&c, e->params->optimizer.clip_norm);
    return rc != 0 ? rc : fnl__gpu_grid(&c, 1, 1, 1, 256, 1, err);
}

static int emit_update(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    const struct fnl_optimizer *o = &e->params->optimizer;
    const struct fnl_gpu_params *ps = e->params->gpu;
    size_t count = e->params->trainable_size;
    bool clips = o->clip_norm > 0.0F;
    int rc = clips ? emit_norm(e, err) : 0;
    if (rc != 0 || count == 0) {
        return rc;
    }
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "optimizer", o->kind == FNL_SGD ? "sgd" : "adam");
    fnl__gpu_u32(&c, count);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_buf(&c, e->rates, 0);
    fnl__gpu_buf(&c, e->emit.space[FNL_SPACE_GRADIENT], 0);
    fnl__gpu_buf(&c, ps->block[0], 0);
    fnl__gpu_buf(&c, ps->block[1], 0);
    if (o->kind == FNL_SGD) {
        fnl__gpu_f32(&c, o->momentum);
        fnl__gpu_i32(&c, o->nesterov ? 1 : 0);
        fnl__gpu_f32(&c, o->weight_decay);
    } else {
        fnl__gpu_buf(&c, ps->block[2], 0);
        fnl__gpu_f32(&c, o->beta1);
        fnl__gpu_f32(&c, o->beta2);
        fnl__gpu_f32(&c, o->epsilon);
        fnl__gpu_f32(&c, o->weight_decay);
        fnl__gpu_i32(&c, o->kind == FNL_ADAMW ? 1 : 0);
    }
    fnl__gpu_f32(&c, o->clip_value);
    fnl__gpu_i32(&c, clips ? 1 : 0);
    return fnl__gpu_flat(&c, count, err);
}

static int emit_all(struct fnl_gpu_exec *e, bool train, struct fnl_error *err)
{
    int rc = 0;
    if (train && e->before != NULL) {
        rc = e->driver->copy(e->accel, e->before, 0, e->params->gpu->block[0],
                             e->params->trainable_size * sizeof(float),
                             state_floats(e) * sizeof(float), err);
    }
    for (int s = 0; rc == 0 && s < e->plan->step_count; s++) {
        const struct fnl_step *step = &e->plan->step[s];
        rc = step->impl->launch(step, &e->emit, err);
        if (rc != 0) {
            return fnl_error_context(err, rc, "node \"%s\"",
                                     step->node != NULL ? step->node->name : step->impl->name);
        }
    }
    if (rc == 0 && e->options.loss_value >= 0) {
        rc = emit_loss(e, err);
    }
    return rc == 0 && train ? emit_update(e, err) : rc;
}

/* A place for a new recording: a free one, or the one unused for longest. */
static struct recording *make_room(struct fnl_gpu_exec *e)
{
    struct recording *oldest = &e->recording[0];
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        if (e->recording[i].rows == 0) {
            return &e->recording[i];
        }
        oldest = e->recording[i].used < oldest->used ? &e->recording[i] : oldest;
    }
    e->driver->rec_free(e->accel, oldest->rec);
    *oldest = (struct recording){0};
    return oldest;
}

static int record(struct fnl_gpu_exec *e, size_t rows, bool train, struct recording **ret,
                  struct fnl_error *err)
{
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        if (e->recording[i].rows == rows && e->recording[i].train == train) {
            *ret = &e->recording[i];
            return 0;
        }
    }
    struct recording *r = make_room(e);
    e->emit.rows = rows;
    e->emit.launches = 0;
    int rc = e->driver->rec_begin(e->accel, err);
    if (rc != 0) {
        return rc;
    }
    rc = emit_all(e, train, err);
    int end = e->driver->rec_end(e->accel, &r->rec, rc == 0 ? err : NULL);
    if (rc != 0 || end != 0) {
        if (end == 0) {
            e->driver->rec_free(e->accel, r->rec);
        }
        r->rec = NULL;
        return rc != 0 ? rc : end;
    }
    r->rows = rows;
    r->train = train;
    r->launches = e->emit.launches;
    *ret = r;
    return 0;
}

/* ---- a run ---- */

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

/* Tells the recording where it stands: one step, of this number and rate. */
static int put_control(struct fnl_gpu_exec *e, bool train, double rate, uint64_t step,
                       uint32_t *control, float *rates, struct fnl_error *err)
{
    memset(control, 0, FNL_GPU_CONTROL_WORDS * sizeof *control);
    control[FNL_GPU_STEP_LO] = (uint32_t)step;
    control[FNL_GPU_STEP_HI] = (uint32_t)(step >> 32);
    int rc = e->driver->put(e->accel, e->emit.control, 0, control,
                            FNL_GPU_CONTROL_WORDS * sizeof *control, err);
    if (rc != 0 || !train) {
        return rc;
    }
    set_rates(&e->params->optimizer, rate, step, rates);
    return e->driver->put(e->accel, e->rates, 0, rates, 4 * sizeof *rates, err);
}

static int get_result(struct fnl_gpu_exec *e, struct fnl_step_result *ret, struct fnl_error *err)
{
    float ring[2] = {0.0F, 0.0F};
    *ret = (struct fnl_step_result){0};
    if (e->options.loss_value < 0) {
        return e->driver->sync(e->accel, err);
    }
    int rc = e->driver->get(e->accel, e->ring, 0, ring, sizeof ring, err);
    uint32_t correct = 0;
    memcpy(&correct, &ring[1], sizeof correct);
    ret->loss_sum = (double)ring[0];
    ret->correct = correct;
    if (rc == 0 && e->partial != NULL) {
        float norm = 0.0F;
        rc = e->driver->get(e->accel, e->emit.control, FNL_GPU_NORM * sizeof(uint32_t), &norm,
                            sizeof norm, err);
        ret->grad_norm = (double)norm;
    }
    return rc;
}

static int diverged(struct fnl_gpu_exec *e, uint64_t step, struct fnl_error *err)
{
    if (e->before != NULL) {
        int rc = e->driver->copy(e->accel, e->params->gpu->block[0],
                                 e->params->trainable_size * sizeof(float), e->before, 0,
                                 state_floats(e) * sizeof(float), err);
        rc = rc != 0 ? rc : e->driver->sync(e->accel, err);
        if (rc != 0) {
            return rc;
        }
    }
    return FNL_FAIL(err, DIVERGED,
                    "lower train.optimizer.learning_rate, or set train.clip_norm: 1.0",
                    "the loss is not a finite number at step %llu", (unsigned long long)step);
}

int fnl__gpu_exec_run(struct fnl_gpu_exec *e, const struct fnl_feed *feed, bool train, double rate,
                      uint64_t step, struct fnl_step_result *ret, struct fnl_error *err)
{
    uint32_t control[FNL_GPU_CONTROL_WORDS];
    float rates[4];
    struct recording *r = NULL;
    if (feed->rows < 1 || feed->rows > e->options.batch) {
        return FNL_FAIL(err, INVALID, NULL, "%zu rows for a plan of up to %zu", feed->rows,
                        e->options.batch);
    }
    int rc = record(e, feed->rows, train, &r, err);
    rc = rc != 0 ? rc : put_feed(e, feed, err);
    rc = rc != 0 ? rc : put_control(e, train, rate, step, control, rates, err);
    rc = rc != 0 ? rc : e->driver->rec_run(e->accel, r->rec, err);
    struct fnl_step_result result;
    rc = rc != 0 ? rc : get_result(e, &result, err);
    if (rc != 0) {
        return rc;
    }
    r->used = ++e->clock;
    if (train && !isfinite(result.loss_sum)) {
        return diverged(e, step, err);
    }
    *ret = result;
    return 0;
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

int fnl__gpu_exec_launches(const struct fnl_gpu_exec *e, size_t rows)
{
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        if (e->recording[i].rows == rows && e->recording[i].train == e->options.training) {
            return e->recording[i].launches;
        }
    }
    return 0;
}
