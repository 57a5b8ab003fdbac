/* The bfloat16 products of every instruction set: bit for bit against plain loops in their
 * documented order where the instruction is emulated, near sums in double everywhere; and networks
 * trained with them beside networks trained by float32 products of rounded values. */
#include "engine/nets.h"
#include "engine/product_check.h"

#include "base/buf.h"

/* The nearest bfloat16, the even one of two: by distance, not by bits. */
static float rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t below = bits & 0xFFFF0000u, above = below + 0x10000u;
    float low, high;
    memcpy(&low, &below, sizeof(low));
    memcpy(&high, &above, sizeof(high));
    const double to_low = fabs((double)x - (double)low), to_high = fabs((double)high - (double)x);
    return to_low < to_high || (to_low <= to_high && !(below & 0x10000u)) ? low : high;
}

/* A sum over pairs of steps, the second of each first. */
struct sum {
    float f;
    double d, scale;
    float a, b; /* first of a pair, when half */
    bool half;
};

static struct sum sum_from(float start)
{
    return (struct sum){.f = start, .d = (double)start, .scale = fabs((double)start)};
}

static void sum_end(struct sum *s)
{
    s->f += s->half ? s->a * s->b : 0;
    s->half = false;
}

static void sum_add(struct sum *s, float a, float b)
{
    a = rounded(a);
    b = rounded(b);
    s->d += (double)a * (double)b;
    s->scale += fabs((double)a * (double)b);
    if (s->half) {
        s->f += a * b;
        sum_end(s);
    } else {
        s->a = a;
        s->b = b;
        s->half = true;
    }
}

static void check(const struct fnl_cpu_kernels *k, const char *what, const char *shape,
                  size_t index, float got, struct sum *s, bool relu)
{
    sum_end(s);
    check_sum(what, shape, index, got, relu ? fmax(s->d, 0) : s->d, s->scale);
    const float want = relu && s->f < 0 ? 0 : s->f;
    if (!k->has_bf16 && !(got >= want && got <= want)) {
        fail_msg("%s, %s: element %zu is %.9g, in this order %.9g", what, shape, index, (double)got,
                 (double)want);
    }
}

static struct floats floats_untouched(size_t count)
{
    struct floats b = floats_new(count);
    for (size_t i = 0; i < count; i++) {
        b.f[i] = -77;
    }
    return b;
}

static void untouched(float x)
{
    assert_true(x >= -77 && x <= -77);
}

/* ---- dense ---- */

struct dims {
    size_t M, K, N;
};

static const struct dims all_dims[] = {
    {1, 1, 1},     {1, 1, 17},   {2, 3, 5},     {3, 7, 16},   {5, 16, 10},   {6, 17, 33},
    {7, 33, 15},   {8, 2, 32},   {13, 6, 1},    {11, 49, 31}, {64, 128, 10}, {65, 785, 9},
    {3, 784, 128}, {97, 65, 47}, {203, 31, 48}, {192, 97, 7}, {194, 40, 70}, {6, 1501, 3},
};
#define DIMS (sizeof(all_dims) / sizeof(*all_dims))

typedef void dense_check(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape);

static void for_all_dense(dense_check *check_one)
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        for (size_t d = 0; d < DIMS; d++) {
            char shape[96];
            snprintf(shape, sizeof(shape), "%s M=%zu K=%zu N=%zu", list[i]->isa, all_dims[d].M,
                     all_dims[d].K, all_dims[d].N);
            check_one(list[i], &all_dims[d], shape);
        }
    }
}

static void check_forward(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 3, ldy = N + 5;
    struct floats x = floats_random((M - 1) * ldx + K, 2), plain = floats_random(K * N, 3);
    struct floats bias = floats_random(N, 4), w = pack_panels(k, K, N, plain.f);
    struct floats row = floats_new(N);
    struct floats scratch = floats_aligned(k->dense_scratch_bf16(M, K, N));
    for (int variant = 0; variant < 4; variant++) {
        const float *b = variant & 1 ? bias.f : NULL;
        const enum fnl_cpu_activation act = variant & 2 ? FNL_CPU_RELU : FNL_CPU_NONE;
        struct floats y = floats_untouched((M - 1) * ldy + N);
        k->dense_forward_bf16(M, K, N, x.f, ldx, w.f, b, act, y.f, ldy, scratch.f);
        for (size_t i = 0; i < y.count; i++) {
            const size_t m = i / ldy, n = i % ldy;
            if (n >= N) {
                untouched(y.f[i]);
                continue;
            }
            struct sum s = sum_from(b ? b[n] : 0);
            for (size_t j = 0; j < K; j++) {
                sum_add(&s, x.f[m * ldx + j], plain.f[j * N + n]);
            }
            check(k, "dense_forward_bf16", shape, i, y.f[i], &s, act == FNL_CPU_RELU);
        }
        for (size_t m = 0; m < M; m += 1 + M / 7) {
            k->dense_forward_bf16(1, K, N, x.f + m * ldx, ldx, w.f, b, act, row.f, N, scratch.f);
            assert_memory_equal(row.f, y.f + m * ldy, N * sizeof(float));
        }
        floats_free(&y);
    }
    floats_free(&x);
    floats_free(&plain);
    floats_free(&bias);
    floats_free(&w);
    floats_free(&row);
    floats_free(&scratch);
}

static void forward_is_right_and_rows_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    for_all_dense(check_forward);
}

static void check_grad_weights(const struct fnl_cpu_kernels *k, const struct dims *d,
                               const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 1, ldy = N + 2;
    struct floats x = floats_random((M - 1) * ldx + K, 5);
    struct floats dy = floats_random((M - 1) * ldy + N, 6), before = floats_random(K * N, 7);
    struct floats dw = floats_aligned(panel_floats(k, K, N)), dbias = floats_new(N);
    struct floats plain = floats_new(K * N);
    struct floats scratch = floats_aligned(k->dense_scratch_bf16(M, K, N));
    for (int add = 0; add < 2; add++) {
        if (add) {
            k->panel_pack(K, N, before.f, (ptrdiff_t)N, 1, dw.f);
        }
        memset(dbias.f, add ? 0 : 0xff, N * sizeof(float));
        k->dense_grad_weights_bf16(M, K, N, x.f, ldx, dy.f, ldy, dw.f, dbias.f, add, scratch.f);
        k->panel_unpack(K, N, dw.f, plain.f, (ptrdiff_t)N, 1);
        for (size_t i = 0; i < K * N; i++) {
            struct sum s = sum_from(add ? before.f[i] : 0);
            for (size_t m = 0; m < M; m++) {
                sum_add(&s, x.f[m * ldx + i / N], dy.f[m * ldy + i % N]);
            }
            check(k, "dense_grad_weights_bf16", shape, i, plain.f[i], &s, false);
        }
        for (size_t n = 0; n < N; n++) {
            double sum = 0, scale = 0;
            for (size_t m = 0; m < M; m++) {
                sum += (double)dy.f[m * ldy + n];
                scale += fabs((double)dy.f[m * ldy + n]);
            }
            check_sum("dense_grad_weights_bf16: bias", shape, n, dbias.f[n], sum, scale);
        }
        /* Columns that pad the last panel are zero and must stay zero. */
        for (size_t i = 0; i < dw.count; i++) {
            const size_t panel = (size_t)k->panel;
            if (i / (K * panel) * panel + i % panel >= N) {
                assert_true(fabsf(dw.f[i]) <= 0);
            }
        }
    }
    floats_free(&x);
    floats_free(&dy);
    floats_free(&before);
    floats_free(&dw);
    floats_free(&dbias);
    floats_free(&plain);
    floats_free(&scratch);
}

static void gradients_of_weights_are_set_or_added_to(void **state)
{
    (void)state;
    for_all_dense(check_grad_weights);
}

static void check_grad_data(const struct fnl_cpu_kernels *k, const struct dims *d,
                            const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 4, ldy = N + 1;
    struct floats dy = floats_random((M - 1) * ldy + N, 8), plain = floats_random(K * N, 9);
    struct floats w = pack_panels(k, K, N, plain.f), dx = floats_untouched((M - 1) * ldx + K);
    struct floats scratch = floats_aligned(k->dense_scratch_bf16(M, K, N));
    k->dense_grad_data_bf16(M, K, N, dy.f, ldy, w.f, dx.f, ldx, scratch.f);
    for (size_t i = 0; i < dx.count; i++) {
        const size_t m = i / ldx, j = i % ldx;
        if (j >= K) {
            untouched(dx.f[i]);
            continue;
        }
        struct sum s = sum_from(0);
        for (size_t n = 0; n < N; n++) {
            sum_add(&s, dy.f[m * ldy + n], plain.f[j * N + n]);
        }
        check(k, "dense_grad_data_bf16", shape, i, dx.f[i], &s, false);
    }
    floats_free(&dy);
    floats_free(&plain);
    floats_free(&w);
    floats_free(&dx);
    floats_free(&scratch);
}

static void gradients_of_data_are_right(void **state)
{
    (void)state;
    for_all_dense(check_grad_data);
}

/* ---- convolution ---- */

/* C, H, W, K, KH, KW, strides, pads (top, left, bottom, right), dilations, groups. */
struct conv_case {
    int C, H, W, K, KH, KW, stride_h, stride_w, pad[4], dilation_h, dilation_w, group;
};

static const struct conv_case cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {1, 8, 8, 8, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {3, 12, 11, 32, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {32, 7, 7, 64, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {3, 9, 7, 17, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1},
    {3, 9, 7, 5, 3, 3, 1, 1, {2, 0, 1, 0}, 1, 1, 1}, /* rows above and below only */
    {5, 9, 8, 10, 3, 3, 2, 2, {1, 1, 1, 1}, 1, 1, 1},
    {4, 9, 8, 6, 3, 2, 1, 2, {0, 1, 2, 0}, 1, 1, 1},
    {6, 11, 9, 5, 3, 3, 1, 1, {2, 2, 2, 2}, 2, 2, 1},
    {17, 9, 12, 20, 2, 3, 1, 1, {0, 0, 0, 0}, 1, 3, 1},
    {2, 7, 7, 3, 7, 7, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {12, 6, 5, 9, 3, 2, 2, 1, {1, 0, 1, 1}, 1, 2, 3},
    {38, 5, 5, 70, 2, 2, 1, 1, {0, 0, 0, 0}, 1, 1, 2},
    {7, 6, 6, 7, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 7}, /* depthwise */
    {13, 6, 6, 21, 1, 1, 1, 1, {0, 0, 0, 0}, 1, 1, 1},
    {6, 8, 8, 4, 1, 1, 3, 3, {0, 0, 0, 0}, 1, 1, 1},   /* stride beyond the kernel */
    {2, 4, 150, 3, 3, 3, 1, 1, {0, 0, 0, 0}, 1, 1, 1}, /* many blocks of pixels */
    {130, 4, 3, 9, 3, 3, 1, 1, {1, 1, 1, 1}, 1, 1, 1}, /* many steps */
};
#define CASES (sizeof(cases) / sizeof(*cases))
enum { IMAGES = 3 };

/* A case with its operands; weights are [K][KH][KW][C/group] in `plain`, panels in `w`. */
struct setting {
    struct fnl_conv_shape s;
    const struct fnl_cpu_kernels *k;
    size_t features, filters, C, K, OH, OW;
    struct floats x, dy, plain, w, bias, scratch;
    char name[128];
};

static size_t group_panels(const struct setting *t)
{
    return panel_floats(t->k, t->features, t->filters);
}

static int output(int size, int before, int after, int kernel, int stride, int dilation)
{
    return (size + before + after - dilation * (kernel - 1) - 1) / stride + 1;
}

static struct setting setting_new(const struct fnl_cpu_kernels *k, const struct conv_case *c)
{
    struct setting t = {.k = k, .C = (size_t)c->C, .K = (size_t)c->K};
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
    t.OH = (size_t)t.s.OH;
    t.OW = (size_t)t.s.OW;
    t.features = (size_t)(c->KH * c->KW * c->C / c->group);
    t.filters = (size_t)(c->K / c->group);
    t.x = floats_random(IMAGES * (size_t)(c->H * c->W * c->C), 21);
    t.dy = floats_random(IMAGES * t.OH * t.OW * t.K, 22);
    t.plain = floats_random(t.K * t.features, 23);
    t.bias = floats_random(t.K, 24);
    t.w = floats_aligned((size_t)c->group * group_panels(&t));
    for (size_t g = 0; g < (size_t)c->group; g++) {
        k->panel_pack(t.features, t.filters, t.plain.f + g * t.filters * t.features, 1,
                      (ptrdiff_t)t.features, t.w.f + g * group_panels(&t));
    }
    t.scratch = floats_aligned(k->conv_scratch_bf16(&t.s));
    snprintf(t.name, sizeof(t.name), "%s case %d: C=%d %dx%d K=%d %dx%d group=%d", k->isa,
             (int)(c - cases), c->C, c->H, c->W, c->K, c->KH, c->KW, c->group);
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

static void for_all_conv(void (*check_one)(struct setting *t))
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        for (size_t c = 0; c < CASES; c++) {
            struct setting t = setting_new(list[i], &cases[c]);
            check_one(&t);
            setting_free(&t);
        }
    }
}

/* Index in one image of feature f (kh, kw, c) of the window of pixel p, group g; -1 in the padding.
 */
static ptrdiff_t place(const struct setting *t, size_t p, size_t g, size_t f)
{
    const struct fnl_conv_shape *s = &t->s;
    const int group_C = s->C / s->group, c = (int)f % group_C, at = (int)f / group_C;
    const int h = (int)(p / t->OW) * s->stride_h + at / s->KW * s->dilation_h - s->pad_top;
    const int w = (int)(p % t->OW) * s->stride_w + at % s->KW * s->dilation_w - s->pad_left;
    if (h < 0 || h >= s->H || w < 0 || w >= s->W) {
        return -1;
    }
    return ((ptrdiff_t)h * s->W + w) * s->C + (ptrdiff_t)g * group_C + c;
}

static void check_conv_forward(struct setting *t)
{
    const size_t image = t->x.count / IMAGES, pixels = t->OH * t->OW, y_image = pixels * t->K;
    /* The first block packs the weights; the others must find them. */
    struct floats y = floats_untouched(t->dy.count), none = floats_aligned(t->w.count);
    for (int relu = 0; relu < 2; relu++) {
        const float *b = relu ? t->bias.f : NULL;
        const enum fnl_cpu_activation act = relu ? FNL_CPU_RELU : FNL_CPU_NONE;
        t->k->conv_forward_bf16(&t->s, 1, t->x.f, t->w.f, b, act, y.f, t->scratch.f, true);
        t->k->conv_forward_bf16(&t->s, IMAGES - 1, t->x.f + image, none.f, b, act, y.f + y_image,
                                t->scratch.f, false);
        for (size_t i = 0; i < y.count; i++) {
            const size_t k = i % t->K, p = i / t->K % pixels;
            const float *x = t->x.f + i / y_image * image;
            struct sum s = sum_from(b ? b[k] : 0);
            for (size_t f = 0; f < t->features; f++) {
                const ptrdiff_t at = place(t, p, k / t->filters, f);
                sum_add(&s, at < 0 ? 0 : x[at], t->plain.f[k * t->features + f]);
            }
            check(t->k, "conv_forward_bf16", t->name, i, y.f[i], &s, relu);
        }
    }
    floats_free(&y);
    floats_free(&none);
}

static void convolutions_are_right(void **state)
{
    (void)state;
    for_all_conv(check_conv_forward);
}

static void check_conv_grad_weights(struct setting *t)
{
    const size_t image = t->x.count / IMAGES, pixels = t->OH * t->OW, K = t->K;
    struct floats dw = floats_aligned(t->w.count), plain = floats_new(t->plain.count);
    struct floats dbias = floats_new(K);
    for (int add = 0; add < 2; add++) {
        if (add) {
            memcpy(dw.f, t->w.f, dw.count * sizeof(float));
        }
        memset(dbias.f, add ? 0 : 0xff, K * sizeof(float));
        t->k->conv_grad_weights_bf16(&t->s, IMAGES, t->x.f, t->dy.f, dw.f, dbias.f, add,
                                     t->scratch.f);
        for (size_t g = 0; g < (size_t)t->s.group; g++) {
            t->k->panel_unpack(t->features, t->filters, dw.f + g * group_panels(t),
                               plain.f + g * t->filters * t->features, 1, (ptrdiff_t)t->features);
        }
        for (size_t i = 0; i < plain.count; i++) {
            const size_t k = i / t->features, f = i % t->features;
            struct sum s = sum_from(add ? t->plain.f[i] : 0);
            for (size_t n = 0; n < IMAGES; n++) {
                for (size_t p = 0; p < pixels; p++) {
                    const ptrdiff_t at = place(t, p, k / t->filters, f);
                    sum_add(&s, at < 0 ? 0 : t->x.f[n * image + (size_t)at],
                            t->dy.f[(n * pixels + p) * K + k]);
                }
                sum_end(&s); /* pairs do not span images */
            }
            check(t->k, "conv_grad_weights_bf16", t->name, i, plain.f[i], &s, false);
        }
        for (size_t k = 0; k < K; k++) {
            double sum = 0, scale = 0;
            for (size_t p = 0; p < IMAGES * pixels; p++) {
                sum += (double)t->dy.f[p * K + k];
                scale += fabs((double)t->dy.f[p * K + k]);
            }
            check_sum("conv_grad_weights_bf16: bias", t->name, k, dbias.f[k], sum, scale);
        }
    }
    floats_free(&dw);
    floats_free(&plain);
    floats_free(&dbias);
}

static void gradients_of_filters_are_set_or_added_to(void **state)
{
    (void)state;
    for_all_conv(check_conv_grad_weights);
}

/* Sums of window gradients: pixel by pixel, each a sum over the filters of the group. */
static void check_conv_grad_data(struct setting *t)
{
    const size_t image = t->x.count / IMAGES, pixels = t->OH * t->OW, dy_image = pixels * t->K;
    struct floats dx = floats_untouched(t->x.count), none = floats_aligned(t->w.count);
    t->k->conv_grad_data_bf16(&t->s, 1, t->dy.f, t->w.f, dx.f, t->scratch.f, true);
    t->k->conv_grad_data_bf16(&t->s, IMAGES - 1, t->dy.f + dy_image, none.f, dx.f + image,
                              t->scratch.f, false);
    struct sum *want = calloc(t->x.count, sizeof *want);
    assert_non_null(want);
    for (size_t i = 0; i < IMAGES * pixels * (size_t)t->s.group * t->features; i++) {
        const size_t f = i % t->features, g = i / t->features % (size_t)t->s.group;
        const size_t p = i / t->features / (size_t)t->s.group; /* of all images */
        const ptrdiff_t at = place(t, p % pixels, g, f);
        if (at < 0) {
            continue;
        }
        struct sum s = sum_from(0), *to = &want[p / pixels * image + (size_t)at];
        for (size_t k = g * t->filters; k < (g + 1) * t->filters; k++) {
            sum_add(&s, t->dy.f[p * t->K + k], t->plain.f[k * t->features + f]);
        }
        sum_end(&s);
        to->f += s.f;
        to->d += s.d;
        to->scale += s.scale;
    }
    for (size_t i = 0; i < dx.count; i++) {
        check(t->k, "conv_grad_data_bf16", t->name, i, dx.f[i], &want[i], false);
    }
    free(want);
    floats_free(&dx);
    floats_free(&none);
}

static void gradients_of_images_are_right(void **state)
{
    (void)state;
    for_all_conv(check_conv_grad_data);
}

/* ---- numbers that are not ---- */

static void nan_and_infinity_stay_in_their_row(void **state)
{
    (void)state;
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        const float x[3][3] = {{1, 2, NAN}, {-1, 0.5F, -2}, {INFINITY, 3.4e38F, 1}};
        const float plain[3] = {1, 1, 1};
        float y[3];
        struct floats w = pack_panels(list[i], 3, 1, plain);
        struct floats scratch = floats_aligned(list[i]->dense_scratch_bf16(3, 3, 1));
        list[i]->dense_forward_bf16(3, 3, 1, x[0], 3, w.f, NULL, FNL_CPU_RELU, y, 1, scratch.f);
        assert_true(isnan(y[0]));
        assert_true(y[1] <= 0 && y[1] >= 0);
        assert_true(isinf(y[2]));
        floats_free(&w);
        floats_free(&scratch);
    }
}

/* An odd last pixel is paired with nothing, not with itself times zero. */
static void infinity_in_the_last_pixel_stays_infinite(void **state)
{
    (void)state;
    static const struct fnl_conv_shape s = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1};
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        const float x = INFINITY, dy = -2;
        struct floats dw = floats_aligned((size_t)list[i]->panel);
        struct floats scratch = floats_aligned(list[i]->conv_scratch_bf16(&s));
        list[i]->conv_grad_weights_bf16(&s, 1, &x, &dy, dw.f, NULL, false, scratch.f);
        assert_true(isinf(dw.f[0]) && dw.f[0] < 0);
        floats_free(&dw);
        floats_free(&scratch);
    }
}

/* ---- whole networks ---- */

enum { STEPS = 10, ROWS = 37 };

/* What training in one way leaves: the losses of STEPS steps, all momenta, the plan. */
struct trained {
    double loss[STEPS];
    float *momentum;
    size_t count;
    struct fnl_buf plan;
};

static void read_momenta(const struct fnl_params *params, struct trained *t)
{
    struct fnl_error err = FNL_ERROR_INIT;
    t->count = 0;
    for (int i = 0; i < fnl_params_count(params); i++) {
        t->count += fnl_params_trainable(params, i) ? fnl_params_size(params, i) : 0;
    }
    t->momentum = fnl_malloc(t->count * sizeof *t->momentum);
    assert_non_null(t->momentum);
    float *to = t->momentum;
    for (int i = 0; i < fnl_params_count(params); i++) {
        if (fnl_params_trainable(params, i)) {
            ok(fnl_params_read(params, i, 1, to, &err));
            to += fnl_params_size(params, i);
        }
    }
}

/* The inputs are bfloat16 numbers from the start: the bfloat16 products round them, float32
 * products take them as they come. */
static void train(enum net_kind kind, const char *how, enum fnl_precision precision,
                  struct trained *t)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    struct fnl_params *params;
    struct fnl_exec *exec;
    struct fnl_pool *pool;
    struct net net;
    sgd.momentum = 0.9F;
    setenv("FOURNIL_BF16", how, 1);
    net_open(&net, kind, ROWS);
    for (size_t i = 0; i < ROWS * net.row; i++) {
        net.x[i] = rounded(net.x[i]);
    }
    ok(fnl_pool_create(2, &pool, &err));
    ok(fnl_params_create(net.graph, "cpu", &sgd, &params, &err));
    struct fnl_exec_options o = FNL_EXEC_OPTIONS_INIT;
    o.batch = ROWS;
    o.shards = 3;
    o.training = true;
    o.precision = precision;
    o.loss_value = net.loss;
    o.scores_value = net.scores;
    o.block_bytes = 8192; /* several blocks of rows a shard */
    ok(fnl_exec_create(net.graph, params, pool, &o, &exec, &err));
    fnl_buf_init(&t->plan, 1 << 20);
    ok(fnl_exec_describe(exec, &t->plan));
    for (uint64_t i = 0; i < STEPS; i++) {
        const void *input[2] = {net.x, net.labels};
        struct fnl_feed feed = {.rows = ROWS, .input = input};
        struct fnl_step_result r;
        ok(fnl_exec_train_step(exec, &feed, 0.05, i + 1, &r, &err));
        t->loss[i] = r.loss_sum / ROWS;
    }
    read_momenta(params, t);
    fnl_exec_free(exec);
    fnl_params_free(params);
    fnl_pool_free(pool);
    net_close(&net);
    unsetenv("FOURNIL_BF16");
}

static void trained_free(struct trained *t)
{
    fnl_free(t->momentum);
    fnl_buf_free(&t->plan);
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)) != NULL; text++) {
        count++;
    }
    return count;
}

static void networks_learn_as_with_rounded_float32(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        struct trained full, apart, bf16;
        train(kind, "emulate", FNL_PRECISION_F32, &full);
        train(kind, "off", FNL_PRECISION_BF16, &apart);
        train(kind, "emulate", FNL_PRECISION_BF16, &bf16);
        /* Of two layers: 2 forward, 2 of weights, 1 of data; of two convolutions before them, the
         * same and the data of the dense layer behind. */
        assert_int_equal(count_of(full.plan.data, " bf16\n"), 0);
        assert_int_equal(count_of(apart.plan.data, " bf16\n"), 0);
        assert_int_equal(count_of(bf16.plan.data, " bf16\n"), kind == NET_MLP ? 5 : 11);
        for (int i = 0; i < STEPS; i++) {
            if (!(fabs(bf16.loss[i] - apart.loss[i]) <= 1e-3 * fabs(apart.loss[i]))) {
                fail_msg("net %d, step %d: loss %.9g, %.9g with float32 products", (int)kind, i + 1,
                         bf16.loss[i], apart.loss[i]);
            }
        }
        assert_true(bf16.loss[STEPS - 1] < bf16.loss[0]);
        /* Other kernels ran: the order of a sum shows in the last bits of sums of gradients (in the
         * weights, so much larger, it drowns). */
        assert_memory_not_equal(bf16.momentum, apart.momentum, bf16.count * sizeof(float));
        for (size_t i = 0; i < bf16.count; i++) {
            if (!(fabsf(bf16.momentum[i] - apart.momentum[i]) <= 1e-3F)) {
                fail_msg("net %d: momentum %zu is %.9g, %.9g with float32 products", (int)kind, i,
                         (double)bf16.momentum[i], (double)apart.momentum[i]);
            }
        }
        trained_free(&full);
        trained_free(&apart);
        trained_free(&bf16);
    }
}

static void environment_turns_the_products_on_and_off(void **state)
{
    (void)state;
    setenv("FOURNIL_BF16", "emulate", 1);
    assert_true(fnl_cpu_bf16_products());
    setenv("FOURNIL_BF16", "off", 1);
    assert_false(fnl_cpu_bf16_products());
    unsetenv("FOURNIL_BF16");
    assert_true(fnl_cpu_bf16_products() == fnl_cpu_kernels()->has_bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_right_and_rows_do_not_depend_on_neighbours),
        cmocka_unit_test(gradients_of_weights_are_set_or_added_to),
        cmocka_unit_test(gradients_of_data_are_right),
        cmocka_unit_test(convolutions_are_right),
        cmocka_unit_test(gradients_of_filters_are_set_or_added_to),
        cmocka_unit_test(gradients_of_images_are_right),
        cmocka_unit_test(nan_and_infinity_stay_in_their_row),
        cmocka_unit_test(infinity_in_the_last_pixel_stays_infinite),
        cmocka_unit_test(networks_learn_as_with_rounded_float32),
        cmocka_unit_test(environment_turns_the_products_on_and_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
