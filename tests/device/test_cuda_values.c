/* Our own declarations of the CUDA driver API against NVIDIA's cuda.h, where that is installed. */
#include "base/test.h"

#include "device/cuda/cuda_api.h"

#ifdef FNL_CUDA_H
#include FNL_CUDA_H

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
SAME(FNL_CU_MAX_THREADS_PER_BLOCK, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME(FNL_CU_MAX_SHARED_MEMORY_PER_BLOCK, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
SAME(FNL_CU_MULTIPROCESSOR_COUNT, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(FNL_CU_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(FNL_CU_COMPUTE_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(FNL_CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER);
SAME(FNL_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
SAME(FNL_CU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME(FNL_CU_EVENT_DEFAULT, CU_EVENT_DEFAULT);
SAME(FNL_CU_CAPTURE_RELAXED, CU_STREAM_CAPTURE_MODE_RELAXED);
_Static_assert(sizeof(CUdevice) == sizeof(int), "CUdevice");
_Static_assert(sizeof(CUdeviceptr) == sizeof(uint64_t), "CUdeviceptr");
_Static_assert(sizeof(CUresult) == sizeof(int), "CUresult");
_Static_assert(sizeof(CUjit_option) == sizeof(int), "CUjit_option");
_Static_assert(sizeof(CUuuid) == sizeof(struct fnl_cu_uuid), "CUuuid");
_Static_assert(sizeof(CUcontext) == sizeof(void *), "CUcontext");
#endif

static void ours_are_theirs(void **state)
{
    (void)state;
#ifdef FNL_CUDA_H
    static const struct {
        const char *name;
        int ours, theirs;
    } row[] = {
#define CUDA_ERROR_SUCCESS CUDA_SUCCESS
#define ROW(name, value) {#name, FNL_CU_##name, CUDA_ERROR_##name},
        FNL_CU_RESULTS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < TEST_COUNT(row); i++) {
        if (row[i].ours != row[i].theirs) {
            fail_msg("CUDA_ERROR_%s is %d, not %d", row[i].name, row[i].theirs, row[i].ours);
        }
    }
#else
    (void)fprintf(stderr, "skipped: no cuda.h here\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ours_are_theirs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
