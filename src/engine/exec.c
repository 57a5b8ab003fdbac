/* exec.c - makes an executor of a plan, and reads what a run left.
 *
 * Creation gives each shard its activations, scratch and gradients; nothing is allocated after it.
 * Running is exec_run.c's affair, the end of a training step exec_update.c's. */
#include "engine/exec.h"

#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "engine/backend/gpu/gpu_exec.h"
#include "engine/exec_int.h"

/* ---- creation ---- */

static int alloc_shards(struct fnl_exec *e, struct fnl_error *err)
{
    size_t gradient_bytes =
        e->options.training ? (e->params->trainable_size + 1) * sizeof(float) : 0;
    e->shard = fnl_calloc((size_t)e->shard_count, sizeof *e->shard);
    e->gradient = fnl_calloc((size_t)e->shard_count + 1, sizeof *e->gradient);
    e->batch_arena = fnl_alloc_aligned(e->plan->batch_bytes + FNL_CACHE_LINE);
    e->shared_scratch = fnl_alloc_aligned(e->plan->shared_scratch_bytes + FNL_CACHE_LINE);
    if (e->shard == NULL || e->gradient == NULL || e->batch_arena == NULL ||
        e->shared_scratch == NULL) {
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
        r->base[FNL_SPACE_BATCH] = e->batch_arena;
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
        .batch_rows = e->options.batch,
        .threads = e->pool != NULL ? fnl_pool_threads(e->pool) : 1,
        .block_bytes = e->options.block_bytes > 0 ? e->options.block_bytes : FNL_BLOCK_BYTES,
        .training = e->options.training,
        .bf16 = e->options.precision == FNL_PRECISION_BF16,
        .kept = kept,
        .kept_count = count};
    int rc = fnl__plan_create(e->graph, e->params, &o, &e->plan, err);
    fnl_free(kept);
    return rc;
}

/* A plan that a device runs: nothing of the CPU's is needed. */
static int init_on_device(struct fnl_exec *e, struct fnl_error *err)
{
    e->shard_count = 1;
    if (e->options.precision != FNL_PRECISION_F32) {
        return FNL_FAIL(err, UNSUPPORTED, "use precision: float32",
                        "accelerators train in float32 only");
    }
    int rc = make_plan(e, err);
    return rc != 0 ? rc
                   : fnl__gpu_exec_create(e->graph, e->params, e->plan, &e->options, &e->gpu, err);
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
    if (e->options.training && fnl__exec_state_size(e) > 0) {
        e->state_before = fnl_alloc_aligned(fnl__exec_state_size(e) * sizeof(float));
        if (e->state_before == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
        }
    }
    if (e->options.precision == FNL_PRECISION_BF16 && !e->rounded) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for execution");
    }
    int rc = make_plan(e, err);
    if (rc == 0) {
        rc = alloc_shards(e, err);
    }
    if (rc == 0) {
        rc = fnl__exec_make_items(e, err);
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
    int rc = params->gpu != NULL ? init_on_device(e, err) : init_exec(e, err);
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
    fnl_free(exec->batch_arena);
    fnl_free(exec->shared_scratch);
    fnl_free(exec->item);
    fnl_free(exec->state_before);
    fnl__gpu_exec_free(exec->gpu);
    fnl__plan_free(exec->plan);
    fnl_free(exec);
}

/* ---- reading ---- */

int fnl_exec_read(const struct fnl_exec *exec, int value, float *dst, struct fnl_error *err)
{
    struct fnl_operand o = fnl__exec_operand(exec, value);
    const char *name = fnl_graph_value(exec->graph, value)->name;
    if (o.value < 0 || o.dtype != FNL_F32 || o.space > FNL_SPACE_BATCH) {
        return FNL_FAIL(err, INVALID, NULL, "tensor \"%s\" cannot be read after a run", name);
    }
    if (exec->gpu != NULL) {
        return fnl__gpu_exec_read(exec->gpu, &o, exec->rows, dst, err);
    }
    for (int s = 0; s < exec->shard_count; s++) {
        const struct fnl_run *r = &exec->shard[s].run;
        const float *src = fnl__exec_rows(r, &o);
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
    if (i < 0 || !exec->params->param[i].trainable || !exec->options.training ||
        (exec->gpu == NULL && !exec->options.keep_gradients)) {
        return FNL_FAIL(err, INVALID, NULL, "no gradient of \"%s\"", param);
    }
    const struct fnl_param *p = &exec->params->param[i];
    if (exec->gpu != NULL) {
        return fnl__gpu_exec_read_gradient(exec->gpu, p->offset, p->count, dst, err);
    }
    float *sum = fnl_calloc(p->layout.size + 1, sizeof *sum);
    if (sum == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a gradient");
    }
    bool whole = fnl__exec_whole_gradient(exec, p);
    for (int s = 0; s < (whole ? 1 : exec->shard_count); s++) {
        const struct fnl_run *r = &exec->shard[s].run;
        const float *g = (const float *)(void *)r->base[FNL_SPACE_GRADIENT] + p->offset;
        for (size_t k = 0; (whole || r->shard_rows > 0) && k < p->layout.size; k++) {
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

bool fnl_exec_on_accelerator(const struct fnl_exec *exec)
{
    return exec->gpu != NULL;
}

static int no_accelerator(struct fnl_error *err)
{
    return FNL_FAIL(err, UNSUPPORTED, "feed the batches",
                    "data sets are bound to accelerators only");
}

int fnl_exec_bind(struct fnl_exec *exec, const struct fnl_exec_data *data, struct fnl_error *err)
{
    return exec->gpu != NULL ? fnl__gpu_exec_bind(exec->gpu, data, err) : no_accelerator(err);
}

int fnl_exec_train_rows(struct fnl_exec *exec, const struct fnl_exec_rows *rows, const double *rate,
                        uint64_t step, struct fnl_step_result *ret, struct fnl_error *err)
{
    return exec->gpu != NULL ? fnl__gpu_exec_run_rows(exec->gpu, rows, rate, step, ret, err)
                             : no_accelerator(err);
}

int fnl_exec_run_rows(struct fnl_exec *exec, const struct fnl_exec_rows *rows,
                      struct fnl_step_result *ret, struct fnl_error *err)
{
    return exec->gpu != NULL ? fnl__gpu_exec_run_rows(exec->gpu, rows, NULL, 0, ret, err)
                             : no_accelerator(err);
}

size_t fnl_exec_memory_bytes(const struct fnl_exec *exec)
{
    if (exec->gpu != NULL) {
        return fnl__gpu_exec_memory_bytes(exec->gpu);
    }
    size_t per_shard = exec->plan->arena_bytes + exec->plan->scratch_bytes +
                       (exec->options.training ? exec->params->trainable_size * 4 : 0);
    return per_shard * (size_t)exec->shard_count + exec->plan->batch_bytes +
           exec->plan->shared_scratch_bytes +
           (exec->params->size + (size_t)(exec->params->slots - 1) * exec->params->trainable_size) *
               4;
}

int fnl_exec_launches(const struct fnl_exec *exec, size_t rows)
{
    return exec->gpu != NULL ? fnl__gpu_exec_launches(exec->gpu, rows) : 0;
}

static void describe_step(const struct fnl_step *step, struct fnl_buf *out)
{
    char shape[FNL_SHAPE_TEXT];
    fnl_buf_printf(out, "  %-28s %-20s -> %s%s%s", step->impl->name,
                   step->node != NULL ? step->node->name : "",
                   fnl_shape_text(&step->out[0].shape, shape),
                   step->activation != 0 || step->mask_relu ? " +relu" : "",
                   step->bf16_product ? " bf16" : "");
    if (step->parts > 0) {
        fnl_buf_printf(out, ", %d parts", step->parts);
    }
    fnl_buf_printf(out, "\n");
}

int fnl_exec_describe(const struct fnl_exec *exec, struct fnl_buf *out)
{
    const struct fnl_plan *plan = exec->plan;
    for (int g = 0; g < plan->group_count; g++) {
        const struct fnl_group *group = &plan->group[g];
        fnl_buf_printf(out, "group %d: %zu rows at a time\n", g, group->block_rows);
        for (int s = group->first; s < group->first + group->count; s++) {
            describe_step(&plan->step[s], out);
        }
    }
    if (plan->shared_first < plan->step_count) {
        fnl_buf_printf(out, "shared by threads, the whole batch\n");
    }
    for (int s = plan->shared_first; s < plan->step_count; s++) {
        describe_step(&plan->step[s], out);
    }
    return out->failed ? FNL_E_NOMEM : 0;
}
