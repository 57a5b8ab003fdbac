/* winograd_maps.c - the linear maps of Winograd's convolution (winograd.c), vectorised over
 * channels.
 *
 * In one direction a tile of m outputs has m + 2 points, in this order: 0, 1, -1, infinity, 2, -2
 * (as numbers to put into polynomials; infinity stands for the leading coefficient). The maps:
 *
 *     weights   u_i = (g_0 + p_i g_1 + p_i^2 g_2) / N_i
 *     data      v = coefficients of prod_{j != i} (x - p_j), times N_i / N_i(m)
 *     outputs   y_k = sum_i p_i^k m_i
 *
 * and their adjoints. N_i are the denominators of Lagrange's polynomials for m = 4; N_i(m), those
 * for m, differ for smaller tiles and stand in `data`, so that tiles of every size take the same u.
 * A map in two directions is one along each row, then one along each column. */
#include "engine/backend/cpu/isa/vops.h"
#include "engine/backend/cpu/isa/winograd.h"

enum { LINE = FNL_WINO_LINE };

/* a * b + c for a constant a. */
FNL_INLINE fnl_vf add_times(float a, fnl_vf b, fnl_vf c)
{
    return fnl_v_fma(fnl_v_set(a), b, c);
}

/* ---- one direction; m is a constant of the caller, the vectors are registers ---- */

/* d[m + 2] -> v[m + 2] */
FNL_INLINE void data(const int m, const fnl_vf *d, fnl_vf *v)
{
    if (m == 4) {
        const fnl_vf even = add_times(-4, d[2], d[4]), odd = add_times(-4, d[1], d[3]);
        const fnl_vf even2 = d[4] - d[2], odd2 = d[3] - d[1];
        v[0] = add_times(4, d[0], add_times(-5, d[2], d[4]));
        v[1] = even + odd;
        v[2] = even - odd;
        v[3] = add_times(4, d[1], add_times(-5, d[3], d[5]));
        v[4] = add_times(2, odd2, even2);
        v[5] = add_times(-2, odd2, even2);
    } else if (m == 3) {
        const fnl_vf odd2 = d[3] - d[1];
        v[0] = add_times(4, d[0] - d[2], odd2 + odd2);
        v[1] = fnl_v_set(3) * (add_times(-2, d[1], d[3]) - d[2]);
        v[2] = add_times(2, d[1], add_times(-3, d[2], d[3]));
        v[3] = add_times(-2, odd2, d[4] - d[2]);
        v[4] = fnl_v_set(4) * odd2;
    } else {
        v[0] = fnl_v_set(4) * (d[0] - d[2]);
        v[1] = fnl_v_set(-3) * (d[1] + d[2]);
        v[2] = fnl_v_set(3) * (d[1] - d[2]);
        v[3] = d[3] - d[1];
    }
}

/* v[m + 2] -> d[m + 2] */
FNL_INLINE void data_adjoint(const int m, const fnl_vf *v, fnl_vf *d)
{
    const fnl_vf sum = v[1] + v[2], difference = v[1] - v[2];
    d[0] = fnl_v_set(4) * v[0];
    if (m == 4) {
        const fnl_vf sum2 = v[4] + v[5], difference2 = v[4] - v[5];
        d[1] = add_times(-4, difference, add_times(-2, difference2, fnl_v_set(4) * v[3]));
        d[2] = add_times(-4, sum, add_times(-5, v[0], -sum2));
        d[3] = add_times(2, difference2, add_times(-5, v[3], difference));
        d[4] = v[0] + sum + sum2;
        d[5] = v[3];
    } else if (m == 3) {
        const fnl_vf shared = add_times(4, v[4], v[0] + v[0]);
        d[1] = add_times(-6, v[1], add_times(2, v[2] + v[3], -shared));
        d[2] = add_times(-4, v[0], add_times(-3, sum, -v[3]));
        d[3] = add_times(3, v[1], add_times(-2, v[3], shared + v[2]));
        d[4] = v[3];
    } else {
        d[1] = add_times(-3, difference, -v[3]);
        d[2] = add_times(-4, v[0], fnl_v_set(-3) * sum);
        d[3] = v[3];
    }
}

/* v[m + 2] -> y[m] */
FNL_INLINE void outputs(const int m, const fnl_vf *v, fnl_vf *y)
{
    const fnl_vf sum = v[1] + v[2], difference = v[1] - v[2];
    if (m == 4) {
        const fnl_vf sum2 = v[4] + v[5], difference2 = v[4] - v[5];
        y[0] = v[0] + sum + sum2;
        y[1] = add_times(2, difference2, difference);
        y[2] = add_times(4, sum2, sum);
        y[3] = add_times(8, difference2, difference + v[3]);
    } else if (m == 3) {
        y[0] = v[0] + sum + v[4];
        y[1] = add_times(2, v[4], difference);
        y[2] = add_times(4, v[4], sum + v[3]);
    } else {
        y[0] = v[0] + sum;
        y[1] = difference + v[3];
    }
}

/* y[m] -> v[m + 2] */
FNL_INLINE void outputs_adjoint(const int m, const fnl_vf *y, fnl_vf *v)
{
    v[0] = y[0];
    v[3] = y[m - 1];
    if (m == 4) {
        const fnl_vf even = y[0] + y[2], odd = y[1] + y[3];
        const fnl_vf even2 = add_times(4, y[2], y[0]), odd2 = add_times(4, y[3], y[1]);
        v[1] = even + odd;
        v[2] = even - odd;
        v[4] = add_times(2, odd2, even2);
        v[5] = add_times(-2, odd2, even2);
    } else if (m == 3) {
        const fnl_vf even = y[0] + y[2];
        v[1] = even + y[1];
        v[2] = even - y[1];
        v[4] = add_times(2, y[1], add_times(4, y[2], y[0]));
    } else {
        v[1] = y[0] + y[1];
        v[2] = y[0] - y[1];
    }
}

/* ---- image to points ---- */

enum map { DATA, OUTPUTS };

/* Rows of the image, each mapped along its pixels: row h to t[h]. */
FNL_INLINE void spread_rows(const enum map map, const int m, int rows, const size_t lanes,
                            const float *x, size_t row, size_t pixel, fnl_vf t[LINE][LINE])
{
    const int pixels = map == DATA ? m + 2 : m;
    for (int h = 0; h < rows; h++, x += row) {
        fnl_vf in[LINE];
        for (int w = 0; w < pixels; w++) {
            in[w] = fnl_v_load_n(x + (size_t)w * pixel, lanes);
        }
        if (map == DATA) {
            data(m, in, t[h]);
        } else {
            outputs_adjoint(m, in, t[h]);
        }
    }
}

/* Columns of t, mapped, to the points from channel c. */
FNL_INLINE void spread_columns(const enum map map, const int m, int columns, fnl_vf t[LINE][LINE],
                               const struct fnl_wino_cursor *points, size_t c)
{
    const int rows = map == DATA ? m + 2 : m;
    for (int j = 0; j < columns; j++) {
        fnl_vf in[LINE], out[LINE];
        for (int h = 0; h < rows; h++) {
            in[h] = t[h][j];
        }
        if (map == DATA) {
            data(m, in, out);
        } else {
            outputs_adjoint(m, in, out);
        }
        for (int i = 0; i < m + 2; i++) {
            fnl_v_store(points->at[i][j] + c, out[i]);
        }
    }
}

FNL_INLINE void spread_lanes(const enum map map, const struct fnl_wino_tile *tile,
                             const size_t lanes, const float *x, fnl_vf t[LINE][LINE])
{
    const int rows = map == DATA ? tile->height + 2 : tile->height;
    switch (tile->width) {
    case 4:
        spread_rows(map, 4, rows, lanes, x, tile->row, tile->pixel, t);
        break;
    case 3:
        spread_rows(map, 3, rows, lanes, x, tile->row, tile->pixel, t);
        break;
    default:
        spread_rows(map, 2, rows, lanes, x, tile->row, tile->pixel, t);
        break;
    }
}

/* On to the next tile that has each point. */
FNL_INLINE void advance(const struct fnl_wino_tile *tile, size_t stride,
                        struct fnl_wino_cursor *points)
{
    for (int i = 0; i < tile->height + 2; i++) {
        for (int j = 0; j < tile->width + 2; j++) {
            points->at[i][j] += stride;
        }
    }
}

FNL_INLINE void spread(const enum map map, const struct fnl_wino_tile *tile, const float *x,
                       size_t stride, struct fnl_wino_cursor *points)
{
    const int columns = tile->width + 2;
    for (size_t c = 0; c < stride; c += FNL_VL) {
        fnl_vf t[LINE][LINE];
        const size_t left = c < tile->channels ? tile->channels - c : 0;
        if (left >= FNL_VL) {
            spread_lanes(map, tile, FNL_VL, x + c, t);
        } else {
            spread_lanes(map, tile, left, x + c, t);
        }
        switch (tile->height) {
        case 4:
            spread_columns(map, 4, columns, t, points, c);
            break;
        case 3:
            spread_columns(map, 3, columns, t, points, c);
            break;
        default:
            spread_columns(map, 2, columns, t, points, c);
            break;
        }
    }
    advance(tile, stride, points);
}

void fnl_k_wino_spread_x(const struct fnl_wino_tile *t, const float *x, size_t stride,
                         struct fnl_wino_cursor *points)
{
    spread(DATA, t, x, stride, points);
}

void fnl_k_wino_spread_dy(const struct fnl_wino_tile *t, const float *dy, size_t stride,
                          struct fnl_wino_cursor *points)
{
    spread(OUTPUTS, t, dy, stride, points);
}

/* ---- points to image ---- */

/* Columns of points from channel c, mapped, to t. */
FNL_INLINE void gather_columns(const enum map map, const int m, int columns,
                               const struct fnl_wino_cursor *points, size_t c, fnl_vf t[LINE][LINE])
{
    const int rows = map == DATA ? m + 2 : m;
    for (int j = 0; j < columns; j++) {
        fnl_vf in[LINE], out[LINE];
        for (int i = 0; i < m + 2; i++) {
            in[i] = fnl_v_load(points->at[i][j] + c);
        }
        if (map == DATA) {
            data_adjoint(m, in, out);
        } else {
            outputs(m, in, out);
        }
        for (int h = 0; h < rows; h++) {
            t[h][j] = out[h];
        }
    }
}

/* What a pixel becomes of its new value. */
struct finish {
    fnl_vf bias;
    fnl_vi at_least_zero; /* where a negative number is to be 0 */
};

/* Rows of t, mapped along their pixels, to the image: set (outputs) or added (data). */
FNL_INLINE void gather_rows(const enum map map, const int m, int rows, const size_t lanes,
                            fnl_vf t[LINE][LINE], const struct finish *finish, float *y, size_t row,
                            size_t pixel)
{
    const int pixels = map == DATA ? m + 2 : m;
    for (int h = 0; h < rows; h++, y += row) {
        fnl_vf out[LINE];
        if (map == DATA) {
            data_adjoint(m, t[h], out);
        } else {
            outputs(m, t[h], out);
        }
        for (int w = 0; w < pixels; w++) {
            float *to = y + (size_t)w * pixel;
            if (map == DATA) {
                out[w] += fnl_v_load_n(to, lanes);
            } else {
                out[w] += finish->bias;
                out[w] = fnl_v_and(~((out[w] < 0.0F) & finish->at_least_zero), out[w]);
            }
            fnl_v_store_n(to, out[w], lanes);
        }
    }
}

FNL_INLINE void gather_lanes(const enum map map, const struct fnl_wino_tile *tile,
                             const size_t lanes, fnl_vf t[LINE][LINE], const struct finish *finish,
                             float *y)
{
    const int rows = map == DATA ? tile->height + 2 : tile->height;
    switch (tile->width) {
    case 4:
        gather_rows(map, 4, rows, lanes, t, finish, y, tile->row, tile->pixel);
        break;
    case 3:
        gather_rows(map, 3, rows, lanes, t, finish, y, tile->row, tile->pixel);
        break;
    default:
        gather_rows(map, 2, rows, lanes, t, finish, y, tile->row, tile->pixel);
        break;
    }
}

FNL_INLINE void gather(const enum map map, const struct fnl_wino_tile *tile,
                       struct fnl_wino_cursor *points, const float *bias, bool relu, float *y)
{
    const int columns = tile->width + 2;
    struct finish finish = {.at_least_zero = fnl_vi_set(relu ? -1 : 0)};
    for (size_t c = 0; c < tile->channels; c += FNL_VL) {
        fnl_vf t[LINE][LINE];
        switch (tile->height) {
        case 4:
            gather_columns(map, 4, columns, points, c, t);
            break;
        case 3:
            gather_columns(map, 3, columns, points, c, t);
            break;
        default:
            gather_columns(map, 2, columns, points, c, t);
            break;
        }
        const size_t left = tile->channels - c;
        if (bias != NULL) {
            finish.bias = fnl_v_load_n(bias + c, left < FNL_VL ? left : FNL_VL);
        }
        if (left >= FNL_VL) {
            gather_lanes(map, tile, FNL_VL, t, &finish, y + c);
        } else {
            gather_lanes(map, tile, left, t, &finish, y + c);
        }
    }
    advance(tile, FNL_PANEL, points);
}

void fnl_k_wino_gather_y(const struct fnl_wino_tile *t, struct fnl_wino_cursor *points,
                         const float *bias, bool relu, float *y)
{
    gather(OUTPUTS, t, points, bias, relu, y);
}

void fnl_k_wino_gather_dx(const struct fnl_wino_tile *t, struct fnl_wino_cursor *points, float *dx)
{
    gather(DATA, t, points, NULL, false, dx);
}

/* ---- weights ---- */

/* g[3] -> u[6] */
FNL_INLINE void weights(const fnl_vf *g, fnl_vf *u)
{
    const fnl_vf sum = g[0] + g[2];
    const fnl_vf far = add_times(4, g[2], g[0]);
    u[0] = fnl_v_set(1.0F / 4) * g[0];
    u[1] = fnl_v_set(-1.0F / 6) * (sum + g[1]);
    u[2] = fnl_v_set(-1.0F / 6) * (sum - g[1]);
    u[3] = g[2];
    u[4] = fnl_v_set(1.0F / 24) * add_times(2, g[1], far);
    u[5] = fnl_v_set(1.0F / 24) * add_times(-2, g[1], far);
}

/* u[6] -> g[3] */
FNL_INLINE void weights_adjoint(const fnl_vf *u, fnl_vf *g)
{
    const fnl_vf near0 = fnl_v_set(-1.0F / 6) * (u[1] + u[2]);
    const fnl_vf near1 = fnl_v_set(-1.0F / 6) * (u[1] - u[2]);
    const fnl_vf far0 = fnl_v_set(1.0F / 24) * (u[4] + u[5]);
    const fnl_vf far1 = fnl_v_set(1.0F / 24) * (u[4] - u[5]);
    g[0] = add_times(1.0F / 4, u[0], near0 + far0);
    g[1] = add_times(2, far1, near1);
    g[2] = add_times(4, far0, near0 + u[3]);
}

void fnl_k_wino_weights(size_t C, const float *w, float *u)
{
    const size_t step = C * FNL_PANEL;
    for (size_t at = 0; at < step; at += FNL_VL) {
        fnl_vf t[3][LINE];
        for (size_t h = 0; h < 3; h++) {
            fnl_vf g[3];
            for (size_t k = 0; k < 3; k++) {
                g[k] = fnl_v_load(w + (h * 3 + k) * step + at);
            }
            weights(g, t[h]);
        }
        for (size_t j = 0; j < LINE; j++) {
            fnl_vf out[LINE];
            weights((fnl_vf[]){t[0][j], t[1][j], t[2][j]}, out);
            for (size_t i = 0; i < LINE; i++) {
                fnl_v_store(u + (i * LINE + j) * step + at, out[i]);
            }
        }
    }
}

void fnl_k_wino_weights_adjoint(size_t C, const float *du, float *dw)
{
    const size_t step = C * FNL_PANEL;
    for (size_t at = 0; at < step; at += FNL_VL) {
        fnl_vf t[3][LINE];
        for (size_t j = 0; j < LINE; j++) {
            fnl_vf in[LINE], out[3];
            for (size_t i = 0; i < LINE; i++) {
                in[i] = fnl_v_load(du + (i * LINE + j) * step + at);
            }
            weights_adjoint(in, out);
            for (size_t h = 0; h < 3; h++) {
                t[h][j] = out[h];
            }
        }
        for (size_t h = 0; h < 3; h++) {
            fnl_vf g[3];
            weights_adjoint(t[h], g);
            for (size_t k = 0; k < 3; k++) {
                fnl_v_store(dw + (h * 3 + k) * step + at, g[k]);
            }
        }
    }
}
