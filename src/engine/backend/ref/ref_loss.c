/* ref_loss.c - losses, one number a sample, and the gradients of their mean over the batch.
 *
 * The divisor of that mean is run->batch_rows, the rows of the whole batch, and is applied here and
 * nowhere else. A sample's loss is: softmax cross-entropies, -log p of its class (or the sum over
 * classes of -target log p); binary cross-entropy and squared error, the mean over its features. A
 * label outside the classes (readers refuse them) makes a NaN, never a read out of bounds. */
#include <math.h>

#include "engine/backend/ref/ref_int.h"

/* p = softmax(x) of one row; returns log(sum(exp(x))). */
static double softmax_row(const float *x, size_t K, float *p)
{
    double largest = -INFINITY, sum = 0.0;
    for (size_t k = 0; k < K; k++) {
        largest = fmax(largest, x[k]);
    }
    for (size_t k = 0; k < K; k++) {
        sum += exp((double)x[k] - largest);
    }
    for (size_t k = 0; k < K; k++) {
        p[k] = (float)(exp((double)x[k] - largest) / sum);
    }
    return largest + log(sum);
}

static const int32_t *labels_of(const struct fnl_step *step, const struct fnl_run *run)
{
    return (const int32_t *)fnl_at(run, &step->in[1]);
}

static void run_softmax_cross_entropy(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), loss = fnl__ref_out(step, run, 0);
    struct fnl_ref_tensor p = fnl__ref_out(step, run, 1);
    const int32_t *label = labels_of(step, run);
    size_t K = x.dim[1];
    for (size_t n = 0; n < x.dim[0]; n++) {
        const float *row = x.at + n * K;
        double log_sum = softmax_row(row, K, p.at + n * K);
        bool valid = label[n] >= 0 && (size_t)label[n] < K;
        loss.at[n] = valid ? (float)(log_sum - (double)row[label[n]]) : NAN;
    }
}

FNL_REF_IMPL(softmax_cross_entropy, SOFTMAX_CROSS_ENTROPY, "p", .run = run_softmax_cross_entropy);

static void run_softmax_cross_entropy_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor p = fnl__ref_in(step, run, 0), dx = fnl__ref_out(step, run, 0);
    const int32_t *label = labels_of(step, run);
    size_t K = p.dim[1];
    for (size_t i = 0; i < dx.count; i++) {
        double target = (size_t)(uint32_t)label[i / K] == i % K ? 1.0 : 0.0;
        dx.at[i] = (float)(((double)p.at[i] - target) / (double)run->batch_rows);
    }
}

FNL_REF_IMPL(softmax_cross_entropy_grad, SOFTMAX_CROSS_ENTROPY_GRAD, "p",
             .run = run_softmax_cross_entropy_grad);

/* The classes are the last dimension; targets of a row add up to 1, else the gradient p - target is
 * not that of this loss. */
static void run_categorical_cross_entropy(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), target = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor loss = fnl__ref_out(step, run, 0), p = fnl__ref_out(step, run, 1);
    size_t K = x.dim[x.rank - 1], lines = x.count / K / x.dim[0];
    for (size_t n = 0; n < x.dim[0]; n++) {
        double sum = 0.0;
        for (size_t line = n * lines; line < (n + 1) * lines; line++) {
            double log_sum = softmax_row(x.at + line * K, K, p.at + line * K);
            for (size_t k = 0; k < K; k++) {
                sum += (double)target.at[line * K + k] * (log_sum - (double)x.at[line * K + k]);
            }
        }
        loss.at[n] = (float)sum;
    }
}

FNL_REF_IMPL(categorical_cross_entropy, CATEGORICAL_CROSS_ENTROPY, "p",
             .run = run_categorical_cross_entropy);

/* -t log(p) - (1 - t) log(1 - p) with p = sigmoid(x), in the form that never overflows. */
static void run_binary_cross_entropy(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), target = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor loss = fnl__ref_out(step, run, 0), p = fnl__ref_out(step, run, 1);
    size_t features = x.count / x.dim[0];
    for (size_t n = 0; n < x.dim[0]; n++) {
        double sum = 0.0;
        for (size_t i = n * features; i < (n + 1) * features; i++) {
            double z = x.at[i];
            p.at[i] = (float)(1.0 / (1.0 + exp(-z)));
            sum += (z > 0.0 ? z : 0.0) - z * (double)target.at[i] + log1p(exp(-fabs(z)));
        }
        loss.at[n] = (float)(sum / (double)features);
    }
}

FNL_REF_IMPL(binary_cross_entropy, BINARY_CROSS_ENTROPY, "p", .run = run_binary_cross_entropy);

static void run_mean_squared_error(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), target = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor loss = fnl__ref_out(step, run, 0);
    size_t features = x.count / x.dim[0];
    for (size_t n = 0; n < x.dim[0]; n++) {
        double sum = 0.0;
        for (size_t i = n * features; i < (n + 1) * features; i++) {
            double d = (double)x.at[i] - (double)target.at[i];
            sum += d * d;
        }
        loss.at[n] = (float)(sum / (double)features);
    }
}

FNL_REF_IMPL(mean_squared_error, MEAN_SQUARED_ERROR, "p", .run = run_mean_squared_error);

/* (a - b) * alpha / batch: the gradient of every loss but the one with labels. */
static void run_difference_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor a = fnl__ref_in(step, run, 0), b = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0);
    double factor = (double)step->node->attrs.alpha / (double)run->batch_rows;
    for (size_t i = 0; i < dx.count; i++) {
        dx.at[i] = (float)(((double)a.at[i] - (double)b.at[i]) * factor);
    }
}

FNL_REF_IMPL(difference_grad, DIFFERENCE_GRAD, "p", .run = run_difference_grad);
