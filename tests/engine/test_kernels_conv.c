/* Convolution kernels of every instruction set against plain loops in double. */
#include "engine/product_check.h"

/* C, H, W, K, KH, KW, strides, pads (top, left, bottom, right), dilations, groups. */
struct conv_case {
    int C, H, W, K, KH, KW, stride_h, stride_w, pad[4], dilation_h, dilation_w, group;
};

static const struct conv_case cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {1, 8, 8, 8, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},    /* as for MNIST */
    {3, 12, 10, 32, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* as for CIFAR-10 */
    {32, 9, 9, 64, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {3, 9, 7, 17, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},
    {5, 9, 8, 10, 3, 3, 2, 2, {1, 1, 1, 1}, 1, 1, 1},
    {4, 9, 8, 6, 3, 2, 1, 2, {0, 1, 2, 0}, 1, 1, 1}, /* asymmetric */
    {6, 11, 9, 5, 3, 3, 1, 1, {2, 2, 2, 2}, 2, 2, 1},
    {17, 9, 12, 20, 2, 3, 1, 1, {0, 0, 0, 0}, 1, 3, 1},
    {2, 7, 7, 3, 7, 7, 1, 1, {0, 0, 0, 0}, 1, 1, 1},   /* OH = OW = 1 */
    {3, 20, 5, 33, 4, 5, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* OW = 1 */
    {8, 6, 6, 12, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 2},
    {12, 6, 5, 9, 3, 2, 2, 1, {1, 0, 1, 1}, 1, 2, 3},
    {40, 5, 5, 68, 2, 2, 1, 1, {0, 0, 0, 0}, 1, 1, 2},  /* groups of more than a panel */
    {16, 7, 6, 16, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 16}, /* depthwise */
    {19, 8, 7, 19, 3, 3, 2, 2, {0, 1, 1, 0}, 1, 1, 19},
    {37, 9, 9, 37, 3, 3, 1, 1, {2, 2, 2, 2}, 2, 2, 37},
    {7, 6, 6, 14, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 7},  /* two filters a channel */
    {13, 6, 6, 21, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* 1 x 1 */
    {6, 8, 8, 4, 1, 1, 3, 3, {0, 0, 0, 0}, 1, 1, 1},   /* stride beyond the kernel */
    {2, 4, 300, 3, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* rows longer than a block */
    {130, 4, 4, 9, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1}, /* segments longer than a block of k */
};
#define CASES (sizeof(cases) / sizeof(*cases))

/* A case with its operands; weights are [K][KH][KW][C/group] in `plain`, panels in `w`. */
struct setting {
    struct fnl_conv_shape s;
    const struct fnl_cpu_kernels *k;
    size_t n, features, filters;
    struct floats x, dy, plain, w, bias, scratch;
    char name[128];
};

static size_t group_panels(const struct setting *t)
{
    const size_t panel = (size_t)t->k->panel;
    return (t->filters + panel - 1) / panel * panel * t->features;
}

static void pack(const struct setting *t, const float *plain, float *panels)
{
    for (size_t g = 0; g < (size_t)t->s.group; g++) {
        t->k->panel_pack(t->features, t->filters, plain + g * t->filters * t->features, 1,
                         (ptrdiff_t)t->features, panels + g * group_panels(t));
    }
}

static void unpack(const struct setting *t, const float *panels, float *plain)
{
    for (size_t g = 0; g < (size_t)t->s.group; g++) {
        t->k->panel_unpack(t->features, t->filters, panels + g * group_panels(t),
                           plain + g * t->filters * t->features, 1, (ptrdiff_t)t->features);
    }
}

static int output(int size, int before, int after, int kernel, int stride, int dilation)
{
    return (size + before + after - dilation * (kernel - 1) - 1) / stride + 1;
}

static struct setting setting_new(const struct fnl_cpu_kernels *k, const struct conv_case *c,
                                  size_t n)
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
    t.scratch = floats_aligned(k->conv_scratch(&t.s, n));
    snprintf(t.name, sizeof(t.name), "%s case %d, n=%zu: C=%d %dx%d K=%d %dx%d group=%d", k->isa,
             (int)(c - cases), n, c->C, c->H, c->W, c->K, c->KH, c->KW, c->group);
    return t;
}

static void setting_free(struct setting *t)
{
    floats_free(&t->x);
    floats_free(&t->dy);
    floats_free(&t->plain);
    floats_free(&t->w);
    floats_free(&t->bias);
    floats_free(&t->scratch);
}

typedef void check_fn(struct setting *t);

static void for_all(check_fn *check)
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        for (size_t c = 0; c < CASES; c++) {
            for (size_t n = 1; n <= 7; n += 3) {
                struct setting t = setting_new(list[i], &cases[c], n);
                check(&t);
                setting_free(&t);
            }
        }
    }
}

/* One product of a convolution: y[at_y] takes x[at_x] * w[at_w]. */
typedef void term_fn(void *context, size_t at_y, size_t at_x, size_t at_w);

/* Calls term for every product of the convolution, straight from its definition. */
static void for_each_term(const struct setting *t, term_fn *term, void *context)
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

static struct sums sums_new(const struct setting *t, size_t count)
{
    struct sums s = {t, calloc(count, sizeof(double)), calloc(count, sizeof(double))};
    assert_non_null(s.sum);
    assert_non_null(s.scale);
    return s;
}

static void sums_add(struct sums *s, size_t at, double term)
{
    s->sum[at] += term;
    s->scale[at] += fabs(term);
}

static void sums_free(struct sums *s)
{
    free(s->sum);
    free(s->scale);
}

static void forward_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_y, (double)s->t->x.f[at_x] * (double)s->t->plain.f[at_w]);
}

static void check_forward(struct setting *t)
{
    const size_t count = t->dy.count, K = (size_t)t->s.K;
    struct sums want = sums_new(t, count);
    for_each_term(t, forward_term, &want);
    struct floats y = floats_new(count);
    for (int variant = 0; variant < 4; variant++) {
        const bool bias = variant & 1, relu = variant & 2;
        memset(y.f, 0xff, count * sizeof(float));
        t->k->conv_forward(&t->s, t->n, t->x.f, t->w.f, bias ? t->bias.f : NULL,
                           relu ? FNL_CPU_RELU : FNL_CPU_NONE, y.f, t->scratch.f);
        for (size_t i = 0; i < count; i++) {
            const double b = bias ? (double)t->bias.f[i % K] : 0, sum = want.sum[i] + b;
            check_sum("conv_forward", t->name, i, y.f[i], relu ? fmax(sum, 0) : sum,
                      want.scale[i] + fabs(b));
        }
    }
    /* The last image alone gives the same bits. */
    const size_t y_image = count / t->n, x_image = t->x.count / t->n;
    struct floats alone = floats_new(y_image);
    t->k->conv_forward(&t->s, 1, t->x.f + (t->n - 1) * x_image, t->w.f, t->bias.f, FNL_CPU_RELU,
                       alone.f, t->scratch.f);
    assert_memory_equal(alone.f, y.f + count - y_image, y_image * sizeof(float));
    floats_free(&alone);
    floats_free(&y);
    sums_free(&want);
}

static void forward_is_right_and_images_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    for_all(check_forward);
}

static void weights_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_w, (double)s->t->x.f[at_x] * (double)s->t->dy.f[at_y]);
}

static void check_grad_weights(struct setting *t)
{
    const size_t count = t->plain.count, K = (size_t)t->s.K;
    struct sums want = sums_new(t, count);
    for_each_term(t, weights_term, &want);
    struct floats dw = floats_aligned(t->w.count), got = floats_new(count), dbias = floats_new(K);
    for (int variant = 0; variant < 3; variant++) {
        const bool add = variant == 2;
        float *bias = variant > 0 ? dbias.f : NULL;
        if (add) {
            memcpy(dw.f, t->w.f, t->w.count * sizeof(float));
            memcpy(dbias.f, t->bias.f, K * sizeof(float));
        }
        t->k->conv_grad_weights(&t->s, t->n, t->x.f, t->dy.f, dw.f, bias, add, t->scratch.f);
        unpack(t, dw.f, got.f);
        for (size_t i = 0; i < count; i++) {
            const double before = add ? (double)t->plain.f[i] : 0;
            check_sum("conv_grad_weights", t->name, i, got.f[i], want.sum[i] + before,
                      want.scale[i] + fabs(before));
        }
        for (size_t f = 0; bias && f < K; f++) {
            double sum = add ? (double)t->bias.f[f] : 0, scale = fabs(sum);
            for (size_t i = f; i < t->dy.count; i += K) {
                sum += (double)t->dy.f[i];
                scale += fabs((double)t->dy.f[i]);
            }
            check_sum("conv_grad_weights: bias", t->name, f, bias[f], sum, scale);
        }
    }
    floats_free(&dw);
    floats_free(&got);
    floats_free(&dbias);
    sums_free(&want);
}

static void gradients_of_weights_are_set_or_added_to(void **state)
{
    (void)state;
    for_all(check_grad_weights);
}

static void data_term(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct sums *s = context;
    sums_add(s, at_x, (double)s->t->dy.f[at_y] * (double)s->t->plain.f[at_w]);
}

static void check_grad_data(struct setting *t)
{
    const size_t count = t->x.count, x_image = count / t->n, y_image = t->dy.count / t->n;
    struct sums want = sums_new(t, count);
    for_each_term(t, data_term, &want);
    struct floats dx = floats_new(count), blocks = floats_new(count);
    memset(dx.f, 0xff, count * sizeof(float));
    t->k->conv_grad_data(&t->s, t->n, t->dy.f, t->w.f, dx.f, t->scratch.f, true);
    for (size_t i = 0; i < count; i++) {
        check_sum("conv_grad_data", t->name, i, dx.f[i], want.sum[i], want.scale[i]);
    }
    /* In blocks of images, the weights rearranged by the first. */
    const size_t first = (t->n + 1) / 2;
    memset(blocks.f, 0xff, count * sizeof(float));
    t->k->conv_grad_data(&t->s, first, t->dy.f, t->w.f, blocks.f, t->scratch.f, true);
    t->k->conv_grad_data(&t->s, t->n - first, t->dy.f + first * y_image, t->w.f,
                         blocks.f + first * x_image, t->scratch.f, false);
    assert_memory_equal(blocks.f, dx.f, count * sizeof(float));
    floats_free(&dx);
    floats_free(&blocks);
    sums_free(&want);
}

static void gradients_of_data_are_right_in_blocks_too(void **state)
{
    (void)state;
    for_all(check_grad_data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_right_and_images_do_not_depend_on_neighbours),
        cmocka_unit_test(gradients_of_weights_are_set_or_added_to),
        cmocka_unit_test(gradients_of_data_are_right_in_blocks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
