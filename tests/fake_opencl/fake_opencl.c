/* fake_opencl.c - a libOpenCL.so.1 for tests, which passes every call on to the real loader and can
 * be told to fail. The driver opens it when FOURNIL_OPENCL names it. Never installed.
 *
 * Set up by environment, read at the first call:
 *   FAKE_OPENCL_FAIL=ENTRY:N:CODE   the N-th call of ENTRY (from 1) fails with CODE; "N+": it and
 *                                   all that follow
 *   FAKE_OPENCL_DEVICES=K           K devices (0 to 128), all of them the real first one
 *   FAKE_OPENCL_BAD=I               the device of this number answers nothing that it is asked
 *   FAKE_OPENCL_GPU=1               devices say that they are GPUs
 *   FAKE_OPENCL_START=hang|crash|exit|noise   what clGetPlatformIDs does instead
 *   FAKE_OPENCL_REAL=FILE           the real loader; "libOpenCL.so.1" by default
 * or by fake_opencl.h from within the process. Compiled with FAKE_OPENCL_OLD it lacks what came
 * with OpenCL 1.2.
 *
 * A call that fails does nothing, except that what releases releases. Handles of devices are our
 * own and are translated; all others are the real ones and are counted. Not thread-safe. */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include <CL/cl.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_opencl/fake_opencl.h"

#define EXPORT __attribute__((visibility("default")))
#define MAX_DEVICES 128
#define MAX_ENTRIES 64

static struct {
    bool ready;
    void *loader;
    char entry[64]; /* what fails; "": nothing */
    long at;
    bool forever;
    cl_int code;
    int devices, bad; /* -1: as it is */
    bool gpu;
    const char *start;
    int live; /* handles that were not given back */
} fake = {.devices = -1, .bad = -1};

static struct {
    const char *name;
    long calls;
} count[MAX_ENTRIES];

static struct fake_device {
    cl_device_id real;
} device[MAX_DEVICES];

/* ---- being told ---- */

EXPORT void fake_opencl_fail(const char *entry, long n, bool forever, int code)
{
    (void)snprintf(fake.entry, sizeof fake.entry, "%s", entry != NULL ? entry : "");
    fake.at = n;
    fake.forever = forever;
    fake.code = code;
    memset(count, 0, sizeof count);
}

EXPORT long fake_opencl_calls(const char *entry)
{
    for (int i = 0; i < MAX_ENTRIES && count[i].name != NULL; i++) {
        if (strcmp(count[i].name, entry) == 0) {
            return count[i].calls;
        }
    }
    return 0;
}

EXPORT const char *fake_opencl_called(int i)
{
    return i < MAX_ENTRIES ? count[i].name : NULL;
}

EXPORT int fake_opencl_live(void)
{
    return fake.live;
}

static void read_fail(const char *text)
{
    const char *first = strchr(text, ':'), *second = first != NULL ? strchr(first + 1, ':') : NULL;
    char entry[64];
    if (second == NULL) {
        (void)fprintf(stderr, "FAKE_OPENCL_FAIL: expected ENTRY:N:CODE, got %s\n", text);
        _exit(99);
    }
    (void)snprintf(entry, sizeof entry, "%.*s", (int)(first - text), text);
    fake_opencl_fail(entry, strtol(first + 1, NULL, 10), second[-1] == '+',
                     (int)strtol(second + 1, NULL, 10));
}

static int number(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? -1 : (int)strtol(text, NULL, 10);
}

static void *real(const char *name)
{
    if (!fake.ready) {
        const char *file = getenv("FAKE_OPENCL_REAL"), *fail = getenv("FAKE_OPENCL_FAIL");
        fake.ready = true;
        fake.loader = dlopen(file != NULL ? file : "libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
        fake.devices = number("FAKE_OPENCL_DEVICES");
        fake.devices = fake.devices > MAX_DEVICES ? MAX_DEVICES : fake.devices;
        fake.bad = number("FAKE_OPENCL_BAD");
        fake.gpu = getenv("FAKE_OPENCL_GPU") != NULL;
        fake.start = getenv("FAKE_OPENCL_START");
        if (fail != NULL && fake.entry[0] == 0) {
            read_fail(fail);
        }
    }
    return fake.loader == NULL ? NULL : dlsym(fake.loader, name);
}

/* Counts the call; the code it fails with, CL_SUCCESS when it does not. */
static cl_int enter(const char *name)
{
    int i = 0;
    while (i < MAX_ENTRIES - 1 && count[i].name != NULL && strcmp(count[i].name, name) != 0) {
        i++;
    }
    count[i].name = name;
    long n = ++count[i].calls;
    bool hits = strcmp(fake.entry, name) == 0 && (n == fake.at || (fake.forever && n > fake.at));
    return hits ? fake.code : CL_SUCCESS;
}

/* The real function in `f`; a failure of this call is returned. */
#define PASS(name, failed)                                                                         \
    __typeof__(&(name)) f;                                                                         \
    void *symbol = real(#name);                                                                    \
    cl_int code = enter(#name);                                                                    \
    memcpy(&f, &symbol, sizeof f);                                                                 \
    if (f == NULL) {                                                                               \
        code = -1001; /* CL_PLATFORM_NOT_FOUND_KHR */                                              \
    }                                                                                              \
    if (code != CL_SUCCESS) {                                                                      \
        failed;                                                                                    \
    }

#define FAILS_NULL                                                                                 \
    if (errcode_ret != NULL) {                                                                     \
        *errcode_ret = code;                                                                       \
    }                                                                                              \
    return NULL

static void *made(void *handle)
{
    fake.live += handle != NULL ? 1 : 0;
    return handle;
}

static cl_device_id real_device(cl_device_id d)
{
    const struct fake_device *f = (const struct fake_device *)(void *)d;
    return f >= device && f < device + MAX_DEVICES ? f->real : d;
}

/* ---- what there is ---- */

EXPORT cl_int clGetPlatformIDs(cl_uint num_entries, cl_platform_id *platforms,
                               cl_uint *num_platforms)
{
    PASS(clGetPlatformIDs, return code);
    const char *start = fake.start != NULL ? fake.start : "";
    if (strcmp(start, "hang") == 0) {
        for (;;) {
            (void)pause();
        }
    } else if (strcmp(start, "crash") == 0) {
        (void)raise(SIGSEGV);
    } else if (strcmp(start, "exit") == 0) {
        _exit(3);
    } else if (strcmp(start, "noise") == 0) {
        (void)puts("driver: noise on standard output");
        (void)fflush(stdout);
    }
    return f(num_entries, platforms, num_platforms);
}

EXPORT cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info param_name,
                                size_t param_value_size, void *param_value,
                                size_t *param_value_size_ret)
{
    PASS(clGetPlatformInfo, return code);
    return f(platform, param_name, param_value_size, param_value, param_value_size_ret);
}

EXPORT cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type device_type,
                             cl_uint num_entries, cl_device_id *devices, cl_uint *num_devices)
{
    cl_device_id found[MAX_DEVICES];
    cl_uint n = 0;
    PASS(clGetDeviceIDs, return code);
    code = f(platform, device_type, MAX_DEVICES, found, &n);
    if (code != CL_SUCCESS) {
        return code;
    }
    n = fake.devices >= 0 ? (cl_uint)fake.devices : n;
    for (cl_uint i = 0; i < n; i++) {
        device[i].real = fake.devices >= 0 ? found[0] : found[i];
        if (i < num_entries && devices != NULL) {
            devices[i] = (cl_device_id)(void *)&device[i];
        }
    }
    if (num_devices != NULL) {
        *num_devices = n;
    }
    return n == 0 ? CL_DEVICE_NOT_FOUND : CL_SUCCESS;
}

EXPORT cl_int clGetDeviceInfo(cl_device_id id, cl_device_info param_name, size_t param_value_size,
                              void *param_value, size_t *param_value_size_ret)
{
    PASS(clGetDeviceInfo, return code);
    if (fake.bad >= 0 && (void *)id == (void *)&device[fake.bad]) {
        return CL_DEVICE_NOT_AVAILABLE;
    }
    code = f(real_device(id), param_name, param_value_size, param_value, param_value_size_ret);
    if (code == CL_SUCCESS && fake.gpu && param_name == CL_DEVICE_TYPE && param_value != NULL) {
        *(cl_device_type *)param_value = CL_DEVICE_TYPE_GPU;
    }
    return code;
}

/* ---- contexts, queues, memory ---- */

EXPORT cl_context clCreateContext(const cl_context_properties *properties, cl_uint num_devices,
                                  const cl_device_id *devices,
                                  void(CL_CALLBACK *notify)(const char *, const void *, size_t,
                                                            void *),
                                  void *user_data, cl_int *errcode_ret)
{
    PASS(clCreateContext, FAILS_NULL);
    cl_device_id d = real_device(devices[0]);
    return made(f(properties, num_devices, &d, notify, user_data, errcode_ret));
}

EXPORT cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id id,
                                             cl_command_queue_properties properties,
                                             cl_int *errcode_ret)
{
    PASS(clCreateCommandQueue, FAILS_NULL);
    return made(f(context, real_device(id), properties, errcode_ret));
}

EXPORT cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host_ptr,
                             cl_int *errcode_ret)
{
    PASS(clCreateBuffer, FAILS_NULL);
    return made(f(context, flags, size, host_ptr, errcode_ret));
}

/* Releases whatever it says. */
#define RELEASE(name, type)                                                                        \
    EXPORT cl_int name(type handle)                                                                \
    {                                                                                              \
        PASS(name, {                                                                               \
            if (f != NULL) {                                                                       \
                fake.live--;                                                                       \
                (void)f(handle);                                                                   \
            }                                                                                      \
            return code;                                                                           \
        });                                                                                        \
        fake.live--;                                                                               \
        return f(handle);                                                                          \
    }
RELEASE(clReleaseContext, cl_context)
RELEASE(clReleaseCommandQueue, cl_command_queue)
RELEASE(clReleaseMemObject, cl_mem)
RELEASE(clReleaseEvent, cl_event)
RELEASE(clReleaseProgram, cl_program)
RELEASE(clReleaseKernel, cl_kernel)

/* ---- the queue ---- */

EXPORT cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                  size_t offset, size_t size, void *ptr, cl_uint waits,
                                  const cl_event *wait, cl_event *event)
{
    PASS(clEnqueueReadBuffer, return code);
    return f(queue, buffer, blocking, offset, size, ptr, waits, wait, event);
}

EXPORT cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                   size_t offset, size_t size, const void *ptr, cl_uint waits,
                                   const cl_event *wait, cl_event *event)
{
    PASS(clEnqueueWriteBuffer, return code);
    return f(queue, buffer, blocking, offset, size, ptr, waits, wait, event);
}

EXPORT cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem src, cl_mem dst, size_t src_offset,
                                  size_t dst_offset, size_t size, cl_uint waits,
                                  const cl_event *wait, cl_event *event)
{
    PASS(clEnqueueCopyBuffer, return code);
    return f(queue, src, dst, src_offset, dst_offset, size, waits, wait, event);
}

#ifndef FAKE_OPENCL_OLD
EXPORT cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern,
                                  size_t pattern_size, size_t offset, size_t size, cl_uint waits,
                                  const cl_event *wait, cl_event *event)
{
    PASS(clEnqueueFillBuffer, return code);
    return f(queue, buffer, pattern, pattern_size, offset, size, waits, wait, event);
}

EXPORT cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint waits,
                                          const cl_event *wait, cl_event *event)
{
    PASS(clEnqueueMarkerWithWaitList, return code);
    code = f(queue, waits, wait, event);
    fake.live += code == CL_SUCCESS && event != NULL ? 1 : 0;
    return code;
}
#endif

EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint work_dim,
                                     const size_t *offset, const size_t *global,
                                     const size_t *local, cl_uint waits, const cl_event *wait,
                                     cl_event *event)
{
    PASS(clEnqueueNDRangeKernel, return code);
    return f(queue, kernel, work_dim, offset, global, local, waits, wait, event);
}

EXPORT cl_int clWaitForEvents(cl_uint num_events, const cl_event *event_list)
{
    PASS(clWaitForEvents, return code);
    return f(num_events, event_list);
}

EXPORT cl_int clGetEventProfilingInfo(cl_event event, cl_profiling_info param_name,
                                      size_t param_value_size, void *param_value,
                                      size_t *param_value_size_ret)
{
    PASS(clGetEventProfilingInfo, return code);
    return f(event, param_name, param_value_size, param_value, param_value_size_ret);
}

EXPORT cl_int clFlush(cl_command_queue queue)
{
    PASS(clFlush, return code);
    return f(queue);
}

EXPORT cl_int clFinish(cl_command_queue queue)
{
    PASS(clFinish, return code);
    return f(queue);
}

/* ---- programs and kernels ---- */

EXPORT cl_program clCreateProgramWithSource(cl_context context, cl_uint n, const char **strings,
                                            const size_t *lengths, cl_int *errcode_ret)
{
    PASS(clCreateProgramWithSource, FAILS_NULL);
    return made(f(context, n, strings, lengths, errcode_ret));
}

EXPORT cl_program clCreateProgramWithBinary(cl_context context, cl_uint num_devices,
                                            const cl_device_id *device_list, const size_t *lengths,
                                            const unsigned char **binaries, cl_int *binary_status,
                                            cl_int *errcode_ret)
{
    PASS(clCreateProgramWithBinary, FAILS_NULL);
    cl_device_id d = real_device(device_list[0]);
    return made(f(context, num_devices, &d, lengths, binaries, binary_status, errcode_ret));
}

EXPORT cl_int clBuildProgram(cl_program program, cl_uint num_devices,
                             const cl_device_id *device_list, const char *options,
                             void(CL_CALLBACK *notify)(cl_program, void *), void *user_data)
{
    PASS(clBuildProgram, return code);
    cl_device_id d = real_device(device_list[0]);
    return f(program, num_devices, &d, options, notify, user_data);
}

EXPORT cl_int clGetProgramInfo(cl_program program, cl_program_info param_name,
                               size_t param_value_size, void *param_value,
                               size_t *param_value_size_ret)
{
    PASS(clGetProgramInfo, return code);
    return f(program, param_name, param_value_size, param_value, param_value_size_ret);
}

EXPORT cl_int clGetProgramBuildInfo(cl_program program, cl_device_id id,
                                    cl_program_build_info param_name, size_t param_value_size,
                                    void *param_value, size_t *param_value_size_ret)
{
    PASS(clGetProgramBuildInfo, return code);
    return f(program, real_device(id), param_name, param_value_size, param_value,
             param_value_size_ret);
}

EXPORT cl_kernel clCreateKernel(cl_program program, const char *kernel_name, cl_int *errcode_ret)
{
    PASS(clCreateKernel, FAILS_NULL);
    return made(f(program, kernel_name, errcode_ret));
}

EXPORT cl_int clSetKernelArg(cl_kernel kernel, cl_uint arg_index, size_t arg_size,
                             const void *arg_value)
{
    PASS(clSetKernelArg, return code);
    return f(kernel, arg_index, arg_size, arg_value);
}

EXPORT cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id id,
                                       cl_kernel_work_group_info param_name,
                                       size_t param_value_size, void *param_value,
                                       size_t *param_value_size_ret)
{
    PASS(clGetKernelWorkGroupInfo, return code);
    return f(kernel, real_device(id), param_name, param_value_size, param_value,
             param_value_size_ret);
}
