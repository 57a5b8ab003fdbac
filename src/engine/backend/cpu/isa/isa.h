/* isa.h - included first by every kernel file of this folder, which is compiled once per
 * instruction set with FNL_ISA set to generic, avx2, avx512 or avx512bf16
 * (cmake/module_engine.cmake). Gives names and vectors of that set. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_ISA_H
#define FNL_ENGINE_BACKEND_CPU_ISA_ISA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__FMA__)
#include <immintrin.h>
#endif

#include "engine/backend/cpu/kernels.h"

#define FNL_K_JOIN(isa, name) fnl__##isa##_##name
#define FNL_K_EXPAND(isa, name) FNL_K_JOIN(isa, name)
/* FNL_K(relu) is fnl__avx2_relu in the AVX2 build. Each such function is declared in kernel_list.h.
 */
#define FNL_K(name) FNL_K_EXPAND(FNL_ISA, name)

/* avx512bf16 differs from avx512 in the bfloat16 products alone: only they are compiled for it, and
 * its table has avx512's for the rest. */
#if defined(__AVX512BF16__)
#define FNL_FLOAT_K(name) FNL_K_JOIN(avx512, name)
#else
#define FNL_FLOAT_K(name) FNL_K(name)
#endif

/* Lanes of a vector: 16 with AVX-512, 8 otherwise (two SSE registers in the generic build). */
#if defined(__AVX512F__)
#define FNL_VL 16
#else
#define FNL_VL 8
#endif
#define FNL_PANEL (2 * FNL_VL)

typedef float fnl_vf __attribute__((vector_size(4 * FNL_VL)));
typedef int32_t fnl_vi __attribute__((vector_size(4 * FNL_VL)));
typedef float fnl_vf_unaligned __attribute__((vector_size(4 * FNL_VL), aligned(4)));

static inline fnl_vf fnl_v_load(const float *p)
{
    return *(const fnl_vf_unaligned *)p;
}
static inline void fnl_v_store(float *p, fnl_vf v)
{
    *(fnl_vf_unaligned *)p = v;
}
static inline fnl_vf fnl_v_set(float x)
{
    return x - (fnl_vf){0};
}
/* a * b + c in one rounding where the instruction set has it (-ffp-contract=off: never by itself).
 */
static inline fnl_vf fnl_v_fma(fnl_vf a, fnl_vf b, fnl_vf c)
{
#if defined(__AVX512F__)
    return (fnl_vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (fnl_vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

#endif
