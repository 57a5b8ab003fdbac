/* fake_int.h - what the files of the stand-in driver share. */
#ifndef FNL_TESTS_FAKE_CUDA_FAKE_INT_H
#define FNL_TESTS_FAKE_CUDA_FAKE_INT_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/cuda/cuda_api.h"

#define EXPORT __attribute__((visibility("default")))

/* The entry points as the driver's own table has them: a definition that differs does not compile.
 */
#define FAKE_DECLARE(symbol, required, params) EXPORT int symbol params;
FNL_CUDA_SYMBOLS(FAKE_DECLARE)
#undef FAKE_DECLARE

enum fake_entry {
#define FAKE_ENUM(symbol, required, params) FAKE_##symbol,
    FNL_CUDA_SYMBOLS(FAKE_ENUM)
#undef FAKE_ENUM
        FAKE_ENTRIES
};

/* ---- fake_driver.c ---- */

#define FAKE_DEVICES_MAX 64
/* What the environment said at the last reset. */
struct fake_setup {
    int devices; /* visible ones */
    int visible[FAKE_DEVICES_MAX];
    int version; /* 13000 */
    bool noop;
    size_t memory;
};
extern struct fake_setup fake_setup;

/* Counts the call; the result that it must give instead of doing its work, or 0. */
int fake_enter(enum fake_entry entry);
/* The same for calls that need a current context. */
int fake_enter_context(enum fake_entry entry);
/* The context is dead from now on: every call gives this. Returns it. */
int fake_die(int result);

/* Everything with a handle; first member of each. */
enum fake_kind {
    FAKE_MEMORY,
    FAKE_HOST,
    FAKE_STREAM,
    FAKE_EVENT,
    FAKE_MODULE,
    FAKE_GRAPH,
    FAKE_EXEC
};
struct fake_object {
    enum fake_kind kind;
    struct fake_object *next;
};
void *fake_new(enum fake_kind kind, size_t size); /* zeroed; never NULL */
bool fake_is(const void *handle, enum fake_kind kind);
void fake_delete(void *handle); /* frees it by kind */
struct fake_object *fake_objects(void);

/* ---- fake_cl.c: OpenCL by dlopen ---- */

#define FAKE_CL_SYMBOLS(X)                                                                         \
    X(clGetPlatformIDs)                                                                            \
    X(clGetDeviceIDs)                                                                              \
    X(clCreateContext)                                                                             \
    X(clCreateCommandQueue)                                                                        \
    X(clCreateBuffer)                                                                              \
    X(clReleaseMemObject)                                                                          \
    X(clEnqueueWriteBuffer)                                                                        \
    X(clEnqueueReadBuffer)                                                                         \
    X(clEnqueueCopyBuffer)                                                                         \
    X(clEnqueueFillBuffer)                                                                         \
    X(clEnqueueNDRangeKernel)                                                                      \
    X(clEnqueueMarkerWithWaitList)                                                                 \
    X(clWaitForEvents)                                                                             \
    X(clGetEventProfilingInfo)                                                                     \
    X(clReleaseEvent)                                                                              \
    X(clFinish)                                                                                    \
    X(clCreateProgramWithSource)                                                                   \
    X(clBuildProgram)                                                                              \
    X(clGetProgramBuildInfo)                                                                       \
    X(clCreateKernel)                                                                              \
    X(clReleaseKernel)                                                                             \
    X(clGetKernelInfo)                                                                             \
    X(clGetKernelArgInfo)                                                                          \
    X(clSetKernelArg)

struct fake_cl {
#define FAKE_CL_SLOT(symbol) __typeof__(symbol) *symbol;
    FAKE_CL_SYMBOLS(FAKE_CL_SLOT)
#undef FAKE_CL_SLOT
    cl_device_id device;
    cl_context context;
    cl_command_queue queue; /* one for all streams, in order */
};
/* NULL: no OpenCL device here. */
const struct fake_cl *fake_cl(void);

/* ---- fake_memory.c ---- */

struct fake_memory {
    struct fake_object object;
    uint64_t base; /* of addresses that no memory is behind: a host access traps */
    size_t bytes;
    cl_mem buffer;
};
/* The allocation that [address, address + bytes) lies in; NULL: none. */
struct fake_memory *fake_find(uint64_t address, size_t bytes);
void fake_memory_close(struct fake_memory *m);

/* ---- fake_queue.c ---- */

struct fnl_cu_function;
#define FAKE_PARAMS_MAX 64
struct fake_node { /* work of a stream */
    enum { FAKE_COPY, FAKE_FILL, FAKE_LAUNCH } kind;
    uint64_t dst, src;
    size_t bytes;
    unsigned word;
    struct fnl_cu_function *function;
    unsigned grid[3], block[3];
    uint64_t param[FAKE_PARAMS_MAX];
    struct fake_node *next;
};
/* Runs it, or keeps it while the stream is capturing. */
int fake_submit(struct fnl_cu_stream *stream, const struct fake_node *node);
/* The stream for a call that is not legal while capturing; 0, or the result. */
int fake_stream_plain(struct fnl_cu_stream *stream);
void fake_queue_close(void *object, enum fake_kind kind);

/* ---- fake_module.c ---- */

int fake_launch(const struct fake_node *node); /* enqueues */
void fake_module_close(void *object);

#endif
