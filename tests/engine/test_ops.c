/* Operators, forward and backward. The reference back end must agree with PyTorch's results
 * (tests/golden/op_golden.txt); every other back end must agree with the reference on the table of
 * op_cases.c, for several counts of rows and of shards, with each instruction set this CPU has.
 *
 * A process decides its instruction set once, so each configuration runs the table in a child and
 * leaves its findings in shared memory; a child that dies leaves cases that were never run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/backend/cpu/kernels.h"
#include "op_case.h"

#define GOLDEN "tests/golden/op_golden.txt"
#define MAX_CONFIGS 12

struct config {
    const char *isa;
    int shards;
    const char *conv; /* FOURNIL_CONV, or NULL */
};

enum { NOT_RUN, PASSED, FAILED };
struct finding {
    int state;
    char text[240];
};

static struct config configs[MAX_CONFIGS];
static int config_count;
static struct finding *findings; /* [config][case], shared with the children */

static struct finding *finding_at(int config, int index)
{
    return &findings[config * op_case_count + index];
}

/* ---- comparing ---- */

static bool compare_case(const struct op_case *c, int shards, char *text, size_t size)
{
    static const struct {
        size_t plan_rows, rows;
        bool training, channels_last;
    } runs[] = {{OP_ROWS, OP_ROWS, false, false}, {7, 2, false, true},      {1, 1, false, false},
                {OP_ROWS, OP_ROWS, true, false},  {OP_ROWS, 5, true, true}, {2, 2, true, false}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct op_setup setup = {"cpu",        shards,           runs[i].plan_rows,
                                 runs[i].rows, runs[i].training, runs[i].channels_last};
        if (setup.training && c->forward_only) {
            continue;
        }
        if (!op_compare(c, &setup, text, size)) {
            return false;
        }
    }
    return true;
}

/* ---- children ---- */

static void run_table(int config)
{
    for (int i = 0; i < op_case_count; i++) {
        struct finding *f = finding_at(config, i);
        bool same = compare_case(&op_cases[i], configs[config].shards, f->text, sizeof f->text);
        f->state = same ? PASSED : FAILED;
    }
}

static int run_children(void **state)
{
    (void)state;
    const struct fnl_cpu_kernels *list[4];
    int isas = fnl_cpu_kernels_list(list);
    for (int i = 0; i < isas; i++) {
        for (int shards = 1; shards <= 3; shards += 2) {
            configs[config_count++] = (struct config){list[i]->isa, shards, NULL};
        }
        configs[config_count++] = (struct config){list[i]->isa, 2, "winograd"};
    }
    size_t size = (size_t)(config_count * op_case_count) * sizeof *findings;
    findings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(findings, MAP_FAILED);
    for (int k = 0; k < config_count; k++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            setenv("FOURNIL_ISA", configs[k].isa, 1);
            if (configs[k].conv != NULL) {
                setenv("FOURNIL_CONV", configs[k].conv, 1);
            }
            if (strcmp(fnl_cpu_kernels()->isa, configs[k].isa) == 0) {
                run_table(k);
            }
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    return 0;
}

static void matches_reference(void **state)
{
    const struct op_case *c = *state;
    int index = (int)(c - op_cases);
    bool good = true;
    for (int k = 0; k < config_count; k++) {
        const struct finding *f = finding_at(k, index);
        if (f->state != PASSED) {
            good = false;
            print_error("%s, %s, %d shards: %s\n", c->name, configs[k].isa, configs[k].shards,
                        f->state == FAILED ? f->text : "not run (the process died before)");
        }
    }
    assert_true(good);
}

/* ---- the reference against PyTorch ---- */

static void reference_matches_golden(void **state)
{
    const struct op_case *c = *state;
    struct op_setup setup = {"ref", 1, c->rows, c->rows, true, false};
    struct op_results got;
    struct fnl_error err = FNL_ERROR_INIT;
    char text[240] = "";
    if (op_run(c, &setup, &got, &err) != 0) {
        fail_msg("%s", err.message);
    }
    bool same = op_same_results(&got, &c->expected, text, sizeof text);
    op_results_free(&got);
    if (!same) {
        fail_msg("%s", text);
    }
}

static void bad_label_is_nan(void **state)
{
    (void)state;
    op_edges_bad_label_is_nan("ref");
    op_edges_bad_label_is_nan("cpu");
}

/* A window must hold a pixel, and classes stand in rows: refused before anything runs. */
static void senseless_operators_are_refused(void **state)
{
    (void)state;
    static const struct op_case refused[] = {
        {.name = "pads as wide as the dilated window",
         .op = FNL_OP_MAX_POOL,
         .attrs = "kernel=2,2 dilations=2,2 pads=3,0,0,0",
         .in = {{OP_FED, "N,1,5,5", OP_NORMAL, NULL}}},
        {.name = "dilations over a small image",
         .op = FNL_OP_AVERAGE_POOL,
         .attrs = "kernel=2,2 dilations=3,3 pads=2,2,2,2",
         .in = {{OP_FED, "N,1,1,1", OP_NORMAL, NULL}}},
        {.name = "classes in images",
         .op = FNL_OP_CATEGORICAL_CROSS_ENTROPY,
         .in = {{OP_FED, "N,2,3", OP_NORMAL, NULL}, {OP_TARGET, "N,2,3", OP_ONE_HOT, NULL}}},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct op_net net;
        struct fnl_error err = FNL_ERROR_INIT;
        if (op_net_create(&refused[i], false, 1, &net, &err) != FNL_E_FORMAT) {
            fail_msg("%s: not refused", refused[i].name);
        }
        assert_true(err.message[0] != '\0');
    }
}

static void nan_comes_through(void **state)
{
    (void)state;
    op_edges_nan_comes_through("ref");
    op_edges_nan_comes_through("cpu");
}

/* Each allocation of a network, its gradients, its plan and its execution fails in turn: an error
 * each time, and nothing lost (the sanitizers look). */
static void failed_allocations_are_errors(void **state)
{
    (void)state;
    static const char *const names[] = {"conv 2 groups", "batch norm", "gemm, bias of rank 2"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        int i = 0;
        while (i < op_case_count && strcmp(op_cases[i].name, names[k]) != 0) {
            i++;
        }
        assert_true(i < op_case_count);
        struct op_setup setup = {"cpu", 2, 4, 4, true, false};
        struct op_results r;
        int rc = FNL_E_NOMEM;
        for (uint64_t n = 1; rc != 0; n++) {
            fnl_mem_fail_at(n);
            rc = op_run(&op_cases[i], &setup, &r, NULL);
            fnl_mem_fail_at(0);
            if (rc != 0 && rc != FNL_E_NOMEM) {
                fail_msg("%s: allocation %llu failed: code %d", names[k], (unsigned long long)n,
                         rc);
            }
            assert_true(n < 5000);
        }
        op_results_free(&r);
    }
}

/* The table would lose its worth if an operator were forgotten. */
static void every_forward_operator_has_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < FNL_OP_SOFTMAX_CROSS_ENTROPY_GRAD; op++) {
        int found = 0;
        for (int i = 0; i < op_case_count; i++) {
            found += op_cases[i].op == (enum fnl_op)op;
        }
        if (found == 0) {
            fail_msg("%s has no case", fnl_op_text((enum fnl_op)op));
        }
    }
}

int main(void)
{
    struct op_case *golden;
    int golden_count = op_golden_load(GOLDEN, &golden);
    if (golden_count < 0) {
        return 1;
    }
    int count = 0;
    struct CMUnitTest *tests = calloc((size_t)(golden_count + op_case_count + 5), sizeof *tests);
    if (tests == NULL) {
        return 1;
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_forward_operator_has_a_case);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(bad_label_is_nan);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(failed_allocations_are_errors);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(nan_comes_through);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(senseless_operators_are_refused);
    static char names[512][80];
    for (int i = 0; i < golden_count + op_case_count && i < 512; i++) {
        bool is_golden = i < golden_count;
        struct op_case *c = is_golden ? &golden[i] : (struct op_case *)&op_cases[i - golden_count];
        snprintf(names[i], sizeof names[i], is_golden ? "ref is PyTorch: %s" : "cpu is ref: %s",
                 c->name);
        tests[count++] = (struct CMUnitTest){.name = names[i],
                                             .test_func = is_golden ? reference_matches_golden
                                                                    : matches_reference,
                                             .initial_state = c};
    }
    int failed = _cmocka_run_group_tests("ops", tests, (size_t)count, run_children, NULL);
    free(tests);
    op_golden_free(golden, golden_count);
    return failed;
}
