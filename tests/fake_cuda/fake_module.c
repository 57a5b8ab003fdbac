/* fake_module.c - modules and launches of the stand-in. It gets PTX and cannot run it: the comments
 * at its head name the kernel file and its defines, and the same source, which the stand-in carries
 * (engine/kernels and this folder's), is built as OpenCL C instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/kernels.h"
#include "fake_cuda/fake_int.h"

struct fnl_cu_module {
    struct fake_object object;
    cl_program program; /* of the process's list below */
    struct fnl_cu_function *functions;
};

struct fnl_cu_function {
    struct fnl_cu_function *next;
    cl_kernel kernel;
    int param_count; /* as CUDA counts them */
    bool is_pointer[FAKE_PARAMS_MAX];
};

/* Programs are built once for the process: tests load the same ones many times. */
struct built {
    struct built *next;
    char name[64], defines[512];
    cl_program program;
};
static struct built *all_built;

/* ---- the PTX's head ---- */

/* The rest of the line that begins with `label`; false when there is none. */
static bool line_after(const char *ptx, const char *label, char *out, size_t size)
{
    const char *p = strstr(ptx, label);
    if (p == NULL) {
        return false;
    }
    p += strlen(label);
    size_t n = strcspn(p, "\n");
    if (n >= size) {
        return false;
    }
    memcpy(out, p, n);
    out[n] = 0;
    return true;
}

/* The PTX that came with a version of CUDA: 7.4 with 11.4, 8.2 with 12.2, 9.0 with 13.0. (In truth
 * 12.6 stayed at 8.5 and later ones lag by one: that is below what tests ask for.) */
static bool is_too_new(const char *ptx)
{
    char text[32];
    int major = 0, minor = 0;
    if (!line_after(ptx, ".version ", text, sizeof text) ||
        sscanf(text, "%d.%d", &major, &minor) != 2) {
        return false;
    }
    return 10 * major + minor >
           10 * (fake_setup.version / 1000 - 4) + fake_setup.version % 1000 / 10;
}

/* ---- building ---- */

static const char *source_of(const char *name)
{
    for (const struct fnl_kernel_file *f = fnl__kernel_files; f->name != NULL; f++) {
        size_t n = strlen(f->name);
        if (strncmp(name, f->name, n) == 0 && (name[n] == 0 || strcmp(name + n, ".k") == 0)) {
            return f->source;
        }
    }
    return NULL;
}

static cl_program build(const char *name, const char *defines, char *log, size_t log_size)
{
    const struct fake_cl *cl = fake_cl();
    const char *text[2] = {fnl__kernel_dialect, source_of(name)};
    char options[600];
    cl_int rc = CL_SUCCESS;
    if (text[1] == NULL) {
        (void)snprintf(log, log_size, "the stand-in has no kernel file %s", name);
        return NULL;
    }
    (void)snprintf(options, sizeof options, "-cl-kernel-arg-info %s", defines);
    cl_program program = cl->clCreateProgramWithSource(cl->context, 2, text, NULL, &rc);
    if (rc == CL_SUCCESS &&
        cl->clBuildProgram(program, 1, &cl->device, options, NULL, NULL) == CL_SUCCESS) {
        return program;
    }
    (void)cl->clGetProgramBuildInfo(program, cl->device, CL_PROGRAM_BUILD_LOG, log_size, log, NULL);
    return NULL;
}

static cl_program find_or_build(const char *name, const char *defines, char *log, size_t log_size)
{
    for (struct built *b = all_built; b != NULL; b = b->next) {
        if (strcmp(b->name, name) == 0 && strcmp(b->defines, defines) == 0) {
            return b->program;
        }
    }
    cl_program program = build(name, defines, log, log_size);
    struct built *b = program == NULL ? NULL : calloc(1, sizeof *b);
    if (b != NULL) {
        (void)snprintf(b->name, sizeof b->name, "%s", name);
        (void)snprintf(b->defines, sizeof b->defines, "%s", defines);
        b->program = program;
        b->next = all_built;
        all_built = b;
    }
    return program;
}

int cuModuleLoadDataEx(struct fnl_cu_module **ret_module, const void *image, unsigned count,
                       int *option, void **value)
{
    char name[64], defines[512], no_log[1], *log = no_log;
    size_t log_size = sizeof no_log;
    int result = fake_enter_context(FAKE_cuModuleLoadDataEx);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    for (unsigned i = 0; i < count; i++) {
        if (option[i] == FNL_CU_JIT_ERROR_LOG_BUFFER) {
            log = value[i];
        } else if (option[i] == FNL_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
            log_size = (size_t)(uintptr_t)value[i];
        }
    }
    if (is_too_new(image)) {
        return FNL_CU_UNSUPPORTED_PTX_VERSION;
    }
    if (!line_after(image, "// fournil program: ", name, sizeof name) ||
        !line_after(image, "// fournil defines: ", defines, sizeof defines)) {
        return FNL_CU_INVALID_PTX;
    }
    cl_program program = find_or_build(name, defines, log, log_size);
    if (program == NULL) {
        return FNL_CU_INVALID_PTX;
    }
    *ret_module = fake_new(FAKE_MODULE, sizeof **ret_module);
    (*ret_module)->program = program;
    return FNL_CU_SUCCESS;
}

void fake_module_close(void *object)
{
    struct fnl_cu_module *module = object;
    while (module->functions != NULL) {
        struct fnl_cu_function *next = module->functions->next;
        (void)fake_cl()->clReleaseKernel(module->functions->kernel);
        free(module->functions);
        module->functions = next;
    }
}

int cuModuleUnload(struct fnl_cu_module *module)
{
    int result = fake_enter_context(FAKE_cuModuleUnload);
    if (!fake_is(module, FAKE_MODULE)) {
        return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_HANDLE : result;
    }
    (void)fake_cl()->clFinish(fake_cl()->queue);
    fake_delete(module);
    return result;
}

/* ---- functions ---- */

/* Parameters as CUDA has them: in OpenCL a pointer to device memory is two, the second its offset.
 */
static bool read_params(struct fnl_cu_function *f)
{
    const struct fake_cl *cl = fake_cl();
    cl_uint count = 0;
    if (cl->clGetKernelInfo(f->kernel, CL_KERNEL_NUM_ARGS, sizeof count, &count, NULL) !=
        CL_SUCCESS) {
        return false;
    }
    for (cl_uint i = 0; i < count; i++) {
        cl_kernel_arg_address_qualifier where = 0;
        if (f->param_count == FAKE_PARAMS_MAX ||
            cl->clGetKernelArgInfo(f->kernel, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof where,
                                   &where, NULL) != CL_SUCCESS) {
            return false;
        }
        bool pointer = where == CL_KERNEL_ARG_ADDRESS_GLOBAL;
        f->is_pointer[f->param_count++] = pointer;
        i += pointer ? 1 : 0;
    }
    return true;
}

int cuModuleGetFunction(struct fnl_cu_function **ret_function, struct fnl_cu_module *module,
                        const char *name)
{
    cl_int rc = CL_SUCCESS;
    int result = fake_enter_context(FAKE_cuModuleGetFunction);
    if (result == FNL_CU_SUCCESS && !fake_is(module, FAKE_MODULE)) {
        result = FNL_CU_INVALID_HANDLE;
    }
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    cl_kernel kernel = fake_cl()->clCreateKernel(module->program, name, &rc);
    if (rc != CL_SUCCESS) {
        return FNL_CU_NOT_FOUND;
    }
    struct fnl_cu_function *f = calloc(1, sizeof *f);
    if (f == NULL) {
        abort();
    }
    f->kernel = kernel;
    f->next = module->functions;
    module->functions = f;
    if (!read_params(f)) {
        return FNL_CU_NOT_FOUND;
    }
    *ret_function = f;
    return FNL_CU_SUCCESS;
}

static bool is_function(const struct fnl_cu_function *function)
{
    for (struct fake_object *o = fake_objects(); o != NULL; o = o->next) {
        const struct fnl_cu_function *f =
            o->kind == FAKE_MODULE ? ((struct fnl_cu_module *)o)->functions : NULL;
        for (; f != NULL; f = f->next) {
            if (f == function) {
                return true;
            }
        }
    }
    return false;
}

int cuLaunchKernel(struct fnl_cu_function *function, unsigned grid_x, unsigned grid_y,
                   unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                   unsigned shared_bytes, struct fnl_cu_stream *stream, void **params, void **extra)
{
    int result = fake_enter_context(FAKE_cuLaunchKernel);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (!is_function(function)) {
        return FNL_CU_INVALID_HANDLE;
    }
    if (grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_y > 65535 || grid_z > 65535 ||
        grid_x > 0x7FFFFFFF || block_x * block_y * block_z == 0 ||
        block_x * block_y * block_z > 1024 || block_z > 64 || shared_bytes != 0 || extra != NULL) {
        return FNL_CU_INVALID_VALUE;
    }
    struct fake_node node = {.kind = FAKE_LAUNCH,
                             .function = function,
                             .grid = {grid_x, grid_y, grid_z},
                             .block = {block_x, block_y, block_z}};
    for (int i = 0; i < function->param_count; i++) {
        if (params[i] == NULL) { /* fewer arguments than parameters: a real driver would crash */
            return FNL_CU_INVALID_VALUE;
        }
        memcpy(&node.param[i], params[i], function->is_pointer[i] ? 8 : 4);
    }
    if (params[function->param_count] != NULL) { /* more: our driver ends its list with NULL */
        return FNL_CU_INVALID_VALUE;
    }
    return fake_submit(stream, &node);
}

/* A pointer's two arguments: buffer and offset. False: no such memory. */
static bool set_pointer(cl_kernel kernel, cl_uint at, uint64_t address)
{
    const struct fake_cl *cl = fake_cl();
    struct fake_memory *m = address == 0 ? NULL : fake_find(address, 0);
    if (address != 0 && m == NULL) {
        return false;
    }
    cl_mem buffer = m == NULL ? NULL : m->buffer;
    cl_ulong offset = m == NULL ? 0 : address - m->base;
    return cl->clSetKernelArg(kernel, at, sizeof buffer, m == NULL ? NULL : &buffer) ==
               CL_SUCCESS &&
           cl->clSetKernelArg(kernel, at + 1, sizeof offset, &offset) == CL_SUCCESS;
}

int fake_launch(const struct fake_node *n)
{
    const struct fake_cl *cl = fake_cl();
    cl_kernel kernel = n->function->kernel;
    cl_uint at = 0;
    for (int i = 0; i < n->function->param_count; i++) {
        if (n->function->is_pointer[i]) {
            if (!set_pointer(kernel, at, n->param[i])) {
                return fake_die(FNL_CU_ILLEGAL_ADDRESS);
            }
            at += 2;
        } else if (cl->clSetKernelArg(kernel, at++, 4, &n->param[i]) != CL_SUCCESS) {
            return FNL_CU_INVALID_VALUE;
        }
    }
    size_t local[3], global[3];
    for (int i = 0; i < 3; i++) {
        local[i] = n->block[i];
        global[i] = (size_t)n->grid[i] * n->block[i];
    }
    return cl->clEnqueueNDRangeKernel(cl->queue, kernel, 3, NULL, global, local, 0, NULL, NULL) ==
                   CL_SUCCESS
               ? FNL_CU_SUCCESS
               : FNL_CU_INVALID_VALUE;
}
