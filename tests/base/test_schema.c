/* Configuration by table: values, defaults, each kind of error; and reading under failed
 * allocations. */
#include "test.h"

#include <math.h>

#include "base/mem.h"
#include "base/schema.h"

struct config {
    int64_t batch;
    double rate;
    bool shuffle;
    const char *name;
    int optimizer;
    struct fnl_ints kernel;
    struct fnl_floats mean;
    struct fnl_strings labels;
    struct fnl_yaml_node *model;
    int64_t free;
    double below;
};

static const char *const optimizers[] = {"sgd", "adam", "adamw", NULL};

#define AT(member) offsetof(struct config, member)
static const struct fnl_field fields[] = {
    {"batch", FNL_FIELD_INT, AT(batch), false, "64", 1, 65536, NULL, "Images a step."},
    {"learning_rate", FNL_FIELD_FLOAT, AT(rate), false, "0.01", 0, 10, NULL, "Step size."},
    {"shuffle", FNL_FIELD_BOOL, AT(shuffle), false, "true", 0, 0, NULL, "New order each epoch."},
    {"name", FNL_FIELD_STRING, AT(name), false, "run", 0, 0, NULL, "Name of the run."},
    {"optimizer", FNL_FIELD_ENUM, AT(optimizer), false, "adam", 0, 0, optimizers, "Update rule."},
    {"kernel", FNL_FIELD_INTS, AT(kernel), false, "[3, 3]", 1, 0, NULL, "Size | shape."},
    {"mean", FNL_FIELD_FLOATS, AT(mean), false, NULL, 0, 0, NULL, "Mean per channel."},
    {"labels", FNL_FIELD_STRINGS, AT(labels), false, NULL, 0, 0, NULL, "Names of the classes."},
    {"model", FNL_FIELD_NODE, AT(model), false, NULL, 0, 0, NULL, "Layers."},
    {"free", FNL_FIELD_INT, AT(free), false, "-1", 0, 0, NULL, "Any integer."},
    {"below", FNL_FIELD_FLOAT, AT(below), false, NULL, -INFINITY, 5, NULL, "At most 5."},
    {NULL, FNL_FIELD_INT, 0, false, NULL, 0, 0, NULL, NULL},
};

struct read {
    struct fnl_yaml *doc;
    struct fnl_arena arena;
    struct config config;
    struct fnl_error err;
    int rc;
};

/* Reads the map under "train" of text. */
static void read_train(struct read *r, const char *text)
{
    memset(r, 0, sizeof *r);
    memset(&r->config, 0xA5, sizeof r->config); /* what is not set must be written too */
    fnl_arena_init(&r->arena, 1 << 20);
    if (fnl_yaml_parse("config.yaml", text, strlen(text), &r->doc, &r->err) != 0) {
        fail_msg("%s", r->err.message);
    }
    r->rc = fnl_schema_read(r->doc, fnl_yaml_get(fnl_yaml_root(r->doc), "train"), "train", fields,
                            &r->arena, &r->config, &r->err);
}

static void read_free(struct read *r)
{
    fnl_arena_free(&r->arena);
    fnl_yaml_free(r->doc);
}

static void values_are_read_by_kind(void **state)
{
    (void)state;
    struct read r;
    read_train(&r, "train:\n  batch: 128\n  learning_rate: 1e-3\n  shuffle: false\n  name: 12\n"
                   "  optimizer: sgd\n  kernel: 5\n  mean: [0.5, .25, 1]\n  labels: [a, \"b\"]\n"
                   "  model: [flatten]\n  free: -9223372036854775808\n  below: -1e300\n");
    if (r.rc != 0) {
        fail_msg("%s", r.err.message);
    }
    assert_int_equal(r.config.batch, 128);
    assert_true(r.config.rate == 1e-3);
    assert_false(r.config.shuffle);
    assert_string_equal(r.config.name, "12");
    assert_int_equal(r.config.optimizer, 0);
    assert_int_equal(r.config.kernel.count, 1);
    assert_int_equal(r.config.kernel.value[0], 5);
    assert_int_equal(r.config.mean.count, 3);
    assert_true(r.config.mean.value[1] == 0.25);
    assert_int_equal(r.config.labels.count, 2);
    assert_string_equal(r.config.labels.value[1], "b");
    assert_int_equal(r.config.model->count, 1);
    assert_true(r.config.free == INT64_MIN);
    assert_true(r.config.below == -1e300);
    read_free(&r);
}

static void is_all_defaults(const struct read *r)
{
    assert_int_equal(r->rc, 0);
    assert_int_equal(r->config.batch, 64);
    assert_true(r->config.rate == 0.01);
    assert_true(r->config.shuffle);
    assert_string_equal(r->config.name, "run");
    assert_int_equal(r->config.optimizer, 1);
    assert_int_equal(r->config.kernel.count, 2);
    assert_int_equal(r->config.kernel.value[1], 3);
    assert_int_equal(r->config.mean.count, 0);
    assert_int_equal(r->config.labels.count, 0);
    assert_null(r->config.model);
    assert_int_equal(r->config.free, -1);
    assert_true(r->config.below == 0);
}

static void what_is_not_given_gets_its_default(void **state)
{
    (void)state;
    const char *texts[] = {"", "train:\n", "train: {}\n", "train: ~\n",
                           "train:\n  batch:\n  name: null\n  model:\n"};
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        struct read r;
        read_train(&r, texts[i]);
        is_all_defaults(&r);
        read_free(&r);
    }
}

static void errors_name_place_key_range_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message, *hint;
    } bad[] = {
        {"train:\n  batch: many\n",
         "config.yaml:2:10: train.batch: expected a positive integer up to 65536, got \"many\"",
         ""},
        {"train:\n  batch: 0\n", "config.yaml:2:10: train.batch: expected a positive integer", ""},
        {"train:\n  batch: 65537\n", "config.yaml:2:10: train.batch: expected a positive", ""},
        {"train:\n  batch: 1e3\n", "config.yaml:2:10: train.batch: expected a positive", ""},
        {"train:\n  batch: 1k\n", "config.yaml:2:10: train.batch: expected a positive", ""},
        {"train:\n  batch: 010\n", "config.yaml:2:10: train.batch: expected a positive", ""},
        {"train:\n  batch: 99999999999999999999\n", "config.yaml:2:10: train.batch: exp", ""},
        {"train:\n  batch: \"64\"\n", "config.yaml:2:10: train.batch: expected a positive",
         "remove the quotes"},
        {"train:\n  batch: [1]\n",
         "config.yaml:2:10: train.batch: expected a positive integer up to 65536, got a list of 1 "
         "entry",
         ""},
        {"train:\n  learning_rate: fast\n",
         "config.yaml:2:18: train.learning_rate: expected a number from 0 to 10, got \"fast\"", ""},
        {"train:\n  learning_rate: -1\n", "config.yaml:2:18: train.learning_rate: expected", ""},
        {"train:\n  learning_rate: .nan\n", "config.yaml:2:18: train.learning_rate: expected", ""},
        {"train:\n  learning_rate: inf\n", "config.yaml:2:18: train.learning_rate: expected", ""},
        {"train:\n  learning_rate: 1e999\n", "config.yaml:2:18: train.learning_rate: expec", ""},
        {"train:\n  learning_rate: 0x1\n", "config.yaml:2:18: train.learning_rate: expected", ""},
        {"train:\n  shuffle: yes\n",
         "config.yaml:2:12: train.shuffle: expected true or false, got \"yes\"", ""},
        {"train:\n  name: {a: 1, b: 2}\n",
         "config.yaml:2:9: train.name: expected a text, got a map of 2 entries", ""},
        {"train:\n  optimizer: adm\n",
         "config.yaml:2:14: train.optimizer: expected one of sgd, adam, adamw, got \"adm\"",
         "did you mean \"adam\"?"},
        {"train:\n  optimizer: rmsprop\n", "config.yaml:2:14: train.optimizer: expected one", ""},
        {"train:\n  optimizer: [adam]\n", "config.yaml:2:14: train.optimizer: expected one", ""},
        {"train:\n  kernel: [1, 2, x]\n",
         "config.yaml:2:18: train.kernel: expected a positive integer, got \"x\"", ""},
        {"train:\n  kernel: [1,1,1,1,1,1,1,1,1]\n",
         "config.yaml:2:11: train.kernel: expected a positive integer or a list of 1 to 8 of them, "
         "got a list of 9 entries",
         ""},
        {"train:\n  kernel: []\n", "config.yaml:2:11: train.kernel: expected a positive", ""},
        {"train:\n  mean: [1, [2]]\n", "config.yaml:2:13: train.mean: expected a number, got", ""},
        {"train:\n  labels: {a: 1}\n", "config.yaml:2:11: train.labels: expected a text or a", ""},
        {"train:\n  below: 6\n",
         "config.yaml:2:10: train.below: expected a number of at most 5, got \"6\"", ""},
        {"train:\n  optimzer: adam\n", "config.yaml:2:3: unknown key \"optimzer\" in train",
         "did you mean \"optimizer\"?"},
        {"train:\n  bacth: 1\n", "config.yaml:2:3: unknown key \"bacth\" in train",
         "did you mean \"batch\"?"},
        {"train:\n  zzzzzz: 1\n", "config.yaml:2:3: unknown key \"zzzzzz\" in train",
         "known keys: batch, learning_rate, shuffle, name, optimizer, kernel, mean, labels, model, "
         "free, below"},
        {"train: 5\n", "config.yaml:1:8: train: expected a map, got \"5\"",
         "write keys and values: name: value"},
        {"train: [1]\n", "config.yaml:1:8: train: expected a map, got a list of 1 entry",
         "write keys and values: name: value"},
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        struct read r;
        read_train(&r, bad[i].text);
        assert_int_equal(r.rc, FNL_E_CONFIG);
        if (strncmp(r.err.message, bad[i].message, strlen(bad[i].message)) != 0 ||
            strcmp(r.err.hint, bad[i].hint) != 0) {
            fail_msg("got: %s (%s)\nwant: %s (%s)", r.err.message, r.err.hint, bad[i].message,
                     bad[i].hint);
        }
        read_free(&r);
    }
}

static void long_values_are_cut_in_messages(void **state)
{
    (void)state;
    struct read r;
    char text[2000] = "train:\n  batch: ";
    memset(text + 16, 'x', 1900);
    read_train(&r, text);
    assert_int_equal(r.rc, FNL_E_CONFIG);
    assert_non_null(strstr(r.err.message, "xxx...\""));
    assert_true(strlen(r.err.message) < 200);
    read_free(&r);
}

static void values_from_set_are_named_so(void **state)
{
    (void)state;
    struct read r;
    read_train(&r, "train: {}\n");
    assert_int_equal(fnl_yaml_set(r.doc, "train.batch=no", NULL), 0);
    r.rc = fnl_schema_read(r.doc, fnl_yaml_get(fnl_yaml_root(r.doc), "train"), "train", fields,
                           &r.arena, &r.config, &r.err);
    assert_int_equal(r.rc, FNL_E_CONFIG);
    assert_string_equal(r.err.message,
                        "--set: train.batch: expected a positive integer up to 65536, got \"no\"");
    read_free(&r);
}

static void required_fields_are_missed(void **state)
{
    (void)state;
    static const struct fnl_field one[] = {
        {"loss", FNL_FIELD_INT, 0, true, NULL, 0, 0, NULL, "What is made small."},
        {NULL, FNL_FIELD_INT, 0, false, NULL, 0, 0, NULL, NULL},
    };
    int64_t loss = 0;
    struct fnl_error err = FNL_ERROR_INIT;
    struct read r;
    read_train(&r, "train: {}\n");
    const struct fnl_yaml_node *train = fnl_yaml_get(fnl_yaml_root(r.doc), "train");
    assert_int_equal(fnl_schema_read(r.doc, train, "train", one, &r.arena, &loss, &err),
                     FNL_E_CONFIG);
    assert_string_equal(err.message, "config.yaml:1:8: train.loss is required");
    assert_string_equal(err.hint, "add \"loss: ...\": What is made small.");
    assert_int_equal(fnl_schema_read(r.doc, NULL, "", one, &r.arena, &loss, &err), FNL_E_CONFIG);
    assert_string_equal(err.message, "config.yaml: loss is required");
    read_free(&r);
}

static void a_table_becomes_markdown(void **state)
{
    (void)state;
    struct fnl_buf out;
    fnl_buf_init(&out, 10000);
    assert_int_equal(fnl_schema_print(fields, &out), 0);
    const char *lines[] = {
        "| Key | Value | Default | Meaning |\n|---|---|---|---|\n",
        "| `batch` | integer, 1 to 65536 | `64` | Images a step. |\n",
        "| `optimizer` | one of `sgd`, `adam`, `adamw` | `adam` | Update rule. |\n",
        "| `kernel` | integer or list of integers, at least 1 | `[3, 3]` | Size \\| shape. |\n",
        "| `below` | number, at most 5 |  | At most 5. |\n",
    };
    for (size_t i = 0; i < TEST_COUNT(lines); i++) {
        if (strstr(out.data, lines[i]) == NULL) {
            fail_msg("no line: %s", lines[i]);
        }
    }
    fnl_buf_free(&out);
}

static void near_names_are_found_and_far_ones_are_not(void **state)
{
    (void)state;
    static const char *const names[] = {"batch", "epochs", "learning_rate", "lr", "a", NULL};
    static const struct {
        const char *name, *near;
    } cases[] = {
        {"bacth", "batch"},  {"Batch", "batch"},
        {"epoch", "epochs"}, {"learnig_rate", "learning_rate"},
        {"lrs", "lr"},       {"leraning_rat", "learning_rate"},
        {"b", NULL},         {"", NULL},
        {"something", NULL}, {"A", "a"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const char *near = fnl_nearest_name(cases[i].name, names);
        if (cases[i].near == NULL) {
            assert_null(near);
        } else {
            assert_non_null(near);
            assert_string_equal(near, cases[i].near);
        }
    }
    char longest[1000];
    memset(longest, 'b', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_null(fnl_nearest_name(longest, names));
}

/* Parse, set, read, print; one allocation in turn fails. Leaks show under AddressSanitizer. */
static void reading_survives_each_failed_allocation(void **state)
{
    (void)state;
    const char *text = "train:\n  name: \"a b\"\n  mean: [1, 2, 3, 4, 5]\n  labels: [x, y, z]\n"
                       "  model:\n    - dense: {units: 3}\n    - a\n    - b\n    - c\n    - d\n";
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fnl_yaml *doc = NULL;
        struct fnl_arena arena;
        struct fnl_buf out;
        struct config config;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_arena_init(&arena, 1 << 20);
        fnl_buf_init(&out, 1 << 20);
        fnl_mem_fail_at(n);
        int rc = fnl_yaml_parse("c", text, strlen(text), &doc, &err);
        if (rc == 0) {
            rc = fnl_yaml_set(doc, "train.model.0.units=4", &err);
        }
        if (rc == 0) {
            rc = fnl_yaml_set(doc, "other.new=[1]", &err);
        }
        if (rc == 0) {
            rc = fnl_schema_read(doc, fnl_yaml_get(fnl_yaml_root(doc), "train"), "train", fields,
                                 &arena, &config, &err);
        }
        if (rc == 0) {
            rc = fnl_yaml_print(doc, &out);
        }
        fnl_mem_fail_at(0);
        fnl_buf_free(&out);
        fnl_arena_free(&arena);
        fnl_yaml_free(doc);
        if (rc == 0) {
            break;
        }
        assert_int_equal(rc, FNL_E_NOMEM);
        failures++;
    }
    assert_true(failures > 10); /* over 60 where each arena item is a malloc */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_by_kind),
        cmocka_unit_test(what_is_not_given_gets_its_default),
        cmocka_unit_test(errors_name_place_key_range_and_remedy),
        cmocka_unit_test(long_values_are_cut_in_messages),
        cmocka_unit_test(values_from_set_are_named_so),
        cmocka_unit_test(required_fields_are_missed),
        cmocka_unit_test(a_table_becomes_markdown),
        cmocka_unit_test(near_names_are_found_and_far_ones_are_not),
        cmocka_unit_test(reading_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
