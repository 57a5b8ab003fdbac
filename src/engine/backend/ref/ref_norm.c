/* ref_norm.c - Softmax and LayerNormalization, with their gradients: all look at one line of
 * elements at a time. With xhat = (x - mean) / std over a row of D elements, LayerNormalization has
 *   dx = (g - mean(g) - xhat * mean(g * xhat)) / std,  g = dy * scale.
 * Source: Ba, Kiros, Hinton, "Layer Normalization", 2016. */
#include <math.h>

#include "engine/backend/ref/ref_int.h"

/* ---- Softmax, LogSoftmax: along one axis ---- */

static void run_softmax(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    int axis = fnl__ref_axis(step, x.rank);
    size_t outer = fnl__ref_extent(&x, 0, axis), K = x.dim[axis];
    size_t inner = fnl__ref_extent(&x, axis + 1, x.rank);
    for (size_t line = 0; line < outer * inner; line++) {
        const float *from = x.at + line / inner * K * inner + line % inner;
        float *to = y.at + line / inner * K * inner + line % inner;
        double largest = -INFINITY, sum = 0.0;
        for (size_t k = 0; k < K; k++) {
            largest = fmax(largest, from[k * inner]);
        }
        for (size_t k = 0; k < K; k++) {
            sum += exp((double)from[k * inner] - largest);
        }
        for (size_t k = 0; k < K; k++) {
            double z = (double)from[k * inner] - largest;
            bool log_form = step->node->op == FNL_OP_LOG_SOFTMAX;
            to[k * inner] = (float)(log_form ? z - log(sum) : exp(z) / sum);
        }
    }
}

FNL_REF_IMPL(softmax, SOFTMAX, "p", .run = run_softmax);
FNL_REF_IMPL(log_softmax, LOG_SOFTMAX, "p", .run = run_softmax);

/* Softmax: dx = y (dy - sum(dy y)); LogSoftmax: dx = dy - exp(y) sum(dy). */
static void run_softmax_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), y = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0);
    bool log_form = step->node->op == FNL_OP_LOG_SOFTMAX_GRAD;
    int axis = fnl__ref_axis(step, y.rank);
    size_t outer = fnl__ref_extent(&y, 0, axis), K = y.dim[axis];
    size_t inner = fnl__ref_extent(&y, axis + 1, y.rank);
    for (size_t line = 0; line < outer * inner; line++) {
        size_t first = line / inner * K * inner + line % inner;
        double sum = 0.0;
        for (size_t k = 0; k < K; k++) {
            size_t i = first + k * inner;
            sum += (double)dy.at[i] * (log_form ? 1.0 : (double)y.at[i]);
        }
        for (size_t k = 0; k < K; k++) {
            size_t i = first + k * inner;
            dx.at[i] = (float)(log_form ? (double)dy.at[i] - exp((double)y.at[i]) * sum
                                        : (double)y.at[i] * ((double)dy.at[i] - sum));
        }
    }
}

FNL_REF_IMPL(softmax_grad, SOFTMAX_GRAD, "p", .run = run_softmax_grad);
FNL_REF_IMPL(log_softmax_grad, LOG_SOFTMAX_GRAD, "p", .run = run_softmax_grad);

/* ---- LayerNormalization: each row x[D] of the dimensions from axis on ---- */

static void run_layer_normalization(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), scale = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor bias = fnl__ref_in(step, run, 2), y = fnl__ref_out(step, run, 0);
    struct fnl_ref_tensor saved_mean = fnl__ref_out(step, run, 1);
    struct fnl_ref_tensor saved_inverse = fnl__ref_out(step, run, 2);
    size_t D = scale.count;
    for (size_t r = 0; r < x.count / D; r++) {
        const float *row = x.at + r * D;
        double sum = 0.0, squares = 0.0;
        for (size_t d = 0; d < D; d++) {
            sum += (double)row[d];
        }
        double mean = sum / (double)D;
        for (size_t d = 0; d < D; d++) {
            squares += ((double)row[d] - mean) * ((double)row[d] - mean);
        }
        double inverse = 1.0 / sqrt(squares / (double)D + (double)step->node->attrs.epsilon);
        for (size_t d = 0; d < D; d++) {
            double shifted = bias.at == NULL ? 0.0 : (double)bias.at[d];
            shifted += ((double)row[d] - mean) * inverse * (double)scale.at[d];
            y.at[r * D + d] = (float)shifted;
        }
        if (saved_mean.at != NULL) {
            saved_mean.at[r] = (float)mean;
        }
        if (saved_inverse.at != NULL) {
            saved_inverse.at[r] = (float)inverse;
        }
    }
}

FNL_REF_IMPL(layer_normalization, LAYER_NORMALIZATION, "p", .run = run_layer_normalization);

/* dx of one row. */
static void layer_row_grad(size_t D, const float *dy, const float *x, const float *scale,
                           double mean, double inverse, float *dx)
{
    double sum_g = 0.0, sum_g_xhat = 0.0;
    for (size_t d = 0; d < D; d++) {
        double g = (double)dy[d] * (double)scale[d];
        sum_g += g;
        sum_g_xhat += g * ((double)x[d] - mean) * inverse;
    }
    for (size_t d = 0; d < D; d++) {
        double g = (double)dy[d] * (double)scale[d], xhat = ((double)x[d] - mean) * inverse;
        dx[d] = (float)(inverse * (g - (sum_g + xhat * sum_g_xhat) / (double)D));
    }
}

static void run_layer_normalization_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), x = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor scale = fnl__ref_in(step, run, 2), mean = fnl__ref_in(step, run, 3);
    struct fnl_ref_tensor inverse = fnl__ref_in(step, run, 4);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0), dscale = fnl__ref_out(step, run, 1);
    struct fnl_ref_tensor dbias = fnl__ref_out(step, run, 2);
    size_t D = scale.count, rows = x.count / D;
    for (size_t r = 0; r < rows; r++) {
        layer_row_grad(D, dy.at + r * D, x.at + r * D, scale.at, mean.at[r], inverse.at[r],
                       dx.at + r * D);
    }
    for (size_t d = 0; d < D; d++) {
        double sum_dy = 0.0, sum_dy_xhat = 0.0;
        for (size_t r = 0; r < rows; r++) {
            double g = dy.at[r * D + d];
            sum_dy += g;
            sum_dy_xhat +=
                g * ((double)x.at[r * D + d] - (double)mean.at[r]) * (double)inverse.at[r];
        }
        dscale.at[d] = (float)sum_dy_xhat;
        dbias.at[d] = (float)sum_dy;
    }
}

FNL_REF_IMPL(layer_normalization_grad, LAYER_NORMALIZATION_GRAD, "p",
             .run = run_layer_normalization_grad);
