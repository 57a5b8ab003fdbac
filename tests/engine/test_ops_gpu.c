/* Operators on an accelerator, forward and backward: the GPU back end must agree with the reference
 * on the table of op_cases.c, at several sizes of work-groups. The device is OpenCL's first, which
 * is PoCL where there is no GPU: the same kernels, compiled for the processor. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/accel.h"
#include "op_case.h"

#ifndef DEVICE /* test_ops_cuda.c has another */
#define DEVICE "opencl:0"
#define ENTER(argv) ((void)(argv))
#define RUNS 100 /* of each case: all */
#endif

/* FOURNIL_TEST_DEVICE: another one (tests/gpu). */
static const char *device(void)
{
    const char *name = getenv("FOURNIL_TEST_DEVICE");
    return name != NULL ? name : DEVICE;
}

static char why[256]; /* there is no device; empty: there is one */

static void skip_without_device(const char *name)
{
    if (why[0] != '\0') {
        print_message("# SKIP %s: %s\n", name, why);
        skip();
    }
}

/* Opening a device takes longer than a case on it, so unusual groups get one setup of the three. */
static void matches_reference(void **state)
{
    static const struct {
        const char *group;
        size_t plan_rows, rows;
        bool training, channels_last;
    } runs[] = {{"256", OP_ROWS, OP_ROWS, true, false},
                {"256", OP_ROWS, 5, true, true},
                {"256", 7, 2, false, true},
                {"32", OP_ROWS, OP_ROWS, true, false},
                {"1", OP_ROWS, OP_ROWS, true, false}};
    const struct op_case *c = *state;
    char text[240] = "";
    int wrong = 0;
    skip_without_device(c->name);
    for (size_t i = 0; i < RUNS && i < sizeof runs / sizeof runs[0]; i++) {
        struct op_setup setup = {.backend = device(),
                                 .shards = 1,
                                 .plan_rows = runs[i].plan_rows,
                                 .rows = runs[i].rows,
                                 .training = runs[i].training && !c->forward_only,
                                 .channels_last = runs[i].channels_last};
        setenv("FOURNIL_GPU_GROUP", runs[i].group, 1);
        if (!op_compare(c, &setup, text, sizeof text)) {
            print_error("%s, groups of %s: %s\n", c->name, runs[i].group, text);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Where windows overlap and hold equal numbers the first maximum takes the gradient, as in the
 * reference; finite differences cannot be asked of such cases, so they are not in the table. */
static void ties_go_to_the_first(void **state)
{
    static const struct op_case cases[] = {
        {.name = "max pool of ties",
         .op = FNL_OP_MAX_POOL,
         .attrs = "kernel=3,3 strides=2,1 pads=1,1,1,0",
         .in = {{OP_FED, "N,3,7,6", OP_BITS, NULL}}},
        {.name = "max pool of ties, dilated",
         .op = FNL_OP_MAX_POOL,
         .attrs = "kernel=2,3 dilations=2,1",
         .in = {{OP_FED, "N,3,7,6", OP_BITS, NULL}}},
        {.name = "global max pool of ties",
         .op = FNL_OP_GLOBAL_MAX_POOL,
         .in = {{OP_FED, "N,5,9,8", OP_BITS, NULL}}},
    };
    (void)state;
    skip_without_device("ties");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const char *const groups[] = {"256", "8"};
        for (size_t k = 0; k < 2; k++) {
            struct op_setup setup = {device(), 1, OP_ROWS, OP_ROWS, true, false};
            char text[240] = "";
            setenv("FOURNIL_GPU_GROUP", groups[k], 1);
            if (!op_compare(&cases[i], &setup, text, sizeof text)) {
                fail_msg("%s: %s", cases[i].name, text);
            }
        }
    }
}

static void bad_label_is_nan(void **state)
{
    (void)state;
    skip_without_device("bad label");
    op_edges_bad_label_is_nan(device());
}

static void nan_comes_through(void **state)
{
    (void)state;
    skip_without_device("NaN");
    op_edges_nan_comes_through(device());
}

int main(int argc, char **argv)
{
    static char names[512][80];
    (void)argc;
    ENTER(argv);
    struct fnl_accel *accel = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_accel_open(device(), &accel, &err) != 0) {
        snprintf(why, sizeof why, "%.240s", err.message);
    }
    fnl_accel_close(accel);
    int count = 0;
    struct CMUnitTest *tests = calloc((size_t)op_case_count + 3, sizeof *tests);
    if (tests == NULL || op_case_count > 512) {
        return 1;
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(ties_go_to_the_first);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(bad_label_is_nan);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(nan_comes_through);
    for (int i = 0; i < op_case_count; i++) {
        snprintf(names[i], sizeof names[i], "%s is ref: %s", device(), op_cases[i].name);
        tests[count++] = (struct CMUnitTest){.name = names[i],
                                             .test_func = matches_reference,
                                             .initial_state = (void *)(uintptr_t)&op_cases[i]};
    }
    int failed = _cmocka_run_group_tests("ops_gpu", tests, (size_t)count, NULL, NULL);
    free(tests);
    return failed;
}
