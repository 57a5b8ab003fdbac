/* A run that has ended says so, and can be given more epochs where no learning rate depends on
 * their number: then it ends with the bytes of a run that had them from the start. */
#include "small.h"

#include "base/files.h"
#include "base/mem.h"

static char config[256]; /* a constant rate, 3 epochs */

static int set_up(void **state)
{
    if (small_dir_make(state) != 0) {
        return -1;
    }
    small_write_data();
    char text[2048];
    const char *schedule = strstr(small_config, "  schedule:");
    const char *rest = strchr(schedule, '\n') + 1;
    (void)snprintf(text, sizeof text, "%.*s%s", (int)(schedule - small_config), small_config, rest);
    (void)snprintf(config, sizeof config, "%s", small_write_config("small.yaml", text));
    return 0;
}

static int tear_down(void **state)
{
    return small_dir_remove(state);
}

static void assert_same_run(const struct small_run *a, const struct small_run *b)
{
    small_assert_same_file(a->result.model, b->result.model);
    small_assert_same_file(small_file(a, "config.yaml"), small_file(b, "config.yaml"));
    small_assert_same_metrics(a, b);
    assert_true(a->result.test.loss == b->result.test.loss);
    assert_true(a->result.test.accuracy == b->result.test.accuracy);
    assert_int_equal(a->result.epochs, b->result.epochs);
    assert_int_equal(a->result.best_epoch, b->result.best_epoch);
}

static void expect_refused(struct small_run *r, int code, const char *message, const char *hint)
{
    small_train(r);
    assert_int_equal(r->rc, code);
    if (strstr(r->err.message, message) == NULL || strstr(r->err.hint, hint) == NULL) {
        fail_msg("\"%s\" (%s) has no \"%s\" (%s)", r->err.message, r->err.hint, message, hint);
    }
    small_free(r);
}

/* ---- a run that has ended ---- */

static void test_an_ended_run_says_its_result_again(void **state)
{
    (void)state;
    struct small_run first = {.config = config};
    small_train_well(&first);
    assert_false(first.result.had_ended);
    size_t before_size, after_size;
    char *before = small_read(small_file(&first, "summary.json"), &before_size);
    for (int i = 0; i < 2; i++) { /* with the configuration beside it too */
        struct small_run again = {.resume = first.result.run, .config = i > 0 ? config : NULL};
        small_train_well(&again);
        assert_true(again.result.had_ended);
        assert_int_equal(again.epochs, 0);
        assert_string_equal(again.result.run, first.result.run);
        assert_string_equal(again.result.model, first.result.model);
        assert_string_equal(again.result.device, first.result.device);
        assert_int_equal(again.result.epochs, 3);
        assert_true(again.result.has_test && again.result.test.has_accuracy);
        assert_int_equal(again.result.test.rows, SMALL_TEST);
        assert_true(again.result.test.loss == first.result.test.loss);
        assert_true(again.result.test.accuracy == first.result.test.accuracy);
        assert_true(again.result.samples_per_s == first.result.samples_per_s);
        assert_non_null(strstr(again.result.way_on, "fournil train --resume "));
        assert_non_null(strstr(again.result.way_on, " --epochs 6"));
        small_free(&again);
    }
    char *after = small_read(small_file(&first, "summary.json"), &after_size);
    assert_int_equal(after_size, before_size);
    assert_memory_equal(after, before, after_size);
    fnl_free(after);
    fnl_free(before);
    struct small_run changed = {.resume = first.result.run, .set = {"train.batch=17"}};
    expect_refused(&changed, FNL_E_CONFIG, "train.batch is not", "resume without changes");
    small_free(&first);
}

static void test_a_run_that_was_stopped_early_has_no_way_on(void **state)
{
    (void)state;
    const char *stopping = "train.early_stopping={patience: 1, min_delta: 9}";
    struct small_run first = {.config = config, .set = {stopping, "train.epochs=9"}};
    small_train_well(&first);
    assert_true(first.result.stopped_early);
    struct small_run again = {.resume = first.result.run};
    small_train_well(&again);
    assert_true(again.result.had_ended && again.result.stopped_early);
    assert_int_equal(again.result.epochs, first.result.epochs);
    assert_null(strstr(again.result.way_on, "--resume"));
    assert_non_null(strstr(again.result.way_on, "early stopping"));
    small_free(&again);
    struct small_run more = {.resume = first.result.run, .set = {"train.epochs=20"}};
    expect_refused(&more, FNL_E_CONFIG, "it would end there with 20 epochs too",
                   "train.early_stopping");
    small_train_well(&again); /* and it still has ended */
    assert_true(again.result.had_ended);
    small_free(&again);
    small_free(&first);
}

static void test_what_was_removed_of_an_ended_run_is_made_again(void **state)
{
    (void)state;
    static const char *const files[] = {"model.onnx", "summary.json"};
    struct small_run first = {.config = config}, other = {.config = config};
    small_train_well(&first);
    small_train_well(&other);
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        assert_int_equal(unlink(small_file(&first, files[i])), 0);
        struct small_run again = {.resume = first.result.run};
        small_train_well(&again);
        assert_false(again.result.had_ended);
        assert_true(fnl_path_exists(small_file(&first, files[i])));
        assert_same_run(&again, &other);
        small_free(&again);
    }
    test_write(small_file(&first, "summary.json"), "{\"run\": 1}", 10);
    struct small_run damaged = {.resume = first.result.run};
    expect_refused(&damaged, FNL_E_FORMAT, "\"epochs\" is missing", "remove it and resume");
    small_free(&first);
    small_free(&other);
}

/* ---- more epochs ---- */

static const char *const schedules[] = {
    "train.schedule=constant",
    "train.schedule={name: constant, warmup_steps: 15}",
    "train.schedule={name: step, step_epochs: 2, gamma: 0.5, warmup_epochs: 1}",
};

static void test_more_epochs_end_as_if_they_had_been_from_the_start(void **state)
{
    (void)state;
    const char *restore = "train.early_stopping={patience: 9, restore_best: true}";
    for (size_t i = 0; i < TEST_COUNT(schedules); i++) {
        struct small_run straight = {.config = config,
                                     .set = {schedules[i], restore, "train.epochs=7"}};
        struct small_run first = {.config = config, .set = {schedules[i], restore}};
        small_train_well(&straight);
        small_train_well(&first);
        struct small_run more = {.resume = first.result.run, .set = {"train.epochs=5"}};
        small_train_well(&more);
        assert_false(more.result.had_ended);
        assert_int_equal(more.epochs, 2);
        struct small_run most = {.resume = first.result.run, .set = {"train.epochs=7"}};
        small_train_well(&most);
        assert_int_equal(most.epochs, 2);
        assert_same_run(&most, &straight);
        struct small_run again = {.resume = first.result.run};
        small_train_well(&again);
        assert_true(again.result.had_ended);
        assert_int_equal(again.result.epochs, 7);
        small_free(&straight);
        small_free(&first);
        small_free(&more);
        small_free(&most);
        small_free(&again);
    }
}

static void test_more_epochs_hold_when_stopped_on_the_way(void **state)
{
    (void)state;
    struct small_run straight = {.config = config, .set = {"train.epochs=5"}};
    small_train_well(&straight);
    /* Before its end: in epoch 2. After it: in epoch 4. */
    for (int i = 0; i < 2; i++) {
        struct small_run first = {.config = config, .stop_at = i == 0 ? 11 : 0};
        small_train(&first);
        assert_int_equal(first.rc, i == 0 ? FNL_E_INTERRUPTED : 0);
        struct small_run more = {
            .resume = first.result.run, .set = {"train.epochs=5"}, .stop_at = i == 0 ? 14 : 3};
        small_train(&more);
        assert_int_equal(more.rc, FNL_E_INTERRUPTED);
        assert_false(fnl_path_exists(small_file(&first, "summary.json")));
        struct small_run last = {.resume = first.result.run}; /* config.yaml has the 5 */
        small_train_well(&last);
        assert_same_run(&last, &straight);
        small_free(&first);
        small_free(&more);
        small_free(&last);
    }
    small_free(&straight);
}

static void test_a_disk_that_is_full_when_more_are_asked_loses_nothing(void **state)
{
    (void)state;
    struct small_run straight = {.config = config, .set = {"train.epochs=4"}};
    small_train_well(&straight);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        struct small_run first = {.config = config};
        small_train_well(&first);
        struct small_run more = {.resume = first.result.run, .set = {"train.epochs=4"}};
        fnl_file_fail_at(n);
        small_train(&more);
        fnl_file_fail_at(0);
        if (more.rc == 0) {
            assert_same_run(&more, &straight);
            small_free(&first);
            small_free(&more);
            break;
        }
        failures++;
        assert_int_equal(more.rc, FNL_E_IO);
        struct small_run again = {.resume = first.result.run, .set = {"train.epochs=4"}};
        small_train_well(&again);
        assert_same_run(&again, &straight);
        small_free(&first);
        small_free(&more);
        small_free(&again);
    }
    assert_true(failures > 10);
    small_free(&straight);
}

static void test_epochs_written_into_its_config_count_too(void **state)
{
    (void)state;
    struct small_run straight = {.config = config, .set = {"train.epochs=4"}};
    struct small_run first = {.config = config};
    small_train_well(&straight);
    small_train_well(&first);
    size_t size;
    char *text = small_read(small_file(&first, "config.yaml"), &size);
    char *epochs = strstr(text, "epochs: 3");
    assert_non_null(epochs);
    epochs[8] = '4';
    test_write(small_file(&first, "config.yaml"), text, size);
    struct small_run more = {.resume = first.result.run};
    small_train_well(&more);
    assert_same_run(&more, &straight);
    epochs[8] = '2';
    test_write(small_file(&first, "config.yaml"), text, size);
    assert_int_equal(unlink(small_file(&first, "summary.json")), 0);
    struct small_run fewer = {.resume = first.result.run};
    expect_refused(&fewer, FNL_E_CONFIG, "has done 4 epochs, its config.yaml says 2", "not fewer");
    fnl_free(text);
    small_free(&straight);
    small_free(&first);
    small_free(&more);
}

static void test_a_schedule_over_all_epochs_refuses_more(void **state)
{
    (void)state;
    static const char *const over_all[] = {"cosine", "one_cycle"};
    for (size_t i = 0; i < TEST_COUNT(over_all); i++) {
        char schedule[64], message[96];
        (void)snprintf(schedule, sizeof schedule, "train.schedule=%s", over_all[i]);
        (void)snprintf(message, sizeof message,
                       "its %s schedule is spread over 3 epochs: it cannot go on to 6",
                       over_all[i]);
        struct small_run first = {.config = config, .set = {schedule}};
        small_train_well(&first);
        struct small_run more = {.resume = first.result.run, .set = {"train.epochs=6"}};
        expect_refused(&more, FNL_E_CONFIG, message, "train.schedule is constant or step");
        struct small_run again = {.resume = first.result.run};
        small_train_well(&again);
        assert_true(again.result.had_ended);
        assert_null(strstr(again.result.way_on, "--resume"));
        small_free(&again);
        small_free(&first);
    }
}

static void test_fewer_epochs_are_refused(void **state)
{
    (void)state;
    struct small_run first = {.config = config};
    small_train_well(&first);
    struct small_run fewer = {.resume = first.result.run, .set = {"train.epochs=2"}};
    expect_refused(&fewer, FNL_E_CONFIG, "train.epochs is not what", "more epochs, not fewer");
    struct small_run both = {.resume = first.result.run, .set = {"train.epochs=9", "train.seed=3"}};
    expect_refused(&both, FNL_E_CONFIG, "train.seed is not what", "resume without changes");
    small_free(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ended_run_says_its_result_again),
        cmocka_unit_test(test_a_run_that_was_stopped_early_has_no_way_on),
        cmocka_unit_test(test_what_was_removed_of_an_ended_run_is_made_again),
        cmocka_unit_test(test_more_epochs_end_as_if_they_had_been_from_the_start),
        cmocka_unit_test(test_more_epochs_hold_when_stopped_on_the_way),
        cmocka_unit_test(test_a_disk_that_is_full_when_more_are_asked_loses_nothing),
        cmocka_unit_test(test_epochs_written_into_its_config_count_too),
        cmocka_unit_test(test_a_schedule_over_all_epochs_refuses_more),
        cmocka_unit_test(test_fewer_epochs_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
