/* cpu.h - the processor as a device: what it is, what it can do, what of it this process may use.
 * Everything is read from /proc and /sys below a root, so that tests read captured trees. */
#ifndef FNL_DEVICE_CPU_H
#define FNL_DEVICE_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* A value and whether it is known: unknown is never 0. */
struct fnl_reading {
    int64_t value;
    bool valid;
};

/* Instruction sets that matter to kernels: bit, name shown, word in /proc/cpuinfo. Names are the
 * kernel's for x86, and the usual ones for ARM. */
#define FNL_ISAS(X)                                                                                \
    X(SSE42, "sse4_2", "sse4_2")                                                                   \
    X(AVX, "avx", "avx")                                                                           \
    X(F16C, "f16c", "f16c")                                                                        \
    X(FMA, "fma", "fma")                                                                           \
    X(AVX2, "avx2", "avx2")                                                                        \
    X(AVX_VNNI, "avx_vnni", "avx_vnni")                                                            \
    X(AVX512F, "avx512f", "avx512f")                                                               \
    X(AVX512BW, "avx512bw", "avx512bw")                                                            \
    X(AVX512VL, "avx512vl", "avx512vl")                                                            \
    X(AVX512_VNNI, "avx512_vnni", "avx512_vnni")                                                   \
    X(AVX512_BF16, "avx512_bf16", "avx512_bf16")                                                   \
    X(AVX512_FP16, "avx512_fp16", "avx512_fp16")                                                   \
    X(AMX_TILE, "amx_tile", "amx_tile")                                                            \
    X(AMX_BF16, "amx_bf16", "amx_bf16")                                                            \
    X(AMX_INT8, "amx_int8", "amx_int8")                                                            \
    X(NEON, "neon", "asimd")                                                                       \
    X(ARM_DOTPROD, "dotprod", "asimddp")                                                           \
    X(ARM_FP16, "fp16", "asimdhp")                                                                 \
    X(ARM_BF16, "bf16", "bf16")                                                                    \
    X(ARM_I8MM, "i8mm", "i8mm")                                                                    \
    X(SVE, "sve", "sve")                                                                           \
    X(SVE2, "sve2", "sve2")

enum fnl_isa {
#define FNL_ISA_ENUM(id, name, word) FNL_ISA_##id,
    FNL_ISAS(FNL_ISA_ENUM)
#undef FNL_ISA_ENUM
        FNL_ISA_COUNT
};
const char *fnl_isa_name(enum fnl_isa isa);

struct fnl_cpu_cache {
    int level;          /* 1, 2, 3 */
    char type[16];      /* "data", "instruction", "unified" */
    int64_t size_bytes; /* of one instance */
    struct fnl_reading shared_by_cpus;
};

#define FNL_CPU_CACHES 8
struct fnl_cpu {
    char model[96];                 /* "AMD EPYC 7763 64-Core Processor", or "unknown CPU" */
    char vendor[32];                /* "AuthenticAMD"; "" when unknown */
    struct fnl_reading cpus_online; /* logical */
    struct fnl_reading cpus_usable; /* by this process: affinity and, for root "/", quota */
    struct fnl_reading cores, sockets, numa_nodes;
    struct fnl_reading frequency_khz, frequency_max_khz;
    uint64_t isa; /* bit (1 << enum fnl_isa) */
    int cache_count;
    struct fnl_cpu_cache cache[FNL_CPU_CACHES]; /* of the first CPU */
    struct fnl_reading memory_total_bytes, memory_available_bytes;
    struct fnl_reading memory_limit_bytes; /* control group's, when below the total */
};

/* root: "/" or the folder of a captured tree. Files that are missing or make no sense leave their
 * readings unknown; there is nothing to fail. */
void fnl_cpu_probe(const char *root, struct fnl_cpu *ret_cpu);
bool fnl_cpu_has(const struct fnl_cpu *cpu, enum fnl_isa isa);

#endif
