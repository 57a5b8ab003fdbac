/* The texts of a run folder, and the judgement of epochs. */
#include "base/test.h"

#include <jansson.h>
#include <math.h>

#include "train/json_out.h"
#include "train/report.h"

static struct fnl_buf out;

static void begin(void)
{
    fnl_buf_free(&out);
    fnl_buf_init(&out, 1 << 20);
}

static void test_numbers_are_short_and_exact(void **state)
{
    (void)state;
    const struct {
        double x;
        const char *text;
    } cases[] = {{0.29, "0.29"},
                 {1.0 / 3.0, "0.3333333333333333"},
                 {100.0, "100"},
                 {0.0, "0"},
                 {1e-300, "1e-300"},
                 {-2.5, "-2.5"},
                 {NAN, "null"},
                 {INFINITY, "null"},
                 {0.1 + 0.2, "0.30000000000000004"}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        begin();
        fnl__json_number(&out, cases[i].x);
        assert_string_equal(out.data, cases[i].text);
        if (isfinite(cases[i].x)) {
            assert_true(strtod(out.data, NULL) == cases[i].x);
        }
    }
}

static void test_strings_are_valid_json_whatever_the_bytes(void **state)
{
    (void)state;
    const struct {
        const char *s, *text;
    } cases[] = {{"T-shirt/top", "\"T-shirt/top\""},
                 {"a\"b\\c", "\"a\\\"b\\\\c\""},
                 {"tab\tnew\n", "\"tab\\u0009new\\u000a\""},
                 {"caf\xC3\xA9", "\"caf\xC3\xA9\""},
                 {"\xFF", "\"\\ufffd\""},
                 {"\xC3", "\"\\ufffd\""},
                 {"\xED\xA0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
                 {"\xF0\x9F\x8D\x9E", "\"\xF0\x9F\x8D\x9E\""},
                 {NULL, "null"}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        begin();
        fnl__json_string(&out, cases[i].s);
        assert_string_equal(out.data, cases[i].text);
    }
    char s[5] = {0};
    for (int a = 1; a < 256; a++) { /* every pair of bytes */
        for (int b = 1; b < 256; b++) {
            s[0] = (char)a;
            s[1] = (char)b;
            begin();
            fnl__json_string(&out, s);
            json_t *value = json_loads(out.data, JSON_DECODE_ANY, NULL);
            assert_non_null(value);
            json_decref(value);
        }
    }
}

/* ---- evaluation ---- */

static void test_class_scores_by_hand(void **state)
{
    (void)state;
    /* label 0: 3 right, 1 taken for 1; label 1: 2 right; label 2 never appears, nor is predicted */
    uint64_t confusion[9] = {3, 1, 0, 0, 2, 0, 0, 0, 0};
    struct fnl_evaluation e = {.rows = 6,
                               .loss = 0.5,
                               .has_accuracy = true,
                               .accuracy = 5.0 / 6.0,
                               .classes = 3,
                               .confusion = confusion};
    struct fnl_class_score a = fnl_evaluation_class(&e, 0), b = fnl_evaluation_class(&e, 1),
                           c = fnl_evaluation_class(&e, 2);
    assert_int_equal(a.support, 4);
    assert_true(a.precision == 1.0 && a.recall == 0.75 && a.f1 == 6.0 / 7.0);
    assert_int_equal(b.support, 2);
    assert_true(b.precision == 2.0 / 3.0 && b.recall == 1.0 && b.f1 == 0.8);
    assert_int_equal(c.support, 0);
    assert_true(isnan(c.precision) && isnan(c.recall) && isnan(c.f1));
    begin();
    char *names[] = {"x", "y\"", "z"};
    fnl_evaluation_json(&out, &e, names);
    json_t *j = json_loads(out.data, 0, NULL);
    assert_non_null(j);
    json_t *last = json_array_get(json_object_get(j, "classes"), 2);
    assert_true(json_is_null(json_object_get(last, "precision")));
    assert_int_equal(json_integer_value(json_object_get(j, "samples")), 6);
    json_decref(j);
}

/* ---- curves ---- */

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *p = strstr(text, word); p != NULL; p = strstr(p + 1, word)) {
        n++;
    }
    return n;
}

static void test_curves_have_a_panel_for_what_there_is(void **state)
{
    (void)state;
    struct fnl_epoch e[3] = {{1, 0, 0.9, 0.5, 0.8, 0.6, 0, 0, 0},
                             {2, 0, 0.5, 0.7, NAN, NAN, 0, 0, 0},
                             {3, 0, 0.4, 0.8, 0.5, 0.7, 0, 0, 0}};
    begin();
    assert_int_equal(fnl__curves_print(&out, e, 3), 0);
    assert_non_null(strstr(out.data, "<rect class=\"back\" width=\"100%\" height=\"100%\"/>"));
    assert_int_equal(count_of(out.data, "class=\"title\""), 2);
    assert_int_equal(count_of(out.data, "<circle class=\"train\""), 6);
    assert_int_equal(count_of(out.data, "<circle class=\"val\""), 4);
    assert_int_equal(count_of(out.data, "nan"), 0);
    for (int i = 0; i < 3; i++) {
        e[i].accuracy = e[i].val_accuracy = NAN;
    }
    begin();
    assert_int_equal(fnl__curves_print(&out, e, 3), 0);
    assert_int_equal(count_of(out.data, "class=\"title\""), 1);
}

static void test_curves_of_odd_runs_are_finite(void **state)
{
    (void)state;
    struct fnl_epoch e[3] = {{1, 0, 0.0, 1.0, 0.0, 1.0, 0, 0, 0}};
    const double odd[] = {0.0, 1e-300, 1e300, -5.0, NAN, INFINITY};
    for (size_t i = 0; i < TEST_COUNT(odd); i++) {
        for (uint32_t count = 0; count <= 3; count++) {
            e[0].loss = odd[i];
            e[1].loss = odd[TEST_COUNT(odd) - 1 - i];
            begin();
            assert_int_equal(fnl__curves_print(&out, e, count), 0);
            assert_int_equal(count_of(out.data, "nan"), 0);
            assert_int_equal(count_of(out.data, "inf"), 0);
            assert_true(out.size < 1 << 16);
        }
    }
}

static void test_long_runs_make_small_pictures(void **state)
{
    (void)state;
    static struct fnl_epoch e[5000];
    for (uint32_t i = 0; i < TEST_COUNT(e); i++) {
        e[i] = (struct fnl_epoch){i + 1, 0, 1.0 / (i + 1), 0.5, NAN, NAN, 0, 0, 0};
    }
    begin();
    assert_int_equal(fnl__curves_print(&out, e, TEST_COUNT(e)), 0);
    assert_int_equal(count_of(out.data, "<circle"), 0);
    assert_true(count_of(out.data, "class=\"tick mid\"") < 30);
}

/* ---- judging ---- */

static void test_monitors_fall_back_only_when_not_chosen(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_train_config c = {.early_stopping = {.on = true}};
    assert_int_equal(fnl__monitors_resolve(&c, false, true, &err), 0);
    assert_int_equal(c.early_stopping.monitor, FNL_MONITOR_LOSS);
    assert_int_equal(c.checkpoint.best_by, FNL_MONITOR_LOSS);
    c = (struct fnl_train_config){.early_stopping = {.on = true, .monitor_given = true}};
    assert_int_equal(fnl__monitors_resolve(&c, false, true, &err), FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "train.early_stopping.monitor: val_loss, but there is no"));
    c = (struct fnl_train_config){
        .checkpoint = {.best_by_given = true, .best_by = FNL_MONITOR_ACCURACY}};
    assert_int_equal(fnl__monitors_resolve(&c, true, false, &err), FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "train.checkpoint.best_by: accuracy"));
    c = (struct fnl_train_config){0};
    assert_int_equal(fnl__monitors_resolve(&c, true, false, &err), 0);
    assert_int_equal(c.checkpoint.best_by, FNL_MONITOR_VAL_LOSS);
}

/* Feeds val_loss values; returns the epoch after which it stopped (0: it did not). */
static uint32_t stops_after(const struct fnl_train_config *c, const double *values, int count,
                            uint32_t *ret_best)
{
    struct fnl__state s = {0};
    struct fnl_error err = FNL_ERROR_INIT;
    uint32_t stopped = 0;
    for (int i = 0; i < count && stopped == 0; i++) {
        struct fnl_epoch e = {.val_loss = values[i], .val_accuracy = values[i]};
        bool is_best;
        assert_int_equal(fnl__state_end_epoch(&s, c, &e, &is_best, &err), 0);
        assert_int_equal(is_best, s.best_epoch == s.epoch);
        stopped = s.stopped ? s.epoch : 0;
    }
    *ret_best = s.best_epoch;
    fnl__state_free(&s);
    return stopped;
}

static void test_stopping_counts_like_keras(void **state)
{
    (void)state;
    uint32_t best;
    struct fnl_train_config c = {.early_stopping = {.on = true, .patience = 2}};
    const double falls[] = {5, 4, 3, 2, 1}, rises[] = {1, 2, 3, 4, 5}, dips[] = {3, 4, 2, 5, 6, 1};
    assert_int_equal(stops_after(&c, falls, 5, &best), 0);
    assert_int_equal(best, 5);
    assert_int_equal(stops_after(&c, rises, 5, &best), 3);
    assert_int_equal(best, 1);
    assert_int_equal(stops_after(&c, dips, 6, &best), 5);
    assert_int_equal(best, 3);
    c.early_stopping.monitor = c.checkpoint.best_by = FNL_MONITOR_VAL_ACCURACY;
    assert_int_equal(stops_after(&c, falls, 5, &best), 3);
    assert_int_equal(best, 1);
    c.early_stopping.patience = 0;
    const double flat[] = {1, 1, 1};
    assert_int_equal(stops_after(&c, flat, 3, &best), 2);
    const double nothing[] = {NAN, NAN, NAN};
    c.early_stopping.patience = 2;
    assert_int_equal(stops_after(&c, nothing, 3, &best), 3);
    assert_int_equal(best, 0);
}

static int tear_down(void **state)
{
    (void)state;
    fnl_buf_free(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_short_and_exact),
        cmocka_unit_test(test_strings_are_valid_json_whatever_the_bytes),
        cmocka_unit_test(test_class_scores_by_hand),
        cmocka_unit_test(test_curves_have_a_panel_for_what_there_is),
        cmocka_unit_test(test_curves_of_odd_runs_are_finite),
        cmocka_unit_test(test_long_runs_make_small_pictures),
        cmocka_unit_test(test_monitors_fall_back_only_when_not_chosen),
        cmocka_unit_test(test_stopping_counts_like_keras),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
