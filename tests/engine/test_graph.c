/* test_graph.c - building graphs: shapes inferred, mistakes refused in words, copies equal,
 * gradients where they belong. */
#include "engine/nets.h"

static struct fnl_graph *new_graph(void)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = NULL;
    ok(fnl_graph_create(&g, &err));
    return g;
}

static int add_input(struct fnl_graph *g, struct fnl_shape shape)
{
    struct fnl_error err = FNL_ERROR_INIT;
    int v = fnl_graph_add_input(g, NULL, FNL_F32, &shape, &err);
    ok(v);
    return v;
}

struct shape_case {
    enum fnl_op op;
    struct fnl_shape x, w; /* w: a parameter; rank 0: none */
    struct fnl_attrs attrs;
    struct fnl_shape expected; /* rank -1: refused */
};

#define N FNL_DIM_BATCH
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define NONE                                                                                       \
    {                                                                                              \
        0,                                                                                         \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define REFUSED                                                                                    \
    {                                                                                              \
        -1,                                                                                        \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
/* What a case leaves at 0 is set to ONNX's default before use. */
#define ATTRS(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct shape_case shape_cases[] = {
    {FNL_OP_GEMM, SHAPE(N, 784), SHAPE(128, 784), ATTRS(.trans_b = true), SHAPE(N, 128)},
    {FNL_OP_GEMM, SHAPE(N, 784), SHAPE(784, 128), ATTRS(.trans_b = false), SHAPE(N, 128)},
    {FNL_OP_GEMM, SHAPE(N, 784), SHAPE(128, 783), ATTRS(.trans_b = true), REFUSED},
    {FNL_OP_MATMUL, SHAPE(N, 3, 4), SHAPE(4, 5), ATTRS(.alpha = 1), REFUSED},
    {FNL_OP_CONV, SHAPE(N, 3, 32, 32), SHAPE(32, 3, 3, 3), ATTRS(.alpha = 1), SHAPE(N, 32, 30, 30)},
    {FNL_OP_CONV, SHAPE(N, 3, 32, 32), SHAPE(8, 3, 3, 3),
     ATTRS(.strides = {2, 2}, .pads = {1, 1, 1, 1}), SHAPE(N, 8, 16, 16)},
    {FNL_OP_CONV, SHAPE(N, 4, 9, 7), SHAPE(6, 2, 3, 2), ATTRS(.group = 2, .dilations = {2, 3}),
     SHAPE(N, 6, 5, 4)},
    {FNL_OP_CONV, SHAPE(N, 3, 2, 2), SHAPE(8, 3, 3, 3), ATTRS(.alpha = 1), REFUSED},
    {FNL_OP_CONV, SHAPE(N, 3, 8, 8), SHAPE(8, 4, 3, 3), ATTRS(.alpha = 1), REFUSED},
    {FNL_OP_CONV, SHAPE(N, 3, 8, 8), SHAPE(8, 3, 3, 3), ATTRS(.strides = {-1, 1}), REFUSED},
    {FNL_OP_MAX_POOL, SHAPE(N, 64, 13, 13), NONE, ATTRS(.kernel = {2, 2}, .strides = {2, 2}),
     SHAPE(N, 64, 6, 6)},
    {FNL_OP_MAX_POOL, SHAPE(N, 64, 13, 13), NONE,
     ATTRS(.kernel = {2, 2}, .strides = {2, 2}, .ceil_mode = true), SHAPE(N, 64, 7, 7)},
    {FNL_OP_MAX_POOL, SHAPE(N, 4, 5, 5), NONE, ATTRS(.kernel = {2, 2}, .pads = {2, 0, 0, 0}),
     REFUSED},
    {FNL_OP_GLOBAL_AVERAGE_POOL, SHAPE(N, 7, 5, 3), NONE, ATTRS(.alpha = 1), SHAPE(N, 7, 1, 1)},
    {FNL_OP_FLATTEN, SHAPE(N, 64, 6, 6), NONE, ATTRS(.axis = 1), SHAPE(N, 2304)},
    {FNL_OP_FLATTEN, SHAPE(N, 64, 6, 6), NONE, ATTRS(.axis = 2), REFUSED},
    {FNL_OP_RESHAPE, SHAPE(N, 12), NONE, ATTRS(.shape = {4, {-1, 3, 2, 2}}), SHAPE(N, 3, 2, 2)},
    {FNL_OP_RESHAPE, SHAPE(N, 12), NONE, ATTRS(.shape = {3, {0, 3, -1}}), SHAPE(N, 3, 4)},
    {FNL_OP_RESHAPE, SHAPE(N, 12), NONE, ATTRS(.shape = {2, {-1, 11}}), REFUSED},
    {FNL_OP_RESHAPE, SHAPE(N, 12), NONE, ATTRS(.shape = {2, {6, -1}}), REFUSED},
    {FNL_OP_TRANSPOSE, SHAPE(N, 2, 3), NONE, ATTRS(.perm = {0, 2, 1}), SHAPE(N, 3, 2)},
    {FNL_OP_TRANSPOSE, SHAPE(N, 2, 3), NONE, ATTRS(.perm = {1, 0, 2}), REFUSED},
    {FNL_OP_TRANSPOSE, SHAPE(N, 2, 3), NONE, ATTRS(.perm = {0, 1, 1}), REFUSED},
    {FNL_OP_ADD, SHAPE(N, 3, 4, 4), SHAPE(1, 3, 1, 1), ATTRS(.alpha = 1), SHAPE(N, 3, 4, 4)},
    {FNL_OP_ADD, SHAPE(N, 5), SHAPE(4), ATTRS(.alpha = 1), REFUSED},
    {FNL_OP_ADD, SHAPE(N, 1 << 20, 1, 1), SHAPE(1, 1, 1 << 11, 1 << 11), ATTRS(.alpha = 1),
     REFUSED},
    {FNL_OP_SOFTMAX, SHAPE(N, 10), NONE, ATTRS(.axis = -1), SHAPE(N, 10)},
    {FNL_OP_SOFTMAX, SHAPE(N, 10), NONE, ATTRS(.axis = 0), REFUSED},
    {FNL_OP_REDUCE_MEAN, SHAPE(N, 3, 4), NONE, ATTRS(.axes_mask = 6, .keepdims = true),
     SHAPE(N, 1, 1)},
    {FNL_OP_REDUCE_MEAN, SHAPE(N, 3, 4), NONE, ATTRS(.axes_mask = 4), SHAPE(N, 3)},
    {FNL_OP_REDUCE_SUM, SHAPE(N, 3), NONE, ATTRS(.axes_mask = 1), REFUSED},
    {FNL_OP_DROPOUT, SHAPE(N, 3), NONE, ATTRS(.ratio = 1.0F), REFUSED},
};

static struct fnl_attrs with_defaults(struct fnl_attrs a)
{
    for (int d = 0; d < 2; d++) {
        a.kernel[d] = a.kernel[d] == 0 ? 1 : a.kernel[d];
        a.strides[d] = a.strides[d] == 0 ? 1 : a.strides[d];
        a.dilations[d] = a.dilations[d] == 0 ? 1 : a.dilations[d];
    }
    a.group = a.group == 0 ? 1 : a.group;
    return a;
}

static void shapes_are_inferred_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shape_cases / sizeof shape_cases[0]; i++) {
        const struct shape_case *c = &shape_cases[i];
        struct fnl_graph *g = new_graph();
        struct fnl_error err = FNL_ERROR_INIT;
        int in[2] = {add_input(g, c->x), -1}, y[4];
        int count = c->w.rank > 0 ? 2 : 1;
        if (count == 2) {
            in[1] = add_weights(g, "w", c->w);
        }
        struct fnl_attrs attrs = with_defaults(c->attrs);
        int rc = fnl_graph_add_node(g, c->op, "node", in, count, &attrs, NULL, 0, y, &err);
        char text[FNL_SHAPE_TEXT];
        if (c->expected.rank < 0) {
            if (rc >= 0) {
                fail_msg("case %zu: %s was not refused", i, fnl_op_text(c->op));
            }
            assert_int_equal(rc, FNL_E_FORMAT);
            assert_non_null(strstr(err.message, "\"node\""));
        } else if (rc < 0) {
            fail_msg("case %zu: %s", i, err.message);
        } else if (!fnl_shape_equal(&fnl_graph_value(g, y[0])->shape, &c->expected)) {
            fail_msg("case %zu: %s", i, fnl_shape_text(&fnl_graph_value(g, y[0])->shape, text));
        }
        fnl_graph_free(g);
    }
}

static void a_refusal_names_node_and_shapes(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = new_graph();
    struct fnl_shape x = SHAPE(N, 784), w = SHAPE(128, 100);
    int in[2] = {add_input(g, x), add_weights(g, "w", w)};
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.trans_b = true;
    assert_true(fnl_graph_add_node(g, FNL_OP_GEMM, "dense_1", in, 2, &a, NULL, 0, NULL, &err) < 0);
    assert_string_equal(err.message, "node \"dense_1\" (Gemm): inner sizes 784 and 100 differ; "
                                     "input [N, 784] and [128, 100]");
    fnl_graph_free(g);
}

static void names_are_unique(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = new_graph();
    struct fnl_shape s = SHAPE(N, 4);
    ok(fnl_graph_add_input(g, "x", FNL_F32, &s, &err));
    assert_int_equal(fnl_graph_add_input(g, "x", FNL_F32, &s, &err), FNL_E_FORMAT);
    for (int i = 0; i < 1000; i++) { /* the name table grows */
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        int v = fnl_graph_add_input(g, name, FNL_F32, &s, &err);
        ok(v);
        assert_int_equal(fnl_graph_find_value(g, name), v);
    }
    assert_int_equal(fnl_graph_find_value(g, "y1000"), -1);
    fnl_graph_free(g);
}

static void inputs_without_measure_are_refused(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_graph *g = new_graph();
    struct fnl_shape huge = SHAPE(N, INT64_MAX / 2, 3), empty = SHAPE(N, 0);
    assert_int_equal(fnl_graph_add_input(g, "a", FNL_F32, &huge, &err), FNL_E_FORMAT);
    assert_int_equal(fnl_graph_add_input(g, "b", FNL_F32, &empty, &err), FNL_E_FORMAT);
    fnl_graph_free(g);
}

static void every_parameter_gets_a_gradient_of_its_shape(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        struct net n;
        net_open(&n, kind, 1);
        int trained = 0;
        for (int v = 0; v < fnl_graph_value_count(n.graph); v++) {
            const struct fnl_value *value = fnl_graph_value(n.graph, v);
            if (value->kind != FNL_VALUE_PARAM || !value->trainable) {
                continue;
            }
            trained++;
            assert_true(value->gradient >= 0);
            const struct fnl_value *d = fnl_graph_value(n.graph, value->gradient);
            assert_true(fnl_shape_equal(&d->shape, &value->shape));
            assert_int_equal(d->gradient_of, v);
        }
        assert_int_equal(trained, kind == NET_MLP ? 4 : kind == NET_CNN ? 8 : 10);
        net_close(&n);
    }
}

/* The first layer's input needs no gradient, so none is computed. */
static void no_gradient_is_made_for_the_data(void **state)
{
    (void)state;
    struct net n;
    net_open(&n, NET_CNN, 1);
    int count = 0;
    for (int i = 0; i < fnl_graph_node_count(n.graph); i++) {
        count += fnl_graph_node(n.graph, i)->op == FNL_OP_CONV_GRAD_DATA;
    }
    assert_int_equal(count, 1);
    net_close(&n);
}

static void a_copy_is_the_same_graph(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct net n;
    net_open(&n, NET_CNN_NORM, 1);
    ok(fnl_graph_set_meta(n.graph, "k", "v", &err));
    struct fnl_graph *copy = NULL;
    ok(fnl_graph_copy(n.graph, &copy, &err));
    assert_int_equal(fnl_graph_value_count(copy), fnl_graph_value_count(n.graph));
    assert_int_equal(fnl_graph_node_count(copy), fnl_graph_node_count(n.graph));
    assert_string_equal(fnl_graph_meta(copy, "k"), "v");
    for (int v = 0; v < fnl_graph_value_count(copy); v++) {
        const struct fnl_value *a = fnl_graph_value(n.graph, v), *b = fnl_graph_value(copy, v);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->producer, b->producer);
        assert_int_equal(a->gradient, b->gradient);
        assert_true(a->data == NULL || a->data != b->data);
    }
    fnl_graph_free(copy);
    net_close(&n);
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    struct net n;
    net_open(&n, NET_MLP, 1);
    for (uint64_t i = 1;; i++) {
        struct fnl_error err = FNL_ERROR_INIT;
        struct fnl_graph *copy = NULL;
        fnl_mem_fail_at(i);
        int rc = fnl_graph_copy(n.graph, &copy, &err);
        fnl_mem_fail_at(0);
        if (rc == 0) {
            fnl_graph_free(copy);
            assert_true(i > 3);
            break;
        }
        assert_int_equal(rc, FNL_E_NOMEM);
    }
    net_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_inferred_or_refused),
        cmocka_unit_test(a_refusal_names_node_and_shapes),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(inputs_without_measure_are_refused),
        cmocka_unit_test(every_parameter_gets_a_gradient_of_its_shape),
        cmocka_unit_test(no_gradient_is_made_for_the_data),
        cmocka_unit_test(a_copy_is_the_same_graph),
        cmocka_unit_test(a_failed_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
