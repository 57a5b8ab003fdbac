/* exec.h - plan once, replay many times.
 *
 *   graph -> fnl_params_create (the weights, laid out as the back end likes them, and the
 * optimiser's state)
 *         -> fnl_exec_create  (a plan for up to `batch` rows: implementation per node, arena,
 * threads)
 *         -> fnl_exec_run / fnl_exec_train_step, any number of times; neither allocates.
 *
 * A training and an evaluation plan share one fnl_params. The batch is split into `shards`; each
 * shard runs the whole plan on its rows, gradients are summed in shard order, or over the whole
 * batch by steps that threads share, so results depend on `shards` and never on who ran what. */
#ifndef FNL_ENGINE_EXEC_H
#define FNL_ENGINE_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "engine/graph.h"

enum fnl_precision { FNL_PRECISION_F32, FNL_PRECISION_BF16 };

/* ---- optimisers: one flat update over all parameters ---- */
enum fnl_optimizer_kind { FNL_SGD, FNL_ADAM, FNL_ADAMW };

struct fnl_optimizer {
    enum fnl_optimizer_kind kind;
    float momentum;              /* SGD */
    bool nesterov;               /* SGD */
    float beta1, beta2, epsilon; /* Adam, AdamW */
    float weight_decay;          /* SGD, Adam: L2 added to the gradient; AdamW: decoupled */
    float clip_norm;             /* global L2 norm, 0 = off */
    float clip_value;            /* each element, 0 = off */
};
#define FNL_OPTIMIZER_INIT                                                                         \
    {                                                                                              \
        FNL_SGD, 0.0F, false, 0.9F, 0.999F, 1e-8F, 0.0F, 0.0F, 0.0F                                \
    }

/* ---- parameters ---- */
struct fnl_params;

/* backend: "cpu", "ref", or an accelerator's name ("opencl:0", "cuda:1"). Values start as the
 * graph's data. */
int fnl_params_create(const struct fnl_graph *g, const char *backend,
                      const struct fnl_optimizer *optimizer /* NULL: inference only */,
                      struct fnl_params **ret_params, struct fnl_error *err);
void fnl_params_free(struct fnl_params *params); /* takes NULL */
/* Row-major, ONNX order, by the graph's name. slot 0 = value, 1.. = optimiser state (SGD momentum:
 * 1; Adam: m 1, v 2). */
int fnl_params_slots(const struct fnl_params *params);
int fnl_params_count(const struct fnl_params *params);
const char *fnl_params_name(const struct fnl_params *params, int index);
size_t fnl_params_size(const struct fnl_params *params, int index); /* elements */
bool fnl_params_trainable(const struct fnl_params *params, int index);
int fnl_params_read(const struct fnl_params *params, int index, int slot, float *dst,
                    struct fnl_error *err);
int fnl_params_write(struct fnl_params *params, int index, int slot, const float *src,
                     struct fnl_error *err);
/* Copies the values (slot 0) into the graph's data, for export. */
int fnl_params_store(const struct fnl_params *params, struct fnl_graph *g, struct fnl_error *err);

/* ---- execution ---- */
struct fnl_exec_options {
    int version;
    size_t batch;        /* most rows of one run */
    int shards;          /* parts of a batch; 0 = threads of the pool */
    bool training;       /* the graph has gradients; steps update the parameters */
    bool keep_gradients; /* fnl_exec_read_gradient after a step; costs a pass over memory */
    enum fnl_precision precision;
    uint64_t seed;      /* Dropout */
    size_t block_bytes; /* what a block of rows may touch between steps; 0 = suits common caches */
    int loss_value;     /* training: value index of the per-sample loss; -1 otherwise */
    int scores_value; /* value whose argmax is compared with the labels (counts correct); -1 = none
                       */
};
#define FNL_EXEC_OPTIONS_INIT                                                                      \
    {                                                                                              \
        .version = 1, .batch = 64, .loss_value = -1, .scores_value = -1                            \
    }

struct fnl_exec;
int fnl_exec_create(const struct fnl_graph *g, struct fnl_params *params, struct fnl_pool *pool,
                    const struct fnl_exec_options *options, struct fnl_exec **ret_exec,
                    struct fnl_error *err);
void fnl_exec_free(struct fnl_exec *exec); /* takes NULL */

/* Feed of one run: one pointer per graph input, in the graph's input order; rows consecutive rows.
 * Image inputs ([N, C, H, W]) are given channels last (N, H, W, C) when images_channels_last, which
 * costs nothing on the CPU. */
struct fnl_feed {
    size_t rows;
    const void *const *input;
    bool images_channels_last;
};

/* Runs the graph. Outputs by fnl_exec_read. */
int fnl_exec_run(struct fnl_exec *exec, const struct fnl_feed *feed, struct fnl_error *err);

struct fnl_step_result {
    double loss_sum;  /* over the rows, summed in row order */
    uint64_t correct; /* argmax(scores) == label, when there are labels */
    double grad_norm; /* when clipping by norm, else 0 */
};
/* Forward, backward, reduce, update. learning_rate is this step's (schedules live in train); step
 * counts from 1 (Adam's bias correction, Dropout's stream). A non-finite loss returns
 * FNL_E_DIVERGED and leaves the parameters as they were. */
int fnl_exec_train_step(struct fnl_exec *exec, const struct fnl_feed *feed, double learning_rate,
                        uint64_t step, struct fnl_step_result *ret, struct fnl_error *err);
/* After fnl_exec_run of a plan with loss/scores: the same sums for evaluation. */
int fnl_exec_result(const struct fnl_exec *exec, struct fnl_step_result *ret);

/* ---- a data set on an accelerator, and many steps without the host ---- */

/* Samples and their labels or targets, one input of the graph each. */
struct fnl_exec_data {
    size_t count;         /* samples */
    enum fnl_dtype dtype; /* of x: FNL_U8 or FNL_F32 */
    const void *x; /* [count][sample_size]; images H, W, C when channels_last, else C, H, W */
    size_t sample_size;
    size_t image_channels; /* C of images; of rows {F}: F */
    bool channels_last;
    int norm_channels;      /* entries of mul and add: 0 (none), 1, or image_channels */
    const float *mul, *add; /* x * mul + add */
    const int32_t *labels;  /* [count], or NULL */
    const float *targets;   /* [count][target_size], when there are no labels */
    size_t target_size;
    int input, target; /* places in the graph's order of inputs */
};
/* Does the executor run on an accelerator, so that binding a data set pays? */
bool fnl_exec_on_accelerator(const struct fnl_exec *exec);
/* Copies the set to the device, in place of one bound before. FNL_E_NOMEM: it does not fit; the
 * executor can still be fed. */
int fnl_exec_bind(struct fnl_exec *exec, const struct fnl_exec_data *data, struct fnl_error *err);

/* Rows to go over in steps of the plan's batch, the last step with what is left: samples
 * order[0 .. count), or first, first + 1, ... when order is NULL. */
struct fnl_exec_rows {
    size_t first, count;
    const uint32_t *order;
};
/* Trains over the rows of the bound set: rate[i] is the learning rate of step `step` + i. *ret:
 * sums over all steps. FNL_E_DIVERGED: the parameters are those before the step named. */
int fnl_exec_train_rows(struct fnl_exec *exec, const struct fnl_exec_rows *rows, const double *rate,
                        uint64_t step, struct fnl_step_result *ret, struct fnl_error *err);
/* The same without learning. */
int fnl_exec_run_rows(struct fnl_exec *exec, const struct fnl_exec_rows *rows,
                      struct fnl_step_result *ret, struct fnl_error *err);

/* Copies a graph output's rows (row-major, ONNX order) after a run. */
int fnl_exec_read(const struct fnl_exec *exec, int value, float *dst, struct fnl_error *err);
/* Tests: gradient of a parameter after a step, ONNX order. Only with keep_gradients. */
int fnl_exec_read_gradient(const struct fnl_exec *exec, const char *param, float *dst,
                           struct fnl_error *err);

size_t fnl_exec_memory_bytes(const struct fnl_exec *exec);
/* Kernels launched by a run of `rows` rows (a training step, when it trains) on an accelerator; 0
 * on the CPU, and before the first such run. */
int fnl_exec_launches(const struct fnl_exec *exec, size_t rows);
/* One line per step of the plan: node, op, implementation, ns (when profiled), for `--verbose` and
 * docs. */
struct fnl_buf;
int fnl_exec_describe(const struct fnl_exec *exec, struct fnl_buf *out);

#endif
