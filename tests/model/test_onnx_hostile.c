/* test_onnx_hostile.c - ONNX files that are broken, or made to break the reader. */
#include <sys/stat.h>

#include "base/files.h"
#include "onnx_craft.h"

#define FLOAT ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT

static struct craft craft; /* large */
static const float weights[64] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};
static const int64_t row[2] = {0, 4};

static const char *const fixtures[] = {"cnn_norm_kept", "gelu", "fixed_batch", "view_shuffle",
                                       "view_slice"};
#define FIXTURES (sizeof fixtures / sizeof fixtures[0])

static char *read_fixture(const char *name, size_t *ret_size)
{
    char path[128], *data = NULL;
    snprintf(path, sizeof path, "tests/golden/onnx/%s.onnx", name);
    assert_int_equal(fnl_file_read(path, 1 << 20, &data, ret_size, NULL), 0);
    return data;
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < FIXTURES; f++) {
        size_t size;
        char *data = read_fixture(fixtures[f], &size);
        for (size_t cut = 0; cut < size; cut++) {
            struct fnl_graph *g = NULL;
            struct fnl_error err = FNL_ERROR_INIT;
            char *copy = fnl_malloc(cut + 1); /* so that a sanitizer sees reads beyond it */
            memcpy(copy, data, cut);
            assert_int_not_equal(fnl_onnx_parse("cut.onnx", copy, cut, NULL, &g, &err), 0);
            assert_null(g);
            assert_non_null(strstr(err.message, "cut.onnx"));
            fnl_free(copy);
        }
        fnl_free(data);
    }
}

static void any_changed_byte_is_survived(void **state)
{
    (void)state;
    static const unsigned char flips[] = {0x01, 0x80, 0x7F, 0xFF};
    int read = 0, refused = 0;
    for (size_t f = 0; f < FIXTURES; f++) {
        size_t size;
        char *data = read_fixture(fixtures[f], &size);
        for (size_t i = 0; i < size; i++) {
            for (size_t k = 0; k < sizeof flips; k++) {
                struct fnl_graph *g = NULL;
                struct fnl_error err = FNL_ERROR_INIT;
                data[i] = (char)(data[i] ^ (char)flips[k]);
                int rc = fnl_onnx_parse("flipped.onnx", data, size, NULL, &g, &err);
                data[i] = (char)(data[i] ^ (char)flips[k]);
                assert_true(rc == 0 || (rc < 0 && g == NULL && err.message[0] != '\0'));
                *(rc == 0 ? &read : &refused) += 1;
                fnl_graph_free(g);
            }
        }
        fnl_free(data);
    }
    assert_true(read > 0 && refused > 0);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (size_t f = 0; f < FIXTURES; f++) {
        size_t size;
        char *data = read_fixture(fixtures[f], &size);
        bool done = false;
        for (uint64_t n = 1; n < 5000 && !done; n++) {
            struct fnl_graph *g = NULL;
            struct fnl_error err = FNL_ERROR_INIT;
            fnl_mem_fail_at(n);
            int rc = fnl_onnx_parse("torture.onnx", data, size, NULL, &g, &err);
            fnl_mem_fail_at(0);
            done = rc == 0;
            if (rc != 0 && rc != FNL_E_NOMEM) {
                print_message("allocation %llu: %s\n", (unsigned long long)n, err.message);
            }
            assert_true(done || (rc == FNL_E_NOMEM && g == NULL && err.message[0] != '\0'));
            fnl_graph_free(g);
        }
        assert_true(done);
        fnl_free(data);
    }
}

/* ---- the wire ---- */

/* Appends a field of bytes. */
static void put_bytes(struct fnl_buf *b, int id, const void *data, size_t size)
{
    unsigned char head[12];
    size_t n = 0;
    head[n++] = (unsigned char)(id << 3 | 2);
    for (size_t rest = size;; rest >>= 7) {
        head[n++] = (unsigned char)((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
        if (rest <= 0x7F) {
            break;
        }
    }
    fnl_buf_append(b, head, n);
    fnl_buf_append(b, data, size);
}

static void must_refuse(const void *data, size_t size, int code, const char *message)
{
    struct fnl_graph *g = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = fnl_onnx_parse("wire.onnx", data, size, NULL, &g, &err);
    if (rc != code || strstr(err.message, message) == NULL) {
        print_message("code %d: %s\nwanted: %s\n", rc, err.message, message);
    }
    assert_int_equal(rc, code);
    assert_non_null(strstr(err.message, message));
}

static void deep_nesting_is_refused_before_recursion(void **state)
{
    (void)state;
    struct fnl_buf inner, outer;
    fnl_buf_init(&inner, 1 << 24);
    fnl_buf_init(&outer, 1 << 24);
    for (int i = 0; i < 20000; i++) { /* graph { node { attribute { graph ... */
        static const int path[] = {5, 1, 6};
        put_bytes(&outer, path[i % 3], inner.data, inner.size);
        struct fnl_buf swap = inner;
        inner = outer;
        outer = swap;
        fnl_buf_reset(&outer);
    }
    put_bytes(&outer, 7, inner.data, inner.size);
    must_refuse(outer.data, outer.size, FNL_E_LIMIT, "deep in each other");
    fnl_buf_free(&inner);
    fnl_buf_free(&outer);
}

static void wire_faults_are_refused(void **state)
{
    (void)state;
    must_refuse("", 0, FNL_E_UNSUPPORTED, "operator set 0");
    must_refuse("\x3A\x05", 2, FNL_E_FORMAT, "beyond the end");
    must_refuse("\x3A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, FNL_E_FORMAT, "beyond the end");
    must_refuse("\x3A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 11, FNL_E_FORMAT, "bad length");
    must_refuse("\x3A\x00\x3A\x00", 4, FNL_E_FORMAT, "stands twice");
    must_refuse("\x3B\x3C", 2, FNL_E_FORMAT, "unknown wire type");
    must_refuse("\x00\x01", 2, FNL_E_FORMAT, "bad tag");
    must_refuse("\x08", 1, FNL_E_FORMAT, "bad number");
    must_refuse("\x0D\x01\x02", 3, FNL_E_FORMAT, "cut off");
    must_refuse("this is no model at all", 23, FNL_E_FORMAT, "wire.onnx: byte");
}

static void masses_of_empty_messages_are_refused(void **state)
{
    (void)state;
    struct fnl_buf nodes, model;
    fnl_buf_init(&nodes, 8 << 20);
    fnl_buf_init(&model, 8 << 20);
    for (int i = 0; i < 2000001; i++) {
        fnl_buf_append(&nodes, "\x0A\x00", 2); /* graph.node {} */
    }
    put_bytes(&model, 7, nodes.data, nodes.size);
    must_refuse(model.data, model.size, FNL_E_LIMIT, "messages");
    fnl_buf_free(&nodes);
    fnl_buf_free(&model);
}

/* ---- the graph ---- */

static void graphs_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "b", "a");
    craft_node(&craft, "Relu", "a", "b");
    craft_node(&craft, "Relu", "b", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT,
                    "node 0 \"a\" (Relu): it reads \"b\", which is made "
                    "later");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "y", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "circle");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "z", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "it reads \"z\", which nothing makes");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "input 0 is missing");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Add", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "input 1 is missing");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x x", "y");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "it has 2 inputs, at most 1");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x", "x");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "two tensors are named \"x\"");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x", "z");
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "no node makes output \"y\"");
    craft_begin(&craft, 13, 2, row);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "it holds no graph");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x", "y");
    craft.graph.n_output = 0;
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "it has no output");
    craft_begin(&craft, 13, 4, (int64_t[]){0, 1, 5, 5});
    craft_node(&craft, "Conv", "x - b", "y");
    craft_tensor(&craft, "b", FLOAT, 1, (int64_t[]){1}, weights, 4);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "input 1 is missing");
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Einsum", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "node 0 \"y\" (Einsum): operator Einsum");
    craft_begin(&craft, 13, 2, row);
    craft.node[craft_node(&craft, "Relu", "x", "y")].domain = (char *)(uintptr_t) "com.other";
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "operator com.other.Relu is not supported");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "fnl.ReluGrad", "x x", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "operator fnl.ReluGrad");
    for (int opset = 9; opset < 24; opset += 13) {
        craft_begin(&craft, opset, 2, row);
        craft_node(&craft, "Relu", "x", "y");
        craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "operator set");
    }
    craft_begin(&craft, 13, 2, row);
    craft_int(&craft, craft_node(&craft, "Relu", "x", "y"), "surprise", 1);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "attribute \"surprise\" is unknown");
    craft_begin(&craft, 13, 2, row);
    craft_float(&craft, craft_node(&craft, "Softmax", "x", "y"), "axis", 1);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "attribute axis is of the wrong type");
    craft_begin(&craft, 13, 2, row);
    craft_int(&craft, craft_node(&craft, "Softmax", "x", "y"), "axis", INT64_MAX);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "attribute axis is");
}

static void inputs_must_be_floats_of_known_shape(void **state)
{
    (void)state;
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x", "y");
    craft.tensor_type.elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "input \"x\": only tensors of float32");
    craft_begin(&craft, 13, 2, (int64_t[]){0, -5});
    craft_node(&craft, "Relu", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "other than the first is not fixed");
    craft_begin(&craft, 13, 4, (int64_t[]){0, INT64_MAX, INT64_MAX, 4});
    craft_node(&craft, "Relu", "x", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "too large");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x", "y");
    craft.shape.n_dim = 0;
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "it has no shape");
}

/* y = x w, with one thing wrong about w */
static Onnx__TensorProto *product(int type, size_t rank, const int64_t *dims, size_t size)
{
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "MatMul", "x w", "y");
    return craft_tensor(&craft, "w", type, rank, dims, weights, size);
}

static void tensors_are_checked_against_their_data(void **state)
{
    (void)state;
    product(FLOAT, 2, (int64_t[]){4, 3}, 47);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "tensor \"w\": its data does not have the size");
    product(FLOAT, 2, (int64_t[]){4, 3}, 44);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "does not have the size");
    product(FLOAT, 2, (int64_t[]){INT64_MAX, INT64_MAX}, 48);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "dimensions are negative or too large");
    product(FLOAT, 2, (int64_t[]){(int64_t)1 << 32, (int64_t)1 << 32}, 48);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "dimensions are negative or too large");
    product(FLOAT, 2, (int64_t[]){-4, -3}, 48);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "dimensions are negative or too large");
    product(FLOAT, 2, (int64_t[]){(int64_t)1 << 20, (int64_t)1 << 20}, 48);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "does not have the size");
    product(FLOAT, 2, (int64_t[]){4, 0}, 0);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "it is empty");
    product(ONNX__TENSOR_PROTO__DATA_TYPE__STRING, 2, (int64_t[]){4, 3}, 48);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "tensor \"w\" is of type string");
    product(ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 2, (int64_t[]){2, 3}, 48);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "tensor \"w\" is of type int64");
    product(-7, 2, (int64_t[]){4, 3}, 48);
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "of type unknown");
    product(FLOAT, 2, (int64_t[]){3, 4}, 48);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "[N, 4] and [3, 4]");
    Onnx__TensorProto *t = product(FLOAT, 2, (int64_t[]){4, 3}, 48);
    t->has_raw_data = 0;
    t->float_data = (float *)(uintptr_t)weights;
    t->n_float_data = 11;
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "does not have the size");
    t->n_float_data = 12;
    fnl_graph_free(craft_must_parse(&craft));
}

static void a_reshape_with_a_computed_shape_is_refused(void **state)
{
    (void)state;
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Relu", "x", "s");
    craft_node(&craft, "Reshape", "x s", "y");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "tensor \"s\" must be a constant");
    craft_begin(&craft, 13, 2, row);
    craft_node(&craft, "Reshape", "x s", "y");
    craft_tensor(&craft, "s", ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, (int64_t[]){2},
                 (int64_t[]){0, INT64_MIN}, 16);
    craft_must_fail(&craft, NULL, FNL_E_FORMAT, "Reshape");
}

/* ---- external data ---- */

static void external(const char *location, const char *offset, const char *length)
{
    craft_external(&craft, product(FLOAT, 2, (int64_t[]){4, 3}, 48), location, offset, length);
}

static void external_data_stays_in_the_models_folder(void **state)
{
    (void)state;
    char folder[64], path[128], link_path[128], sub[128];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/w.bin", folder);
    snprintf(link_path, sizeof link_path, "%s/link.bin", folder);
    snprintf(sub, sizeof sub, "%s/sub", folder);
    assert_int_equal(fnl_file_write(path, weights, 64, NULL), 0);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_int_equal(symlink("/etc", sub), 0);

    static const char *const outside[] = {
        "../w.bin", "/etc/passwd", "a/../../w.bin", "./w.bin", "w.bin/", "", "sub/..", "link.bin"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        external(outside[i], NULL, NULL);
        craft_must_fail(&craft, folder, i == 2 ? FNL_E_NOTFOUND : FNL_E_FORMAT,
                        "tensor \"w\": external data \"");
    }
    external("sub/passwd", NULL, NULL);
    craft_must_fail(&craft, folder, FNL_E_FORMAT, "external data \"sub/passwd\"");
    external("none.bin", NULL, NULL);
    craft_must_fail(&craft, folder, FNL_E_NOTFOUND, "external data \"none.bin\"");
    external("w.bin", "-1", NULL);
    craft_must_fail(&craft, folder, FNL_E_FORMAT, "bad offset \"-1\"");
    external("w.bin", "9223372036854775807", NULL);
    craft_must_fail(&craft, folder, FNL_E_FORMAT, "the file has 64");
    external("w.bin", "17", NULL);
    craft_must_fail(&craft, folder, FNL_E_FORMAT, "48 bytes at offset 17");
    external("w.bin", "0", "64");
    craft_must_fail(&craft, folder, FNL_E_FORMAT, "48 bytes");
    external(NULL, "0", "48");
    craft_must_fail(&craft, folder, FNL_E_FORMAT, "without location");
    external("w.bin", "0", "48");
    craft_must_fail(&craft, NULL, FNL_E_UNSUPPORTED, "another file");

    struct fnl_graph *g = NULL;
    external("w.bin", "16", "48");
    assert_int_equal(craft_parse(&craft, folder, &g, NULL), 0);
    assert_memory_equal(value_named(g, "w")->data, weights + 4, 48);
    fnl_graph_free(g);
    unlink(path);
    unlink(link_path);
    unlink(sub);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(any_changed_byte_is_survived),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(deep_nesting_is_refused_before_recursion),
        cmocka_unit_test(wire_faults_are_refused),
        cmocka_unit_test(masses_of_empty_messages_are_refused),
        cmocka_unit_test(graphs_that_make_no_sense_are_refused),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(inputs_must_be_floats_of_known_shape),
        cmocka_unit_test(tensors_are_checked_against_their_data),
        cmocka_unit_test(a_reshape_with_a_computed_shape_is_refused),
        cmocka_unit_test(external_data_stays_in_the_models_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
