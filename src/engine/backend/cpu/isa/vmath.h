/* vmath.h - exp, log, tanh and erf of a vector.
 *
 * No tables and no branches: each lane's result depends on that lane alone. Coefficients are
 * minimax polynomials of our own, made by tests/golden/make_vmath_polynomials.py (Remez exchange);
 * range reductions follow W. J. Cody and W. Waite, "Software Manual for the Elementary Functions"
 * (1980). Errors measured against the C library's double functions over every float of the domain,
 * with and without FMA, in units of the last place of the result:
 *
 *   fnl_v_exp   every float                   1.02   exp(-inf) = 0, infinite above 88.72
 *   fnl_v_log   0, positive normals, inf      0.83   log(0) = -inf; below 0 unspecified
 *   fnl_v_tanh  every float                   1.34   +-1 at +-inf
 *   fnl_v_erf   every float                   1.24   +-1 at +-inf
 *
 * NaN gives NaN everywhere. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_VMATH_H
#define FNL_ENGINE_BACKEND_CPU_ISA_VMATH_H

#include "engine/backend/cpu/isa/vops.h"

/* c[0] + c[1] x + ... + c[degree] x^degree by Horner's rule. */
FNL_INLINE fnl_vf fnl_v_polynomial(fnl_vf x, const float *c, int degree)
{
    fnl_vf p = fnl_v_set(c[degree]);
    for (int k = degree - 1; k >= 0; k--) {
        p = fnl_v_fma(p, x, fnl_v_set(c[k]));
    }
    return p;
}

/* 2^n for integers n in [-126, 127]. */
FNL_INLINE fnl_vf fnl_v_pow2(fnl_vi n)
{
    return (fnl_vf)((n + 127) << 23);
}

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2. 2^n is applied in two factors, so results
 * below the normal range are right and those above it infinite. */
FNL_INLINE fnl_vf fnl_v_exp(fnl_vf x)
{
    static const float c[] = {4.999999404e-01F, 1.666652113e-01F, 4.166838899e-02F,
                              8.368710056e-03F, 1.381461159e-03F};
    const float round_bias = 12582912.0F; /* 1.5 * 2^23: adding it rounds to an integer */
    /* Beyond these e^x is 0 or infinite whatever x is; NaN stands second, so it stays. */
    x = fnl_v_max(fnl_v_set(-104.0F), fnl_v_min(fnl_v_set(89.0F), x));
    fnl_vf biased = fnl_v_fma(x, fnl_v_set(1.44269504F), fnl_v_set(round_bias));
    fnl_vf whole = biased - round_bias;
    fnl_vi n = (fnl_vi)biased - (fnl_vi)fnl_v_set(round_bias);
    /* ln 2 = 0.693359375 - 0.000212194440; the first has 10 bits, so n times it is exact */
    fnl_vf r = fnl_v_fma(whole, fnl_v_set(-0.693359375F), x);
    r = fnl_v_fma(whole, fnl_v_set(2.12194440e-4F), r);
    fnl_vf p = fnl_v_polynomial(r, c, 4);
    p = fnl_v_fma(p, r * r, r) + 1.0F;
    fnl_vi half = n >> 1;
    return p * fnl_v_pow2(half) * fnl_v_pow2(n - half);
}

/* log(2^n m) = n ln 2 + log(m), m in [sqrt(1/2), sqrt(2)). */
FNL_INLINE fnl_vf fnl_v_log(fnl_vf x)
{
    static const float c[] = {3.333331347e-01F,  -2.500000894e-01F, 2.000211924e-01F,
                              -1.666799635e-01F, 1.421955079e-01F,  -1.240558699e-01F,
                              1.188816726e-01F,  -1.167566925e-01F, 6.746649742e-02F};
    const int32_t sqrt_half = 0x3F3504F3; /* bits of sqrt(1/2) */
    fnl_vi bits = (fnl_vi)x - sqrt_half;
    fnl_vi exponent = bits >> 23;
    fnl_vf n = __builtin_convertvector(exponent, fnl_vf);
    fnl_vf f = (fnl_vf)((fnl_vi)x - (exponent << 23)) - 1.0F;
    fnl_vf square = f * f;
    fnl_vf tail = fnl_v_polynomial(f, c, 8) * f * square;
    tail = fnl_v_fma(n, fnl_v_set(-2.12194440e-4F), tail);
    tail = fnl_v_fma(square, fnl_v_set(-0.5F), tail);
    fnl_vf y = fnl_v_fma(n, fnl_v_set(0.693359375F), f + tail);
    y = fnl_v_select(x == 0.0F, fnl_v_set(-__builtin_inff()), y);
    fnl_vi finite = fnl_v_abs(x) < __builtin_inff();
    return fnl_v_select(finite, y, x);
}

/* Near 0 a polynomial, else 1 - 2 / (e^2|x| + 1). */
FNL_INLINE fnl_vf fnl_v_tanh(fnl_vf x)
{
    static const float c[] = {-3.333333135e-01F, 1.333320588e-01F,  -5.394676328e-02F,
                              2.170070261e-02F,  -8.177397773e-03F, 2.142961370e-03F};
    fnl_vf magnitude = fnl_v_abs(x);
    fnl_vf square = x * x;
    fnl_vf near = fnl_v_fma(fnl_v_polynomial(square, c, 5) * square, x, x);
    fnl_vf far = 1.0F - 2.0F / (fnl_v_exp(magnitude + magnitude) + 1.0F);
    return fnl_v_select(magnitude < 0.625F, near, fnl_v_copysign(far, x));
}

/* Near 0 a polynomial, else 1 - exp(log(erfc|x|)), the logarithm by a polynomial. */
FNL_INLINE fnl_vf fnl_v_erf(fnl_vf x)
{
    static const float near_c[] = {1.283791661e-01F,  -3.761263490e-01F, 1.128369719e-01F,
                                   -2.685945481e-02F, 5.201143213e-03F,  -8.143740124e-04F,
                                   8.373821765e-05F};
    static const float far_c[] = {1.285527349e-01F,  6.356207132e-01F, 1.052714661e-01F,
                                  -2.268334851e-02F, 2.935830969e-03F, -5.163476453e-05F,
                                  -4.518012793e-05F, 4.905354217e-06F};
    fnl_vf magnitude = fnl_v_abs(x);
    fnl_vf near = fnl_v_fma(fnl_v_polynomial(x * x, near_c, 6), x, x);
    fnl_vf t = fnl_v_min(fnl_v_set(4.0F), magnitude); /* erf is 1 beyond; NaN stays */
    fnl_vf log_erfc = -fnl_v_fma(fnl_v_polynomial(t, far_c, 7), t, t);
    fnl_vf far = 1.0F - fnl_v_exp(log_erfc);
    return fnl_v_select(magnitude < 0.921875F, near, fnl_v_copysign(far, x));
}

#endif
