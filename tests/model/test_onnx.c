/* test_onnx.c - graph -> file -> graph is exact; training forms; files of PyTorch. */
#include "base/files.h"
#include "model_check.h"

static const struct fnl_shape image = {3, {2, 8, 8}}, row = {1, {6}};

/* Saves and loads again. */
static struct fnl_graph *through_file(const struct fnl_graph *g, int channels, const float *mul,
                                      const float *add)
{
    char folder[64], path[96];
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *back = NULL;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    int rc = fnl_onnx_save(g, path, channels, mul, add, &err);
    rc = rc != 0 ? rc : fnl_onnx_load(path, &back, &err);
    if (rc != 0) {
        print_message("%s\n", err.message);
    }
    assert_int_equal(rc, 0);
    unlink(path);
    rmdir(folder);
    return back;
}

static void check_round_trip(const char *yaml, const struct fnl_shape *sample)
{
    struct fnl_graph *g = must_build(yaml, sample);
    assert_int_equal(fnl_graph_set_meta(g, "fournil.classes", "[\"a\", \"b\\n\"]", NULL), 0);
    assert_int_equal(fnl_graph_set_meta(g, "empty", "", NULL), 0);
    struct fnl_graph *back = through_file(g, 0, NULL, NULL);
    assert_same_graph(g, back);
    fnl_graph_free(back);
    fnl_graph_free(g);
}

static void every_layer_comes_back_as_it_was(void **state)
{
    (void)state;
    static const char *const of_images[] = {
        "conv2d: {filters: 4, kernel_size: [3, 2], strides: [2, 1], padding: [0, 1, 2, 3], "
        "dilation_rate: 2, groups: 2, activation: gelu}",
        "conv2d: {filters: 4, kernel_size: 3, use_bias: false, padding: same}",
        "max_pooling2d: {pool_size: [2, 3], strides: 2, padding: same}",
        "average_pooling2d: 3",
        "global_average_pooling2d",
        "global_max_pooling2d: {keepdims: true}",
        "flatten",
        "batch_normalization: {momentum: 0.9, epsilon: 0.01, scale: false}",
        "batch_normalization",
        "layer_normalization",
        "dropout: 0.3",
        "residual: {layers: [{conv2d: {filters: 2, kernel_size: 1}}, {gelu: {approximate: true}}], "
        "activation: relu}",
    };
    static const char *const of_rows[] = {
        "dense: {units: 4, activation: leaky_relu}",
        "dense: {units: 3, use_bias: false, activation: tanh}",
        "relu",
        "leaky_relu",
        "gelu",
        "gelu: {approximate: true}",
        "sigmoid",
        "tanh",
        "softmax",
        "activation: linear",
        "layer_normalization: {center: false}",
        "batch_normalization: {center: false}",
    };
    char text[512];
    for (size_t i = 0; i < sizeof of_images / sizeof of_images[0]; i++) {
        snprintf(text, sizeof text, "model:\n  - %s\n  - relu\n", of_images[i]);
        check_round_trip(text, &image);
    }
    for (size_t i = 0; i < sizeof of_rows / sizeof of_rows[0]; i++) {
        snprintf(text, sizeof text, "model:\n  - %s\n", of_rows[i]);
        check_round_trip(text, &row);
    }
}

/* Operators that no layer makes. */
static void other_operators_come_back_as_they_were(void **state)
{
    (void)state;
    struct fnl_graph *g = NULL;
    assert_int_equal(fnl_graph_create(&g, NULL), 0);
    float w[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, scalar = 0.5F;
    struct fnl_shape shape = fnl_shape_make(4, FNL_DIM_BATCH, 2, 2, 3);
    int x = fnl_graph_add_input(g, "x", FNL_F32, &shape, NULL), y;
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.axes_mask = 1U << 2;
    assert_true(fnl_graph_add_node(g, FNL_OP_REDUCE_SUM, "sum", &x, 1, &a, NULL, 1, &y, NULL) >= 0);
    a.keepdims = false;
    assert_true(fnl_graph_add_node(g, FNL_OP_REDUCE_MEAN, "mean", &y, 1, &a, NULL, 1, &y, NULL) >=
                0);
    a = (struct fnl_attrs)FNL_ATTRS_INIT;
    memcpy(a.perm, (int32_t[]){0, 2, 1}, 3 * sizeof a.perm[0]);
    assert_true(fnl_graph_add_node(g, FNL_OP_TRANSPOSE, "turn", &y, 1, &a, NULL, 1, &y, NULL) >= 0);
    a = (struct fnl_attrs)FNL_ATTRS_INIT;
    a.shape = fnl_shape_make(2, FNL_DIM_BATCH, 6);
    assert_true(fnl_graph_add_node(g, FNL_OP_RESHAPE, "row", &y, 1, &a, NULL, 1, &y, NULL) >= 0);
    shape = fnl_shape_make(2, 6, 2);
    int m = fnl_graph_add_param(g, "m", &shape, w, true, NULL);
    assert_true(fnl_graph_add_node(g, FNL_OP_MATMUL, "product", (int[]){y, m}, 2, NULL, NULL, 1, &y,
                                   NULL) >= 0);
    int c = fnl_graph_add_const(g, "half", FNL_F32, &(struct fnl_shape){0}, &scalar, NULL);
    assert_true(
        fnl_graph_add_node(g, FNL_OP_SUB, "sub", (int[]){y, c}, 2, NULL, NULL, 1, &y, NULL) >= 0);
    assert_true(
        fnl_graph_add_node(g, FNL_OP_DIV, "div", (int[]){y, c}, 2, NULL, NULL, 1, &y, NULL) >= 0);
    assert_true(fnl_graph_add_node(g, FNL_OP_ERF, "erf", &y, 1, NULL, NULL, 1, &y, NULL) >= 0);
    a = (struct fnl_attrs)FNL_ATTRS_INIT;
    a.axis = 1;
    assert_true(fnl_graph_add_node(g, FNL_OP_LOG_SOFTMAX, "log", &y, 1, &a, NULL, 1, &y, NULL) >=
                0);
    assert_int_equal(fnl_graph_add_output(g, y, NULL), 0);
    struct fnl_graph *back = through_file(g, 0, NULL, NULL);
    assert_same_graph(g, back);
    fnl_graph_free(back);
    fnl_graph_free(g);
}

static void normalisation_stands_in_front(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - conv2d: {filters: 3, kernel_size: 3}\n  - gelu\n"
                                     "  - flatten\n  - dense: {units: 4, activation: softmax}\n",
                                     &image);
    float mul[2] = {0.25F, 2.0F}, add[2] = {-0.5F, 0.75F};
    struct fnl_graph *back = through_file(g, 2, mul, add);
    assert_int_equal(fnl_graph_node(back, 0)->op, FNL_OP_MUL);
    assert_int_equal(fnl_graph_node(back, 1)->op, FNL_OP_ADD);
    assert_shape(&value_named(back, "input/mul")->shape, "[1, 2, 1, 1]");
    assert_int_equal(value_named(back, "input/mul")->kind, FNL_VALUE_CONST);
    float raw[5 * 128], scaled[5 * 128], y1[20], y2[20];
    fill_random(raw, 5 * 128, 1);
    for (size_t i = 0; i < 5 * 128; i++) {
        size_t c = i / 64 % 2;
        float product = raw[i] * mul[c];
        scaled[i] = product + add[c];
    }
    assert_int_equal(run_ref(g, scaled, 5, y1, NULL), 0);
    assert_int_equal(run_ref(back, raw, 5, y2, NULL), 0);
    assert_memory_equal(y1, y2, sizeof y1);
    /* read and written again, nothing changes */
    struct fnl_graph *again = through_file(back, 0, NULL, NULL);
    assert_same_graph(back, again);
    fnl_graph_free(again);
    fnl_graph_free(back);
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_onnx_save(g, "/nonexistent/x.onnx", 3, raw, raw, &err), FNL_E_INVALID);
    fnl_graph_free(g);
}

static void training_forms_and_bad_places_are_not_written(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n  - dense: 3\n", &row);
    struct fnl_training_graph t;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_model_training_graph(g, FNL_LOSS_MEAN_SQUARED_ERROR, true, &t, &err), 0);
    assert_int_equal(fnl_onnx_save(t.graph, "/tmp/fournil-never.onnx", 0, NULL, NULL, &err),
                     FNL_E_INVALID);
    assert_int_not_equal(fnl_onnx_save(g, "/nonexistent/x.onnx", 0, NULL, NULL, &err), 0);
    assert_true(access("/tmp/fournil-never.onnx", F_OK) != 0);
    fnl_graph_free(t.graph);
    fnl_graph_free(g);
}

static void a_failed_save_keeps_the_old_file(void **state)
{
    (void)state;
    char folder[64], path[96];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    struct fnl_graph *g = must_build("model:\n  - dense: {units: 3, activation: gelu}\n", &row);
    struct fnl_graph *other =
        must_build("model:\n  - dense: {units: 400, activation: relu}\n", &row);
    assert_int_equal(fnl_onnx_save(g, path, 0, NULL, NULL, NULL), 0);
    bool done = false;
    for (uint64_t n = 1; n < 3000 && !done; n++) { /* memory fails at the n-th place */
        fnl_mem_fail_at(n);
        int rc = fnl_onnx_save(other, path, 0, NULL, NULL, NULL);
        fnl_mem_fail_at(0);
        done = rc == 0;
        if (!done) {
            struct fnl_graph *back = NULL;
            assert_int_equal(rc, FNL_E_NOMEM);
            assert_int_equal(fnl_onnx_load(path, &back, NULL), 0);
            assert_same_graph(g, back);
            fnl_graph_free(back);
        }
    }
    assert_true(done);
    for (uint64_t n = 1; n < 4; n++) { /* the disk fails */
        assert_int_equal(fnl_onnx_save(g, path, 0, NULL, NULL, NULL), 0);
        fnl_file_fail_at(n);
        int rc = fnl_onnx_save(other, path, 0, NULL, NULL, NULL);
        fnl_file_fail_at(0);
        struct fnl_graph *back = NULL;
        assert_int_equal(fnl_onnx_load(path, &back, NULL), 0); /* one or the other, whole */
        bool is_new = output_shape(back)->dim[1] == 400;
        assert_true(is_new || rc != 0);
        assert_same_graph(is_new ? other : g, back);
        fnl_graph_free(back);
    }
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing is left beside it */
    fnl_graph_free(g);
    fnl_graph_free(other);
}

/* ---- files of PyTorch, with what PyTorch computes ---- */

static void check_fixture(const char *name)
{
    char path[128];
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = NULL;
    snprintf(path, sizeof path, "tests/golden/onnx/%s.onnx", name);
    int rc = fnl_onnx_load(path, &g, &err);
    if (rc != 0) {
        print_message("%s (%s)\n", err.message, err.hint);
    }
    assert_int_equal(rc, 0);
    char *data;
    size_t size;
    snprintf(path, sizeof path, "tests/golden/onnx/%s.f32", name);
    assert_int_equal(fnl_file_read(path, 1 << 20, &data, &size, &err), 0);
    int32_t head[3]; /* rows, inputs and outputs of a row */
    memcpy(head, data, sizeof head);
    size_t rows = (size_t)head[0], in = rows * (size_t)head[1], out = rows * (size_t)head[2];
    assert_int_equal(size, sizeof head + (in + out) * sizeof(float));
    assert_int_equal(elements(g, fnl_graph_output(g, 0), rows), out);
    const float *x = (const float *)(data + sizeof head), *wanted = x + in;
    float *y = fnl_malloc(out * sizeof *y);
    assert_int_equal(run_ref(g, x, rows, y, &err), 0);
    for (size_t i = 0; i < out; i++) {
        if (fabsf(y[i] - wanted[i]) > 1e-5F) {
            print_message("%s[%zu]: %g, PyTorch %g\n", name, i, (double)y[i], (double)wanted[i]);
        }
        assert_true(fabsf(y[i] - wanted[i]) <= 1e-5F);
    }
    struct fnl_graph *back = through_file(g, 0, NULL, NULL);
    assert_same_graph(g, back);
    struct fnl_training_graph t;
    rc = fnl_model_training_graph(g, FNL_LOSS_MEAN_SQUARED_ERROR, true, &t, &err);
    assert_int_equal(rc, 0); /* can be trained on */
    fnl_graph_free(t.graph);
    fnl_graph_free(back);
    fnl_graph_free(g);
    fnl_free(y);
    fnl_free(data);
}

static void files_of_pytorch_give_what_pytorch_gives(void **state)
{
    (void)state;
    static const char *const names[] = {
        "mlp",  "mlp_softmax_opset11", "cnn_norm_folded", "cnn_norm_kept", "resnet_small",
        "gelu", "fixed_batch",         "no_bias_1d_norm",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_fixture(names[i]);
    }
}

static void shapes_computed_in_the_file_are_known_when_it_is_read(void **state)
{
    (void)state;
    static const char *const names[] = {
        "view_batch",         "view_batch_opset11",
        "view_batch_opset16", "view_batch_unfolded",
        "view_product",       "view_numel",
        "view_sum",           "view_slice",
        "view_shuffle",       "flatten_from_2",
        "mean_as_pool",       "mean_as_pool_kept",
        "mean_by_axis",       "pool_squeezed_opset11",
        "unsqueezed",         "constant_weights",
        "dropout_off",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_fixture(names[i]);
    }
    struct fnl_graph *g = NULL; /* nothing of it is left */
    assert_int_equal(fnl_onnx_load("tests/golden/onnx/view_numel.onnx", &g, NULL), 0);
    assert_int_equal(fnl_graph_node_count(g), 4); /* Conv, Relu, Reshape, Gemm */
    fnl_graph_free(g);
    assert_int_equal(fnl_onnx_load("tests/golden/onnx/mean_as_pool.onnx", &g, NULL), 0);
    assert_int_equal(fnl_graph_node(g, 2)->op, FNL_OP_GLOBAL_AVERAGE_POOL);
    fnl_graph_free(g);
}

static void weights_of_files_become_parameters(void **state)
{
    (void)state;
    struct fnl_graph *g = NULL;
    assert_int_equal(fnl_onnx_load("tests/golden/onnx/cnn_norm_kept.onnx", &g, NULL), 0);
    int trainable = 0, fixed = 0;
    for (int v = 0; v < fnl_graph_value_count(g); v++) {
        const struct fnl_value *value = fnl_graph_value(g, v);
        trainable += value->kind == FNL_VALUE_PARAM && value->trainable;
        fixed += value->kind == FNL_VALUE_PARAM && !value->trainable;
        assert_int_not_equal(value->kind, FNL_VALUE_CONST);
    }
    assert_int_equal(trainable, 8); /* 2 convolutions, 1 norm, 1 dense */
    assert_int_equal(fixed, 2);     /* running mean and variance */
    fnl_graph_free(g);
    assert_int_equal(fnl_onnx_load("tests/golden/onnx/gelu.onnx", &g, NULL), 0);
    int gelus = 0;
    for (int i = 0; i < fnl_graph_node_count(g); i++) {
        gelus += fnl_graph_node(g, i)->op == FNL_OP_GELU;
    }
    assert_int_equal(gelus, 2);
    assert_int_equal(fnl_graph_node_count(g), 6);
    fnl_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_comes_back_as_it_was),
        cmocka_unit_test(other_operators_come_back_as_they_were),
        cmocka_unit_test(normalisation_stands_in_front),
        cmocka_unit_test(training_forms_and_bad_places_are_not_written),
        cmocka_unit_test(a_failed_save_keeps_the_old_file),
        cmocka_unit_test(files_of_pytorch_give_what_pytorch_gives),
        cmocka_unit_test(shapes_computed_in_the_file_are_known_when_it_is_read),
        cmocka_unit_test(weights_of_files_become_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
