/* Configurations: what is read, and what is refused with which words. */
#include "base/test.h"

#include "base/buf.h"
#include "base/mem.h"
#include "model/model.h"
#include "train/config.h"

#define DATA "data: {format: csv, train: {file: a.csv}, target: y}\nmodel: [{dense: 1}]\n"

static const char *write_config(const char *text)
{
    const char *path = test_path("c.yaml");
    test_write(path, text, strlen(text));
    return path;
}

static int load(const char *text, const char *set, struct fnl_train_config **ret,
                struct fnl_error *err)
{
    const char *path = write_config(text);
    return fnl_train_config_load(path, NULL, &set, set != NULL ? 1 : 0, false, ret, err);
}

static struct fnl_train_config *load_well(const char *train, const char *set)
{
    char text[1024];
    (void)snprintf(text, sizeof text, DATA "%s", train);
    struct fnl_train_config *c = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (load(text, set, &c, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return c;
}

static void test_defaults_stand_without_a_train_section(void **state)
{
    (void)state;
    struct fnl_train_config *c = load_well("", NULL);
    assert_int_equal(c->loss, FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY);
    assert_int_equal(c->optimizer.kind, FNL_SGD);
    assert_true(c->schedule.learning_rate == 0.01);
    assert_int_equal(c->schedule.kind, FNL_SCHEDULE_CONSTANT);
    assert_int_equal(c->batch, 64);
    assert_int_equal(c->evaluation_batch, 256);
    assert_int_equal(c->epochs, 10);
    assert_int_equal(c->seed, 1);
    assert_int_equal(c->threads, 0);
    assert_true(c->shuffle);
    assert_false(c->deterministic);
    assert_int_equal(c->precision, FNL_PRECISION_F32);
    assert_false(c->early_stopping.on);
    assert_int_equal(c->checkpoint.best_by, FNL_MONITOR_VAL_LOSS);
    assert_int_equal(c->checkpoint.every_seconds, 60);
    fnl_train_config_free(c);
}

static void test_optimizers_have_their_own_defaults(void **state)
{
    (void)state;
    struct fnl_train_config *c = load_well("train: {optimizer: adam}", NULL);
    assert_int_equal(c->optimizer.kind, FNL_ADAM);
    assert_true(c->schedule.learning_rate == 0.001);
    assert_true(c->optimizer.epsilon == 1e-8F && c->optimizer.beta1 == 0.9F);
    assert_true(c->optimizer.beta2 == 0.999F && c->optimizer.weight_decay == 0.0F);
    fnl_train_config_free(c);
    c = load_well("train: {optimizer: {name: adamw, beta_1: 0.8}}", NULL);
    assert_int_equal(c->optimizer.kind, FNL_ADAMW);
    assert_true(c->optimizer.weight_decay == 0.01F && c->optimizer.beta1 == 0.8F);
    fnl_train_config_free(c);
    c = load_well("train: {optimizer: {name: sgd, momentum: 0.9, nesterov: true}, clip_norm: 2, "
                  "clip_value: 0.5}",
                  NULL);
    assert_true(c->optimizer.momentum == 0.9F && c->optimizer.nesterov);
    assert_true(c->optimizer.clip_norm == 2.0F && c->optimizer.clip_value == 0.5F);
    fnl_train_config_free(c);
}

static void test_schedules_are_read(void **state)
{
    (void)state;
    struct fnl_train_config *c = load_well(
        "train: {schedule: {name: step, step_epochs: 4, gamma: 0.5, warmup_steps: 9}}", NULL);
    assert_int_equal(c->schedule.kind, FNL_SCHEDULE_STEP);
    assert_int_equal(c->schedule.step_epochs, 4);
    assert_true(c->schedule.gamma == 0.5 && c->schedule.learning_rate == 0.01);
    assert_int_equal(c->schedule.warmup_steps, 9);
    fnl_train_config_free(c);
    c = load_well("train: {schedule: one_cycle}", NULL);
    assert_int_equal(c->schedule.kind, FNL_SCHEDULE_ONE_CYCLE);
    assert_true(c->schedule.div_factor == 25.0 && c->schedule.pct_start == 0.3);
    fnl_train_config_free(c);
}

static void test_assignments_win_and_make_maps(void **state)
{
    (void)state;
    struct fnl_train_config *c = load_well("train: {epochs: 3}", "train.epochs=7");
    assert_int_equal(c->epochs, 7);
    fnl_train_config_free(c);
    c = load_well("", "train.optimizer={name: adam, learning_rate: 0.5}");
    assert_true(c->schedule.learning_rate == 0.5);
    fnl_train_config_free(c);
}

static void test_assignments_reach_into_short_forms(void **state)
{
    (void)state;
    struct fnl_train_config *c =
        load_well("train: {optimizer: adam}", "train.optimizer.learning_rate=0.5");
    assert_int_equal(c->optimizer.kind, FNL_ADAM);
    assert_true(c->schedule.learning_rate == 0.5);
    fnl_train_config_free(c);
    c = load_well("train: {schedule: cosine}", "train.schedule.warmup_steps=7");
    assert_int_equal(c->schedule.kind, FNL_SCHEDULE_COSINE);
    assert_int_equal(c->schedule.warmup_steps, 7);
    fnl_train_config_free(c);
    c = load_well("", "model.0.activation=relu");
    const struct fnl_yaml_node *dense = fnl_yaml_get(c->layers->item[0], "dense");
    assert_string_equal(fnl_yaml_get(dense, "units")->scalar, "1");
    assert_string_equal(fnl_yaml_get(dense, "activation")->scalar, "relu");
    fnl_train_config_free(c);
}

static void test_early_stopping_leads_the_best_checkpoint(void **state)
{
    (void)state;
    struct fnl_train_config *c =
        load_well("train: {early_stopping: {monitor: val_accuracy, patience: 2}}", NULL);
    assert_true(c->early_stopping.on && c->early_stopping.monitor_given);
    assert_int_equal(c->early_stopping.patience, 2);
    assert_int_equal(c->checkpoint.best_by, FNL_MONITOR_VAL_ACCURACY);
    fnl_train_config_free(c);
}

static void test_keras_other_names_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *train;
        int loss, optimizer;
    } cases[] = {
        {"train: {loss: mse}", FNL_LOSS_MEAN_SQUARED_ERROR, FNL_SGD},
        {"train: {loss: MSE, optimizer: Adam}", FNL_LOSS_MEAN_SQUARED_ERROR, FNL_ADAM},
        {"train: {loss: MeanSquaredError}", FNL_LOSS_MEAN_SQUARED_ERROR, FNL_SGD},
        {"train: {loss: bce, optimizer: AdamW}", FNL_LOSS_BINARY_CROSSENTROPY, FNL_ADAMW},
        {"train: {loss: BCE, optimizer: {name: SGD}}", FNL_LOSS_BINARY_CROSSENTROPY, FNL_SGD},
        {"train: {loss: BinaryCrossentropy}", FNL_LOSS_BINARY_CROSSENTROPY, FNL_SGD},
        {"train: {loss: CategoricalCrossentropy}", FNL_LOSS_CATEGORICAL_CROSSENTROPY, FNL_SGD},
        {"train: {loss: SparseCategoricalCrossentropy, optimizer: {name: AdamW, beta_1: 0.8}}",
         FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY, FNL_ADAMW},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct fnl_train_config *c = load_well(cases[i].train, NULL);
        assert_int_equal(c->loss, cases[i].loss);
        assert_int_equal(c->optimizer.kind, cases[i].optimizer);
        fnl_train_config_free(c);
    }
    struct fnl_buf doc;
    fnl_buf_init(&doc, 1 << 20);
    assert_int_equal(fnl_train_config_doc(&doc), 0);
    assert_non_null(strstr(doc.data, "`mean_squared_error` (or `MeanSquaredError`, `mse`, `MSE`)"));
    assert_null(strstr(doc.data, "MSELoss")); /* not taken */
    fnl_buf_free(&doc);
}

/* ---- what a checkpoint knows a configuration by ---- */

static uint32_t identity_of(const char *train, const char *set)
{
    struct fnl_train_config *c = load_well(train, set);
    uint32_t id = fnl_train_config_identity(c);
    /* As it stands in a run's folder it is the same. */
    struct fnl_buf text;
    fnl_buf_init(&text, 1 << 16);
    assert_int_equal(fnl_yaml_print(c->doc, &text), 0);
    fnl_train_config_free(c);
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(load(text.data, NULL, &c, &err), 0);
    assert_int_equal(fnl_train_config_identity(c), id);
    fnl_train_config_free(c);
    fnl_buf_free(&text);
    return id;
}

static void test_an_identity_is_that_of_the_meaning(void **state)
{
    (void)state;
    uint32_t id = identity_of("train: {epochs: 3, seed: 2}", NULL);
    static const char *const same[] = {"train: {epochs: 3, seed: 2} # the same", "train: {seed: 2}",
                                       "train:\n  epochs: 7\n  seed: 2\n"};
    static const char *const others[] = {"train: {epochs: 3, seed: 3}", "train: {epochs: 3}",
                                         "train: {epochs: 3, seed: 2, batch: 1}",
                                         "train: {epochs: 3, seed: }",
                                         "train: {epochs: 3, seed: 2, schedule: {name: cosine}}"};
    for (size_t i = 0; i < TEST_COUNT(same); i++) {
        assert_int_equal(identity_of(same[i], NULL), id);
    }
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        assert_int_not_equal(identity_of(others[i], NULL), id);
    }
    assert_int_equal(identity_of("train: {epochs: 3, seed: 2}", "train.epochs=99"), id);
    assert_int_not_equal(identity_of("train: {epochs: 3, seed: 2}", "data.header=false"), id);
    /* Where rates depend on the epochs they count. */
    assert_int_not_equal(identity_of("train: {epochs: 3, schedule: cosine}", NULL),
                         identity_of("train: {epochs: 4, schedule: cosine}", NULL));
    assert_int_not_equal(identity_of("train: {epochs: 3, schedule: one_cycle}", NULL),
                         identity_of("train: {epochs: 4, schedule: one_cycle}", NULL));
    assert_int_equal(identity_of("train: {epochs: 3, schedule: step}", NULL),
                     identity_of("train: {epochs: 4, schedule: step}", NULL));
}

/* ---- what is refused ---- */

static const struct {
    const char *text, *message, *hint;
} bad[] = {
    {"model: [flatten]\n", "c.yaml:1:1: data is required", NULL},
    {"data: {format: csv, train: {file: a.csv}, target: y}\n", "c.yaml:1:1: model is required",
     NULL},
    {DATA "trian: {}\n", "c.yaml:3:1: unknown key \"trian\" at the top level",
     "did you mean \"train\"?"},
    {DATA "train: {loss: crossentropy}\n", "train.loss: expected one of sparse_",
     "did you mean \"sparse_categorical_crossentropy\"?"},
    {DATA "train: {loss: BCEWithLogitsLoss}\n", "got \"BCEWithLogitsLoss\"",
     "did you mean \"binary_crossentropy\"?"},
    {DATA "train: {loss: Mse}\n", "got \"Mse\"", NULL},
    {DATA "train: {precision: bf16}\n", "got \"bf16\"", "did you mean \"bfloat16\"?"},
    {DATA "train: {batch_size: 3}\n", "unknown key \"batch_size\" in train",
     "did you mean \"batch\"?"},
    {DATA "train: {learning_rate: 3}\n", "unknown key \"learning_rate\" in train",
     "did you mean \"optimizer\"?"},
    {DATA "train: {optimizer: {name: sgd, lr: 3}}\n", "unknown key \"lr\" in train.optimizer",
     "did you mean \"learning_rate\"?"},
    {DATA "train: {early_stopping: {restore_best_weights: true}}\n", "restore_best_weights",
     "did you mean \"restore_best\"?"},
    {DATA "train: {epoch: 3}\n", "c.yaml:3:9: unknown key \"epoch\" in train",
     "did you mean \"epochs\"?"},
    {DATA "train: 3\n", "c.yaml:3:8: train: expected a map, got \"3\"", NULL},
    {DATA "train:\n  batch: many\n",
     "c.yaml:4:10: train.batch: expected a positive integer up to 65536, got \"many\"", NULL},
    {DATA "train: {batch: 0}\n", "train.batch: expected a positive integer up to 65536, got \"0\"",
     NULL},
    {DATA "train: {batch: 65537}\n", "got \"65537\"", NULL},
    {DATA "train: {epochs: -1}\n", "train.epochs: expected a positive integer", NULL},
    {DATA "train: {seed: 1.5}\n", "train.seed: expected an integer from 0 to", NULL},
    {DATA "train: {loss: crossentropy}\n",
     "train.loss: expected one of sparse_categorical_crossentropy, categorical_crossentropy, "
     "binary_crossentropy, mean_squared_error, got \"crossentropy\"",
     NULL},
    {DATA "train: {precision: float16}\n", "train.precision: expected one of float32, bfloat16",
     NULL},
    {DATA "train: {device: 'cuda:99'}\n", "train.device: \"cuda:99\" is not available: ", NULL},
    {DATA "train: {seed: -1}\n", "expected an integer from 0 to 9007199254740991, got", NULL},
    {DATA "train: {optimizer: adm}\n", "train.optimizer: expected one of sgd, adam, adamw",
     "did you mean \"adam\"?"},
    {DATA "train: {optimizer: {learning_rate: 1}}\n", "train.optimizer.name is required", NULL},
    {DATA "train: {optimizer: {name: adamax}}\n", "train.optimizer.name: expected one of", NULL},
    {DATA "train: {optimizer: [adam]}\n", "train.optimizer: expected one of sgd, adam, adamw",
     NULL},
    {DATA "train: {optimizer: {name: adam, momentum: 0.9}}\n",
     "unknown key \"momentum\" in train.optimizer", NULL},
    {DATA "train: {optimizer: {name: sgd, learning_rate: -1}}\n",
     "train.optimizer.learning_rate: expected a number from 0", NULL},
    {DATA "train: {optimizer: {name: sgd, learning_rate: nan}}\n", "got \"nan\"", NULL},
    {DATA "train: {optimizer: {name: sgd, nesterov: true}}\n",
     "train.optimizer.nesterov: needs momentum above 0", "add momentum: 0.9, or remove nesterov"},
    {DATA "train: {optimizer: {name: sgd, momentum: 1}}\n", "train.optimizer.momentum: expected",
     NULL},
    {DATA "train: {schedule: {name: cosine, gamma: 1}}\n",
     "unknown key \"gamma\" in train.schedule", NULL},
    {DATA "train: {schedule: {name: one_cycle, warmup_steps: 1}}\n",
     "unknown key \"warmup_steps\" in train.schedule", NULL},
    {DATA "train: {schedule: {name: step, step_epochs: 0}}\n",
     "train.schedule.step_epochs: expected a positive integer", NULL},
    {DATA "train: {schedule: {name: constant, warmup_steps: 1, warmup_epochs: 1}}\n",
     "train.schedule: warmup_steps and warmup_epochs are both given", NULL},
    {DATA "train: {epochs: 2, schedule: {name: constant, warmup_epochs: 3}}\n",
     "train.schedule.warmup_epochs: 3 of 2 epochs", NULL},
    {DATA "train: {schedule: {name: cosine, min_learning_rate: 1}}\n",
     "train.schedule.min_learning_rate: 1 is more than the learning_rate 0.01", NULL},
    {DATA "train: {early_stopping: true}\n", "train.early_stopping: expected a map, got \"true\"",
     NULL},
    {DATA "train: {early_stopping: {monitor: val_acc}}\n",
     "train.early_stopping.monitor: expected one of val_loss, val_accuracy, loss, accuracy", NULL},
    {DATA "train: {early_stopping: {restore_best: true}, checkpoint: {best_by: loss}}\n",
     "train.checkpoint.best_by: loss, but early_stopping.restore_best goes by val_loss", NULL},
    {DATA "train: {checkpoint: {every: 0}}\n", "train.checkpoint.every: expected a positive", NULL},
    {"[1, 2]\n", "expected a map", NULL},
    {"", "data is required", NULL},
    {"data: 3\nmodel: []\n", "c.yaml:1", NULL},
};

static void test_mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        struct fnl_train_config *c = NULL;
        struct fnl_error err = FNL_ERROR_INIT;
        assert_true(load(bad[i].text, NULL, &c, &err) != 0);
        if (strstr(err.message, bad[i].message) == NULL) {
            fail_msg("%s\n\"%s\"\nhas no \"%s\"", bad[i].text, err.message, bad[i].message);
        }
        if (bad[i].hint != NULL) {
            assert_string_equal(err.hint, bad[i].hint);
        }
        bool of_device = strstr(bad[i].message, "is not available") != NULL;
        assert_int_equal(fnl_code_status(err.code), of_device ? 4 : 3);
        assert_null(c);
    }
}

static void test_absent_files_and_bad_assignments(void **state)
{
    (void)state;
    struct fnl_train_config *c = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(
        fnl_train_config_load(test_path("absent.yaml"), NULL, NULL, 0, false, &c, &err),
        FNL_E_NOTFOUND);
    assert_int_equal(load(DATA, "train.epochs", &c, &err), FNL_E_CONFIG);
    assert_int_equal(load(DATA, "train.epochs=x", &c, &err), FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "train.epochs: expected a positive integer"));
}

static void test_evaluation_needs_only_data(void **state)
{
    (void)state;
    struct fnl_train_config *c = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    const char *path = write_config("data: {format: csv, train: {file: a.csv}, target: y}\n");
    assert_int_equal(fnl_train_config_load(path, NULL, NULL, 0, true, &c, &err), 0);
    fnl_train_config_free(c);
}

/* ---- differences ---- */

static void expect_difference(const char *a, const char *b, const char *const *ignore,
                              const char *expected)
{
    struct fnl_yaml *x = NULL, *y = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    char path[FNL_CONFIG_PATH];
    assert_int_equal(fnl_yaml_parse("a", a, strlen(a), &x, &err), 0);
    assert_int_equal(fnl_yaml_parse("b", b, strlen(b), &y, &err), 0);
    fnl_train_config_difference(x, y, ignore, path);
    assert_string_equal(path, expected);
    fnl_train_config_difference(y, x, ignore, path);
    assert_string_equal(path, expected);
    fnl_yaml_free(x);
    fnl_yaml_free(y);
}

static void test_the_first_difference_is_named(void **state)
{
    (void)state;
    static const char *const threads[] = {"train.threads", NULL};
    expect_difference("a: 1\nb: [1, {c: 2}]", "b: [1, {c: 2}]\na: 1", NULL, "");
    expect_difference("a: 1", "a: 2", NULL, "a");
    expect_difference("a: {b: [1, {c: 2}]}", "a: {b: [1, {c: 3}]}", NULL, "a.b.1.c");
    expect_difference("a: [1]", "a: [1, 2]", NULL, "a.1");
    expect_difference("a: 1", "a: [1]", NULL, "a");
    expect_difference("a: 1", "{a: 1, b: 2}", NULL, "b");
    expect_difference("train: {threads: 2}", "train: {threads: 3}", threads, "");
    expect_difference("train: {threads: 2}", "train: {}", threads, "");
    expect_difference("{a: 1, train: {threads: 2}}", "a: 1", threads, "");
    expect_difference("{a: 1, train: {threads: 2, seed: 1}}", "a: 1", threads, "train.seed");
}

static void test_the_documentation_names_every_key(void **state)
{
    (void)state;
    struct fnl_buf out;
    fnl_buf_init(&out, 1 << 20);
    assert_int_equal(fnl_train_config_doc(&out), 0);
    static const char *const keys[] = {"`loss`",           "`batch`",
                                       "`epochs`",         "`clip_norm`",
                                       "`early_stopping`", "`momentum`",
                                       "`beta_1`",         "`pct_start`",
                                       "`gamma`",          "`restore_best`",
                                       "`best_by`",        "`every`",
                                       "`patience`",       "`validation_split`",
                                       "`precision`",      "`threads`",
                                       "`warmup_steps`"};
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        if (strstr(out.data, keys[i]) == NULL) {
            fail_msg("docs/config.md has no %s", keys[i]);
        }
    }
    fnl_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_stand_without_a_train_section),
        cmocka_unit_test(test_optimizers_have_their_own_defaults),
        cmocka_unit_test(test_schedules_are_read),
        cmocka_unit_test(test_assignments_win_and_make_maps),
        cmocka_unit_test(test_assignments_reach_into_short_forms),
        cmocka_unit_test(test_early_stopping_leads_the_best_checkpoint),
        cmocka_unit_test(test_keras_other_names_are_taken),
        cmocka_unit_test(test_an_identity_is_that_of_the_meaning),
        cmocka_unit_test(test_mistakes_are_named_with_their_place),
        cmocka_unit_test(test_absent_files_and_bad_assignments),
        cmocka_unit_test(test_evaluation_needs_only_data),
        cmocka_unit_test(test_the_first_difference_is_named),
        cmocka_unit_test(test_the_documentation_names_every_key),
    };
    return cmocka_run_group_tests(tests, test_dir_make, test_dir_remove);
}
