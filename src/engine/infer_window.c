/* infer_window.c - shape inference of what looks at an image through windows: convolution, pools.
 * See infer.c. */
#include "engine/infer_int.h"

int64_t fnl__window_extent(int64_t extent, int kernel, int stride, int dilation, int pad_begin,
                           int pad_end, bool ceil_mode)
{
    int64_t span = (int64_t)dilation * (kernel - 1) + 1;
    int64_t room = extent + pad_begin + pad_end - span;
    if (room < 0) {
        return -1;
    }
    int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    /* A window of ceil mode must not start in the padding behind. */
    if (ceil_mode && (out - 1) * stride >= extent + pad_begin) {
        out--;
    }
    return out;
}

/* The spatial part of Conv and pools: rank 4, sane attributes, output H and W. */
static int windows(struct fnl__infer *f, const struct fnl_attrs *a, bool ceil_mode)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    if (x->rank != 4) {
        return fnl__infer_error(f, "expected an image batch [N, C, H, W]");
    }
    for (int d = 0; d < 2; d++) {
        int lo = a->pads[d], hi = a->pads[d + 2];
        if (a->kernel[d] < 1 || a->strides[d] < 1 || a->dilations[d] < 1 || lo < 0 || hi < 0 ||
            a->kernel[d] > 4096 || a->dilations[d] > 4096 || a->strides[d] > 4096 || lo > 4096 ||
            hi > 4096) {
            return fnl__infer_error(f, "kernel, strides, dilations or pads out of range");
        }
        int64_t extent = fnl__window_extent(x->dim[2 + d], a->kernel[d], a->strides[d],
                                            a->dilations[d], lo, hi, ceil_mode);
        if (extent < 1) {
            return fnl__infer_error(f, "a %d x %d window does not fit the image", a->kernel[0],
                                    a->kernel[1]);
        }
        f->out[0].shape.dim[2 + d] = extent;
    }
    f->out[0].shape.rank = 4;
    f->out[0].shape.dim[0] = x->dim[0];
    return 0;
}

int fnl__infer_conv(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape, *w = &f->in[1]->shape;
    const struct fnl_attrs *a = &f->node->attrs;
    if (x->rank != 4 || w->rank != 4) {
        return fnl__infer_error(
            f, "expected an image batch [N, C, H, W] and filters [K, C/group, h, w]");
    }
    if (a->group < 1 || x->dim[1] != w->dim[1] * a->group || w->dim[0] % a->group != 0) {
        return fnl__infer_error(f, "channels and filters do not fit with group %d", a->group);
    }
    struct fnl_attrs with_kernel = *a;
    for (int d = 0; d < 2; d++) {
        if (w->dim[2 + d] > 4096) {
            return fnl__infer_error(f, "filters are too large");
        }
        with_kernel.kernel[d] = (int32_t)w->dim[2 + d];
    }
    if (f->node->input_count > 2 && f->in[2] != NULL &&
        (f->in[2]->shape.rank != 1 || f->in[2]->shape.dim[0] != w->dim[0])) {
        return fnl__infer_error(f, "the bias must have one entry for each filter");
    }
    f->out[0].shape.dim[1] = w->dim[0];
    return windows(f, &with_kernel, false);
}

int fnl__infer_pool(struct fnl__infer *f)
{
    const struct fnl_attrs *a = &f->node->attrs;
    int rc = windows(f, a, a->ceil_mode);
    for (int d = 0; rc == 0 && d < 2; d++) {
        int reach = a->dilations[d] * (a->kernel[d] - 1);
        bool reaches_out = a->pads[d] > 0 || a->pads[d + 2] > 0 || a->ceil_mode;
        if (a->pads[d] > reach || a->pads[d + 2] > reach) {
            return fnl__infer_error(f, "pads must be smaller than the window");
        }
        /* A window must hold a pixel: one whose taps step over the whole image has no maximum. */
        if (reaches_out && reach > 0 && a->dilations[d] > f->in[0]->shape.dim[2 + d]) {
            return fnl__infer_error(f, "dilations step over the whole image");
        }
    }
    if (rc == 0) {
        f->out[0].shape.dim[1] = f->in[0]->shape.dim[1];
    }
    return rc;
}

int fnl__infer_global_pool(struct fnl__infer *f)
{
    const struct fnl_shape *x = &f->in[0]->shape;
    if (x->rank != 4) {
        return fnl__infer_error(f, "expected an image batch [N, C, H, W]");
    }
    f->out[0].shape = fnl_shape_make(4, x->dim[0], x->dim[1], 1, 1);
    return 0;
}
