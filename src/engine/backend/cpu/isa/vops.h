/* vops.h - operations on isa.h's vectors that C has no operator for: choice, min, max, square
 * root, parts of a vector, sums across lanes, doubles.
 *
 * Where C's vector extensions make good code they are used; intrinsics only where they do not. All
 * variants agree on NaN: max(a, b) and min(a, b) give b when either is NaN, as x86's maxps does, so
 * the operand whose NaN must live goes second. fnl_v_fma rounds once where the instruction set has
 * FMA and twice where not. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_VOPS_H
#define FNL_ENGINE_BACKEND_CPU_ISA_VOPS_H

#include "engine/backend/cpu/isa/isa.h"

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#define FNL_INLINE static inline __attribute__((always_inline))

/* Doubles of half a vector: FNL_VL / 2 lanes. */
typedef double fnl_vd __attribute__((vector_size(4 * FNL_VL)));
typedef float fnl_v_half __attribute__((vector_size(2 * FNL_VL)));
typedef uint32_t fnl_vu __attribute__((vector_size(4 * FNL_VL)));

FNL_INLINE fnl_vi fnl_vi_set(int32_t x)
{
    return x - (fnl_vi){0};
}

/* Lane number. */
FNL_INLINE fnl_vi fnl_vi_iota(void)
{
#if FNL_VL == 16
    return (fnl_vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
    return (fnl_vi){0, 1, 2, 3, 4, 5, 6, 7};
#endif
}

/* Masks are all ones or all zeros in each lane, as comparisons give them. */
FNL_INLINE fnl_vf fnl_v_select(fnl_vi mask, fnl_vf yes, fnl_vf no)
{
    return (fnl_vf)(((fnl_vi)yes & mask) | ((fnl_vi)no & ~mask));
}

FNL_INLINE fnl_vf fnl_v_and(fnl_vi mask, fnl_vf x)
{
    return (fnl_vf)((fnl_vi)x & mask);
}

/* The mask of the first n lanes. */
FNL_INLINE fnl_vi fnl_vi_first(size_t n)
{
    return fnl_vi_iota() < fnl_vi_set((int32_t)n);
}

FNL_INLINE fnl_vf fnl_v_abs(fnl_vf x)
{
    return (fnl_vf)((fnl_vi)x & fnl_vi_set(INT32_MAX));
}

/* |x| with the sign of s. */
FNL_INLINE fnl_vf fnl_v_copysign(fnl_vf x, fnl_vf s)
{
    fnl_vi magnitude = fnl_vi_set(INT32_MAX);
    return (fnl_vf)(((fnl_vi)x & magnitude) | ((fnl_vi)s & ~magnitude));
}

FNL_INLINE fnl_vf fnl_v_max(fnl_vf a, fnl_vf b)
{
#if defined(__AVX512F__)
    return (fnl_vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (fnl_vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return fnl_v_select(a > b, a, b);
#endif
}

FNL_INLINE fnl_vf fnl_v_min(fnl_vf a, fnl_vf b)
{
#if defined(__AVX512F__)
    return (fnl_vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (fnl_vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return fnl_v_select(a < b, a, b);
#endif
}

FNL_INLINE fnl_vf fnl_v_sqrt(fnl_vf x)
{
#if defined(__AVX512F__)
    return (fnl_vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (fnl_vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int lane = 0; lane < FNL_VL; lane++) {
        x[lane] = __builtin_sqrtf(x[lane]);
    }
    return x;
#endif
}

/* The first n (0..FNL_VL) floats at p, zeros in the other lanes; touches no others. */
FNL_INLINE fnl_vf fnl_v_load_part(const float *p, size_t n)
{
#if defined(__AVX512F__)
    return (fnl_vf)_mm512_maskz_loadu_ps((__mmask16)((1U << n) - 1U), p);
#elif defined(__AVX2__)
    return (fnl_vf)_mm256_maskload_ps(p, (__m256i)fnl_vi_first(n));
#else
    fnl_vf v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
#endif
}

/* Stores the first n (0..FNL_VL) lanes. By halves with AVX2: AMD's masked stores are microcoded. */
FNL_INLINE void fnl_v_store_part(float *p, fnl_vf v, size_t n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1U << n) - 1U), (__m512)v);
#elif defined(__AVX2__)
    if (n == FNL_VL) {
        fnl_v_store(p, v);
        return;
    }
    __m128 low = _mm256_castps256_ps128((__m256)v);
    if (n & 4U) {
        _mm_storeu_ps(p, low);
        p += 4;
        low = _mm256_extractf128_ps((__m256)v, 1);
    }
    if (n & 2U) {
        _mm_storel_pi((__m64 *)(void *)p, low);
        p += 2;
        low = _mm_movehl_ps(low, low);
    }
    if (n & 1U) {
        _mm_store_ss(p, low);
    }
#else
    memcpy(p, &v, n * sizeof *p);
#endif
}

/* Whole vectors at full speed, the last by parts: n is FNL_VL or fewer. */
FNL_INLINE fnl_vf fnl_v_load_n(const float *p, size_t n)
{
    return n == FNL_VL ? fnl_v_load(p) : fnl_v_load_part(p, n);
}

FNL_INLINE void fnl_v_store_n(float *p, fnl_vf v, size_t n)
{
    if (n == FNL_VL) {
        fnl_v_store(p, v);
    } else {
        fnl_v_store_part(p, v, n);
    }
}

/* Rotations by half, quarter, ... of a vector: the tree of a sum across lanes. */
#if FNL_VL == 16
#define FNL_V_FOLD(v, op)                                                                          \
    v = op(v,                                                                                      \
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));   \
    v = op(v,                                                                                      \
           __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));   \
    v = op(v,                                                                                      \
           __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));   \
    v = op(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))
#else
#define FNL_V_FOLD(v, op)                                                                          \
    v = op(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));                              \
    v = op(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));                              \
    v = op(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6))
#endif
#define FNL_V_PLUS(a, b) ((a) + (b))

/* Sum of all lanes, in every lane. */
FNL_INLINE fnl_vf fnl_v_sum(fnl_vf v)
{
    FNL_V_FOLD(v, FNL_V_PLUS);
    return v;
}

/* Greatest lane, in every lane. Of NaN and numbers in different lanes any may win. */
FNL_INLINE fnl_vf fnl_v_greatest(fnl_vf v)
{
    FNL_V_FOLD(v, fnl_v_max);
    return v;
}

/* ---- doubles ---- */

/* The lower and the upper half of the lanes. (GCC makes poor code of a converted half on AVX2.) */
FNL_INLINE fnl_vd fnl_vd_low(fnl_vf v)
{
#if FNL_VL == 16
    fnl_v_half half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
#else
    fnl_v_half half = __builtin_shufflevector(v, v, 0, 1, 2, 3);
#endif
#if defined(__AVX2__) && FNL_VL == 8
    return (fnl_vd)_mm256_cvtps_pd((__m128)half);
#else
    return __builtin_convertvector(half, fnl_vd);
#endif
}

FNL_INLINE fnl_vd fnl_vd_high(fnl_vf v)
{
#if FNL_VL == 16
    fnl_v_half half = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    fnl_v_half half = __builtin_shufflevector(v, v, 4, 5, 6, 7);
#endif
#if defined(__AVX2__) && FNL_VL == 8
    return (fnl_vd)_mm256_cvtps_pd((__m128)half);
#else
    return __builtin_convertvector(half, fnl_vd);
#endif
}

/* a * b + c for a and b converted from floats: their product is exact in double, so one rounding
 * and two give the same bits. */
FNL_INLINE fnl_vd fnl_vd_add_product(fnl_vd a, fnl_vd b, fnl_vd c)
{
#if defined(__AVX512F__)
    return (fnl_vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    return (fnl_vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

#endif
