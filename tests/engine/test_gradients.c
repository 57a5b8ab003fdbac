/* Every differentiable operator's gradient against finite differences of the loss.
 *
 * The network is that of op_net.c: the operator, a loss, and what autodiff appends. Each element of
 * an input or parameter (or some of a large one) is moved by +-h and +-2h and the mean loss taken
 * from the reference back end:
 *   f' = (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h
 * of which the error is of order h^4, and of rounding 1e-7 |f| / h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "op_case.h"

#define ROWS 3
#define H 0.02F
#define ELEMENTS 24 /* most elements tried of one tensor */
/* Allowed: RELATIVE times the largest gradient of the tensor, and what rounding may do. */
#define RELATIVE 2e-3
#define ROUNDING 4e-5

/* A case that can be run again and again with other data. */
struct bench {
    struct op_net net;
    struct fnl_pool *pool;
    struct fnl_params *params;
    struct fnl_exec *exec;
};

static void bench_open(struct bench *b, const struct op_case *c, const char *backend)
{
    struct fnl_optimizer optimizer = FNL_OPTIMIZER_INIT;
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    struct fnl_error err = FNL_ERROR_INIT;
    memset(b, 0, sizeof *b);
    int rc = op_net_create(c, true, ROWS, &b->net, &err);
    if (rc != 0) {
        fail_msg("%s", err.message);
    }
    options.batch = ROWS;
    options.shards = 2;
    options.training = true;
    options.keep_gradients = true;
    options.seed = OP_SEED;
    options.loss_value = b->net.loss;
    rc = fnl_pool_create(1, &b->pool, &err);
    if (rc == 0) {
        rc = fnl_params_create(b->net.graph, backend, &optimizer, &b->params, &err);
    }
    if (rc == 0) {
        rc = fnl_exec_create(b->net.graph, b->params, b->pool, &options, &b->exec, &err);
    }
    if (rc != 0) {
        fail_msg("%s: %s", backend, err.message);
    }
}

static void bench_close(struct bench *b)
{
    fnl_exec_free(b->exec);
    fnl_params_free(b->params);
    fnl_pool_free(b->pool);
    op_net_free(&b->net);
}

/* Mean loss of the batch, after which gradients can be read. */
static double bench_loss(struct bench *b)
{
    struct fnl_feed feed = {.rows = ROWS, .input = (const void *const *)b->net.feed};
    struct fnl_step_result result;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_exec_train_step(b->exec, &feed, 0.0, OP_STEP, &result, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return result.loss_sum / ROWS;
}

/* One tensor that is moved: fed rows, or a parameter by its index. */
struct subject {
    int input; /* of the case */
    int param; /* index in params, or -1 */
    size_t size;
    float *value;    /* the fed rows themselves, or a copy of the parameter */
    float *gradient; /* by autodiff */
};

static int find_param(const struct fnl_params *params, const char *name)
{
    for (int i = 0; i < fnl_params_count(params); i++) {
        if (strcmp(fnl_params_name(params, i), name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Input i of the case and its gradient on this bench; false when it has none. */
static bool subject_open(struct subject *s, struct bench *b, int i)
{
    const struct op_net *net = &b->net;
    enum op_kind kind = net->c->in[i].kind;
    if (kind != OP_FED && kind != OP_PARAM) {
        return false;
    }
    char name[16];
    snprintf(name, sizeof name, "in%d", i);
    int v = net->value[i], rc;
    *s = (struct subject){.input = i, .param = -1};
    s->size = (size_t)fnl_shape_count(&fnl_graph_value(net->graph, v)->shape, ROWS);
    s->gradient = fnl_calloc(s->size, sizeof *s->gradient);
    if (kind == OP_FED) {
        s->value = op_net_fed(net, net->source[i]);
        rc = fnl_exec_read(b->exec, fnl_graph_value(net->graph, v)->gradient, s->gradient, NULL);
    } else {
        s->param = find_param(b->params, name);
        s->value = fnl_calloc(s->size, sizeof *s->value);
        rc = fnl_params_read(b->params, s->param, 0, s->value, NULL);
        assert_int_equal(rc, 0);
        rc = fnl_exec_read_gradient(b->exec, name, s->gradient, NULL);
    }
    assert_int_equal(rc, 0);
    return true;
}

static void subject_close(struct subject *s)
{
    if (s->param >= 0) {
        fnl_free(s->value);
    }
    fnl_free(s->gradient);
}

static double loss_at(struct bench *b, struct subject *s, size_t k, float x)
{
    s->value[k] = x;
    if (s->param >= 0) {
        assert_int_equal(fnl_params_write(b->params, s->param, 0, s->value, NULL), 0);
    }
    return bench_loss(b);
}

static double difference(struct bench *b, struct subject *s, size_t k)
{
    float x = s->value[k];
    double near = loss_at(b, s, k, x + H) - loss_at(b, s, k, x - H);
    double far = loss_at(b, s, k, x + 2 * H) - loss_at(b, s, k, x - 2 * H);
    loss_at(b, s, k, x);
    return (8.0 * near - far) / (12.0 * (double)H);
}

static double largest(const float *v, size_t size)
{
    double max = 0.0;
    for (size_t i = 0; i < size; i++) {
        max = fmax(max, fabs((double)v[i]));
    }
    return max;
}

/* gradient: of the back end under test; ref: the one that gives losses, with s open on it. */
static bool check_subject(struct bench *ref, struct subject *s, const float *gradient,
                          const char *backend, double loss)
{
    double allowed = RELATIVE * largest(gradient, s->size) + ROUNDING * (1.0 + loss);
    size_t stride = s->size / ELEMENTS + 1;
    for (size_t k = 0; k < s->size; k += stride) {
        double want = difference(ref, s, k), got = gradient[k];
        if (!(fabs(want - got) <= allowed)) {
            print_error("%s on %s, input %d, element %zu of %zu: gradient %.6g, differences say "
                        "%.6g (%.2g allowed)\n",
                        ref->net.c->name, backend, s->input, k, s->size, got, want, allowed);
            return false;
        }
    }
    return true;
}

static void gradient_is_slope(void **state)
{
    const struct op_case *c = *state;
    static const char *const backends[] = {"ref", "cpu"};
    bool good = true;
    struct bench ref;
    bench_open(&ref, c, "ref");
    for (size_t n = 0; n < sizeof backends / sizeof backends[0]; n++) {
        struct bench tested;
        bench_open(&tested, c, backends[n]);
        double loss = bench_loss(&tested);
        assert_true(isfinite(loss));
        bench_loss(&ref);
        int subjects = 0;
        for (int i = 0; i < OP_INPUTS; i++) {
            struct subject moved, measured;
            if (!subject_open(&moved, &ref, i)) {
                continue;
            }
            assert_true(subject_open(&measured, &tested, i));
            good = check_subject(&ref, &moved, measured.gradient, backends[n], loss) && good;
            subject_close(&moved);
            subject_close(&measured);
            subjects++;
        }
        assert_true(subjects > 0);
        bench_close(&tested);
    }
    bench_close(&ref);
    assert_true(good);
}

/* The divisor of the mean loss is the whole batch, whatever the shards: one wrong factor would pass
 * unseen where only directions count. */
static void mean_is_over_the_batch(void **state)
{
    (void)state;
    static const float x[] = {1.0F, 2.0F, 3.0F, 4.0F}, target[] = {0.0F, 0.0F, 0.0F, 0.0F};
    struct op_case c = {
        .name = "mean",
        .op = FNL_OP_MEAN_SQUARED_ERROR,
        .in = {{OP_FED, "N,1", OP_NORMAL, x}, {OP_TARGET, "N,1", OP_NORMAL, target}},
        .rows = 4};
    static const char *const backends[] = {"ref", "cpu"};
    for (int n = 0; n < 2; n++) {
        struct op_setup setup = {backends[n], 3, 4, 4, true, false};
        struct op_results r;
        assert_int_equal(op_run(&c, &setup, &r, NULL), 0);
        const float *d = op_results_find(&r, "d0")->value;
        const float *loss = op_results_find(&r, "loss")->value;
        assert_float_equal(*loss, 7.5F, 1e-6F);
        for (int i = 0; i < 4; i++) {
            assert_float_equal(d[i], 2.0F * x[i] / 4.0F, 1e-6F);
        }
        op_results_free(&r);
    }
}

int main(void)
{
    int count = 0;
    struct CMUnitTest *tests = calloc((size_t)op_case_count + 1, sizeof *tests);
    if (tests == NULL) {
        return 1;
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(mean_is_over_the_batch);
    for (int i = 0; i < op_case_count; i++) {
        if (!op_cases[i].forward_only) {
            tests[count++] = (struct CMUnitTest){.name = op_cases[i].name,
                                                 .test_func = gradient_is_slope,
                                                 .initial_state = (void *)&op_cases[i]};
        }
    }
    int failed = _cmocka_run_group_tests("gradients", tests, (size_t)count, NULL, NULL);
    free(tests);
    return failed;
}
