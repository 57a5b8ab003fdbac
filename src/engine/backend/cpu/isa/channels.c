/* channels.c - kernels per channel over channels-last data x[pixels][C]: the sums and maps of batch
 * normalisation, input normalisation, and the gradient of a convolution's bias.
 *
 * The data are seen as rows of P floats cut in columns of one or two vectors. P = C when a vector
 * fits in C; narrower pixels are taken FNL_VL or more at a time, so that vectors are full whatever
 * C is, and the lanes of one channel are added together at the end. The last row may be shorter.
 *
 * Invariants:
 * 1. A channel's sums run over the pixels in order (in interleaved orders when C < FNL_VL):
 *    they depend on (pixels, C) and the data alone.
 * 2. channel_affine multiplies, then adds, each rounded: the bits of ONNX's Mul and Add nodes.
 * 3. Maps write each element after reading it: y may be x, dx may be dy or x.
 *
 * Cost: one pass over the data for maps and sums alike. */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/vops.h"

#define EXPANDED (FNL_VL * FNL_VL) /* floats of a row when C < FNL_VL, at most */

/* Pixels narrower than a vector are taken FNL_VL at a time, C < 4 more of them, so that a row has
 * about four vectors. */
static size_t pixels_a_row(size_t C)
{
    if (C >= FNL_VL) {
        return 1;
    }
    return C < 4 ? FNL_VL * ((4 + C - 1) / C) : FNL_VL;
}

/* pixels rows of C seen as `rows` whole rows of P floats and `rest` (< P) more. */
struct view {
    size_t P, rows, rest;
};

static struct view view_of(size_t pixels, size_t C)
{
    const size_t group = pixels_a_row(C);
    return (struct view){C * group, pixels / group, pixels % group * C};
}

/* The per-channel numbers of a row of P: v itself, or v repeated in room. */
static const float *expand(size_t C, const float *v, float room[EXPANDED])
{
    if (C >= FNL_VL) {
        return v;
    }
    const size_t P = C * pixels_a_row(C);
    for (size_t i = 0; i < P; i++) {
        room[i] = v[i % C];
    }
    return room;
}

/* ---- sums ---- */

/* One vector of channels: lanes of each row, and of the last, shorter row. */
struct column {
    size_t rows, stride, lanes, last_lanes;
};

static struct column column_at(const struct view *v, size_t c)
{
    struct column k = {v->rows, v->P, FNL_VL, 0};
    if (v->P - c < FNL_VL) {
        k.lanes = v->P - c;
    }
    if (v->rest > c) {
        k.last_lanes = v->rest - c < FNL_VL ? v->rest - c : FNL_VL;
    }
    return k;
}

/* Two sums of a vector of channels, in double. */
struct sums {
    fnl_vd a_low, a_high, b_low, b_high;
};

/* a += u, b += u * w */
FNL_INLINE void add_to_sums(struct sums *s, fnl_vf u, fnl_vf w)
{
    fnl_vd low = fnl_vd_low(u), high = fnl_vd_high(u);
    s->a_low += low;
    s->a_high += high;
    s->b_low = fnl_vd_add_product(low, fnl_vd_low(w), s->b_low);
    s->b_high = fnl_vd_add_product(high, fnl_vd_high(w), s->b_high);
}

/* Puts a vector's sums where they belong; with narrow pixels, lanes of the same channel meet. */
static void store_sums(size_t C, size_t c, size_t lanes, const struct sums *s, double *a, double *b)
{
    for (size_t lane = 0; lane < lanes; lane++) {
        size_t half = lane % (FNL_VL / 2);
        bool low = lane < FNL_VL / 2;
        a[(c + lane) % C] += low ? s->a_low[half] : s->a_high[half];
        b[(c + lane) % C] += low ? s->b_low[half] : s->b_high[half];
    }
}

/* x - mean in the lanes that hold data, 0 in the others. */
FNL_INLINE fnl_vf centred(const float *x, size_t lanes, fnl_vf mean)
{
    return fnl_v_and(fnl_vi_first(lanes), fnl_v_load_n(x, lanes) - mean);
}

static void sum_column(const struct column *k, const float *x, fnl_vf mean, struct sums *s)
{
    if (k->lanes == FNL_VL) {
        for (size_t r = 0; r < k->rows; r++, x += k->stride) {
            fnl_vf d = fnl_v_load(x) - mean;
            add_to_sums(s, d, d);
        }
    } else {
        for (size_t r = 0; r < k->rows; r++, x += k->stride) {
            fnl_vf d = centred(x, k->lanes, mean);
            add_to_sums(s, d, d);
        }
    }
    if (k->last_lanes > 0) {
        fnl_vf d = centred(x, k->last_lanes, mean);
        add_to_sums(s, d, d);
    }
}

/* Two full vectors side by side: a cache line a row, and eight sums to hide the adder's latency. */
static void sum_two_columns(const struct column *k, const float *x, const fnl_vf mean[2],
                            struct sums ret_s[2])
{
    struct sums s0 = ret_s[0], s1 = ret_s[1];
    const fnl_vf mean0 = mean[0], mean1 = mean[1];
    for (size_t r = 0; r < k->rows; r++, x += k->stride) {
        fnl_vf d0 = fnl_v_load(x) - mean0, d1 = fnl_v_load(x + FNL_VL) - mean1;
        add_to_sums(&s0, d0, d0);
        add_to_sums(&s1, d1, d1);
    }
    ret_s[0] = s0;
    ret_s[1] = s1;
}

void FNL_K(channel_sums)(size_t pixels, size_t C, const float *x, const float *mean, double *sum,
                         double *sum2)
{
    const struct view v = view_of(pixels, C);
    float room[EXPANDED];
    const float *shift = mean ? expand(C, mean, room) : NULL;
    memset(sum, 0, C * sizeof *sum);
    memset(sum2, 0, C * sizeof *sum2);
    for (size_t c = 0; c < v.P;) {
        struct column k = column_at(&v, c);
        struct sums s[2] = {{{0}, {0}, {0}, {0}}, {{0}, {0}, {0}, {0}}};
        fnl_vf m[2] = {{0}, {0}};
        m[0] = shift ? fnl_v_load_n(shift + c, k.lanes) : m[0];
        if (v.rest == 0 && c + 2 * (size_t)FNL_VL <= v.P) {
            m[1] = shift ? fnl_v_load(shift + c + FNL_VL) : m[1];
            sum_two_columns(&k, x + c, m, s);
            store_sums(C, c, FNL_VL, &s[0], sum, sum2);
            store_sums(C, c + FNL_VL, FNL_VL, &s[1], sum, sum2);
            c += 2 * (size_t)FNL_VL;
        } else {
            sum_column(&k, x + c, m[0], &s[0]);
            store_sums(C, c, k.lanes, &s[0], sum, sum2);
            c += FNL_VL;
        }
    }
}

static void grad_sum_column(const struct column *k, const float *dy, const float *x, fnl_vf mean,
                            struct sums *ret_s)
{
    struct sums s = *ret_s;
    if (k->lanes == FNL_VL) {
        for (size_t r = 0; r < k->rows; r++, x += k->stride, dy += k->stride) {
            add_to_sums(&s, fnl_v_load(dy), fnl_v_load(x) - mean);
        }
    } else {
        for (size_t r = 0; r < k->rows; r++, x += k->stride, dy += k->stride) {
            add_to_sums(&s, fnl_v_load_n(dy, k->lanes), centred(x, k->lanes, mean));
        }
    }
    if (k->last_lanes > 0) {
        add_to_sums(&s, fnl_v_load_n(dy, k->last_lanes), centred(x, k->last_lanes, mean));
    }
    *ret_s = s;
}

/* inv_std is a factor of each term of a channel's sum, so it is applied once, at the end. */
void FNL_K(channel_grad_sums)(size_t pixels, size_t C, const float *dy, const float *x,
                              const float *mean, const float *inv_std, double *sum_dy,
                              double *sum_dy_xhat)
{
    const struct view v = view_of(pixels, C);
    float room[EXPANDED];
    const float *shift = expand(C, mean, room);
    memset(sum_dy, 0, C * sizeof *sum_dy);
    memset(sum_dy_xhat, 0, C * sizeof *sum_dy_xhat);
    for (size_t c = 0; c < v.P; c += FNL_VL) {
        struct column k = column_at(&v, c);
        struct sums s = {{0}, {0}, {0}, {0}};
        grad_sum_column(&k, dy + c, x + c, fnl_v_load_n(shift + c, k.lanes), &s);
        store_sums(C, c, k.lanes, &s, sum_dy, sum_dy_xhat);
    }
    for (size_t c = 0; c < C; c++) {
        sum_dy_xhat[c] *= (double)inv_std[c];
    }
}

/* ---- gradient of a bias: sums in float, by blocks ---- */

#define BLOCK_ROWS 128 /* rows summed before their sum joins the total: rounding grows slower */

/* Sums of nv (1 to 4) vectors of channels at dy over all rows; lanes is of the last vector. */
FNL_INLINE void bias_columns(const struct column *k, size_t nv, const float *dy, fnl_vf total[4])
{
    for (size_t r = 0; r < k->rows; r += BLOCK_ROWS) {
        size_t end = k->rows - r < BLOCK_ROWS ? k->rows : r + BLOCK_ROWS;
        fnl_vf even[4] = {{0}, {0}, {0}, {0}}, odd[4] = {{0}, {0}, {0}, {0}};
        const float *p = dy + r * k->stride;
        size_t i = r;
        for (; i + 2 <= end; i += 2, p += 2 * k->stride) {
            for (size_t j = 0; j < nv; j++) {
                even[j] += fnl_v_load_n(p + j * FNL_VL, k->lanes);
                odd[j] += fnl_v_load_n(p + k->stride + j * FNL_VL, k->lanes);
            }
        }
        if (i < end) {
            for (size_t j = 0; j < nv; j++) {
                even[j] += fnl_v_load_n(p + j * FNL_VL, k->lanes);
            }
        }
        for (size_t j = 0; j < nv; j++) {
            total[j] += even[j] + odd[j];
        }
    }
}

static void store_bias(size_t C, size_t c, size_t lanes, fnl_vf total, float *dbias)
{
    if (C >= FNL_VL) {
        fnl_v_store_n(dbias + c, fnl_v_load_n(dbias + c, lanes) + total, lanes);
        return;
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        dbias[(c + lane) % C] += total[lane];
    }
}

void FNL_K(channel_bias_grad)(size_t pixels, size_t C, const float *dy, float *dbias,
                              bool accumulate)
{
    const struct view v = view_of(pixels, C);
    if (!accumulate) {
        memset(dbias, 0, C * sizeof *dbias);
    }
    for (size_t c = 0; c < v.P;) {
        struct column k = column_at(&v, c);
        fnl_vf total[4] = {{0}, {0}, {0}, {0}};
        if (v.rest == 0 && c + 4 * (size_t)FNL_VL <= v.P) {
            k.lanes = FNL_VL; /* it is; now the compiler knows too */
            bias_columns(&k, 4, dy + c, total);
            for (size_t j = 0; j < 4; j++) {
                store_bias(C, c + j * FNL_VL, FNL_VL, total[j], dbias);
            }
            c += 4 * (size_t)FNL_VL;
            continue;
        }
        bias_columns(&k, 1, dy + c, total);
        if (k.last_lanes > 0) {
            total[0] += fnl_v_load_n(dy + v.rows * v.P + c, k.last_lanes);
        }
        store_bias(C, c, k.lanes, total[0], dbias);
        c += FNL_VL;
    }
}

/* ---- maps ---- */

#define MAP_VECTORS 4 /* vectors of a column whose coefficients stay in registers */

/* y = x mul + add for nv vectors of each row; lanes is of each (all full, or nv is 1). */
FNL_INLINE void affine_column(size_t rows, size_t stride, size_t nv, size_t lanes, const float *x,
                              const float *mul, const float *add, float *y)
{
    fnl_vf m[MAP_VECTORS], a[MAP_VECTORS];
    for (size_t j = 0; j < nv; j++) {
        m[j] = fnl_v_load_n(mul + j * FNL_VL, lanes);
        a[j] = fnl_v_load_n(add + j * FNL_VL, lanes);
    }
    for (size_t r = 0; r < rows; r++, x += stride, y += stride) {
        for (size_t j = 0; j < nv; j++) {
            fnl_vf product = fnl_v_load_n(x + j * FNL_VL, lanes) * m[j];
            fnl_v_store_n(y + j * FNL_VL, product + a[j], lanes);
        }
    }
}

static void affine_rows(size_t rows, size_t stride, size_t count, const float *x, const float *mul,
                        const float *add, float *y)
{
    size_t c = 0;
    for (; c + MAP_VECTORS * (size_t)FNL_VL <= count; c += MAP_VECTORS * (size_t)FNL_VL) {
        affine_column(rows, stride, MAP_VECTORS, FNL_VL, x + c, mul + c, add + c, y + c);
    }
    for (; c + FNL_VL <= count; c += FNL_VL) {
        affine_column(rows, stride, 1, FNL_VL, x + c, mul + c, add + c, y + c);
    }
    if (c < count) {
        affine_column(rows, stride, 1, count - c, x + c, mul + c, add + c, y + c);
    }
}

void FNL_K(channel_affine)(size_t pixels, size_t C, const float *x, const float *mul,
                           const float *add, float *y)
{
    const struct view v = view_of(pixels, C);
    float mul_room[EXPANDED], add_room[EXPANDED];
    mul = expand(C, mul, mul_room);
    add = expand(C, add, add_room);
    affine_rows(v.rows, v.P, v.P, x, mul, add, y);
    affine_rows(1, v.P, v.rest, x + v.rows * v.P, mul, add, y + v.rows * v.P);
}

/* lanes of dx = a dy + b x + k */
FNL_INLINE void grad_lanes(size_t lanes, const float *dy, const float *x, const float *a,
                           const float *b, const float *k, float *dx)
{
    fnl_vf d = fnl_v_fma(fnl_v_load_n(b, lanes), fnl_v_load_n(x, lanes), fnl_v_load_n(k, lanes));
    d = fnl_v_fma(fnl_v_load_n(a, lanes), fnl_v_load_n(dy, lanes), d);
    fnl_v_store_n(dx, d, lanes);
}

static void grad_row(size_t count, const float *dy, const float *x, const float *a, const float *b,
                     const float *k, float *dx)
{
    size_t c = 0;
    for (; c + FNL_VL <= count; c += FNL_VL) {
        grad_lanes(FNL_VL, dy + c, x + c, a + c, b + c, k + c, dx + c);
    }
    if (c < count) {
        grad_lanes(count - c, dy + c, x + c, a + c, b + c, k + c, dx + c);
    }
}

void FNL_K(channel_grad)(size_t pixels, size_t C, const float *dy, const float *x, const float *a,
                         const float *b, const float *k, float *dx)
{
    const struct view v = view_of(pixels, C);
    float a_room[EXPANDED], b_room[EXPANDED], k_room[EXPANDED];
    a = expand(C, a, a_room);
    b = expand(C, b, b_room);
    k = expand(C, k, k_room);
    for (size_t r = 0; r < v.rows; r++, dy += v.P, x += v.P, dx += v.P) {
        grad_row(v.P, dy, x, a, b, k, dx);
    }
    grad_row(v.rest, dy, x, a, b, k, dx);
}
