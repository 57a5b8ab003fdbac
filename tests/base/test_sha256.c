/* SHA-256: the examples of FIPS 180-4, and pieces of any size. */
#include "base/test.h"

#include "base/sha256.h"

static void sum_is(const void *data, size_t size, const char *want)
{
    struct fnl_sha256 s;
    char text[FNL_SHA256_TEXT];
    fnl_sha256_init(&s);
    fnl_sha256_add(&s, data, size);
    fnl_sha256_text(&s, text);
    assert_string_equal(text, want);
}

static void examples_of_the_standard(void **state)
{
    (void)state;
    static char million[1000000];
    memset(million, 'a', sizeof million);
    sum_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sum_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sum_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sum_is(million, sizeof million,
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pieces_of_any_size_give_the_same(void **state)
{
    (void)state;
    char data[300], whole[FNL_SHA256_TEXT], text[FNL_SHA256_TEXT];
    struct fnl_sha256 s;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 7);
    }
    for (size_t size = 0; size <= sizeof data; size++) {
        fnl_sha256_init(&s);
        fnl_sha256_add(&s, data, size);
        fnl_sha256_text(&s, whole);
        for (size_t piece = 1; piece < 140; piece += 9) {
            fnl_sha256_init(&s);
            for (size_t at = 0; at < size; at += piece) {
                fnl_sha256_add(&s, data + at, size - at < piece ? size - at : piece);
            }
            fnl_sha256_text(&s, text);
            assert_string_equal(text, whole);
        }
    }
}

static void files_are_summed(void **state)
{
    (void)state;
    char text[FNL_SHA256_TEXT];
    struct fnl_error err = FNL_ERROR_INIT;
    test_write(test_path("f"), "abc", 3);
    assert_int_equal(fnl_sha256_file(test_path("f"), text, &err), 0);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(fnl_sha256_file(test_path("g"), text, &err), FNL_E_NOTFOUND);
    assert_int_equal(fnl_sha256_file(test_dir, text, &err), FNL_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_standard),
        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test_setup_teardown(files_are_summed, test_dir_make, test_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
