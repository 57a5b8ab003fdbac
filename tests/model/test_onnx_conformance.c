/* test_onnx_conformance.c - ONNX's own tests of single operators (Debian: libonnx-testdata), those
 * whose operators we have: read, run on the reference back end, compared.
 *
 * Each test is a model of one node whose inputs, weights too, are all fed. A network has its
 * weights in the file, so all inputs but the first become initializers; the first dimension of the
 * first is the batch. A second input of the same shape stays one. Only first outputs are compared.
 * Tests that this turns into something we refuse by design (sums over the batch, 1-D and 3-D
 * windows, training mode) are counted as refused; a wrong number is a failure.
 */
#include <dirent.h>
#include <onnx.pb-c.h>

#include "base/files.h"
#include "model_check.h"

#define DATA "/usr/share/libonnx-testdata/data/node"
#define INPUTS_MAX 16

/* Passed on libonnx-testdata 1.12.0; a later version may have more. */
#define PASSED_MIN 129

struct tally {
    int ours, passed, refused, wrong;
};

static Onnx__TensorProto *read_tensor(const char *folder, const char *kind, size_t index)
{
    char path[512], *data = NULL;
    size_t size;
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, kind, index);
    if (fnl_file_read(path, 1 << 24, &data, &size, NULL) != 0) {
        return NULL;
    }
    Onnx__TensorProto *t = onnx__tensor_proto__unpack(NULL, size, (uint8_t *)data);
    fnl_free(data);
    return t;
}

/* Floats of a tensor, or NULL. */
static const float *floats(const Onnx__TensorProto *t, size_t *ret_count)
{
    if (t == NULL || t->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
        return NULL;
    }
    *ret_count = t->has_raw_data ? t->raw_data.len / sizeof(float) : t->n_float_data;
    return t->has_raw_data ? (const float *)(const void *)t->raw_data.data : t->float_data;
}

/* Operators that are read without being operators of the graph. */
static bool is_folded(const char *op)
{
    return strcmp(op, "Constant") == 0 || strcmp(op, "Squeeze") == 0 ||
           strcmp(op, "Unsqueeze") == 0;
}

static bool is_ours(const Onnx__ModelProto *m)
{
    for (size_t i = 0; i < m->graph->n_node; i++) {
        const char *op = m->graph->node[i]->op_type;
        if (!is_folded(op) && fnl_op_from_text(op) == FNL_OP_COUNT) {
            return false;
        }
    }
    return m->graph->n_node > 0 && m->graph->n_input > 0 && m->graph->n_input <= INPUTS_MAX;
}

static bool same_shape(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    return a->n_dims > 0 && a->n_dims == b->n_dims &&
           memcmp(a->dims, b->dims, a->n_dims * sizeof *a->dims) == 0;
}

/* Pooling over the whole image is the same since the first operator set, and its tests say so. */
static void lift_opset(Onnx__ModelProto *m)
{
    for (size_t i = 0; i < m->n_opset_import; i++) {
        if (m->opset_import[i]->version == 1) {
            m->opset_import[i]->version = 11;
        }
    }
}

static int pack_and_parse(Onnx__ModelProto *m, struct fnl_graph **ret, struct fnl_error *err)
{
    size_t size = onnx__model_proto__get_packed_size(m);
    uint8_t *data = fnl_malloc(size + 1);
    onnx__model_proto__pack(m, data);
    int rc = fnl_onnx_parse("model.onnx", data, size, NULL, ret, err);
    fnl_free(data);
    return rc;
}

/* Inputs from *inputs on become initializers; tensor[i] is what input i is fed with. */
static int parse_as_network(Onnx__ModelProto *m, Onnx__TensorProto **tensor, size_t *inputs,
                            struct fnl_graph **ret, struct fnl_error *err)
{
    Onnx__TensorProto *weights[INPUTS_MAX];
    Onnx__GraphProto *g = m->graph, saved = *g;
    *inputs = saved.n_input > 1 && tensor[0] != NULL && tensor[1] != NULL &&
                      same_shape(tensor[0], tensor[1])
                  ? 2
                  : 1;
    g->initializer = weights;
    g->n_initializer = 0;
    for (size_t i = *inputs; i < saved.n_input; i++) {
        if (tensor[i] != NULL) {
            free(tensor[i]->name);
            tensor[i]->name = strdup(g->input[i]->name);
            weights[g->n_initializer++] = tensor[i];
        }
    }
    g->n_input = *inputs;
    g->n_output = 1;
    lift_opset(m);
    int rc = pack_and_parse(m, ret, err);
    *g = saved;
    return rc;
}

static bool close_to(const float *y, const float *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool same = isnan(wanted[i]) ? isnan(y[i]) != 0
                                     : fabsf(y[i] - wanted[i]) <= 1e-5F + 1e-3F * fabsf(wanted[i]);
        if (!same) {
            return false;
        }
    }
    return true;
}

/* Runs g on the test's input; 1 right, 0 wrong, -1 not for us. */
static int compare(const struct fnl_graph *g, Onnx__TensorProto *const *in, size_t inputs,
                   const Onnx__TensorProto *out, struct fnl_error *err)
{
    size_t n, count;
    const void *x[2] = {floats(in[0], &n), inputs > 1 ? floats(in[1], &n) : NULL};
    const float *wanted = floats(out, &count);
    if (x[0] == NULL || wanted == NULL || in[0]->n_dims == 0 || in[0]->dims[0] < 1) {
        return -1;
    }
    size_t rows = (size_t)in[0]->dims[0];
    if (elements(g, fnl_graph_output(g, 0), rows) != count) {
        return 0;
    }
    float *y = fnl_malloc(count * sizeof *y);
    int rc = run_ref_inputs(g, x, rows, y, err);
    int result = rc != 0 ? -1 : close_to(y, wanted, count);
    fnl_free(y);
    return result;
}

static void run_model(const char *name, const char *folder, Onnx__ModelProto *m, struct tally *t)
{
    struct fnl_graph *g = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    Onnx__TensorProto *in[INPUTS_MAX] = {NULL}, *out = read_tensor(folder, "output", 0);
    size_t inputs = 1;
    for (size_t i = 0; i < m->graph->n_input; i++) {
        in[i] = read_tensor(folder, "input", i);
    }
    int rc = parse_as_network(m, in, &inputs, &g, &err);
    int result = rc == 0 ? compare(g, in, inputs, out, &err) : -1;
    t->ours++;
    *(result == 1 ? &t->passed : result == 0 ? &t->wrong : &t->refused) += 1;
    if (result == 0) {
        print_message("%s: wrong numbers\n", name);
    } else if (result < 0 && getenv("FOURNIL_TEST_VERBOSE") != NULL) {
        print_message("%s: %s\n", name, err.message);
    }
    fnl_graph_free(g);
    for (size_t i = 0; i < INPUTS_MAX; i++) {
        if (in[i] != NULL) {
            onnx__tensor_proto__free_unpacked(in[i], NULL);
        }
    }
    if (out != NULL) {
        onnx__tensor_proto__free_unpacked(out, NULL);
    }
}

static void run_one(const char *name, struct tally *t)
{
    char folder[400], path[420], *data = NULL;
    size_t size;
    snprintf(folder, sizeof folder, "%s/%s", DATA, name);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (fnl_file_read(path, 1 << 24, &data, &size, NULL) != 0) {
        return;
    }
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, size, (uint8_t *)data);
    fnl_free(data);
    assert_non_null(m);
    if (is_ours(m)) {
        run_model(name, folder, m, t);
    }
    onnx__model_proto__free_unpacked(m, NULL);
}

static void operators_compute_what_onnx_says(void **state)
{
    (void)state;
    struct tally t = {0};
    DIR *folder = opendir(DATA);
    if (folder == NULL) {
        print_message("skipped: %s is not there (apt install libonnx-testdata)\n", DATA);
        skip();
    }
    for (struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (e->d_name[0] != '.') {
            run_one(e->d_name, &t);
        }
    }
    closedir(folder);
    print_message("ONNX node tests of our operators: %d; passed %d, refused %d, wrong %d\n", t.ours,
                  t.passed, t.refused, t.wrong);
    assert_int_equal(t.wrong, 0);
    assert_true(t.passed >= PASSED_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_compute_what_onnx_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
