/* The error object: texts, cuts, control characters, contexts, NULL. */
#include "test.h"

#include "base/error.h"

static void set_fills_all_and_returns_the_code(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = FNL_FAIL(&err, FORMAT, "do this", "%s:%d: bad", "a.npy", 12);
    assert_int_equal(rc, FNL_E_FORMAT);
    assert_int_equal(err.code, FNL_E_FORMAT);
    assert_string_equal(err.message, "a.npy:12: bad");
    assert_string_equal(err.hint, "do this");
    assert_true(err.source_line > 0);
    assert_non_null(strstr(err.source_file, "test_error.c"));
}

static void no_error_object_is_fine(void **state)
{
    (void)state;
    assert_int_equal(FNL_FAIL(NULL, IO, NULL, "x"), FNL_E_IO);
    assert_int_equal(fnl_error_context(NULL, FNL_E_IO, "y"), FNL_E_IO);
    fnl_error_hint(NULL, "z");
}

static void arguments_may_point_into_the_error(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    FNL_FAIL(&err, IO, "first hint", "first");
    FNL_FAIL(&err, FORMAT, err.hint, "second after %s", err.message);
    assert_string_equal(err.message, "second after first");
    assert_string_equal(err.hint, "first hint");
}

static void context_goes_in_front_and_keeps_the_rest(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    FNL_FAIL(&err, LIMIT, "hint", "too large");
    assert_int_equal(fnl_error_context(&err, 0, "loading %s", "x"), FNL_E_LIMIT);
    assert_string_equal(err.message, "loading x: too large");
    assert_string_equal(err.hint, "hint");
    fnl_error_hint(&err, "try %d", 3);
    assert_string_equal(err.hint, "try 3");
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char text[2000];
    for (size_t shift = 0; shift < 2; shift++) {
        struct fnl_error err = FNL_ERROR_INIT;
        memset(text, 'a', sizeof text);
        for (size_t i = shift; i + 2 < sizeof text; i += 2) {
            memcpy(text + i, "\xC3\xA4", 2);
        }
        text[sizeof text - 1] = 0;
        FNL_FAIL(&err, FORMAT, text, "%s", text);
        size_t n = strlen(err.message);
        assert_true(n < sizeof err.message && n > sizeof err.message - 8);
        assert_string_equal(err.message + n - 3, "...");
        assert_true((unsigned char)err.message[n - 4] == 0xA4); /* a whole character before it */
        assert_true(strlen(err.hint) < sizeof err.hint);
        fnl_error_context(&err, 0, "%s", "in front");
        assert_true(strlen(err.message) < sizeof err.message);
        assert_string_equal(err.message + strlen(err.message) - 3, "...");
    }
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    FNL_FAIL(&err, FORMAT, "\x1b[2J", "a\x1b[31mb\x7f\tc\nd");
    assert_string_equal(err.message, "a?[31mb?\tc\nd");
    assert_string_equal(err.hint, "?[2J");
}

static void codes_have_name_text_and_status(void **state)
{
    (void)state;
    assert_string_equal(fnl_code_name(FNL_E_CONFIG), "CONFIG");
    assert_string_equal(fnl_code_text(FNL_E_NOMEM), "out of memory");
    assert_int_equal(fnl_code_status(0), 0);
    assert_int_equal(fnl_code_status(FNL_E_INVALID), 2);
    assert_int_equal(fnl_code_status(FNL_E_CONFIG), 3);
    assert_int_equal(fnl_code_status(FNL_E_BUSY), 4);
    assert_int_equal(fnl_code_status(FNL_E_DEVICE), 4);      /* was not there */
    assert_int_equal(fnl_code_status(FNL_E_DEVICE_LOST), 5); /* went away in mid-run */
    assert_int_equal(fnl_code_status(FNL_E_INTERRUPTED), 130);
    assert_string_equal(fnl_code_name(-999), "UNKNOWN");
    assert_int_equal(fnl_code_status(-999), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_all_and_returns_the_code),
        cmocka_unit_test(no_error_object_is_fine),
        cmocka_unit_test(arguments_may_point_into_the_error),
        cmocka_unit_test(context_goes_in_front_and_keeps_the_rest),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(codes_have_name_text_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
