/* ref_elementwise.c - operators that look at one element at a time: arithmetic with numpy's
 * broadcasting, activations and their gradients, Dropout. */
#include <math.h>

#include "base/rng.h"
#include "engine/backend/ref/ref_int.h"

/* ---- arithmetic ---- */

static void run_arithmetic(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor a = fnl__ref_in(step, run, 0), b = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor y = fnl__ref_out(step, run, 0);
    for (size_t i = 0; i < y.count; i++) {
        float p = a.at[fnl__ref_broadcast_index(&a, &y, i)];
        float q = b.at[fnl__ref_broadcast_index(&b, &y, i)];
        switch (step->node->op) {
        case FNL_OP_ADD:
            y.at[i] = p + q;
            break;
        case FNL_OP_SUB:
            y.at[i] = p - q;
            break;
        case FNL_OP_MUL:
            y.at[i] = p * q;
            break;
        default:
            y.at[i] = p / q;
            break;
        }
    }
}

FNL_REF_IMPL(add, ADD, "p", .run = run_arithmetic);
FNL_REF_IMPL(sub, SUB, "p", .run = run_arithmetic);
FNL_REF_IMPL(mul, MUL, "p", .run = run_arithmetic);
FNL_REF_IMPL(div, DIV, "p", .run = run_arithmetic);

/* ---- activations ---- */

#define SQRT_HALF 0.70710678118654752440
#define SQRT_2_BY_PI 0.79788456080286535588
#define INVERSE_SQRT_2PI 0.39894228040143267794
#define TWO_BY_SQRT_PI 1.12837916709551257390
#define GELU_CUBIC 0.044715 /* Hendrycks, Gimpel: Gaussian Error Linear Units, 2016 */

static double gelu(double x, bool tanh_form)
{
    if (tanh_form) {
        return 0.5 * x * (1.0 + tanh(SQRT_2_BY_PI * (x + GELU_CUBIC * x * x * x)));
    }
    return 0.5 * x * (1.0 + erf(x * SQRT_HALF));
}

static double gelu_slope(double x, bool tanh_form)
{
    if (tanh_form) {
        double t = tanh(SQRT_2_BY_PI * (x + GELU_CUBIC * x * x * x));
        double inner = SQRT_2_BY_PI * (1.0 + 3.0 * GELU_CUBIC * x * x);
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
    }
    return 0.5 * (1.0 + erf(x * SQRT_HALF)) + x * INVERSE_SQRT_2PI * exp(-0.5 * x * x);
}

/* A NaN stays a NaN in every one of them, so that divergence shows. */
static double activate(const struct fnl_node *node, double x)
{
    switch (node->op) {
    case FNL_OP_RELU:
        return x < 0.0 ? 0.0 : x;
    case FNL_OP_LEAKY_RELU:
        return x < 0.0 ? (double)node->attrs.alpha * x : x;
    case FNL_OP_GELU:
        return gelu(x, node->attrs.gelu_tanh);
    case FNL_OP_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case FNL_OP_TANH:
        return tanh(x);
    default: /* FNL_OP_ERF */
        return erf(x);
    }
}

static void run_activation(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    for (size_t i = 0; i < y.count; i++) {
        y.at[i] = (float)activate(step->node, x.at[i]);
    }
}

FNL_REF_IMPL(relu, RELU, "p", .run = run_activation);
FNL_REF_IMPL(leaky_relu, LEAKY_RELU, "p", .run = run_activation);
FNL_REF_IMPL(gelu, GELU, "p", .run = run_activation);
FNL_REF_IMPL(sigmoid, SIGMOID, "p", .run = run_activation);
FNL_REF_IMPL(tanh, TANH, "p", .run = run_activation);
FNL_REF_IMPL(erf, ERF, "p", .run = run_activation);

/* The slope at v, which is the activation's output where that is enough, else its input. */
static double slope(const struct fnl_node *node, double v)
{
    switch (node->op) {
    case FNL_OP_RELU_GRAD:
        return v > 0.0 ? 1.0 : 0.0;
    case FNL_OP_LEAKY_RELU_GRAD:
        return v > 0.0 ? 1.0 : (double)node->attrs.alpha;
    case FNL_OP_GELU_GRAD:
        return gelu_slope(v, node->attrs.gelu_tanh);
    case FNL_OP_SIGMOID_GRAD:
        return v * (1.0 - v);
    case FNL_OP_TANH_GRAD:
        return 1.0 - v * v;
    default: /* FNL_OP_ERF_GRAD */
        return TWO_BY_SQRT_PI * exp(-v * v);
    }
}

static void run_activation_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), v = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0);
    for (size_t i = 0; i < dx.count; i++) {
        dx.at[i] = (float)((double)dy.at[i] * slope(step->node, v.at[i]));
    }
}

FNL_REF_IMPL(relu_grad, RELU_GRAD, "p", .run = run_activation_grad);
FNL_REF_IMPL(leaky_relu_grad, LEAKY_RELU_GRAD, "p", .run = run_activation_grad);
FNL_REF_IMPL(gelu_grad, GELU_GRAD, "p", .run = run_activation_grad);
FNL_REF_IMPL(sigmoid_grad, SIGMOID_GRAD, "p", .run = run_activation_grad);
FNL_REF_IMPL(tanh_grad, TANH_GRAD, "p", .run = run_activation_grad);
FNL_REF_IMPL(erf_grad, ERF_GRAD, "p", .run = run_activation_grad);

/* ---- Dropout ---- */

/* Whether element e of the whole batch is kept: a pure function of seed, step, node and e, so that
 * every back end, shard and resumed run drops the same ones. */
static bool keeps(const struct fnl_attrs *a, const struct fnl_run *run, uint64_t e)
{
    uint32_t word[4];
    fnl_rng_at(run->seed, FNL_RNG_DROPOUT, a->seed, (run->step << 40) + e / 4, word);
    return (double)word[e % 4] >= (double)a->ratio * 4294967296.0;
}

static void run_dropout(const struct fnl_step *step, const struct fnl_run *run)
{
    const struct fnl_attrs *a = &step->node->attrs;
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    struct fnl_ref_tensor mask = fnl__ref_out(step, run, 1);
    uint64_t first = (uint64_t)(run->first_row + run->row0) * step->in[0].row_size;
    for (size_t i = 0; i < y.count; i++) {
        float factor = 1.0F;
        if (a->training) {
            factor = keeps(a, run, first + i) ? 1.0F / (1.0F - a->ratio) : 0.0F;
        }
        y.at[i] = x.at[i] * factor;
        if (mask.at != NULL) {
            mask.at[i] = factor;
        }
    }
}

FNL_REF_IMPL(dropout, DROPOUT, "p", .run = run_dropout);
