/* exec_run.c - runs a plan: shards in parallel, groups in order, blocks of rows inside.
 *
 * Every shard runs all groups on its rows (a pool item is a shard); where a step must see the whole
 * batch, the shards meet, the step merges, and they go on. Invariants: (1) nothing is allocated;
 * (2) what shard s computes depends on its rows alone, so the bits do not depend on threads. */
#include <string.h>

#include "base/limits.h"
#include "engine/backend/gpu/gpu_exec.h"
#include "engine/exec_int.h"

/* ---- one shard ---- */

/* bfloat16: what a step has written is rounded where it lies; sums (losses, statistics, gradients
 * of parameters) stay float32. */
static void round_outputs(const struct fnl_exec *e, const struct fnl_step *step,
                          const struct fnl_run *r)
{
    for (int i = 0; i < step->out_count; i++) {
        const struct fnl_operand *o = &step->out[i];
        if (o->value >= 0 && o->space <= FNL_SPACE_BATCH && o->dtype == FNL_F32 &&
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
struct fnl_operand fnl__exec_operand(const struct fnl_exec *e, int value)
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

const void *fnl__exec_rows(const struct fnl_run *r, const struct fnl_operand *o)
{
    struct fnl_run begin = *r;
    begin.row0 = 0;
    return fnl_at(&begin, o);
}

/* How many rows' best score is their label. Only for integer labels. */
static uint64_t count_correct(const struct fnl_exec *e, const struct fnl_run *r)
{
    if (e->options.loss_value < 0 || e->options.scores_value < 0) {
        return 0;
    }
    int producer = fnl_graph_value(e->graph, e->options.loss_value)->producer;
    const struct fnl_node *loss = fnl_graph_node(e->graph, producer);
    struct fnl_operand target = fnl__exec_operand(e, loss->input[1]);
    struct fnl_operand scores = fnl__exec_operand(e, e->options.scores_value);
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
    struct fnl_exec_shard *shard = &e->shard[item];
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

int fnl__exec_run(struct fnl_exec *e, const struct fnl_feed *feed, uint64_t step,
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
    if (exec->gpu != NULL) {
        exec->rows = feed->rows;
        return fnl__gpu_exec_run(exec->gpu, feed, false, 0.0, 0, &exec->result, err);
    }
    return fnl__exec_run(exec, feed, 0, err);
}

int fnl_exec_result(const struct fnl_exec *exec, struct fnl_step_result *ret)
{
    if (exec->gpu != NULL) {
        *ret = exec->result;
        return 0;
    }
    *ret = (struct fnl_step_result){0};
    struct fnl_operand loss = {.value = -1};
    if (exec->options.loss_value >= 0) {
        loss = fnl__exec_operand(exec, exec->options.loss_value);
    }
    for (int s = 0; s < exec->shard_count; s++) {
        const struct fnl_run *r = &exec->shard[s].run;
        const float *row = fnl__exec_rows(r, &loss);
        ret->correct += exec->shard[s].correct;
        for (size_t i = 0; loss.value >= 0 && i < r->shard_rows; i++) {
            ret->loss_sum += (double)row[i];
        }
    }
    return 0;
}
