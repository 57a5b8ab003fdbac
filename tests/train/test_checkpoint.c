/* The checkpoint file: what comes back, and that no damage goes unseen. */
#include "base/test.h"

#include <math.h>

#include "base/files.h"
#include "base/mem.h"
#include "train/checkpoint.h"

#define CRC 0x12345678u

static struct fnl_graph *graph;
static struct fnl_error err;

/* Two parameters of 6 and 2 numbers, one that is not trained of 3. */
static struct fnl_params *make_params(void)
{
    const float w[6] = {1, 2, 3, 4, 5, 6}, b[2] = {0.5F, -0.5F}, m[3] = {7, 8, 9};
    struct fnl_shape ws = fnl_shape_make(2, 3, 2), bs = fnl_shape_make(1, 2),
                     ms = fnl_shape_make(1, 3);
    struct fnl_optimizer adam = FNL_OPTIMIZER_INIT;
    adam.kind = FNL_ADAM;
    struct fnl_params *p = NULL;
    if (graph == NULL) {
        assert_int_equal(fnl_graph_create(&graph, &err), 0);
        assert_true(fnl_graph_add_param(graph, "w", &ws, w, true, &err) >= 0);
        assert_true(fnl_graph_add_param(graph, "b", &bs, b, true, &err) >= 0);
        assert_true(fnl_graph_add_param(graph, "mean", &ms, m, false, &err) >= 0);
    }
    assert_int_equal(fnl_params_create(graph, "ref", &adam, &p, &err), 0);
    return p;
}

/* Every number of every slot its own. */
static void fill(struct fnl_params *p, float from)
{
    float x[8];
    for (int i = 0; i < fnl_params_count(p); i++) {
        int slots = fnl_params_trainable(p, i) ? fnl_params_slots(p) : 1;
        for (int s = 0; s < slots; s++) {
            for (size_t k = 0; k < fnl_params_size(p, i); k++) {
                x[k] = from + (float)(i * 100 + s * 10) + (float)k;
            }
            assert_int_equal(fnl_params_write(p, i, s, x, &err), 0);
        }
    }
}

static void assert_equal(const struct fnl_params *a, const struct fnl_params *b, int slots)
{
    float x[8], y[8];
    for (int i = 0; i < fnl_params_count(a); i++) {
        int kept = fnl_params_trainable(a, i) ? slots : 1;
        for (int s = 0; s < kept; s++) {
            assert_int_equal(fnl_params_read(a, i, s, x, &err), 0);
            assert_int_equal(fnl_params_read(b, i, s, y, &err), 0);
            assert_memory_equal(x, y, fnl_params_size(a, i) * sizeof x[0]);
        }
    }
}

static struct fnl_epoch history[2] = {{.epoch = 1, .loss = 0.5, .val_loss = 0.25},
                                      {.epoch = 2, .loss = 0.1, .val_loss = 0.3}};
static const struct fnl__state example = {.epoch = 2,
                                          .stopped = true,
                                          .step = 77,
                                          .batch = 5,
                                          .loss_sum = 0.1,
                                          .correct = 11,
                                          .rows = 40,
                                          .seconds = 1.5,
                                          .learning_rate = 0.01,
                                          .total_seconds = 9.25,
                                          .total_rows = 400,
                                          .best = 0.25,
                                          .best_epoch = 1,
                                          .reference = 0.25,
                                          .wait = 1,
                                          .history = history,
                                          .capacity = 2};

static void test_all_comes_back_to_the_bit(void **state)
{
    (void)state;
    struct fnl_params *a = make_params(), *b = make_params();
    fill(a, 0.1F);
    int slots = fnl_params_slots(a);
    assert_int_equal(slots, 3);
    const char *path = test_path("all.ckpt");
    assert_int_equal(fnl__checkpoint_save(path, true, CRC, &example, a, &err), 0);
    struct fnl__state s = {0};
    assert_int_equal(fnl__checkpoint_load(path, CRC, &s, b, &err), 0);
    assert_equal(a, b, slots);
    assert_int_equal(s.epoch, 2);
    assert_true(s.stopped);
    assert_int_equal(s.step, 77);
    assert_int_equal(s.batch, 5);
    assert_int_equal(s.correct, 11);
    assert_int_equal(s.rows, 40);
    assert_int_equal(s.total_rows, 400);
    assert_int_equal(s.best_epoch, 1);
    assert_int_equal(s.wait, 1);
    assert_true(s.loss_sum == 0.1 && s.seconds == 1.5 && s.learning_rate == 0.01);
    assert_true(s.total_seconds == 9.25 && s.best == 0.25 && s.reference == 0.25);
    assert_memory_equal(s.history, history, sizeof history);
    fnl__state_free(&s);
    fnl_params_free(a);
    fnl_params_free(b);
}

static void test_a_copy_stays_when_the_original_is_replaced(void **state)
{
    (void)state;
    struct fnl_params *a = make_params(), *b = make_params();
    char last[200], best[200];
    (void)snprintf(last, sizeof last, "%s", test_path("copied.ckpt"));
    (void)snprintf(best, sizeof best, "%s", test_path("copy.ckpt"));
    for (float from = 1.0F; from < 3.0F; from += 1.0F) {
        fill(a, from);
        assert_int_equal(fnl__checkpoint_save(last, false, CRC, &example, a, &err), 0);
        assert_int_equal(fnl__checkpoint_copy(last, best, &err), 0);
    }
    /* Again while both are one file already, as after a resume: nothing is left beside it. */
    assert_int_equal(fnl__checkpoint_copy(last, best, &err), 0);
    assert_false(fnl_path_exists(test_path("copy.ckpt.new")));
    fill(a, 50.0F);
    assert_int_equal(fnl__checkpoint_save(last, false, CRC, &example, a, &err), 0);
    assert_int_equal(fnl__checkpoint_load(best, CRC, NULL, b, &err), 0);
    fill(a, 2.0F);
    assert_equal(a, b, 3);
    assert_true(fnl__checkpoint_copy(test_path("absent"), best, &err) != 0);
    assert_int_equal(fnl__checkpoint_load(best, CRC, NULL, b, &err), 0);
    fnl_params_free(a);
    fnl_params_free(b);
}

static void test_a_save_that_fails_leaves_both_checkpoints(void **state)
{
    (void)state;
    struct fnl_params *a = make_params(), *b = make_params();
    char last[200], previous[210];
    (void)snprintf(last, sizeof last, "%s", test_path("full.ckpt"));
    (void)snprintf(previous, sizeof previous, "%s.1", last);
    for (float from = 1.0F; from < 3.0F; from += 1.0F) {
        fill(a, from);
        assert_int_equal(fnl__checkpoint_save(last, true, CRC, &example, a, &err), 0);
    }
    int failures = 0;
    for (uint64_t n = 1; n < 3; n++) { /* the write, the sync */
        fill(a, 9.0F);
        fnl_file_fail_at(n);
        failures += fnl__checkpoint_save(last, true, CRC, &example, a, &err) != 0;
        fnl_file_fail_at(0);
        fill(a, 2.0F);
        assert_int_equal(fnl__checkpoint_load(last, CRC, NULL, b, &err), 0);
        assert_equal(a, b, 3);
        fill(a, 1.0F);
        assert_int_equal(fnl__checkpoint_load(previous, CRC, NULL, b, &err), 0);
        assert_equal(a, b, 3);
    }
    assert_int_equal(failures, 2);
    fnl_params_free(a);
    fnl_params_free(b);
}

/* Loads damaged bytes; asserts that nothing changed and that an error says the file's name. */
static void assert_refused(const char *data, size_t size, const char *what, size_t at)
{
    struct fnl_params *p = make_params(), *untouched = make_params();
    const char *path = test_path("damaged.ckpt");
    struct fnl__state s = {.epoch = 99};
    test_write(path, data, size);
    int rc = fnl__checkpoint_load(path, CRC, &s, p, &err);
    if (rc == 0) {
        fail_msg("%s at %zu was not seen", what, at);
    }
    assert_non_null(strstr(err.message, "damaged.ckpt"));
    assert_int_equal(s.epoch, 99);
    assert_equal(p, untouched, 3);
    fnl_params_free(p);
    fnl_params_free(untouched);
}

static void test_damage_at_any_byte_is_seen_and_changes_nothing(void **state)
{
    (void)state;
    struct fnl_params *a = make_params();
    fill(a, 0.1F);
    const char *path = test_path("good.ckpt");
    assert_int_equal(fnl__checkpoint_save(path, false, CRC, &example, a, &err), 0);
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(fnl_file_read(path, 1 << 20, &data, &size, &err), 0);
    for (size_t cut = 0; cut < size; cut++) {
        assert_refused(data, cut, "a cut", cut);
    }
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            data[i] = (char)(data[i] ^ 1 << bit);
            assert_refused(data, size, "a flipped bit", i);
            data[i] = (char)(data[i] ^ 1 << bit);
        }
    }
    char *longer = fnl_calloc(size + 8, 1);
    assert_non_null(longer);
    memcpy(longer, data, size);
    assert_refused(longer, size + 8, "more bytes", size);
    fnl_free(longer);
    fnl_free(data);
    fnl_params_free(a);
}

static void test_another_network_or_configuration_is_refused(void **state)
{
    (void)state;
    struct fnl_params *a = make_params(), *other = NULL;
    const char *path = test_path("a.ckpt");
    assert_int_equal(fnl__checkpoint_save(path, false, CRC, &example, a, &err), 0);
    assert_int_equal(fnl__checkpoint_load(path, CRC + 1, NULL, a, &err), FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "belongs to another configuration"));

    struct fnl_graph *g = NULL;
    const float x[6] = {0};
    struct fnl_shape shape = fnl_shape_make(1, 6), two = fnl_shape_make(1, 2),
                     three = fnl_shape_make(1, 3);
    assert_int_equal(fnl_graph_create(&g, &err), 0);
    assert_true(fnl_graph_add_param(g, "v", &shape, x, true, &err) >= 0);
    assert_true(fnl_graph_add_param(g, "b", &two, x, true, &err) >= 0);
    assert_true(fnl_graph_add_param(g, "mean", &three, x, false, &err) >= 0);
    assert_int_equal(fnl_params_create(g, "ref", NULL, &other, &err), 0);
    assert_int_equal(fnl__checkpoint_load(path, CRC, NULL, other, &err), FNL_E_FORMAT);
    assert_non_null(strstr(err.message, "does not fit the network at parameter \"v\""));
    fnl_params_free(other);
    fnl_params_free(a);
    fnl_graph_free(g);
}

static void test_weights_that_are_no_numbers_never_replace_good_ones(void **state)
{
    (void)state;
    struct fnl_params *a = make_params();
    const char *path = test_path("good-weights.ckpt");
    assert_int_equal(fnl__checkpoint_save(path, true, CRC, &example, a, &err), 0);
    const float x[2] = {1.0F, NAN};
    assert_int_equal(fnl_params_write(a, 1, 0, x, &err), 0);
    assert_int_equal(fnl__checkpoint_save(path, true, CRC, &example, a, &err), FNL_E_DIVERGED);
    assert_non_null(strstr(err.message, "weights of \"b\""));
    struct fnl_params *b = make_params();
    assert_int_equal(fnl__checkpoint_load(path, CRC, NULL, b, &err), 0);
    fnl_params_free(a);
    fnl_params_free(b);
}

static void test_the_one_before_stays(void **state)
{
    (void)state;
    struct fnl_params *a = make_params(), *b = make_params();
    char path[200], previous[256];
    (void)snprintf(path, sizeof path, "%s", test_path("last.ckpt"));
    (void)snprintf(previous, sizeof previous, "%s.1", path);
    fill(a, 1.0F);
    assert_int_equal(fnl__checkpoint_save(path, true, CRC, &example, a, &err), 0);
    assert_false(fnl_path_exists(previous));
    fill(a, 2.0F);
    assert_int_equal(fnl__checkpoint_save(path, true, CRC, &example, a, &err), 0);
    assert_int_equal(fnl__checkpoint_load(previous, CRC, NULL, b, &err), 0);
    fill(a, 1.0F);
    assert_equal(a, b, 3);
    /* A save that fails takes nothing away. */
    fill(a, 3.0F);
    for (uint64_t n = 1; n <= 3; n++) {
        fnl_file_fail_at(n);
        int rc = fnl__checkpoint_save(path, true, CRC, &example, a, &err);
        fnl_file_fail_at(0);
        assert_int_equal(rc, FNL_E_IO);
        assert_int_equal(fnl__checkpoint_load(path, CRC, NULL, b, &err), 0);
    }
    fnl_params_free(a);
    fnl_params_free(b);
}

static int tear_down(void **state)
{
    fnl_graph_free(graph);
    return test_dir_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_comes_back_to_the_bit),
        cmocka_unit_test(test_a_save_that_fails_leaves_both_checkpoints),
        cmocka_unit_test(test_a_copy_stays_when_the_original_is_replaced),
        cmocka_unit_test(test_damage_at_any_byte_is_seen_and_changes_nothing),
        cmocka_unit_test(test_another_network_or_configuration_is_refused),
        cmocka_unit_test(test_weights_that_are_no_numbers_never_replace_good_ones),
        cmocka_unit_test(test_the_one_before_stays),
    };
    return cmocka_run_group_tests(tests, test_dir_make, tear_down);
}
