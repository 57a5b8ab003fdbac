/* exec_int.h - the executor's own state, shared by exec.c (creation and reading), exec_run.c
 * (shards, groups and blocks of rows) and exec_update.c (the training step's end). */
#ifndef FNL_ENGINE_EXEC_INT_H
#define FNL_ENGINE_EXEC_INT_H

#include "engine/exec.h"
#include "engine/plan.h"

struct fnl_exec_shard {
    struct fnl_run run;
    uint64_t correct;
};

/* A part of a step's end that one thread does: a part of a shared step, or floats [begin, end) of
 * the parameters' block. */
struct fnl_exec_item {
    int step, part; /* step < 0: a slice */
    size_t begin, end;
    bool whole; /* the gradient of the whole batch lies in shard 0's block: nothing to sum up */
    double norm2;
};

struct fnl_exec {
    const struct fnl_graph *graph;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec_options options;
    struct fnl_plan *plan;
    struct fnl_exec_shard *shard;
    int shard_count;
    unsigned char *batch_arena;    /* FNL_SPACE_BATCH */
    unsigned char *shared_scratch; /* of all parts of shared steps */
    float **gradient;  /* [shard_count], for update: those of shards that had rows come first */
    float *rounded;    /* bfloat16: the parameters as the products see them */
    float *staging[4]; /* images in channels-last order, when the caller's are not */
    /* Running statistics before a training step: they move in the forward pass. */
    float *state_before;
    size_t rows; /* of the last run */
    /* Parts of shared steps, then slices of parameters whose gradients the shards sum up (`sums`
     * of them), then slices of the others. */
    struct fnl_exec_item *item;
    int parts, sums, slices; /* items: parts + slices; slices counts the sums too */
    /* of the run in progress */
    int group_begin, group_end;
    bool finish_first;        /* group_begin's step has merged: finish() it first */
    struct fnl_gpu_exec *gpu; /* (optional) runs the plan on a device, in place of all the above */
    struct fnl_step_result result; /* gpu: of the last run */
    int first_item;
    bool fused;           /* parts update their parameters at once */
    struct fnl_run whole; /* the batch as one shard, for shared steps */
    struct fnl_update update, update_whole;
};

/* Floats of the parameters that are not trained, which stand behind the trained ones. */
static inline size_t fnl__exec_state_size(const struct fnl_exec *e)
{
    return e->params->size - e->params->trainable_size;
}

/* ---- exec_run.c ---- */

/* Runs the plan's groups on the feed's rows; step as in fnl_exec_train_step, 0 when nothing is
 * trained. */
int fnl__exec_run(struct fnl_exec *e, const struct fnl_feed *feed, uint64_t step,
                  struct fnl_error *err);
/* Operand of a kept value, for reading it outside the plan; its value is -1 when it has no place.
 */
struct fnl_operand fnl__exec_operand(const struct fnl_exec *e, int value);
/* Where a shard's rows of it begin. */
const void *fnl__exec_rows(const struct fnl_run *r, const struct fnl_operand *o);

/* ---- exec_update.c ---- */

/* Is the gradient of this parameter made by a step that threads share? */
bool fnl__exec_whole_gradient(const struct fnl_exec *e, const struct fnl_param *p);
/* Cuts a step's end into items. */
int fnl__exec_make_items(struct fnl_exec *e, struct fnl_error *err);

#endif
