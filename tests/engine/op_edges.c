/* op_edges.c - numbers at the edge of what an operator is for, on any back end: NaNs and labels
 * that name no class. One run an operator: opening a device takes longer than all rows on it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "op_case.h"

#define WIDTH 32 /* numbers in a row */

void op_edges_bad_label_is_nan(const char *backend)
{
    static const float logits[] = {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F, 8.0F, 9.0F, 10.0F};
    static const float labels[] = {1.0F, 2.0F, 3.0F, 1000000000.0F, -1.0F};
    const struct op_case c = {
        .name = "bad label",
        .op = FNL_OP_SOFTMAX_CROSS_ENTROPY,
        .in = {{OP_FED, "N,2", OP_NORMAL, logits}, {OP_LABELS, "N", OP_NORMAL, labels}},
        .rows = 5};
    const struct op_setup setup = {backend, 1, 5, 5, false, false};
    struct op_results got;
    assert_int_equal(op_run(&c, &setup, &got, NULL), 0);
    const float *loss = op_results_find(&got, "y0")->value;
    assert_true(isfinite(loss[0]));
    for (int i = 1; i < 5; i++) {
        if (!isnan(loss[i])) {
            fail_msg("%s: label %g of 2 classes has loss %g", backend, (double)labels[i],
                     (double)loss[i]);
        }
    }
    op_results_free(&got);
}

/* Where the NaN of row 1, 3, 5, ... stands; the rows between have none. */
static const size_t places[] = {1, 3, 10, 17, 19, 24, 28};
#define PLACES (sizeof places / sizeof places[0])
#define ROWS (2 * PLACES + 1)

/* Rows with a NaN that have none in y, or the other way round; says which. */
static int wrong_rows(const struct op_case *c, const char *backend, const struct op_tensor *y)
{
    const size_t row = y->size / ROWS;
    int wrong = 0;
    for (size_t r = 0; r < ROWS; r++) {
        size_t nans = 0;
        for (size_t i = 0; i < row; i++) {
            nans += isnan(y->value[r * row + i]) != 0;
        }
        if (r % 2 == 1 && nans == 0) {
            print_error("%s of %s hides a NaN at %zu\n", c->name, backend, places[r / 2]);
            wrong++;
        } else if (r % 2 == 0 && nans > 0) {
            print_error("%s of %s has a NaN in row %zu, which had none\n", c->name, backend, r);
            wrong++;
        }
    }
    return wrong;
}

void op_edges_nan_comes_through(const char *backend)
{
    static float x[ROWS * WIDTH];
    static const struct op_case cases[] = {
        {.name = "relu", .op = FNL_OP_RELU, .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "leaky relu", .op = FNL_OP_LEAKY_RELU, .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "gelu", .op = FNL_OP_GELU, .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "gelu tanh",
         .op = FNL_OP_GELU,
         .attrs = "gelu_tanh=1",
         .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "sigmoid", .op = FNL_OP_SIGMOID, .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "tanh", .op = FNL_OP_TANH, .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "erf", .op = FNL_OP_ERF, .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "softmax", .op = FNL_OP_SOFTMAX, .in = {{OP_FED, "N,32", OP_NORMAL, x}}},
        {.name = "log softmax", .op = FNL_OP_LOG_SOFTMAX, .in = {{OP_FED, "N,32", OP_NORMAL, x}}},
        {.name = "max pool",
         .op = FNL_OP_MAX_POOL,
         .attrs = "kernel=2,2 strides=2,2",
         .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "global max pool",
         .op = FNL_OP_GLOBAL_MAX_POOL,
         .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "average pool",
         .op = FNL_OP_AVERAGE_POOL,
         .attrs = "kernel=2,2 strides=2,2",
         .in = {{OP_FED, "N,2,4,4", OP_NORMAL, x}}},
        {.name = "softmax cross entropy",
         .op = FNL_OP_SOFTMAX_CROSS_ENTROPY,
         .in = {{OP_FED, "N,32", OP_NORMAL, x}, {OP_LABELS, "N", OP_NORMAL, NULL}}},
    };
    memset(x, 0, sizeof x);
    for (size_t i = 0; i < PLACES; i++) {
        x[(2 * i + 1) * WIDTH + places[i]] = NAN;
    }
    int wrong = 0;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct op_case c = cases[k];
        c.rows = ROWS;
        const struct op_setup setup = {backend, 1, ROWS, ROWS, false, false};
        struct op_results r;
        assert_int_equal(op_run(&c, &setup, &r, NULL), 0);
        wrong += wrong_rows(&c, backend, op_results_find(&r, "y0"));
        op_results_free(&r);
    }
    assert_int_equal(wrong, 0);
}
