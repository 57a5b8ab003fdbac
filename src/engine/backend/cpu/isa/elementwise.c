/* elementwise.c - kernels that map each element on its own: activations, their gradients, addition.
 *
 * Invariants:
 * 1. dst may be any of the sources (the same pointer; no other overlap).
 * 2. An element's result does not depend on where it stands: the last, partial vector runs the same
 *    code as the others, so cutting an array in blocks changes no bit.
 * 3. NaN in gives NaN out, relu included, as in PyTorch.
 *
 * Cost: one pass; relu, leaky_relu, add and their gradients run at the speed of the caches, the
 * others at 10 to 40 instructions a vector. Formulas are those of ONNX's operators; GELU after D.
 * Hendrycks and K. Gimpel, "Gaussian Error Linear Units" (2016). */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/vmath.h"

#define SQRT_HALF 0.70710678118654752F    /* 1 / sqrt(2) */
#define INV_SQRT_2PI 0.39894228040143268F /* 1 / sqrt(2 pi) */
#define TWO_OVER_SQRT_PI 1.1283791670955126F
#define SQRT_2_OVER_PI 0.79788456080286536F
#define GELU_CUBIC 0.044715F

/* What a kernel does to one vector of one or two sources; k is its constant, if it has one. */
typedef fnl_vf map1_fn(fnl_vf x, fnl_vf k);
typedef fnl_vf map2_fn(fnl_vf a, fnl_vf b, fnl_vf k);

FNL_INLINE void map1(size_t count, const float *x, float *y, map1_fn *fn, float k)
{
    const fnl_vf constant = fnl_v_set(k);
    size_t i = 0;
    for (; i + FNL_VL <= count; i += FNL_VL) {
        fnl_v_store(y + i, fn(fnl_v_load(x + i), constant));
    }
    if (i < count) {
        size_t rest = count - i;
        fnl_v_store_part(y + i, fn(fnl_v_load_part(x + i, rest), constant), rest);
    }
}

FNL_INLINE void map2(size_t count, const float *a, const float *b, float *y, map2_fn *fn, float k)
{
    const fnl_vf constant = fnl_v_set(k);
    size_t i = 0;
    for (; i + FNL_VL <= count; i += FNL_VL) {
        fnl_v_store(y + i, fn(fnl_v_load(a + i), fnl_v_load(b + i), constant));
    }
    if (i < count) {
        size_t rest = count - i;
        fnl_vf last = fn(fnl_v_load_part(a + i, rest), fnl_v_load_part(b + i, rest), constant);
        fnl_v_store_part(y + i, last, rest);
    }
}

/* ---- forward ---- */
FNL_INLINE fnl_vf v_add(fnl_vf a, fnl_vf b, fnl_vf k)
{
    (void)k;
    return a + b;
}

FNL_INLINE fnl_vf v_relu(fnl_vf x, fnl_vf k)
{
    return fnl_v_max(k, x); /* k = 0; x second, so NaN stays */
}

FNL_INLINE fnl_vf v_leaky_relu(fnl_vf x, fnl_vf alpha)
{
    return fnl_v_select(x > 0.0F, x, x * alpha);
}

FNL_INLINE fnl_vf v_sigmoid(fnl_vf x, fnl_vf k)
{
    (void)k;
    return 1.0F / (1.0F + fnl_v_exp(-x));
}

FNL_INLINE fnl_vf v_tanh(fnl_vf x, fnl_vf k)
{
    (void)k;
    return fnl_v_tanh(x);
}

FNL_INLINE fnl_vf v_erf(fnl_vf x, fnl_vf k)
{
    (void)k;
    return fnl_v_erf(x);
}

/* Probability that a standard normal variable is below x. */
FNL_INLINE fnl_vf v_normal_cdf(fnl_vf x)
{
    return 0.5F * (1.0F + fnl_v_erf(x * SQRT_HALF));
}

FNL_INLINE fnl_vf v_gelu(fnl_vf x, fnl_vf k)
{
    (void)k;
    return x * v_normal_cdf(x);
}

/* e^-2u, u = sqrt(2/pi) (x + 0.044715 x^3), kept finite. With it (1 + tanh u) / 2 = 1 / (1 +
 * e^-2u), which loses no digits where tanh u is near -1. */
FNL_INLINE fnl_vf v_gelu_tanh_exp(fnl_vf x)
{
    fnl_vf cubic = fnl_v_fma(x * x * x, fnl_v_set(GELU_CUBIC), x);
    return fnl_v_exp(fnl_v_min(fnl_v_set(88.0F), cubic * (-2.0F * SQRT_2_OVER_PI)));
}

FNL_INLINE fnl_vf v_gelu_tanh(fnl_vf x, fnl_vf k)
{
    (void)k;
    return x / (1.0F + v_gelu_tanh_exp(x));
}

void FNL_K(add)(size_t count, const float *a, const float *b, float *y)
{
    map2(count, a, b, y, v_add, 0.0F);
}

void FNL_K(relu)(size_t count, const float *x, float *y)
{
    map1(count, x, y, v_relu, 0.0F);
}

void FNL_K(leaky_relu)(size_t count, float alpha, const float *x, float *y)
{
    map1(count, x, y, v_leaky_relu, alpha);
}

void FNL_K(gelu)(size_t count, bool tanh_form, const float *x, float *y)
{
    if (tanh_form) {
        map1(count, x, y, v_gelu_tanh, 0.0F);
    } else {
        map1(count, x, y, v_gelu, 0.0F);
    }
}

void FNL_K(sigmoid)(size_t count, const float *x, float *y)
{
    map1(count, x, y, v_sigmoid, 0.0F);
}

void FNL_K(tanh_)(size_t count, const float *x, float *y)
{
    map1(count, x, y, v_tanh, 0.0F);
}

void FNL_K(erf_)(size_t count, const float *x, float *y)
{
    map1(count, x, y, v_erf, 0.0F);
}

/* ---- gradients ---- */
FNL_INLINE fnl_vf v_relu_grad(fnl_vf dy, fnl_vf y, fnl_vf k)
{
    return fnl_v_and(~(y <= k), dy); /* k = 0 */
}

/* y has the sign of x as long as alpha is not negative. */
FNL_INLINE fnl_vf v_leaky_relu_grad(fnl_vf dy, fnl_vf y, fnl_vf alpha)
{
    return fnl_v_select(y > 0.0F, dy, dy * alpha);
}

FNL_INLINE fnl_vf v_sigmoid_grad(fnl_vf dy, fnl_vf y, fnl_vf k)
{
    (void)k;
    return dy * (1.0F - y) * y;
}

FNL_INLINE fnl_vf v_tanh_grad(fnl_vf dy, fnl_vf y, fnl_vf k)
{
    (void)k;
    return dy * ((1.0F - y) * (1.0F + y)); /* 1 - y is exact where y is near 1 */
}

FNL_INLINE fnl_vf v_erf_grad(fnl_vf dy, fnl_vf x, fnl_vf k)
{
    (void)k;
    return dy * (fnl_v_exp(-(x * x)) * TWO_OVER_SQRT_PI);
}

/* d(x cdf(x)) = cdf(x) + x density(x) */
FNL_INLINE fnl_vf v_gelu_grad(fnl_vf dy, fnl_vf x, fnl_vf k)
{
    (void)k;
    fnl_vf density = fnl_v_exp(x * x * -0.5F) * INV_SQRT_2PI;
    return dy * fnl_v_fma(x, density, v_normal_cdf(x));
}

/* With s = 1 / (1 + e^-2u): d(x s) = s + x s (1 - s) 2 u', and 1 - s = s e^-2u. */
FNL_INLINE fnl_vf v_gelu_tanh_grad(fnl_vf dy, fnl_vf x, fnl_vf k)
{
    (void)k;
    const fnl_vf one = fnl_v_set(1.0F);
    fnl_vf e = v_gelu_tanh_exp(x);
    fnl_vf s = 1.0F / (1.0F + e);
    fnl_vf slope = fnl_v_fma(x * x, fnl_v_set(3.0F * GELU_CUBIC), one) * (2.0F * SQRT_2_OVER_PI);
    return dy * fnl_v_fma(x * slope, s * e * s, s);
}

void FNL_K(relu_grad)(size_t count, const float *dy, const float *y, float *dx)
{
    map2(count, dy, y, dx, v_relu_grad, 0.0F);
}

void FNL_K(leaky_relu_grad)(size_t count, float alpha, const float *dy, const float *y, float *dx)
{
    map2(count, dy, y, dx, v_leaky_relu_grad, alpha);
}

void FNL_K(gelu_grad)(size_t count, bool tanh_form, const float *dy, const float *x, float *dx)
{
    if (tanh_form) {
        map2(count, dy, x, dx, v_gelu_tanh_grad, 0.0F);
    } else {
        map2(count, dy, x, dx, v_gelu_grad, 0.0F);
    }
}

void FNL_K(sigmoid_grad)(size_t count, const float *dy, const float *y, float *dx)
{
    map2(count, dy, y, dx, v_sigmoid_grad, 0.0F);
}

void FNL_K(tanh_grad)(size_t count, const float *dy, const float *y, float *dx)
{
    map2(count, dy, y, dx, v_tanh_grad, 0.0F);
}

void FNL_K(erf_grad)(size_t count, const float *dy, const float *x, float *dx)
{
    map2(count, dy, x, dx, v_erf_grad, 0.0F);
}
