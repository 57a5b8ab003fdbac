/* exec.c - runs a plan: shards in parallel, groups in order, blocks of rows inside.
 *
 * One run: every shard runs all groups on its rows (a pool item is a shard); where a step must see
 * the whole batch, the shards meet, the step merges, and they go on. A training step then sums the
 * gradients and updates the parameters, slice by slice. Invariants: (1) nothing is allocated after
 * fnl_exec_create; (2) what shard s computes depends on its rows alone, and sums over shards run in
 * shard order, so the bits do not depend on threads; (3) parameters change only after a finite loss
 * was seen. */
#include "engine/exec.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "engine/plan.h"

/* Floats of one slice of the update: small enough to share between threads, and fixed, so that the
 * clipping norm is summed in the same order whatever the threads. */
#define SLICE_FLOATS ((size_t)32768)

struct shard {
    struct fnl_run run;
    float *gradient;
    uint64_t correct;
};

struct fnl_exec {
    const struct fnl_graph *graph;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec_options options;
    struct fnl_plan *plan;
    struct shard *shard;
    int shard_count;
    float **gradient;  /* [shard_count], for update: those of shards that had rows come first */
    float *rounded;    /* bfloat16: the parameters as the products see them */
    float *staging[4]; /* images in channels-last order, when the caller's are not */
    double *slice_norm2;
    float *
        state_before; /* running statistics before a training step: they move in the forward pass */
    size_t rows;      /* of the last run */
    /* of the run in progress */
    int group_begin, group_end;
    bool finish_first; /* group_begin's step has merged: finish() it first */
    struct fnl_update update;
};

/* ---- creation ---- */

static int alloc_shards(struct fnl_exec *e, struct fnl_error *err)
{
    size_t gradient_bytes =
        e->options.training ? (e->params->trainable_size + 1) * sizeof(float) : 0;
    e->shard = fnl_calloc((size_t)e->shard_count, sizeof *e->shard);
    e->gradient = fnl_calloc((size_t)e->shard_count, sizeof *e->gradient);
    if (e->shard == NULL || e->gradient == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for %d shards", e->shard_count);
    }
    for (int s = 0; s < e->shard_count; s++) {
        struct fnl_run *r = &e->shard[s].run;
        r->base[FNL_SPACE_ARENA] = fnl_alloc_aligned(e->plan->arena_bytes + FNL_CACHE_LINE);
        r->scratch = fnl_alloc_aligned(e->plan->scratch_bytes + FNL_CACHE_LINE);
        r->base[FNL_SPACE_GRADIENT] = gradient_bytes > 0 ? fnl_alloc_aligned(gradient_bytes) : NULL;
        if (r->base[FNL_SPACE_ARENA] == NULL || r->scratch == NULL ||
            (gradient_bytes > 0 && r->base[FNL_SPACE_GRADIENT] == NULL)) {
            return FNL_FAIL(err, NOMEM, "use a smaller batch",
                            "no memory for activations: %zu MiB for each of %d shards",
                            e->plan->arena_bytes >> 20, e->shard_count);
        }
        r->base[FNL_SPACE_PARAM] =
            (unsigned char *)(e->rounded != NULL ? e->rounded : e->params->block[0]);
        r->base[FNL_SPACE_STATE] = (unsigned char *)e->params->block[0];
        r->base[FNL_SPACE_CONST] = e->plan->constants;
        r->seed = e->options.seed;
    }
    return 0;
}

/* Room to turn [N, C, H, W] feeds around for back ends that want them channels last, or the other
 * way. */
static int alloc_staging(struct fnl_exec *e, struct fnl_error *err)
{
    for (int i = 0; i < fnl_graph_input_count(e->graph) && i < 4; i++) {
        const struct fnl_value *v = fnl_graph_value(e->graph, fnl_graph_input(e->graph, i));
        if (fnl__layouts_alike(&v->shape) || v->dtype != FNL_F32) {
            continue;
        }
        size_t floats = (size_t)fnl_shape_count(&v->shape, (int64_t)e->options.batch);
        e->staging[i] = fnl_alloc_aligned(floats * sizeof(float));
        if (e->staging[i] == NULL) {
            return FNL_FAIL(err, NOMEM, "use a smaller batch", "no memory for a batch of images");
        }
    }
    return 0;
}

static int make_plan(struct fnl_exec *e, struct fnl_error *err)
{
    int outputs = fnl_graph_output_count(e->graph), count = 0;
    int *kept = fnl_malloc(((size_t)outputs + 2) * sizeof *kept);
    if (kept == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    for (int i = 0; i < outputs; i++) {
        kept[count++] = fnl_graph_output(e->graph, i);
    }
    if (e->options.loss_value >= 0) {
        kept[count++] = e->options.loss_value;
    }
    if (e->options.scores_value >= 0) {
        kept[count++] = e->options.scores_value;
    }
    struct fnl_plan_options o = {
        .shard_rows = (e->options.batch + (size_t)e->shard_count - 1) / (size_t)e->shard_count,
        .block_bytes = e->options.block_bytes > 0 ? e->options.block_bytes : FNL_BLOCK_BYTES,
        .training = e->options.training,
        .bf16 = e->options.precision == FNL_PRECISION_BF16,
        .kept = kept,
        .kept_count = count};
    int rc = fnl__plan_create(e->graph, e->params, &o, &e->plan, err);
    fnl_free(kept);
    return rc;
}

/* Floats of the parameters that are not trained, which stand behind the trained ones. */
static size_t state_size(const struct fnl_exec *e)
{
    return e->params->size - e->params->trainable_size;
}

static int init_exec(struct fnl_exec *e, struct fnl_error *err)
{
    const struct fnl_backend *b = e->params->backend;
    int shards = e->options.shards > 0 ? e->options.shards : fnl_pool_threads(e->pool);
    if (!b->shards) {
        shards = 1;
    }
    if (e->options.batch < 1 || shards > FNL_MAX_SHARDS) {
        return FNL_FAIL(err, INVALID, NULL, "batch %zu in %d shards", e->options.batch, shards);
    }
    e->shard_count = (size_t)shards > e->options.batch ? (int)e->options.batch : shards;
    if (e->options.precision == FNL_PRECISION_BF16) {
        if (b->round_bf16 == NULL) {
            return FNL_FAIL(err, UNSUPPORTED, "use precision: float32",
                            "the %s back end has no bfloat16", b->name);
        }
        e->rounded = fnl_alloc_aligned((e->params->size + 1) * sizeof(float));
    }
    if (e->options.training && state_size(e) > 0) {
        e->state_before = fnl_alloc_aligned(state_size(e) * sizeof(float));
        if (e->state_before == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
        }
    }
    size_t slices = e->params->trainable_size / SLICE_FLOATS + 1;
    e->slice_norm2 = fnl_calloc(slices, sizeof *e->slice_norm2);
    if (e->slice_norm2 == NULL || (e->options.precision == FNL_PRECISION_BF16 && !e->rounded)) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
    }
    int rc = make_plan(e, err);
    if (rc == 0) {
        rc = alloc_shards(e, err);
    }
    return rc != 0 ? rc : alloc_staging(e, err);
}

int fnl_exec_create(const struct fnl_graph *g, struct fnl_params *params, struct fnl_pool *pool,
                    const struct fnl_exec_options *options, struct fnl_exec **ret_exec,
                    struct fnl_error *err)
{
    struct fnl_exec *e = fnl_calloc(1, sizeof *e);
    if (e == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
    }
    e->graph = g;
    e->params = params;
    e->pool = pool;
    e->options = *options;
    int rc = init_exec(e, err);
    if (rc != 0) {
        fnl_exec_free(e);
        return rc;
    }
    *ret_exec = e;
    return 0;
}

void fnl_exec_free(struct fnl_exec *exec)
{
    if (exec == NULL) {
        return;
    }
    for (int s = 0; exec->shard != NULL && s < exec->shard_count; s++) {
        fnl_free(exec->shard[s].run.base[FNL_SPACE_ARENA]);
        fnl_free(exec->shard[s].run.scratch);
        fnl_free(exec->shard[s].run.base[FNL_SPACE_GRADIENT]);
    }
    for (int i = 0; i < 4; i++) {
        fnl_free(exec->staging[i]);
    }
    fnl_free(exec->shard);
    fnl_free(exec->gradient);
    fnl_free(exec->rounded);
    fnl_free(exec->slice_norm2);
    fnl_free(exec->state_before);
    fnl__plan_free(exec->plan);
    fnl_free(exec);
}

/* ---- one shard ---- */

/* bfloat16: what a step has written is rounded where it lies; sums (losses, statistics, gradients
 * of parameters) stay float32. */
static void round_outputs(const struct fnl_exec *e, const struct fnl_step *step,
                          const struct fnl_run *r)
{
    for (int i = 0; i < step->out_count; i++) {
        const struct fnl_operand *o = &step->out[i];
        if (o->value >= 0 && o->space == FNL_SPACE_ARENA && o->dtype == FNL_F32 &&
            o->shape.rank > 1 && o->shape.dim[0] == FNL_DIM_BATCH) {
            float *p = fnl_f32(r, o);
            e->params->backend->round_bf16(r->rows * o->row_size, p, p);
        }
    }
}

static void run_step(const struct fnl_exec *e, const struct fnl_step *step, struct fnl_run *r,
                     unsigned char *scratch)
{
    r->scratch = scratch + step->scratch_offset;
    step->impl->run(step, r);
    if (e->rounded != NULL && step->impl->merge == NULL) {
        round_outputs(e, step, r);
    }
}

static void run_group(const struct fnl_exec *e, const struct fnl_group *g, struct fnl_run *r)
{
    unsigned char *scratch = r->scratch;
    for (size_t row = 0; row < r->shard_rows; row += g->block_rows) {
        size_t left = r->shard_rows - row;
        r->row0 = row;
        r->rows = left < g->block_rows ? left : g->block_rows;
        r->first_block = row == 0;
        for (int s = g->first; s < g->first + g->count; s++) {
            run_step(e, &e->plan->step[s], r, scratch);
        }
    }
    r->scratch = scratch;
}

static void whole_shard(struct fnl_run *r)
{
    r->row0 = 0;
    r->rows = r->shard_rows;
    r->first_block = true;
}

static int argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = x[i] > x[best] ? i : best;
    }
    return (int)best;
}

/* Operand of a kept value, for reading it outside the plan. */
static struct fnl_operand operand_of(const struct fnl_exec *e, int value)
{
    const struct fnl_value *v = fnl_graph_value(e->graph, value);
    enum fnl_layout layout = FNL_LAYOUT_PLAIN;
    int slot = fnl__plan_slot(e->plan, value, &layout);
    struct fnl_operand o = {.value = slot < 0 ? -1 : value, .layout = layout, .shape = v->shape};
    if (slot >= 0) {
        o.space = e->plan->slot[slot].space;
        o.offset = e->plan->slot[slot].offset;
        o.row_bytes = e->plan->slot[slot].row_bytes;
        o.row_size = (size_t)fnl_shape_count(&v->shape, 1);
        o.dtype = v->dtype;
    }
    return o;
}

/* How many rows' best score is their label. Only for integer labels. */
static uint64_t count_correct(const struct fnl_exec *e, const struct fnl_run *r)
{
    if (e->options.loss_value < 0 || e->options.scores_value < 0) {
        return 0;
    }
    int producer = fnl_graph_value(e->graph, e->options.loss_value)->producer;
    const struct fnl_node *loss = fnl_graph_node(e->graph, producer);
    struct fnl_operand target = operand_of(e, loss->input[1]);
    struct fnl_operand scores = operand_of(e, e->options.scores_value);
    if (target.dtype != FNL_I32 || scores.value < 0) {
        return 0;
    }
    const int32_t *label = fnl_at(r, &target);
    const float *score = fnl_f32(r, &scores);
    uint64_t correct = 0;
    for (size_t i = 0; i < r->shard_rows; i++) {
        correct += argmax(score + i * scores.row_size, scores.row_size) == label[i] ? 1 : 0;
    }
    return correct;
}

/* Pool item: shard `item` runs groups [group_begin, group_end). */
static void run_shard(void *arg, int item)
{
    struct fnl_exec *e = arg;
    struct shard *shard = &e->shard[item];
    struct fnl_run *r = &shard->run;
    if (r->shard_rows == 0) {
        return;
    }
    int g = e->group_begin;
    if (e->finish_first) {
        const struct fnl_step *step = &e->plan->step[e->plan->group[g].first];
        whole_shard(r);
        step->impl->finish(step, r);
        if (e->rounded != NULL) {
            round_outputs(e, step, r);
        }
        g++;
    }
    for (; g < e->group_end; g++) {
        run_group(e, &e->plan->group[g], r);
    }
    if (e->group_end == e->plan->group_count) {
        whole_shard(r);
        shard->correct = count_correct(e, r);
    }
}

/* All shards' runs side by side, for merge(). */
static void merge_group(struct fnl_exec *e, int group)
{
    struct fnl_run runs[FNL_MAX_SHARDS];
    int count = 0;
    for (int s = 0; s < e->shard_count; s++) {
        if (e->shard[s].run.shard_rows > 0) {
            whole_shard(&e->shard[s].run);
            runs[count] = e->shard[s].run;
            runs[count].scratch += e->plan->step[e->plan->group[group].first].scratch_offset;
            count++;
        }
    }
    const struct fnl_step *step = &e->plan->step[e->plan->group[group].first];
    step->impl->merge(step, runs, count);
}

static void run_plan(struct fnl_exec *e)
{
    int begin = 0;
    e->finish_first = false;
    while (begin < e->plan->group_count || e->plan->group_count == 0) {
        int end = begin + (e->finish_first ? 1 : 0);
        while (end < e->plan->group_count && !e->plan->group[end].merge) {
            end++;
        }
        bool meets = end < e->plan->group_count;
        e->group_begin = begin;
        e->group_end = meets ? end + 1 : end;
        fnl_pool_run(e->pool, run_shard, e, e->shard_count);
        if (!meets) {
            return;
        }
        merge_group(e, end);
        begin = end;
        e->finish_first = true;
    }
}

/* ---- a run ---- */

static void round_params(struct fnl_exec *e)
{
    for (int i = 0; i < e->params->param_count; i++) {
        const struct fnl_param *p = &e->params->param[i];
        const float *src = e->params->block[0] + p->offset;
        if (p->shape.rank > 1) {
            e->params->backend->round_bf16(p->layout.size, src, e->rounded + p->offset);
        } else {
            memcpy(e->rounded + p->offset, src, p->layout.size * sizeof *src);
        }
    }
}

/* Points every shard at its rows of each input. */
static void set_feed(struct fnl_exec *e, const struct fnl_feed *feed)
{
    for (int i = 0; i < fnl_graph_input_count(e->graph); i++) {
        int value = fnl_graph_input(e->graph, i);
        const struct fnl_value *v = fnl_graph_value(e->graph, value);
        const void *rows = feed->input[i];
        bool turn = e->staging[i] != NULL &&
                    feed->images_channels_last != e->params->backend->channels_last;
        if (turn) {
            fnl__reorder_images(&v->shape, feed->rows, e->params->backend->channels_last, rows,
                                e->staging[i]);
            rows = e->staging[i];
        }
        size_t row = (size_t)fnl_shape_count(&v->shape, 1) * fnl_dtype_size(v->dtype);
        bool is_batched = v->shape.rank > 0 && v->shape.dim[0] == FNL_DIM_BATCH;
        for (int s = 0; s < e->shard_count; s++) {
            struct fnl_run *r = &e->shard[s].run;
            /* Plans only read feeds. */
            r->base[FNL_SPACE_FEED0 + i] =
                (unsigned char *)(uintptr_t)rows + (is_batched ? r->first_row * row : 0);
        }
    }
}

static void split_rows(struct fnl_exec *e, size_t rows, uint64_t step)
{
    size_t S = (size_t)e->shard_count;
    for (size_t s = 0; s < S; s++) {
        struct fnl_run *r = &e->shard[s].run;
        r->first_row = rows * s / S;
        r->shard_rows = rows * (s + 1) / S - r->first_row;
        r->batch_rows = rows;
        r->step = step;
        e->shard[s].correct = 0;
    }
    e->rows = rows;
}

static int run(struct fnl_exec *e, const struct fnl_feed *feed, uint64_t step,
               struct fnl_error *err)
{
    if (feed->rows < 1 || feed->rows > e->options.batch) {
        return FNL_FAIL(err, INVALID, NULL, "%zu rows for a plan of up to %zu", feed->rows,
                        e->options.batch);
    }
    split_rows(e, feed->rows, step);
    set_feed(e, feed);
    if (e->rounded != NULL) {
        round_params(e);
    }
    run_plan(e);
    return 0;
}

int fnl_exec_run(struct fnl_exec *exec, const struct fnl_feed *feed, struct fnl_error *err)
{
    return run(exec, feed, 0, err);
}

int fnl_exec_result(const struct fnl_exec *exec, struct fnl_step_result *ret)
{
    *ret = (struct fnl_step_result){0};
    struct fnl_operand loss = {.value = -1};
    if (exec->options.loss_value >= 0) {
        loss = operand_of(exec, exec->options.loss_value);
    }
    for (int s = 0; s < exec->shard_count; s++) {
        const struct fnl_run *r = &exec->shard[s].run;
        ret->correct += exec->shard[s].correct;
        for (size_t i = 0; loss.value >= 0 && i < r->shard_rows; i++) {
            ret->loss_sum += (double)((const float *)(r->base[loss.space] + loss.offset))[i];
        }
    }
    return 0;
}

/* ---- the update ---- */

static void slice_bounds(const struct fnl_exec *e, int slice, size_t *begin, size_t *end)
{
    *begin = (size_t)slice * SLICE_FLOATS;
    *end = *begin + SLICE_FLOATS;
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
    int slices = (int)((ps->trainable_size + SLICE_FLOATS - 1) / SLICE_FLOATS);
    clip_by_norm(e, slices, ret);
    fnl_pool_run(e->pool, update_slice, e, slices);
}

int fnl_exec_train_step(struct fnl_exec *exec, const struct fnl_feed *feed, double learning_rate,
                        uint64_t step, struct fnl_step_result *ret, struct fnl_error *err)
{
    float *state = exec->params->block[0] + exec->params->trainable_size;
    if (exec->state_before != NULL) {
        memcpy(exec->state_before, state, state_size(exec) * sizeof *state);
    }
    int rc = run(exec, feed, step, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_step_result result;
    fnl_exec_result(exec, &result);
    if (!isfinite(result.loss_sum)) {
        if (exec->state_before != NULL) {
            memcpy(state, exec->state_before, state_size(exec) * sizeof *state);
        }
        return FNL_FAIL(err, DIVERGED,
                        "lower train.optimizer.learning_rate, or set train.clip_norm: 1.0",
                        "the loss is not a finite number at step %llu", (unsigned long long)step);
    }
    update(exec, learning_rate, step, &result);
    *ret = result;
    return 0;
}

/* ---- reading ---- */

int fnl_exec_read(const struct fnl_exec *exec, int value, float *dst, struct fnl_error *err)
{
    struct fnl_operand o = operand_of(exec, value);
    const char *name = fnl_graph_value(exec->graph, value)->name;
    if (o.value < 0 || o.dtype != FNL_F32 || o.space > FNL_SPACE_ARENA) {
        return FNL_FAIL(err, INVALID, NULL, "tensor \"%s\" cannot be read after a run", name);
    }
    for (int s = 0; s < exec->shard_count; s++) {
        const struct fnl_run *r = &exec->shard[s].run;
        const float *src = (const float *)(r->base[o.space] + o.offset);
        size_t rows = o.row_bytes > 0 ? r->shard_rows : 1;
        if (r->shard_rows == 0) {
            continue; /* it has not run */
        }
        if (o.layout == FNL_LAYOUT_CHANNELS_LAST) {
            fnl__reorder_images(&o.shape, rows, false, src, dst);
        } else {
            memcpy(dst, src, rows * o.row_size * sizeof *dst);
        }
        dst += rows * o.row_size;
        if (o.row_bytes == 0) {
            break;
        }
    }
    return 0;
}

int fnl_exec_read_gradient(const struct fnl_exec *exec, const char *param, float *dst,
                           struct fnl_error *err)
{
    int i = fnl__params_find(exec->params, param);
    if (i < 0 || !exec->params->param[i].trainable || !exec->options.training) {
        return FNL_FAIL(err, INVALID, NULL, "no gradient of \"%s\"", param);
    }
    const struct fnl_param *p = &exec->params->param[i];
    float *sum = fnl_calloc(p->layout.size + 1, sizeof *sum);
    if (sum == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a gradient");
    }
    for (int s = 0; s < exec->shard_count; s++) {
        const struct fnl_run *r = &exec->shard[s].run;
        const float *g = (const float *)(void *)r->base[FNL_SPACE_GRADIENT] + p->offset;
        for (size_t k = 0; r->shard_rows > 0 && k < p->layout.size; k++) {
            sum[k] += g[k];
        }
    }
    if (p->layout.kind == 0) {
        memcpy(dst, sum, p->count * sizeof *dst);
    } else {
        exec->params->backend->param_unpack(&p->layout, sum, dst);
    }
    fnl_free(sum);
    return 0;
}

size_t fnl_exec_memory_bytes(const struct fnl_exec *exec)
{
    size_t per_shard = exec->plan->arena_bytes + exec->plan->scratch_bytes +
                       (exec->options.training ? exec->params->trainable_size * 4 : 0);
    return per_shard * (size_t)exec->shard_count +
           (exec->params->size + (size_t)(exec->params->slots - 1) * exec->params->trainable_size) *
               4;
}

int fnl_exec_describe(const struct fnl_exec *exec, struct fnl_buf *out)
{
    for (int g = 0; g < exec->plan->group_count; g++) {
        const struct fnl_group *group = &exec->plan->group[g];
        fnl_buf_printf(out, "group %d: %zu rows at a time\n", g, group->block_rows);
        for (int s = group->first; s < group->first + group->count; s++) {
            const struct fnl_step *step = &exec->plan->step[s];
            char shape[FNL_SHAPE_TEXT];
            fnl_buf_printf(out, "  %-28s %-20s -> %s%s%s\n", step->impl->name,
                           step->node != NULL ? step->node->name : "",
                           fnl_shape_text(&step->out[0].shape, shape),
                           step->activation != 0 || step->mask_relu ? " +relu" : "",
                           step->bf16_product ? " bf16" : "");
        }
    }
    return out->failed ? FNL_E_NOMEM : 0;
}
