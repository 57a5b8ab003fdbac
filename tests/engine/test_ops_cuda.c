/* Operators through the CUDA driver's host code: test_ops_gpu.c's table on the stand-in for a GPU
 * (tests/fake_cuda). The kernels run as OpenCL C all the same, so what this shows is that buffers,
 * offsets, launches and graphs come to the driver as they should. */
#include "fake_cuda/fake_cuda.h"

#define DEVICE "cuda:0"
#define ENTER(argv) fake_cuda_enter(argv, true)
#define RUNS 2
#include "test_ops_gpu.c"
