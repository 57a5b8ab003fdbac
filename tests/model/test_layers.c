/* test_layers.c - the layer list: shapes, names, parameters, initialisers, errors. */
#include "model_check.h"

static const struct fnl_shape image = {3, {3, 8, 8}}, row = {1, {20}};

static void dense_is_gemm_with_weight_units_by_inputs(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n"
                                     "  - flatten\n"
                                     "  - dense: {units: 5, activation: relu}\n"
                                     "  - dense: 4\n",
                                     &image);
    assert_shape(&value_named(g, "dense.weight")->shape, "[5, 192]");
    assert_shape(&value_named(g, "dense.bias")->shape, "[5]");
    assert_shape(&value_named(g, "dense_1.weight")->shape, "[4, 5]");
    assert_shape(output_shape(g), "[N, 4]");
    assert_string_equal(fnl_graph_value(g, fnl_graph_output(g, 0))->name, "output");
    assert_int_equal(fnl_graph_node_count(g), 4);
    const struct fnl_node *n = fnl_graph_node(g, 1);
    assert_int_equal(n->op, FNL_OP_GEMM);
    assert_true(n->attrs.trans_b);
    assert_int_equal(fnl_graph_node(g, 2)->op, FNL_OP_RELU);
    assert_string_equal(fnl_graph_node(g, 2)->name, "dense.relu");
    fnl_graph_free(g);
}

static void conv2d_same_padding_is_keras(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build(
        "model:\n"
        "  - conv2d: {filters: 6, kernel_size: [4, 3], strides: 2, padding: same, groups: 3}\n",
        &image);
    const struct fnl_node *n = fnl_graph_node(g, 0);
    /* 8 wide, stride 2: 4 places; height 4: total (3*2+4-8) = 2; width 3: total 1, behind */
    assert_int_equal(n->attrs.pads[0], 1);
    assert_int_equal(n->attrs.pads[2], 1);
    assert_int_equal(n->attrs.pads[1], 0);
    assert_int_equal(n->attrs.pads[3], 1);
    assert_shape(output_shape(g), "[N, 6, 4, 4]");
    assert_shape(&value_named(g, "conv2d.weight")->shape, "[6, 1, 4, 3]");
    fnl_graph_free(g);
}

static void conv2d_takes_numbers_as_padding(void **state)
{
    (void)state;
    static const struct {
        const char *padding, *shape;
    } cases[] = {
        {"valid", "[N, 2, 6, 6]"},
        {"1", "[N, 2, 8, 8]"},
        {"[0, 2]", "[N, 2, 6, 10]"},
        {"[1, 0, 2, 3]", "[N, 2, 9, 9]"},
    };
    for (size_t i = 0; i < 4; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 "model:\n  - conv2d: {filters: 2, kernel_size: 3, padding: %s}\n",
                 cases[i].padding);
        struct fnl_graph *g = must_build(text, &image);
        assert_shape(output_shape(g), cases[i].shape);
        fnl_graph_free(g);
    }
}

static void pools_and_global_pools_have_keras_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *layer, *shape;
    } cases[] = {
        {"max_pooling2d", "[N, 3, 4, 4]"},
        {"max_pooling2d: 3", "[N, 3, 2, 2]"},
        {"average_pooling2d: {pool_size: 3, strides: 2, padding: same}", "[N, 3, 4, 4]"},
        {"global_average_pooling2d", "[N, 3]"},
        {"global_max_pooling2d: {keepdims: true}", "[N, 3, 1, 1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "model:\n  - %s\n", cases[i].layer);
        struct fnl_graph *g = must_build(text, &image);
        assert_shape(output_shape(g), cases[i].shape);
        fnl_graph_free(g);
    }
}

static void every_activation_builds(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n"
                                     "  - relu\n"
                                     "  - leaky_relu\n"
                                     "  - leaky_relu: {negative_slope: 0.1}\n"
                                     "  - gelu\n"
                                     "  - gelu: {approximate: true}\n"
                                     "  - sigmoid\n"
                                     "  - tanh\n"
                                     "  - softmax\n"
                                     "  - activation: leaky_relu\n"
                                     "  - activation: linear\n",
                                     &row);
    static const enum fnl_op wanted[] = {
        FNL_OP_RELU,    FNL_OP_LEAKY_RELU, FNL_OP_LEAKY_RELU, FNL_OP_GELU,       FNL_OP_GELU,
        FNL_OP_SIGMOID, FNL_OP_TANH,       FNL_OP_SOFTMAX,    FNL_OP_LEAKY_RELU, FNL_OP_IDENTITY,
    };
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fnl_graph_node(g, i)->op, wanted[i]);
    }
    assert_float_equal(fnl_graph_node(g, 1)->attrs.alpha, 0.3F, 0);
    assert_float_equal(fnl_graph_node(g, 2)->attrs.alpha, 0.1F, 0);
    assert_float_equal(fnl_graph_node(g, 8)->attrs.alpha, 0.2F, 0);
    assert_false(fnl_graph_node(g, 3)->attrs.gelu_tanh);
    assert_true(fnl_graph_node(g, 4)->attrs.gelu_tanh);
    fnl_graph_free(g);
}

/* As Keras: the last axis of an image is its channels, whatever the order in memory. */
static void layer_normalization_takes_the_channels_of_each_pixel(void **state)
{
    (void)state;
    enum { ROWS = 2, C = 3, PIXELS = 64 };
    struct fnl_graph *g = must_build("model:\n  - layer_normalization\n", &image);
    static float x[ROWS * C * PIXELS], y[ROWS * C * PIXELS];
    float gain[C] = {1.5F, -0.5F, 2.0F}, shift[C] = {0.25F, 0.0F, -1.0F};
    fill_random(x, ROWS * C * PIXELS, 11);
    assert_shape(output_shape(g), "[N, 3, 8, 8]");
    int weight = fnl_graph_find_value(g, "layer_normalization.weight");
    int bias = fnl_graph_find_value(g, "layer_normalization.bias");
    assert_int_equal(fnl_graph_set_data(g, weight, gain, NULL), 0);
    assert_int_equal(fnl_graph_set_data(g, bias, shift, NULL), 0);
    assert_int_equal(run_ref(g, x, ROWS, y, NULL), 0);
    for (size_t i = 0; i < ROWS * PIXELS; i++) {
        const float *pixel = x + i / PIXELS * C * PIXELS + i % PIXELS;
        const float *got = y + (pixel - x);
        double mean = 0.0, variance = 0.0;
        for (size_t c = 0; c < C; c++) {
            mean += (double)pixel[c * PIXELS] / C;
        }
        for (size_t c = 0; c < C; c++) {
            variance += pow((double)pixel[c * PIXELS] - mean, 2.0) / C;
        }
        for (size_t c = 0; c < C; c++) {
            double xhat = ((double)pixel[c * PIXELS] - mean) / sqrt(variance + 1e-3);
            double want = xhat * (double)gain[c] + (double)shift[c];
            assert_true(fabs((double)got[c * PIXELS] - want) < 1e-5);
        }
    }
    fnl_graph_free(g);
}

static void normalisations_have_keras_defaults(void **state)
{
    (void)state;
    struct fnl_graph *g = must_build("model:\n"
                                     "  - batch_normalization\n"
                                     "  - flatten\n"
                                     "  - batch_normalization: {center: false}\n"
                                     "  - layer_normalization: {scale: false}\n"
                                     "  - dropout: 0.25\n"
                                     "  - dropout: {rate: 0.5}\n",
                                     &image);
    const struct fnl_node *n = fnl_graph_node(g, 0);
    assert_float_equal(n->attrs.epsilon, 1e-3F, 0);
    assert_float_equal(n->attrs.momentum, 0.99F, 0);
    assert_true(value_named(g, "batch_normalization.weight")->trainable);
    assert_false(value_named(g, "batch_normalization.running_mean")->trainable);
    assert_float_equal(((const float *)value_named(g, "batch_normalization.running_var")->data)[2],
                       1.0F, 0);
    assert_false(value_named(g, "batch_normalization_1.bias")->trainable);
    assert_true(value_named(g, "batch_normalization_1.weight")->trainable);
    assert_false(value_named(g, "layer_normalization.weight")->trainable);
    assert_float_equal(fnl_graph_node(g, 4)->attrs.ratio, 0.25F, 0);
    assert_int_equal(fnl_graph_node(g, 4)->attrs.seed, 0);
    assert_int_equal(fnl_graph_node(g, 5)->attrs.seed, 1);
    fnl_graph_free(g);
}

static void residual_adds_branch_and_shortcut(void **state)
{
    (void)state;
    struct fnl_graph *g =
        must_build("model:\n"
                   "  - residual:\n"
                   "      layers:\n"
                   "        - conv2d: {filters: 8, kernel_size: 3, padding: same, strides: 2}\n"
                   "        - residual: [relu]\n"
                   "      shortcut:\n"
                   "        - conv2d: {filters: 8, kernel_size: 1, strides: 2}\n"
                   "      activation: relu\n",
                   &image);
    assert_shape(output_shape(g), "[N, 8, 4, 4]");
    assert_shape(&value_named(g, "conv2d_1.weight")->shape, "[8, 3, 1, 1]");
    int last = fnl_graph_node_count(g) - 1;
    assert_int_equal(fnl_graph_node(g, last)->op, FNL_OP_RELU);
    assert_int_equal(fnl_graph_node(g, last - 1)->op, FNL_OP_ADD);
    assert_string_equal(fnl_graph_value(g, fnl_graph_output(g, 0))->name, "output");
    fnl_graph_free(g);
}

/* ---- initialisers ---- */

struct moments {
    double mean, deviation, low, high;
};

static struct moments moments_of(const char *initializer)
{
    char text[256];
    snprintf(text, sizeof text,
             "model:\n  - dense: {units: 300, kernel_initializer: %s, bias_initializer: pytorch}\n",
             initializer);
    struct fnl_shape sample = {1, {200}};
    struct fnl_graph *g = must_build(text, &sample);
    const float *w = value_named(g, "dense.weight")->data;
    struct moments m = {0, 0, 1e9, -1e9};
    size_t count = 300 * 200;
    for (size_t i = 0; i < count; i++) {
        m.mean += (double)w[i] / (double)count;
        m.low = fmin(m.low, (double)w[i]);
        m.high = fmax(m.high, (double)w[i]);
    }
    for (size_t i = 0; i < count; i++) {
        m.deviation += pow((double)w[i] - m.mean, 2) / (double)count;
    }
    m.deviation = sqrt(m.deviation);
    const float *b = value_named(g, "dense.bias")->data;
    for (int i = 0; i < 300; i++) {
        assert_true(fabs((double)b[i]) <= 1 / sqrt(200));
    }
    fnl_graph_free(g);
    return m;
}

static void initialisers_have_their_moments(void **state)
{
    (void)state;
    double in = 200, average = 250;
    struct {
        const char *name;
        double mean, deviation, limit; /* limit 0: none */
    } cases[] = {
        {"glorot_uniform", 0, sqrt(1 / average), sqrt(3 / average)},
        {"xavier_uniform", 0, sqrt(1 / average), sqrt(3 / average)},
        {"glorot_normal", 0, sqrt(1 / average), 2 * sqrt(1 / average) / 0.8796},
        {"xavier_normal", 0, sqrt(1 / average), 0},
        {"he_uniform", 0, sqrt(2 / in), sqrt(6 / in)},
        {"kaiming_uniform", 0, sqrt(2 / in), sqrt(6 / in)},
        {"he_normal", 0, sqrt(2 / in), 2 * sqrt(2 / in) / 0.8796},
        {"kaiming_normal", 0, sqrt(2 / in), 0},
        {"lecun_uniform", 0, sqrt(1 / in), sqrt(3 / in)},
        {"lecun_normal", 0, sqrt(1 / in), 2 * sqrt(1 / in) / 0.8796},
        {"zeros", 0, 0, 1e-12},
        {"ones", 1, 0, 1},
        {"{constant: 0.5}", 0.5, 0, 0.5},
        {"{constant: {value: -2}}", -2, 0, 2},
        {"{random_normal: {mean: 1, stddev: 0.5}}", 1, 0.5, 0},
        {"{random_uniform: {minval: 0, maxval: 2}}", 1, 1 / sqrt(3), 2},
        {"truncated_normal", 0, 0.05 * 0.8796, 0.1},
        {"pytorch", 0, 1 / sqrt(3 * in), 1 / sqrt(in)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct moments m = moments_of(cases[i].name);
        double scale = cases[i].deviation > 0 ? cases[i].deviation : 1;
        bool good = fabs(m.mean - cases[i].mean) < 0.02 * scale + 1e-6 &&
                    fabs(m.deviation - cases[i].deviation) < 0.02 * scale &&
                    (cases[i].limit == 0 || fmax(-m.low, m.high) <= cases[i].limit * 1.0001);
        if (!good) {
            print_message("%s: mean %g deviation %g range %g %g\n", cases[i].name, m.mean,
                          m.deviation, m.low, m.high);
        }
        assert_true(good);
    }
}

static void conv_fans_count_the_window(void **state)
{
    (void)state;
    struct fnl_graph *g =
        must_build("model:\n  - conv2d: {filters: 64, kernel_size: 3, groups: 1}\n", &image);
    const float *w = value_named(g, "conv2d.weight")->data;
    double limit = sqrt(6.0 / (3 * 9 + 64 * 9)), high = 0;
    for (int i = 0; i < 64 * 27; i++) {
        high = fmax(high, fabs((double)w[i]));
    }
    assert_true(high <= limit && high > 0.98 * limit);
    fnl_graph_free(g);
}

static void weights_depend_on_seed_and_place_only(void **state)
{
    (void)state;
    struct fnl_graph *a = NULL, *b = NULL, *c = NULL;
    const char *one = "model:\n  - dense: 6\n", *two = "model:\n  - dense: 6\n  - dense: 5\n";
    assert_int_equal(build_text(one, &row, 0, 1, &a, NULL), 0);
    assert_int_equal(build_text(two, &row, 0, 1, &b, NULL), 0);
    assert_int_equal(build_text(one, &row, 0, 2, &c, NULL), 0);
    size_t size = 6 * 20 * sizeof(float);
    const void *w = value_named(a, "dense.weight")->data;
    assert_memory_equal(w, value_named(b, "dense.weight")->data, size);
    assert_memory_not_equal(w, value_named(c, "dense.weight")->data, size);
    fnl_graph_free(a);
    fnl_graph_free(b);
    fnl_graph_free(c);
}

/* ---- errors ---- */

static void check_error(const char *yaml, const struct fnl_shape *sample, int classes,
                        const char *message, const char *hint)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = NULL;
    int rc = build_text(yaml, sample, classes, 1, &g, &err);
    assert_null(g);
    if (strstr(err.message, message) == NULL || (hint != NULL && strstr(err.hint, hint) == NULL)) {
        print_message("got: %s\nhint: %s\nwanted: %s\n", err.message, err.hint, message);
    }
    assert_int_equal(rc, FNL_E_CONFIG);
    assert_non_null(strstr(err.message, message));
    assert_true(hint == NULL || strstr(err.hint, hint) != NULL);
}

static void errors_name_line_layer_and_shapes(void **state)
{
    (void)state;
    check_error(
        "model:\n  - dense: 4\n", &image, 0,
        "net.yaml:2:5: model.0 (dense \"dense\"): needs rows [N, features], got [N, 3, 8, 8]",
        "flatten");
    check_error(
        "model:\n  - flatten\n  - conv2d: {filters: 4, kernel_size: 3}\n", &image, 0,
        "model.1 (conv2d \"conv2d\"): needs images [N, channels, height, width], got [N, 192]",
        NULL);
    check_error("model:\n  - conv2d: {filters: 4, kernel_size: 9}\n", &image, 0,
                "net.yaml:2:5: model.0 (conv2d \"conv2d\")", NULL);
    check_error("model:\n  - conv2d: {filters: 4, kernel_size: 3, groups: 2}\n", &image, 0,
                "3 channels and 4 filters do not split into 2 groups", NULL);
    check_error("model:\n  - dense: {units: 4, name: last}\n", &row, 10,
                "model.0 (dense \"last\"): the model ends with [N, 4], but the data needs [N, 10]",
                "units");
    check_error("model:\n  - residual: [{conv2d: {filters: 4, kernel_size: 1}}]\n", &image, 0,
                "cannot add the input [N, 3, 8, 8] and the branch [N, 4, 8, 8]", "shortcut");
    check_error("model:\n  - conv2d: {filters: 2, kernel_size: 3, padding: vaild}\n", &image, 0,
                "padding: expected valid, same", NULL);
    check_error("model:\n  - conv2d: {filters: 2, kernel_size: [3, 3, 3]}\n", &image, 0,
                "kernel_size: expected one number or [height, width]", NULL);
    check_error("model:\n  - softmax\n", &image, 0, "needs rows", NULL);
}

static void errors_suggest_the_nearest_name(void **state)
{
    (void)state;
    check_error("model:\n  - dens: 4\n", &row, 0,
                "net.yaml:2:5: model.0: no layer is called \"dens\"", "\"dense\"");
    check_error("model:\n  - linear: 4\n", &row, 0, "no layer is called \"linear\"", "\"dense\"");
    check_error("model:\n  - batch_norm\n", &row, 0, "batch_norm", "\"batch_normalization\"");
    check_error("model:\n  - dense: {unit: 4}\n", &row, 0, "unknown key \"unit\" in model.0",
                "\"units\"");
    check_error("model:\n  - dense: {units: 4, activation: rellu}\n", &row, 0, "activation",
                "\"relu\"");
    check_error("model:\n  - dense: {units: 4, kernel_initializer: he_norml}\n", &row, 0,
                "model.0.kernel_initializer: no initialiser is called \"he_norml\"",
                "\"he_normal\"");
}

static void malformed_lists_are_refused(void **state)
{
    (void)state;
    check_error("model: []\n", &row, 0, "model: expected a list of layers", NULL);
    check_error("model: dense\n", &row, 0, "model: expected a list of layers", NULL);
    check_error("other: 1\n", &row, 0, "model: expected a list of layers", NULL);
    check_error("model:\n  - [dense]\n", &row, 0, "model.0: expected a layer", NULL);
    check_error("model:\n  - {dense: 4, relu: 5}\n", &row, 0, "model.0: expected a layer", NULL);
    check_error("model:\n  - dense\n", &row, 0, "model.0.units is required", NULL);
    check_error("model:\n  - dense: {units: 0}\n", &row, 0, "model.0.units", NULL);
    check_error("model:\n  - dense: {units: 3, name: a.b}\n", &row, 0, "name: use up to", NULL);
    check_error("model:\n  - dense: {units: 3, name: output}\n", &row, 0, "name: use up to", NULL);
    check_error("model:\n  - dense: {units: 3, name: a}\n  - dense: {units: 3, name: a}\n", &row, 0,
                "another layer has this name", NULL);
    check_error("model:\n  - dropout: 1.0\n", &row, 0, "model.0.rate", NULL);
    check_error("model:\n  - dense: {units: 16777216}\n  - dense: {units: 16777216}\n", &row, 0,
                "too large", NULL);
    check_error("model:\n  - dense: {units: 4, kernel_initializer: [1]}\n", &row, 0,
                "expected the name of an initialiser", NULL);
}

static void nesting_is_limited(void **state)
{
    (void)state;
    struct fnl_buf b;
    fnl_buf_init(&b, 10000);
    fnl_buf_puts(&b, "model: ");
    for (int i = 0; i < 12; i++) {
        fnl_buf_puts(&b, "[{residual: ");
    }
    fnl_buf_puts(&b, "[relu]");
    for (int i = 0; i < 12; i++) {
        fnl_buf_puts(&b, "}]");
    }
    fnl_buf_puts(&b, "\n");
    check_error(b.data, &row, 0, "residual layers stand more than 8 deep", NULL);
    fnl_buf_free(&b);
}

static void documentation_lists_every_layer(void **state)
{
    (void)state;
    struct fnl_buf b;
    fnl_buf_init(&b, 1 << 20);
    assert_int_equal(fnl_model_layers_doc(&b), 0);
    static const char *const wanted[] = {"#### `dense`",         "#### `conv2d`", "#### `residual`",
                                         "`kernel_initializer`", "| `pytorch` |", "negative_slope"};
    for (size_t i = 0; i < 6; i++) {
        assert_non_null(strstr(b.data, wanted[i]));
    }
    fnl_buf_free(&b);
}

static void allocation_failures_are_reported(void **state)
{
    (void)state;
    const char *text = "model:\n"
                       "  - conv2d: {filters: 2, kernel_size: 3, kernel_initializer: he_normal}\n"
                       "  - batch_normalization\n"
                       "  - residual: {layers: [{conv2d: {filters: 2, kernel_size: 1}}]}\n"
                       "  - flatten\n"
                       "  - dense: {units: 3, activation: softmax}\n";
    struct fnl_yaml *doc = NULL;
    assert_int_equal(fnl_yaml_parse("net.yaml", text, strlen(text), &doc, NULL), 0);
    const struct fnl_yaml_node *layers = fnl_yaml_get(fnl_yaml_root(doc), "model");
    bool done = false;
    for (uint64_t n = 1; n < 2000 && !done; n++) {
        struct fnl_error err = FNL_ERROR_INIT;
        struct fnl_graph *g = NULL;
        fnl_mem_fail_at(n);
        int rc = fnl_model_from_layers(doc, layers, &image, 0, 1, &g, &err);
        fnl_mem_fail_at(0);
        done = rc == 0;
        assert_true(rc == 0 || (rc == FNL_E_NOMEM && err.message[0] != 0 && g == NULL));
        fnl_graph_free(g);
    }
    assert_true(done);
    fnl_yaml_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_is_gemm_with_weight_units_by_inputs),
        cmocka_unit_test(conv2d_same_padding_is_keras),
        cmocka_unit_test(conv2d_takes_numbers_as_padding),
        cmocka_unit_test(pools_and_global_pools_have_keras_shapes),
        cmocka_unit_test(every_activation_builds),
        cmocka_unit_test(layer_normalization_takes_the_channels_of_each_pixel),
        cmocka_unit_test(normalisations_have_keras_defaults),
        cmocka_unit_test(residual_adds_branch_and_shortcut),
        cmocka_unit_test(initialisers_have_their_moments),
        cmocka_unit_test(conv_fans_count_the_window),
        cmocka_unit_test(weights_depend_on_seed_and_place_only),
        cmocka_unit_test(errors_name_line_layer_and_shapes),
        cmocka_unit_test(errors_suggest_the_nearest_name),
        cmocka_unit_test(malformed_lists_are_refused),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(documentation_lists_every_layer),
        cmocka_unit_test(allocation_failures_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
