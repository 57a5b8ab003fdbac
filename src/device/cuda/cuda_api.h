/* cuda_api.h - what Fournil uses of the CUDA driver API, declared here: cuda.h is not in Debian's
 * main archive, and a build without it must make the same program. Names, values and signatures are
 * those of NVIDIA's "CUDA Driver API" reference (versions 11.4 to 13); a test compares them with
 * cuda.h where that is installed. */
#ifndef FNL_DEVICE_CUDA_CUDA_API_H
#define FNL_DEVICE_CUDA_CUDA_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* CUcontext and its like are pointers to these; a CUdevice is an int, a CUdeviceptr 64 bits, a
 * CUresult an int. */
struct fnl_cu_context;
struct fnl_cu_stream;
struct fnl_cu_event;
struct fnl_cu_module;
struct fnl_cu_function;
struct fnl_cu_graph;
struct fnl_cu_graph_exec;

/* CUresult, as far as one is told from another here: value, name */
#define FNL_CU_RESULTS(X)                                                                          \
    X(SUCCESS, 0)                                                                                  \
    X(INVALID_VALUE, 1)                                                                            \
    X(OUT_OF_MEMORY, 2)                                                                            \
    X(NOT_INITIALIZED, 3)                                                                          \
    X(DEINITIALIZED, 4)                                                                            \
    X(STUB_LIBRARY, 34)                                                                            \
    X(DEVICE_UNAVAILABLE, 46)                                                                      \
    X(NO_DEVICE, 100)                                                                              \
    X(INVALID_DEVICE, 101)                                                                         \
    X(INVALID_IMAGE, 200)                                                                          \
    X(INVALID_CONTEXT, 201)                                                                        \
    X(NO_BINARY_FOR_GPU, 209)                                                                      \
    X(ECC_UNCORRECTABLE, 214)                                                                      \
    X(INVALID_PTX, 218)                                                                            \
    X(NVLINK_UNCORRECTABLE, 220)                                                                   \
    X(JIT_COMPILER_NOT_FOUND, 221)                                                                 \
    X(UNSUPPORTED_PTX_VERSION, 222)                                                                \
    X(CONTAINED, 226)                                                                              \
    X(INVALID_HANDLE, 400)                                                                         \
    X(NOT_FOUND, 500)                                                                              \
    X(ILLEGAL_ADDRESS, 700)                                                                        \
    X(LAUNCH_OUT_OF_RESOURCES, 701)                                                                \
    X(LAUNCH_TIMEOUT, 702)                                                                         \
    X(CONTEXT_IS_DESTROYED, 709)                                                                   \
    X(ASSERT, 710)                                                                                 \
    X(HARDWARE_STACK_ERROR, 714)                                                                   \
    X(ILLEGAL_INSTRUCTION, 715)                                                                    \
    X(MISALIGNED_ADDRESS, 716)                                                                     \
    X(INVALID_ADDRESS_SPACE, 717)                                                                  \
    X(INVALID_PC, 718)                                                                             \
    X(LAUNCH_FAILED, 719)                                                                          \
    X(NOT_SUPPORTED, 801)                                                                          \
    X(SYSTEM_NOT_READY, 802)                                                                       \
    X(SYSTEM_DRIVER_MISMATCH, 803)                                                                 \
    X(COMPAT_NOT_SUPPORTED_ON_DEVICE, 804)                                                         \
    X(STREAM_CAPTURE_UNSUPPORTED, 900)                                                             \
    X(STREAM_CAPTURE_INVALIDATED, 901)                                                             \
    X(UNKNOWN, 999)

enum fnl_cu_result {
#define FNL_CU_RESULT_ENUM(name, value) FNL_CU_##name = (value),
    FNL_CU_RESULTS(FNL_CU_RESULT_ENUM)
#undef FNL_CU_RESULT_ENUM
};

enum fnl_cu_attribute { /* CUdevice_attribute: CU_DEVICE_ATTRIBUTE_... */
                        FNL_CU_MAX_THREADS_PER_BLOCK = 1,
                        FNL_CU_MAX_SHARED_MEMORY_PER_BLOCK = 8,
                        FNL_CU_MULTIPROCESSOR_COUNT = 16,
                        FNL_CU_COMPUTE_CAPABILITY_MAJOR = 75,
                        FNL_CU_COMPUTE_CAPABILITY_MINOR = 76,
};
enum fnl_cu_jit_option { /* CUjit_option */
                         FNL_CU_JIT_ERROR_LOG_BUFFER = 5,
                         FNL_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
};
enum { FNL_CU_STREAM_NON_BLOCKING = 1, FNL_CU_EVENT_DEFAULT = 0, FNL_CU_CAPTURE_RELAXED = 2 };

struct fnl_cu_uuid {
    unsigned char bytes[16];
};

/* symbol, required, parameters; all return CUresult. _v2 is what cuda.h calls by the plain name. */
#define FNL_CUDA_SYMBOLS(X)                                                                        \
    X(cuInit, true, (unsigned flags))                                                              \
    X(cuDriverGetVersion, true, (int *ret_version))                                                \
    X(cuGetErrorName, false, (int result, const char **ret_name))                                  \
    X(cuGetErrorString, false, (int result, const char **ret_text))                                \
    X(cuDeviceGetCount, true, (int *ret_count))                                                    \
    X(cuDeviceGet, true, (int *ret_device, int ordinal))                                           \
    X(cuDeviceGetName, true, (char *name, int size, int device))                                   \
    X(cuDeviceGetUuid_v2, false, (struct fnl_cu_uuid * ret_uuid, int device))                      \
    X(cuDeviceTotalMem_v2, true, (size_t * ret_bytes, int device))                                 \
    X(cuDeviceGetAttribute, true, (int *ret_value, int attribute, int device))                     \
    X(cuDevicePrimaryCtxRetain, true, (struct fnl_cu_context * *ret_context, int device))          \
    X(cuDevicePrimaryCtxRelease_v2, true, (int device))                                            \
    X(cuCtxSetCurrent, true, (struct fnl_cu_context * context))                                    \
    X(cuMemGetInfo_v2, false, (size_t * ret_free, size_t * ret_total))                             \
    X(cuMemAlloc_v2, true, (uint64_t * ret_address, size_t bytes))                                 \
    X(cuMemFree_v2, true, (uint64_t address))                                                      \
    X(cuMemAllocHost_v2, false, (void **ret_host, size_t bytes))                                   \
    X(cuMemFreeHost, false, (void *host))                                                          \
    X(cuMemcpyHtoDAsync_v2, true,                                                                  \
      (uint64_t dst, const void *src, size_t bytes, struct fnl_cu_stream *stream))                 \
    X(cuMemcpyDtoHAsync_v2, true,                                                                  \
      (void *dst, uint64_t src, size_t bytes, struct fnl_cu_stream *stream))                       \
    X(cuMemcpyDtoDAsync_v2, true,                                                                  \
      (uint64_t dst, uint64_t src, size_t bytes, struct fnl_cu_stream * stream))                   \
    X(cuMemsetD32Async, true,                                                                      \
      (uint64_t dst, unsigned word, size_t words, struct fnl_cu_stream *stream))                   \
    X(cuStreamCreate, true, (struct fnl_cu_stream * *ret_stream, unsigned flags))                  \
    X(cuStreamDestroy_v2, true, (struct fnl_cu_stream * stream))                                   \
    X(cuStreamSynchronize, true, (struct fnl_cu_stream * stream))                                  \
    X(cuStreamBeginCapture_v2, true, (struct fnl_cu_stream * stream, int mode))                    \
    X(cuStreamEndCapture, true, (struct fnl_cu_stream * stream, struct fnl_cu_graph * *ret_graph)) \
    X(cuGraphInstantiateWithFlags, true,                                                           \
      (struct fnl_cu_graph_exec * *ret_exec, struct fnl_cu_graph * graph,                          \
       unsigned long long flags))                                                                  \
    X(cuGraphLaunch, true, (struct fnl_cu_graph_exec * exec, struct fnl_cu_stream * stream))       \
    X(cuGraphExecDestroy, true, (struct fnl_cu_graph_exec * exec))                                 \
    X(cuGraphDestroy, true, (struct fnl_cu_graph * graph))                                         \
    X(cuEventCreate, true, (struct fnl_cu_event * *ret_event, unsigned flags))                     \
    X(cuEventDestroy_v2, true, (struct fnl_cu_event * event))                                      \
    X(cuEventRecord, true, (struct fnl_cu_event * event, struct fnl_cu_stream * stream))           \
    X(cuEventSynchronize, true, (struct fnl_cu_event * event))                                     \
    X(cuEventElapsedTime, false,                                                                   \
      (float *ret_ms, struct fnl_cu_event *from, struct fnl_cu_event *to))                         \
    X(cuModuleLoadDataEx, true,                                                                    \
      (struct fnl_cu_module * *ret_module, const void *image, unsigned count, int *option,         \
       void **value))                                                                              \
    X(cuModuleUnload, true, (struct fnl_cu_module * module))                                       \
    X(cuModuleGetFunction, true,                                                                   \
      (struct fnl_cu_function * *ret_function, struct fnl_cu_module * module, const char *name))   \
    X(cuLaunchKernel, true,                                                                        \
      (struct fnl_cu_function * function, unsigned grid_x, unsigned grid_y, unsigned grid_z,       \
       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,                \
       struct fnl_cu_stream *stream, void **params, void **extra))

struct fnl__cuda_api {
#define FNL_CUDA_SLOT(symbol, required, params) int(*symbol) params;
    FNL_CUDA_SYMBOLS(FNL_CUDA_SLOT)
#undef FNL_CUDA_SLOT
    int version;      /* of CUDA, of the driver: 13000 is 13.0 */
    int count;        /* devices when the driver was started */
    char driver[128]; /* "CUDA 13.0, driver 580.65.06" */
};

/* Opens and starts the driver, once for the process; a later call gives the same answer. */
int fnl__cuda_api_open(const struct fnl__cuda_api **ret_api, struct fnl_error *err);
/* Test hook: the next call opens it afresh. No device may be open. */
void fnl__cuda_api_forget(void);

/* "580.65.06" out of the text of /proc/driver/nvidia/version; "" when it is not in there. */
void fnl__cuda_release(const char *text, char *ret_release, size_t size);

#endif
