/* round.c - rounding to bfloat16 kept in a float: 8 significant bits, the other 16 zero.
 *
 * Round to nearest, ties to even: half of the last kept place, less one where it is even, is added
 * to the bits; the carry into the exponent is right, up to infinity. NaN keeps its sign and upper
 * bits and is made quiet, so that it cannot become infinity. y may be x. */
#include "engine/backend/cpu/isa/kernel_list.h"
#include "engine/backend/cpu/isa/vops.h"

FNL_INLINE fnl_vf round_vector(fnl_vf x)
{
    fnl_vu bits = (fnl_vu)x;
    fnl_vu rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
    fnl_vu quiet = bits | 0x00400000U;
    fnl_vu nan = (fnl_vu)(x != x);
    return (fnl_vf)(((quiet & nan) | (rounded & ~nan)) & 0xFFFF0000U);
}

void FNL_K(round_bf16)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    for (; i + FNL_VL <= count; i += FNL_VL) {
        fnl_v_store(y + i, round_vector(fnl_v_load(x + i)));
    }
    if (i < count) {
        size_t rest = count - i;
        fnl_v_store_part(y + i, round_vector(fnl_v_load_part(x + i, rest)), rest);
    }
}
