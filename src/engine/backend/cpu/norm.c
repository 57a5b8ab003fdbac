/* norm.c - batch and layer normalisation.
 *
 * Batch normalisation (Ioffe and Szegedy, 2015) in training looks at the whole batch: each shard
 * adds up its rows, the shards meet, sums are joined in shard order, and each shard goes on with
 * the common statistics. Running statistics use the biased variance, as ONNX and Keras do: running
 * = running * momentum + batch * (1 - momentum). Sums are kept in double. */
#include <math.h>
#include <string.h>

#include "engine/backend/cpu/cpu_int.h"

/* [N, C] or [N, C, H, W] */
static bool batch_shape(const struct fnl_shape *x)
{
    return (x->rank == 2 || x->rank == 4) && x->dim[0] == FNL_DIM_BATCH;
}

static size_t channels(const struct fnl_operand *x)
{
    return (size_t)x->shape.dim[1];
}

static size_t pixels(const struct fnl_run *r, const struct fnl_operand *x)
{
    return fnl_elements(r, x) / channels(x);
}

/* ---- inference: y = x * mul + add ---- */

static bool inference_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    return !n->attrs.training && batch_shape(&fnl_graph_value(g, n->input[0])->shape);
}

static int inference_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                          struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    s->scratch_bytes = 2 * sizeof(float) * channels(&s->in[0]);
    return 0;
}

static void inference_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = channels(&s->in[0]);
    float *mul = (float *)(void *)r->scratch, *add = mul + C;
    const float *scale = fnl_f32(r, &s->in[1]), *bias = fnl_f32(r, &s->in[2]);
    const float *mean = fnl_f32(r, &s->in[3]), *variance = fnl_f32(r, &s->in[4]);
    for (size_t c = 0; r->first_block && c < C; c++) {
        mul[c] = scale[c] / sqrtf(variance[c] + s->node->attrs.epsilon);
        add[c] = bias[c] - mean[c] * mul[c];
    }
    fnl_cpu_kernels()->channel_affine(pixels(r, &s->in[0]), C, fnl_f32(r, &s->in[0]), mul, add,
                                      fnl_f32(r, &s->out[0]));
}

const struct fnl_op_impl fnl__cpu_impl_batch_norm = {.op = FNL_OP_BATCH_NORMALIZATION,
                                                     .name = "cpu.batch_norm",
                                                     .rank = 20,
                                                     .rowwise = true,
                                                     .in_layout = "cpppp",
                                                     .out_layout = "cp",
                                                     .supports = inference_supports,
                                                     .plan = inference_plan,
                                                     .run = inference_run};

/* ---- training: scratch holds two sums in double, then mul and add ---- */

static bool training_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    return n->attrs.training && n->output_count == 3 &&
           batch_shape(&fnl_graph_value(g, n->input[0])->shape);
}

static int training_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                         struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    s->scratch_bytes =
        channels(&s->in[s->node->backward ? 1 : 0]) * (2 * sizeof(double) + 3 * sizeof(float));
    return 0;
}

static double *sums(const struct fnl_run *r)
{
    return (double *)(void *)r->scratch;
}

static float *factors(const struct fnl_run *r, size_t C)
{
    return (float *)(void *)(sums(r) + 2 * C);
}

/* Adds all shards' sums into the first one's, in order; returns the pixels of the batch. */
static double join(const struct fnl_operand *x, const struct fnl_run *runs, int shards)
{
    size_t C = channels(x);
    double count = (double)pixels(&runs[0], x);
    for (int k = 1; k < shards; k++) {
        for (size_t i = 0; i < 2 * C; i++) {
            sums(&runs[0])[i] += sums(&runs[k])[i];
        }
        count += (double)pixels(&runs[k], x);
    }
    return count;
}

static void training_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = channels(&s->in[0]);
    fnl_cpu_kernels()->channel_sums(pixels(r, &s->in[0]), C, fnl_f32(r, &s->in[0]), NULL, sums(r),
                                    sums(r) + C);
}

static void training_merge(const struct fnl_step *s, const struct fnl_run *runs, int shards)
{
    size_t C = channels(&s->in[0]);
    double count = join(&s->in[0], runs, shards);
    float m = s->node->attrs.momentum;
    float *running_mean = fnl_f32(&runs[0], &s->in[3]);
    float *running_variance = fnl_f32(&runs[0], &s->in[4]);
    for (size_t c = 0; c < C; c++) {
        double mean = sums(&runs[0])[c] / count;
        double variance = sums(&runs[0])[C + c] / count - mean * mean;
        variance = variance > 0.0 ? variance : 0.0;
        for (int k = 0; k < shards; k++) {
            fnl_f32(&runs[k], &s->out[1])[c] = (float)mean;
            fnl_f32(&runs[k], &s->out[2])[c] =
                (float)(1.0 / sqrt(variance + (double)s->node->attrs.epsilon));
        }
        running_mean[c] = running_mean[c] * m + (float)mean * (1.0F - m);
        running_variance[c] = running_variance[c] * m + (float)variance * (1.0F - m);
    }
}

static void training_finish(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = channels(&s->in[0]);
    float *mul = factors(r, C), *add = mul + C;
    const float *scale = fnl_f32(r, &s->in[1]), *bias = fnl_f32(r, &s->in[2]);
    const float *mean = fnl_f32(r, &s->out[1]), *inv_std = fnl_f32(r, &s->out[2]);
    for (size_t c = 0; c < C; c++) {
        mul[c] = scale[c] * inv_std[c];
        add[c] = bias[c] - mean[c] * mul[c];
    }
    fnl_cpu_kernels()->channel_affine(pixels(r, &s->in[0]), C, fnl_f32(r, &s->in[0]), mul, add,
                                      fnl_f32(r, &s->out[0]));
}

const struct fnl_op_impl fnl__cpu_impl_batch_norm_training = {.op = FNL_OP_BATCH_NORMALIZATION,
                                                              .name = "cpu.batch_norm.training",
                                                              .rank = 20,
                                                              .in_layout = "cpppp",
                                                              .out_layout = "cp",
                                                              .supports = training_supports,
                                                              .plan = training_plan,
                                                              .run = training_run,
                                                              .merge = training_merge,
                                                              .finish = training_finish};

/* ---- gradient: dy, x, scale, mean, 1/std -> dx, dscale, dbias ---- */

static bool grad_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    return batch_shape(&fnl_graph_value(g, n->input[1])->shape);
}

/* dscale and dbias are sums over rows, so each shard leaves its own share. */
static void grad_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = channels(&s->in[1]);
    double *dy_sum = sums(r), *dy_xhat = dy_sum + C;
    fnl_cpu_kernels()->channel_grad_sums(pixels(r, &s->in[1]), C, fnl_f32(r, &s->in[0]),
                                         fnl_f32(r, &s->in[1]), fnl_f32(r, &s->in[3]),
                                         fnl_f32(r, &s->in[4]), dy_sum, dy_xhat);
    float *dscale = fnl_f32(r, &s->out[1]), *dbias = fnl_f32(r, &s->out[2]);
    for (size_t c = 0; c < C; c++) {
        dscale[c] = (float)dy_xhat[c];
        dbias[c] = (float)dy_sum[c];
    }
}

/* The joined means of dy and of dy * xhat, to every shard. */
static void grad_merge(const struct fnl_step *s, const struct fnl_run *runs, int shards)
{
    size_t C = channels(&s->in[1]);
    double count = join(&s->in[1], runs, shards);
    for (size_t i = 0; i < 2 * C; i++) {
        double mean = sums(&runs[0])[i] / count;
        for (int k = 0; k < shards; k++) {
            sums(&runs[k])[i] = mean;
        }
    }
}

/* dx = scale / std * (dy - mean(dy) - xhat * mean(dy * xhat)), written as a dy + b x + k. */
static void grad_finish(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t C = channels(&s->in[1]);
    float *a = factors(r, C), *b = a + C, *k = b + C;
    const float *scale = fnl_f32(r, &s->in[2]), *mean = fnl_f32(r, &s->in[3]);
    const float *inv_std = fnl_f32(r, &s->in[4]);
    for (size_t c = 0; c < C; c++) {
        double as = (double)scale[c] * (double)inv_std[c];
        double bs = -as * (double)inv_std[c] * sums(r)[C + c];
        a[c] = (float)as;
        b[c] = (float)bs;
        k[c] = (float)(-as * sums(r)[c] - bs * (double)mean[c]);
    }
    fnl_cpu_kernels()->channel_grad(pixels(r, &s->in[1]), C, fnl_f32(r, &s->in[0]),
                                    fnl_f32(r, &s->in[1]), a, b, k, fnl_f32(r, &s->out[0]));
}

const struct fnl_op_impl fnl__cpu_impl_batch_norm_grad = {.op = FNL_OP_BATCH_NORMALIZATION_GRAD,
                                                          .name = "cpu.batch_norm.grad",
                                                          .rank = 20,
                                                          .in_layout = "ccppp",
                                                          .out_layout = "cnn",
                                                          .supports = grad_supports,
                                                          .plan = training_plan,
                                                          .run = grad_run,
                                                          .merge = grad_merge,
                                                          .finish = grad_finish};

/* ---- layer normalisation over the last axes ---- */

static void layer_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = s->in[1].row_size;
    float *mean = s->out_count > 2 ? fnl_f32(r, &s->out[1]) : NULL;
    float *inv_std = s->out_count > 2 ? fnl_f32(r, &s->out[2]) : NULL;
    fnl_cpu_kernels()->layer_norm(fnl_elements(r, &s->in[0]) / N, N, s->node->attrs.epsilon,
                                  fnl_f32(r, &s->in[0]), fnl_f32(r, &s->in[1]),
                                  s->in_count > 2 ? fnl_f32(r, &s->in[2]) : NULL,
                                  fnl_f32(r, &s->out[0]), mean, inv_std);
}

const struct fnl_op_impl fnl__cpu_impl_layer_norm = {.op = FNL_OP_LAYER_NORMALIZATION,
                                                     .name = "cpu.layer_norm",
                                                     .rank = 20,
                                                     .rowwise = true,
                                                     .in_layout = "p",
                                                     .out_layout = "p",
                                                     .run = layer_run};

static void layer_grad_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = s->in[2].row_size;
    fnl_cpu_kernels()->layer_norm_grad(
        fnl_elements(r, &s->in[1]) / N, N, fnl_f32(r, &s->in[0]), fnl_f32(r, &s->in[1]),
        fnl_f32(r, &s->in[2]), fnl_f32(r, &s->in[3]), fnl_f32(r, &s->in[4]), fnl_f32(r, &s->out[0]),
        fnl_f32(r, &s->out[1]), fnl_f32(r, &s->out[2]), !r->first_block);
}

const struct fnl_op_impl fnl__cpu_impl_layer_norm_grad = {.op = FNL_OP_LAYER_NORMALIZATION_GRAD,
                                                          .name = "cpu.layer_norm.grad",
                                                          .rank = 20,
                                                          .rowwise = true,
                                                          .in_layout = "p",
                                                          .out_layout = "pnn",
                                                          .run = layer_grad_run};
