/* CSV files. */
#include "data_test.h"

#include "data/data_int.h"

#define IRIS                                                                                       \
    "size,kind,leaf,species\n"                                                                     \
    "1.5,a,2,setosa\n"                                                                             \
    "-2,b,3e1,virginica\n"                                                                         \
    ".25,a,0,setosa\n"

static void numbers_categories_and_named_classes(void **state)
{
    (void)state;
    struct loaded l;
    write_text("a.csv", IRIS);
    load("{format: csv, train: {file: a.csv}, target: species, categorical: [kind]}", &l);
    const struct fnl_dataset *d = &l.splits->train;
    assert_int_equal(d->count, 3);
    assert_int_equal(d->sample_size, 4);
    assert_floats(d->samples, (const float[]){1.5F, 1, 0, 2, -2, 0, 1, 30, 0.25F, 1, 0, 0}, 12);
    assert_int_equal(d->class_count, 2);
    assert_string_equal(d->class_names[0], "setosa");
    assert_string_equal(d->class_names[1], "virginica");
    assert_int_equal(d->labels[0], 0);
    assert_int_equal(d->labels[1], 1);
    unload(&l);
    load("{format: csv, train: {file: a.csv}, target: species, ignore: kind, "
         "classes: [virginica, setosa, versicolor]}",
         &l);
    assert_int_equal(l.splits->train.sample_size, 2);
    assert_int_equal(l.splits->train.class_count, 3);
    assert_int_equal(l.splits->train.labels[0], 1);
    unload(&l);
    load("{format: csv, train: {file: a.csv}, target: size, features: [leaf]}", &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_REAL);
    assert_floats(l.splits->train.targets, (const float[]){1.5F, -2.0F, 0.25F}, 3);
    assert_floats(l.splits->train.samples, (const float[]){2, 30, 0}, 3);
    unload(&l);
}

static void integers_are_classes_when_they_look_like_it(void **state)
{
    (void)state;
    struct loaded l;
    write_text("a.csv", "x,y\n5,0\n6,2\n7,1\n");
    load("{format: csv, train: {file: a.csv}, target: y}", &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_CLASS);
    assert_int_equal(l.splits->train.class_count, 3);
    assert_null(l.splits->train.class_names);
    unload(&l);
    load("{format: csv, train: {file: a.csv}, target: y, task: regression}", &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_REAL);
    unload(&l);
    load("{format: csv, train: {file: a.csv}, target: x}", &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_REAL);
    unload(&l);
    load("{format: csv, train: {file: a.csv}, target: x, task: classification}", &l);
    assert_int_equal(l.splits->train.class_count, 8);
    unload(&l);
    load("{format: csv, train: {file: a.csv}, target: y, classes: [a, b, c, d]}", &l);
    assert_int_equal(l.splits->train.class_count, 4);
    assert_string_equal(l.splits->train.class_names[3], "d");
    assert_int_equal(l.splits->train.labels[1], 2);
    unload(&l);
    load_fails("{format: csv, train: {file: a.csv}, target: y, classes: [a, b]}", FNL_E_FORMAT,
               "a.csv:3: column \"y\": label 2 is out of range, expected 0 to 1");
}

static void other_files_follow_the_first_in_any_order_of_columns(void **state)
{
    (void)state;
    struct loaded l;
    write_text("a.csv", IRIS);
    write_text("b.csv", "species,more,leaf,kind,size\nvirginica,9,1,b,2\n");
    load("{format: csv, train: {file: a.csv}, test: {file: b.csv}, target: species, "
         "categorical: kind}",
         &l);
    assert_floats(l.splits->test.samples, (const float[]){2, 0, 1, 1}, 4);
    assert_int_equal(l.splits->test.labels[0], 1);
    assert_int_equal(l.splits->test.class_count, 2);
    unload(&l);
#define AB "{format: csv, train: {file: a.csv}, test: {file: b.csv}, target: species, "
    write_text("b.csv", "species,leaf,kind,size\nvirginica,1,c,2\n");
    load_fails(AB "categorical: kind}", FNL_E_FORMAT,
               "data.test|b.csv:2: column \"kind\": unknown value \"c\"");
    write_text("b.csv", "species,leaf,kind,size\nsetosa,1,a,2\nrosa,1,a,2\n");
    load_fails(AB "categorical: kind}", FNL_E_FORMAT, "b.csv:3|unknown class \"rosa\"");
    write_text("b.csv", "species,leaf,size\nsetosa,1,2\n");
    load_fails(AB "categorical: kind}", FNL_E_FORMAT, "b.csv:1: has no column \"kind\"");
}

static void quotes_lines_and_blanks_are_read_as_rfc_4180_says(void **state)
{
    (void)state;
    struct loaded l;
    write_text("a.csv", "\xEF\xBB\xBF\"x\",\"the \"\"name\"\"\"\r\n"
                        "\"1\",\"with, comma\"\r\n"
                        "\r\n"
                        " 2 ,\"two\r\nlines\"\r\n"
                        "+3.0,\"with \"\"quotes\"\"\"\r\n"
                        "004,5\" pipe");
    load("  format: csv\n  train: {file: a.csv}\n  target: 'the \"name\"'\n  task: classification",
         &l);
    const struct fnl_dataset *d = &l.splits->train;
    assert_int_equal(d->count, 4);
    assert_floats(d->samples, (const float[]){1, 2, 3, 4}, 4);
    assert_int_equal(d->class_count, 4);
    assert_string_equal(d->class_names[0], "5\" pipe");
    assert_string_equal(d->class_names[1], "two\r\nlines");
    assert_string_equal(d->class_names[2], "with \"quotes\"");
    assert_string_equal(d->class_names[3], "with, comma");
    unload(&l);
}

static void delimiter_and_header_can_be_chosen(void **state)
{
    (void)state;
    struct loaded l;
    write_text("a.tsv", "1\t2\t0\n3\t4\t1\n");
    load("{format: csv, train: {file: a.tsv}, delimiter: tab, header: false, target: 3}", &l);
    assert_floats(l.splits->train.samples, (const float[]){1, 2, 3, 4}, 4);
    assert_int_equal(l.splits->train.labels[1], 1);
    unload(&l);
    load_fails("{format: csv, train: {file: a.tsv}, delimiter: ab, target: 3}", FNL_E_CONFIG,
               "data.delimiter");
}

static void errors_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *parts;
    } cases[] = {
        {"", "is empty"},
        {"x,y\n", "has no rows"},
        {"x,z\n1,2\n", "has no column \"y\""},
        {"x,x\n1,2\n", "two columns are called \"x\""},
        {"x,y\n1,2\n1\n", "a.csv:3: 1 fields, expected 2"},
        {"x,y\n1,2\n1,2,3\n", "a.csv:3: 3 fields, expected 2"},
        {"x,y\n1,2\n,2\n", "a.csv:3: column \"x\": the value is missing"},
        {"x,y\n1,2\nNA,2\n", "a.csv:3: column \"x\": the value is missing"},
        {"x,y\n1,2\n1,?\n", "a.csv:3: column \"y\": the value is missing"},
        {"x,y\n1,2\nred,2\n", "a.csv:3: column \"x\": not a number: \"red\"|data.categorical"},
        {"x,y\n1,2\n1e99,2\n", "a.csv:3: column \"x\": not a number"},
        {"x,y\n1,2\n\"a\nb\nc,2\n", "a.csv:3: a quoted field has no end"},
        {"x,y\n1,2\n\"a\nb\"c,2\n", "a.csv:4: text after the closing quote"},
        {"y\n1\n", "no column is left"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct loaded l;
        struct fnl_error err = FNL_ERROR_INIT;
        char all[1400], part[256];
        write_text("a.csv", cases[i].text);
        assert_true(try_load("{format: csv, train: {file: a.csv}, target: y}", 1, &l, &err) < 0);
        (void)snprintf(all, sizeof all, "%s / %s", err.message, err.hint);
        for (const char *p = cases[i].parts; *p != 0;) {
            size_t n = strcspn(p, "|");
            (void)snprintf(part, sizeof part, "%.*s", (int)n, p);
            if (strstr(all, part) == NULL) {
                fail_msg("case %zu: \"%s\" is not in \"%s\"", i, part, all);
            }
            p += n + (p[n] == '|');
        }
    }
    test_write(test_path("a.csv"), "x,y\n1,\0\n", 8);
    load_fails("{format: csv, train: {file: a.csv}, target: y}", FNL_E_FORMAT, "a.csv:2|zero byte");
    write_text("a.csv", "x,y\n1,\xff\n");
    load_fails("{format: csv, train: {file: a.csv}, target: y}", FNL_E_FORMAT, "a.csv:2|UTF-8");
    write_text("a.csv", IRIS);
    load_fails("{format: csv, train: {file: a.csv}, target: specie}", FNL_E_FORMAT,
               "did you mean \"species\"");
    load_fails("{format: csv, train: {file: a.csv}, target: species, ignore: [kynd]}", FNL_E_FORMAT,
               "did you mean \"kind\"");
    load_fails("{format: csv, train: {file: a.csv}}", FNL_E_CONFIG, "data.target is required");
}

static void files_cut_anywhere_are_read_or_refused(void **state)
{
    (void)state;
    static const char text[] = "a,b,\"c\"\"d\"\r\n1,\"x\",2\r\n3,\"y, \"\"z\"\"\",4\r\n";
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct fnl__csv csv;
        struct fnl__csv_field field[8];
        char *exact = fnl_malloc(cut);
        int count = 0;
        memcpy(exact, text, cut);
        fnl__csv_begin(&csv, "f", exact, cut, ',', field, 8);
        while (fnl__csv_next(&csv, &count, NULL) == 0 && count != 0) {
            for (int i = 0; i < count; i++) {
                assert_true(field[i].size == 0 || (field[i].text >= exact &&
                                                   field[i].text + field[i].size <= exact + cut));
            }
        }
        fnl_free(exact);
    }
}

static void more_categories_than_a_column_may_have_are_refused(void **state)
{
    (void)state;
    FILE *f = fopen(test_path("a.csv"), "w");
    (void)fputs("x,y\n", f);
    for (int i = 0; i < 5000; i++) {
        (void)fprintf(f, "v%d,%d\n", i, i % 2);
    }
    (void)fclose(f);
    load_fails("{format: csv, train: {file: a.csv}, target: y, categorical: x}", FNL_E_LIMIT,
               "a.csv:4098: column \"x\": more than 4096");
}

static void reading_survives_each_failed_allocation(void **state)
{
    (void)state;
    write_text("a.csv", IRIS);
    for (uint64_t n = 1;; n++) {
        struct loaded l;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = try_load("{format: csv, train: {file: a.csv}, test: {file: a.csv}, "
                          "target: species, categorical: kind}",
                          1, &l, &err);
        fnl_mem_fail_at(0);
        if (rc == 0) {
            unload(&l);
            assert_true(n > 30);
            return;
        }
        if (rc != FNL_E_NOMEM) {
            fail_msg("allocation %d: %s", (int)n, err.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(numbers_categories_and_named_classes),
        IN_DIR(integers_are_classes_when_they_look_like_it),
        IN_DIR(other_files_follow_the_first_in_any_order_of_columns),
        IN_DIR(quotes_lines_and_blanks_are_read_as_rfc_4180_says),
        IN_DIR(delimiter_and_header_can_be_chosen),
        IN_DIR(errors_name_line_and_column),
        IN_DIR(files_cut_anywhere_are_read_or_refused),
        IN_DIR(more_categories_than_a_column_may_have_are_refused),
        IN_DIR(reading_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
