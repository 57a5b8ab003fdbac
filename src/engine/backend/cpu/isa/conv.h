/* conv.h - what the convolution kernels of this folder share: how a window lies in an image.
 *
 * The features of a window, in weight order (kh, kw, c), are `segments` runs of `run` contiguous
 * floats of the (padded) image: one a kernel row when the row's pixels touch, else one a kernel
 * pixel. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_CONV_H
#define FNL_ENGINE_BACKEND_CPU_ISA_CONV_H

#include "engine/backend/cpu/isa/isa.h"

/* Shared by the files of this folder, one of each a build. */
#define fnl_k_conv_window FNL_K(conv_window)
#define fnl_k_conv_pad FNL_K(conv_pad)
#define fnl_k_depthwise_gather FNL_K(depthwise_gather)
#define fnl_k_depthwise_forward FNL_K(depthwise_forward)
#define fnl_k_depthwise_grad_weights FNL_K(depthwise_grad_weights)
#define fnl_k_depthwise_grad_image FNL_K(depthwise_grad_image)

struct fnl_window {
    size_t group_C, group_K; /* channels and filters of a group */
    size_t features;         /* KH * KW * group_C = segments * run */
    size_t segments, run;
    const ptrdiff_t *segment; /* [segments]: offset of each from the window's first float */
    size_t pixel, row, image; /* floats of a pixel, row, image as the windows see it */
    size_t x_image, y_image;  /* floats of an image, unpadded, and of its output */
    size_t y_pixels;          /* OH * OW */
    bool padded;              /* windows look at a zero-padded copy in `images` */
    size_t images_at_once;    /* that fit into `images` */
    float *kept, *images;     /* scratch: at a place that does not depend on n, and behind it */
};

/* Fills w, with its table and buffers in scratch; n is the most images of this call. */
void fnl_k_conv_window(const struct fnl_conv_shape *s, size_t n, float *scratch,
                       struct fnl_window *w);
/* count images of x, zero-padded, into w->images. */
void fnl_k_conv_pad(const struct fnl_conv_shape *s, const struct fnl_window *w, size_t count,
                    const float *x);

/* The windows of the output pixels, one after the other, row by row, image by image. */
struct fnl_pixels {
    const float *window, *row, *image;
    size_t step_w, step_h, step_image;
    int ow, oh, OW, OH;
};

static inline struct fnl_pixels fnl_pixels_begin(const struct fnl_conv_shape *s,
                                                 const struct fnl_window *w, const float *images)
{
    return (struct fnl_pixels){.window = images,
                               .row = images,
                               .image = images,
                               .step_w = (size_t)s->stride_w * w->pixel,
                               .step_h = (size_t)s->stride_h * w->row,
                               .step_image = w->image,
                               .OW = s->OW,
                               .OH = s->OH};
}

static inline const float *fnl_pixels_next(struct fnl_pixels *p)
{
    const float *window = p->window;
    p->window += p->step_w;
    if (++p->ow == p->OW) {
        p->ow = 0;
        p->row += p->step_h;
        if (++p->oh == p->OH) {
            p->oh = 0;
            p->image += p->step_image;
            p->row = p->image;
        }
        p->window = p->row;
    }
    return window;
}

/* Output pixels whose gradient is taken at a time, but for the rest of a row: a panel of dy lies in
 * half of L1. */
#define FNL_CONV_PIXELS (256 * 16 / FNL_PANEL)

/* Depthwise: one channel and one filter a group. Vectors then run over channels; the weights are
 * gathered into w->kept before. */
static inline bool fnl_conv_is_depthwise(const struct fnl_conv_shape *s)
{
    return s->group == s->C && s->group == s->K && s->group > 1;
}
void fnl_k_depthwise_gather(const struct fnl_conv_shape *s, const struct fnl_window *win,
                            const float *w);
/* count images, padded if need be. */
void fnl_k_depthwise_forward(const struct fnl_conv_shape *s, const struct fnl_window *win,
                             size_t count, const float *x, const float *bias, bool clip, float *y);
/* All n images, not padded yet. */
void fnl_k_depthwise_grad_weights(const struct fnl_conv_shape *s, const struct fnl_window *win,
                                  size_t n, const float *x, const float *dy, float *dw,
                                  bool accumulate);
/* Adds to one image, padded if need be. */
void fnl_k_depthwise_grad_image(const struct fnl_conv_shape *s, const struct fnl_window *win,
                                const float *dy, float *dx);

#endif
