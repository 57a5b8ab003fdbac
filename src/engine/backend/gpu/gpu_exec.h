/* gpu_exec.h - the executor of a plan on an accelerator; what fnl_exec_* (engine/exec.h) does when
 * the parameters are on a device. */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_EXEC_H
#define FNL_ENGINE_BACKEND_GPU_GPU_EXEC_H

#include "engine/backend/gpu/gpu.h"
#include "engine/plan.h"

struct fnl_gpu_exec;

/* plan: of the GPU back end, for up to options->batch rows; borrowed. */
int fnl__gpu_exec_create(const struct fnl_graph *g, struct fnl_params *params,
                         const struct fnl_plan *plan, const struct fnl_exec_options *options,
                         struct fnl_gpu_exec **ret_exec, struct fnl_error *err);
void fnl__gpu_exec_free(struct fnl_gpu_exec *e); /* takes NULL */

/* One pass over the feed's rows, over on return. train: the update too; FNL_E_DIVERGED as
 * fnl_exec_train_step. */
int fnl__gpu_exec_run(struct fnl_gpu_exec *e, const struct fnl_feed *feed, bool train, double rate,
                      uint64_t step, struct fnl_step_result *ret, struct fnl_error *err);
/* See fnl_exec_bind, fnl_exec_train_rows; rate NULL: without learning. */
int fnl__gpu_exec_bind(struct fnl_gpu_exec *e, const struct fnl_exec_data *set,
                       struct fnl_error *err);
int fnl__gpu_exec_run_rows(struct fnl_gpu_exec *e, const struct fnl_exec_rows *rows,
                           const double *rate, uint64_t step, struct fnl_step_result *ret,
                           struct fnl_error *err);
/* rows of the last run; src: an operand of the plan. */
int fnl__gpu_exec_read(const struct fnl_gpu_exec *e, const struct fnl_operand *src, size_t rows,
                       float *dst, struct fnl_error *err);
int fnl__gpu_exec_read_gradient(const struct fnl_gpu_exec *e, size_t offset, size_t count,
                                float *dst, struct fnl_error *err);
size_t fnl__gpu_exec_memory_bytes(const struct fnl_gpu_exec *e);
/* Launches of one run of `rows` rows; 0 when it has not been recorded. */
int fnl__gpu_exec_launches(const struct fnl_gpu_exec *e, size_t rows);

#endif
