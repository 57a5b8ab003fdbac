/* Whole runs on a small data set: determinism, losses, stopping, failing, evaluating. */
#include "small.h"

#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

#include "base/build.h"
#include "base/files.h"
#include "base/host.h"
#include "base/mem.h"
#include "device/cpu.h"
#include "engine/backend/cpu/kernels.h"
#include "train/report.h"

static char config[256];

static int set_up(void **state)
{
    if (small_dir_make(state) != 0) {
        return -1;
    }
    small_write_data();
    (void)snprintf(config, sizeof config, "%s", small_write_config("small.yaml", small_config));
    return 0;
}

/* ---- determinism ---- */

static void test_the_same_run_twice_gives_the_same_bytes(void **state)
{
    (void)state;
    struct small_run a = {.config = config}, b = {.config = config};
    small_train_well(&a);
    small_train_well(&b);
    assert_string_not_equal(a.result.run, b.result.run);
    small_assert_same_file(a.result.model, b.result.model);
    small_assert_same_metrics(&a, &b);
    small_free(&a);
    small_free(&b);
}

static void test_another_seed_gives_another_run(void **state)
{
    (void)state;
    struct small_run a = {.config = config}, b = {.config = config, .set = {"train.seed=6"}};
    small_train_well(&a);
    small_train_well(&b);
    assert_true(a.result.test.loss != b.result.test.loss);
    small_free(&a);
    small_free(&b);
}

static void test_deterministic_does_not_depend_on_threads(void **state)
{
    (void)state;
    struct small_run one = {.config = config,
                            .set = {"train.deterministic=true", "train.threads=1"}};
    small_train_well(&one);
    static const char *const threads[] = {"train.threads=2", "train.threads=3"};
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        struct small_run r = {.config = config, .set = {"train.deterministic=true", threads[i]}};
        small_train_well(&r);
        small_assert_same_file(r.result.model, one.result.model);
        small_assert_same_metrics(&r, &one);
        small_free(&r);
    }
    small_free(&one);
}

static void test_a_chosen_thread_count_stands_in_the_runs_configuration(void **state)
{
    (void)state;
    struct small_run r = {.config = config, .set = {"train.threads=0"}, .stop_at = 8};
    small_train(&r);
    assert_int_equal(r.rc, FNL_E_INTERRUPTED);
    size_t size;
    char *text = small_read(small_file(&r, "config.yaml"), &size);
    const char *at = strstr(text, "threads: ");
    assert_non_null(at);
    assert_true(strtol(at + 9, NULL, 10) >= 1);
    fnl_free(text);
    struct small_run second = {.resume = r.result.run};
    small_train_well(&second);
    small_free(&second);
    small_free(&r);
}

/* ---- what is learnt, with each loss ---- */

static void test_a_run_learns_and_reports(void **state)
{
    (void)state;
    struct small_run r = {.config = config, .set = {"train.epochs=12"}};
    small_train_well(&r);
    assert_int_equal(r.result.epochs, 12);
    assert_int_equal(r.epochs, 12);
    assert_true(r.result.has_test && r.result.test.has_accuracy);
    assert_true(r.result.test.accuracy > 0.9);
    assert_true(r.epoch[11].loss < r.epoch[0].loss);
    /* Without a validation split the test data serve: same network, same data, same numbers. */
    assert_true(r.epoch[11].val_loss == r.result.test.loss);
    assert_true(r.epoch[11].val_accuracy == r.result.test.accuracy);
    uint64_t sum = 0, right = 0;
    for (int i = 0; i < r.result.test.classes; i++) {
        for (int k = 0; k < r.result.test.classes; k++) {
            sum += r.result.test.confusion[i * r.result.test.classes + k];
        }
        right += r.result.test.confusion[i * r.result.test.classes + i];
    }
    assert_int_equal(sum, SMALL_TEST);
    assert_true((double)right / SMALL_TEST == r.result.test.accuracy);
    static const char *const files[] = {"config.yaml", "metrics.jsonl", "summary.json",
                                        "curves.svg",  "model.onnx",    "last.ckpt",
                                        "best.ckpt"};
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        assert_true(fnl_path_exists(small_file(&r, files[i])));
    }
    small_free(&r);
}

/* Errors that grow by some hundred times a step: an epoch ends well, the next does not. */
static void test_a_loss_that_blows_up_leaves_the_last_good_weights(void **state)
{
    (void)state;
    struct small_run r = {.config = config,
                          .set = {"model=[flatten, {dense: 3}]", "train.loss=mean_squared_error",
                                  "train.optimizer={name: sgd, learning_rate: 5}",
                                  "train.schedule=constant"}};
    small_train(&r);
    assert_int_equal(r.rc, FNL_E_DIVERGED);
    assert_true(r.epochs >= 1);
    assert_non_null(strstr(r.err.hint, "lower train.optimizer.learning_rate"));
    assert_non_null(strstr(r.err.hint, "the last good weights are in "));
    const char *last = small_file(&r, "last.ckpt");
    assert_non_null(strstr(r.err.hint, last));
    assert_true(fnl_path_exists(last));
    assert_false(fnl_path_exists(small_file(&r, "summary.json")));
    struct small_run again = {.resume = r.result.run}; /* it is good: only the rate is not */
    small_train(&again);
    assert_int_equal(again.rc, FNL_E_DIVERGED);
    assert_string_equal(again.notes, "");
    small_free(&again);
    small_free(&r);
    /* In the first epoch there are none yet, and none are promised. */
    struct small_run first = {.config = config,
                              .set = {"model=[flatten, {dense: 3}]",
                                      "train.loss=mean_squared_error",
                                      "train.optimizer={name: sgd, learning_rate: 1e6}"}};
    small_train(&first);
    assert_int_equal(first.rc, FNL_E_DIVERGED);
    assert_int_equal(first.epochs, 0);
    assert_null(strstr(first.err.hint, "last good"));
    small_free(&first);
}

static void test_bfloat16_without_its_speed_is_said(void **state)
{
    (void)state;
    struct small_run plain = {.config = config, .set = {"train.epochs=1"}};
    small_train_well(&plain);
    assert_null(strstr(plain.notes, "bfloat16"));
    assert_string_equal(plain.result.precision, "float32");
    assert_string_equal(plain.result.products, "float32");
    small_free(&plain);
    const char *half = "train.precision=bfloat16";
    assert_int_equal(setenv("FOURNIL_BF16", "off", 1), 0); /* the same on every CPU */
    struct small_run r = {.config = config, .set = {"train.epochs=1", half}};
    small_train_well(&r);
    assert_int_equal(unsetenv("FOURNIL_BF16"), 0);
    assert_non_null(strstr(r.notes, "precision bfloat16: "));
    assert_non_null(strstr(r.notes, "no faster than float32"));
    assert_string_equal(r.result.precision, "bfloat16");
    assert_string_equal(r.result.products, "float32");
    json_t *s = json_load_file(small_file(&r, "summary.json"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(s, "precision")), "bfloat16");
    assert_string_equal(json_string_value(json_object_get(s, "products")), "float32");
    json_decref(s);
    struct small_run again = {.resume = r.result.run}; /* it has ended: nothing will be slow */
    small_train_well(&again);
    assert_string_equal(again.notes, "");
    assert_string_equal(again.result.precision, "bfloat16");
    assert_string_equal(again.result.products, "float32");
    small_free(&again);
    small_free(&r);
}

static void test_the_summary_is_json_with_what_it_promises(void **state)
{
    (void)state;
    struct small_run r = {.config = config};
    small_train_well(&r);
    json_t *s = json_load_file(small_file(&r, "summary.json"), 0, NULL);
    assert_non_null(s);
    static const char *const keys[] = {
        "run",    "status",  "epochs",     "best_epoch", "weights",      "last",
        "test",   "samples", "parameters", "version",    "device",       "threads",
        "shards", "seed",    "finished",   "seconds",    "samples_per_s"};
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        if (json_object_get(s, keys[i]) == NULL) {
            fail_msg("summary.json has no \"%s\"", keys[i]);
        }
    }
    json_t *test = json_object_get(s, "test");
    assert_true(json_real_value(json_object_get(test, "loss")) == r.result.test.loss);
    assert_int_equal(json_array_size(json_object_get(test, "confusion_matrix")), SMALL_CLASSES);
    json_t *class0 = json_array_get(json_object_get(test, "classes"), 0);
    assert_non_null(json_object_get(class0, "precision"));
    assert_non_null(json_object_get(class0, "recall"));
    json_decref(s);
    small_free(&r);
}

static const char *string_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    if (s == NULL) {
        fail_msg("no string \"%s\"", key);
    }
    return s;
}

static void test_the_summary_says_what_it_was_made_with(void **state)
{
    (void)state;
    struct small_run r = {.config = config, .set = {"train.epochs=1"}};
    small_train_well(&r);
    json_t *s = json_load_file(small_file(&r, "summary.json"), 0, NULL);
    json_t *e = json_object_get(s, "environment");
    struct fnl_cpu cpu;
    fnl_cpu_probe("/", &cpu);
    assert_string_equal(string_of(e, "fournil"), string_of(s, "version"));
    assert_string_equal(string_of(e, "compiler"), fnl_build_compiler());
    assert_string_equal(string_of(e, "cpu"), cpu.model);
    assert_string_equal(string_of(e, "isa"), fnl_cpu_kernels()->isa);
    assert_int_equal(json_integer_value(json_object_get(e, "threads")), 2);
    assert_int_equal(json_integer_value(json_object_get(e, "cpus")), fnl_host_cpus());
    assert_true(strlen(string_of(e, "kernel")) > 0 && strlen(string_of(e, "machine")) > 0);
    char os[FNL_HOST_OS];
    if (fnl_host_os(os)) {
        assert_string_equal(string_of(e, "os"), os);
    } else {
        assert_true(json_is_null(json_object_get(e, "os")));
    }
    assert_int_equal(strlen(string_of(e, "date")), strlen("2026-11-24T10:38:19Z"));
    json_decref(s);
    small_free(&r);
}

static void test_one_hot_losses_count_what_the_executor_does_not(void **state)
{
    (void)state;
    static const char *const losses[] = {"train.loss=categorical_crossentropy",
                                         "train.loss=binary_crossentropy",
                                         "train.loss=mean_squared_error"};
    for (size_t i = 0; i < TEST_COUNT(losses); i++) {
        struct small_run r = {.config = config, .set = {losses[i], "train.epochs=15"}};
        small_train_well(&r);
        assert_true(r.result.test.accuracy > 0.85);
        assert_true(r.epoch[14].accuracy > r.epoch[0].accuracy);
        assert_true(r.epoch[14].val_accuracy == r.result.test.accuracy);
        small_free(&r);
    }
}

static void test_categorical_and_sparse_are_the_same_loss(void **state)
{
    (void)state;
    struct small_run a = {.config = config},
                     b = {.config = config, .set = {"train.loss=categorical_crossentropy"}};
    small_train_well(&a);
    small_train_well(&b);
    for (uint32_t i = 0; i < a.epochs; i++) {
        assert_true(fabs(a.epoch[i].loss - b.epoch[i].loss) < 1e-4);
        assert_true(fabs(a.epoch[i].val_accuracy - b.epoch[i].val_accuracy) < 0.051);
    }
    small_free(&a);
    small_free(&b);
}

static const char regression[] = "data:\n"
                                 "  format: csv\n"
                                 "  train: {file: line.csv}\n"
                                 "  target: y\n"
                                 "  task: regression\n"
                                 "  validation_split: 0.25\n"
                                 "model:\n"
                                 "  - dense: 1\n"
                                 "train:\n"
                                 "  loss: mean_squared_error\n"
                                 "  optimizer: {name: adam, learning_rate: 0.05}\n"
                                 "  batch: 8\n"
                                 "  epochs: 40\n"
                                 "  threads: 1\n";

static void write_line(void)
{
    FILE *f = fopen(small_path("line.csv"), "w");
    assert_non_null(f);
    assert_true(fputs("a,b,y\n", f) >= 0);
    for (int i = 0; i < 64; i++) {
        double a = (i * 37 % 64) / 32.0 - 1.0, b = (i * 11 % 64) / 32.0 - 1.0;
        assert_true(fprintf(f, "%.5f,%.5f,%.5f\n", a, b, 2.0 * a - b + 0.5) > 0);
    }
    assert_int_equal(fclose(f), 0);
}

static void test_numbers_are_learnt_and_have_no_accuracy(void **state)
{
    (void)state;
    write_line();
    struct small_run r = {.config = small_write_config("line.yaml", regression)};
    small_train_well(&r);
    assert_true(r.epoch[39].val_loss < 0.02);
    assert_true(isnan(r.epoch[39].accuracy) && isnan(r.epoch[39].val_accuracy));
    assert_false(r.result.has_test); /* the file has none: unknown is not 0 */
    json_t *s = json_load_file(small_file(&r, "summary.json"), 0, NULL);
    assert_true(json_is_null(json_object_get(s, "test")));
    assert_true(json_is_null(json_object_get(json_object_get(s, "last"), "accuracy")));
    json_decref(s);
    struct fnl_evaluate_request q = FNL_EVALUATE_REQUEST_INIT;
    struct fnl_evaluate_result e;
    struct fnl_error err = FNL_ERROR_INIT;
    q.model = r.result.model;
    q.config = r.config;
    q.split = FNL_EVALUATE_VALIDATION;
    assert_int_equal(fnl_evaluate(&q, &e, &err), 0);
    assert_true(e.evaluation.loss == r.epoch[39].val_loss);
    assert_int_equal(e.evaluation.classes, 0);
    fnl_evaluate_result_free(&e);
    q.split = FNL_EVALUATE_TEST;
    assert_int_equal(fnl_evaluate(&q, &e, &err), FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "there are no test data"));
    small_free(&r);
}

static void test_what_does_not_fit_is_refused_before_a_folder_is_made(void **state)
{
    (void)state;
    write_line();
    char line[256];
    (void)snprintf(line, sizeof line, "%s", small_write_config("line.yaml", regression));
    const struct {
        const char *config, *set, *message;
    } cases[] = {
        {line, "train.loss=sparse_categorical_crossentropy", "the network gives [N, 1]"},
        {line, "model.0.dense=2", "the model has 2 outputs, but a sample has 1 targets"},
        {line, "train.early_stopping={monitor: val_accuracy}", "numbers have no accuracy"},
        {config, "model.5.dense.units=4", "4"},
        {config, "data.train.images=absent", "absent"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct small_run r = {
            .config = cases[i].config, .dir = small_path("refused"), .set = {cases[i].set}};
        small_train(&r);
        assert_int_equal(fnl_code_status(r.rc), 3);
        if (strstr(r.err.message, cases[i].message) == NULL) {
            fail_msg("\"%s\" has no \"%s\"", r.err.message, cases[i].message);
        }
        small_free(&r);
    }
    assert_false(fnl_path_exists(small_path("refused")));
    struct small_run numbers = {
        .config = line,
        .set = {"train.loss=sparse_categorical_crossentropy", "model=[{dense: 3}]"}};
    small_train(&numbers);
    assert_non_null(strstr(numbers.err.message, "needs classes, but the data's targets are"));
    small_free(&numbers);
    struct small_run one = {.config = config,
                            .set = {"train.loss=binary_crossentropy", "model.5.dense.units=1"}};
    small_train(&one);
    assert_non_null(strstr(one.err.message, "with one output, but the data has 3 classes"));
    small_free(&one);
}

/* ---- early stopping ---- */

static void test_early_stopping_ends_and_restores_the_best(void **state)
{
    (void)state;
    struct small_run r = {.config = config,
                          .set = {"train.epochs=60", "train.schedule=constant",
                                  "train.optimizer.learning_rate=0.3",
                                  "train.early_stopping={patience: 3, restore_best: true}"}};
    small_train_well(&r);
    assert_true(r.result.stopped_early);
    assert_true(r.result.epochs < 60);
    assert_int_equal(r.result.epochs, r.result.best_epoch + 3);
    assert_true(r.result.weights_are_best);
    const struct fnl_epoch *best = &r.epoch[r.result.best_epoch - 1];
    for (uint32_t i = 0; i < r.epochs; i++) {
        assert_true(r.epoch[i].val_loss >= best->val_loss);
    }
    assert_true(r.result.test.loss == best->val_loss);
    assert_true(r.epoch[r.epochs - 1].val_loss != best->val_loss);
    small_free(&r);
}

static void test_min_delta_counts_small_gains_as_none(void **state)
{
    (void)state;
    struct small_run r = {
        .config = config,
        .set = {"train.epochs=20", "train.early_stopping={patience: 2, min_delta: 100}"}};
    small_train_well(&r);
    assert_int_equal(r.result.epochs, 3);
    assert_false(r.result.weights_are_best);
    small_free(&r);
}

/* ---- divergence ---- */

static void test_a_diverged_run_stops_with_step_and_hint_and_keeps_good_weights(void **state)
{
    (void)state;
    struct small_run r = {.config = config,
                          .set = {"train.optimizer={name: sgd, learning_rate: 1e6, momentum: 0.99}",
                                  "train.schedule={name: constant, warmup_epochs: 3}",
                                  "train.loss=mean_squared_error", "train.epochs=3",
                                  "model=[flatten, {dense: {units: 3}}]",
                                  "train.checkpoint={every_seconds: 0}"}};
    small_train(&r);
    assert_int_equal(r.rc, FNL_E_DIVERGED);
    assert_int_equal(fnl_code_status(r.rc), 5);
    assert_non_null(strstr(r.err.message, "epoch "));
    assert_non_null(strstr(r.err.hint, "learning_rate"));
    assert_false(fnl_path_exists(small_file(&r, "model.onnx")));
    small_free(&r);
}

static void test_clipping_keeps_the_same_run_finite(void **state)
{
    (void)state;
    struct small_run r = {.config = config,
                          .set = {"train.optimizer={name: sgd, learning_rate: 0.1}",
                                  "train.clip_norm=1.0", "train.epochs=8"}};
    small_train_well(&r);
    assert_true(isfinite(r.result.test.loss));
    small_free(&r);
}

/* ---- evaluate gives training's own numbers ---- */

static void test_evaluate_gives_the_same_bits(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.epochs=2",
                                       "train.loss=categorical_crossentropy",
                                       "train.loss=binary_crossentropy",
                                       "train.evaluation_batch=7",
                                       "data.normalize={mean: 0.5, std: 0.5}",
                                       "data.normalize=none"};
    for (size_t i = 0; i < TEST_COUNT(sets); i++) {
        struct small_run r = {.config = config, .set = {sets[i]}};
        small_train_well(&r);
        for (int threads = 1; threads <= 3; threads++) {
            struct fnl_evaluate_request q = FNL_EVALUATE_REQUEST_INIT;
            struct fnl_evaluate_result e;
            struct fnl_error err = FNL_ERROR_INIT;
            q.model = r.result.model;
            q.config = config;
            q.threads = threads;
            if (fnl_evaluate(&q, &e, &err) != 0) {
                fail_msg("%s", err.message);
            }
            if (e.evaluation.loss != r.result.test.loss) {
                fail_msg("%s: %.17g, in training %.17g", sets[i], e.evaluation.loss,
                         r.result.test.loss);
            }
            assert_true(e.evaluation.accuracy == r.result.test.accuracy);
            assert_int_equal(e.evaluation.classes, r.result.test.classes);
            size_t cells = (size_t)(e.evaluation.classes * e.evaluation.classes);
            assert_memory_equal(e.evaluation.confusion, r.result.test.confusion,
                                cells * sizeof(uint64_t));
            fnl_evaluate_result_free(&e);
        }
        small_free(&r);
    }
}

/* ---- memory ---- */

static uint64_t counted[256];
static int counts;

static void count_allocations(void *arg, const struct fnl_train_progress *p)
{
    (void)arg;
    if (p->batch > 1 && counts < 256) {
        counted[counts++] = fnl_mem_alloc_count();
    }
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_train_request q = FNL_TRAIN_REQUEST_INIT;
    struct fnl_train_result result;
    const char *set[] = {"train.epochs=1", "train.batch=4",
                         "data.augment={flip: horizontal, pad_and_crop: 1}"};
    q.config = config;
    q.dir = small_path("state");
    q.assignments = set;
    q.assignment_count = 3;
    q.progress_interval_s = 0.0;
    q.observer.progress = count_allocations;
    counts = 0;
    assert_int_equal(fnl_train(&q, &result, &err), 0);
    assert_true(counts > 10);
    for (int i = 1; i < counts; i++) {
        assert_int_equal(counted[i], counted[0]);
    }
    fnl_train_result_free(&result);
}

static void test_every_failed_allocation_is_an_error_and_no_crash(void **state)
{
    (void)state;
    int failures = 0;
    for (uint64_t n = 1;; n += 1 + n / 24) {
        struct small_run r = {.config = config, .set = {"train.epochs=1", "train.batch=45"}};
        fnl_mem_fail_at(n);
        small_train(&r);
        fnl_mem_fail_at(0);
        int rc = r.rc;
        small_free(&r);
        if (rc == 0) {
            break;
        }
        if (rc != FNL_E_NOMEM) {
            fail_msg("allocation %d: %s (%s)", (int)n, fnl_code_name(rc), r.err.message);
        }
        failures++;
    }
    assert_true(failures > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_run_twice_gives_the_same_bytes),
        cmocka_unit_test(test_another_seed_gives_another_run),
        cmocka_unit_test(test_deterministic_does_not_depend_on_threads),
        cmocka_unit_test(test_a_chosen_thread_count_stands_in_the_runs_configuration),
        cmocka_unit_test(test_a_run_learns_and_reports),
        cmocka_unit_test(test_the_summary_is_json_with_what_it_promises),
        cmocka_unit_test(test_the_summary_says_what_it_was_made_with),
        cmocka_unit_test(test_a_loss_that_blows_up_leaves_the_last_good_weights),
        cmocka_unit_test(test_bfloat16_without_its_speed_is_said),
        cmocka_unit_test(test_one_hot_losses_count_what_the_executor_does_not),
        cmocka_unit_test(test_categorical_and_sparse_are_the_same_loss),
        cmocka_unit_test(test_numbers_are_learnt_and_have_no_accuracy),
        cmocka_unit_test(test_what_does_not_fit_is_refused_before_a_folder_is_made),
        cmocka_unit_test(test_early_stopping_ends_and_restores_the_best),
        cmocka_unit_test(test_min_delta_counts_small_gains_as_none),
        cmocka_unit_test(test_a_diverged_run_stops_with_step_and_hint_and_keeps_good_weights),
        cmocka_unit_test(test_clipping_keeps_the_same_run_finite),
        cmocka_unit_test(test_evaluate_gives_the_same_bits),
        cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_every_failed_allocation_is_an_error_and_no_crash),
    };
    return cmocka_run_group_tests(tests, set_up, small_dir_remove);
}
