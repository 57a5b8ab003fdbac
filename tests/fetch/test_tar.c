/* Tar archives, good and hostile. */
#include "base/test.h"

#include "fetch/fetch_int.h"
#include "tar_write.h"

static char archive[16384];

static int next(struct fnl__tar *t, struct fnl__tar_entry *e)
{
    return fnl__tar_next(t, e, NULL);
}

static void entries_come_one_after_the_other(void **state)
{
    (void)state;
    static char data[1000];
    size_t size = 0;
    struct fnl__tar_entry e;
    memset(data, 'x', sizeof data);
    tar_add(archive, &size, "folder/", '5', NULL, 0);
    tar_add(archive, &size, "folder/one", '0', "1", 1);
    tar_add(archive, &size, "two", 0, data, 1000);
    tar_add(archive, &size, "link", '2', NULL, 0);
    tar_add(archive, &size, "empty", '0', NULL, 0);
    memset(archive + size, 0, 1024);
    struct fnl__tar t = {"t", archive, size + 1024, 0};
    assert_int_equal(next(&t, &e), 0);
    assert_false(e.regular);
    assert_true(e.name[0] != 0);
    assert_int_equal(next(&t, &e), 0);
    assert_true(e.regular);
    assert_string_equal(e.name, "one");
    assert_int_equal(e.size, 1);
    assert_int_equal(e.data[0], '1');
    assert_int_equal(next(&t, &e), 0);
    assert_string_equal(e.name, "two");
    assert_memory_equal(e.data, data, 1000);
    assert_int_equal(next(&t, &e), 0);
    assert_false(e.regular);
    assert_int_equal(next(&t, &e), 0);
    assert_string_equal(e.name, "empty");
    assert_int_equal(e.size, 0);
    assert_int_equal(next(&t, &e), 0);
    assert_string_equal(e.name, "");
    t = (struct fnl__tar){"t", archive, size, 0}; /* without the closing zeros */
    for (int i = 0; i < 6; i++) {
        assert_int_equal(next(&t, &e), 0);
    }
    assert_string_equal(e.name, "");
}

static void paths_are_cut_to_their_last_part(void **state)
{
    (void)state;
    static const char *const names[] = {"../../etc/passwd", "/etc/passwd", "a/b/../passwd"};
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        size_t size = 0;
        struct fnl__tar_entry e;
        tar_add(archive, &size, names[i], '0', "x", 1);
        struct fnl__tar t = {"t", archive, size, 0};
        assert_int_equal(next(&t, &e), 0);
        assert_string_equal(e.name, "passwd");
    }
    char hundred[128];
    size_t size = 0;
    struct fnl__tar_entry e;
    memset(hundred, 'n', sizeof hundred);
    hundred[127] = 0;
    tar_add(archive, &size, hundred, '0', "x", 1); /* no NUL in the field */
    struct fnl__tar t = {"t", archive, size, 0};
    assert_int_equal(next(&t, &e), 0);
    assert_int_equal(strlen(e.name), 100);
}

static void damage_is_refused(void **state)
{
    (void)state;
    size_t size = 0;
    struct fnl__tar_entry e;
    static char data[600];
    tar_add(archive, &size, "one", '0', data, sizeof data);
    for (size_t cut = 1; cut < 512 + 600; cut++) {
        struct fnl__tar t = {"t", archive, cut, 0};
        assert_int_equal(next(&t, &e), FNL_E_FORMAT);
    }
    for (size_t at = 0; at < 512; at++) { /* any change of a header shows in its sum */
        char old = archive[at];
        archive[at] = (char)(old ^ 0x11);
        struct fnl__tar t = {"t", archive, size, 0};
        if (!(at >= 148 && at < 156)) {
            assert_int_equal(next(&t, &e), FNL_E_FORMAT);
        }
        archive[at] = old;
    }
    struct fnl__tar t = {"t", archive, size, 0};
    assert_int_equal(next(&t, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_one_after_the_other),
        cmocka_unit_test(paths_are_cut_to_their_last_part),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
