/* cl_program.c - from source text to kernels.
 *
 * The compiler is the driver's. What it made is kept in the cache on disk by the hash of source,
 * options, device and driver (device/accel_cache.h), where the driver hands it out. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "device/accel_cache.h"
#include "device/opencl/opencl_int.h"

/* Sums must come out alike on every device, so no option that lets the compiler reorder them. */
#define OPTIONS "-cl-std=CL1.2"

/* The compiler's words, from the first line that tells of an error: drivers print pages. */
static int build_failed(struct fnl__cl_accel *a, cl_program program, cl_int code, const char *name,
                        struct fnl_error *err)
{
    char log[8192] = "";
    if (code != CL_BUILD_PROGRAM_FAILURE) { /* the compiler was not at fault */
        return fnl__cl_fail(a, code, "compiling", err);
    }
    (void)a->cl->clGetProgramBuildInfo(program, a->device, CL_PROGRAM_BUILD_LOG, sizeof log - 1,
                                       log, NULL);
    log[sizeof log - 1] = 0;
    const char *at = strstr(log, "error");
    while (at != NULL && at > log && at[-1] != '\n') {
        at--;
    }
    return FNL_FAIL(err, INTERNAL, "update the device's driver, or train with --device cpu",
                    "%s: the driver's compiler refuses %s.k: %s\n%.600s", a->base.info.name, name,
                    fnl__cl_error_name(code), at != NULL ? at : log);
}

/* Builds a program that was made from source or from a compiled form. */
static cl_int build(struct fnl__cl_accel *a, cl_program program, const char *options)
{
    return a->cl->clBuildProgram(program, 1, &a->device, options, NULL, NULL);
}

static int compile(struct fnl__cl_accel *a, const char *name, const char *source,
                   const char *options, cl_program *ret_program, struct fnl_error *err)
{
    cl_int code = CL_SUCCESS;
    cl_program program = a->cl->clCreateProgramWithSource(a->context, 1, &source, NULL, &code);
    if (program == NULL) {
        return fnl__cl_fail(a, code, "making a program", err);
    }
    code = build(a, program, options);
    if (code != CL_SUCCESS) {
        int rc = build_failed(a, program, code, name, err);
        (void)a->cl->clReleaseProgram(program);
        return rc;
    }
    *ret_program = program;
    return 0;
}

/* ---- the cache on disk ---- */

static void key_of(const struct fnl__cl_accel *a, const char *source, const char *options,
                   struct fnl_accel_cache_key *ret_key)
{
    const struct fnl_accel_info *i = &a->base.info;
    const char *const parts[] = {"opencl", source,    options,     i->vendor,
                                 i->model, i->driver, i->platform, NULL};
    fnl_accel_cache_key(parts, ret_key);
}

/* What an earlier run compiled; NULL: nothing, or nothing that the driver takes. */
static cl_program find_compiled(struct fnl__cl_accel *a, const struct fnl_accel_cache_key *key,
                                const char *options)
{
    char *data = NULL;
    size_t size = 0;
    if (!fnl_accel_cache_get(key, &data, &size)) {
        return NULL;
    }
    const unsigned char *binary = (const unsigned char *)data;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    cl_program program =
        a->cl->clCreateProgramWithBinary(a->context, 1, &a->device, &size, &binary, &status, &code);
    if (program != NULL && (status != CL_SUCCESS || build(a, program, options) != CL_SUCCESS)) {
        (void)a->cl->clReleaseProgram(program);
        program = NULL;
    }
    fnl_free(data);
    return program;
}

static void keep_compiled(struct fnl__cl_accel *a, const struct fnl_accel_cache_key *key,
                          cl_program program)
{
    size_t size = 0;
    if (a->cl->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
            CL_SUCCESS ||
        size == 0 || size > FNL_MAX_PROGRAM_BYTES) {
        return;
    }
    unsigned char *binary = fnl_malloc(size);
    if (binary != NULL && a->cl->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary,
                                                  &binary, NULL) == CL_SUCCESS) {
        (void)fnl_accel_cache_put(key, binary, size);
    }
    fnl_free(binary);
}

/* From the cache, or by the compiler. */
static int get_program(struct fnl__cl_accel *a, const char *name, const char *source,
                       const char *defines, cl_program *ret_program, struct fnl_error *err)
{
    char options[512];
    struct fnl_accel_cache_key key;
    int length = snprintf(options, sizeof options, OPTIONS " %s", defines);
    if (length < 0 || (size_t)length >= sizeof options) {
        return FNL_FAIL(err, INVALID, NULL, "%s: compiler options are too long", name);
    }
    key_of(a, source, options, &key);
    *ret_program = find_compiled(a, &key, options);
    if (*ret_program != NULL) {
        return 0;
    }
    int rc = compile(a, name, source, options, ret_program, err);
    if (rc == 0) {
        keep_compiled(a, &key, *ret_program);
    }
    return rc;
}

int fnl__cl_prog_build(struct fnl_accel *accel, const char *name, const char *source,
                       const char *defines, struct fnl_accel_prog **ret_prog, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_accel_prog *p = fnl_calloc(1, sizeof *p);
    if (p == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a program");
    }
    snprintf(p->name, sizeof p->name, "%s", name);
    rc = get_program(a, name, source, defines, &p->program, err);
    if (rc != 0) {
        fnl_free(p);
        return rc;
    }
    *ret_prog = p;
    return 0;
}

void fnl__cl_prog_free(struct fnl_accel *accel, struct fnl_accel_prog *prog)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    if (prog == NULL) {
        return;
    }
    while (prog->kernels != NULL) {
        struct fnl_accel_kernel *k = prog->kernels;
        prog->kernels = k->next;
        (void)a->cl->clReleaseKernel(k->kernel);
        fnl_free(k);
    }
    (void)a->cl->clReleaseProgram(prog->program);
    fnl_free(prog);
}

int fnl__cl_kernel_get(struct fnl_accel *accel, struct fnl_accel_prog *prog, const char *name,
                       struct fnl_accel_kernel **ret_kernel, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    for (struct fnl_accel_kernel *k = prog->kernels; k != NULL; k = k->next) {
        if (strcmp(k->name, name) == 0) {
            *ret_kernel = k;
            return 0;
        }
    }
    int rc = fnl__cl_alive(a, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_accel_kernel *k = fnl_calloc(1, sizeof *k);
    if (k == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a kernel");
    }
    cl_int code = CL_SUCCESS;
    k->kernel = a->cl->clCreateKernel(prog->program, name, &code);
    if (k->kernel == NULL) {
        fnl_free(k);
        return FNL_FAIL(err, INTERNAL, NULL, "%s: %s.k has no kernel %s: %s", a->base.info.name,
                        prog->name, name, fnl__cl_error_name(code));
    }
    snprintf(k->name, sizeof k->name, "%s", name);
    k->prog = prog;
    if (a->cl->clGetKernelWorkGroupInfo(k->kernel, a->device, CL_KERNEL_WORK_GROUP_SIZE,
                                        sizeof k->max_group, &k->max_group, NULL) != CL_SUCCESS) {
        k->max_group = a->base.info.max_group;
    }
    k->next = prog->kernels;
    prog->kernels = k;
    *ret_kernel = k;
    return 0;
}
