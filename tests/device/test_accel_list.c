/* The list of accelerators, with drivers that hang, crash, end the process, print, and lie. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/accel_list.h"

#define LIMIT_MS 60000 /* never reached by drivers that do not hang */

/* ---- drivers ---- */

static int no_devices(int *ret_count, struct fnl_error *reason)
{
    *ret_count = 0;
    (void)FNL_FAIL(reason, DEVICE, "install it", "the library is not here");
    return 0;
}

static int two(int *ret_count, struct fnl_error *reason)
{
    (void)reason;
    *ret_count = 2;
    return 0;
}

static int sixty_four(int *ret_count, struct fnl_error *reason)
{
    (void)reason;
    *ret_count = 64;
    return 0;
}

static int far_too_many(int *ret_count, struct fnl_error *reason)
{
    (void)reason;
    *ret_count = 1000000;
    return 0;
}

static int hangs(int *ret_count, struct fnl_error *reason)
{
    (void)ret_count;
    (void)reason;
    while (pause() != 0) {
    }
    return 0;
}

static int crashes(int *ret_count, struct fnl_error *reason)
{
    (void)ret_count;
    (void)reason;
    (void)signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler */
    (void)raise(SIGSEGV);
    return 0;
}

static int ends_the_process(int *ret_count, struct fnl_error *reason)
{
    (void)ret_count;
    (void)reason;
    _exit(0);
}

static int gpu(int index, struct fnl_accel_info *ret, struct fnl_error *err)
{
    (void)err;
    *ret = (struct fnl_accel_info){.compute_units = index == 1 ? 132 : 10, .max_group = 1024};
    (void)snprintf(ret->name, sizeof ret->name, "fake:%d", index);
    (void)snprintf(ret->model, sizeof ret->model, "GPU %d", index);
    return 0;
}

static int processor(int index, struct fnl_accel_info *ret, struct fnl_error *err)
{
    (void)gpu(index, ret, err);
    ret->is_cpu = true;
    return 0;
}

static int all_but_seven(int index, struct fnl_accel_info *ret, struct fnl_error *err)
{
    return index == 7 ? FNL_FAIL(err, DEVICE, "restart it", "it does not answer")
                      : gpu(index, ret, err);
}

static int first_only(int index, struct fnl_accel_info *ret, struct fnl_error *err)
{
    if (index > 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
    }
    return gpu(index, ret, err);
}

static int prints(int index, struct fnl_accel_info *ret, struct fnl_error *err)
{
    (void)puts("noise");
    (void)fflush(stdout);
    return gpu(index, ret, err);
}

static struct fnl_accel_list *list_of(const char *name, int (*count)(int *, struct fnl_error *),
                                      int (*info)(int, struct fnl_accel_info *, struct fnl_error *),
                                      int limit_ms)
{
    const struct fnl_accel_driver driver = {.name = name, .count = count, .info = info};
    const struct fnl_accel_driver *const drivers[] = {&driver, NULL};
    struct fnl_accel_list *list = NULL;
    assert_int_equal(fnl_accel_list_create(drivers, limit_ms, &list, NULL), 0);
    assert_int_equal(list->driver_count, 1);
    assert_string_equal(list->driver[0].name, name);
    return list;
}

/* ---- tests ---- */

static void a_driver_that_is_absent_says_why(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", no_devices, gpu, LIMIT_MS);
    assert_int_equal(list->device_count, 0);
    assert_string_equal(list->driver[0].problem.message, "the library is not here");
    assert_string_equal(list->driver[0].problem.hint, "install it");
    assert_int_equal(list->best, -1);
    assert_string_equal(list->no_gpu.message, "no GPU here: the library is not here");
    fnl_accel_list_free(list);
}

static void the_faster_gpu_is_the_best(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", two, gpu, LIMIT_MS);
    assert_int_equal(list->device_count, 2);
    assert_string_equal(list->device[0].info.model, "GPU 0");
    assert_string_equal(list->device[1].info.model, "GPU 1");
    assert_int_equal(list->best, 1);
    fnl_accel_list_free(list);
}

static void processors_are_listed_and_are_not_the_best(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", two, processor, LIMIT_MS);
    assert_int_equal(list->device_count, 2);
    assert_int_equal(list->best, -1);
    assert_non_null(strstr(list->no_gpu.message, "processors"));
    fnl_accel_list_free(list);
}

static void one_bad_device_of_64_leaves_the_others(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", sixty_four, all_but_seven, LIMIT_MS);
    assert_int_equal(list->device_count, 64);
    for (int i = 0; i < 64; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "fake:%d", i);
        assert_string_equal(list->device[i].info.name, name);
        assert_int_equal(list->device[i].problem.code, i == 7 ? FNL_E_DEVICE : 0);
    }
    assert_string_equal(list->device[7].problem.message, "it does not answer");
    fnl_accel_list_free(list);
}

static void a_count_beyond_the_limit_is_cut(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", far_too_many, gpu, LIMIT_MS);
    assert_int_equal(list->device_count, FNL_MAX_ACCELS);
    fnl_accel_list_free(list);
}

static void a_driver_that_hangs_is_left_alone(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", hangs, gpu, 50);
    assert_int_equal(list->device_count, 0);
    assert_non_null(strstr(list->driver[0].problem.message, "has not answered within 1 s"));
    assert_true(list->driver[0].problem.hint[0] != 0);
    fnl_accel_list_free(list);
}

static void a_driver_that_crashes_is_named(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("opencl", crashes, gpu, LIMIT_MS);
    assert_int_equal(list->device_count, 0);
    assert_non_null(strstr(list->driver[0].problem.message, "opencl driver crashed"));
    assert_non_null(strstr(list->driver[0].problem.hint, "FOURNIL_OPENCL=off"));
    fnl_accel_list_free(list);
}

static void a_driver_that_ends_its_process_is_named(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", ends_the_process, gpu, LIMIT_MS);
    assert_non_null(strstr(list->driver[0].problem.message, "ended the process"));
    fnl_accel_list_free(list);
}

static void what_was_said_before_a_crash_is_kept(void **state)
{
    (void)state;
    struct fnl_accel_list *list = list_of("fake", two, first_only, LIMIT_MS);
    assert_int_equal(list->device_count, 2);
    assert_int_equal(list->device[0].problem.code, 0);
    assert_string_equal(list->device[1].info.name, "fake:1");
    assert_non_null(strstr(list->device[1].problem.message, "crashed"));
    assert_int_equal(list->best, 0);
    fnl_accel_list_free(list);
}

static void a_drivers_noise_is_not_among_our_results(void **state)
{
    (void)state;
    int pipe_fd[2], kept = dup(STDOUT_FILENO);
    char byte;
    (void)fflush(stdout);
    assert_int_equal(pipe(pipe_fd), 0);
    assert_true(dup2(pipe_fd[1], STDOUT_FILENO) >= 0);
    struct fnl_accel_list *list = list_of("fake", two, prints, LIMIT_MS);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    (void)close(pipe_fd[1]);
    assert_int_equal(read(pipe_fd[0], &byte, 1), 0);
    (void)close(pipe_fd[0]);
    (void)close(kept);
    assert_int_equal(list->device_count, 2);
    fnl_accel_list_free(list);
}

static void good_drivers_are_heard_beside_bad_ones(void **state)
{
    (void)state;
    const struct fnl_accel_driver bad = {.name = "bad", .count = hangs, .info = gpu};
    const struct fnl_accel_driver good = {.name = "fake", .count = sixty_four, .info = gpu};
    const struct fnl_accel_driver *const drivers[] = {&bad, &good, NULL};
    struct fnl_accel_list *list = NULL;
    assert_int_equal(fnl_accel_list_create(drivers, 2000, &list, NULL), 0);
    assert_int_equal(list->driver[0].device_count, 0);
    assert_true(list->driver[0].problem.code != 0);
    assert_int_equal(list->driver[1].device_count, 64);
    assert_int_equal(list->driver[1].problem.code, 0);
    assert_string_equal(list->device[list->best].info.name, "fake:1");
    fnl_accel_list_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_driver_that_is_absent_says_why),
        cmocka_unit_test(the_faster_gpu_is_the_best),
        cmocka_unit_test(processors_are_listed_and_are_not_the_best),
        cmocka_unit_test(one_bad_device_of_64_leaves_the_others),
        cmocka_unit_test(a_count_beyond_the_limit_is_cut),
        cmocka_unit_test(a_driver_that_hangs_is_left_alone),
        cmocka_unit_test(a_driver_that_crashes_is_named),
        cmocka_unit_test(a_driver_that_ends_its_process_is_named),
        cmocka_unit_test(what_was_said_before_a_crash_is_kept),
        cmocka_unit_test(a_drivers_noise_is_not_among_our_results),
        cmocka_unit_test(good_drivers_are_heard_beside_bad_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
