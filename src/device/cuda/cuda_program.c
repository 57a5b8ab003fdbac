/* cuda_program.c - from a kernel's source to a loaded module.
 *
 * The source is compiled to PTX for the device's compute capability, by the first of these that
 * can:
 *   1. the cache on disk (accel_cache.h), when NVRTC is here to say which version the key has;
 *   2. NVRTC;
 *   3. the PTX that was made when Fournil was built (embedded.h), for the oldest devices that we
 *      support: any later one's driver takes it.
 * The driver makes machine code of the PTX and keeps that in a cache of its own (~/.nv). When the
 * driver is older than the NVRTC and refuses its PTX, the embedded one, written in an older version
 * of the language, gets a try.
 *
 * Each PTX begins with two comments, the file's name and its defines: cached files tell what they
 * are. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "device/accel_cache.h"
#include "device/cuda/cuda_int.h"
#include "device/cuda/embedded.h"
#include "device/cuda/nvrtc.h"

#define HEADER "// fournil program: %s\n// fournil defines: %s\n"

/* What is to be built, and what it became. */
struct build {
    struct fnl__cuda *d;
    const char *name, *source, *defines;
    char compiler[64]; /* "NVRTC 13.0" */
    char *ptx;         /* owned */
};

static int out_of_memory(const struct build *b, struct fnl_error *err)
{
    return FNL_FAIL(err, NOMEM, NULL, "%s: %s: out of memory", b->d->head.info.name, b->name);
}

/* b->ptx from PTX without our comments. */
static int set_ptx(struct build *b, const char *ptx, struct fnl_error *err)
{
    struct fnl_buf text;
    fnl_buf_init(&text, FNL_MAX_PROGRAM_BYTES);
    (void)fnl_buf_printf(&text, HEADER, b->name, b->defines);
    (void)fnl_buf_puts(&text, ptx);
    if (text.failed) {
        fnl_buf_free(&text);
        return out_of_memory(b, err);
    }
    fnl_free(b->ptx);
    b->ptx = text.data;
    return 0;
}

static void make_key(const struct build *b, const char *nvrtc_version,
                     struct fnl_accel_cache_key *ret_key)
{
    const struct fnl_accel_info *info = &b->d->head.info;
    char capability[32];
    (void)snprintf(capability, sizeof capability, "%d.%d", info->capability_major,
                   info->capability_minor);
    const char *const parts[] = {"cuda ptx 1", b->name,      b->source,     b->defines, info->model,
                                 capability,   info->driver, nvrtc_version, NULL};
    fnl_accel_cache_key(parts, ret_key);
}

/* By the cache or NVRTC. FNL_E_INTERNAL: the source is wrong; FNL_E_NOTFOUND, FNL_E_UNSUPPORTED: no
 * compiler that is of use here. */
static int compile(struct build *b, struct fnl_error *err)
{
    const struct fnl__nvrtc *nvrtc = NULL;
    const struct fnl_accel_info *info = &b->d->head.info;
    struct fnl_accel_cache_key key;
    size_t size = 0;
    char *ptx = NULL;
    int rc = fnl__nvrtc_open(&nvrtc, err);
    if (rc != 0) {
        return rc;
    }
    (void)snprintf(b->compiler, sizeof b->compiler, "NVRTC %s", fnl__nvrtc_version(nvrtc));
    make_key(b, fnl__nvrtc_version(nvrtc), &key);
    if (fnl_accel_cache_get(&key, &b->ptx, &size)) {
        return 0;
    }
    int arch = fnl__nvrtc_arch(nvrtc, 10 * info->capability_major + info->capability_minor);
    if (arch == 0) {
        return FNL_FAIL(err, UNSUPPORTED, "install NVRTC of an older CUDA toolkit, such as 12",
                        "NVRTC %s no longer knows devices of compute capability %d.%d",
                        fnl__nvrtc_version(nvrtc), info->capability_major, info->capability_minor);
    }
    const struct fnl__nvrtc_job job = {b->name, b->source, b->defines, arch, false};
    rc = fnl__nvrtc_compile(nvrtc, &job, &ptx, &size, NULL, err);
    if (rc == 0) {
        rc = set_ptx(b, ptx, err);
        fnl_free(ptx);
    }
    if (rc == 0) {
        (void)fnl_accel_cache_put(&key, b->ptx, strlen(b->ptx));
    }
    return rc;
}

/* "gemm" and "gemm.k" are the same file. */
static bool same_file(const char *name, const char *embedded)
{
    size_t n = strlen(embedded);
    return strncmp(name, embedded, n) == 0 && (name[n] == 0 || strcmp(name + n, ".k") == 0);
}

static const struct fnl__cuda_embedded *find_embedded(const struct build *b)
{
    for (const struct fnl__cuda_embedded *e = fnl__cuda_embedded; e->name != NULL; e++) {
        if (same_file(b->name, e->name) && strcmp(b->defines, e->defines) == 0) {
            return e;
        }
    }
    return NULL;
}

/* FNL_E_NOTFOUND when there is none. */
static int use_embedded(struct build *b, struct fnl_error *err)
{
    const struct fnl__cuda_embedded *e = find_embedded(b);
    if (e == NULL) {
        return FNL_E_NOTFOUND;
    }
    (void)snprintf(b->compiler, sizeof b->compiler, "the build's NVRTC %s", fnl__cuda_embedded_by);
    char *ptx = fnl__cuda_embedded_ptx(e);
    int rc = ptx == NULL ? out_of_memory(b, err) : set_ptx(b, ptx, err);
    fnl_free(ptx);
    return rc;
}

/* ---- loading ---- */

/* "9.0" of the line ".version 9.0" */
static void ptx_version(const char *ptx, char out[16])
{
    const char *p = strstr(ptx, ".version ");
    size_t n = p == NULL ? 0 : strspn(p + 9, "0123456789.");
    n = n < 15 ? n : 15;
    if (n != 0) {
        memcpy(out, p + 9, n);
    }
    out[n] = 0;
}

static int too_old(const struct build *b, struct fnl_error *err)
{
    char version[16];
    ptx_version(b->ptx, version);
    (void)FNL_FAIL(err, DEVICE, NULL,
                   "%s: the driver (%s) is too old for %s: it does not know PTX %s, made by %s",
                   b->d->head.info.name, b->d->head.info.driver, b->name, version, b->compiler);
    fnl_error_hint(err,
                   "install an NVIDIA driver for the CUDA version of %s or later, or an NVRTC not "
                   "newer than the driver's CUDA %d.%d",
                   b->compiler, b->d->api->version / 1000, b->d->api->version % 1000 / 10);
    return FNL_E_DEVICE;
}

#define JIT_LOG_BYTES ((size_t)4096)

static int load(const struct build *b, struct fnl_cu_module **ret_module, int *ret_result,
                struct fnl_error *err)
{
    struct fnl__cuda *d = b->d;
    char *log = fnl_calloc(1, JIT_LOG_BYTES);
    if (log == NULL) {
        return out_of_memory(b, err);
    }
    int option[2] = {FNL_CU_JIT_ERROR_LOG_BUFFER, FNL_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *value[2] = {log, (void *)(uintptr_t)JIT_LOG_BYTES}; /* a number, as the API has it */
    *ret_result = d->api->cuModuleLoadDataEx(ret_module, b->ptx, 2, option, value);
    log[JIT_LOG_BYTES - 1] = 0;
    int rc = *ret_result == FNL_CU_UNSUPPORTED_PTX_VERSION
                 ? too_old(b, err)
                 : fnl__cuda_check(d, *ret_result, err, "%s: the driver cannot load it%s%.150s",
                                   b->name, log[0] == 0 ? "" : ": ", log);
    fnl_free(log);
    return rc;
}

/* No compiler (err says why) and no PTX of the build. */
static int nothing_compiles(const struct build *b, struct fnl_error *err)
{
    const char *why = fnl__cuda_embedded[0].name == NULL
                          ? "this Fournil was built without compiled kernels, and"
                          : "it is not among the kernels compiled when Fournil was built, and";
    (void)fnl_error_context(err, FNL_E_DEVICE, "%s: %s cannot be compiled: %s",
                            b->d->head.info.name, b->name, why);
    if (err != NULL) {
        err->code = FNL_E_DEVICE;
    }
    return FNL_E_DEVICE;
}

static int build_module(struct build *b, struct fnl_cu_module **ret_module, struct fnl_error *err)
{
    int result = FNL_CU_SUCCESS;
    int rc = compile(b, err);
    if (rc == 0) {
        rc = load(b, ret_module, &result, err);
        if (rc == 0 || result != FNL_CU_UNSUPPORTED_PTX_VERSION ||
            use_embedded(b, NULL) != 0) { /* then err stays as it is */
            return rc;
        }
        return load(b, ret_module, &result, err);
    }
    if (rc != FNL_E_NOTFOUND && rc != FNL_E_UNSUPPORTED) {
        return rc;
    }
    rc = use_embedded(b, err);
    if (rc == FNL_E_NOTFOUND) {
        return nothing_compiles(b, err);
    }
    return rc != 0 ? rc : load(b, ret_module, &result, err);
}

int fnl__cuda_prog_build(struct fnl_accel *accel, const char *name, const char *source,
                         const char *defines, struct fnl_accel_prog **ret_prog,
                         struct fnl_error *err)
{
    struct build b = {.d = fnl__cuda_of(accel), .name = name, .source = source, .defines = defines};
    int rc = fnl__cuda_enter(b.d, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_accel_prog *prog = fnl_calloc(1, sizeof *prog + strlen(name) + 1);
    if (prog == NULL) {
        return out_of_memory(&b, err);
    }
    memcpy(prog->name, name, strlen(name) + 1);
    rc = build_module(&b, &prog->module, err);
    fnl_free(b.ptx);
    if (rc != 0) {
        fnl_free(prog);
        return rc;
    }
    *ret_prog = prog;
    return 0;
}

void fnl__cuda_prog_free(struct fnl_accel *accel, struct fnl_accel_prog *prog)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    if (prog == NULL) {
        return;
    }
    while (prog->kernels != NULL) {
        struct fnl_accel_kernel *next = prog->kernels->next;
        fnl_free(prog->kernels);
        prog->kernels = next;
    }
    (void)d->api->cuCtxSetCurrent(d->context);
    (void)d->api->cuModuleUnload(prog->module);
    fnl_free(prog);
}

int fnl__cuda_kernel_get(struct fnl_accel *accel, struct fnl_accel_prog *prog, const char *name,
                         struct fnl_accel_kernel **ret_kernel, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter(d, err);
    if (rc != 0) {
        return rc;
    }
    for (struct fnl_accel_kernel *k = prog->kernels; k != NULL; k = k->next) {
        if (strcmp(k->name, name) == 0) {
            *ret_kernel = k;
            return 0;
        }
    }
    struct fnl_accel_kernel *kernel = fnl_calloc(1, sizeof *kernel + strlen(name) + 1);
    if (kernel == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", d->head.info.name);
    }
    memcpy(kernel->name, name, strlen(name) + 1);
    rc = fnl__cuda_check(d, d->api->cuModuleGetFunction(&kernel->function, prog->module, name), err,
                         "%s: no kernel %s in it", prog->name, name);
    if (rc != 0) {
        fnl_free(kernel);
        return rc;
    }
    kernel->next = prog->kernels;
    prog->kernels = kernel;
    *ret_kernel = kernel;
    return 0;
}
