/* ref_conv.c - 2-D convolution (ONNX Conv: a cross-correlation) and its three gradients.
 *
 * All of them walk the same taps: filter k of group g at output pixel (oh, ow) reads input channel
 * c of the same group at (oh * stride + kh * dilation - pad, ...), where that lies in the image. */
#include <string.h>

#include "engine/backend/ref/ref_int.h"

struct conv {
    const struct fnl_attrs *attrs;
    struct fnl_ref_tensor x, w, y; /* [N, C, H, W], [K, C/group, KH, KW], [N, K, OH, OW] */
    size_t group_inputs;           /* C / group */
    size_t group_filters;          /* K / group */
};

static void conv_init(struct conv *c, const struct fnl_step *step, struct fnl_ref_tensor x,
                      struct fnl_ref_tensor w, struct fnl_ref_tensor y)
{
    c->attrs = &step->node->attrs;
    c->x = x;
    c->w = w;
    c->y = y;
    c->group_inputs = w.dim[1];
    c->group_filters = w.dim[0] / (size_t)c->attrs->group;
}

static size_t offset4(const struct fnl_ref_tensor *t, size_t a, size_t b, size_t c, size_t d)
{
    return ((a * t->dim[1] + b) * t->dim[2] + c) * t->dim[3] + d;
}

/* Input coordinate of tap `tap` of output pixel `out` along dimension d (0: rows, 1: columns);
 * false when it lies in the padding. */
static bool tap_at(const struct conv *c, int d, size_t out, size_t tap, size_t *ret)
{
    ptrdiff_t at = (ptrdiff_t)out * c->attrs->strides[d] + (ptrdiff_t)tap * c->attrs->dilations[d] -
                   c->attrs->pads[d];
    *ret = (size_t)at;
    return at >= 0 && at < (ptrdiff_t)c->x.dim[2 + d];
}

/* One output element. */
static double convolve(const struct conv *c, size_t n, size_t k, size_t oh, size_t ow)
{
    size_t first = k / c->group_filters * c->group_inputs, h, w;
    double sum = 0.0;
    for (size_t ci = 0; ci < c->group_inputs; ci++) {
        for (size_t kh = 0; kh < c->w.dim[2]; kh++) {
            for (size_t kw = 0; kw < c->w.dim[3]; kw++) {
                if (tap_at(c, 0, oh, kh, &h) && tap_at(c, 1, ow, kw, &w)) {
                    sum += (double)c->x.at[offset4(&c->x, n, first + ci, h, w)] *
                           (double)c->w.at[offset4(&c->w, k, ci, kh, kw)];
                }
            }
        }
    }
    return sum;
}

static void run_conv(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor bias = fnl__ref_in(step, run, 2);
    struct conv c;
    conv_init(&c, step, fnl__ref_in(step, run, 0), fnl__ref_in(step, run, 1),
              fnl__ref_out(step, run, 0));
    for (size_t n = 0; n < c.y.dim[0]; n++) {
        for (size_t k = 0; k < c.y.dim[1]; k++) {
            for (size_t oh = 0; oh < c.y.dim[2]; oh++) {
                for (size_t ow = 0; ow < c.y.dim[3]; ow++) {
                    double sum = convolve(&c, n, k, oh, ow);
                    sum += bias.at == NULL ? 0.0 : (double)bias.at[k];
                    c.y.at[offset4(&c.y, n, k, oh, ow)] = (float)sum;
                }
            }
        }
    }
}

FNL_REF_IMPL(conv, CONV, "p", .run = run_conv);

/* dw[k, ci, kh, kw] = sum over images and output pixels of dy * the input under the tap. */
static double weight_gradient(const struct conv *c, size_t k, size_t ci, size_t kh, size_t kw)
{
    size_t channel = k / c->group_filters * c->group_inputs + ci, h, w;
    double sum = 0.0;
    for (size_t n = 0; n < c->y.dim[0]; n++) {
        for (size_t oh = 0; oh < c->y.dim[2]; oh++) {
            for (size_t ow = 0; ow < c->y.dim[3]; ow++) {
                if (tap_at(c, 0, oh, kh, &h) && tap_at(c, 1, ow, kw, &w)) {
                    sum += (double)c->y.at[offset4(&c->y, n, k, oh, ow)] *
                           (double)c->x.at[offset4(&c->x, n, channel, h, w)];
                }
            }
        }
    }
    return sum;
}

static void run_conv_grad_weights(const struct fnl_step *step, const struct fnl_run *run)
{
    struct conv c; /* y is dy, w is the gradient */
    conv_init(&c, step, fnl__ref_in(step, run, 1), fnl__ref_out(step, run, 0),
              fnl__ref_in(step, run, 0));
    for (size_t k = 0; k < c.w.dim[0]; k++) {
        for (size_t ci = 0; ci < c.w.dim[1]; ci++) {
            for (size_t kh = 0; kh < c.w.dim[2]; kh++) {
                for (size_t kw = 0; kw < c.w.dim[3]; kw++) {
                    c.w.at[offset4(&c.w, k, ci, kh, kw)] =
                        (float)weight_gradient(&c, k, ci, kh, kw);
                }
            }
        }
    }
}

FNL_REF_IMPL(conv_grad_weights, CONV_GRAD_WEIGHTS, "pp-", .run = run_conv_grad_weights);

/* Adds to sum[N, C, H, W] what output pixel (n, k, oh, ow) gives back to the pixels it read. */
static void scatter(const struct conv *c, size_t n, size_t k, size_t oh, size_t ow, double *sum)
{
    size_t first = k / c->group_filters * c->group_inputs, h, w;
    double dy = c->y.at[offset4(&c->y, n, k, oh, ow)];
    for (size_t ci = 0; ci < c->group_inputs; ci++) {
        for (size_t kh = 0; kh < c->w.dim[2]; kh++) {
            for (size_t kw = 0; kw < c->w.dim[3]; kw++) {
                if (tap_at(c, 0, oh, kh, &h) && tap_at(c, 1, ow, kw, &w)) {
                    sum[offset4(&c->x, n, first + ci, h, w)] +=
                        dy * (double)c->w.at[offset4(&c->w, k, ci, kh, kw)];
                }
            }
        }
    }
}

static void run_conv_grad_data(const struct fnl_step *step, const struct fnl_run *run)
{
    struct conv c; /* y is dy, x is the gradient */
    conv_init(&c, step, fnl__ref_out(step, run, 0), fnl__ref_in(step, run, 1),
              fnl__ref_in(step, run, 0));
    double *sum = (double *)(void *)run->scratch;
    memset(sum, 0, c.x.count * sizeof *sum);
    for (size_t n = 0; n < c.y.dim[0]; n++) {
        for (size_t k = 0; k < c.y.dim[1]; k++) {
            for (size_t oh = 0; oh < c.y.dim[2]; oh++) {
                for (size_t ow = 0; ow < c.y.dim[3]; ow++) {
                    scatter(&c, n, k, oh, ow, sum);
                }
            }
        }
    }
    for (size_t i = 0; i < c.x.count; i++) {
        c.x.at[i] = (float)sum[i];
    }
}

FNL_REF_IMPL(conv_grad_data, CONV_GRAD_DATA, "pp-", .plan = fnl__ref_plan_sums,
             .run = run_conv_grad_data);

static void run_conv_grad_bias(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), db = fnl__ref_out(step, run, 0);
    size_t pixels = dy.dim[2] * dy.dim[3];
    for (size_t k = 0; k < db.count; k++) {
        double sum = 0.0;
        for (size_t n = 0; n < dy.dim[0]; n++) {
            for (size_t i = 0; i < pixels; i++) {
                sum += (double)dy.at[(n * dy.dim[1] + k) * pixels + i];
            }
        }
        db.at[k] = (float)sum;
    }
}

FNL_REF_IMPL(conv_grad_bias, CONV_GRAD_BIAS, "p", .run = run_conv_grad_bias);
