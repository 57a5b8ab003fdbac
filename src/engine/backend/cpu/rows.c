/* rows.c - what works on whole rows: softmax, its loss, sums over the batch. */
#include <math.h>

#include "engine/backend/cpu/cpu_int.h"

/* Over the last axis; or over the channels of an image, which stand last in memory. */
static bool softmax_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    int x = n->input_count > 1 ? n->input[1] : n->input[0];
    int rank = fnl_graph_value(g, x)->shape.rank;
    int axis = n->attrs.axis < 0 ? n->attrs.axis + rank : n->attrs.axis;
    return rank == 4 ? axis == 1 : axis == rank - 1 && rank > 1;
}

static size_t row_length(const struct fnl_operand *x)
{
    return (size_t)x->shape.dim[x->shape.rank == 4 ? 1 : x->shape.rank - 1];
}

static void softmax_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = row_length(&s->in[0]);
    fnl_cpu_kernels()->softmax(fnl_elements(r, &s->in[0]) / N, N, s->node->op == FNL_OP_LOG_SOFTMAX,
                               fnl_f32(r, &s->in[0]), fnl_f32(r, &s->out[0]));
}

static void softmax_grad_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = row_length(&s->in[0]);
    fnl_cpu_kernels()->softmax_grad(fnl_elements(r, &s->in[0]) / N, N,
                                    s->node->op == FNL_OP_LOG_SOFTMAX_GRAD, fnl_f32(r, &s->in[0]),
                                    fnl_f32(r, &s->in[1]), fnl_f32(r, &s->out[0]));
}

#define SOFTMAX(id, opcode, run_fn)                                                                \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 20,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "c",                               \
                                                   .out_layout = "c",                              \
                                                   .supports = softmax_supports,                   \
                                                   .run = run_fn}
SOFTMAX(softmax, FNL_OP_SOFTMAX, softmax_run);
SOFTMAX(log_softmax, FNL_OP_LOG_SOFTMAX, softmax_run);
SOFTMAX(softmax_grad, FNL_OP_SOFTMAX_GRAD, softmax_grad_run);
SOFTMAX(log_softmax_grad, FNL_OP_LOG_SOFTMAX_GRAD, softmax_grad_run);

/* ---- loss ---- */

static void cross_entropy_run(const struct fnl_step *s, const struct fnl_run *r)
{
    fnl_cpu_kernels()->softmax_cross_entropy(r->rows, s->in[0].row_size, fnl_f32(r, &s->in[0]),
                                             fnl_at(r, &s->in[1]), fnl_f32(r, &s->out[0]),
                                             fnl_f32(r, &s->out[1]));
}

const struct fnl_op_impl fnl__cpu_impl_softmax_cross_entropy = {.op = FNL_OP_SOFTMAX_CROSS_ENTROPY,
                                                                .name = "cpu.softmax_cross_entropy",
                                                                .rank = 20,
                                                                .rowwise = true,
                                                                .in_layout = "p",
                                                                .out_layout = "p",
                                                                .run = cross_entropy_run};

static void cross_entropy_grad_run(const struct fnl_step *s, const struct fnl_run *r)
{
    fnl_cpu_kernels()->softmax_cross_entropy_grad(r->rows, s->in[0].row_size, fnl_f32(r, &s->in[0]),
                                                  fnl_at(r, &s->in[1]), 1.0F / (float)r->batch_rows,
                                                  fnl_f32(r, &s->out[0]));
}

const struct fnl_op_impl fnl__cpu_impl_softmax_cross_entropy_grad = {
    .op = FNL_OP_SOFTMAX_CROSS_ENTROPY_GRAD,
    .name = "cpu.softmax_cross_entropy.grad",
    .rank = 20,
    .rowwise = true,
    .in_layout = "p",
    .out_layout = "p",
    .run = cross_entropy_grad_run};

/* Logits and a distribution each row: loss = sum_k t_k (log sum_j exp(x_j) - x_k). */
static void categorical_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = s->in[0].row_size;
    const float *x = fnl_f32(r, &s->in[0]), *t = fnl_f32(r, &s->in[1]);
    float *loss = fnl_f32(r, &s->out[0]), *p = fnl_f32(r, &s->out[1]);
    fnl_cpu_kernels()->softmax(r->rows, N, true, x, p); /* log p, on the way to p */
    for (size_t m = 0; m < r->rows; m++) {
        double sum = 0.0;
        for (size_t k = 0; k < N; k++) {
            if (t[m * N + k] != 0.0F) { /* a class without weight has no loss, even at p = 0 */
                sum -= (double)t[m * N + k] * (double)p[m * N + k];
            }
        }
        loss[m] = (float)sum;
    }
    fnl_cpu_kernels()->softmax(r->rows, N, false, x, p);
}

/* loss = mean_k max(x, 0) - x t + log(1 + exp(-|x|)), the form that cannot overflow; p =
 * sigmoid(x). */
static void binary_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = s->in[0].row_size;
    const float *x = fnl_f32(r, &s->in[0]), *t = fnl_f32(r, &s->in[1]);
    float *loss = fnl_f32(r, &s->out[0]);
    for (size_t m = 0; m < r->rows; m++) {
        double sum = 0.0;
        for (size_t k = m * N; k < (m + 1) * N; k++) {
            double v = (double)x[k];
            sum += (v > 0.0 ? v : 0.0) - v * (double)t[k] + log1p(exp(-fabs(v)));
        }
        loss[m] = (float)(sum / (double)N);
    }
    fnl_cpu_kernels()->sigmoid(r->rows * N, x, fnl_f32(r, &s->out[1]));
}

static void squared_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t N = s->in[0].row_size;
    const float *x = fnl_f32(r, &s->in[0]), *t = fnl_f32(r, &s->in[1]);
    float *loss = fnl_f32(r, &s->out[0]);
    for (size_t m = 0; m < r->rows; m++) {
        double sum = 0.0;
        for (size_t k = m * N; k < (m + 1) * N; k++) {
            double d = (double)x[k] - (double)t[k];
            sum += d * d;
        }
        loss[m] = (float)(sum / (double)N);
    }
}

/* Gradient of those three: (a - b) * alpha / batch. */
static void difference_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const float *a = fnl_f32(r, &s->in[0]), *b = fnl_f32(r, &s->in[1]);
    float *dx = fnl_f32(r, &s->out[0]);
    float scale = s->node->attrs.alpha / (float)r->batch_rows;
    size_t count = fnl_elements(r, &s->in[0]);
    for (size_t i = 0; i < count; i++) {
        dx[i] = (a[i] - b[i]) * scale;
    }
}

#define ROW_LOSS(id, opcode, run_fn)                                                               \
    const struct fnl_op_impl fnl__cpu_impl_##id = {.op = opcode,                                   \
                                                   .name = "cpu." #id,                             \
                                                   .rank = 20,                                     \
                                                   .rowwise = true,                                \
                                                   .in_layout = "p",                               \
                                                   .out_layout = "p",                              \
                                                   .run = run_fn}
ROW_LOSS(categorical_cross_entropy, FNL_OP_CATEGORICAL_CROSS_ENTROPY, categorical_run);
ROW_LOSS(binary_cross_entropy, FNL_OP_BINARY_CROSS_ENTROPY, binary_run);
ROW_LOSS(mean_squared_error, FNL_OP_MEAN_SQUARED_ERROR, squared_run);
ROW_LOSS(difference_grad, FNL_OP_DIFFERENCE_GRAD, difference_run);

/* ---- dy [N, F] summed over the batch: the gradient of a bias [F] or [1, F] ---- */

static bool sum_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    const struct fnl_shape *dy = &fnl_graph_value(g, n->input[0])->shape;
    const struct fnl_shape *v = &fnl_graph_value(g, n->input[1])->shape;
    return dy->rank == 2 && dy->dim[0] == FNL_DIM_BATCH && v->rank > 0 && v->rank <= 2 &&
           v->dim[v->rank - 1] == dy->dim[1] && (v->rank == 1 || v->dim[0] == 1);
}

static void sum_run(const struct fnl_step *s, const struct fnl_run *r)
{
    fnl_cpu_kernels()->channel_bias_grad(r->rows, s->in[0].row_size, fnl_f32(r, &s->in[0]),
                                         fnl_f32(r, &s->out[0]), !r->first_block);
}

const struct fnl_op_impl fnl__cpu_impl_sum_to_features = {.op = FNL_OP_SUM_TO_SHAPE,
                                                          .name = "cpu.sum_to_features",
                                                          .rank = 20,
                                                          .rowwise = true,
                                                          .in_layout = "p-",
                                                          .out_layout = "n",
                                                          .supports = sum_supports,
                                                          .run = sum_run};
