/* exec_int.h - the executor's own state, shared by exec.c (creation and reading), exec_run.c
 * (shards, groups and blocks of rows) and exec_update.c (the training step's end). */
#ifndef FNL_ENGINE_EXEC_INT_H
#define FNL_ENGINE_EXEC_INT_H

#include "engine/exec.h"
#include "engine/plan.h"

/* Floats of one slice of the update: small enough to share between threads, and fixed, so that the
 * clipping norm is summed in the same order whatever the threads. */
#define FNL_SLICE_FLOATS ((size_t)32768)

struct fnl_exec_shard {
    struct fnl_run run;
    uint64_t correct;
};

struct fnl_exec {
    const struct fnl_graph *graph;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec_options options;
    struct fnl_plan *plan;
    struct fnl_exec_shard *shard;
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
    struct fnl_gpu_exec *gpu; /* (optional) runs the plan on a device, in place of all the above */
    struct fnl_step_result result; /* gpu: of the last run */
};

/* Floats of the parameters that are not trained, which stand behind the trained ones. */
static inline size_t fnl__exec_state_size(const struct fnl_exec *e)
{
    return e->params->size - e->params->trainable_size;
}

/* ---- exec_run.c ---- */

/* Runs the plan on the feed's rows; step as in fnl_exec_train_step, 0 when nothing is trained. */
int fnl__exec_run(struct fnl_exec *e, const struct fnl_feed *feed, uint64_t step,
                  struct fnl_error *err);
/* Operand of a kept value, for reading it outside the plan; its value is -1 when it has no place.
 */
struct fnl_operand fnl__exec_operand(const struct fnl_exec *e, int value);

#endif
