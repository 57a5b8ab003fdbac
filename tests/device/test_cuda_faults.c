/* What the CUDA driver does when something is wrong: every call of the driver's library fails in
 * turn, symbols are missing, there is no device or no library, allocations fail. Nothing crashes or
 * leaks, and the words say what to do. */
#include "cuda_test.h"

#include <sys/stat.h>

#include "device/cuda/cuda_int.h"
#include "device/library.h"

/* Everything that a device can do, once; the first failure. Frees all in any case. */
struct session {
    struct fnl_accel *d;
    struct fnl_accel_buf *a, *b;
    struct fnl_accel_prog *prog;
    struct fnl_accel_kernel *kernel;
    struct fnl_accel_rec *rec;
    struct fnl_accel_event *from, *to;
    float *page;
    float result[16];
};

#define STEP(call)                                                                                 \
    do {                                                                                           \
        int step_rc = (call);                                                                      \
        if (step_rc != 0) {                                                                        \
            return step_rc;                                                                        \
        }                                                                                          \
    } while (0)

static int record(struct session *s, struct fnl_error *err)
{
    const struct fnl_accel_arg arg[] = {BUF(s->a, 0), F32(2.0f), I32(1), U32(16), BUF(s->b, 0)};
    const struct fnl_accel_launch l = {
        .kernel = s->kernel, .groups = {1, 1, 1}, .group = {16, 1, 1}, .arg = arg, .arg_count = 5};
    STEP(cuda->rec_begin(s->d, err));
    int rc = cuda->launch(s->d, &l, err);
    if (rc == 0) {
        rc = cuda->copy(s->d, s->a, 0, s->b, 0, 64, err);
    }
    if (rc == 0) {
        rc = cuda->fill(s->d, s->a, 60, 0, 4, err);
    }
    int end = cuda->rec_end(s->d, &s->rec, err);
    if (rc != 0) {
        assert_int_equal(end, rc); /* passed on */
        assert_null(s->rec);
    }
    return end;
}

static int work(struct session *s, struct fnl_error *err)
{
    uint64_t bytes = 0;
    struct fnl_accel_info info;
    STEP(cuda->info(0, &info, err));
    STEP(cuda->open(0, &s->d, err));
    STEP(cuda->buf_alloc(s->d, 64, &s->a, err));
    STEP(cuda->buf_alloc(s->d, 64, &s->b, err));
    (void)cuda->memory_free(s->d, &bytes);
    s->page = cuda->host_alloc(s->d, 64);
    float plain[16], *x = s->page != NULL ? s->page : plain;
    for (int i = 0; i < 16; i++) {
        x[i] = (float)i;
    }
    int rc = cuda->put(s->d, s->a, 0, x, 64, err);
    int waited = cuda->sync(s->d, rc == 0 ? err : NULL); /* `plain` is read until here */
    STEP(rc);
    STEP(waited);
    STEP(build_probe(s->d, "", &s->prog, err));
    STEP(cuda->kernel_get(s->d, s->prog, "probe_scale", &s->kernel, err));
    STEP(record(s, err));
    STEP(cuda->event_create(s->d, &s->from, err));
    STEP(cuda->event_create(s->d, &s->to, err));
    STEP(cuda->event_record(s->d, s->from, err));
    STEP(cuda->rec_run(s->d, s->rec, err));
    STEP(cuda->event_record(s->d, s->to, err));
    rc = cuda->event_elapsed(s->d, s->from, s->to, &bytes, err);
    STEP(rc == FNL_E_UNSUPPORTED ? 0 : rc);
    STEP(cuda->get(s->d, s->a, 0, s->result, 64, err));
    return 0;
}

static void check_lost(struct session *s, const struct fnl_error *err)
{
    struct fnl_error again = FNL_ERROR_INIT;
    uint32_t word = 0;
    assert_int_equal(cuda->put(s->d, s->a, 0, &word, 4, &again), FNL_E_DEVICE_LOST);
    assert_string_equal(again.message, err->message);
    assert_string_equal(again.hint, err->hint);
    assert_int_equal(cuda->sync(s->d, &again), FNL_E_DEVICE_LOST);
    assert_string_equal(again.message, err->message);
    assert_int_equal(cuda->rec_begin(s->d, NULL), FNL_E_DEVICE_LOST);
    assert_null(cuda->host_alloc(s->d, 64));
}

static int session(struct fnl_error *err)
{
    struct session s = {0};
    int rc = work(&s, err);
    if (rc == FNL_E_DEVICE_LOST && err != NULL && s.a != NULL) {
        check_lost(&s, err);
    }
    if (s.d != NULL) {
        cuda->event_free(s.d, s.from);
        cuda->event_free(s.d, s.to);
        cuda->rec_free(s.d, s.rec);
        cuda->prog_free(s.d, s.prog);
        cuda->host_free(s.d, s.page);
        cuda->buf_free(s.d, s.a);
        cuda->buf_free(s.d, s.b);
    }
    cuda->close(s.d);
    if (rc == 0) {
        for (int i = 0; i < 15; i++) {
            assert_true(s.result[i] == 2.0f * (float)i + 1.0f);
        }
        assert_true(s.result[15] == 0.0f);
    }
    return rc;
}

static void every_call_may_fail_in_turn(void **state)
{
    (void)state;
    static const int results[] = {FNL_CU_INVALID_VALUE,     FNL_CU_OUT_OF_MEMORY,
                                  FNL_CU_LAUNCH_FAILED,     FNL_CU_ECC_UNCORRECTABLE,
                                  FNL_CU_INVALID_DEVICE,    FNL_CU_UNKNOWN,
                                  FNL_CU_DEVICE_UNAVAILABLE};
    start_with_device(NULL);
    assert_int_equal(session(NULL), 0);
    const long calls = fake_cuda_called("any");
    assert_true(calls > 60);
    for (size_t r = 0; r < TEST_COUNT(results); r++) {
        int failed = 0;
        for (long n = 1; n <= calls + 1; n++) {
            char text[64];
            struct fnl_error err = FNL_ERROR_INIT;
            (void)snprintf(text, sizeof text, "FAKE_CUDA_FAIL=any:%ld:%d", n, results[r]);
            const char *const pairs[] = {text, NULL};
            start(pairs);
            int rc = session(&err);
            assert_int_equal(rc, err.code);
            assert_true(rc == 0 || err.message[0] != 0);
            failed += rc != 0;
            assert_int_equal(fake_cuda_live_handles(), 0);
        }
        assert_true(failed > 30); /* what only frees, or only informs, may fail unseen */
    }
}

static void every_allocation_may_fail_in_turn(void **state)
{
    (void)state;
    start_with_device(NULL);
    char *source = read_source("tests/fake_cuda/probe.k"); /* its allocations are the test's own */
    fnl_free(source);
    int rc = FNL_E_NOMEM;
    for (uint64_t n = 1; rc != 0; n++) {
        struct session s = {0};
        struct fnl_error err = FNL_ERROR_INIT;
        struct fnl_accel_event *event = NULL;
        source = read_source("tests/fake_cuda/probe.k");
        fnl_mem_fail_at(n);
        rc = cuda->open(0, &s.d, &err);
        if (rc == 0) {
            rc = cuda->buf_alloc(s.d, 64, &s.a, &err);
        }
        if (rc == 0) {
            rc = cuda->prog_build(s.d, "probe.k", source, "-DN=1", &s.prog, &err);
        }
        if (rc == 0) {
            rc = cuda->kernel_get(s.d, s.prog, "probe_sum", &s.kernel, &err);
        }
        if (rc == 0) {
            rc = cuda->event_create(s.d, &event, &err);
        }
        if (rc == 0 && cuda->rec_begin(s.d, &err) == 0) {
            rc = cuda->rec_end(s.d, &s.rec, &err);
        }
        fnl_mem_fail_at(0);
        assert_true(n < 200);
        if (s.d != NULL) {
            cuda->event_free(s.d, event);
            cuda->rec_free(s.d, s.rec);
            cuda->prog_free(s.d, s.prog);
            cuda->buf_free(s.d, s.a);
        }
        cuda->close(s.d);
        fnl_free(source);
        assert_true(rc == 0 || err.message[0] != 0);
        assert_int_equal(fake_cuda_live_handles(), 0);
    }
}

static void each_missing_symbol_is_named_or_done_without(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool required;
    } row[] = {
#define ROW(symbol, required, params) {#symbol, required},
        FNL_CUDA_SYMBOLS(ROW)
#undef ROW
    };
    start_with_device(NULL);
    for (size_t i = 0; i < TEST_COUNT(row); i++) {
        struct fnl_error err = FNL_ERROR_INIT;
        int count = 0;
        start(NULL);
        fnl_library_hide(row[i].name);
        assert_int_equal(cuda->count(&count, &err), 0);
        if (row[i].required) {
            assert_int_equal(count, 0);
            assert_non_null(strstr(err.message, row[i].name));
            assert_non_null(strstr(err.hint, "470"));
            assert_int_equal(session(&err), FNL_E_DEVICE);
        } else {
            assert_int_equal(count, 1);
            assert_int_equal(session(&err), 0);
        }
        fnl_library_hide(NULL);
    }
}

static void without_the_library_the_hint_says_what_to_install(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel *d = NULL;
    int count = -1;
    start(NULL);
    fnl_library_hide("libcuda.so.1");
    assert_int_equal(cuda->count(&count, &err), 0);
    assert_int_equal(count, 0);
    assert_non_null(strstr(err.message, "libcuda.so.1"));
    assert_non_null(strstr(err.hint, "nvidia-driver"));
    assert_int_equal(cuda->open(0, &d, &err), FNL_E_DEVICE);
    assert_memory_equal(err.message, "cuda:0: libcuda.so.1", 20);
    fnl_library_hide(NULL);
}

static void a_device_may_vanish_between_list_and_open(void **state)
{
    (void)state;
    static const char *const get[] = {"FAKE_CUDA_DEVICES=2", "FAKE_CUDA_FAIL=cuDeviceGet:2:101+",
                                      NULL};
    static const char *const retain[] = {"FAKE_CUDA_FAIL=cuDevicePrimaryCtxRetain:1:46", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_info info;
    struct fnl_accel *d = NULL;
    start_with_device(get);
    assert_int_equal(cuda->info(1, &info, &err), 0);
    assert_int_equal(cuda->open(1, &d, &err), FNL_E_DEVICE);
    assert_string_equal(err.message, "cuda:1: the device is not there any more: "
                                     "CUDA_ERROR_INVALID_DEVICE (from the stand-in driver)");
    assert_non_null(strstr(err.hint, "nvidia-smi -L"));
    start(retain);
    assert_int_equal(cuda->info(0, &info, &err), 0);
    assert_int_equal(cuda->open(0, &d, &err), FNL_E_DEVICE);
    assert_non_null(strstr(err.hint, "exclusive"));
    assert_null(d);
}

static void numbers_that_are_not_there_are_refused(void **state)
{
    (void)state;
    static const char *const two[] = {"FAKE_CUDA_DEVICES=2", NULL};
    static const char *const hidden[] = {"FAKE_CUDA_DEVICES=2", "CUDA_VISIBLE_DEVICES=1", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel *d = NULL;
    start_with_device(two);
    assert_int_equal(cuda->open(2, &d, &err), FNL_E_DEVICE);
    assert_string_equal(
        err.message, "cuda:2: there is no such device: 2 CUDA devices are here, numbered from 0");
    assert_int_equal(cuda->open(-1, &d, &err), FNL_E_DEVICE);
    start(hidden);
    assert_int_equal(cuda->open(1, &d, &err), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "1 CUDA device is here"));
    assert_non_null(strstr(err.hint, "CUDA_VISIBLE_DEVICES=1 hides others"));
}

static void no_device_is_explained(void **state)
{
    (void)state;
    static const struct {
        const char *pair[2], *message, *hint;
    } row[] = {
        {{"CUDA_VISIBLE_DEVICES="}, "set and empty", "unset it"},
        {{"CUDA_VISIBLE_DEVICES=7"}, "CUDA_VISIBLE_DEVICES=7 names no GPU", "nvidia-smi -L"},
        {{"CUDA_VISIBLE_DEVICES=GPU-ffff"}, "GPU-ffff names no GPU", "UUID"},
        {{"FAKE_CUDA_FAIL=cuInit:1:803"}, "SYSTEM_DRIVER_MISMATCH", "restart"},
        {{"FAKE_CUDA_FAIL=cuInit:1:34"}, "STUB_LIBRARY", "LD_LIBRARY_PATH"},
        {{"FAKE_CUDA_FAIL=cuInit:1:12345"}, "CUDA error 12345", ""},
    };
    start_with_device(NULL);
    for (size_t i = 0; i < TEST_COUNT(row); i++) {
        struct fnl_error err = FNL_ERROR_INIT;
        struct fnl_accel *d = NULL;
        int count = -1;
        start(row[i].pair);
        assert_int_equal(cuda->count(&count, &err), 0);
        assert_int_equal(count, 0);
        assert_non_null(strstr(err.message, row[i].message));
        assert_non_null(strstr(err.hint, row[i].hint));
        assert_int_equal(cuda->open(0, &d, &err), FNL_E_DEVICE);
        assert_memory_equal(err.message, "cuda:0: ", 8);
    }
}

static void the_folder_of_devices_tells_why(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(unsetenv("CUDA_VISIBLE_DEVICES"), 0);
    assert_int_equal(fnl__cuda_no_device(&err, test_dir), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "no NVIDIA GPU (there is no"));
    assert_non_null(strstr(err.hint, "docker run --gpus all"));
    test_write(test_path("nvidiactl"), "", 0);
    assert_int_equal(fnl__cuda_no_device(&err, test_dir), FNL_E_DEVICE);
    assert_string_equal(err.message, "the driver finds no NVIDIA GPU");
    if (geteuid() == 0) {
        (void)fprintf(stderr, "note: the superuser is refused nothing\n");
        return;
    }
    assert_int_equal(chmod(test_path("nvidiactl"), 0), 0);
    assert_int_equal(fnl__cuda_no_device(&err, test_dir), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "no permission"));
}

static void the_release_is_found_in_the_kernel_modules_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } row[] = {
        {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:19:27 UTC 2025\n"
         "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
         "580.65.06"},
        {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build\n",
         "570.124.06"},
        {"NVRM version: NVIDIA UNIX Kernel Module without a number\nGCC version: 12.2\n", ""},
        {"Kernel Module  1111111111111111111111111111111111111111.1 x\n", ""},
        {"Kernel Module", ""},
        {"", ""},
    };
    for (size_t i = 0; i < TEST_COUNT(row); i++) {
        char release[32];
        fnl__cuda_release(row[i].text, release, sizeof release);
        assert_string_equal(release, row[i].want);
    }
}

static int set_up(void **state)
{
    return test_dir_make(state) == 0 && setenv("FOURNIL_CACHE", test_dir, 1) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    (void)argc;
    fake_cuda_enter(argv, true);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_dir_remove)
    const struct CMUnitTest tests[] = {
        TEST(every_call_may_fail_in_turn),
        TEST(every_allocation_may_fail_in_turn),
        TEST(each_missing_symbol_is_named_or_done_without),
        TEST(without_the_library_the_hint_says_what_to_install),
        TEST(a_device_may_vanish_between_list_and_open),
        TEST(numbers_that_are_not_there_are_refused),
        TEST(no_device_is_explained),
        TEST(the_folder_of_devices_tells_why),
        TEST(the_release_is_found_in_the_kernel_modules_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
