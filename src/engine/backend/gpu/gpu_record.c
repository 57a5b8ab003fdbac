/* gpu_record.c - from a plan to a recording: its steps, the sums of the loss, the update (interface
 * in gpu_exec_int.h).
 *
 * A recording is made once for each kind of run and never changed: where in the training it stands
 * it reads from the control buffer (enum fnl_gpu_control) and from tables by step. */
#include "engine/backend/gpu/gpu_exec_int.h"
#include "engine/backend/gpu/gpu_update.h"

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

/* Sums of the loss and of the rows that were right, into the ring. Rows are counted where the
 * labels are class numbers. */
static int emit_loss(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    struct fnl_operand loss = operand_of(e, e->options.loss_value);
    struct fnl_operand scores = operand_of(e, e->options.scores_value);
    if (loss.value < 0) {
        return 0;
    }
    int producer = fnl_graph_value(e->graph, e->options.loss_value)->producer;
    struct fnl_operand labels = operand_of(e, fnl_graph_node(e->graph, producer)->input[1]);
    bool counts = scores.value >= 0 && labels.value >= 0 && labels.dtype == FNL_I32;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &e->emit, "loss", "loss_sum");
    fnl__gpu_u32(&c, e->emit.rows);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_ptr(&c, &loss);
    fnl__gpu_ptr(&c, &scores);
    fnl__gpu_ptr(&c, &labels);
    fnl__gpu_u32(&c, counts ? scores.row_size : 0);
    fnl__gpu_buf(&c, e->ring, 0);
    fnl__gpu_i32(&c, e->options.training ? 1 : 0);
    return fnl__gpu_grid(&c, 1, 1, 1, 256, 1, err);
}

static int emit_update(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    const struct fnl_optimizer *o = &e->params->optimizer;
    const struct fnl_gpu_update u = {.optimizer = o,
                                     .count = e->params->trainable_size,
                                     .gradient = e->emit.space[FNL_SPACE_GRADIENT],
                                     .block = e->params->gpu->block,
                                     .rates = e->rates};
    bool clips = o->clip_norm > 0.0F;
    if (u.count == 0) {
        return 0;
    }
    int rc =
        clips ? fnl__gpu_norm(&e->emit, &u, e->partial, FNL_GPU_NORM_GROUPS, o->clip_norm, err) : 0;
    return rc != 0 ? rc : fnl__gpu_update(&e->emit, &u, clips, err);
}

/* Running statistics move in the forward pass: aside with them, for when the loss is not finite. */
static int emit_keep(struct fnl_gpu_exec *e, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    size_t count = fnl__gpu_state_floats(e);
    fnl__gpu_call(&c, &e->emit, "optimizer", "keep");
    fnl__gpu_u32(&c, count);
    fnl__gpu_buf(&c, e->emit.control, 0);
    fnl__gpu_buf(&c, e->params->gpu->block[0], e->params->trainable_size * sizeof(float));
    fnl__gpu_buf(&c, e->before, 0);
    return fnl__gpu_flat(&c, count, err);
}

static int emit_all(struct fnl_gpu_exec *e, struct fnl_gpu_kind kind, struct fnl_error *err)
{
    int rc = kind.bound ? fnl__gpu_emit_gather(e, err) : 0;
    if (rc == 0 && kind.train && e->before != NULL) {
        rc = emit_keep(e, err);
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
    return rc == 0 && kind.train ? emit_update(e, err) : rc;
}

static void drop(struct fnl_gpu_exec *e, struct fnl_gpu_recording *r)
{
    e->driver->rec_free(e->accel, r->rec);
    *r = (struct fnl_gpu_recording){.rec = NULL};
}

void fnl__gpu_drop_recordings(struct fnl_gpu_exec *e)
{
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        drop(e, &e->recording[i]);
    }
}

/* A place for a new recording: a free one, or the one unused for longest. */
static struct fnl_gpu_recording *make_room(struct fnl_gpu_exec *e)
{
    struct fnl_gpu_recording *oldest = &e->recording[0];
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        if (e->recording[i].kind.rows == 0) {
            return &e->recording[i];
        }
        oldest = e->recording[i].used < oldest->used ? &e->recording[i] : oldest;
    }
    drop(e, oldest);
    return oldest;
}

static struct fnl_gpu_recording *find(struct fnl_gpu_exec *e, struct fnl_gpu_kind kind)
{
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        const struct fnl_gpu_kind *k = &e->recording[i].kind;
        if (k->rows == kind.rows && k->train == kind.train && k->bound == kind.bound) {
            return &e->recording[i];
        }
    }
    return NULL;
}

int fnl__gpu_record(struct fnl_gpu_exec *e, struct fnl_gpu_kind kind,
                    struct fnl_gpu_recording **ret, struct fnl_error *err)
{
    struct fnl_gpu_recording *r = find(e, kind);
    if (r == NULL) {
        r = make_room(e);
        e->emit.rows = kind.rows;
        e->emit.launches = 0;
        int rc = e->driver->rec_begin(e->accel, err);
        if (rc != 0) {
            return rc;
        }
        rc = emit_all(e, kind, err);
        int end = e->driver->rec_end(e->accel, &r->rec, rc == 0 ? err : NULL);
        if (rc != 0 || end != 0) {
            if (end == 0) {
                e->driver->rec_free(e->accel, r->rec);
            }
            r->rec = NULL;
            return rc != 0 ? rc : end;
        }
        r->kind = kind;
        r->launches = e->emit.launches;
    }
    r->used = ++e->clock;
    *ret = r;
    return 0;
}

int fnl__gpu_exec_launches(const struct fnl_gpu_exec *e, size_t rows)
{
    int launches = 0;
    for (int i = 0; i < FNL_MAX_RECORDINGS; i++) {
        const struct fnl_gpu_recording *r = &e->recording[i];
        if (r->kind.rows == rows && r->kind.train == e->options.training) {
            launches = r->launches > launches ? r->launches : launches;
        }
    }
    return launches;
}
