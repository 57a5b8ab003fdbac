/* bf16_conv.c - convolutions in bfloat16, as products of packed pairs (bf16.h).
 *
 * An image is rounded to bfloat16 and padded once, then the windows of a few output pixels at a
 * time are gathered into rows of pairs: the copy costs a percent or two of a product with 64
 * filters, and pairs need no care for windows of an odd number of features. Forward: rows are
 * pixels, pairs are neighbouring features of a window (kh, kw, c). Gradient of the weights: rows
 * are features, pairs are neighbouring pixels. Gradient of the data: the products dy w^T are the
 * windows' gradients, which are added up where the windows lie.
 *
 * Scratch is the same for any number of images. Packed weights stand at its beginning and are kept
 * from block to block of a run; for the rest every image goes by itself, so nothing depends on how
 * many there are. Sums over pixels: image by image, in blocks of PIXELS. */
#include "engine/backend/cpu/isa/bf16.h"
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/panel.h"

/* Output pixels whose gradient is taken at a time: even, but for the last of an image. */
#define PIXELS ((size_t)128)

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t round_up(size_t floats)
{
    return (floats + 15) & ~(size_t)15;
}

/* Sizes in elements: of an image as the windows see it, padded. */
struct geometry {
    const struct fnl_conv_shape *s;
    size_t group, group_C, group_K, features; /* features = KH * KW * group_C */
    size_t segments, run;                     /* features are `segments` contiguous runs */
    size_t row, image, pixels;                /* pixels: OH * OW */
    size_t left, top;                         /* elements of padding in front */
    size_t packed;                            /* floats of one group's weights in pairs */
    float *weights, *at;                      /* scratch: packed weights, the rest */
};

/* Segments are whole kernel rows where the pixels of a row touch, else single pixels. */
static struct geometry measure(const struct fnl_conv_shape *s, bool transposed)
{
    struct geometry g = {.s = s, .group = (size_t)s->group};
    const size_t C = (size_t)s->C, KH = (size_t)s->KH, KW = (size_t)s->KW;
    g.group_C = C / g.group;
    g.group_K = (size_t)s->K / g.group;
    g.features = KH * KW * g.group_C;
    g.segments = g.group == 1 && s->dilation_w == 1 ? KH : KH * KW;
    g.run = g.features / g.segments;
    g.row = (size_t)(s->W + s->pad_left + s->pad_right) * C;
    g.image = (size_t)(s->H + s->pad_top + s->pad_bottom) * g.row;
    g.left = (size_t)s->pad_left * C;
    g.top = (size_t)s->pad_top * g.row;
    g.pixels = (size_t)s->OH * (size_t)s->OW;
    g.packed = transposed ? fnl_panels(g.features) * FNL_PANEL * fnl_pairs(g.group_K)
                          : fnl_panels(g.group_K) * FNL_PANEL * fnl_pairs(g.features);
    return g;
}

static void set_scratch(struct geometry *g, float *scratch, bool weights)
{
    g->weights = scratch;
    g->at = scratch + (weights ? round_up(g->group * g->packed) : 0);
}

/* Floats that hold the image in bfloat16. */
static size_t image_floats(const struct geometry *g)
{
    return round_up(fnl_pairs(g->image));
}

size_t FNL_K(conv_scratch_bf16)(const struct fnl_conv_shape *s)
{
    const struct geometry f = measure(s, false), d = measure(s, true);
    const size_t forward =
        round_up(f.group * f.packed) + image_floats(&f) + FNL_BF16_ROWS * fnl_pairs(f.features);
    const size_t weights = image_floats(&f) + PIXELS / 2 * (FNL_PANEL + f.features);
    const size_t data = round_up(d.group * d.packed) + round_up(d.image) +
                        FNL_BF16_ROWS * (fnl_pairs(d.group_K) + d.features);
    return max(max(forward, weights), data);
}

/* One image of x, rounded and padded with zeros. Elements are 2 bytes. */
static void narrow_image(const struct geometry *g, const float *x, unsigned char *to)
{
    const size_t inner = (size_t)g->s->W * (size_t)g->s->C;
    memset(to, 0, 2 * g->image);
    if (inner == g->row) {
        fnl_k_bf16_narrow(inner * (size_t)g->s->H, x, to + 2 * g->top);
        return;
    }
    for (size_t h = 0; h < (size_t)g->s->H; h++) {
        fnl_k_bf16_narrow(inner, x + h * inner, to + 2 * (g->top + h * g->row + g->left));
    }
}

/* Element at which output pixel p's window begins. */
static size_t window_of(const struct geometry *g, size_t p)
{
    const size_t OW = (size_t)g->s->OW;
    return p / OW * (size_t)g->s->stride_h * g->row +
           p % OW * (size_t)g->s->stride_w * (size_t)g->s->C;
}

/* Element at which a window's segment begins, from the window's first. */
static size_t segment_of(const struct geometry *g, size_t segment)
{
    const size_t per_row = g->segments / (size_t)g->s->KH;
    return segment / per_row * (size_t)g->s->dilation_h * g->row +
           segment % per_row * (size_t)g->s->dilation_w * (size_t)g->s->C;
}

/* ---- forward ---- */

/* Pixel p's window of group i at `to`: features in order, zero behind an odd number. */
static void gather_window(const struct geometry *g, size_t p, size_t i, const unsigned char *image,
                          unsigned char *to)
{
    const unsigned char *from = image + 2 * (window_of(g, p) + i * g->group_C);
    for (size_t s = 0; s < g->segments; s++, to += 2 * g->run) {
        memcpy(to, from + 2 * segment_of(g, s), 2 * g->run);
    }
    memset(to, 0, g->features % 2 * 2);
}

static void forward_image(const struct geometry *g, const float *x, const float *bias, bool relu,
                          float *y)
{
    const size_t K = (size_t)g->s->K, steps = fnl_pairs(g->features);
    unsigned char *image = (unsigned char *)g->at;
    float *rows = g->at + image_floats(g);
    narrow_image(g, x, image);
    for (size_t p = 0; p < g->pixels; p += FNL_BF16_ROWS) {
        const size_t count = min(g->pixels - p, FNL_BF16_ROWS);
        for (size_t i = 0; i < g->group; i++) {
            for (size_t r = 0; r < count; r++) {
                gather_window(g, p + r, i, image, (unsigned char *)(rows + r * steps));
            }
            const struct fnl_bf16_product product = {.steps = steps,
                                                     .a = rows,
                                                     .a_row = (ptrdiff_t)steps,
                                                     .a_step = 1,
                                                     .b = g->weights + i * g->packed,
                                                     .N = g->group_K,
                                                     .bias = bias ? bias + i * g->group_K : NULL,
                                                     .relu = relu,
                                                     .y = y + p * K + i * g->group_K,
                                                     .ldy = K};
            fnl_k_bf16_product(&product, count);
        }
    }
}

void FNL_K(conv_forward_bf16)(const struct fnl_conv_shape *s, size_t n, const float *x,
                              const float *w, const float *bias, enum fnl_cpu_activation act,
                              float *y, float *scratch, bool first_block)
{
    struct geometry g = measure(s, false);
    const size_t w_group = fnl_panels(g.group_K) * g.features * FNL_PANEL;
    const size_t x_image = (size_t)s->H * (size_t)s->W * (size_t)s->C;
    set_scratch(&g, scratch, true);
    for (size_t i = 0; first_block && i < g.group; i++) {
        fnl_k_bf16_pair_panels(g.features, g.group_K, w + i * w_group, g.weights + i * g.packed);
    }
    for (size_t i = 0; i < n; i++) {
        forward_image(&g, x + i * x_image, bias, act == FNL_CPU_RELU,
                      y + i * g.pixels * (size_t)s->K);
    }
}

/* ---- gradient of the weights ---- */

static uint32_t element(const unsigned char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof(bits));
    return bits;
}

/* The windows of pixels p and p + 1 of group i, feature by feature in pairs. */
static void gather_two(const struct geometry *g, size_t p, size_t i, const unsigned char *image,
                       float *to)
{
    const unsigned char *window = image + 2 * i * g->group_C;
    const bool odd = p + 1 == g->pixels; /* the last alone: paired with zero */
    const size_t first = 2 * window_of(g, p), second = odd ? first : 2 * window_of(g, p + 1);
    const uint32_t keep = odd ? 0 : UINT32_MAX;
    for (size_t s = 0; s < g->segments; s++, to += g->run) {
        const unsigned char *at = window + 2 * segment_of(g, s);
        for (size_t f = 0; f < g->run; f++) {
            const uint32_t pair =
                element(at + first + 2 * f) | (element(at + second + 2 * f) << 16 & keep);
            memcpy(to + f, &pair, sizeof(pair));
        }
    }
}

/* dw (+)= of `count` pixels from p on. */
static void weights_block(const struct geometry *g, size_t p, size_t count,
                          const unsigned char *image, const float *dy, float *dw, bool add)
{
    const size_t K = (size_t)g->s->K, pairs = fnl_pairs(count);
    float *panel = g->at + image_floats(g), *windows = panel + PIXELS / 2 * FNL_PANEL;
    for (size_t i = 0; i < g->group; i++) {
        for (size_t r = 0; r < pairs; r++) {
            gather_two(g, p + 2 * r, i, image, windows + r * g->features);
        }
        for (size_t f = 0; f < g->group_K; f += FNL_PANEL, dw += g->features * FNL_PANEL) {
            fnl_k_bf16_pair_rows(count, min(g->group_K - f, FNL_PANEL),
                                 dy + p * K + i * g->group_K + f, K, FNL_PANEL, panel);
            const struct fnl_bf16_product product = {.steps = pairs,
                                                     .a = windows,
                                                     .a_row = 1,
                                                     .a_step = (ptrdiff_t)g->features,
                                                     .b = panel,
                                                     .N = FNL_PANEL,
                                                     .add = add,
                                                     .y = dw,
                                                     .ldy = FNL_PANEL};
            fnl_k_bf16_product(&product, g->features);
        }
    }
}

void FNL_K(conv_grad_weights_bf16)(const struct fnl_conv_shape *s, size_t n, const float *x,
                                   const float *dy, float *dw, float *dbias, bool accumulate,
                                   float *scratch)
{
    struct geometry g = measure(s, false);
    const size_t K = (size_t)s->K, x_image = (size_t)s->H * (size_t)s->W * (size_t)s->C;
    set_scratch(&g, scratch, false);
    if (dbias) {
        fnl_k_column_sums(n * g.pixels, K, dy, K, accumulate, dbias);
    }
    for (size_t i = 0; i < n; i++, x += x_image, dy += g.pixels * K) {
        unsigned char *image = (unsigned char *)g.at;
        narrow_image(&g, x, image);
        for (size_t p = 0; p < g.pixels; p += PIXELS) {
            weights_block(&g, p, min(g.pixels - p, PIXELS), image, dy, dw,
                          accumulate || i > 0 || p > 0);
        }
    }
}

/* ---- gradient of the data ---- */

/* dx += the gradients of `count` windows from pixel p on, of group i. */
static void scatter_windows(const struct geometry *g, size_t p, size_t count, size_t i,
                            const float *gradients, float *dx)
{
    for (size_t r = 0; r < count; r++) {
        float *window = dx + window_of(g, p + r) + i * g->group_C;
        for (size_t s = 0; s < g->segments; s++, gradients += g->run) {
            float *to = window + segment_of(g, s);
            for (size_t f = 0; f < g->run; f++) {
                to[f] += gradients[f];
            }
        }
    }
}

/* dx, zeroed and padded, += of one image. */
static void data_image(const struct geometry *g, const float *dy, float *dx, float *rows)
{
    const size_t K = (size_t)g->s->K, steps = fnl_pairs(g->group_K);
    float *gradients = rows + FNL_BF16_ROWS * steps;
    for (size_t p = 0; p < g->pixels; p += FNL_BF16_ROWS) {
        const size_t count = min(g->pixels - p, FNL_BF16_ROWS);
        for (size_t i = 0; i < g->group; i++) {
            for (size_t r = 0; r < count; r++) {
                fnl_bf16_pack_row(g->group_K, dy + (p + r) * K + i * g->group_K, rows + r * steps);
            }
            const struct fnl_bf16_product product = {.steps = steps,
                                                     .a = rows,
                                                     .a_row = (ptrdiff_t)steps,
                                                     .a_step = 1,
                                                     .b = g->weights + i * g->packed,
                                                     .N = g->features,
                                                     .y = gradients,
                                                     .ldy = g->features};
            fnl_k_bf16_product(&product, count);
            scatter_windows(g, p, count, i, gradients, dx);
        }
    }
}

void FNL_K(conv_grad_data_bf16)(const struct fnl_conv_shape *s, size_t n, const float *dy,
                                const float *w, float *dx, float *scratch, bool first_block)
{
    struct geometry g = measure(s, true);
    const size_t w_group = fnl_panels(g.group_K) * g.features * FNL_PANEL;
    const size_t x_row = (size_t)s->W * (size_t)s->C, x_image = (size_t)s->H * x_row;
    set_scratch(&g, scratch, true);
    for (size_t i = 0; first_block && i < g.group; i++) {
        fnl_k_bf16_transpose_panels(g.features, g.group_K, w + i * w_group,
                                    g.weights + i * g.packed);
    }
    const bool padded = g.image != x_image;
    for (size_t i = 0; i < n; i++, dx += x_image, dy += g.pixels * (size_t)s->K) {
        float *image = padded ? g.at : dx;
        memset(image, 0, g.image * sizeof(float));
        data_image(&g, dy, image, g.at + round_up(g.image));
        for (size_t h = 0; padded && h < (size_t)s->H; h++) {
            memcpy(dx + h * x_row, image + g.top + g.left + h * g.row, x_row * sizeof(float));
        }
    }
}
