/* YAML trees: what is read, what is refused and how, --set, printing. */
#include "test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/yaml.h"

static struct fnl_yaml *parse(const char *text)
{
    struct fnl_yaml *doc = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_yaml_parse("c.yaml", text, strlen(text), &doc, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return doc;
}

static void refused(const char *text, size_t size, const char *message)
{
    struct fnl_yaml *doc = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = fnl_yaml_parse("c.yaml", text, size, &doc, &err);
    if (rc == 0) {
        fail_msg("accepted: %.60s", text);
    }
    assert_null(doc);
    if (strncmp(err.message, message, strlen(message)) != 0) {
        fail_msg("got: %s\nwant: %s", err.message, message);
    }
    assert_true(err.hint[0] != 0);
}

static void a_tree_knows_kinds_places_and_quotes(void **state)
{
    (void)state;
    struct fnl_yaml *doc = parse("# comment\n"
                                 "train:\n"
                                 "  batch: 64\n"
                                 "  name: \"64\"\n"
                                 "model:\n"
                                 "  - flatten\n"
                                 "  - dense: {units: 10}\n");
    const struct fnl_yaml_node *root = fnl_yaml_root(doc);
    assert_int_equal(root->kind, FNL_YAML_MAP);
    assert_int_equal(root->count, 2);
    assert_string_equal(fnl_yaml_name(doc), "c.yaml");
    const struct fnl_yaml_node *batch = fnl_yaml_get(fnl_yaml_get(root, "train"), "batch");
    assert_string_equal(batch->scalar, "64");
    assert_false(batch->quoted);
    assert_int_equal(batch->line, 3);
    assert_int_equal(batch->column, 10);
    assert_true(fnl_yaml_get(fnl_yaml_get(root, "train"), "name")->quoted);
    const struct fnl_yaml_node *model = fnl_yaml_get(root, "model");
    assert_int_equal(model->kind, FNL_YAML_SEQUENCE);
    assert_int_equal(model->count, 2);
    assert_string_equal(model->item[0]->scalar, "flatten");
    assert_ptr_equal(model->item[1]->parent, model);
    assert_string_equal(model->item[1]->key[0]->scalar, "dense");
    assert_null(fnl_yaml_get(root, "absent"));
    assert_null(fnl_yaml_get(model, "dense"));
    assert_null(fnl_yaml_get(NULL, "x"));
    fnl_yaml_free(doc);
    fnl_yaml_free(NULL);
}

static void empty_documents_are_empty_maps(void **state)
{
    (void)state;
    const char *texts[] = {"", "# only a comment\n", "---\n", "---\n...\n", "\xEF\xBB\xBF", "null"};
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        struct fnl_yaml *doc = parse(texts[i]);
        assert_int_equal(fnl_yaml_root(doc)->kind, FNL_YAML_MAP);
        assert_int_equal(fnl_yaml_root(doc)->count, 0);
        fnl_yaml_free(doc);
    }
}

static void null_is_only_plain(void **state)
{
    (void)state;
    struct fnl_yaml *doc = parse("a:\nb: ~\nc: null\nd: \"\"\ne: 'null'\nf: nil\n");
    const bool want[] = {true, true, true, false, false, false};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(fnl_yaml_is_null(fnl_yaml_root(doc)->item[i]), want[i]);
    }
    fnl_yaml_free(doc);
}

static void what_costs_more_than_it_gives_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"a: &x 1\n", "c.yaml:1:4: anchors (&name)"},
        {"a: &x [1]\n", "c.yaml:1:4: anchors (&name)"},
        {"a: &x {b: 1}\n", "c.yaml:1:4: anchors (&name)"},
        {"a: 1\nb: *x\n", "c.yaml:2:4: aliases (*name)"},
        {"*x : 1\n", "c.yaml:1:1: aliases (*name)"},
        {"a: !!str 1\n", "c.yaml:1:4: tags (!name)"},
        {"a: !mine {}\n", "c.yaml:1:4: tags (!name)"},
        {"a:\n  <<: {b: 1}\n", "c.yaml:2:3: merge keys"},
        {"a: 1\nb: 2\na: 3\n", "c.yaml:3:1: duplicate key \"a\" (first given at line 1)"},
        {"x: {a: 1, b: 2, a: 3}\n", "c.yaml:1:17: duplicate key \"a\" (first given at line 1)"},
        {"a: 1\n---\nb: 2\n", "c.yaml:2:1: a second document"},
        {"? [a]\n: 1\n", "c.yaml:1:3: a list or map cannot be a key"},
        {"{a: 1}: 2\n", "c.yaml:1:1: a list or map cannot be a key"},
        {": 1\n", "c.yaml:1:1: did not find expected key"},
        {"?\n: 1\n", "c.yaml:1:2: a key is missing"},
        {"\"\": 1\n", "c.yaml:1:1: a key is missing"},
        {"a: \"x\\0y\"\n", "c.yaml:1:4: a text holds a zero byte"},
        {"a:\n\tb: 1\n", "c.yaml:2:1: a tab in the indentation"},
        {"a:\n  b: 1\n  \tc: 2\n", "c.yaml:3:"},
        {"a: [1, 2\nb: 3\n", "c.yaml:2:"},
        {"a: \"open\n", "c.yaml:2:1: found unexpected end of stream"},
        {"a: b: c\n", "c.yaml:1:5: mapping values are not allowed"},
        {"a: 1\n b: 2\n", "c.yaml:2:3: mapping values are not allowed"},
        {"- a\nb: 1\n", "c.yaml:2:1: did not find expected '-' indicator"},
        {"a: @x\n", "c.yaml:1:4: found character that cannot start any token"},
        {"%YAML 3.0\n---\na: 1\n", "c.yaml:1:1: found incompatible YAML document"},
        {"ok: 1\nbad: \"\xFF\"\n", "c.yaml:2:7: not UTF-8 text"},
        {"\xC3\xA4: \xC3\n", "c.yaml:1:5: not UTF-8 text: invalid trailing"},
        {"a: \x01\n", "c.yaml:1:4: not UTF-8 text: control characters"},
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        refused(bad[i].text, strlen(bad[i].text), bad[i].message);
    }
    refused("a: x\0y\n", 7, "c.yaml:1:5: not UTF-8 text");
}

static char *repeat(const char *part, size_t count)
{
    size_t n = strlen(part);
    char *text = fnl_malloc(n * count + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * n, part, n);
    }
    text[n * count] = 0;
    return text;
}

static void hostile_sizes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        size_t count;
        const char *message;
    } bad[] = {
        {"[", 100000, "c.yaml:1:65: nested deeper than 64 levels"},
        {"{a: ", 100000, "c.yaml:1:257: nested deeper than 64 levels"},
        {"- ", 100000, "c.yaml:1:129: nested deeper than 64 levels"},
        {"? ", 100000, "c.yaml:1:3: a list or map cannot be a key"},
        {"- a\n", 300000, "c.yaml:200000:3: more than 200000 values"},
        {"x", (size_t)10 << 20, "c.yaml: a YAML text of 10485760 bytes"},
        {"\n", ((size_t)4 << 20) + 1, "c.yaml: a YAML text of 4194305 bytes"},
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        char *text = repeat(bad[i].part, bad[i].count);
        refused(text, strlen(text), bad[i].message);
        fnl_free(text);
    }
    char *key = repeat("k", 201), *text = fnl_malloc(300);
    (void)snprintf(text, 300, "%s: 1", key);
    refused(text, strlen(text), "c.yaml:1:1: a key of 201 bytes");
    fnl_free(key);
    fnl_free(text);
}

static void the_largest_line_and_deepest_nest_allowed_are_read(void **state)
{
    (void)state;
    char *text = repeat("x", FNL_MAX_YAML_BYTES);
    struct fnl_yaml *doc = NULL;
    assert_int_equal(fnl_yaml_parse("c", text, FNL_MAX_YAML_BYTES, &doc, NULL), 0);
    assert_int_equal(strlen(fnl_yaml_root(doc)->scalar), FNL_MAX_YAML_BYTES);
    fnl_yaml_free(doc);
    fnl_free(text);
    char nest[FNL_MAX_YAML_DEPTH * 2 + 1];
    memset(nest, '[', FNL_MAX_YAML_DEPTH);
    memset(nest + FNL_MAX_YAML_DEPTH, ']', FNL_MAX_YAML_DEPTH);
    nest[sizeof nest - 1] = 0;
    fnl_yaml_free(parse(nest));
}

static void many_keys_are_checked_for_duplicates_fast(void **state)
{
    (void)state;
    struct fnl_buf b;
    fnl_buf_init(&b, FNL_MAX_YAML_BYTES);
    for (int i = 0; i < 90000; i++) {
        (void)fnl_buf_printf(&b, "k%d: 1\n", i);
    }
    struct fnl_yaml *doc = parse(b.data);
    assert_int_equal(fnl_yaml_root(doc)->count, 90000);
    fnl_yaml_free(doc);
    (void)fnl_buf_puts(&b, "k500: 2\n");
    refused(b.data, b.size, "c.yaml:90001:1: duplicate key \"k500\" (first given at line 501)");
    fnl_buf_free(&b);
}

static const char *print(const struct fnl_yaml *doc, struct fnl_buf *out)
{
    fnl_buf_init(out, FNL_MAX_YAML_BYTES * 4);
    assert_int_equal(fnl_yaml_print(doc, out), 0);
    return out->data;
}

static void set_is(const char *text, const char *assignment, const char *want)
{
    struct fnl_yaml *doc = parse(text);
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_yaml_set(doc, assignment, &err) != 0) {
        fail_msg("%s", err.message);
    }
    struct fnl_buf out;
    assert_string_equal(print(doc, &out), want);
    fnl_buf_free(&out);
    fnl_yaml_free(doc);
}

static void set_replaces_makes_and_walks_lists(void **state)
{
    (void)state;
    set_is("a:\n  b: 1\n", "a.b=2", "a:\n  b: 2\n");
    set_is("", "train.optimizer.name=adam", "train:\n  optimizer:\n    name: adam\n");
    set_is("train:\n", "train.batch=8", "train:\n  batch: 8\n");
    set_is("a: 1\n", "b=[1, 2]", "a: 1\nb:\n  - 1\n  - 2\n");
    set_is("a: 1\n", "a={x: \"1\"}", "a:\n  x: \"1\"\n");
    set_is("a: 1\n", "a=", "a:\n");
    set_is("a: 1\n", "a=\"b=c\"", "a: \"b=c\"\n");
    set_is("m:\n  - flatten\n  - 7\n", "m.1=8", "m:\n  - flatten\n  - 8\n");
    set_is("m:\n  - dense: {units: 1}\n", "m.0.units=64", "m:\n  - dense:\n      units: 64\n");
    set_is("m:\n  - dense: {units: 1}\n", "m.0.dense.units=9", "m:\n  - dense:\n      units: 9\n");
    set_is("m:\n  - {a: 1}\n", "m.0.b=2", "m:\n  - a: 1\n    b: 2\n");
}

static const char *main_key(const char *key)
{
    return strcmp(key, "dropout") == 0     ? "rate"
           : strcmp(key, "optimizer") == 0 ? "name"
           : strcmp(key, "branch") == 0    ? "layers"
                                           : NULL;
}

static bool is_name(const char *item)
{
    return main_key(item) != NULL || strcmp(item, "norm") == 0;
}

static void short_is(const char *text, const char *assignment, const char *want)
{
    static const struct fnl_yaml_short table = {main_key, is_name};
    struct fnl_yaml *doc = parse(text);
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = fnl_yaml_set_short(doc, &table, assignment, &err);
    if (rc != 0) {
        assert_string_equal(err.message, want);
    } else {
        struct fnl_buf out;
        assert_string_equal(print(doc, &out), want);
        fnl_buf_free(&out);
    }
    fnl_yaml_free(doc);
}

static void set_writes_short_forms_out(void **state)
{
    (void)state;
    short_is("m:\n  - dropout: 0.2\n", "m.0.rate=0.5", "m:\n  - dropout:\n      rate: 0.5\n");
    short_is("m:\n  - dropout: 0.2\n", "m.0.dropout.rate=1", "m:\n  - dropout:\n      rate: 1\n");
    short_is("m:\n  - dropout: 0.2\n", "m.0.dropout=1", "m:\n  - dropout: 1\n");
    short_is("m:\n  - dropout: 0.2\n", "m.0.seed=1",
             "m:\n  - dropout:\n      rate: 0.2\n      seed: 1\n");
    short_is("m: [norm]\n", "m.0.momentum=1", "m:\n  - norm:\n      momentum: 1\n");
    short_is("m: [norm]\n", "m.0.norm.momentum=1", "m:\n  - norm:\n      momentum: 1\n");
    short_is("m:\n  - norm:\n", "m.0.momentum=1", "m:\n  - norm:\n      momentum: 1\n");
    short_is("m:\n  - dropout:\n", "m.0.rate=1", "m:\n  - dropout:\n      rate: 1\n");
    short_is("t: {optimizer: adam}\n", "t.optimizer.beta=1",
             "t:\n  optimizer:\n    name: adam\n    beta: 1\n");
    short_is("m:\n  - branch: [norm]\n", "m.0.activation=x",
             "m:\n  - branch:\n      layers:\n        - norm\n      activation: x\n");
    short_is("m:\n  - branch: [{dropout: 1}]\n", "m.0.branch.0.rate=2",
             "m:\n  - branch:\n      - dropout:\n          rate: 2\n");
    short_is("m:\n  - branch: [{dropout: 1}]\n", "m.0.layers.0.rate=2",
             "m:\n  - branch:\n      layers:\n        - dropout:\n            rate: 2\n");
    /* What has no short form is as before. */
    short_is("m: [other]\n", "m.0.a=1",
             "--set m.0.a=1: \"m.0\" is a single value: it has no \"a\" inside");
    short_is("a: 1\n", "a.b=1", "--set a.b=1: \"a\" is a single value: it has no \"b\" inside");
}

static void set_fails(const char *text, const char *assignment, const char *part)
{
    struct fnl_yaml *doc = parse(text);
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_yaml_set(doc, assignment, &err), FNL_E_CONFIG);
    if (strstr(err.message, part) == NULL || strncmp(err.message, "--set ", 6) != 0) {
        fail_msg("got: %s\nwant: %s", err.message, part);
    }
    fnl_yaml_free(doc);
}

static void bad_assignments_are_refused(void **state)
{
    (void)state;
    set_fails("a: 1\n", "a", "no \"=\" in it");
    set_fails("a: 1\n", "=1", "a part of the path is empty");
    set_fails("a: 1\n", "a..b=1", "a part of the path is empty");
    set_fails("a: 1\n", "a.=1", "a part of the path is empty");
    set_fails("a: 1\n", "a.b=1", "\"a\" is a single value: it has no \"b\" inside");
    set_fails("m: [1, 2]\n", "m.2=1", "\"2\" is not an item of the list \"m\"");
    set_fails("m: [1, 2]\n", "m.-1=1", "is not an item");
    set_fails("m: [1, 2]\n", "m.x=1", "is not an item");
    set_fails("a: 1\n", "a.\xD8=1", "cannot be a key");
    set_fails("a: 1\n", "<<=1", "cannot be a key");
    set_fails("a: 1\n", "a=[1", "expected");
    set_fails("a: 1\n", "a=*x", "aliases");
    set_fails("a: 1\n", "a={b: 1, b: 2}", "duplicate key \"b\"");
    char *path = repeat("a.", 40);
    path[79] = '=';
    set_fails("", path, "too deep");
    fnl_free(path);
}

static void set_cannot_nest_beyond_the_limit(void **state)
{
    (void)state;
    struct fnl_yaml *doc = parse("");
    char text[256] = "a.b.c.d=";
    memset(text + 8, '[', 100);
    assert_int_equal(fnl_yaml_set(doc, text, NULL), FNL_E_CONFIG);
    fnl_yaml_free(doc);
}

/* Same kinds, texts and keys; quoting may only be added. */
static void same(const struct fnl_yaml_node *a, const struct fnl_yaml_node *b)
{
    assert_int_equal(a->kind, b->kind);
    if (a->kind == FNL_YAML_SCALAR) {
        assert_string_equal(a->scalar, b->scalar);
        assert_true(b->quoted || !a->quoted);
        return;
    }
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == FNL_YAML_MAP) {
            same(a->key[i], b->key[i]);
        }
        same(a->item[i], b->item[i]);
    }
}

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    const char *texts[] = {
        "a: 1\nb: [1, [2, 3], {c: 4, d: []}, {}]\n",
        "- - - a\n    - b\n  - c\n- d: e\n  f:\n    - g\n    - h: i\n",
        "t: \"64\"\nu: 'yes'\nv: \"\"\nw:\nx: ~\ny: \"null\"\n",
        "s: \"tab\\t newline\\n quote\\\" back\\\\ bell\\a nel\\x85 ls\\u2028 bom\\uFEFF e\\e\"\n",
        "s: \" lead\"\nt: \"trail \"\nu: \"# hash\"\nv: \"a: b\"\nw: \"- x\"\nx: \"[\"\n",
        "lit: |\n  line 1\n    line 2\n\nfold: >\n  some\n  text\n\n  more\n",
        "plain: some words\n  over two lines\n\n  and a third\n",
        "a b: c d\nurl: http://x/y#z\ntime: 12:30\nneg: -5\nq: ?x\ncol: :x\n",
        "\xC3\xA4\xE2\x82\xAC: \xF0\x9F\x8D\x9E\n",
        "\"quoted key\": 1\n\"a: b\": 2\n\"<<\": 3\n\"a\\tb\": 4\n",
        "single\n",
        "\"a\\U0001F35E\\u00A0\"\n",
        "[]",
        "{}",
        "- \n- \n- \"\"\n",
        "a: ...x\nb: ---x\nc: x---\n",
        "x: {? a : b, c: , d}\n",
        "\"\\x01\\x02\\x03\\x7f\": \"\\x7f\"\n",
    };
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        struct fnl_yaml *doc = parse(texts[i]);
        struct fnl_buf out, again;
        struct fnl_yaml *second = parse(print(doc, &out));
        same(fnl_yaml_root(doc), fnl_yaml_root(second));
        assert_string_equal(print(second, &again), out.data);
        fnl_buf_free(&out);
        fnl_buf_free(&again);
        fnl_yaml_free(doc);
        fnl_yaml_free(second);
    }
}

static void the_longest_key_of_escapes_can_be_printed(void **state)
{
    (void)state;
    char text[FNL_MAX_YAML_KEY_BYTES * 4 + 16], *p = text;
    *p++ = '"';
    for (int i = 0; i < FNL_MAX_YAML_KEY_BYTES; i++) {
        memcpy(p, "\\x01", 4);
        p += 4;
    }
    memcpy(p, "\": 1", 5);
    struct fnl_yaml *doc = parse(text);
    struct fnl_buf out;
    struct fnl_yaml *second = parse(print(doc, &out));
    same(fnl_yaml_root(doc), fnl_yaml_root(second));
    fnl_buf_free(&out);
    fnl_yaml_free(doc);
    fnl_yaml_free(second);
}

static void printing_into_a_small_buffer_fails_cleanly(void **state)
{
    (void)state;
    struct fnl_yaml *doc = parse("a: [1, 2, 3]\n");
    struct fnl_buf out;
    fnl_buf_init(&out, 8);
    assert_int_equal(fnl_yaml_print(doc, &out), FNL_E_LIMIT);
    fnl_buf_free(&out);
    fnl_yaml_free(doc);
}

static void errors_name_where_a_value_came_from(void **state)
{
    (void)state;
    struct fnl_yaml *doc = parse("a:\n  b: 1\n");
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_yaml_set(doc, "a.c=x", &err), 0);
    const struct fnl_yaml_node *a = fnl_yaml_get(fnl_yaml_root(doc), "a");
    assert_int_equal(fnl_yaml_fail(doc, fnl_yaml_get(a, "b"), "h", &err, "bad %d", 1),
                     FNL_E_CONFIG);
    assert_string_equal(err.message, "c.yaml:2:6: bad 1");
    assert_string_equal(err.hint, "h");
    (void)fnl_yaml_fail(doc, fnl_yaml_get(a, "c"), NULL, &err, "bad");
    assert_string_equal(err.message, "--set: bad");
    (void)fnl_yaml_fail(doc, NULL, NULL, &err, "bad");
    assert_string_equal(err.message, "c.yaml: bad");
    fnl_yaml_free(doc);
}

static void files_are_loaded_by_name(void **state)
{
    (void)state;
    const char *path = test_path("c.yaml");
    test_write(path, "a: 1\nb: [\n", 10);
    struct fnl_yaml *doc = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_yaml_load(path, &doc, &err), FNL_E_CONFIG);
    assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
    test_write(path, "a: 1\n", 5);
    assert_int_equal(fnl_yaml_load(path, &doc, &err), 0);
    assert_string_equal(fnl_yaml_get(fnl_yaml_root(doc), "a")->scalar, "1");
    fnl_yaml_free(doc);
    assert_int_equal(fnl_yaml_load(test_path("absent.yaml"), &doc, &err), FNL_E_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_knows_kinds_places_and_quotes),
        cmocka_unit_test(empty_documents_are_empty_maps),
        cmocka_unit_test(null_is_only_plain),
        cmocka_unit_test(what_costs_more_than_it_gives_is_refused_with_its_place),
        cmocka_unit_test(hostile_sizes_are_refused),
        cmocka_unit_test(the_largest_line_and_deepest_nest_allowed_are_read),
        cmocka_unit_test(many_keys_are_checked_for_duplicates_fast),
        cmocka_unit_test(set_replaces_makes_and_walks_lists),
        cmocka_unit_test(set_writes_short_forms_out),
        cmocka_unit_test(bad_assignments_are_refused),
        cmocka_unit_test(set_cannot_nest_beyond_the_limit),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(the_longest_key_of_escapes_can_be_printed),
        cmocka_unit_test(printing_into_a_small_buffer_fails_cleanly),
        cmocka_unit_test(errors_name_where_a_value_came_from),
        cmocka_unit_test_setup_teardown(files_are_loaded_by_name, test_dir_make, test_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
