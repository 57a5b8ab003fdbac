/* fake_cl.c - OpenCL for the stand-in, by dlopen: where there is none, the stand-in has no device.
 */
#include <dlfcn.h>
#include <string.h>

#include "fake_cuda/fake_int.h"

static struct fake_cl cl;

static bool open_library(void)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return false;
    }
    void *address;
#define FAKE_CL_LOAD(symbol)                                                                       \
    address = dlsym(library, #symbol);                                                             \
    if (address == NULL) {                                                                         \
        return false;                                                                              \
    }                                                                                              \
    memcpy(&cl.symbol, &address, sizeof address);
    FAKE_CL_SYMBOLS(FAKE_CL_LOAD)
#undef FAKE_CL_LOAD
    return true;
}

static bool open_device(void)
{
    cl_platform_id platform[16];
    cl_uint platforms = 0;
    cl_int rc = CL_SUCCESS;
    if (cl.clGetPlatformIDs(16, platform, &platforms) != CL_SUCCESS) {
        return false;
    }
    bool found = false;
    for (cl_uint i = 0; i < platforms && i < 16 && !found; i++) {
        found =
            cl.clGetDeviceIDs(platform[i], CL_DEVICE_TYPE_CPU, 1, &cl.device, NULL) == CL_SUCCESS;
    }
    if (!found) {
        return false;
    }
    cl.context = cl.clCreateContext(NULL, 1, &cl.device, NULL, NULL, &rc);
    if (rc != CL_SUCCESS) {
        return false;
    }
    cl.queue = cl.clCreateCommandQueue(cl.context, cl.device, CL_QUEUE_PROFILING_ENABLE, &rc);
    return rc == CL_SUCCESS;
}

const struct fake_cl *fake_cl(void)
{
    static bool tried, good;
    if (!tried) {
        tried = true;
        good = open_library() && open_device();
    }
    return good ? &cl : NULL;
}
