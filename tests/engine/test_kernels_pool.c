/* The pooling CPU kernels against plain double loops, on every instruction set this CPU has. */
#include "engine/kernel_check.h"

struct pool_case {
    const char *name;
    struct fnl_pool_shape s; /* OH, OW are computed */
    bool ceil_mode;
};

static const struct pool_case cases[] = {
    {"2x2", {.C = 32, .H = 30, .W = 30, .KH = 2, .KW = 2, .stride_h = 2, .stride_w = 2}, false},
    {"2x2, one left over",
     {.C = 64, .H = 13, .W = 13, .KH = 2, .KW = 2, .stride_h = 2, .stride_w = 2},
     false},
    {"2x2, one channel",
     {.C = 1, .H = 6, .W = 7, .KH = 2, .KW = 2, .stride_h = 2, .stride_w = 2},
     false},
    {"2x2, odd channels",
     {.C = 21, .H = 7, .W = 4, .KH = 2, .KW = 2, .stride_h = 2, .stride_w = 2},
     false},
    {"2x2, three channels",
     {.C = 3, .H = 5, .W = 5, .KH = 2, .KW = 2, .stride_h = 2, .stride_w = 2},
     false},
    {"2x2 overhanging",
     {.C = 5, .H = 7, .W = 9, .KH = 2, .KW = 2, .stride_h = 2, .stride_w = 2},
     true},
    {"2x2 stride 1", {.C = 9, .H = 6, .W = 6, .KH = 2, .KW = 2, .stride_h = 1, .stride_w = 1}, 0},
    {"3x3 stride 2, padded",
     {.C = 17,
      .H = 11,
      .W = 10,
      .KH = 3,
      .KW = 3,
      .stride_h = 2,
      .stride_w = 2,
      .pad_top = 1,
      .pad_left = 1,
      .pad_bottom = 1,
      .pad_right = 1},
     false},
    {"3x2, padding counted",
     {.C = 8,
      .H = 8,
      .W = 9,
      .KH = 3,
      .KW = 2,
      .stride_h = 2,
      .stride_w = 3,
      .pad_top = 1,
      .pad_left = 1,
      .count_include_pad = true},
     true},
    {"3x3 padding counted, overhanging",
     {.C = 4,
      .H = 8,
      .W = 8,
      .KH = 3,
      .KW = 3,
      .stride_h = 2,
      .stride_w = 2,
      .pad_top = 1,
      .pad_left = 0,
      .pad_bottom = 0,
      .pad_right = 1,
      .count_include_pad = true},
     true},
    {"dilated",
     {.C = 7,
      .H = 12,
      .W = 11,
      .KH = 3,
      .KW = 3,
      .stride_h = 1,
      .stride_w = 2,
      .pad_top = 2,
      .pad_left = 1,
      .pad_bottom = 1,
      .pad_right = 2,
      .dilation_h = 2,
      .dilation_w = 2},
     false},
    {"global", {.C = 33, .H = 5, .W = 4, .KH = 5, .KW = 4, .stride_h = 1, .stride_w = 1}, false},
    {"1x1", {.C = 2, .H = 4, .W = 3, .KH = 1, .KW = 1, .stride_h = 1, .stride_w = 1}, false},
};
#define CASE_COUNT (sizeof cases / sizeof cases[0])

static int out_extent(int in, int kernel, int stride, int dilation, int pads, bool ceil_mode)
{
    int room = in + pads - dilation * (kernel - 1) - 1;
    return (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
}

static struct fnl_pool_shape shape_of(const struct pool_case *p)
{
    struct fnl_pool_shape s = p->s;
    s.dilation_h = s.dilation_h ? s.dilation_h : 1;
    s.dilation_w = s.dilation_w ? s.dilation_w : 1;
    s.OH = out_extent(s.H, s.KH, s.stride_h, s.dilation_h, s.pad_top + s.pad_bottom, p->ceil_mode);
    s.OW = out_extent(s.W, s.KW, s.stride_w, s.dilation_w, s.pad_left + s.pad_right, p->ceil_mode);
    return s;
}

/* ---- the plain loops ---- */

/* Calls visit for each tap of output (oh, ow): at = its first channel's offset in the image, or -1
 * in the padding, or -2 beyond the padding. */
typedef void visit_fn(void *arg, long at);

static void for_each_tap(const struct fnl_pool_shape *s, int oh, int ow, visit_fn *visit, void *arg)
{
    for (int kh = 0; kh < s->KH; kh++) {
        for (int kw = 0; kw < s->KW; kw++) {
            int h = oh * s->stride_h - s->pad_top + kh * s->dilation_h;
            int w = ow * s->stride_w - s->pad_left + kw * s->dilation_w;
            bool inside = h >= 0 && h < s->H && w >= 0 && w < s->W;
            bool padded = h < s->H + s->pad_bottom && w < s->W + s->pad_right;
            visit(arg, inside ? ((long)h * s->W + w) * s->C : padded ? -1 : -2);
        }
    }
}

struct tap_state {
    const struct fnl_pool_shape *s;
    const float *x; /* at the channel */
    double sum, greatest;
    long winner;
    int inside, counted;
};

static void visit_tap(void *arg, long at)
{
    struct tap_state *t = arg;
    t->inside += at >= 0;
    t->counted += at >= -1;
    if (at >= 0) {
        double v = (double)t->x[at];
        t->sum += v;
        if (t->winner < 0 || v > t->greatest) {
            t->greatest = v;
            t->winner = at;
        }
    }
}

static struct tap_state window_of(const struct fnl_pool_shape *s, const float *x, int oh, int ow)
{
    struct tap_state t = {.s = s, .x = x, .winner = -1};
    for_each_tap(s, oh, ow, visit_tap, &t);
    if (!s->count_include_pad) {
        t.counted = t.inside;
    }
    return t;
}

struct spread_state {
    double *dx; /* at the channel */
    double part;
};

static void spread_tap(void *arg, long at)
{
    struct spread_state *p = arg;
    if (at >= 0) {
        p->dx[at] += p->part;
    }
}

/* ---- arrays of one case ---- */
struct arrays {
    struct fnl_pool_shape s;
    size_t n, in, out; /* images; floats of one */
    float *x, *y, *dy, *dx;
    double *want_dx;
};

/* x takes few values, so that maxima are often reached twice; some are below 0. */
static struct arrays arrays_of(const struct pool_case *p, size_t n)
{
    struct arrays a = {.s = shape_of(p), .n = n};
    a.in = (size_t)a.s.C * (size_t)a.s.H * (size_t)a.s.W;
    a.out = (size_t)a.s.C * (size_t)a.s.OH * (size_t)a.s.OW;
    a.x = edge_floats(n * a.in);
    for (size_t i = 0; i < n * a.in; i++) {
        a.x[i] = (float)((int)(check_word() % 7) - 4);
    }
    a.y = edge_floats(n * a.out);
    a.dy = filled_floats(n * a.out, -1.0F, 1.0F);
    a.dx = filled_floats(n * a.in, 5.0F, 6.0F); /* to be overwritten */
    a.want_dx = edge_doubles(n * a.in);
    memset(a.want_dx, 0, n * a.in * sizeof *a.want_dx);
    return a;
}

/* Calls fn for each output element: its index, image, channel and position. */
static void for_each_output(struct arrays *a, bool flag,
                            void (*fn)(struct arrays *a, bool flag, size_t out, size_t image,
                                       size_t c, int oh, int ow))
{
    size_t out = 0;
    for (size_t image = 0; image < a->n; image++) {
        for (int oh = 0; oh < a->s.OH; oh++) {
            for (int ow = 0; ow < a->s.OW; ow++) {
                for (size_t c = 0; c < (size_t)a->s.C; c++, out++) {
                    fn(a, flag, out, image, c, oh, ow);
                }
            }
        }
    }
}

static const char *now_isa, *now_name;

static void expect_max(struct arrays *a, bool mask_relu, size_t out, size_t image, size_t c, int oh,
                       int ow)
{
    struct tap_state t = window_of(&a->s, a->x + image * a->in + c, oh, ow);
    check_close(now_name, now_isa, out, (double)a->y[out], t.greatest, 0.0, 1.0);
    if (!mask_relu || t.greatest > 0.0) {
        a->want_dx[image * a->in + c + (size_t)t.winner] += (double)a->dy[out];
    }
}

static void expect_average(struct arrays *a, bool unused, size_t out, size_t image, size_t c,
                           int oh, int ow)
{
    (void)unused;
    struct tap_state t = window_of(&a->s, a->x + image * a->in + c, oh, ow);
    check_close(now_name, now_isa, out, (double)a->y[out], t.sum / t.counted, 1e-6, 1.0);
    struct spread_state p = {a->want_dx + image * a->in + c, (double)a->dy[out] / t.counted};
    for_each_tap(&a->s, oh, ow, spread_tap, &p);
}

static void check_dx(const struct arrays *a)
{
    for (size_t i = 0; i < a->n * a->in; i++) {
        check_close(now_name, now_isa, i, (double)a->dx[i], a->want_dx[i], 1e-6, 1.0);
    }
}

static void check_max(const struct fnl_cpu_kernels *k)
{
    now_isa = k->isa;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        for (int mask_relu = 0; mask_relu < 2; mask_relu++) {
            now_name = cases[i].name;
            struct arrays a = arrays_of(&cases[i], 3);
            k->max_pool(&a.s, a.n, a.x, a.y);
            k->max_pool_grad(&a.s, a.n, a.dy, a.x, a.y, mask_relu, a.dx);
            for_each_output(&a, mask_relu, expect_max);
            check_dx(&a);
            edge_free_all();
        }
    }
}

static void max_and_its_gradient_in_every_shape(void **state)
{
    (void)state;
    for_each_table(check_max);
}

static void check_average(const struct fnl_cpu_kernels *k)
{
    now_isa = k->isa;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        now_name = cases[i].name;
        struct arrays a = arrays_of(&cases[i], 3);
        k->average_pool(&a.s, a.n, a.x, a.y);
        k->average_pool_grad(&a.s, a.n, a.dy, a.dx);
        for_each_output(&a, false, expect_average);
        check_dx(&a);
        edge_free_all();
    }
}

static void average_and_its_gradient_in_every_shape(void **state)
{
    (void)state;
    for_each_table(check_average);
}

/* NaN wins over every number, wherever it stands in the window; so does +inf over finite ones. */
static void check_nan(const struct fnl_cpu_kernels *k)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        struct arrays a = arrays_of(&cases[i], 1);
        for (size_t e = 0; e < a.in; e++) {
            uint32_t r = check_word() % 16;
            a.x[e] = r == 0 ? NAN : r == 1 ? INFINITY : r == 2 ? -INFINITY : a.x[e];
        }
        k->max_pool(&a.s, 1, a.x, a.y);
        size_t out = 0;
        for (int oh = 0; oh < a.s.OH; oh++) {
            for (int ow = 0; ow < a.s.OW; ow++) {
                for (size_t c = 0; c < (size_t)a.s.C; c++, out++) {
                    double want = -INFINITY;
                    bool nan = false;
                    for (int kh = 0; kh < a.s.KH; kh++) {
                        for (int kw = 0; kw < a.s.KW; kw++) {
                            int h = oh * a.s.stride_h - a.s.pad_top + kh * a.s.dilation_h;
                            int w = ow * a.s.stride_w - a.s.pad_left + kw * a.s.dilation_w;
                            if (h >= 0 && h < a.s.H && w >= 0 && w < a.s.W) {
                                double v = (double)a.x[(size_t)(h * a.s.W + w) * (size_t)a.s.C + c];
                                nan = nan || isnan(v);
                                want = v > want ? v : want;
                            }
                        }
                    }
                    check_close(cases[i].name, k->isa, out, (double)a.y[out],
                                nan ? (double)NAN : want, 0.0, 1.0);
                }
            }
        }
        edge_free_all();
    }
}

static void nan_and_infinity_come_through_max_pool(void **state)
{
    (void)state;
    for_each_table(check_nan);
}

/* A window wholly in the padding has no maximum, averages to 0 and sends its gradient nowhere. */
static void check_empty_window(const struct fnl_cpu_kernels *k)
{
    const struct fnl_pool_shape s = {.C = 9,
                                     .H = 2,
                                     .W = 2,
                                     .OH = 2,
                                     .OW = 2,
                                     .KH = 2,
                                     .KW = 2,
                                     .stride_h = 2,
                                     .stride_w = 2,
                                     .pad_top = 2,
                                     .pad_left = 2,
                                     .dilation_h = 1,
                                     .dilation_w = 1};
    const float *x = filled_floats(36, -2.0F, -1.0F), *dy = filled_floats(36, 1.0F, 2.0F);
    float *y = edge_floats(36), *dx = edge_floats(36);
    k->max_pool(&s, 1, x, y);
    k->max_pool_grad(&s, 1, dy, x, y, false, dx);
    for (size_t c = 0; c < 9; c++) {
        double sum = 0.0;
        assert_true(y[c] == -INFINITY && y[9 + c] == -INFINITY && y[18 + c] == -INFINITY);
        for (size_t tap = 0; tap < 4; tap++) {
            sum += (double)dx[tap * 9 + c];
        }
        assert_true(sum == (double)dy[27 + c]);
    }
    k->average_pool(&s, 1, x, y);
    k->average_pool_grad(&s, 1, dy, dx);
    for (size_t c = 0; c < 9; c++) {
        assert_true(y[c] == 0.0F && y[9 + c] == 0.0F && y[18 + c] == 0.0F && y[27 + c] < -0.9F);
        assert_true(dx[c] == dy[27 + c] / 4.0F);
    }
}

static void windows_wholly_in_the_padding(void **state)
{
    (void)state;
    for_each_table(check_empty_window);
}

/* Images one by one give what all at once give, bit for bit. */
static void check_images(const struct fnl_cpu_kernels *k)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        struct arrays a = arrays_of(&cases[i], 3);
        float *y = edge_floats(a.n * a.out), *dx = edge_floats(a.n * a.in);
        k->max_pool(&a.s, a.n, a.x, a.y);
        k->max_pool_grad(&a.s, a.n, a.dy, a.x, a.y, true, a.dx);
        for (size_t m = 0; m < a.n; m++) {
            k->max_pool(&a.s, 1, a.x + m * a.in, y + m * a.out);
            k->max_pool_grad(&a.s, 1, a.dy + m * a.out, a.x + m * a.in, y + m * a.out, true,
                             dx + m * a.in);
        }
        assert_true(same_bits(y, a.y, a.n * a.out));
        assert_true(same_bits(dx, a.dx, a.n * a.in));
        edge_free_all();
    }
}

static void an_image_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    for_each_table(check_images);
}

static bool same_numbers(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])))) {
            return false;
        }
    }
    return true;
}

/* With a note in between: the same maxima and gradients, whatever stands in the windows. */
static void check_noted(const struct fnl_cpu_kernels *k)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        for (int variant = 0; variant < 4; variant++) {
            const bool mask_relu = variant & 1, special = variant & 2;
            struct arrays a = arrays_of(&cases[i], 3);
            if (a.s.KH * a.s.KW > FNL_POOL_NO_TAP) {
                edge_free_all();
                continue;
            }
            for (size_t e = 0; special && e < a.n * a.in; e++) {
                uint32_t r = check_word() % 16;
                a.x[e] = r == 0 ? NAN : r == 1 ? INFINITY : r < 4 ? -INFINITY : r < 8 ? 0 : a.x[e];
            }
            float *y = edge_floats(a.n * a.out), *dx = edge_floats(a.n * a.in);
            uint8_t *taps = edge_bytes(a.n * a.out);
            k->max_pool(&a.s, a.n, a.x, a.y);
            k->max_pool_grad(&a.s, a.n, a.dy, a.x, a.y, mask_relu, a.dx);
            k->max_pool_noted(&a.s, a.n, a.x, mask_relu, y, taps);
            memset(dx, 0xff, a.n * a.in * sizeof *dx);
            k->max_pool_noted_grad(&a.s, a.n, a.dy, taps, dx);
            if (!same_numbers(y, a.y, a.n * a.out) || !same_numbers(dx, a.dx, a.n * a.in)) {
                fail_msg("%s, %s, variant %d", k->isa, cases[i].name, variant);
            }
            edge_free_all();
        }
    }
}

static void a_note_carries_all_that_the_gradient_needs(void **state)
{
    (void)state;
    for_each_table(check_noted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_and_its_gradient_in_every_shape),
        cmocka_unit_test(average_and_its_gradient_in_every_shape),
        cmocka_unit_test(nan_and_infinity_come_through_max_pool),
        cmocka_unit_test(windows_wholly_in_the_padding),
        cmocka_unit_test(an_image_does_not_depend_on_its_neighbours),
        cmocka_unit_test(a_note_carries_all_that_the_gradient_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
