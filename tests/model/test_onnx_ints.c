/* test_onnx_ints.c - integers that files compute from shapes: what each operator gives, and what is
 * refused. The result is seen in the shape of a Reshape that reads it. x is [N, 2, 3, 4]. */
#include "onnx_craft.h"

#define INT64 ONNX__TENSOR_PROTO__DATA_TYPE__INT64
#define INT32 ONNX__TENSOR_PROTO__DATA_TYPE__INT32
#define FLOAT ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT

static struct craft craft; /* large */
static const int64_t image[4] = {0, 2, 3, 4};

static void begin(int opset)
{
    craft_begin(&craft, opset, 4, image);
}

/* A constant list; count < 0: a single number. */
static void ints(const char *name, int count, const int64_t *value)
{
    int64_t length = count;
    (void)craft_tensor(&craft, name, INT64, count < 0 ? 0 : 1, &length, value,
                       (size_t)(count < 0 ? 1 : count) * sizeof *value);
}
#define LIST(...)                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NUMBER(x)                                                                                  \
    -1, (int64_t[])                                                                                \
    {                                                                                              \
        x                                                                                          \
    }

/* y = Reshape(x, s) has this shape. */
static void gives(const char *shape)
{
    craft_node(&craft, "Reshape", "x s", "y");
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_shape(output_shape(g), shape);
    assert_int_equal(fnl_graph_node_count(g), 1);
    assert_int_equal(fnl_graph_value_count(g), 2);
    fnl_graph_free(g);
}

static void fails(int code, const char *message)
{
    craft_node(&craft, "Reshape", "x s", "y");
    craft_must_fail(&craft, NULL, code, message);
}

/* ---- what is given ---- */

static void a_shape_is_a_list_with_the_batch_in_front(void **state)
{
    (void)state;
    begin(13);
    craft_node(&craft, "Shape", "x", "s");
    gives("[N, 2, 3, 4]");
    static const struct {
        int64_t start, end;
        int rest; /* what the -1 in front of it takes */
    } cases[] = {{1, 4, 0}, {1, 99, 0}, {-3, 99, 0}, {1, -1, 1}, {2, 3, 2}};
    static const char *const shapes[] = {"[N, 2, 3, 4]", "[N, 2, 3, 4]", "[N, 2, 3, 4]",
                                         "[N, 2, 3, 4]", "[N, 3, 8]"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(15);
        size_t n = craft_node(&craft, "Shape", "x", "part");
        craft_int(&craft, n, "start", cases[i].start);
        craft_int(&craft, n, "end", cases[i].end);
        ints("batch", LIST(-1));
        ints("rest", LIST(-1));
        n = craft_node(&craft, "Concat", cases[i].rest > 0 ? "batch part rest" : "batch part", "s");
        craft_int(&craft, n, "axis", 0);
        gives(shapes[i]);
    }
}

static void the_shape_of_a_list_is_its_length(void **state)
{
    (void)state;
    begin(13);
    ints("l", LIST(7, 8, 9));
    craft_node(&craft, "Shape", "l", "three");
    ints("batch", LIST(0, -1));
    size_t n = craft_node(&craft, "Concat", "batch three", "s");
    craft_int(&craft, n, "axis", -1);
    gives("[N, 8, 3]");
}

/* All of a slice's bounds, as Python has them. */
static void slices_are_those_of_python(void **state)
{
    (void)state;
    static const struct {
        int64_t start, end, step;
        const char *shape;
    } cases[] = {
        {0, 4, 1, "[N, 2, 3, 4]"},
        {0, INT64_MAX, 1, "[N, 2, 3, 4]"},
        {INT64_MIN, INT64_MAX, 1, "[N, 2, 3, 4]"},
        {-4, INT64_MAX, 1, "[N, 2, 3, 4]"},
        {0, 1, INT64_MAX, "[N, 24]"},
        {0, -1, 3, "[N, 24]"},
        {0, INT64_MIN, -1, "[N, 24]"},
        {0, INT64_MIN, INT64_MIN, "[N, 24]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(13);
        craft_node(&craft, "Shape", "x", "shape");
        ints("starts", LIST(cases[i].start));
        ints("ends", LIST(cases[i].end));
        ints("axes", LIST(0));
        ints("steps", LIST(cases[i].step));
        craft_node(&craft, "Slice", "shape starts ends axes steps", "part");
        ints("rest", LIST(-1));
        bool whole = strcmp(cases[i].shape, "[N, 24]") != 0;
        size_t n = craft_node(&craft, "Concat", whole ? "part" : "part rest", "s");
        craft_int(&craft, n, "axis", 0);
        gives(cases[i].shape);
    }
}

static void numbers_become_lists_and_back(void **state)
{
    (void)state;
    begin(11);
    craft_node(&craft, "Shape", "x", "shape");
    ints("one", NUMBER(-3)); /* dimension 1 */
    size_t n = craft_node(&craft, "Gather", "shape one", "c");
    craft_int(&craft, n, "axis", 0);
    n = craft_node(&craft, "Unsqueeze", "c", "list");
    craft_ints(&craft, n, "axes", 1, (int64_t[]){0});
    n = craft_node(&craft, "Squeeze", "list", "number");
    ints("minus", LIST(-1));
    craft_node(&craft, "Reshape", "number minus", "again");
    ints("batch", LIST(0, -1));
    n = craft_node(&craft, "Concat", "batch again", "s");
    craft_int(&craft, n, "axis", 0);
    gives("[N, 12, 2]");
}

static void arithmetic_keeps_the_batch_a_symbol(void **state)
{
    (void)state;
    static const struct {
        const char *op, *inputs, *shape;
    } cases[] = {
        {"Mul", "batch one", "[N, 24]"},
        {"Div", "batch one", "[N, 24]"},
        {"Sub", "twice batch", "[N, 24]"},
        {"Div", "twice two", "[N, 24]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(13);
        craft_node(&craft, "Shape", "x", "shape");
        ints("first", LIST(0));
        ints("one", LIST(1));
        ints("two", LIST(2));
        craft_node(&craft, "Gather", "shape first", "batch");
        craft_node(&craft, "Add", "batch batch", "twice");
        craft_node(&craft, cases[i].op, cases[i].inputs, "n");
        ints("rest", LIST(-1));
        size_t n = craft_node(&craft, "Concat", "n rest", "s");
        craft_int(&craft, n, "axis", 0);
        gives(cases[i].shape);
    }
    begin(13); /* N * 24 / N */
    craft_node(&craft, "Shape", "x", "shape");
    ints("first", LIST(0));
    craft_node(&craft, "Gather", "shape first", "batch");
    craft_node(&craft, "ReduceProd", "shape", "all");
    craft_node(&craft, "Div", "all batch", "features");
    size_t n = craft_node(&craft, "Concat", "batch features", "s");
    craft_int(&craft, n, "axis", 0);
    gives("[N, 24]");
}

static void division_is_towards_zero_and_lists_are_broadcast(void **state)
{
    (void)state;
    begin(13); /* [-1, 25, 3] / 3 = [0, 8, 1], * 1, then a 3 behind */
    ints("a", LIST(-1, 25, 3));
    ints("b", NUMBER(3));
    craft_node(&craft, "Div", "a b", "q");
    ints("three", LIST(3));
    size_t n = craft_node(&craft, "Concat", "q three", "s");
    craft_int(&craft, n, "axis", 0);
    gives("[N, 8, 1, 3]");
}

static void integers_stay_integers_through_casts_and_identities(void **state)
{
    (void)state;
    begin(13);
    craft_node(&craft, "Shape", "x", "shape");
    size_t n = craft_node(&craft, "Cast", "shape", "narrow");
    craft_int(&craft, n, "to", INT32);
    craft_node(&craft, "Identity", "narrow", "same");
    n = craft_node(&craft, "Cast", "same", "s");
    craft_int(&craft, n, "to", INT64);
    gives("[N, 2, 3, 4]");
}

/* ---- what is refused, by node ---- */

static void what_mixes_the_batch_with_others_is_refused(void **state)
{
    (void)state;
    begin(13); /* N * 2 in front */
    craft_node(&craft, "Shape", "x", "shape");
    ints("two", LIST(2, 1, 1, 1));
    craft_node(&craft, "Mul", "shape two", "s");
    fails(FNL_E_UNSUPPORTED, "(Reshape): dimension 0 of its shape mixes the batch");
    begin(13); /* N elsewhere */
    craft_node(&craft, "Shape", "x", "shape");
    ints("turned", LIST(1, 0, 2, 3));
    craft_node(&craft, "Gather", "shape turned", "s");
    fails(FNL_E_UNSUPPORTED, "dimension 1 of its shape mixes the batch");
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div"};
    for (size_t i = 0; i < 4; i++) { /* N + 1, N - 5, N * N, N / 5 */
        begin(13);
        craft_node(&craft, "Shape", "x", "shape");
        ints("five", LIST(5, 1, 1, 1));
        craft_node(&craft, ops[i], i == 2 ? "shape shape" : "shape five", "s");
        fails(FNL_E_UNSUPPORTED, "depends on the batch size");
    }
    begin(13); /* as an index */
    craft_node(&craft, "Shape", "x", "shape");
    craft_node(&craft, "Gather", "shape shape", "s");
    fails(FNL_E_UNSUPPORTED, "(Gather): its result depends on the batch size");
    begin(13); /* as axes */
    craft_node(&craft, "Shape", "x", "shape");
    craft_node(&craft, "Squeeze", "x shape", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "\"shape\" depends on the batch size");
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const int64_t indices[] = {4, -5, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 4; i++) {
        begin(13);
        craft_node(&craft, "Shape", "x", "shape");
        ints("at", LIST(indices[i]));
        craft_node(&craft, "Gather", "shape at", "s");
        fails(FNL_E_FORMAT, "of a list of 4");
    }
    static const struct {
        const char *op;
        int64_t a, b;
    } cases[] = {{"Div", 1, 0},
                 {"Div", INT64_MIN, -1},
                 {"Mul", INT64_MAX, 2},
                 {"Add", INT64_MAX, 1},
                 {"Sub", INT64_MIN, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(13);
        ints("a", LIST(cases[i].a));
        ints("b", LIST(cases[i].b));
        craft_node(&craft, cases[i].op, "a b", "s");
        fails(FNL_E_FORMAT, "it overflows, or divides by zero");
    }
    begin(13);
    ints("a", LIST(1, 2, 3));
    ints("b", LIST(1, 2));
    craft_node(&craft, "Add", "a b", "s");
    fails(FNL_E_FORMAT, "different lengths");
    begin(13);
    craft_node(&craft, "Shape", "x", "shape");
    ints("zero", LIST(0));
    ints("four", LIST(4));
    craft_node(&craft, "Slice", "shape zero four zero zero", "s");
    fails(FNL_E_FORMAT, "a step of 0");
}

static void lists_have_a_length_at_most(void **state)
{
    (void)state;
    begin(13);
    craft_node(&craft, "Shape", "x", "a");
    static const char *const inputs[] = {"a a", "b b", "c c", "d d"}, *const outputs[] = {"b", "c",
                                                                                          "d", "s"};
    for (size_t i = 0; i < 4; i++) {
        craft_int(&craft, craft_node(&craft, "Concat", inputs[i], outputs[i]), "axis", 0);
    }
    fails(FNL_E_LIMIT, "(Concat): a list of more than 32 integers");
    static int64_t zeros[33];
    begin(13);
    craft_node(&craft, "Shape", "x", "shape");
    ints("at", 33, zeros);
    craft_node(&craft, "Gather", "shape at", "s");
    fails(FNL_E_FORMAT, "expected a short list");
    begin(13); /* 16 dimensions */
    craft_node(&craft, "Shape", "x", "shape");
    ints("at", 16, zeros);
    craft_node(&craft, "Gather", "shape at", "s");
    fails(FNL_E_UNSUPPORTED, "a shape of 16 dimensions, at most 8");
}

static void circles_and_missing_names_are_refused(void **state)
{
    (void)state;
    begin(13);
    craft_node(&craft, "Shape", "later", "s");
    craft_node(&craft, "Relu", "x", "later");
    fails(FNL_E_FORMAT, "made later");
    begin(13);
    craft_node(&craft, "Shape", "nothing", "s");
    fails(FNL_E_FORMAT, "which nothing makes");
    begin(13);
    craft_node(&craft, "Shape", "x", "a");
    craft_int(&craft, craft_node(&craft, "Concat", "a s", "s"), "axis", 0);
    fails(FNL_E_UNSUPPORTED, "\"s\" must be integers known");
    begin(13);
    craft_node(&craft, "Shape", "-", "s");
    fails(FNL_E_FORMAT, "input 0 is missing");
}

static void integers_are_no_numbers_to_compute_with(void **state)
{
    (void)state;
    begin(13);
    craft_node(&craft, "Shape", "x", "s");
    craft_node(&craft, "Mul", "x s", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "integers made from shapes, as numbers");
    begin(13);
    craft_node(&craft, "Shape", "x", "s");
    craft_int(&craft, craft_node(&craft, "Cast", "s", "y"), "to", FLOAT);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "can only stay integers");
    begin(13);
    craft_node(&craft, "Shape", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "output \"y\" is made from shapes");
    begin(13); /* of a tensor, these are operators that we do not have */
    craft_int(&craft, craft_node(&craft, "Concat", "x x", "y"), "axis", 1);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "operator Concat is not supported");
}

/* ---- dimensions of 1, casts of tensors ---- */

static void squeeze_and_unsqueeze_are_reshapes(void **state)
{
    (void)state;
    begin(13);
    ints("axes", LIST(1, -1));
    craft_node(&craft, "Unsqueeze", "x axes", "u");
    ints("last", LIST(-1));
    craft_node(&craft, "Squeeze", "u last", "y");
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_shape(&value_named(g, "u")->shape, "[N, 1, 2, 3, 4, 1]");
    assert_shape(output_shape(g), "[N, 1, 2, 3, 4]");
    fnl_graph_free(g);

    static const struct {
        const char *op;
        int64_t axis;
        int code;
        const char *message;
    } cases[] = {
        {"Squeeze", 1, FNL_E_FORMAT, "dimension 1 is larger, not 1"},
        {"Squeeze", 0, FNL_E_FORMAT, "dimension 0 is the batch, not 1"},
        {"Squeeze", 4, FNL_E_FORMAT, "axis 4 of 4 dimensions"},
        {"Unsqueeze", 0, FNL_E_UNSUPPORTED, "the batch must stay in front"},
        {"Unsqueeze", -6, FNL_E_FORMAT, "axis -6 of 5 dimensions"},
        {"Unsqueeze", INT64_MIN, FNL_E_FORMAT, "of 5 dimensions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(13);
        ints("axes", LIST(cases[i].axis));
        craft_node(&craft, cases[i].op, "x axes", "y");
        craft_must_fail(&craft, NULL, cases[i].code, cases[i].message);
    }
    begin(13);
    ints("axes", LIST(1, 1));
    craft_node(&craft, "Unsqueeze", "x axes", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "axis 1 of 6 dimensions");
    begin(13);
    craft_node(&craft, "Squeeze", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "it names no axes");
    begin(13);
    ints("axes", LIST(1, 2, 3, 4, 5));
    craft_node(&craft, "Unsqueeze", "x axes", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "5 new dimensions beside 4");
}

static void a_cast_to_float32_does_nothing(void **state)
{
    (void)state;
    begin(13);
    craft_int(&craft, craft_node(&craft, "Cast", "x", "y"), "to", FLOAT);
    struct fnl_graph *g = craft_must_parse(&craft);
    assert_int_equal(fnl_graph_node(g, 0)->op, FNL_OP_IDENTITY);
    fnl_graph_free(g);
    begin(13);
    craft_int(&craft, craft_node(&craft, "Cast", "x", "y"), "to", INT64);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "another type than float32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shape_is_a_list_with_the_batch_in_front),
        cmocka_unit_test(the_shape_of_a_list_is_its_length),
        cmocka_unit_test(slices_are_those_of_python),
        cmocka_unit_test(numbers_become_lists_and_back),
        cmocka_unit_test(arithmetic_keeps_the_batch_a_symbol),
        cmocka_unit_test(division_is_towards_zero_and_lists_are_broadcast),
        cmocka_unit_test(integers_stay_integers_through_casts_and_identities),
        cmocka_unit_test(what_mixes_the_batch_with_others_is_refused),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(lists_have_a_length_at_most),
        cmocka_unit_test(circles_and_missing_names_are_refused),
        cmocka_unit_test(integers_are_no_numbers_to_compute_with),
        cmocka_unit_test(squeeze_and_unsqueeze_are_reshapes),
        cmocka_unit_test(a_cast_to_float32_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
