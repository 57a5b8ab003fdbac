/* rows.c - kernels over rows of N: softmax, softmax with cross-entropy, layer normalisation, and
 * their gradients.
 *
 * Invariants:
 * 1. A row's result depends on that row and on N alone, never on M or on its neighbours.
 * 2. y may be x; dx may be dy (or y, p).
 * 3. Softmax subtracts the row's maximum first, so no finite x overflows; a row with NaN or +inf
 *    comes out NaN, as in PyTorch.
 *
 * Rows of FNL_VL < N <= 2 FNL_VL (ten classes, with 8 lanes) are held in two registers, the second
 * loaded so that it ends where the row ends: no partial loads or stores, and log() is taken of
 * FNL_VL rows at a time. Longer rows take three passes (maximum, exp and sum, scale).
 *
 * Layer normalisation: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer Normalization" (2016); variance
 * in two passes, so that a large mean costs no digits. */
#include <math.h>

#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/vmath.h"

/* The lanes of the part of a row that starts at i. */
FNL_INLINE size_t lanes_at(size_t N, size_t i)
{
    return N - i < FNL_VL ? N - i : FNL_VL;
}

/* ---- softmax ---- */

/* Lanes beyond n become x. */
FNL_INLINE fnl_vf fill_beyond(size_t n, fnl_vf v, float x)
{
    return fnl_v_select(fnl_vi_first(n), v, fnl_v_set(x));
}

/* The greatest of a row, in every lane. NaN need not win: exp(x - maximum) brings it back. */
FNL_INLINE fnl_vf row_greatest(size_t N, const float *x)
{
    fnl_vf m = fnl_v_set(-__builtin_inff());
    size_t i = 0;
    for (; i + FNL_VL <= N; i += FNL_VL) {
        m = fnl_v_max(m, fnl_v_load(x + i));
    }
    if (i < N) {
        m = fnl_v_max(m, fill_beyond(N - i, fnl_v_load_part(x + i, N - i), -__builtin_inff()));
    }
    return fnl_v_greatest(m);
}

/* y = exp(x - maximum) unless y is NULL; the sum, in every lane. */
FNL_INLINE fnl_vf row_exp(size_t N, const float *x, fnl_vf maximum, float *y)
{
    fnl_vf sum = {0};
    size_t i = 0;
    for (; i + FNL_VL <= N; i += FNL_VL) {
        fnl_vf e = fnl_v_exp(fnl_v_load(x + i) - maximum);
        sum += e;
        if (y) {
            fnl_v_store(y + i, e);
        }
    }
    if (i < N) {
        fnl_vf e = fnl_v_exp(fnl_v_load_part(x + i, N - i) - maximum);
        sum += fnl_v_and(fnl_vi_first(N - i), e);
        if (y) {
            fnl_v_store_part(y + i, e, N - i);
        }
    }
    return fnl_v_sum(sum);
}

/* y = x * k */
FNL_INLINE void row_scale(size_t N, const float *x, fnl_vf k, float *y)
{
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_v_store_n(y + i, fnl_v_load_n(x + i, lanes) * k, lanes);
    }
}

/* y = softmax(x) in registers, FNL_VL < N <= 2 FNL_VL. Sum and maximum of the row, in every lane.
 * The second vector repeats the last 2 FNL_VL - N numbers of the first; they are left out of the
 * sum. */
FNL_INLINE fnl_vf softmax_two_vectors(size_t N, const float *x, float *y, fnl_vf *ret_maximum)
{
    const size_t second = N - FNL_VL;
    fnl_vf a = fnl_v_load(x), b = fnl_v_load(x + second);
    fnl_vf maximum = fnl_v_greatest(fnl_v_max(a, b));
    a = fnl_v_exp(a - maximum);
    b = fnl_v_exp(b - maximum);
    fnl_vf sum = fnl_v_sum(a + fnl_v_and(~fnl_vi_first(FNL_VL - second), b));
    fnl_vf scale = 1.0F / sum;
    fnl_v_store(y, a * scale);
    fnl_v_store(y + second, b * scale);
    *ret_maximum = maximum;
    return sum;
}

/* The same for N <= FNL_VL. */
FNL_INLINE fnl_vf softmax_one_vector(size_t N, const float *x, float *y, fnl_vf *ret_maximum)
{
    fnl_vf a = fill_beyond(N, fnl_v_load_part(x, N), -__builtin_inff());
    fnl_vf maximum = fnl_v_greatest(a);
    a = fnl_v_and(fnl_vi_first(N), fnl_v_exp(a - maximum));
    fnl_vf sum = fnl_v_sum(a);
    fnl_v_store_n(y, a / sum, N);
    *ret_maximum = maximum;
    return sum;
}

FNL_INLINE fnl_vf softmax_row(size_t N, const float *x, float *y, fnl_vf *ret_maximum)
{
    if (N <= FNL_VL) {
        return softmax_one_vector(N, x, y, ret_maximum);
    }
    if (N <= 2 * (size_t)FNL_VL) {
        return softmax_two_vectors(N, x, y, ret_maximum);
    }
    *ret_maximum = row_greatest(N, x);
    fnl_vf sum = row_exp(N, x, *ret_maximum, y);
    row_scale(N, y, 1.0F / sum, y);
    return sum;
}

/* y = x - maximum - log(sum of exp(x - maximum)) */
static void log_softmax_row(size_t N, const float *x, float *y)
{
    const fnl_vf maximum = row_greatest(N, x);
    const fnl_vf log_sum = fnl_v_log(row_exp(N, x, maximum, NULL));
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_v_store_n(y + i, fnl_v_load_n(x + i, lanes) - maximum - log_sum, lanes);
    }
}

void FNL_K(softmax)(size_t M, size_t N, bool log_form, const float *x, float *y)
{
    for (size_t m = 0; m < M; m++, x += N, y += N) {
        fnl_vf maximum;
        if (log_form) {
            log_softmax_row(N, x, y);
        } else {
            softmax_row(N, x, y, &maximum);
        }
    }
}

/* dx = y (dy - sum(dy y)) */
static void softmax_grad_row(size_t N, const float *dy, const float *y, float *dx)
{
    fnl_vf dot = {0};
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        dot = fnl_v_fma(fnl_v_load_n(dy + i, lanes), fnl_v_load_n(y + i, lanes), dot);
    }
    dot = fnl_v_sum(dot);
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_vf d = (fnl_v_load_n(dy + i, lanes) - dot) * fnl_v_load_n(y + i, lanes);
        fnl_v_store_n(dx + i, d, lanes);
    }
}

/* dx = dy - exp(y) sum(dy) */
static void log_softmax_grad_row(size_t N, const float *dy, const float *y, float *dx)
{
    fnl_vf sum = {0};
    for (size_t i = 0; i < N; i += FNL_VL) {
        sum += fnl_v_load_n(dy + i, lanes_at(N, i));
    }
    sum = fnl_v_sum(sum);
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_vf p = fnl_v_exp(fnl_v_load_n(y + i, lanes));
        fnl_v_store_n(dx + i, fnl_v_fma(-p, sum, fnl_v_load_n(dy + i, lanes)), lanes);
    }
}

void FNL_K(softmax_grad)(size_t M, size_t N, bool log_form, const float *dy, const float *y,
                         float *dx)
{
    for (size_t m = 0; m < M; m++, dy += N, y += N, dx += N) {
        if (log_form) {
            log_softmax_grad_row(N, dy, y, dx);
        } else {
            softmax_grad_row(N, dy, y, dx);
        }
    }
}

/* ---- softmax with cross-entropy ---- */

/* A label outside the classes has no loss: NaN, and its gradient is as if it had none. */
static inline bool is_class(int32_t label, size_t N)
{
    return (uint32_t)label < N;
}

/* loss = log(sum) - (x[label] - maximum), FNL_VL rows at a time: one log() for all. */
void FNL_K(softmax_cross_entropy)(size_t M, size_t N, const float *x, const int32_t *label,
                                  float *loss, float *p)
{
    for (size_t m = 0; m < M; m += FNL_VL) {
        const size_t rows = lanes_at(M, m);
        float sum[FNL_VL] __attribute__((aligned(4 * FNL_VL)));
        float chosen[FNL_VL] __attribute__((aligned(4 * FNL_VL)));
        for (size_t r = 0; r < rows; r++, x += N, p += N) {
            fnl_vf maximum;
            const int32_t own = label[m + r];
            float logit = is_class(own, N) ? x[own] : NAN; /* before p, which may be x */
            sum[r] = softmax_row(N, x, p, &maximum)[0];
            chosen[r] = logit - maximum[0];
        }
        fnl_vf log_sum = fnl_v_log(fnl_v_load_n(sum, rows));
        fnl_v_store_n(loss + m, log_sum - fnl_v_load_n(chosen, rows), rows);
    }
}

void FNL_K(softmax_cross_entropy_grad)(size_t M, size_t N, const float *p, const int32_t *label,
                                       float scale, float *dx)
{
    const size_t count = M * N;
    const fnl_vf k = fnl_v_set(scale);
    if (dx != p) {
        row_scale(count, p, k, dx);
        for (size_t m = 0; m < M; m++) {
            if (is_class(label[m], N)) {
                size_t at = m * N + (size_t)label[m];
                dx[at] = (p[at] - 1.0F) * scale;
            }
        }
        return;
    }
    for (size_t m = 0; m < M; m++) {
        if (is_class(label[m], N)) {
            dx[m * N + (size_t)label[m]] -= 1.0F;
        }
    }
    row_scale(count, dx, k, dx);
}

/* ---- layer normalisation ---- */

/* Sum of (x - shift)^power over a row, power 1 or 2, in every lane. Four partial sums hide the
 * adder's latency and keep the rounding of long rows small. */
FNL_INLINE fnl_vf row_moment(size_t N, const float *x, fnl_vf shift, int power)
{
    fnl_vf sum[4] = {{0}, {0}, {0}, {0}};
    size_t i = 0;
    for (; i + 4 * (size_t)FNL_VL <= N; i += 4 * (size_t)FNL_VL) {
        for (size_t k = 0; k < 4; k++) {
            fnl_vf d = fnl_v_load(x + i + k * FNL_VL) - shift;
            sum[k] = power == 1 ? sum[k] + d : fnl_v_fma(d, d, sum[k]);
        }
    }
    for (; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_vf d = fnl_v_and(fnl_vi_first(lanes), fnl_v_load_n(x + i, lanes) - shift);
        sum[0] = power == 1 ? sum[0] + d : fnl_v_fma(d, d, sum[0]);
    }
    return fnl_v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void layer_norm_row(size_t N, float epsilon, const float *x, const float *gain,
                           const float *bias, float *y, float *ret_mean, float *ret_inv_std)
{
    const fnl_vf count = fnl_v_set((float)N);
    const fnl_vf mean = row_moment(N, x, fnl_v_set(0.0F), 1) / count;
    const fnl_vf variance = row_moment(N, x, mean, 2) / count;
    const fnl_vf inv_std = 1.0F / fnl_v_sqrt(variance + epsilon);
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_vf xhat = (fnl_v_load_n(x + i, lanes) - mean) * inv_std;
        fnl_vf shift = bias ? fnl_v_load_n(bias + i, lanes) : fnl_v_set(0.0F);
        fnl_v_store_n(y + i, fnl_v_fma(xhat, fnl_v_load_n(gain + i, lanes), shift), lanes);
    }
    *ret_mean = mean[0];
    *ret_inv_std = inv_std[0];
}

void FNL_K(layer_norm)(size_t M, size_t N, float epsilon, const float *x, const float *gain,
                       const float *bias, float *y, float *mean, float *inv_std)
{
    for (size_t m = 0; m < M; m++) {
        float row_mean, row_inv_std;
        layer_norm_row(N, epsilon, x + m * N, gain, bias, y + m * N, &row_mean, &row_inv_std);
        if (mean) {
            mean[m] = row_mean;
        }
        if (inv_std) {
            inv_std[m] = row_inv_std;
        }
    }
}

/* With g = dy gain and xhat = (x - mean) / std: dx = (g - mean(g) - xhat mean(g xhat)) / std;
 * dgain += dy xhat, dbias += dy. dgain and dbias are touched before dx, which may be dy. */
static void layer_norm_grad_row(size_t N, const float *dy, const float *x, const float *gain,
                                float mean, float inv_std, float *dx, float *dgain, float *dbias)
{
    const fnl_vf v_mean = fnl_v_set(mean), v_inv_std = fnl_v_set(inv_std);
    fnl_vf sum_g = {0}, sum_gx = {0};
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_vf d = fnl_v_load_n(dy + i, lanes);
        fnl_vf xhat = (fnl_v_load_n(x + i, lanes) - v_mean) * v_inv_std;
        fnl_vf g = d * fnl_v_load_n(gain + i, lanes); /* 0 beyond the row */
        sum_g += g;
        sum_gx = fnl_v_fma(g, xhat, sum_gx);
        fnl_v_store_n(dgain + i, fnl_v_fma(d, xhat, fnl_v_load_n(dgain + i, lanes)), lanes);
        if (dbias) {
            fnl_v_store_n(dbias + i, fnl_v_load_n(dbias + i, lanes) + d, lanes);
        }
    }
    const fnl_vf count = fnl_v_set((float)N);
    const fnl_vf mean_g = fnl_v_sum(sum_g) / count, mean_gx = fnl_v_sum(sum_gx) / count;
    for (size_t i = 0; i < N; i += FNL_VL) {
        size_t lanes = lanes_at(N, i);
        fnl_vf xhat = (fnl_v_load_n(x + i, lanes) - v_mean) * v_inv_std;
        fnl_vf g = fnl_v_load_n(dy + i, lanes) * fnl_v_load_n(gain + i, lanes);
        fnl_v_store_n(dx + i, fnl_v_fma(-xhat, mean_gx, g - mean_g) * v_inv_std, lanes);
    }
}

void FNL_K(layer_norm_grad)(size_t M, size_t N, const float *dy, const float *x, const float *gain,
                            const float *mean, const float *inv_std, float *dx, float *dgain,
                            float *dbias, bool accumulate)
{
    if (!accumulate) {
        memset(dgain, 0, N * sizeof *dgain);
        if (dbias) {
            memset(dbias, 0, N * sizeof *dbias);
        }
    }
    for (size_t m = 0; m < M; m++) {
        layer_norm_grad_row(N, dy + m * N, x + m * N, gain, mean[m], inv_std[m], dx + m * N, dgain,
                            dbias);
    }
}
