/* test_onnx_versions.c - where versions of an operator differ, and forms that exporters write. What
 * the graph computes is checked by the reference back end. */
#include "onnx_craft.h"

#define TYPE(x) ONNX__TENSOR_PROTO__DATA_TYPE__##x

static struct craft craft;
static const int64_t row[2] = {0, 4}, image[4] = {0, 2, 5, 5};

/* Parses and runs on 2 rows; returns y. */
static void run(const float *x, float *y)
{
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_int_equal(run_ref(g, x, 2, y, NULL), 0);
    fnl_graph_free(g);
}

static void softmax_before_13_flattens(void **state)
{
    (void)state;
    float x[16], y[16];
    fill_random(x, 16, 1);
    for (int opset = 11; opset <= 13; opset += 2) {
        craft_begin(&craft, opset, 4, (int64_t[]){0, 2, 2, 2});
        size_t n = craft_node(&craft, "Softmax", "x", "y");
        if (opset == 13) {
            craft_int(&craft, n, "axis", 3);
        }
        run(x, y);
        size_t group = opset == 11 ? 8 : 2; /* numbers that sum to 1 */
        for (size_t i = 0; i < 16; i += group) {
            double sum = 0, wanted = 0;
            for (size_t k = 0; k < group; k++) {
                sum += (double)y[i + k];
                wanted += exp((double)x[i + k]);
            }
            assert_true(fabs(sum - 1) < 1e-5);
            assert_true(fabs((double)y[i] - exp((double)x[i]) / wanted) < 1e-5);
        }
    }
    craft_begin(&craft, 11, 2, row);
    craft_int(&craft, craft_node(&craft, "Softmax", "x", "y"), "axis", 0);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "over the batch");
}

static void dropout_has_its_ratio_in_an_attribute_or_an_input(void **state)
{
    (void)state;
    float ratio = 0.25F;
    bool off = false, on = true;
    craft_begin(&craft, 11, 2, row);
    craft_float(&craft, craft_node(&craft, "Dropout", "x", "y"), "ratio", ratio);
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_float_equal(fnl_graph_node(g, 0)->attrs.ratio, ratio, 0);
    fnl_graph_free(g);
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Dropout", "x r t", "y");
    craft_tensor(&craft, "r", TYPE(FLOAT), 0, NULL, &ratio, 4);
    craft_tensor(&craft, "t", TYPE(BOOL), 0, NULL, &off, 1);
    g = craft_must_parse(&craft);
    assert_float_equal(fnl_graph_node(g, 0)->attrs.ratio, ratio, 0);
    fnl_graph_free(g);
    craft.tensor[1].raw_data.data = (uint8_t *)&on;
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "training mode");
}

static void auto_pad_becomes_numbers(void **state)
{
    (void)state;
    static const float w[36] = {1};
    static const struct {
        const char *how;
        int32_t pads[4];
    } cases[] = {
        {"SAME_UPPER", {0, 0, 1, 1}}, /* 5 places at stride 2, kernel 2: 3 windows, 1 to pad */
        {"SAME_LOWER", {1, 1, 0, 0}},
        {"VALID", {0, 0, 0, 0}},
        {"NOTSET", {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < 4; i++) {
        for (int conv = 0; conv < 2; conv++) {
            craft_begin(&craft, 13, 4, image);
            size_t n = conv ? craft_node(&craft, "Conv", "x w", "y")
                            : craft_node(&craft, "MaxPool", "x", "y");
            craft_text(&craft, n, "auto_pad", cases[i].how);
            craft_ints(&craft, n, "kernel_shape", 2, (int64_t[]){2, 2});
            craft_ints(&craft, n, "strides", 2, (int64_t[]){2, 2});
            craft_tensor(&craft, "w", TYPE(FLOAT), 4, (int64_t[]){3, 2, 2, 2}, w, 96);
            struct fnl_graph *g = craft_must_parse(&craft);
            assert_memory_equal(fnl_graph_node(g, 0)->attrs.pads, cases[i].pads, 16);
            fnl_graph_free(g);
        }
    }
    craft_begin(&craft, 13, 4, image);
    size_t n = craft_node(&craft, "MaxPool", "x", "y");
    craft_text(&craft, n, "auto_pad", "SAME");
    craft_ints(&craft, n, "kernel_shape", 2, (int64_t[]){2, 2});
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "auto_pad is \"SAME\"");
}

static void windows_that_are_not_of_images_are_refused(void **state)
{
    (void)state;
    craft_begin(&craft, 13, 4, image);
    craft_ints(&craft, craft_node(&craft, "MaxPool", "x", "y"), "kernel_shape", 3,
               (int64_t[]){2, 2, 2});
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "only images (2-D)");
    craft_begin(&craft, 13, 3, image);
    craft_ints(&craft, craft_node(&craft, "MaxPool", "x", "y"), "kernel_shape", 1, (int64_t[]){2});
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "needs images");
    craft_begin(&craft, 13, 4, image);
    craft_node(&craft, "MaxPool", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "it has no kernel_shape");
    craft_begin(&craft, 13, 4, image);
    craft_ints(&craft, craft_node(&craft, "MaxPool", "x", "y"), "kernel_shape", 2,
               (int64_t[]){2, INT64_MAX});
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "kernel_shape is out of range");
}

static void batch_norm_in_training_mode_is_refused(void **state)
{
    (void)state;
    static const float ones[4] = {1, 1, 1, 1};
    for (int training = 0; training < 2; training++) {
        craft_begin(&craft, 15, 2, row);
        size_t n = craft_node(&craft, "BatchNormalization", "x s b m v", "y");
        craft_int(&craft, n, "training_mode", training);
        craft_float(&craft, n, "epsilon", 0.5F);
        for (int i = 0; i < 4; i++) {
            static const char *const names[] = {"s", "b", "m", "v"};
            craft_tensor(&craft, names[i], TYPE(FLOAT), 1, &row[1], ones, 16);
        }
        if (training) {
            craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "training mode");
        } else {
            struct fnl_graph *g = craft_must_parse(&craft);
            assert_float_equal(fnl_graph_node(g, 0)->attrs.epsilon, 0.5F, 0);
            assert_float_equal(fnl_graph_node(g, 0)->attrs.momentum, 0.9F, 0);
            assert_true(value_named(g, "s")->trainable);
            assert_false(value_named(g, "m")->trainable);
            fnl_graph_free(g);
        }
    }
}

static void axes_come_as_attribute_or_input(void **state)
{
    (void)state;
    static const struct {
        const char *op;
        int opset;
        bool as_input;
    } cases[] = {{"ReduceSum", 11, false},
                 {"ReduceSum", 13, true},
                 {"ReduceMean", 13, false},
                 {"ReduceMean", 18, true}};
    /* The crafted message points to these until it is parsed: they outlive the blocks. */
    int64_t count[] = {2}, axes[] = {-1, 1};
    for (size_t i = 0; i < 4; i++) {
        craft_begin(&craft, cases[i].opset, 4, image);
        size_t n = craft_node(&craft, cases[i].op, cases[i].as_input ? "x a" : "x", "y");
        if (cases[i].as_input) {
            craft_tensor(&craft, "a", TYPE(INT64), 1, count, axes, sizeof axes);
        } else {
            craft_ints(&craft, n, "axes", 2, axes);
        }
        craft_int(&craft, n, "keepdims", 0);
        struct fnl_graph *g = craft_must_parse(&craft);
        assert_int_equal(fnl_graph_node(g, 0)->attrs.axes_mask, 1U << 3 | 1U << 1);
        assert_shape(output_shape(g), "[N, 5]");
        fnl_graph_free(g);
    }
}

static void reshape_keeps_the_batch_it_was_exported_with(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = {{-1, 50}, {0, -1}, {7, 50}, {7, -1}};
    for (size_t i = 0; i < 4; i++) {
        craft_begin(&craft, 13, 4, image);
        craft.dim[0].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        craft.dim[0].dim_value = 7; /* exported with 7 rows */
        craft_node(&craft, "Reshape", "x s", "y");
        craft_tensor(&craft, "s", TYPE(INT64), 1, (int64_t[]){2}, shapes[i], 16);
        struct fnl_graph *g = craft_must_parse(&craft);
        assert_shape(output_shape(g), "[N, 50]");
        fnl_graph_free(g);
    }
}

static void all_float_types_become_float32(void **state)
{
    (void)state;
    static const float wanted[4] = {1.0F, -2.5F, 0x1p-24F, 65504.0F};
    static const uint16_t half[4] = {0x3C00, 0xC100, 0x0001, 0x7BFF};
    static const double wide[4] = {1.0, -2.5, 0x1p-24, 65504.0};
    static const uint16_t brain[4] = {0x3F80, 0xC020, 0x3380, 0x4780}; /* 65504 rounds to 65536 */
    const struct {
        int type;
        const void *data;
        size_t size;
    } cases[] = {{TYPE(FLOAT), wanted, 16},
                 {TYPE(FLOAT16), half, 8},
                 {TYPE(DOUBLE), wide, 32},
                 {TYPE(BFLOAT16), brain, 8}};
    for (size_t i = 0; i < 4; i++) {
        craft_begin(&craft, 13, 2, row);
        craft_node(&craft, "MatMul", "x w", "y");
        craft_tensor(&craft, "w", cases[i].type, 2, (int64_t[]){4, 1}, cases[i].data,
                     cases[i].size);
        struct fnl_graph *g = craft_must_parse(&craft);
        const float *w = value_named(g, "w")->data;
        for (int k = 0; k < 4; k++) {
            assert_float_equal(w[k], i == 3 && k == 3 ? 65536.0F : wanted[k], 0);
        }
        fnl_graph_free(g);
    }
    int32_t words[4] = {0x3C00, 0xC100, 0x0001, 0x7BFF}; /* float16 in the field of int32 */
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "MatMul", "x w", "y");
    Onnx__TensorProto *t = craft_tensor(&craft, "w", TYPE(FLOAT16), 2, (int64_t[]){4, 1}, NULL, 0);
    t->int32_data = words;
    t->n_int32_data = 4;
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_memory_equal(value_named(g, "w")->data, wanted, 16);
    fnl_graph_free(g);
}

static void constant_nodes_and_identities_of_constants_are_folded(void **state)
{
    (void)state;
    craft_begin(&craft, 13, 2, row);
    size_t n = craft_node(&craft, "Constant", "", "c");
    craft_float(&craft, n, "value_float", 2.0F);
    craft_node(&craft, "Identity", "c", "d");
    craft_node(&craft, "Mul", "x d", "y");
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_int_equal(fnl_graph_node_count(g), 1);
    assert_int_equal(value_named(g, "d")->kind, FNL_VALUE_CONST);
    fnl_graph_free(g);
}

static void an_initializer_may_be_listed_as_an_input(void **state)
{
    (void)state;
    static const float w[4] = {1, 2, 3, 4};
    Onnx__ValueInfoProto extra = ONNX__VALUE_INFO_PROTO__INIT, *list[2];
    extra.name = (char *)(uintptr_t) "w";
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "MatMul", "x w", "m");
    craft_node(&craft, "Add", "m b", "y");
    craft_tensor(&craft, "w", TYPE(FLOAT), 2, (int64_t[]){4, 1}, w, 16);
    craft_tensor(&craft, "b", TYPE(FLOAT), 1, (int64_t[]){1}, w, 4);
    list[0] = &extra;
    list[1] = &craft.info[0];
    craft.graph.input = list;
    craft.graph.n_input = 2;
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_int_equal(fnl_graph_input_count(g), 1);
    assert_true(value_named(g, "b")->trainable); /* the bias of a product */
    fnl_graph_free(g);
}

static void gelu_is_found_in_any_order_of_factors(void **state)
{
    (void)state;
    static const float root = 1.41421354F, half = 0.5F, one = 1.0F, inverse = 0.707106769F;
    static const char *const tails[3][2] = {
        /* operator inputs: product, y */
        {"x s", "p h"},
        {"h s", "x p"},
        {"x h", "s p"}, /* x / 2 made first */
    };
    float x[8], y[8];
    fill_random(x, 8, 2);
    for (int i = 0; i < 3; i++) {
        for (int by_mul = 0; by_mul < 2; by_mul++) {
            craft_begin(&craft, 13, 2, row);
            craft_node(&craft, by_mul ? "Mul" : "Div", by_mul ? "i x" : "x r", "d");
            craft_node(&craft, "Erf", "d", "e");
            craft_node(&craft, "Add", "e o", "s");
            craft_node(&craft, "Mul", tails[i][0], "p");
            craft_node(&craft, "Mul", tails[i][1], "y");
            craft_tensor(&craft, "r", TYPE(FLOAT), 0, NULL, &root, 4);
            craft_tensor(&craft, "h", TYPE(FLOAT), 0, NULL, &half, 4);
            craft_tensor(&craft, "o", TYPE(FLOAT), 0, NULL, &one, 4);
            craft_tensor(&craft, "i", TYPE(FLOAT), 0, NULL, &inverse, 4);
            struct fnl_graph *g = craft_must_parse(&craft);
            assert_int_equal(fnl_graph_node_count(g), 1);
            assert_int_equal(fnl_graph_node(g, 0)->op, FNL_OP_GELU);
            fnl_graph_free(g);
            run(x, y);
            for (int k = 0; k < 8; k++) {
                double z = (double)x[k];
                assert_true(fabs((double)y[k] - z * (1 + erf(z / sqrt(2))) / 2) < 1e-6);
            }
        }
    }
    /* an inner tensor that is read elsewhere: nothing is fused, the result is the same */
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Div", "x r", "d");
    craft_node(&craft, "Erf", "d", "e");
    craft_node(&craft, "Add", "e o", "s");
    craft_node(&craft, "Mul", "x s", "p");
    craft_node(&craft, "Mul", "p h", "q");
    craft_node(&craft, "Add", "q e", "y");
    craft_tensor(&craft, "r", TYPE(FLOAT), 0, NULL, &root, 4);
    craft_tensor(&craft, "h", TYPE(FLOAT), 0, NULL, &half, 4);
    craft_tensor(&craft, "o", TYPE(FLOAT), 0, NULL, &one, 4);
    run(x, y);
    for (int k = 0; k < 8; k++) {
        double z = (double)x[k], e = erf(z / sqrt(2));
        assert_true(fabs((double)y[k] - z * (1 + e) / 2 - e) < 1e-6);
    }
}

static void pads_of_zeros_move_into_the_window(void **state)
{
    (void)state;
    static const int64_t none[8] = {0}, some[8] = {0, 0, 1, 2, 0, 0, 3, 0},
                         batch[8] = {1, 0, 0, 0, 0, 0, 0, 0}, cut[8] = {0, 0, -1, 0, 0, 0, 0, 0};
    static const float one = 1.0F;
    craft_begin(&craft, 13, 4, image);
    craft_node(&craft, "Pad", "x p", "z");
    size_t n = craft_node(&craft, "AveragePool", "z", "y");
    craft_ints(&craft, n, "kernel_shape", 2, (int64_t[]){4, 4});
    craft_tensor(&craft, "p", TYPE(INT64), 1, (int64_t[]){8}, some, 64);
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_int_equal(fnl_graph_node_count(g), 1);
    assert_memory_equal(fnl_graph_node(g, 0)->attrs.pads, ((int32_t[]){1, 2, 3, 0}), 16);
    assert_true(fnl_graph_node(g, 0)->attrs.count_include_pad);
    fnl_graph_free(g);

    craft.tensor[0].raw_data.data = (uint8_t *)(uintptr_t)batch;
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "pads more than height and width");
    craft.tensor[0].raw_data.data = (uint8_t *)(uintptr_t)cut;
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "or cuts");
    craft.tensor[0].raw_data.data = (uint8_t *)(uintptr_t)none;
    g = craft_must_parse(&craft);
    assert_false(fnl_graph_node(g, 0)->attrs.count_include_pad);
    fnl_graph_free(g);
    craft_begin(&craft, 13, 4, image);
    craft_node(&craft, "Pad", "x p v", "z");
    craft_node(&craft, "Relu", "z", "y");
    craft_tensor(&craft, "p", TYPE(INT64), 1, (int64_t[]){8}, some, 64);
    craft_tensor(&craft, "v", TYPE(FLOAT), 0, NULL, &one, 4);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "does not pad with zeros");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_before_13_flattens),
        cmocka_unit_test(dropout_has_its_ratio_in_an_attribute_or_an_input),
        cmocka_unit_test(auto_pad_becomes_numbers),
        cmocka_unit_test(windows_that_are_not_of_images_are_refused),
        cmocka_unit_test(batch_norm_in_training_mode_is_refused),
        cmocka_unit_test(axes_come_as_attribute_or_input),
        cmocka_unit_test(reshape_keeps_the_batch_it_was_exported_with),
        cmocka_unit_test(all_float_types_become_float32),
        cmocka_unit_test(constant_nodes_and_identities_of_constants_are_folded),
        cmocka_unit_test(an_initializer_may_be_listed_as_an_input),
        cmocka_unit_test(gelu_is_found_in_any_order_of_factors),
        cmocka_unit_test(pads_of_zeros_move_into_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
