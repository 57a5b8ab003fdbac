/* fournil/predictor.h: what a program sees of a model, and that it gets PyTorch's numbers. */
#include "base/test.h"

#include <math.h>

#include "base/mem.h"
#include "fournil/predictor.h"
#include "fournil/version.h"

#define ROWS 3 /* of each fixture */

struct fixture {
    size_t x_size, y_size; /* of a row */
    float *x, *y;          /* inputs, and PyTorch's outputs */
};

static void load_fixture(const char *name, struct fixture *ret)
{
    char path[128];
    int32_t head[3];
    (void)snprintf(path, sizeof path, "tests/golden/onnx/%s.f32", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, sizeof *head, 3, f), 3);
    assert_int_equal(head[0], ROWS);
    ret->x_size = (size_t)head[1];
    ret->y_size = (size_t)head[2];
    ret->x = fnl_malloc(ROWS * ret->x_size * sizeof(float));
    ret->y = fnl_malloc(ROWS * ret->y_size * sizeof(float));
    assert_int_equal(fread(ret->x, sizeof(float), ROWS * ret->x_size, f), ROWS * ret->x_size);
    assert_int_equal(fread(ret->y, sizeof(float), ROWS * ret->y_size, f), ROWS * ret->y_size);
    assert_int_equal(fclose(f), 0);
}

static void free_fixture(struct fixture *f)
{
    fnl_free(f->x);
    fnl_free(f->y);
}

static struct fnl_predictor *must_load(const char *name, const struct fnl_predictor_options *o)
{
    char path[128];
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_predictor *p = NULL;
    (void)snprintf(path, sizeof path, "tests/golden/onnx/%s.onnx", name);
    if (fnl_predictor_load(path, o, &p, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return p;
}

static void inputs_and_outputs_are_described(void **state)
{
    (void)state;
    struct fnl_predictor *p = must_load("cnn_norm_kept", NULL);
    struct fnl_tensor_info t;
    assert_int_equal(fnl_predictor_input_count(p), 1);
    assert_int_equal(fnl_predictor_output_count(p), 1);
    assert_int_equal(fnl_predictor_input(p, 0, &t, NULL), 0);
    assert_string_equal(t.name, "input");
    assert_int_equal(t.rank, 4);
    static const int64_t image[] = {-1, 2, 8, 8};
    assert_memory_equal(t.dim, image, sizeof image);
    assert_int_equal(t.row_size, 2 * 8 * 8);
    assert_int_equal(fnl_predictor_output(p, 0, &t, NULL), 0);
    assert_string_equal(t.name, "output");
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.dim[0], -1);
    assert_int_equal(t.row_size, 3);
    assert_null(fnl_predictor_metadata(p, "fournil.classes"));
    assert_null(fnl_predictor_metadata(p, NULL));
    fnl_predictor_free(p);
}

static void an_index_beyond_the_end_is_an_error(void **state)
{
    (void)state;
    struct fnl_predictor *p = must_load("mlp", NULL);
    static const int wrong[] = {-1, 1};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        struct fnl_error err = FNL_ERROR_INIT;
        struct fnl_tensor_info t = {.rank = 77};
        assert_int_equal(fnl_predictor_input(p, wrong[i], &t, &err), FNL_E_INVALID);
        assert_int_equal(fnl_predictor_output(p, wrong[i], &t, &err), FNL_E_INVALID);
        assert_int_equal(t.rank, 77);
        assert_non_null(strstr(err.message, "has 1"));
    }
    fnl_predictor_free(p);
}

static void the_numbers_are_those_of_pytorch(void **state)
{
    (void)state;
    static const char *const names[] = {"mlp", "cnn_norm_kept", "resnet_small", "gelu"};
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        struct fixture f;
        load_fixture(names[i], &f);
        struct fnl_predictor *p = must_load(names[i], NULL);
        float *y = fnl_malloc(ROWS * f.y_size * sizeof *y);
        const float *inputs[] = {f.x};
        float *outputs[] = {y};
        assert_int_equal(fnl_predictor_run(p, ROWS, inputs, outputs, NULL), 0);
        for (size_t k = 0; k < ROWS * f.y_size; k++) {
            assert_true(fabs((double)y[k] - (double)f.y[k]) < 1e-5);
        }
        fnl_predictor_free(p);
        fnl_free(y);
        free_fixture(&f);
    }
}

/* Rows of pseudo-random pixels, their results with these options into y. */
static void run_many(const struct fnl_predictor_options *o, size_t rows, const float *x, float *y)
{
    struct fnl_predictor *p = must_load("cnn_norm_kept", o);
    assert_int_equal(fnl_predictor_threads(p), o->threads);
    const float *inputs[] = {x};
    float *outputs[] = {y};
    assert_int_equal(fnl_predictor_run(p, rows, inputs, outputs, NULL), 0);
    fnl_predictor_free(p);
}

static void a_row_does_not_depend_on_its_batch_or_on_threads(void **state)
{
    (void)state;
    enum { COUNT = 29, IN = 2 * 8 * 8, OUT = 3 };
    static float x[COUNT * IN], y[COUNT * OUT], z[COUNT * OUT];
    for (size_t i = 0; i < COUNT * IN; i++) {
        x[i] = (float)(i * 2654435761u % 1000u) / 500.0F - 1.0F;
    }
    static const struct fnl_predictor_options options[] = {
        {1, 1, 64}, {1, 2, 64}, {1, 3, 7}, {1, 1, 1}, {1, 4, 29}};
    run_many(&options[0], COUNT, x, y);
    for (size_t i = 1; i < TEST_COUNT(options); i++) {
        run_many(&options[i], COUNT, x, z);
        assert_memory_equal(y, z, sizeof y);
    }
}

static void a_run_allocates_nothing_and_may_leave_outputs_out(void **state)
{
    (void)state;
    struct fixture f;
    load_fixture("mlp", &f);
    struct fnl_predictor *p = must_load("mlp", NULL);
    float y[ROWS * 4];
    const float *inputs[] = {f.x};
    float *outputs[] = {y}, *nothing[] = {NULL};
    uint64_t before = fnl_mem_alloc_count();
    assert_int_equal(fnl_predictor_run(p, ROWS, inputs, outputs, NULL), 0);
    assert_int_equal(fnl_predictor_run(p, ROWS, inputs, nothing, NULL), 0);
    assert_int_equal(fnl_predictor_run(p, 0, inputs, outputs, NULL), 0);
    assert_int_equal(fnl_mem_alloc_count(), before);
    fnl_predictor_free(p);
    free_fixture(&f);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct fnl_predictor *p = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    static const struct fnl_predictor_options wrong[] = {
        {0, 0, 64}, {2, 0, 64}, {1, -1, 64}, {1, 100000, 64}, {1, 0, 0}, {1, 0, 1u << 30}};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_int_equal(fnl_predictor_load("tests/golden/onnx/mlp.onnx", &wrong[i], &p, &err),
                         FNL_E_INVALID);
    }
    assert_int_equal(fnl_predictor_load(NULL, NULL, &p, &err), FNL_E_INVALID);
    assert_int_equal(fnl_predictor_parse("x", NULL, 0, NULL, &p, &err), FNL_E_INVALID);
    assert_int_not_equal(fnl_predictor_load("/nonexistent/m.onnx", NULL, &p, &err), 0);
    assert_non_null(strstr(err.message, "/nonexistent/m.onnx"));
    assert_int_equal(fnl_predictor_parse("bytes", "\x0a\xff", 2, NULL, &p, &err), FNL_E_FORMAT);
    assert_non_null(strstr(err.message, "bytes"));
    assert_null(p);

    p = must_load("mlp", NULL);
    const float *no_input[] = {NULL};
    float y[4], *outputs[] = {y};
    assert_int_equal(fnl_predictor_run(p, 1, NULL, outputs, &err), FNL_E_INVALID);
    assert_int_equal(fnl_predictor_run(p, 1, no_input, outputs, &err), FNL_E_INVALID);
    assert_non_null(strstr(err.message, "\"input\""));
    assert_int_equal(fnl_predictor_run(p, 1, no_input, NULL, &err), FNL_E_INVALID);
    fnl_predictor_free(p);
    fnl_predictor_free(NULL);
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    struct fnl_predictor_options o = {1, 2, 4};
    int rc = FNL_E_NOMEM;
    for (uint64_t n = 1; rc != 0; n++) {
        struct fnl_predictor *p = NULL;
        fnl_mem_fail_at(n);
        rc = fnl_predictor_load("tests/golden/onnx/mlp.onnx", &o, &p, NULL);
        fnl_mem_fail_at(0);
        assert_true(rc == 0 || rc == FNL_E_NOMEM);
        assert_true((p != NULL) == (rc == 0));
        fnl_predictor_free(p);
    }
}

static void the_version_is_that_of_the_headers(void **state)
{
    (void)state;
    char text[32];
    (void)snprintf(text, sizeof text, "%d.%d.%d", FNL_VERSION_MAJOR, FNL_VERSION_MINOR,
                   FNL_VERSION_PATCH);
    assert_string_equal(fnl_version(), text);
    assert_int_equal(fnl_version_number(), FNL_VERSION_NUMBER);
    assert_true(fnl_thread_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_and_outputs_are_described),
        cmocka_unit_test(an_index_beyond_the_end_is_an_error),
        cmocka_unit_test(the_numbers_are_those_of_pytorch),
        cmocka_unit_test(a_row_does_not_depend_on_its_batch_or_on_threads),
        cmocka_unit_test(a_run_allocates_nothing_and_may_leave_outputs_out),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(the_version_is_that_of_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
