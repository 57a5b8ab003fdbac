/* cpu.c - the CPU back end: its list of implementations, and the back end's entry. What it has no
 * kernel for runs by the reference's plain loops, on the same memory. */
#include "engine/backend/cpu/cpu_int.h"

static const struct fnl_op_impl *const impls[] = {
#define FNL_CPU_ENTRY(name) &fnl__cpu_impl_##name,
    FNL_CPU_IMPLS(FNL_CPU_ENTRY)
#undef FNL_CPU_ENTRY
        NULL,
};

static void update(const struct fnl_update *u, size_t begin, size_t end)
{
    fnl_cpu_kernels()->update(u, begin, end);
}

static double gradient_norm2(float *const *gradient, int count, size_t begin, size_t end)
{
    return fnl_cpu_kernels()->gradient_norm2(gradient, count, begin, end);
}

static void round_bf16(size_t count, const float *x, float *y)
{
    fnl_cpu_kernels()->round_bf16(count, x, y);
}

const struct fnl_backend fnl_backend_cpu = {
    .name = "cpu",
    .impls = impls,
    .fallback = &fnl_backend_ref,
    .shards = true,
    .channels_last = true,
    .views = true,
    .round_bf16 = round_bf16,
    .param_layout = fnl__cpu_param_layout,
    .param_pack = fnl__cpu_param_pack,
    .param_unpack = fnl__cpu_param_unpack,
    .update = update,
    .gradient_norm2 = gradient_norm2,
};
