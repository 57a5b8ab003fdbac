/* Whole networks trained from equal weights and batches: every back end must follow PyTorch's
 * losses (tests/golden/train_golden.txt, made by make_train_golden.py, which says how the file is
 * laid out), end at its parameters, and reach its loss with running statistics; for each optimiser.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "device/accel.h"
#include "engine/exec.h"
#include "op_case.h"
#include "train_golden.h"

#define ACCELERATOR "opencl:0"
#define LOSS_TOLERANCE 1e-4  /* relative, each step */
#define PARAM_TOLERANCE 1e-6 /* normalised mean squared error, after the last step */

static char no_accelerator[256]; /* why there is none */

/* ---- the networks, as make_train_golden.py has them ---- */

struct building {
    struct fnl_graph *g;
    const struct golden_net *net;
    bool training;
};

static int param(struct building *b, const char *name)
{
    for (int i = 0; i < b->net->param_count; i++) {
        const struct array *a = &b->net->param[i];
        if (strcmp(a->name, name) == 0) {
            bool trained = strcmp(name, "mean") != 0 && strcmp(name, "var") != 0;
            return fnl_graph_add_param(b->g, name, &a->shape, a->value, trained, NULL);
        }
    }
    return -1;
}

static int node(struct building *b, enum fnl_op op, const struct fnl_attrs *attrs, int in0, int in1,
                int in2)
{
    int in[3] = {in0, in1, in2}, out[4], count = in2 >= 0 ? 3 : in1 >= 0 ? 2 : 1;
    int outputs = op == FNL_OP_LAYER_NORMALIZATION ? 3 : 0;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_graph_add_node(b->g, op, NULL, in, count, attrs, NULL, outputs, out, &err) < 0) {
        fail_msg("%s", err.message);
    }
    return out[0];
}

static int batch_norm(struct building *b, int x)
{
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.training = b->training;
    int in[5] = {x, param(b, "gamma"), param(b, "beta"), param(b, "mean"), param(b, "var")}, out[4];
    assert_true(fnl_graph_add_node(b->g, FNL_OP_BATCH_NORMALIZATION, NULL, in, 5, &a, NULL,
                                   b->training ? 3 : 1, out, NULL) >= 0);
    return out[0];
}

static int dense(struct building *b, int x, const char *w, const char *bias, bool trans_b)
{
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.trans_b = trans_b;
    int weights = param(b, w);
    return node(b, FNL_OP_GEMM, &a, x, weights, param(b, bias));
}

static int build_mlp(struct building *b, int x)
{
    int y = node(b, FNL_OP_RELU, NULL, dense(b, x, "w0", "b0", true), -1, -1);
    return dense(b, y, "w1", "b1", false);
}

static int build_cnn(struct building *b, int x)
{
    struct fnl_attrs conv = FNL_ATTRS_INIT, pool = FNL_ATTRS_INIT, leaky = FNL_ATTRS_INIT;
    struct fnl_attrs flat = FNL_ATTRS_INIT, plain = FNL_ATTRS_INIT;
    for (int i = 0; i < 4; i++) {
        conv.pads[i] = 1;
        pool.kernel[i % 2] = pool.strides[i % 2] = 2;
    }
    leaky.alpha = 0.1F;
    flat.axis = 1;
    int y = node(b, FNL_OP_CONV, &conv, x, param(b, "c0"), -1);
    y = node(b, FNL_OP_RELU, NULL, batch_norm(b, y), -1, -1);
    int a = node(b, FNL_OP_MAX_POOL, &pool, y, -1, -1);
    int w = param(b, "c1");
    y = node(b, FNL_OP_CONV, &conv, a, w, param(b, "c1b"));
    y = node(b, FNL_OP_LEAKY_RELU, &leaky, node(b, FNL_OP_ADD, NULL, y, a, -1), -1, -1);
    y = node(b, FNL_OP_AVERAGE_POOL, &pool, y, -1, -1);
    y = dense(b, node(b, FNL_OP_FLATTEN, &flat, y, -1, -1), "w0", "b0", false);
    int scale = param(b, "scale");
    y = node(b, FNL_OP_LAYER_NORMALIZATION, &plain, y, scale, param(b, "shift"));
    return dense(b, node(b, FNL_OP_GELU, NULL, y, -1, -1), "w1", "b1", false);
}

static size_t rows_of(const struct golden_net *net)
{
    return strcmp(net->name, "mlp") == 0 ? 16 : 8;
}

/* The network with its loss; returns the loss's value. */
static int build(const struct golden_net *net, bool training, struct fnl_graph **ret_graph)
{
    bool mlp = strcmp(net->name, "mlp") == 0;
    struct fnl_shape shape =
        mlp ? fnl_shape_make(2, FNL_DIM_BATCH, 20) : fnl_shape_make(4, FNL_DIM_BATCH, 2, 8, 8);
    struct fnl_shape label = fnl_shape_make(1, FNL_DIM_BATCH);
    struct building b = {.net = net, .training = training};
    assert_int_equal(fnl_graph_create(&b.g, NULL), 0);
    int x = fnl_graph_add_input(b.g, "x", FNL_F32, &shape, NULL);
    int t = fnl_graph_add_input(b.g, "labels", FNL_I32, &label, NULL);
    int loss = node(&b, FNL_OP_SOFTMAX_CROSS_ENTROPY, NULL,
                    mlp ? build_mlp(&b, x) : build_cnn(&b, x), t, -1);
    if (training) {
        assert_int_equal(fnl_graph_autodiff(b.g, loss, NULL), 0);
    }
    *ret_graph = b.g;
    return loss;
}

/* ---- training ---- */

struct bench {
    const struct golden_run *run;
    struct fnl_graph *graph, *eval_graph;
    struct fnl_pool *pool;
    struct fnl_params *params;
    struct fnl_exec *train, *eval;
    size_t rows;
};

static struct fnl_exec *make_exec(struct bench *b, const struct fnl_graph *g, int loss,
                                  bool training, int shards)
{
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_exec *exec = NULL;
    options.batch = b->rows;
    options.shards = shards;
    options.training = training;
    options.loss_value = loss;
    if (fnl_exec_create(g, b->params, b->pool, &options, &exec, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return exec;
}

static void open_bench(struct bench *b, const struct golden_run *run, const char *backend,
                       int shards, int threads)
{
    memset(b, 0, sizeof *b);
    b->run = run;
    b->rows = rows_of(run->net);
    int loss = build(run->net, true, &b->graph), eval_loss = build(run->net, false, &b->eval_graph);
    assert_int_equal(fnl_pool_create(threads, &b->pool, NULL), 0);
    assert_int_equal(fnl_params_create(b->graph, backend, &run->optimizer, &b->params, NULL), 0);
    b->train = make_exec(b, b->graph, loss, true, shards);
    b->eval = make_exec(b, b->eval_graph, eval_loss, false, shards);
}

static void close_bench(struct bench *b)
{
    fnl_exec_free(b->train);
    fnl_exec_free(b->eval);
    fnl_params_free(b->params);
    fnl_pool_free(b->pool);
    fnl_graph_free(b->graph);
    fnl_graph_free(b->eval_graph);
}

static double train_step(struct bench *b, int step)
{
    const struct golden_net *net = b->run->net;
    int i = step % net->batch_count;
    const void *input[] = {net->batch[i].value, net->labels[i]};
    struct fnl_feed feed = {.rows = b->rows, .input = input};
    struct fnl_step_result result;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_exec_train_step(b->train, &feed, b->run->learning_rate, (uint64_t)step + 1, &result,
                            &err) != 0) {
        fail_msg("%s", err.message);
    }
    return result.loss_sum / (double)b->rows;
}

static double eval_loss(struct bench *b)
{
    const void *input[] = {b->run->net->batch[0].value, b->run->net->labels[0]};
    struct fnl_feed feed = {.rows = b->rows, .input = input};
    struct fnl_step_result result;
    assert_int_equal(fnl_exec_run(b->eval, &feed, NULL), 0);
    assert_int_equal(fnl_exec_result(b->eval, &result), 0);
    return result.loss_sum / (double)b->rows;
}

static void assert_close(const char *what, int step, double got, double want)
{
    if (!(fabs(got - want) <= LOSS_TOLERANCE * fabs(want))) {
        fail_msg("%s %d: %.8g, expected %.8g", what, step, got, want);
    }
}

static void assert_final_params(struct bench *b)
{
    for (int i = 0; i < b->run->final_count; i++) {
        const struct array *want = &b->run->final[i];
        float *got = fnl_calloc(want->size, sizeof *got);
        int index = -1;
        for (int k = 0; k < fnl_params_count(b->params); k++) {
            index = strcmp(fnl_params_name(b->params, k), want->name) == 0 ? k : index;
        }
        assert_int_equal(fnl_params_read(b->params, index, 0, got, NULL), 0);
        double error = op_nmse(got, want->value, want->size);
        if (!(error <= PARAM_TOLERANCE)) {
            fail_msg("%s differs at the end: error %.2e", want->name, error);
        }
        fnl_free(got);
    }
}

static void follow(const struct golden_run *run, const char *backend, int shards)
{
    struct bench b;
    open_bench(&b, run, backend, shards, 1);
    for (int step = 0; step < TRAIN_STEPS; step++) {
        assert_close("step", step, train_step(&b, step), run->losses[step]);
    }
    assert_close("evaluation after step", TRAIN_STEPS, eval_loss(&b), run->eval);
    assert_final_params(&b);
    close_bench(&b);
}

static void reference_follows(void **state)
{
    follow(*state, "ref", 1);
}

static void cpu_follows(void **state)
{
    follow(*state, "cpu", 1);
}

static void three_shards_follow(void **state)
{
    follow(*state, "cpu", 3);
}

/* Forward, backward, update and running statistics, all on the device. */
static void accelerator_follows(void **state)
{
    if (no_accelerator[0] != '\0') {
        print_message("# SKIP " ACCELERATOR ": %s\n", no_accelerator);
        skip();
    }
    follow(*state, ACCELERATOR, 1);
}

/* What shards compute does not depend on who runs them. */
static void threads_change_no_bit(void **state)
{
    struct bench one, two;
    open_bench(&one, *state, "cpu", 3, 1);
    open_bench(&two, *state, "cpu", 3, 2);
    for (int step = 0; step < TRAIN_STEPS; step++) {
        double a = train_step(&one, step), b = train_step(&two, step);
        assert_memory_equal(&a, &b, sizeof a);
    }
    for (int i = 0; i < fnl_params_count(one.params); i++) {
        size_t size = fnl_params_size(one.params, i);
        float *a = fnl_calloc(size, sizeof *a), *b = fnl_calloc(size, sizeof *b);
        assert_int_equal(fnl_params_read(one.params, i, 0, a, NULL), 0);
        assert_int_equal(fnl_params_read(two.params, i, 0, b, NULL), 0);
        assert_memory_equal(a, b, size * sizeof *a);
        fnl_free(a);
        fnl_free(b);
    }
    close_bench(&one);
    close_bench(&two);
}

static void steps_allocate_nothing(void **state)
{
    struct bench b;
    open_bench(&b, *state, "cpu", 3, 2);
    train_step(&b, 0);
    uint64_t before = fnl_mem_alloc_count();
    for (int step = 1; step < 5; step++) {
        train_step(&b, step);
        eval_loss(&b);
    }
    assert_int_equal(fnl_mem_alloc_count() - before, 0);
    close_bench(&b);
}

/* A step whose loss is no number changes nothing, neither weights nor running statistics. */
static void diverged_step_changes_nothing(void **state)
{
    static const char *const backends[] = {"ref", "cpu", ACCELERATOR};
    for (int n = 0; n < (no_accelerator[0] == '\0' ? 3 : 2); n++) {
        struct bench b;
        open_bench(&b, *state, backends[n], 3, 1);
        train_step(&b, 0);
        double before = eval_loss(&b);
        const struct golden_net *net = b.run->net;
        float *bad = fnl_calloc(net->batch[1].size, sizeof *bad);
        memcpy(bad, net->batch[1].value, net->batch[1].size * sizeof *bad);
        bad[7] = NAN;
        const void *input[] = {bad, net->labels[1]};
        struct fnl_feed feed = {.rows = b.rows, .input = input};
        struct fnl_step_result result;
        struct fnl_error err = FNL_ERROR_INIT;
        assert_int_equal(fnl_exec_train_step(b.train, &feed, 0.1, 2, &result, &err),
                         FNL_E_DIVERGED);
        assert_true(err.hint[0] != '\0');
        double after = eval_loss(&b);
        assert_memory_equal(&before, &after, sizeof before);
        fnl_free(bad);
        close_bench(&b);
    }
}

int main(void)
{
    static const struct {
        const char *name;
        void (*fn)(void **state);
    } kinds[] = {{"ref follows PyTorch", reference_follows},
                 {"cpu follows PyTorch", cpu_follows},
                 {"cpu in 3 shards follows PyTorch", three_shards_follow},
                 {ACCELERATOR " follows PyTorch", accelerator_follows},
                 {"threads change no bit", threads_change_no_bit},
                 {"steps allocate nothing", steps_allocate_nothing},
                 {"a diverged step changes nothing", diverged_step_changes_nothing}};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    struct fnl_accel *accel = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_accel_open(ACCELERATOR, &accel, &err) != 0) {
        snprintf(no_accelerator, sizeof no_accelerator, "%.240s", err.message);
    }
    fnl_accel_close(accel);
    static struct golden_run runs[TRAIN_MAX_RUNS];
    static struct CMUnitTest tests[TRAIN_MAX_RUNS * KINDS];
    static char names[TRAIN_MAX_RUNS * KINDS][128];
    int run_count = train_golden_load(TRAIN_GOLDEN, runs);
    if (run_count < 1) {
        fprintf(stderr, "%s is missing or bad\n", TRAIN_GOLDEN);
        return 1;
    }
    int count = 0;
    for (int r = 0; r < run_count; r++) {
        for (int k = 0; k < KINDS; k++, count++) {
            snprintf(names[count], sizeof names[count], "%.60s: %s", runs[r].name, kinds[k].name);
            tests[count] = (struct CMUnitTest){
                .name = names[count], .test_func = kinds[k].fn, .initial_state = &runs[r]};
        }
    }
    int failed = _cmocka_run_group_tests("models", tests, (size_t)count, NULL, NULL);
    train_golden_free();
    return failed;
}
