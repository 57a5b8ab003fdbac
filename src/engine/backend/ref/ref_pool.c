/* ref_pool.c - pooling over windows and over whole images, and their gradients.
 *
 * A window is the set of taps (kh, kw) in that order. Max: padding never wins, the first maximum
 * takes the gradient, and a NaN in the window is its maximum. Average: the divisor counts the taps
 * in the image, or, with count_include_pad, those in the padded image; what ceil_mode lets stick
 * out behind the padding never counts. */
#include <math.h>
#include <string.h>

#include "engine/backend/ref/ref_int.h"

/* One window: channel image `plane`, output pixel. */
struct window {
    const struct fnl_attrs *attrs;
    ptrdiff_t H, W;   /* of the input */
    ptrdiff_t h0, w0; /* of the first tap, maybe in the padding */
};

static struct window window_at(const struct fnl_attrs *a, const struct fnl_ref_tensor *x, size_t oh,
                               size_t ow)
{
    return (struct window){a, (ptrdiff_t)x->dim[2], (ptrdiff_t)x->dim[3],
                           (ptrdiff_t)oh * a->strides[0] - a->pads[0],
                           (ptrdiff_t)ow * a->strides[1] - a->pads[1]};
}

/* Place of tap (kh, kw) in the plane, or -1 in the padding, or -2 behind it. */
static ptrdiff_t tap_at(const struct window *v, int kh, int kw)
{
    const struct fnl_attrs *a = v->attrs;
    ptrdiff_t h = v->h0 + (ptrdiff_t)kh * a->dilations[0];
    ptrdiff_t w = v->w0 + (ptrdiff_t)kw * a->dilations[1];
    if (h >= v->H + a->pads[2] || w >= v->W + a->pads[3]) {
        return -2;
    }
    return h < 0 || w < 0 || h >= v->H || w >= v->W ? -1 : h * v->W + w;
}

/* Place of the window's first maximum, or -1 when the whole window lies in the padding. */
static ptrdiff_t first_maximum(const struct window *v, const float *plane)
{
    ptrdiff_t best = -1;
    for (int kh = 0; kh < v->attrs->kernel[0]; kh++) {
        for (int kw = 0; kw < v->attrs->kernel[1]; kw++) {
            ptrdiff_t at = tap_at(v, kh, kw);
            if (at >= 0 && (best < 0 || plane[at] > plane[best] ||
                            (isnan(plane[at]) && !isnan(plane[best])))) {
                best = at;
            }
        }
    }
    return best;
}

static int divisor(const struct window *v)
{
    int count = 0;
    for (int kh = 0; kh < v->attrs->kernel[0]; kh++) {
        for (int kw = 0; kw < v->attrs->kernel[1]; kw++) {
            ptrdiff_t at = tap_at(v, kh, kw);
            count += at >= 0 || (at == -1 && v->attrs->count_include_pad);
        }
    }
    return count > 0 ? count : 1;
}

static double average(const struct window *v, const float *plane)
{
    double sum = 0.0;
    for (int kh = 0; kh < v->attrs->kernel[0]; kh++) {
        for (int kw = 0; kw < v->attrs->kernel[1]; kw++) {
            ptrdiff_t at = tap_at(v, kh, kw);
            sum += at >= 0 ? (double)plane[at] : 0.0;
        }
    }
    return sum / divisor(v);
}

static void run_pool(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    size_t planes = x.dim[0] * x.dim[1], i = 0;
    for (size_t p = 0; p < planes; p++) {
        const float *plane = x.at + p * x.dim[2] * x.dim[3];
        for (size_t oh = 0; oh < y.dim[2]; oh++) {
            for (size_t ow = 0; ow < y.dim[3]; ow++, i++) {
                struct window v = window_at(&step->node->attrs, &x, oh, ow);
                if (step->node->op == FNL_OP_MAX_POOL) {
                    ptrdiff_t best = first_maximum(&v, plane);
                    y.at[i] = best < 0 ? 0.0F : plane[best];
                } else {
                    y.at[i] = (float)average(&v, plane);
                }
            }
        }
    }
}

FNL_REF_IMPL(max_pool, MAX_POOL, "p", .run = run_pool);
FNL_REF_IMPL(average_pool, AVERAGE_POOL, "p", .run = run_pool);

/* Gives dy back to the window's taps. */
static void spread_max(const struct window *v, const float *plane, double dy, double *sum)
{
    ptrdiff_t best = first_maximum(v, plane);
    if (best >= 0) {
        sum[best] += dy;
    }
}

static void spread_average(const struct window *v, double dy, double *sum)
{
    double share = dy / divisor(v);
    for (int kh = 0; kh < v->attrs->kernel[0]; kh++) {
        for (int kw = 0; kw < v->attrs->kernel[1]; kw++) {
            ptrdiff_t at = tap_at(v, kh, kw);
            if (at >= 0) {
                sum[at] += share;
            }
        }
    }
}

static void run_pool_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), x = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0);
    double *sum = (double *)(void *)run->scratch;
    size_t planes = x.dim[0] * x.dim[1], size = x.dim[2] * x.dim[3], i = 0;
    memset(sum, 0, dx.count * sizeof *sum);
    for (size_t p = 0; p < planes; p++) {
        for (size_t oh = 0; oh < dy.dim[2]; oh++) {
            for (size_t ow = 0; ow < dy.dim[3]; ow++, i++) {
                struct window v = window_at(&step->node->attrs, &x, oh, ow);
                if (step->node->op == FNL_OP_MAX_POOL_GRAD) {
                    spread_max(&v, x.at + p * size, dy.at[i], sum + p * size);
                } else {
                    spread_average(&v, dy.at[i], sum + p * size);
                }
            }
        }
    }
    for (size_t k = 0; k < dx.count; k++) {
        dx.at[k] = (float)sum[k];
    }
}

FNL_REF_IMPL(max_pool_grad, MAX_POOL_GRAD, "pp-", .plan = fnl__ref_plan_sums, .run = run_pool_grad);
FNL_REF_IMPL(average_pool_grad, AVERAGE_POOL_GRAD, "p-", .plan = fnl__ref_plan_sums,
             .run = run_pool_grad);

/* ---- over the whole image ---- */

static size_t first_maximum_of(const float *plane, size_t size)
{
    size_t best = 0;
    for (size_t i = 1; i < size; i++) {
        if (plane[i] > plane[best] || (isnan(plane[i]) && !isnan(plane[best]))) {
            best = i;
        }
    }
    return best;
}

static void run_global_max_pool(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    size_t size = x.dim[2] * x.dim[3];
    for (size_t p = 0; p < y.count; p++) {
        const float *plane = x.at + p * size;
        y.at[p] = plane[first_maximum_of(plane, size)];
    }
}

static void run_global_max_pool_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), x = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0);
    size_t size = x.dim[2] * x.dim[3];
    for (size_t p = 0; p < dy.count; p++) {
        size_t best = first_maximum_of(x.at + p * size, size);
        for (size_t i = 0; i < size; i++) {
            dx.at[p * size + i] = i == best ? dy.at[p] : 0.0F;
        }
    }
}

static void run_global_average_pool(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    size_t size = x.dim[2] * x.dim[3];
    for (size_t p = 0; p < y.count; p++) {
        double sum = 0.0;
        for (size_t i = 0; i < size; i++) {
            sum += (double)x.at[p * size + i];
        }
        y.at[p] = (float)(sum / (double)size);
    }
}

static void run_global_average_pool_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), x = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor dx = fnl__ref_out(step, run, 0);
    size_t size = x.dim[2] * x.dim[3];
    for (size_t i = 0; i < dx.count; i++) {
        dx.at[i] = (float)((double)dy.at[i / size] / (double)size);
    }
}

FNL_REF_IMPL(global_average_pool, GLOBAL_AVERAGE_POOL, "p", .run = run_global_average_pool);
FNL_REF_IMPL(global_max_pool, GLOBAL_MAX_POOL, "p", .run = run_global_max_pool);
FNL_REF_IMPL(global_average_pool_grad, GLOBAL_AVERAGE_POOL_GRAD, "p-",
             .run = run_global_average_pool_grad);
FNL_REF_IMPL(global_max_pool_grad, GLOBAL_MAX_POOL_GRAD, "pp-", .run = run_global_max_pool_grad);
