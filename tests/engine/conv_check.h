/* conv_check.h - what the tests of the convolution kernels share: cases with their operands, and
 * the products that a convolution is made of, straight from its definition. */
#ifndef FNL_TESTS_ENGINE_CONV_CHECK_H
#define FNL_TESTS_ENGINE_CONV_CHECK_H

#include "engine/product_check.h"

/* C, H, W, K, KH, KW, strides, pads (top, left, bottom, right), dilations, groups. */
struct conv_case {
    int C, H, W, K, KH, KW, stride_h, stride_w, pad[4], dilation_h, dilation_w, group;
};

/* A case with its operands; weights are [K][KH][KW][C/group] in `plain`, panels in `w`. */
struct setting {
    struct fnl_conv_shape s;
    const struct fnl_cpu_kernels *k;
    size_t n, features, filters;
    struct floats x, dy, plain, w, bias, scratch;
    char name[128];
};

static inline size_t group_panels(const struct setting *t)
{
    const size_t panel = (size_t)t->k->panel;
    return (t->filters + panel - 1) / panel * panel * t->features;
}

static inline void pack(const struct setting *t, const float *plain, float *panels)
{
    for (size_t g = 0; g < (size_t)t->s.group; g++) {
        t->k->panel_pack(t->features, t->filters, plain + g * t->filters * t->features, 1,
                         (ptrdiff_t)t->features, panels + g * group_panels(t));
    }
}

static inline void unpack(const struct setting *t, const float *panels, float *plain)
{
    for (size_t g = 0; g < (size_t)t->s.group; g++) {
        t->k->panel_unpack(t->features, t->filters, panels + g * group_panels(t),
                           plain + g * t->filters * t->features, 1, (ptrdiff_t)t->features);
    }
}

static inline int output(int size, int before, int after, int kernel, int stride, int dilation)
{
    return (size + before + after - dilation * (kernel - 1) - 1) / stride + 1;
}

/* scratch: as many floats as scratch(shape, n) says. */
static inline struct setting
setting_new(const struct fnl_cpu_kernels *k, const struct conv_case *c, size_t n,
            size_t (*scratch)(const struct fnl_conv_shape *s, size_t n))
{
    struct setting t = {.k = k, .n = n};
    t.s = (struct fnl_conv_shape){
        .C = c->C,
        .H = c->H,
        .W = c->W,
        .K = c->K,
        .KH = c->KH,
        .KW = c->KW,
        .OH = output(c->H, c->pad[0], c->pad[2], c->KH, c->stride_h, c->dilation_h),
        .OW = output(c->W, c->pad[1], c->pad[3], c->KW, c->stride_w, c->dilation_w),
        .stride_h = c->stride_h,
        .stride_w = c->stride_w,
        .pad_top = c->pad[0],
        .pad_left = c->pad[1],
        .pad_bottom = c->pad[2],
        .pad_right = c->pad[3],
        .dilation_h = c->dilation_h,
        .dilation_w = c->dilation_w,
        .group = c->group,
    };
    t.features = (size_t)(c->KH * c->KW * c->C / c->group);
    t.filters = (size_t)(c->K / c->group);
    t.x = floats_random(n * (size_t)(c->H * c->W * c->C), 21);
    t.dy = floats_random(n * (size_t)(t.s.OH * t.s.OW * c->K), 22);
    t.plain = floats_random((size_t)c->K * t.features, 23);
    t.bias = floats_random((size_t)c->K, 24);
    t.w = floats_aligned((size_t)c->group * group_panels(&t));
    pack(&t, t.plain.f, t.w.f);
    t.scratch = floats_aligned(scratch(&t.s, n));
    snprintf(t.name, sizeof(t.name), "%s, n=%zu: C=%d %dx%d K=%d %dx%d pad=%d,%d,%d,%d group=%d",
             k->isa, n, c->C, c->H, c->W, c->K, c->KH, c->KW, c->pad[0], c->pad[1], c->pad[2],
             c->pad[3], c->group);
    return t;
}

static inline void setting_free(struct setting *t)
{
    floats_free(&t->x);
    floats_free(&t->dy);
    floats_free(&t->plain);
    floats_free(&t->w);
    floats_free(&t->bias);
    floats_free(&t->scratch);
}

/* One product of a convolution: y[at_y] takes x[at_x] * w[at_w]. */
typedef void term_fn(void *context, size_t at_y, size_t at_x, size_t at_w);

/* Calls term for every product of the convolution, straight from its definition. */
static inline void for_each_term(const struct setting *t, term_fn *term, void *context)
{
    const struct fnl_conv_shape *s = &t->s;
    const int group_C = s->C / s->group, group_K = s->K / s->group;
    size_t at_y = 0;
    for (size_t n = 0; n < t->n; n++) {
        for (int oh = 0; oh < s->OH; oh++) {
            for (int ow = 0; ow < s->OW; ow++) {
                for (int f = 0; f < s->K; f++, at_y++) {
                    for (int i = 0; i < s->KH * s->KW; i++) {
                        const int kh = i / s->KW, kw = i % s->KW;
                        const int h = oh * s->stride_h - s->pad_top + kh * s->dilation_h;
                        const int w = ow * s->stride_w - s->pad_left + kw * s->dilation_w;
                        if (h < 0 || h >= s->H || w < 0 || w >= s->W) {
                            continue;
                        }
                        const size_t pixel =
                            (n * (size_t)s->H + (size_t)h) * (size_t)s->W + (size_t)w;
                        for (int c = 0; c < group_C; c++) {
                            term(context, at_y,
                                 pixel * (size_t)s->C + (size_t)(f / group_K * group_C + c),
                                 ((size_t)f * (size_t)(s->KH * s->KW) + (size_t)i) *
                                         (size_t)group_C +
                                     (size_t)c);
                        }
                    }
                }
            }
        }
    }
}

/* Sums of products, and of their absolute values. */
struct sums {
    const struct setting *t;
    double *sum, *scale;
};

static inline struct sums sums_new(const struct setting *t, size_t count)
{
    struct sums s = {t, calloc(count, sizeof(double)), calloc(count, sizeof(double))};
    assert_non_null(s.sum);
    assert_non_null(s.scale);
    return s;
}

static inline void sums_add(struct sums *s, size_t at, double term)
{
    s->sum[at] += term;
    s->scale[at] += fabs(term);
}

static inline void sums_free(struct sums *s)
{
    free(s->sum);
    free(s->scale);
}

static inline void forward_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_y, (double)s->t->x.f[at_x] * (double)s->t->plain.f[at_w]);
}

static inline void weights_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_w, (double)s->t->x.f[at_x] * (double)s->t->dy.f[at_y]);
}

static inline void data_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_x, (double)s->t->dy.f[at_y] * (double)s->t->plain.f[at_w]);
}

#endif
