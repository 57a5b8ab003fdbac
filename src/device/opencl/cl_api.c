/* cl_api.c - opens the OpenCL loader and finds its functions (interface in cl_api.h). */
#include "device/opencl/cl_api.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fnl__cl table;
static struct fnl_error failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
    const char *name;
    size_t slot;
} symbols[] = {
#define CL_SYMBOL(name) {#name, offsetof(struct fnl__cl, name)},
    FNL_CL_SYMBOLS(CL_SYMBOL)
#undef CL_SYMBOL
};

static void open_once(void)
{
    /* FOURNIL_OPENCL names another loader, or none at all: for tests, and for broken drivers. */
    const char *name = getenv("FOURNIL_OPENCL");
    if (name != NULL && strcmp(name, "off") == 0) {
        FNL_FAIL(&failure, DEVICE, "unset FOURNIL_OPENCL", "OpenCL is turned off");
        return;
    }
    void *library = dlopen(name != NULL ? name : "libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        FNL_FAIL(&failure, DEVICE,
                 "apt install ocl-icd-libopencl1, and the driver of your GPU or pocl-opencl-icd",
                 "there is no OpenCL loader here: %s", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL) {
            FNL_FAIL(&failure, DEVICE, "apt install ocl-icd-libopencl1",
                     "the OpenCL loader is older than OpenCL 1.2: it has no %s", symbols[i].name);
            return;
        }
        memcpy((char *)&table + symbols[i].slot, &symbol, sizeof symbol);
    }
}

int fnl__cl_open(const struct fnl__cl **ret_cl, struct fnl_error *err)
{
    (void)pthread_once(&once, open_once);
    if (failure.code != 0) {
        if (err != NULL) {
            *err = failure;
        }
        return failure.code;
    }
    *ret_cl = &table;
    return 0;
}

bool fnl__cl_denied(const char *dev, char *out, size_t size)
{
    /* AMD's compute interface, then the render nodes of all makers, which are numbered from 128. */
    for (int i = -1; i < 64; i++) {
        int n = i < 0 ? snprintf(out, size, "%s/kfd", dev)
                      : snprintf(out, size, "%s/dri/renderD%d", dev, 128 + i);
        if (n > 0 && (size_t)n < size && access(out, R_OK | W_OK) != 0 && errno == EACCES) {
            return true;
        }
    }
    out[0] = 0;
    return false;
}

const char *fnl__cl_error_name(cl_int code)
{
#define CL_NAME(c)                                                                                 \
    case c:                                                                                        \
        return #c;
    switch (code) {
        CL_NAME(CL_DEVICE_NOT_FOUND)
        CL_NAME(CL_DEVICE_NOT_AVAILABLE)
        CL_NAME(CL_COMPILER_NOT_AVAILABLE)
        CL_NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        CL_NAME(CL_OUT_OF_RESOURCES)
        CL_NAME(CL_OUT_OF_HOST_MEMORY)
        CL_NAME(CL_PROFILING_INFO_NOT_AVAILABLE)
        CL_NAME(CL_BUILD_PROGRAM_FAILURE)
        CL_NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET)
        CL_NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        CL_NAME(CL_INVALID_VALUE)
        CL_NAME(CL_INVALID_DEVICE)
        CL_NAME(CL_INVALID_CONTEXT)
        CL_NAME(CL_INVALID_COMMAND_QUEUE)
        CL_NAME(CL_INVALID_MEM_OBJECT)
        CL_NAME(CL_INVALID_BINARY)
        CL_NAME(CL_INVALID_BUILD_OPTIONS)
        CL_NAME(CL_INVALID_PROGRAM_EXECUTABLE)
        CL_NAME(CL_INVALID_KERNEL_NAME)
        CL_NAME(CL_INVALID_ARG_INDEX)
        CL_NAME(CL_INVALID_ARG_VALUE)
        CL_NAME(CL_INVALID_ARG_SIZE)
        CL_NAME(CL_INVALID_KERNEL_ARGS)
        CL_NAME(CL_INVALID_WORK_GROUP_SIZE)
        CL_NAME(CL_INVALID_WORK_ITEM_SIZE)
        CL_NAME(CL_INVALID_BUFFER_SIZE)
    case -1001: /* cl_khr_icd */
        return "CL_PLATFORM_NOT_FOUND_KHR";
    default:
        return "OpenCL error";
    }
#undef CL_NAME
}
