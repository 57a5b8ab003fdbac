/* The OpenCL driver on a real one (PoCL): memory, transfers, launches, recordings, and what it says
 * of what is not there. Skips aloud where there is no OpenCL device. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/test.h"
#include "device/accel.h"

static const char SOURCE[] =
    "__kernel void add(uint n, __global float *x, ulong x_offset, float a)\n"
    "{ x = (__global float *)((__global char *)x + x_offset);\n"
    "  for (uint i = get_global_id(0); i < n; i += get_global_size(0)) x[i] += a; }\n";

static struct fnl_accel *open_or_skip(void)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel *a = NULL;
    if (fnl_accel_open("opencl:0", &a, &err) != 0) {
        print_message("skipped: %s\n", err.message);
        skip();
    }
    return a;
}

static struct fnl_accel_buf *buffer_of(struct fnl_accel *a, const float *x, size_t n)
{
    struct fnl_accel_buf *b = NULL;
    assert_int_equal(a->driver->buf_alloc(a, n * sizeof *x, &b, NULL), 0);
    assert_int_equal(a->driver->put(a, b, 0, x, n * sizeof *x, NULL), 0);
    return b;
}

static void read_back(struct fnl_accel *a, struct fnl_accel_buf *b, float *x, size_t n)
{
    assert_int_equal(a->driver->get(a, b, 0, x, n * sizeof *x, NULL), 0);
}

static struct fnl_accel_kernel *add_kernel(struct fnl_accel *a, struct fnl_accel_prog **ret_prog)
{
    struct fnl_accel_kernel *k = NULL;
    assert_int_equal(a->driver->prog_build(a, "add", SOURCE, "", ret_prog, NULL), 0);
    assert_int_equal(a->driver->kernel_get(a, *ret_prog, "add", &k, NULL), 0);
    return k;
}

static int add(struct fnl_accel *a, struct fnl_accel_kernel *k, uint32_t n, struct fnl_accel_buf *b,
               size_t offset, float value)
{
    const struct fnl_accel_arg arg[] = {{.kind = FNL_ARG_U32, .as.u32 = n},
                                        {.kind = FNL_ARG_BUF, .buf = b, .offset = offset},
                                        {.kind = FNL_ARG_F32, .as.f32 = value}};
    const struct fnl_accel_launch l = {
        .kernel = k, .groups = {1, 1, 1}, .group = {4, 1, 1}, .arg = arg, .arg_count = 3};
    return a->driver->launch(a, &l, NULL);
}

static void launches_run_in_order_with_offsets(void **state)
{
    (void)state;
    struct fnl_accel *a = open_or_skip();
    float x[6] = {0, 1, 2, 3, 4, 5};
    struct fnl_accel_buf *b = buffer_of(a, x, 6);
    struct fnl_accel_prog *prog = NULL;
    struct fnl_accel_kernel *k = add_kernel(a, &prog);
    assert_int_equal(add(a, k, 4, b, 2 * sizeof(float), 10.0F), 0);
    assert_int_equal(a->driver->copy(a, b, 0, b, 5 * sizeof(float), sizeof(float), NULL), 0);
    assert_int_equal(a->driver->fill(a, b, sizeof(float), 0x3f800000U, sizeof(float), NULL), 0);
    read_back(a, b, x, 6);
    const float want[6] = {15, 1, 12, 13, 14, 15};
    assert_memory_equal(x, want, sizeof want);
    a->driver->buf_free(a, b);
    a->driver->prog_free(a, prog);
    fnl_accel_close(a);
}

static void recordings_do_nothing_until_run_and_then_each_time(void **state)
{
    (void)state;
    struct fnl_accel *a = open_or_skip();
    float x[2] = {0, 0};
    struct fnl_accel_buf *b = buffer_of(a, x, 2);
    struct fnl_accel_prog *prog = NULL;
    struct fnl_accel_rec *rec = NULL;
    struct fnl_accel_kernel *k = add_kernel(a, &prog);
    assert_int_equal(a->driver->rec_begin(a, NULL), 0);
    assert_int_equal(add(a, k, 1, b, 0, 1.0F), 0);
    assert_int_equal(add(a, k, 1, b, sizeof(float), 2.0F), 0);
    assert_int_equal(a->driver->rec_end(a, &rec, NULL), 0);
    read_back(a, b, x, 2);
    assert_true(x[0] == 0.0F && x[1] == 0.0F);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(a->driver->rec_run(a, rec, NULL), 0);
    }
    read_back(a, b, x, 2);
    assert_true(x[0] == 5.0F && x[1] == 10.0F);
    a->driver->rec_free(a, rec);
    a->driver->buf_free(a, b);
    a->driver->prog_free(a, prog);
    fnl_accel_close(a);
}

static void events_tell_the_time_between(void **state)
{
    (void)state;
    struct fnl_accel *a = open_or_skip();
    struct fnl_accel_event *from = NULL, *to = NULL;
    uint64_t ns = UINT64_MAX;
    assert_int_equal(a->driver->event_create(a, &from, NULL), 0);
    assert_int_equal(a->driver->event_create(a, &to, NULL), 0);
    assert_int_equal(a->driver->event_elapsed(a, from, to, &ns, NULL), FNL_E_INVALID);
    assert_int_equal(a->driver->event_record(a, from, NULL), 0);
    assert_int_equal(a->driver->event_record(a, to, NULL), 0);
    assert_int_equal(a->driver->event_elapsed(a, from, to, &ns, NULL), 0);
    assert_true(ns < UINT64_C(60000000000));
    a->driver->event_free(a, from);
    a->driver->event_free(a, to);
    fnl_accel_close(a);
}

static void compile_errors_name_the_file_and_the_line(void **state)
{
    (void)state;
    struct fnl_accel *a = open_or_skip();
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_prog *prog = NULL;
    int rc =
        a->driver->prog_build(a, "bad", "__kernel void f(void)\n{ int x = ; }\n", "", &prog, &err);
    assert_int_equal(rc, FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "bad.k"));
    assert_non_null(strstr(err.message, "error"));
    assert_null(prog);
    fnl_accel_close(a);
}

static void a_kernel_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct fnl_accel *a = open_or_skip();
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_prog *prog = NULL;
    struct fnl_accel_kernel *k = add_kernel(a, &prog);
    assert_int_equal(a->driver->kernel_get(a, prog, "subtract", &k, &err), FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "subtract"));
    a->driver->prog_free(a, prog);
    fnl_accel_close(a);
}

static void too_much_memory_is_refused_with_numbers(void **state)
{
    (void)state;
    struct fnl_accel *a = open_or_skip();
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_buf *b = NULL;
    assert_int_equal(a->driver->buf_alloc(a, (size_t)1 << 50, &b, &err), FNL_E_NOMEM);
    assert_non_null(strstr(err.message, "MiB"));
    fnl_accel_close(a);
}

static void devices_that_are_not_there_are_refused(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel *a = NULL;
    assert_int_equal(fnl_accel_open("opencl:77", &a, &err), FNL_E_DEVICE);
    assert_true(err.hint[0] != 0);
    assert_int_equal(fnl_accel_open("vulkan:0", &a, &err), FNL_E_DEVICE);
    assert_int_equal(fnl_accel_open("opencl:x", &a, &err), FNL_E_INVALID);
    assert_null(a);
}

static void names_of_accelerators_are_known(void **state)
{
    (void)state;
    assert_true(fnl_accel_is_name("cuda"));
    assert_true(fnl_accel_is_name("cuda:3"));
    assert_true(fnl_accel_is_name("opencl:0"));
    assert_false(fnl_accel_is_name("cpu"));
    assert_false(fnl_accel_is_name("cuda:"));
    assert_false(fnl_accel_is_name("cuda:-1"));
    assert_false(fnl_accel_is_name("cudax:0"));
    assert_false(fnl_accel_is_name("opencl:99999999999999999999"));
}

/* Builds the program, runs it, and gives back the number of files in the cache. */
static int build_and_count(const char *defines)
{
    struct fnl_accel *a = open_or_skip();
    struct fnl_accel_prog *prog = NULL;
    struct fnl_accel_kernel *k = NULL;
    float x[2] = {1.0F, 2.0F};
    struct fnl_accel_buf *b = buffer_of(a, x, 2);
    assert_int_equal(a->driver->prog_build(a, "add", SOURCE, defines, &prog, NULL), 0);
    assert_int_equal(a->driver->kernel_get(a, prog, "add", &k, NULL), 0);
    assert_int_equal(add(a, k, 2, b, 0, 3.0F), 0);
    read_back(a, b, x, 2);
    assert_true(x[0] == 4.0F && x[1] == 5.0F);
    a->driver->buf_free(a, b);
    a->driver->prog_free(a, prog);
    fnl_accel_close(a);
    char path[512];
    int files = 0;
    snprintf(path, sizeof path, "%s/programs", test_dir);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        files += e->d_name[0] != '.';
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return files;
}

/* What was compiled is kept and taken again; something else under its key is compiled anew. */
static void compiled_programs_are_kept(void **state)
{
    (void)state;
    assert_int_equal(build_and_count(""), 1);
    assert_int_equal(build_and_count(""), 1);
    assert_int_equal(build_and_count("-DOTHER=1"), 2);
}

static int use_test_dir(void **state)
{
    return test_dir_make(state) == 0 && setenv("FOURNIL_CACHE", test_dir, 1) == 0 ? 0 : -1;
}

static void every_device_that_is_counted_can_be_described(void **state)
{
    (void)state;
    struct fnl_error reason = FNL_ERROR_INIT;
    int count = -1;
    assert_int_equal(fnl_accel_opencl.count(&count, &reason), 0);
    assert_true(count >= 0);
    assert_true(count > 0 || reason.message[0] != 0);
    for (int i = 0; i < count; i++) {
        struct fnl_accel_info info;
        char name[24];
        snprintf(name, sizeof name, "opencl:%d", i);
        assert_int_equal(fnl_accel_opencl.info(i, &info, NULL), 0);
        assert_string_equal(info.name, name);
        assert_true(info.model[0] != 0 && info.memory_bytes > 0 && info.max_group > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_run_in_order_with_offsets),
        cmocka_unit_test(recordings_do_nothing_until_run_and_then_each_time),
        cmocka_unit_test(events_tell_the_time_between),
        cmocka_unit_test(compile_errors_name_the_file_and_the_line),
        cmocka_unit_test(a_kernel_that_is_not_there_is_named),
        cmocka_unit_test(too_much_memory_is_refused_with_numbers),
        cmocka_unit_test(devices_that_are_not_there_are_refused),
        cmocka_unit_test(names_of_accelerators_are_known),
        cmocka_unit_test(every_device_that_is_counted_can_be_described),
        cmocka_unit_test_setup_teardown(compiled_programs_are_kept, use_test_dir, test_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
