/* kernels.c - which table of kernels this CPU runs.
 *
 * fnl_cpu_kernels() is the first of fnl_cpu_kernels_list(), or the one that the environment
 * variable FOURNIL_ISA names; a name this CPU cannot run is ignored rather than trusted. Decided at
 * the first call, by whichever thread; all callers decide alike, so a race is harmless. */
#include "engine/backend/cpu/kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern const struct fnl_cpu_kernels fnl__generic_table;
#ifdef FNL_HAVE_X86_KERNELS
extern const struct fnl_cpu_kernels fnl__avx2_table, fnl__avx512_table, fnl__avx512bf16_table;
#endif

int fnl_cpu_kernels_list(const struct fnl_cpu_kernels *list[4])
{
    int count = 0;
#ifdef FNL_HAVE_X86_KERNELS
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx512 && __builtin_cpu_supports("avx512bf16")) {
        list[count++] = &fnl__avx512bf16_table;
    }
    if (avx512) {
        list[count++] = &fnl__avx512_table;
    }
    if (avx2) {
        list[count++] = &fnl__avx2_table;
    }
#endif
    list[count++] = &fnl__generic_table;
    return count;
}

static const struct fnl_cpu_kernels *choose(void)
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    const char *wanted = getenv("FOURNIL_ISA");
    for (int i = 0; wanted && i < count; i++) {
        if (strcmp(list[i]->isa, wanted) == 0) {
            return list[i];
        }
    }
    return list[0];
}

const struct fnl_cpu_kernels *fnl_cpu_kernels(void)
{
    static _Atomic(const struct fnl_cpu_kernels *) chosen;
    const struct fnl_cpu_kernels *kernels = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!kernels) {
        kernels = choose();
        atomic_store_explicit(&chosen, kernels, memory_order_relaxed);
    }
    return kernels;
}

bool fnl_cpu_bf16_products(void)
{
    const char *wanted = getenv("FOURNIL_BF16");
    if (wanted && strcmp(wanted, "emulate") == 0) {
        return true;
    }
    return fnl_cpu_kernels()->has_bf16 && !(wanted && strcmp(wanted, "off") == 0);
}
