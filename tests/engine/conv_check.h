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

/* Floats of scratch the kernels under test want for n images. */
typedef size_t scratch_fn(const struct fnl_cpu_kernels *k, const struct fnl_conv_shape *s,
                          size_t n);

static inline struct setting setting_new(const struct fnl_cpu_kernels *k, const struct conv_case *c,
                                         size_t n, scratch_fn *scratch)
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
    t.scratch = floats_aligned(scratch(k, &t.s, n));
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

/* What a test goes through: its cases with several numbers of images. */
struct conv_table {
    const struct conv_case *cases;
    size_t count;
    size_t images[4]; /* ends with 0 */
    scratch_fn *scratch;
};

/* Calls check for all of the table on every instruction set. */
static inline void for_each_setting(const struct conv_table *table,
                                    void (*check)(struct setting *t))
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        for (size_t c = 0; c < table->count; c++) {
            for (const size_t *n = table->images; *n > 0; n++) {
                struct setting t = setting_new(list[i], &table->cases[c], *n, table->scratch);
                check(&t);
                setting_free(&t);
            }
        }
    }
}

/* One product of a convolution: y[at_y] takes x[at_x] * w[at_w]; x is 0 IN_PADDING. */
typedef void term_fn(void *context, size_t at_y, size_t at_x, size_t at_w);
#define IN_PADDING SIZE_MAX

static inline float x_at(const struct setting *t, size_t at_x)
{
    return at_x == IN_PADDING ? 0 : t->x.f[at_x];
}

/* Calls term for every product of the convolution, straight from its definition: pixel by pixel,
 * filter by filter, feature by feature. */
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
                        const bool inside = h >= 0 && h < s->H && w >= 0 && w < s->W;
                        const size_t pixel =
                            (n * (size_t)s->H + (size_t)h) * (size_t)s->W + (size_t)w;
                        for (int c = 0; c < group_C; c++) {
                            const size_t at_x =
                                pixel * (size_t)s->C + (size_t)(f / group_K * group_C + c);
                            term(context, at_y, inside ? at_x : IN_PADDING,
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

/* Sums of gradients of the bias against dbias, which held `before` (or nothing: NULL). */
static inline void check_bias(const struct setting *t, const char *what, const float *dbias,
                              const float *before)
{
    const size_t K = (size_t)t->s.K;
    for (size_t f = 0; f < K; f++) {
        double sum = before ? (double)before[f] : 0, scale = fabs(sum);
        for (size_t i = f; i < t->dy.count; i += K) {
            sum += (double)t->dy.f[i];
            scale += fabs((double)t->dy.f[i]);
        }
        check_sum(what, t->name, f, dbias[f], sum, scale);
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

/* What an element's sum of absolute values says of its rounding error, made anew for kernels of
 * which it says too little; NULL: it stays. */
typedef void scale_fn(double *scale, size_t count);

static inline void forward_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_y, (double)x_at(s->t, at_x) * (double)s->t->plain.f[at_w]);
}

static inline void weights_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_w, (double)x_at(s->t, at_x) * (double)s->t->dy.f[at_y]);
}

static inline void data_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    if (at_x != IN_PADDING) {
        sums_add(s, at_x, (double)s->t->dy.f[at_y] * (double)s->t->plain.f[at_w]);
    }
}

/* ---- gradients, whole and in blocks of images ---- */

/* dw in panels against the sums, where `before` was there already (or nothing: NULL). */
static inline void check_weights(const struct setting *t, const char *what, const float *dw,
                                 const float *before, const struct sums *want)
{
    struct floats got = floats_new(t->plain.count);
    unpack(t, dw, got.f);
    for (size_t i = 0; i < got.count; i++) {
        const double was = before ? (double)before[i] : 0;
        check_sum(what, t->name, i, got.f[i], want->sum[i] + was, want->scale[i] + fabs(was));
    }
    floats_free(&got);
}

typedef void grad_data_fn(const struct fnl_conv_shape *s, size_t n, const float *dy, const float *w,
                          float *dx, float *scratch, bool first_block);

/* The gradient of the images is right, and the same in blocks, the weights rearranged by the
 * first. */
static inline void check_grad_data(struct setting *t, const char *what, grad_data_fn *grad_data,
                                   scale_fn *scale)
{
    const size_t count = t->x.count, x_image = count / t->n, y_image = t->dy.count / t->n;
    const size_t first = (t->n + 1) / 2;
    struct sums want = sums_new(t, count);
    for_each_term(t, data_term, &want);
    if (scale) {
        scale(want.scale, count);
    }
    struct floats dx = floats_new(count), blocks = floats_new(count);
    memset(dx.f, 0xff, count * sizeof(float));
    grad_data(&t->s, t->n, t->dy.f, t->w.f, dx.f, t->scratch.f, true);
    for (size_t i = 0; i < count; i++) {
        check_sum(what, t->name, i, dx.f[i], want.sum[i], want.scale[i]);
    }
    memset(blocks.f, 0xff, count * sizeof(float));
    grad_data(&t->s, first, t->dy.f, t->w.f, blocks.f, t->scratch.f, true);
    grad_data(&t->s, t->n - first, t->dy.f + first * y_image, t->w.f, blocks.f + first * x_image,
              t->scratch.f, false);
    assert_memory_equal(blocks.f, dx.f, count * sizeof(float));
    floats_free(&dx);
    floats_free(&blocks);
    sums_free(&want);
}

#endif
