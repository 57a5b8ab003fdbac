/* The bfloat16 convolutions of every instruction set: bit for bit against plain loops in their
 * documented order where the instruction is emulated, near sums in double everywhere. */
#include "engine/bf16_check.h"
#include "engine/conv_check.h"

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

static size_t scratch(const struct fnl_cpu_kernels *k, const struct fnl_conv_shape *s, size_t n)
{
    (void)n; /* whatever the images */
    return k->conv_scratch_bf16(s);
}

static const struct conv_table table = {cases, CASES, {3}, scratch};

/* Sums in the order of the kernels. */
struct pair_sums {
    const struct setting *t;
    struct pair_sum *sum;
    size_t count;
    size_t place; /* image or pixel that the last term was of */
    /* Gradients of images are sums over filters first: of the features of one window at a time. */
    struct pair_sum *window; /* [group][features] */
    size_t *window_x;        /* where it goes in the images, or IN_PADDING */
};

static struct pair_sums pair_sums_new(const struct setting *t, size_t count)
{
    const size_t window = (size_t)t->s.group * t->features;
    struct pair_sums s = {.t = t, .count = count};
    s.sum = calloc(count, sizeof *s.sum);
    s.window = calloc(window, sizeof *s.window);
    s.window_x = calloc(window, sizeof *s.window_x);
    assert_true(s.sum && s.window && s.window_x);
    return s;
}

static void pair_sums_free(struct pair_sums *s)
{
    free(s->sum);
    free(s->window);
    free(s->window_x);
}

/* ---- forward ---- */

static void forward_pair(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct pair_sums *s = context;
    pair_sum_add(&s->sum[at_y], x_at(s->t, at_x), s->t->plain.f[at_w]);
}

static void check_forward(struct setting *t)
{
    const size_t image = t->x.count / t->n, y_image = t->dy.count / t->n, K = (size_t)t->s.K;
    /* The first block packs the weights; the others must find them. */
    struct floats y = floats_untouched(t->dy.count), none = floats_aligned(t->w.count);
    for (int relu = 0; relu < 2; relu++) {
        const float *b = relu ? t->bias.f : NULL;
        const enum fnl_cpu_activation act = relu ? FNL_CPU_RELU : FNL_CPU_NONE;
        t->k->conv_forward_bf16(&t->s, 1, t->x.f, t->w.f, b, act, y.f, t->scratch.f, true);
        t->k->conv_forward_bf16(&t->s, t->n - 1, t->x.f + image, none.f, b, act, y.f + y_image,
                                t->scratch.f, false);
        struct pair_sums want = pair_sums_new(t, y.count);
        for (size_t i = 0; i < y.count; i++) {
            want.sum[i] = pair_sum_from(b ? b[i % K] : 0);
        }
        for_each_term(t, forward_pair, &want);
        for (size_t i = 0; i < y.count; i++) {
            check_pair_sum(t->k, "conv_forward_bf16", t->name, i, y.f[i], &want.sum[i], relu);
        }
        pair_sums_free(&want);
    }
    floats_free(&y);
    floats_free(&none);
}

static void convolutions_are_right(void **state)
{
    (void)state;
    for_each_setting(&table, check_forward);
}

/* ---- gradients of filters ---- */

static void weights_pair(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct pair_sums *s = context;
    const size_t image = at_y / (s->t->dy.count / s->t->n);
    if (image != s->place) { /* pairs do not span images */
        for (size_t i = 0; i < s->count; i++) {
            pair_sum_end(&s->sum[i]);
        }
        s->place = image;
    }
    pair_sum_add(&s->sum[at_w], x_at(s->t, at_x), s->t->dy.f[at_y]);
}

static void check_grad_weights(struct setting *t)
{
    const size_t K = (size_t)t->s.K;
    struct floats dw = floats_aligned(t->w.count), plain = floats_new(t->plain.count);
    struct floats dbias = floats_new(K);
    for (int add = 0; add < 2; add++) {
        if (add) {
            memcpy(dw.f, t->w.f, dw.count * sizeof(float));
        }
        memset(dbias.f, add ? 0 : 0xff, K * sizeof(float));
        t->k->conv_grad_weights_bf16(&t->s, t->n, t->x.f, t->dy.f, dw.f, dbias.f, add,
                                     t->scratch.f);
        unpack(t, dw.f, plain.f);
        struct pair_sums want = pair_sums_new(t, plain.count);
        for (size_t i = 0; i < plain.count; i++) {
            want.sum[i] = pair_sum_from(add ? t->plain.f[i] : 0);
        }
        for_each_term(t, weights_pair, &want);
        for (size_t i = 0; i < plain.count; i++) {
            check_pair_sum(t->k, "conv_grad_weights_bf16", t->name, i, plain.f[i], &want.sum[i],
                           false);
        }
        check_bias(t, "conv_grad_weights_bf16: bias", dbias.f, NULL);
        pair_sums_free(&want);
    }
    floats_free(&dw);
    floats_free(&plain);
    floats_free(&dbias);
}

static void gradients_of_filters_are_set_or_added_to(void **state)
{
    (void)state;
    for_each_setting(&table, check_grad_weights);
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
/* ---- gradients of images: pixel by pixel, each a sum over the filters of the group ---- */

static void window_end(struct pair_sums *s)
{
    for (size_t i = 0; i < (size_t)s->t->s.group * s->t->features; i++) {
        struct pair_sum *of = &s->window[i];
        if (s->window_x[i] != IN_PADDING) {
            struct pair_sum *to = &s->sum[s->window_x[i]];
            pair_sum_end(of);
            to->f += of->f;
            to->d += of->d;
            to->scale += of->scale;
        }
        *of = pair_sum_from(0);
    }
}

static void data_pair(void *context, size_t at_y, size_t at_x, size_t at_w)
{
    struct pair_sums *s = context;
    const struct setting *t = s->t;
    const size_t pixel = at_y / (size_t)t->s.K, group = at_w / t->features / t->filters;
    const size_t at = group * t->features + at_w % t->features;
    if (pixel != s->place) {
        window_end(s);
        s->place = pixel;
    }
    s->window_x[at] = at_x;
    pair_sum_add(&s->window[at], t->dy.f[at_y], t->plain.f[at_w]);
}

static void check_data(struct setting *t)
{
    const size_t image = t->x.count / t->n, dy_image = t->dy.count / t->n;
    struct floats dx = floats_untouched(t->x.count), none = floats_aligned(t->w.count);
    t->k->conv_grad_data_bf16(&t->s, 1, t->dy.f, t->w.f, dx.f, t->scratch.f, true);
    t->k->conv_grad_data_bf16(&t->s, t->n - 1, t->dy.f + dy_image, none.f, dx.f + image,
                              t->scratch.f, false);
    struct pair_sums want = pair_sums_new(t, dx.count);
    for_each_term(t, data_pair, &want);
    window_end(&want);
    for (size_t i = 0; i < dx.count; i++) {
        check_pair_sum(t->k, "conv_grad_data_bf16", t->name, i, dx.f[i], &want.sum[i], false);
    }
    pair_sums_free(&want);
    floats_free(&dx);
    floats_free(&none);
}

static void gradients_of_images_are_right(void **state)
{
    (void)state;
    for_each_setting(&table, check_data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_are_right),
        cmocka_unit_test(gradients_of_filters_are_set_or_added_to),
        cmocka_unit_test(gradients_of_images_are_right),
        cmocka_unit_test(infinity_in_the_last_pixel_stays_infinite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
