/* test_training_graph.c - what fnl_model_training_graph makes of inference graphs. */
#include "model_check.h"

static const struct fnl_shape image = {3, {2, 6, 6}}, row = {1, {6}};

static struct fnl_training_graph must_train(const struct fnl_graph *g, enum fnl_loss loss,
                                            bool gradients)
{
    struct fnl_training_graph t = {0};
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = fnl_model_training_graph(g, loss, gradients, &t, &err);
    if (rc != 0) {
        print_message("%s\n", err.message);
    }
    assert_int_equal(rc, 0);
    return t;
}

static int count_ops(const struct fnl_graph *g, enum fnl_op op)
{
    int count = 0;
    for (int i = 0; i < fnl_graph_node_count(g); i++) {
        count += fnl_graph_node(g, i)->op == op;
    }
    return count;
}

static void a_final_softmax_goes_into_the_loss(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - dense: {units: 4, activation: softmax}\n", &row);
    static const enum fnl_loss losses[] = {FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY,
                                           FNL_LOSS_CATEGORICAL_CROSSENTROPY};
    for (int i = 0; i < 2; i++) {
        struct fnl_training_graph t = must_train(g, losses[i], true);
        assert_int_equal(count_ops(t.graph, FNL_OP_SOFTMAX), 0);
        assert_shape(&fnl_graph_value(t.graph, t.loss)->shape, "[N]");
        assert_shape(&fnl_graph_value(t.graph, t.scores)->shape, "[N, 4]");
        const struct fnl_value *target = fnl_graph_value(t.graph, t.target);
        assert_shape(&target->shape, i == 0 ? "[N]" : "[N, 4]");
        assert_int_equal(target->dtype, i == 0 ? FNL_I32 : FNL_F32);
        assert_int_equal(fnl_graph_input(t.graph, 0), t.input);
        assert_int_equal(fnl_graph_input(t.graph, 1), t.target);
        assert_true(value_named(t.graph, "dense.weight")->gradient >= 0);
        assert_true(value_named(t.graph, "dense.bias")->gradient >= 0);
        fnl_graph_free(t.graph);
    }
    fnl_graph_free(g);
}

static void without_softmax_the_output_is_logits(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - dense: {units: 4, activation: relu}\n", &row);
    struct fnl_training_graph t = must_train(g, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, true);
    assert_int_equal(count_ops(t.graph, FNL_OP_RELU), 1);
    assert_int_equal(count_ops(t.graph, FNL_OP_SOFTMAX_CROSS_ENTROPY), 1);
    fnl_graph_free(t.graph);
    fnl_graph_free(g);
}

static void binary_cross_entropy_takes_one_unit(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - dense: {units: 1, activation: sigmoid}\n", &row);
    struct fnl_training_graph t = must_train(g, FNL_LOSS_BINARY_CROSSENTROPY, true);
    assert_int_equal(count_ops(t.graph, FNL_OP_SIGMOID), 0);
    assert_shape(&fnl_graph_value(t.graph, t.target)->shape, "[N, 1]");
    assert_shape(&fnl_graph_value(t.graph, t.scores)->shape, "[N, 1]");
    fnl_graph_free(t.graph);
    fnl_graph_free(g);
}

static void mean_squared_error_keeps_the_activation(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - dense: {units: 3, activation: sigmoid}\n", &row);
    struct fnl_training_graph t = must_train(g, FNL_LOSS_MEAN_SQUARED_ERROR, true);
    assert_int_equal(count_ops(t.graph, FNL_OP_SIGMOID), 1);
    assert_string_equal(fnl_graph_value(t.graph, t.scores)->name, "output");
    fnl_graph_free(t.graph);
    fnl_graph_free(g);
}

static void losses_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *net;
        enum fnl_loss loss;
        const char *message;
    } cases[] = {
        {"dense: {units: 4, activation: sigmoid}", FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY,
         "ends with sigmoid"},
        {"dense: {units: 4, activation: softmax}", FNL_LOSS_BINARY_CROSSENTROPY,
         "ends with softmax"},
        {"dense: 1", FNL_LOSS_CATEGORICAL_CROSSENTROPY, "at least 2 outputs"},
    };
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof text, "model:\n  - %s\n", cases[i].net);
        struct fnl_graph *g = must_build(text, &row);
        struct fnl_training_graph t = {0};
        struct fnl_error err = FNL_ERROR_INIT;
        assert_int_equal(fnl_model_training_graph(g, cases[i].loss, true, &t, &err), FNL_E_CONFIG);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_null(t.graph);
        fnl_graph_free(g);
    }
    struct fnl_graph *g = must_build("model:\n  - relu\n", &image);
    struct fnl_training_graph t;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(
        fnl_model_training_graph(g, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, true, &t, &err),
        FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "[N, 2, 6, 6]"));
    fnl_graph_free(g);
}

static const char *const whole = "model:\n"
                                 "  - conv2d: {filters: 4, kernel_size: 3, padding: same}\n"
                                 "  - batch_normalization\n"
                                 "  - relu\n"
                                 "  - residual: [{conv2d: {filters: 4, kernel_size: 1}}, gelu]\n"
                                 "  - max_pooling2d\n"
                                 "  - flatten\n"
                                 "  - layer_normalization\n"
                                 "  - dropout: 0.5\n"
                                 "  - dense: {units: 3, activation: softmax}\n";

static void training_mode_is_on_with_gradients_only(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build(whole, &image);
    fnl_graph_set_meta(g, "k", "v", NULL);
    for (int gradients = 0; gradients < 2; gradients++) {
        struct fnl_training_graph t =
            must_train(g, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, gradients == 1);
        for (int i = 0; i < fnl_graph_node_count(t.graph); i++) {
            const struct fnl_node *n = fnl_graph_node(t.graph, i);
            bool changes = n->op == FNL_OP_DROPOUT || n->op == FNL_OP_BATCH_NORMALIZATION;
            if (changes) {
                assert_int_equal(n->attrs.training, gradients == 1);
                assert_int_equal(n->output_count, gradients == 0            ? 1
                                                  : n->op == FNL_OP_DROPOUT ? 2
                                                                            : 3);
            }
            assert_true(gradients == 1 || !n->backward);
        }
        for (int v = 0; v < fnl_graph_value_count(g); v++) { /* parameters are found by name */
            const struct fnl_value *x = fnl_graph_value(g, v);
            if (x->kind == FNL_VALUE_PARAM) {
                const struct fnl_value *y = value_named(t.graph, x->name);
                assert_int_equal(y->trainable, x->trainable);
                assert_int_equal(y->gradient >= 0, gradients == 1 && x->trainable);
            }
        }
        assert_string_equal(fnl_graph_meta(t.graph, "k"), "v");
        fnl_graph_free(t.graph);
    }
    fnl_graph_free(g);
}

static void evaluation_scores_are_the_networks_own(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build(whole, &image);
    struct fnl_training_graph t = must_train(g, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, false);
    float x[4 * 72], direct[12], scores[12], loss[4];
    int32_t labels[4] = {0, 1, 2, 1};
    fill_random(x, 4 * 72, 5);
    assert_int_equal(run_ref(g, x, 4, direct, NULL), 0);

    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec *exec;
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    options.batch = 4;
    options.loss_value = t.loss;
    options.scores_value = t.scores;
    assert_int_equal(fnl_params_create(t.graph, "ref", NULL, &params, NULL), 0);
    assert_int_equal(fnl_pool_create(1, &pool, NULL), 0);
    assert_int_equal(fnl_exec_create(t.graph, params, pool, &options, &exec, NULL), 0);
    const void *inputs[2] = {x, labels};
    struct fnl_feed feed = {4, inputs, false};
    assert_int_equal(fnl_exec_run(exec, &feed, NULL), 0);
    assert_int_equal(fnl_exec_read(exec, t.scores, scores, NULL), 0);
    assert_int_equal(fnl_exec_read(exec, t.loss, loss, NULL), 0);
    for (int i = 0; i < 4; i++) {
        assert_float_equal(loss[i], -logf(direct[i * 3 + labels[i]]), 1e-5F);
        for (int k = 0; k < 3; k++) {
            assert_float_equal(scores[i * 3 + k], direct[i * 3 + k], 1e-6F);
        }
    }
    fnl_exec_free(exec);
    fnl_pool_free(pool);
    fnl_params_free(params);
    fnl_graph_free(t.graph);
    fnl_graph_free(g);
}

static void tensors_may_be_called_as_ours_are(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - dense: {units: 3, name: loss}\n"
                                     "  - dense: {units: 3, name: target}\n"
                                     "  - dense: {units: 3, name: scores}\n",
                                     &row);
    struct fnl_training_graph t = must_train(g, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, true);
    assert_shape(&fnl_graph_value(t.graph, t.loss)->shape, "[N]");
    fnl_graph_free(t.graph);
    fnl_graph_free(g);
}

static void allocation_failures_leak_nothing(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build(whole, &image);
    bool done = false;
    for (uint64_t n = 1; n < 3000 && !done; n++) {
        struct fnl_training_graph t = {0};
        fnl_mem_fail_at(n);
        int rc =
            fnl_model_training_graph(g, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, true, &t, NULL);
        fnl_mem_fail_at(0);
        done = rc == 0;
        assert_true(done || rc == FNL_E_NOMEM);
        assert_true(done || t.graph == NULL);
        fnl_graph_free(t.graph);
    }
    assert_true(done);
    fnl_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_final_softmax_goes_into_the_loss),
        cmocka_unit_test(without_softmax_the_output_is_logits),
        cmocka_unit_test(binary_cross_entropy_takes_one_unit),
        cmocka_unit_test(mean_squared_error_keeps_the_activation),
        cmocka_unit_test(losses_that_do_not_fit_are_refused),
        cmocka_unit_test(training_mode_is_on_with_gradients_only),
        cmocka_unit_test(evaluation_scores_are_the_networks_own),
        cmocka_unit_test(tensors_may_be_called_as_ours_are),
        cmocka_unit_test(allocation_failures_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
