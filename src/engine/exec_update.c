/* exec_update.c - a training step: the run, then the gradients that threads share, and the update.
 *
 * When all shards have run and the loss is known to be finite, what is left falls into items that
 * any thread may do: parts of shared steps (gradients of dense weights over the whole batch) and
 * slices of the flat parameter block. Usually one call of the pool does all: a part updates its
 * parameters while their gradient is in cache, a slice sums up its shards' gradients and updates.
 * When somebody must see the whole gradient first (clipping by norm, keep_gradients), parts,
 * norm and update are three calls.
 *
 * Invariants: (1) sums over shards run in shard order and items are cut in the same places whatever
 * the order they are done in, so the bits do not depend on threads; (2) fused or not, the same
 * operations make the same bits; (3) parameters change only after a finite loss was seen. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/backend/gpu/gpu_exec.h"
#include "engine/exec_int.h"

/* Floats of one slice of the update: small enough to share between threads, and fixed, so that the
 * clipping norm is summed in the same order whatever the threads. */
#define SLICE_FLOATS ((size_t)32768)

/* ---- items ---- */

bool fnl__exec_whole_gradient(const struct fnl_exec *e, const struct fnl_param *p)
{
    const struct fnl_plan *plan = e->plan;
    for (int s = plan->shared_first; s < plan->step_count; s++) {
        if (plan->step[s].out[0].offset == p->offset * sizeof(float)) {
            return true;
        }
    }
    return false;
}

/* The end of the run of parameters from index on whose gradients are alike, in floats; *ret_next is
 * the first behind it. */
static size_t alike_until(const struct fnl_exec *e, int index, bool whole, int *ret_next)
{
    const struct fnl_params *ps = e->params;
    size_t end = ps->param[index].offset;
    while (index < ps->param_count && ps->param[index].trainable &&
           fnl__exec_whole_gradient(e, &ps->param[index]) == whole) {
        index++;
        end = index < ps->param_count && ps->param[index].trainable ? ps->param[index].offset
                                                                    : ps->trainable_size;
    }
    *ret_next = index;
    return end;
}

/* Slices of all parameters whose gradients are (not) whole. Counts only while item is NULL. */
static int add_slices(const struct fnl_exec *e, bool whole, struct fnl_exec_item *item)
{
    int count = 0;
    for (int i = 0; i < e->params->param_count && e->params->param[i].trainable;) {
        int next = i + 1;
        if (fnl__exec_whole_gradient(e, &e->params->param[i]) == whole) {
            size_t begin = e->params->param[i].offset, end = alike_until(e, i, whole, &next);
            for (; begin < end; begin += SLICE_FLOATS) {
                size_t stop = end - begin > SLICE_FLOATS ? begin + SLICE_FLOATS : end;
                if (item != NULL) {
                    item[count] = (struct fnl_exec_item){
                        .step = -1, .begin = begin, .end = stop, .whole = whole};
                }
                count++;
            }
        }
        i = next;
    }
    return count;
}

int fnl__exec_make_items(struct fnl_exec *e, struct fnl_error *err)
{
    const struct fnl_plan *plan = e->plan;
    for (int s = plan->shared_first; s < plan->step_count; s++) {
        e->parts += plan->step[s].parts;
    }
    e->sums = add_slices(e, false, NULL);
    e->slices = e->sums + add_slices(e, true, NULL);
    e->item = fnl_calloc((size_t)(e->parts + e->slices) + 1, sizeof *e->item);
    if (e->item == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
    }
    struct fnl_exec_item *item = e->item;
    for (int s = plan->shared_first; s < plan->step_count; s++) {
        for (int i = 0; i < plan->step[s].parts; i++) {
            *item++ = (struct fnl_exec_item){.step = s, .part = i};
        }
    }
    item += add_slices(e, false, item);
    (void)add_slices(e, true, item);
    return 0;
}

/* ---- the work ---- */

static void do_part(const struct fnl_exec *e, const struct fnl_exec_item *item)
{
    const struct fnl_step *step = &e->plan->step[item->step];
    struct fnl_run r = e->whole;
    r.scratch = e->shared_scratch + step->scratch_offset + (size_t)item->part * step->scratch_bytes;
    step->impl->run_part(step, &r, item->part, e->fused ? &e->update_whole : NULL);
}

/* Pool item: parts, and slices to update. */
static void do_item(void *arg, int index)
{
    struct fnl_exec *e = arg;
    const struct fnl_exec_item *item = &e->item[e->first_item + index];
    if (item->step >= 0) {
        do_part(e, item);
    } else {
        e->params->backend->update(item->whole ? &e->update_whole : &e->update, item->begin,
                                   item->end);
    }
}

/* Pool item: a slice's part of the norm. */
static void norm_slice(void *arg, int index)
{
    struct fnl_exec *e = arg;
    struct fnl_exec_item *item = &e->item[e->parts + index];
    const struct fnl_update *u = item->whole ? &e->update_whole : &e->update;
    item->norm2 =
        e->params->backend->gradient_norm2(u->gradient, u->gradient_count, item->begin, item->end);
}

static void do_items(struct fnl_exec *e, int first, int count)
{
    e->first_item = first;
    fnl_pool_run(e->pool, do_item, e, count);
}

/* Scales gradients so that their norm is at most clip_norm, as torch.nn.utils.clip_grad_norm_ does.
 */
static void clip_by_norm(struct fnl_exec *e, struct fnl_step_result *ret)
{
    float limit = e->params->optimizer.clip_norm;
    if (!(limit > 0.0F)) {
        return;
    }
    fnl_pool_run(e->pool, norm_slice, e, e->slices);
    double sum = 0.0;
    for (int i = 0; i < e->slices; i++) {
        sum += e->item[e->parts + i].norm2;
    }
    ret->grad_norm = sqrt(sum);
    if (ret->grad_norm > (double)limit) {
        e->update.gradient_scale = (float)((double)limit / (ret->grad_norm + 1e-6));
        e->update_whole.gradient_scale = e->update.gradient_scale;
    }
}

/* The two updates of this step: of gradients in every shard's block, and in shard 0's alone. */
static void set_updates(struct fnl_exec *e, double learning_rate, uint64_t step)
{
    struct fnl_params *ps = e->params;
    e->whole = e->shard[0].run;
    e->whole.first_row = e->whole.row0 = 0;
    e->whole.rows = e->whole.shard_rows = e->rows;
    e->whole.first_block = true;
    float *first = (float *)(void *)e->whole.base[FNL_SPACE_GRADIENT];
    int used = 0; /* shards that had rows; the others' gradients are stale */
    for (int s = 0; s < e->shard_count; s++) {
        if (e->shard[s].run.shard_rows > 0) {
            e->gradient[used++] = (float *)(void *)e->shard[s].run.base[FNL_SPACE_GRADIENT];
        }
    }
    e->gradient[e->shard_count] = first;
    e->update = (struct fnl_update){.optimizer = &ps->optimizer,
                                    .value = ps->block[0],
                                    .slot1 = ps->block[1],
                                    .slot2 = ps->block[2],
                                    .gradient = e->gradient,
                                    .gradient_count = used,
                                    .learning_rate = (float)learning_rate,
                                    .gradient_scale = 1.0F,
                                    .step = step};
    e->update_whole = e->update;
    e->update_whole.gradient = &e->gradient[e->shard_count];
    e->update_whole.gradient_count = 1;
}

static void update(struct fnl_exec *e, double learning_rate, uint64_t step,
                   struct fnl_step_result *ret)
{
    set_updates(e, learning_rate, step);
    e->fused = !(e->params->optimizer.clip_norm > 0.0F) && !e->options.keep_gradients;
    if (e->fused) {
        do_items(e, 0, e->parts + e->sums);
        return;
    }
    do_items(e, 0, e->parts);
    clip_by_norm(e, ret);
    do_items(e, e->parts, e->slices);
}

int fnl_exec_train_step(struct fnl_exec *exec, const struct fnl_feed *feed, double learning_rate,
                        uint64_t step, struct fnl_step_result *ret, struct fnl_error *err)
{
    if (exec->gpu != NULL) {
        exec->rows = feed->rows;
        return fnl__gpu_exec_run(exec->gpu, feed, true, learning_rate, step, ret, err);
    }
    float *state = exec->params->block[0] + exec->params->trainable_size;
    if (exec->state_before != NULL) {
        memcpy(exec->state_before, state, fnl__exec_state_size(exec) * sizeof *state);
    }
    int rc = fnl__exec_run(exec, feed, step, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_step_result result;
    fnl_exec_result(exec, &result);
    if (!isfinite(result.loss_sum)) {
        if (exec->state_before != NULL) {
            memcpy(state, exec->state_before, fnl__exec_state_size(exec) * sizeof *state);
        }
        return FNL_FAIL(err, DIVERGED,
                        "lower train.optimizer.learning_rate, or set train.clip_norm: 1.0",
                        "the loss is not a finite number at step %llu", (unsigned long long)step);
    }
    update(exec, learning_rate, step, &result);
    *ret = result;
    return 0;
}
