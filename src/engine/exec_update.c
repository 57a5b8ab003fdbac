/* exec_update.c - a training step: the run, then the sum of the shards' gradients and the update,
 * slice by slice.
 *
 * Invariants: (1) sums over shards run in shard order, and slices are cut in the same places
 * whatever the threads, so the bits do not depend on threads; (2) parameters change only after a
 * finite loss was seen. */
#include <math.h>
#include <string.h>

#include "engine/backend/gpu/gpu_exec.h"
#include "engine/exec_int.h"

static void slice_bounds(const struct fnl_exec *e, int slice, size_t *begin, size_t *end)
{
    *begin = (size_t)slice * FNL_SLICE_FLOATS;
    *end = *begin + FNL_SLICE_FLOATS;
    *end = *end < e->params->trainable_size ? *end : e->params->trainable_size;
}

static void norm_slice(void *arg, int item)
{
    struct fnl_exec *e = arg;
    size_t begin, end;
    slice_bounds(e, item, &begin, &end);
    e->slice_norm2[item] = e->params->backend->gradient_norm2(e->update.gradient,
                                                              e->update.gradient_count, begin, end);
}

static void update_slice(void *arg, int item)
{
    struct fnl_exec *e = arg;
    size_t begin, end;
    slice_bounds(e, item, &begin, &end);
    e->params->backend->update(&e->update, begin, end);
}

/* Scales gradients so that their norm is at most clip_norm, as torch.nn.utils.clip_grad_norm_ does.
 */
static void clip_by_norm(struct fnl_exec *e, int slices, struct fnl_step_result *ret)
{
    float limit = e->params->optimizer.clip_norm;
    if (!(limit > 0.0F)) {
        return;
    }
    fnl_pool_run(e->pool, norm_slice, e, slices);
    double sum = 0.0;
    for (int i = 0; i < slices; i++) {
        sum += e->slice_norm2[i];
    }
    ret->grad_norm = sqrt(sum);
    if (ret->grad_norm > (double)limit) {
        e->update.gradient_scale = (float)((double)limit / (ret->grad_norm + 1e-6));
    }
}

static void update(struct fnl_exec *e, double learning_rate, uint64_t step,
                   struct fnl_step_result *ret)
{
    struct fnl_params *ps = e->params;
    int used = 0; /* shards that had rows; the others' gradients are stale */
    for (int s = 0; s < e->shard_count; s++) {
        if (e->shard[s].run.shard_rows > 0) {
            e->gradient[used++] = (float *)(void *)e->shard[s].run.base[FNL_SPACE_GRADIENT];
        }
    }
    e->update = (struct fnl_update){.optimizer = &ps->optimizer,
                                    .value = ps->block[0],
                                    .slot1 = ps->block[1],
                                    .slot2 = ps->block[2],
                                    .gradient = e->gradient,
                                    .gradient_count = used,
                                    .learning_rate = (float)learning_rate,
                                    .gradient_scale = 1.0F,
                                    .step = step};
    int slices = (int)((ps->trainable_size + FNL_SLICE_FLOATS - 1) / FNL_SLICE_FLOATS);
    clip_by_norm(e, slices, ret);
    fnl_pool_run(e->pool, update_slice, e, slices);
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
