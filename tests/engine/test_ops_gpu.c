/* Operators on an accelerator, forward and backward: the GPU back end must agree with the reference
 * on the table of op_cases.c, at several sizes of work-groups. The device is OpenCL's first, which
 * is PoCL where there is no GPU: the same kernels, compiled for the processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/accel.h"
#include "engine/backend/gpu/gpu.h"
#include "op_case.h"

#define DEVICE "opencl:0"

static char why[256]; /* there is no device; empty: there is one */

static bool has_row(enum fnl_op op)
{
    for (const struct fnl_op_impl *const *i = fnl_backend_gpu.impls; *i != NULL; i++) {
        if ((*i)->op == op) {
            return true;
        }
    }
    return false;
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
    if (why[0] != '\0' || !has_row(c->op)) {
        print_message("# SKIP %s: %s\n", c->name, why[0] != '\0' ? why : "no kernel for it yet");
        skip();
    }
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct op_setup setup = {.backend = DEVICE,
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

int main(void)
{
    static char names[512][80];
    struct fnl_accel *accel = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_accel_open(DEVICE, &accel, &err) != 0) {
        snprintf(why, sizeof why, "%.240s", err.message);
    }
    fnl_accel_close(accel);
    struct CMUnitTest *tests = calloc((size_t)op_case_count, sizeof *tests);
    if (tests == NULL || op_case_count > 512) {
        return 1;
    }
    for (int i = 0; i < op_case_count; i++) {
        snprintf(names[i], sizeof names[i], DEVICE " is ref: %s", op_cases[i].name);
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = matches_reference,
                                       .initial_state = (void *)(uintptr_t)&op_cases[i]};
    }
    int failed = _cmocka_run_group_tests("ops_gpu", tests, (size_t)op_case_count, NULL, NULL);
    free(tests);
    return failed;
}
