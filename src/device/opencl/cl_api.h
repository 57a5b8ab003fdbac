/* cl_api.h - what we use of OpenCL 1.2, by pointer: the ICD loader is opened at run time, so that
 * the program starts and runs where there is none. */
#ifndef FNL_DEVICE_OPENCL_CL_API_H
#define FNL_DEVICE_OPENCL_CL_API_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* All are of OpenCL 1.2, the least version we take; each is needed. */
#define FNL_CL_SYMBOLS(X)                                                                          \
    X(clGetPlatformIDs)                                                                            \
    X(clGetPlatformInfo)                                                                           \
    X(clGetDeviceIDs)                                                                              \
    X(clGetDeviceInfo)                                                                             \
    X(clCreateContext)                                                                             \
    X(clReleaseContext)                                                                            \
    X(clCreateCommandQueue)                                                                        \
    X(clReleaseCommandQueue)                                                                       \
    X(clCreateBuffer)                                                                              \
    X(clReleaseMemObject)                                                                          \
    X(clEnqueueReadBuffer)                                                                         \
    X(clEnqueueWriteBuffer)                                                                        \
    X(clEnqueueCopyBuffer)                                                                         \
    X(clEnqueueFillBuffer)                                                                         \
    X(clEnqueueNDRangeKernel)                                                                      \
    X(clEnqueueMarkerWithWaitList)                                                                 \
    X(clWaitForEvents)                                                                             \
    X(clGetEventProfilingInfo)                                                                     \
    X(clReleaseEvent)                                                                              \
    X(clFlush)                                                                                     \
    X(clFinish)                                                                                    \
    X(clCreateProgramWithSource)                                                                   \
    X(clCreateProgramWithBinary)                                                                   \
    X(clBuildProgram)                                                                              \
    X(clGetProgramInfo)                                                                            \
    X(clGetProgramBuildInfo)                                                                       \
    X(clReleaseProgram)                                                                            \
    X(clCreateKernel)                                                                              \
    X(clReleaseKernel)                                                                             \
    X(clSetKernelArg)                                                                              \
    X(clGetKernelWorkGroupInfo)

struct fnl__cl {
#define FNL_CL_SLOT(name) __typeof__(&(name)) name;
    FNL_CL_SYMBOLS(FNL_CL_SLOT)
#undef FNL_CL_SLOT
};

/* The table, opened once for the process; never closed (drivers do not survive that). FNL_E_DEVICE
 * where there is no loader, or one without OpenCL 1.2. Thread-safe. */
int fnl__cl_open(const struct fnl__cl **ret_cl, struct fnl_error *err);

/* A GPU's file in this folder ("/dev") that is there and that this user may not open: its path, or
 * false. Drivers then find no device and do not say why. */
bool fnl__cl_denied(const char *dev, char *out, size_t size);

/* "CL_OUT_OF_RESOURCES", or "OpenCL error" for a code without a name here. */
const char *fnl__cl_error_name(cl_int code);

#endif
