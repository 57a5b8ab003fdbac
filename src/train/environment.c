/* environment.c - see environment.h. What cannot be found out is null. */
#include "train/environment.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/build.h"
#include "base/clock.h"
#include "base/host.h"
#include "device/cpu.h"
#include "engine/backend/cpu/kernels.h"
#include "train/json_out.h"

const char *const fnl__products[] = {"float32", "bfloat16", "emulated", NULL};

const char *fnl__environment_products(const char *backend, int precision)
{
    if (precision != FNL_PRECISION_BF16 || strcmp(backend, "cpu") != 0 ||
        !fnl_cpu_bf16_products()) {
        return fnl__products[0];
    }
    return fnl__products[fnl_cpu_kernels()->has_bf16 ? 1 : 2];
}

const char *fnl__environment_slow(const char *backend, int precision)
{
    if (precision != FNL_PRECISION_BF16 || strcmp(backend, "cpu") != 0) {
        return NULL;
    }
    if (!fnl_cpu_kernels()->has_bf16) {
        return "precision bfloat16: this CPU has no AVX512_BF16, so values are rounded to it and "
               "multiplied in float32: as exact as bfloat16, no faster than float32; a CPU with "
               "AVX512_BF16 would be (AMD since Zen 4, Intel Xeon since Sapphire Rapids)";
    }
    return fnl_cpu_bf16_products() ? NULL
                                   : "precision bfloat16: FOURNIL_BF16=off keeps the CPU's "
                                     "instruction from being used: no faster than float32";
}

void fnl__environment_json(struct fnl_buf *out, const struct fnl__network *network)
{
    char date[32], os[FNL_HOST_OS];
    struct fnl_cpu cpu;
    struct utsname kernel;
    bool is_cpu = strcmp(network->backend, "cpu") == 0;
    fnl_cpu_probe("/", &cpu);
    (void)fnl_buf_puts(out, "{\"fournil\":\"" FNL_VERSION "\",\"compiler\":");
    fnl__json_string(out, fnl_build_compiler());
    (void)fnl_buf_printf(out, ",\"build\":\"%s\",\"cpu\":", fnl_build_type());
    fnl__json_string(out, cpu.model);
    (void)fnl_buf_puts(out, ",\"isa\":");
    fnl__json_string(out, is_cpu ? fnl_cpu_kernels()->isa : NULL);
    (void)fnl_buf_printf(out, ",\"cpus\":%d,\"threads\":%d,\"os\":", fnl_host_cpus(),
                         network->threads);
    fnl__json_string(out, fnl_host_os(os) ? os : NULL);
    bool known = uname(&kernel) == 0;
    (void)fnl_buf_puts(out, ",\"kernel\":");
    fnl__json_string(out, known ? kernel.release : NULL);
    (void)fnl_buf_puts(out, ",\"machine\":");
    fnl__json_string(out, known ? kernel.machine : NULL);
    (void)fnl_buf_printf(out, ",\"date\":\"%s\"}", fnl_clock_text(fnl_clock_unix_ms(), date));
}
