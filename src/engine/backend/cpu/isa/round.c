/* round.c - rounding to bfloat16 kept in a float: 8 significant bits, the other 16 zero. y may be
 * x. */
#include "engine/backend/cpu/isa/bf16.h"
#include "engine/backend/cpu/isa/kernel_list.h"

void FNL_K(round_bf16)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    for (; i + FNL_VL <= count; i += FNL_VL) {
        fnl_v_store(y + i, fnl_v_round_bf16(fnl_v_load(x + i)));
    }
    if (i < count) {
        size_t rest = count - i;
        fnl_v_store_part(y + i, fnl_v_round_bf16(fnl_v_load_part(x + i, rest)), rest);
    }
}
