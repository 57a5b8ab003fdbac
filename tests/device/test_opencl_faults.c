/* The OpenCL driver when calls fail: each call of each entry point in turn, on the stand-in loader
 * (tests/fake_opencl). Whatever fails: no crash, no handle left over, an error with words. Skips
 * aloud where there is no OpenCL device. */
#include "base/test.h"

#include <sys/stat.h>

#include "device/accel.h"
#include "device/opencl/cl_api.h"
#include "fake_opencl/fake_opencl.h"

static const char SOURCE[] =
    "__kernel void add(uint n, __global float *x, ulong x_offset, float a)\n"
    "{ x = (__global float *)((__global char *)x + x_offset);\n"
    "  for (uint i = get_global_id(0); i < n; i += get_global_size(0)) x[i] += a; }\n";

#define COUNT 64

/* All that a scenario makes, so that it can be given back wherever it stopped. */
struct things {
    struct fnl_accel *a;
    const struct fnl_accel_driver *d;
    struct fnl_accel_buf *x, *y;
    struct fnl_accel_prog *prog;
    struct fnl_accel_kernel *kernel;
    struct fnl_accel_rec *rec;
    struct fnl_accel_event *from, *to;
    float host[COUNT], result[COUNT];
};

static int add(struct things *t, struct fnl_error *err)
{
    const struct fnl_accel_arg arg[] = {{.kind = FNL_ARG_U32, .as.u32 = COUNT},
                                        {.kind = FNL_ARG_BUF, .buf = t->y},
                                        {.kind = FNL_ARG_F32, .as.f32 = 1.0F}};
    const struct fnl_accel_launch l = {
        .kernel = t->kernel, .groups = {4, 1, 1}, .group = {16, 1, 1}, .arg = arg, .arg_count = 3};
    return t->d->launch(t->a, &l, err);
}

static int make(struct things *t, struct fnl_error *err)
{
    int rc = fnl_accel_open("opencl:0", &t->a, err);
    if (rc != 0) {
        return rc;
    }
    t->d = t->a->driver;
    rc = t->d->prog_build(t->a, "add", SOURCE, "", &t->prog, err);
    rc = rc != 0 ? rc : t->d->kernel_get(t->a, t->prog, "add", &t->kernel, err);
    rc = rc != 0 ? rc : t->d->buf_alloc(t->a, sizeof t->host, &t->x, err);
    rc = rc != 0 ? rc : t->d->buf_alloc(t->a, sizeof t->host, &t->y, err);
    rc = rc != 0 ? rc : t->d->event_create(t->a, &t->from, err);
    return rc != 0 ? rc : t->d->event_create(t->a, &t->to, err);
}

static int record(struct things *t, struct fnl_error *err)
{
    int rc = t->d->rec_begin(t->a, err);
    if (rc != 0) {
        return rc;
    }
    rc = t->d->copy(t->a, t->y, 0, t->x, 0, sizeof t->host, err);
    rc = rc != 0 ? rc : add(t, err);
    rc = rc != 0 ? rc : t->d->fill(t->a, t->y, 0, 0, sizeof(float), err);
    rc = rc != 0 ? rc : add(t, err);
    int end = t->d->rec_end(t->a, &t->rec, rc == 0 ? err : NULL);
    return rc != 0 ? rc : end;
}

static int work(struct things *t, struct fnl_error *err)
{
    uint64_t ns = 0;
    int rc = make(t, err);
    rc = rc != 0 ? rc : t->d->put(t->a, t->x, 0, t->host, sizeof t->host, err);
    rc = rc != 0 ? rc : t->d->fill(t->a, t->y, 0, 0, sizeof t->host, err);
    rc = rc != 0 ? rc : add(t, err);
    rc = rc != 0 ? rc : record(t, err);
    rc = rc != 0 ? rc : t->d->event_record(t->a, t->from, err);
    rc = rc != 0 ? rc : t->d->rec_run(t->a, t->rec, err);
    rc = rc != 0 ? rc : t->d->event_record(t->a, t->to, err);
    rc = rc != 0 ? rc : t->d->event_elapsed(t->a, t->from, t->to, &ns, err);
    rc = rc != 0 ? rc : t->d->sync(t->a, err);
    return rc != 0 ? rc : t->d->get(t->a, t->y, 0, t->result, sizeof t->result, err);
}

static void give_back(struct things *t)
{
    if (t->a != NULL) {
        (void)t->d->sync(t->a, NULL);
        t->d->rec_free(t->a, t->rec);
        t->d->event_free(t->a, t->from);
        t->d->event_free(t->a, t->to);
        t->d->buf_free(t->a, t->x);
        t->d->buf_free(t->a, t->y);
        t->d->prog_free(t->a, t->prog);
        fnl_accel_close(t->a);
    }
}

static int scenario(struct fnl_error *err, bool *ret_right)
{
    struct things t = {0};
    for (int i = 0; i < COUNT; i++) {
        t.host[i] = (float)i;
    }
    int rc = work(&t, err);
    *ret_right = rc == 0;
    for (int i = 0; i < COUNT && rc == 0; i++) {
        *ret_right = *ret_right && t.result[i] == (i == 0 ? 1.0F : (float)i + 2.0F);
    }
    give_back(&t);
    return rc;
}

static const struct fake_opencl *stand_in(void)
{
    struct fnl_error reason = FNL_ERROR_INIT;
    int count = 0;
    (void)fnl_accel_opencl.count(&count, &reason);
    if (count == 0) {
        print_message("skipped: %s\n", reason.message);
        skip();
    }
    return fake_opencl();
}

/* May the scenario end well although this call failed? What is only asked or given back, and the
 * cache, without which programs are compiled. */
static bool is_optional(const char *entry, bool is_cached)
{
    static const char *const names[] = {"clGetPlatformInfo",
                                        "clGetDeviceInfo",
                                        "clGetDeviceIDs",
                                        "clGetPlatformIDs",
                                        "clGetKernelWorkGroupInfo",
                                        "clGetProgramInfo",
                                        "clGetProgramBuildInfo",
                                        "clCreateProgramWithBinary",
                                        "clFinish",
                                        NULL};
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], entry) == 0) {
            return true;
        }
    }
    return strncmp(entry, "clRelease", 9) == 0 ||
           (is_cached && strcmp(entry, "clBuildProgram") == 0); /* then from source */
}

static void fail_each_call(const char *entry, int code, bool is_cached)
{
    const struct fake_opencl *f = stand_in();
    bool right = false;
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(scenario(NULL, &right), 0);
    assert_true(right);
    long calls = f->calls(entry);
    for (long n = 1; n <= calls; n++) {
        struct fnl_error err = FNL_ERROR_INIT;
        f->break_at(entry, n, false, code);
        int rc = scenario(&err, &right);
        if (f->live() != 0 || (rc == 0 && !right) || (rc != 0 && err.message[0] == 0) ||
            (rc == 0 && !is_optional(entry, is_cached))) {
            fail_msg("%s, call %ld of %ld, code %d: rc %d \"%s\", %d handles left", entry, n, calls,
                     code, rc, err.message, f->live());
        }
    }
    f->break_at(NULL, 0, false, 0);
}

static void fail_each_entry_point(bool is_cached)
{
    static const int codes[] = {CL_OUT_OF_RESOURCES, CL_DEVICE_NOT_AVAILABLE};
    const struct fake_opencl *f = stand_in();
    const char *entry[64];
    int entries = 0;
    bool right = false;
    assert_int_equal(scenario(NULL, &right), 0);
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(scenario(NULL, &right), 0);
    for (; f->called(entries) != NULL; entries++) {
        entry[entries] = f->called(entries);
    }
    assert_true(entries > 20);
    for (int e = 0; e < entries; e++) {
        if (!is_cached && strstr(entry[e], "Program") == NULL) {
            continue; /* no other than with the cache, and compiling takes its time */
        }
        for (size_t c = 0; c < TEST_COUNT(codes); c++) {
            fail_each_call(entry[e], codes[c], is_cached);
        }
    }
}

static void each_call_of_the_compiler_may_fail(void **state)
{
    (void)state;
    assert_int_equal(setenv("FOURNIL_CACHE", "", 1), 0);
    fail_each_entry_point(false);
}

static void each_call_of_each_entry_point_may_fail(void **state)
{
    (void)state;
    fail_each_entry_point(true);
}

static int code_after(const char *entry, long n, int code, struct fnl_error *err)
{
    bool right = false;
    *err = (struct fnl_error)FNL_ERROR_INIT;
    fake_opencl()->break_at(entry, n, true, code);
    int rc = scenario(err, &right);
    fake_opencl()->break_at(NULL, 0, false, 0);
    return rc;
}

static void failures_have_the_code_of_their_kind(void **state)
{
    (void)state;
    struct fnl_error err;
    (void)stand_in();
    assert_int_equal(code_after("clCreateBuffer", 1, CL_MEM_OBJECT_ALLOCATION_FAILURE, &err),
                     FNL_E_NOMEM);
    assert_non_null(strstr(err.message, "MiB"));
    assert_int_equal(code_after("clCreateContext", 1, CL_OUT_OF_RESOURCES, &err), FNL_E_DEVICE);
    assert_true(err.hint[0] != 0);
    assert_int_equal(code_after("clGetPlatformIDs", 1, -1001, &err), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "CL_PLATFORM_NOT_FOUND_KHR"));
    assert_int_equal(code_after("clGetDeviceIDs", 1, CL_DEVICE_NOT_FOUND, &err), FNL_E_DEVICE);
    assert_int_equal(code_after("clEnqueueNDRangeKernel", 2, CL_OUT_OF_RESOURCES, &err),
                     FNL_E_NOMEM);
    assert_non_null(strstr(err.message, "add"));
    assert_int_equal(code_after("clEnqueueWriteBuffer", 1, CL_INVALID_VALUE, &err), FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "CL_INVALID_VALUE"));
}

static void a_lost_device_stays_lost_and_says_so_each_time(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    struct things t = {0};
    struct fnl_error first = FNL_ERROR_INIT, later = FNL_ERROR_INIT;
    float x = 0.0F;
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(make(&t, NULL), 0);
    assert_int_equal(record(&t, NULL), 0);
    f->break_at("clEnqueueNDRangeKernel", 1, false, CL_DEVICE_NOT_AVAILABLE);
    assert_int_equal(t.d->rec_run(t.a, t.rec, &first), FNL_E_DEVICE_LOST);
    assert_non_null(strstr(first.message, "opencl:0"));
    assert_non_null(strstr(first.message, "lost"));
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(t.d->rec_run(t.a, t.rec, &later), FNL_E_DEVICE_LOST);
    assert_string_equal(later.message, first.message);
    assert_int_equal(t.d->get(t.a, t.y, 0, &x, sizeof x, &later), FNL_E_DEVICE_LOST);
    assert_int_equal(t.d->put(t.a, t.y, 0, &x, sizeof x, &later), FNL_E_DEVICE_LOST);
    assert_int_equal(t.d->sync(t.a, &later), FNL_E_DEVICE_LOST);
    assert_int_equal(add(&t, &later), FNL_E_DEVICE_LOST);
    assert_int_equal(f->calls("clEnqueueReadBuffer"), 0);
    give_back(&t);
    assert_int_equal(f->live(), 0);
}

static void a_file_that_may_not_be_opened_is_named(void **state)
{
    (void)state;
    char path[128];
    if (geteuid() == 0) {
        print_message("skipped: root may open everything\n");
        skip();
    }
    assert_int_equal(mkdir(test_path("dri"), 0700), 0);
    test_write(test_path("dri/renderD129"), "", 0);
    assert_false(fnl__cl_denied(test_dir, path, sizeof path));
    assert_int_equal(chmod(test_path("dri/renderD129"), 0), 0);
    assert_true(fnl__cl_denied(test_dir, path, sizeof path));
    assert_string_equal(path, test_path("dri/renderD129"));
}

/* ---- the cache of programs ---- */

static void programs_come_from_the_cache_the_second_time(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    bool right = false;
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(scenario(NULL, &right), 0);
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(scenario(NULL, &right), 0);
    assert_true(right);
    assert_int_equal(f->calls("clCreateProgramWithBinary"), 1);
    assert_int_equal(f->calls("clCreateProgramWithSource"), 0);
}

static void a_binary_that_the_driver_refuses_is_made_anew(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    bool right = false;
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(scenario(NULL, &right), 0);
    f->break_at("clCreateProgramWithBinary", 1, false, CL_INVALID_BINARY);
    assert_int_equal(scenario(NULL, &right), 0);
    assert_true(right);
    assert_int_equal(f->calls("clCreateProgramWithSource"), 1);
    f->break_at("clBuildProgram", 1, false, CL_INVALID_BINARY);
    assert_int_equal(scenario(NULL, &right), 0);
    assert_true(right);
    assert_int_equal(f->calls("clCreateProgramWithSource"), 1);
    assert_int_equal(f->live(), 0);
}

static void compile_errors_are_not_kept(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    struct fnl_accel *a = NULL;
    struct fnl_accel_prog *prog = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(fnl_accel_open("opencl:0", &a, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            a->driver->prog_build(a, "bad", "__kernel void f(void) { x }", "", &prog, &err),
            FNL_E_INTERNAL);
        assert_null(prog);
    }
    assert_int_equal(f->calls("clCreateProgramWithSource"), 2);
    assert_int_equal(f->calls("clCreateProgramWithBinary"), 0);
    fnl_accel_close(a);
    assert_int_equal(f->live(), 0);
}

static int enter(void **state)
{
    return test_dir_make(state) == 0 ? setenv("FOURNIL_CACHE", test_dir, 1) : -1;
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, enter, test_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_DIR(failures_have_the_code_of_their_kind),
        IN_DIR(each_call_of_the_compiler_may_fail),
        IN_DIR(each_call_of_each_entry_point_may_fail),
        IN_DIR(a_lost_device_stays_lost_and_says_so_each_time),
        IN_DIR(a_file_that_may_not_be_opened_is_named),
        IN_DIR(programs_come_from_the_cache_the_second_time),
        IN_DIR(a_binary_that_the_driver_refuses_is_made_anew),
        IN_DIR(compile_errors_are_not_kept),
    };
    fake_opencl_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
