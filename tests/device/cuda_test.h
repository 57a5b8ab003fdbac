/* cuda_test.h - what tests of the CUDA driver share: the stand-in as fixture, the probe kernels. */
#ifndef FNL_TESTS_DEVICE_CUDA_TEST_H
#define FNL_TESTS_DEVICE_CUDA_TEST_H

#include "base/test.h"

#include "base/buf.h"
#include "base/files.h"
#include "base/mem.h"
#include "device/accel.h"
#include "fake_cuda/fake_cuda.h"

static const struct fnl_accel_driver *const cuda = &fnl_accel_cuda;

/* Sets up the stand-in from "NAME=value" pairs (NULL-terminated; "NAME" unsets) and a fresh cache
 * folder. Skips the test where there is no stand-in. */
static inline void start(const char *const *pairs)
{
    static const char *const names[] = {
        "FAKE_CUDA_DEVICES", "FAKE_CUDA_VERSION",    "FAKE_CUDA_MEMORY",     "FAKE_CUDA_NOOP",
        "FAKE_CUDA_FAIL",    "FAKE_CUDA_CAPABILITY", "CUDA_VISIBLE_DEVICES", "FAKE_NVRTC_VERSION",
        "FAKE_NVRTC_RESULT", "FAKE_NVRTC_COUNT",     "FAKE_NVRTC_ARCHS",
    };
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    for (; pairs != NULL && *pairs != NULL; pairs++) {
        char name[64];
        size_t n = strcspn(*pairs, "=");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, *pairs);
        assert_int_equal(setenv(name, *pairs + n + 1, 1), 0);
    }
    if (!fake_cuda_start()) {
        skip();
    }
}

/* Is there an OpenCL device for the stand-in to run on? Else says so and skips. */
static inline void start_with_device(const char *const *pairs)
{
    struct fnl_error reason = FNL_ERROR_INIT;
    int count = 0;
    start(NULL);
    assert_int_equal(cuda->count(&count, &reason), 0);
    if (count == 0) {
        (void)fprintf(stderr, "skipped: no OpenCL device for the stand-in (pocl-opencl-icd)\n");
        skip();
    }
    start(pairs);
}

static inline struct fnl_accel *open_cuda(int index)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel *a = NULL;
    if (cuda->open(index, &a, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return a;
}

/* The dialect and a kernel file, as prog_build takes them (fnl_free). */
static inline char *read_source(const char *path)
{
    struct fnl_buf b;
    char *text = NULL;
    size_t size = 0;
    fnl_buf_init(&b, 1 << 20);
    assert_int_equal(fnl_file_read("src/engine/kernels/dialect.h", 1 << 20, &text, &size, NULL), 0);
    assert_int_equal(fnl_buf_append(&b, text, size), 0);
    fnl_free(text);
    assert_int_equal(fnl_file_read(path, 1 << 20, &text, &size, NULL), 0);
    assert_int_equal(fnl_buf_append(&b, text, size), 0);
    fnl_free(text);
    return b.data;
}

static inline int build_probe(struct fnl_accel *a, const char *defines,
                              struct fnl_accel_prog **ret_prog, struct fnl_error *err)
{
    char *source = read_source("tests/fake_cuda/probe.k");
    int rc = cuda->prog_build(a, "probe.k", source, defines, ret_prog, err);
    fnl_free(source);
    return rc;
}

#define BUF(b, at)                                                                                 \
    {                                                                                              \
        .kind = FNL_ARG_BUF, .buf = (b), .offset = (at)                                            \
    }
#define U32(x)                                                                                     \
    {                                                                                              \
        .kind = FNL_ARG_U32, .as.u32 = (x)                                                         \
    }
#define I32(x)                                                                                     \
    {                                                                                              \
        .kind = FNL_ARG_I32, .as.i32 = (x)                                                         \
    }
#define F32(x)                                                                                     \
    {                                                                                              \
        .kind = FNL_ARG_F32, .as.f32 = (x)                                                         \
    }

#endif
