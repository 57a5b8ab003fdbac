/* gpu_exec_int.h - the executor on an accelerator, shared by gpu_exec.c (memory, reading),
 * gpu_record.c (recordings), gpu_run.c (runs) and gpu_data.c (data sets on the device). */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_EXEC_INT_H
#define FNL_ENGINE_BACKEND_GPU_GPU_EXEC_INT_H

#include "base/limits.h"
#include "engine/backend/gpu/gpu_exec.h"
#include "engine/backend/gpu/gpu_params.h"
#include "engine/params_int.h"

/* What a recording was made for: another of these, another recording. */
struct fnl_gpu_kind {
    size_t rows; /* 0: none */
    bool train;  /* with the update */
    bool bound;  /* with the gathering of rows from the data set */
};

struct fnl_gpu_recording {
    struct fnl_gpu_kind kind;
    struct fnl_accel_rec *rec;
    int launches;
    uint64_t used; /* clock of the last use: the oldest makes room */
};

/* A data set on the device; x NULL: none. */
struct fnl_gpu_data {
    struct fnl_exec_data set; /* host pointers are not kept: NULL */
    struct fnl_accel_buf *x, *scale, *shift, *labels, *targets;
    struct fnl_accel_buf *index; /* u32[index_rows]: the samples of the steps being run */
    size_t index_rows;
    uint32_t *order; /* host copy being sent, [index_rows] */
};

struct fnl_gpu_exec {
    const struct fnl_graph *graph;
    struct fnl_params *params;
    const struct fnl_plan *plan;
    struct fnl_exec_options options;
    struct fnl_accel *accel;
    const struct fnl_accel_driver *driver;
    struct fnl_gpu_emit emit;
    struct fnl_accel_buf *ring;    /* f32[steps][2]: loss, correct (bits) */
    struct fnl_accel_buf *rates;   /* f32[steps][4]: see optimizer.k */
    struct fnl_accel_buf *partial; /* f32[FNL_GPU_NORM_GROUPS], clipping by norm */
    struct fnl_accel_buf *before;  /* running statistics before the step */
    size_t steps;                  /* room in ring and rates */
    float *host;                   /* [steps][4], for sending rates and getting the ring */
    uint32_t control[FNL_GPU_CONTROL_WORDS]; /* being sent */
    float *staging[4];                       /* images in ONNX order */
    struct fnl_gpu_data data;
    struct fnl_gpu_recording recording[FNL_MAX_RECORDINGS];
    uint64_t clock;
    size_t memory_bytes;
};

/* Floats of the running statistics, when training may have to put them back. */
static inline size_t fnl__gpu_state_floats(const struct fnl_gpu_exec *e)
{
    return e->options.training ? e->params->size - e->params->trainable_size : 0;
}

/* buf_alloc, counted. At least one word. */
int fnl__gpu_memory(struct fnl_gpu_exec *e, size_t bytes, struct fnl_accel_buf **ret_buf,
                    struct fnl_error *err);
/* Makes room in ring, rates and host for so many steps of one call; drops all recordings when
 * memory had to move. */
int fnl__gpu_steps_room(struct fnl_gpu_exec *e, size_t steps, struct fnl_error *err);

/* ---- gpu_record.c ---- */

/* The recording of this kind, made when there is none. */
int fnl__gpu_record(struct fnl_gpu_exec *e, struct fnl_gpu_kind kind,
                    struct fnl_gpu_recording **ret, struct fnl_error *err);
void fnl__gpu_drop_recordings(struct fnl_gpu_exec *e);

/* ---- gpu_run.c ---- */

/* Tells the recordings where they stand: `steps` steps from number `step` on (from 1; 0: none is
 * trained), at these rates (NULL: not training). */
int fnl__gpu_put_control(struct fnl_gpu_exec *e, const double *rate, size_t steps, uint64_t step,
                         struct fnl_error *err);
/* Sums of the first `steps` steps; FNL_E_DIVERGED, when training, at the first that is not
 * finite. */
int fnl__gpu_get_results(struct fnl_gpu_exec *e, bool train, size_t steps, uint64_t step,
                         struct fnl_step_result *ret, struct fnl_error *err);

/* ---- gpu_data.c ---- */

void fnl__gpu_data_free(struct fnl_gpu_exec *e);
/* Queues the gathering of the step's rows into the feeds. */
int fnl__gpu_emit_gather(struct fnl_gpu_exec *e, struct fnl_error *err);

#endif
