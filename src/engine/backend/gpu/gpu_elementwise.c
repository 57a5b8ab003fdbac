/* gpu_elementwise.c - operators whose output element depends on one element of each input: copies,
 * activations and their gradients, arithmetic with broadcasting, Dropout. */
#include <math.h>

#include "base/rng.h"
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_share.h"

/* ---- y = f(x) ---- */

static const char *kernel_of(const struct fnl_node *node)
{
    switch (node->op) {
    case FNL_OP_RELU:
        return "relu";
    case FNL_OP_GELU:
        return node->attrs.gelu_tanh ? "gelu_tanh" : "gelu";
    case FNL_OP_SIGMOID:
        return "sigmoid";
    case FNL_OP_TANH:
        return "hyperbolic_tangent";
    case FNL_OP_ERF:
        return "error_function";
    case FNL_OP_RELU_GRAD:
        return "relu_grad";
    case FNL_OP_GELU_GRAD:
        return node->attrs.gelu_tanh ? "gelu_tanh_grad" : "gelu_grad";
    case FNL_OP_SIGMOID_GRAD:
        return "sigmoid_grad";
    case FNL_OP_TANH_GRAD:
        return "hyperbolic_tangent_grad";
    case FNL_OP_ERF_GRAD:
        return "error_function_grad";
    default:
        return "copy";
    }
}

/* kernel(count, [factor,] inputs..., output), an element at a time; factor NULL: it takes none. */
static int launch_elements(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                           const char *kernel, const float *factor, int inputs,
                           struct fnl_error *err)
{
    struct fnl_gpu_call c;
    size_t count = fnl__gpu_count(emit, &step->out[0]);
    fnl__gpu_call(&c, emit, "elementwise", kernel);
    fnl__gpu_u32(&c, count);
    if (factor != NULL) {
        fnl__gpu_f32(&c, *factor);
    }
    for (int i = 0; i < inputs; i++) {
        fnl__gpu_ptr(&c, &step->in[i]);
    }
    fnl__gpu_ptr(&c, &step->out[0]);
    return fnl__gpu_flat(&c, count, err);
}

static int launch_unary(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                        struct fnl_error *err)
{
    return launch_elements(step, emit, kernel_of(step->node), NULL, 1, err);
}

FNL_GPU_ROW(identity, IDENTITY, "p", launch_unary);
FNL_GPU_ROW(flatten, FLATTEN, "p", launch_unary);
FNL_GPU_ROW(reshape, RESHAPE, "p-", launch_unary);
FNL_GPU_ROW(reshape_to, RESHAPE_TO, "p-", launch_unary);
FNL_GPU_ROW(relu, RELU, "p", launch_unary);
FNL_GPU_ROW(gelu, GELU, "p", launch_unary);
FNL_GPU_ROW(sigmoid, SIGMOID, "p", launch_unary);
FNL_GPU_ROW(tanh, TANH, "p", launch_unary);
FNL_GPU_ROW(erf, ERF, "p", launch_unary);

static int launch_leaky_relu(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                             struct fnl_error *err)
{
    return launch_elements(step, emit, "leaky_relu", &step->node->attrs.alpha, 1, err);
}

FNL_GPU_ROW(leaky_relu, LEAKY_RELU, "p", launch_leaky_relu);

/* ---- dx = f(dy, x or y) ---- */

static int launch_unary_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                             struct fnl_error *err)
{
    return launch_elements(step, emit, kernel_of(step->node), NULL, 2, err);
}

FNL_GPU_ROW(relu_grad, RELU_GRAD, "p", launch_unary_grad);
FNL_GPU_ROW(gelu_grad, GELU_GRAD, "p", launch_unary_grad);
FNL_GPU_ROW(sigmoid_grad, SIGMOID_GRAD, "p", launch_unary_grad);
FNL_GPU_ROW(tanh_grad, TANH_GRAD, "p", launch_unary_grad);
FNL_GPU_ROW(erf_grad, ERF_GRAD, "p", launch_unary_grad);

static int launch_leaky_relu_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                  struct fnl_error *err)
{
    return launch_elements(step, emit, "leaky_relu_grad", &step->node->attrs.alpha, 2, err);
}

static int launch_difference_grad(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                                  struct fnl_error *err)
{
    const float factor = (float)((double)step->node->attrs.alpha / (double)emit->rows);
    return launch_elements(step, emit, "difference", &factor, 2, err);
}

FNL_GPU_ROW(leaky_relu_grad, LEAKY_RELU_GRAD, "p", launch_leaky_relu_grad);
FNL_GPU_ROW(difference_grad, DIFFERENCE_GRAD, "p", launch_difference_grad);

/* ---- arithmetic ---- */

/* Is operand `which` of the walk a plain pattern: element i / inner % period? */
static bool is_pattern(const struct fnl_gpu_walk *w, int which, size_t *inner, size_t *period)
{
    int d = 0;
    *inner = *period = 1;
    for (; d < w->rank && w->step[which][d] == 0; d++) {
        *inner *= w->size[d];
    }
    for (; d < w->rank && w->step[which][d] == *period; d++) {
        *period *= w->size[d];
    }
    if (*inner == 1 && d == w->rank) {
        *inner = 0; /* the same shape */
    }
    for (; d < w->rank && w->step[which][d] == 0; d++) {
    }
    return d == w->rank;
}

static int launch_arithmetic(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                             struct fnl_error *err)
{
    static const char *const patterns[] = {"add_pattern", "sub_pattern", "mul_pattern",
                                           "div_pattern"};
    const int op = (int)step->node->op - (int)FNL_OP_ADD;
    size_t inner[2], period[2], count = fnl__gpu_count(emit, &step->out[0]);
    struct fnl_gpu_call c;
    struct fnl_gpu_walk w;
    fnl__gpu_walk(&w, emit, &step->out[0], &step->in[0], &step->in[1]);
    bool plain =
        is_pattern(&w, 0, &inner[0], &period[0]) && is_pattern(&w, 1, &inner[1], &period[1]);
    fnl__gpu_call(&c, emit, "elementwise", plain ? patterns[op] : "arithmetic");
    fnl__gpu_u32(&c, count);
    if (plain) {
        for (int i = 0; i < 2; i++) {
            fnl__gpu_u32(&c, inner[i]);
            fnl__gpu_u32(&c, period[i]);
        }
    } else {
        fnl__gpu_i32(&c, op);
        fnl__gpu_u32(&c, (size_t)w.rank);
        fnl__gpu_walk_sizes(&c, &w, FNL_MAX_RANK);
        fnl__gpu_walk_steps(&c, &w, 0, FNL_MAX_RANK);
        fnl__gpu_walk_steps(&c, &w, 1, FNL_MAX_RANK);
    }
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_ptr(&c, &step->out[0]);
    return fnl__gpu_flat(&c, count, err);
}

_Static_assert(FNL_OP_SUB == FNL_OP_ADD + 1 && FNL_OP_MUL == FNL_OP_ADD + 2 &&
                   FNL_OP_DIV == FNL_OP_ADD + 3,
               "arithmetic numbers the operators so");
FNL_GPU_ROW(add, ADD, "p", launch_arithmetic);
FNL_GPU_ROW(sub, SUB, "p", launch_arithmetic);
FNL_GPU_ROW(mul, MUL, "p", launch_arithmetic);
FNL_GPU_ROW(div, DIV, "p", launch_arithmetic);

/* ---- Dropout ---- */

/* At rest every element is kept, without asking the generator: limit 0 and factor 1. */
static int launch_dropout(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          struct fnl_error *err)
{
    const struct fnl_attrs *a = &step->node->attrs;
    size_t count = fnl__gpu_count(emit, &step->out[0]);
    double limit = a->training ? ceil((double)a->ratio * 4294967296.0) : 0.0;
    bool has_mask = step->out[1].value >= 0;
    if (!a->training && !has_mask) {
        return launch_unary(step, emit, err);
    }
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "elementwise", "dropout");
    fnl__gpu_u32(&c, count);
    fnl__gpu_buf(&c, emit->control, 0);
    fnl__gpu_u32(&c, (uint32_t)emit->seed);
    fnl__gpu_u32(&c, (uint32_t)(emit->seed >> 32));
    fnl__gpu_u32(&c, FNL_RNG_DROPOUT);
    fnl__gpu_u32(&c, a->seed);
    fnl__gpu_u32(&c, (size_t)limit);
    fnl__gpu_f32(&c, a->training ? 1.0F / (1.0F - a->ratio) : 1.0F);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->out[0]);
    fnl__gpu_i32(&c, has_mask ? 1 : 0);
    fnl__gpu_ptr(&c, &step->out[1]);
    return fnl__gpu_flat(&c, (count + 3) / 4, err);
}

FNL_GPU_ROW(dropout, DROPOUT, "p", launch_dropout);
