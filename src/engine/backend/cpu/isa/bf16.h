/* bf16.h - products of bfloat16 numbers with float32 sums: the pair, the one instruction, the
 * packing and the tile under the dense and convolution kernels named *_bf16.
 *
 * A pair is two bfloat16 in one 32-bit lane, the first in the lower half. Pairs travel through
 * memory as floats, which are moved and never computed with. A sum goes over pairs of neighbouring
 * steps; an odd last step is paired with zero. Numbers in memory are taken to be little-endian.
 *
 * fnl_v_dot_bf16 is the only code that differs between a CPU that multiplies bfloat16 itself
 * (AVX512_BF16's VDPBF16PS) and all others, where the same arithmetic is done in float32: the
 * second of each pair first, each product exact (two significands of 8 bits), one rounding each
 * sum. The instruction alone takes denormal numbers for zero. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_BF16_H
#define FNL_ENGINE_BACKEND_CPU_ISA_BF16_H

#include "engine/backend/cpu/isa/gemm.h"
#include "engine/backend/cpu/isa/vops.h"

/* Shared by the files of this folder, one of each a build. */
#define fnl_k_bf16_narrow FNL_K(bf16_narrow)
#define fnl_k_bf16_pair_rows FNL_K(bf16_pair_rows)
#define fnl_k_bf16_pair_panels FNL_K(bf16_pair_panels)
#define fnl_k_bf16_transpose_panels FNL_K(bf16_transpose_panels)
#define fnl_k_bf16_product FNL_K(bf16_product)

/* Rows that callers pack and multiply at a time, so that they are still in L2. */
#define FNL_BF16_ROWS ((size_t)8 * FNL_MR)

/* Pairs of `count` steps. */
static inline size_t fnl_pairs(size_t count)
{
    return (count + 1) / 2;
}

/* acc[i] + a[2i + 1] * b[2i + 1] + a[2i] * b[2i], in this order. */
FNL_INLINE fnl_vf fnl_v_dot_bf16(fnl_vf acc, fnl_vu a, fnl_vu b)
{
#if defined(__AVX512BF16__)
    return (fnl_vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
    const fnl_vu upper = 0xFFFF0000U - (fnl_vu){0};
    acc = fnl_v_fma((fnl_vf)(a & upper), (fnl_vf)(b & upper), acc);
    return fnl_v_fma((fnl_vf)(a << 16), (fnl_vf)(b << 16), acc);
#endif
}

/* Rounding to bfloat16 kept in a float: to nearest, ties to even. Half of the last kept place, less
 * one where it is even, is added to the bits; the carry into the exponent is right, up to infinity.
 * NaN keeps its sign and upper bits and is made quiet, so that it cannot become infinity. */
FNL_INLINE fnl_vf fnl_v_round_bf16(fnl_vf x)
{
    fnl_vu bits = (fnl_vu)x;
    fnl_vu rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
    fnl_vu quiet = bits | 0x00400000U;
    fnl_vu nan = (fnl_vu)(x != x);
    return (fnl_vf)(((quiet & nan) | (rounded & ~nan)) & 0xFFFF0000U);
}

/* Pairs of the rounded lanes. */
FNL_INLINE fnl_vu fnl_v_pair_bf16(fnl_vf first, fnl_vf second)
{
    return ((fnl_vu)fnl_v_round_bf16(first) >> 16) | (fnl_vu)fnl_v_round_bf16(second);
}

/* ---- packing; every float is rounded on the way ---- */

/* `count` bfloat16 at `to` (2 bytes each, at any address), in order: pairs of neighbours. */
void fnl_k_bf16_narrow(size_t count, const float *from, unsigned char *to);

/* to[pairs(count)], the last with zero when count is odd. */
static inline void fnl_bf16_pack_row(size_t count, const float *from, float *to)
{
    unsigned char *bytes = (unsigned char *)to;
    fnl_k_bf16_narrow(count, from, bytes);
    memset(bytes + 2 * count, 0, count % 2 * 2);
}

/* to[ceil(rows / 2)][width]: pairs of rows 2r and 2r + 1 of from[rows][ld], zero from `columns` to
 * `width` and below an odd last row. */
void fnl_k_bf16_pair_rows(size_t rows, size_t columns, const float *from, size_t ld, size_t width,
                          float *to);

/* A weight's panels w[panels(N)][K][FNL_PANEL] as to[panels(N)][pairs(K)][FNL_PANEL], for sums over
 * K, or transposed, as to[panels(K)][pairs(N)][FNL_PANEL], for sums over N. */
void fnl_k_bf16_pair_panels(size_t K, size_t N, const float *w, float *to);
void fnl_k_bf16_transpose_panels(size_t K, size_t N, const float *w, float *to);

/* ---- y[rows][N] = act(bias + a b), or += ---- */
struct fnl_bf16_product {
    size_t steps;            /* of the sum: pairs */
    const float *a;          /* row i, step s at a + i * a_row + s * a_step */
    ptrdiff_t a_row, a_step; /* floats */
    const float *b;          /* [panels(N)][steps][FNL_PANEL] */
    size_t N;
    const float *bias; /* [N] or NULL */
    bool relu, add;
    float *y; /* row i at y + i * ldy */
    size_t ldy;
};
void fnl_k_bf16_product(const struct fnl_bf16_product *p, size_t rows);

#endif
