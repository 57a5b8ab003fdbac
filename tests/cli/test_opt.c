/* The option parser: every accepted form, every refusal with its message and hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cmd.h"

static const char *const colors[] = {"red", "green", "blue", NULL};

struct values {
    bool json, verbose;
    const char *dir;
    int64_t epochs, any;
    double rate;
    int color;
    struct fnl_opt_list set;
};

#define AT(field) offsetof(struct values, field)
static const struct fnl_opt options[] = {
    {"json", 'j', FNL_OPT_FLAG, AT(json), .help = "x"},
    {"verbose", 'v', FNL_OPT_FLAG, AT(verbose), .help = "x"},
    {"dir", 'd', FNL_OPT_STRING, AT(dir), "DIR", "x"},
    {"epochs", 'e', FNL_OPT_INT, AT(epochs), "N", "x", 1, 1000},
    {"any", 0, FNL_OPT_INT, AT(any), "N", "x"},
    {"rate", 0, FNL_OPT_FLOAT, AT(rate), "X", "x", 0, 1},
    {"color", 'c', FNL_OPT_ENUM, AT(color), .names = colors, .help = "x"},
    {"set", 's', FNL_OPT_LIST, AT(set), "KEY=VALUE", "x"},
    {"secret", 0, FNL_OPT_FLAG, AT(verbose), .help = "x", .hidden = true},
    {NULL},
};

static const struct fnl_command command = {.name = "paint",
                                           .arguments = "FILE",
                                           .min_arguments = 0,
                                           .max_arguments = 3,
                                           .options = options,
                                           .options_size = sizeof(struct values)};
static const struct fnl_command runner = {.name = "run",
                                          .arguments = "-- CMD",
                                          .min_arguments = 1,
                                          .max_arguments = FNL_ARGUMENTS_ANY,
                                          .options = options,
                                          .stop_at_argument = true};

/* What one parse gave. */
static struct values v;
static const char *args[80];
static int count;
static bool help;
static struct fnl_error err;

static int parse_as(const struct fnl_command *c, int argc, const char *const *argv)
{
    memset(&v, 0, sizeof v);
    memset(&err, 0, sizeof err);
    count = -1;
    help = false;
    /* argv is never written to */
    return fnl_opt_parse(c, argc, (char *const *)(uintptr_t)argv, &v, args, &count, &help, &err);
}

#define PARSE(...) PARSE_AS(&command, __VA_ARGS__)
#define PARSE_AS(c, ...)                                                                           \
    parse_as((c), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                   \
             (const char *[]){__VA_ARGS__})
#define REFUSED(message_, hint_, ...)                                                              \
    do {                                                                                           \
        assert_int_equal(PARSE(__VA_ARGS__), FNL_E_INVALID);                                       \
        assert_string_equal(err.message, message_);                                                \
        assert_string_equal(err.hint, hint_);                                                      \
    } while (0)

static void each_kind_takes_its_value(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--json", "--dir", "out", "--epochs", "12", "--any", "-9", "--rate",
                           "0.5", "--color", "blue", "--set", "a=1", "--set", "b=2"),
                     0);
    assert_true(v.json);
    assert_false(v.verbose);
    assert_string_equal(v.dir, "out");
    assert_int_equal(v.epochs, 12);
    assert_int_equal(v.any, -9);
    assert_true(v.rate > 0.49 && v.rate < 0.51);
    assert_int_equal(v.color, 2);
    assert_int_equal(v.set.count, 2);
    assert_string_equal(v.set.value[0], "a=1");
    assert_string_equal(v.set.value[1], "b=2");
    assert_int_equal(count, 0);
}

static void values_may_stand_in_the_same_word(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--epochs=7", "--set=a=b=c", "--dir="), 0);
    assert_int_equal(v.epochs, 7);
    assert_string_equal(v.set.value[0], "a=b=c"); /* the first '=' parts */
    assert_string_equal(v.dir, "");
    assert_int_equal(PARSE("-e7", "-dx", "-s", "k=v"), 0);
    assert_int_equal(v.epochs, 7);
    assert_string_equal(v.dir, "x");
    assert_string_equal(v.set.value[0], "k=v");
}

static void letters_of_flags_may_be_joined(void **state)
{
    (void)state;
    assert_int_equal(PARSE("-jve", "3"), 0);
    assert_true(v.json && v.verbose);
    assert_int_equal(v.epochs, 3);
    assert_int_equal(PARSE("-jve3"), 0);
    assert_int_equal(v.epochs, 3);
}

static void arguments_and_options_mix(void **state)
{
    (void)state;
    assert_int_equal(PARSE("a", "--json", "-", "--", "--dir"), 0);
    assert_int_equal(count, 3);
    assert_string_equal(args[0], "a");
    assert_string_equal(args[1], "-");
    assert_string_equal(args[2], "--dir");
    assert_true(v.json);
}

static void a_later_value_wins(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--epochs", "1", "--epochs", "2"), 0);
    assert_int_equal(v.epochs, 2);
}

static void nothing_given_leaves_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse_as(&command, 0, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(v.epochs, 0);
}

static void another_programs_options_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(PARSE_AS(&runner, "--json", "python3", "--json", "-x", "--help", "--"), 0);
    assert_true(v.json);
    assert_int_equal(count, 5);
    assert_string_equal(args[1], "--json");
    assert_string_equal(args[4], "--");
    assert_int_equal(PARSE_AS(&runner, "--", "--weird"), 0);
    assert_string_equal(args[0], "--weird");
}

static void help_wins_where_it_is_reached(void **state)
{
    (void)state;
    assert_int_equal(PARSE("a", "--help", "--nonsense"), 0);
    assert_true(help);
    assert_int_equal(PARSE("-h"), 0);
    assert_true(help);
    assert_int_equal(PARSE("--epochs", "--help"), 0);
    assert_true(help);
    assert_int_equal(PARSE("--", "--help"), 0);
    assert_false(help);
}

static void an_unknown_option_names_the_nearest(void **state)
{
    (void)state;
    REFUSED("paint: unknown option --epoch", "did you mean --epochs? See: fournil help paint",
            "--epoch");
    REFUSED("paint: unknown option --epcohs=3", "did you mean --epochs? See: fournil help paint",
            "--epcohs=3");
    REFUSED("paint: unknown option --zzzzzz", "see: fournil help paint", "--zzzzzz");
    REFUSED("paint: unknown option -x", "see: fournil help paint", "-x");
    REFUSED("paint: unknown option -jx", "see: fournil help paint", "-jx");
    REFUSED("paint: unknown option --secre", "see: fournil help paint", "--secre");
    /* No prefix is taken for the option: a later option could make it ambiguous. */
    assert_int_equal(PARSE("--verb"), FNL_E_INVALID);
}

static void a_missing_value_is_told(void **state)
{
    (void)state;
    REFUSED("paint: --dir needs a value", "", "--dir");
    REFUSED("paint: --epochs needs a value", "", "-e");
    REFUSED("paint: --dir needs a value", "write --dir=--json if --json is the value", "--dir",
            "--json");
    assert_int_equal(PARSE("--dir=--json"), 0);
    assert_string_equal(v.dir, "--json");
    REFUSED("paint: --json takes no value", "", "--json=yes");
}

static void numbers_are_strict(void **state)
{
    static const char *const bad[] = {"",  "x",    "1x", "1.5", " 1",  "1 ",
                                      "0", "1001", "-1", "1e2", "0x1", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(PARSE("--epochs", bad[i]), FNL_E_INVALID);
        assert_non_null(strstr(err.message, "expected an integer from 1 to 1000, got "));
        assert_int_equal(v.epochs, 0);
    }
    REFUSED("paint: --any: expected an integer, got \"many\"", "", "--any", "many");
    REFUSED("paint: --rate: expected a number from 0 to 1, got \"1.01\"", "", "--rate", "1.01");
    assert_int_equal(PARSE("--rate", "nan"), FNL_E_INVALID);
    assert_int_equal(PARSE("--rate", "inf"), FNL_E_INVALID);
    assert_int_equal(PARSE("--rate", "1e-3"), 0);
}

static void a_wrong_word_lists_the_right_ones(void **state)
{
    (void)state;
    REFUSED("paint: --color: expected one of red, green, blue, got \"grene\"",
            "did you mean green?", "--color", "grene");
    REFUSED("paint: --color: expected one of red, green, blue, got \"\"", "", "--color=");
    assert_int_equal(v.color, 0);
}

static void arguments_are_counted(void **state)
{
    (void)state;
    REFUSED("paint: unexpected argument \"d\"", "see: fournil help paint", "a", "b", "c", "d");
    assert_int_equal(PARSE_AS(&runner, "--json"), FNL_E_INVALID);
    assert_string_equal(err.message, "run: expected -- CMD");
}

static void a_list_has_an_end(void **state)
{
    const char *argv[2 * FNL_OPT_LIST_MAX + 2];

    (void)state;
    for (int i = 0; i < FNL_OPT_LIST_MAX + 1; i++) {
        argv[2 * i] = "--set";
        argv[2 * i + 1] = "a=1";
    }
    assert_int_equal(parse_as(&command, 2 * FNL_OPT_LIST_MAX, argv), 0);
    assert_int_equal(v.set.count, FNL_OPT_LIST_MAX);
    assert_int_equal(parse_as(&command, 2 * FNL_OPT_LIST_MAX + 2, argv), FNL_E_INVALID);
    assert_string_equal(err.message, "paint: --set: given more than 64 times");
}

static void a_long_name_is_cut_in_messages_only(void **state)
{
    char word[5000];

    (void)state;
    memset(word, 'x', sizeof word);
    memcpy(word, "--", 2);
    word[sizeof word - 1] = '\0';
    assert_int_equal(PARSE(word), FNL_E_INVALID);
    assert_true(strlen(err.message) < sizeof err.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_takes_its_value),
        cmocka_unit_test(values_may_stand_in_the_same_word),
        cmocka_unit_test(letters_of_flags_may_be_joined),
        cmocka_unit_test(arguments_and_options_mix),
        cmocka_unit_test(a_later_value_wins),
        cmocka_unit_test(nothing_given_leaves_defaults),
        cmocka_unit_test(another_programs_options_are_left_alone),
        cmocka_unit_test(help_wins_where_it_is_reached),
        cmocka_unit_test(an_unknown_option_names_the_nearest),
        cmocka_unit_test(a_missing_value_is_told),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(a_wrong_word_lists_the_right_ones),
        cmocka_unit_test(arguments_are_counted),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(a_long_name_is_cut_in_messages_only),
    };
    return cmocka_run_group_tests_name("cli.opt", tests, NULL, NULL);
}
