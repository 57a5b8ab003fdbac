/* table.c - the table of one instruction set, made from kernel_list.h. */
#include "engine/backend/cpu/isa/kernel_list.h"

#define FNL_TEXT_OF(name) #name
#define FNL_TEXT(name) FNL_TEXT_OF(name)
#if defined(__AVX512BF16__)
#define FNL_HAS_BF16 true
#else
#define FNL_HAS_BF16 false
#endif
#define FNL_FLOAT_SLOT(name) .name = FNL_FLOAT_K(name),
#define FNL_BF16_SLOT(name) .name = FNL_K(name),

const struct fnl_cpu_kernels FNL_K(table) = {
    .isa = FNL_TEXT(FNL_ISA),
    .panel = FNL_PANEL,
    FNL_FLOAT_KERNELS(FNL_FLOAT_SLOT) FNL_BF16_KERNELS(FNL_BF16_SLOT).has_bf16 = FNL_HAS_BF16,
};
