/* Libraries opened at run time: the first that is there, its symbols in their slots, and what is
 * said of one that is absent, damaged or too old. */
#include "base/test.h"

#include <math.h>

#include "device/library.h"

struct math {
    double (*cosine)(double x);
    double (*other)(double x);
};

static const struct fnl_library_symbol symbols[] = {
    {"cos", offsetof(struct math, cosine), true},
    {"fnl_no_such_function", offsetof(struct math, other), false},
};

static int open_math(const char *const *names, struct math *m, void **ret_library,
                     const char **ret_name, struct fnl_error *err)
{
    return fnl_library_open(names, symbols, TEST_COUNT(symbols), m, ret_library, ret_name, err);
}

static void the_first_that_is_there_is_opened(void **state)
{
    (void)state;
    static const char *const names[] = {"libfnl-none.so.1", "libm.so.6", "libc.so.6", NULL};
    struct math m = {.other = cos};
    void *library = NULL;
    const char *name = NULL;
    assert_int_equal(open_math(names, &m, &library, &name, NULL), 0);
    assert_string_equal(name, "libm.so.6");
    assert_true(m.cosine(0.0) == 1.0);
    assert_true(m.other == NULL); /* optional and absent */
    fnl_library_close(library);
    fnl_library_close(NULL);
}

static void none_there_says_the_loaders_words(void **state)
{
    (void)state;
    static const char *const names[] = {"libfnl-none.so.1", "libfnl-none.so", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct math m;
    void *library = NULL;
    assert_int_equal(open_math(names, &m, &library, NULL, &err), FNL_E_NOTFOUND);
    assert_null(library);
    assert_non_null(strstr(err.message, "libfnl-none.so.1"));
    assert_non_null(strstr(err.message, "is not installed"));
}

static void a_damaged_library_is_named_before_absent_ones(void **state)
{
    (void)state;
    test_write(test_path("broken.so"), "not a library", 13);
    const char *const names[] = {"libfnl-none.so.1", test_path("broken.so"), NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct math m;
    void *library = NULL;
    assert_int_equal(open_math(names, &m, &library, NULL, &err), FNL_E_NOTFOUND);
    assert_non_null(strstr(err.message, "broken.so"));
}

static void a_missing_required_symbol_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {"libm.so.6", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct math m;
    void *library = NULL;
    fnl_library_hide("cos");
    assert_int_equal(open_math(names, &m, &library, NULL, &err), FNL_E_UNSUPPORTED);
    fnl_library_hide(NULL);
    assert_null(library);
    assert_string_equal(err.message, "libm.so.6: too old: it has no cos");
    assert_int_equal(open_math(names, &m, &library, NULL, &err), 0);
    fnl_library_close(library);
    fnl_library_hide("libm.so.6");
    assert_int_equal(open_math(names, &m, &library, NULL, &err), FNL_E_NOTFOUND);
    fnl_library_hide(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_is_there_is_opened),
        cmocka_unit_test(none_there_says_the_loaders_words),
        cmocka_unit_test_setup_teardown(a_damaged_library_is_named_before_absent_ones,
                                        test_dir_make, test_dir_remove),
        cmocka_unit_test(a_missing_required_symbol_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
