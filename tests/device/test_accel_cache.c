/* The cache of compiled programs: what was put is got, what is damaged or foreign is not, and the
 * folder stays small. */
#include "base/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "device/accel_cache.h"

static struct fnl_accel_cache_key key_of(const char *a, const char *b)
{
    const char *parts[] = {a, b, NULL};
    struct fnl_accel_cache_key key;
    fnl_accel_cache_key(parts, &key);
    return key;
}

static int use_test_dir(void **state)
{
    return test_dir_make(state) == 0 && setenv("FOURNIL_CACHE", test_dir, 1) == 0 ? 0 : -1;
}

static const char *path_of(const struct fnl_accel_cache_key *key)
{
    char name[128];
    (void)snprintf(name, sizeof name, "programs/%s", key->text);
    return test_path(name);
}

static bool holds(const struct fnl_accel_cache_key *key, const char *want)
{
    char *data = NULL;
    size_t size = 0;
    if (!fnl_accel_cache_get(key, &data, &size)) {
        return false;
    }
    assert_int_equal(size, strlen(want));
    assert_string_equal(data, want);
    fnl_free(data);
    return true;
}

static void what_was_put_is_got(void **state)
{
    (void)state;
    struct fnl_accel_cache_key key = key_of("source", "-DX"), other = key_of("source", "-DY");
    assert_false(holds(&key, ""));
    assert_true(fnl_accel_cache_put(&key, "code", 4));
    assert_true(holds(&key, "code"));
    assert_false(holds(&other, ""));
    assert_true(fnl_accel_cache_put(&key, "better code", 11));
    assert_true(holds(&key, "better code"));
    assert_false(fnl_accel_cache_put(&other, "", 0));
    assert_false(fnl_accel_cache_put(&other, "", FNL_MAX_PROGRAM_BYTES + 1));
}

static void parts_do_not_run_into_each_other(void **state)
{
    (void)state;
    struct fnl_accel_cache_key a = key_of("ab", "c"), b = key_of("a", "bc"), c = key_of("ab", "c");
    assert_string_not_equal(a.text, b.text);
    assert_string_equal(a.text, c.text);
}

static void damaged_files_count_as_absent_and_are_replaced(void **state)
{
    (void)state;
    struct fnl_accel_cache_key key = key_of("source", ""), other = key_of("other", "");
    char *whole = NULL;
    size_t size = 0;
    assert_true(fnl_accel_cache_put(&key, "code", 4));
    assert_int_equal(fnl_file_read(path_of(&key), 4096, &whole, &size, NULL), 0);
    for (size_t i = 0; i < size; i++) {
        whole[i] ^= 1;
        test_write(path_of(&key), whole, size);
        whole[i] ^= 1;
        assert_false(holds(&key, ""));
    }
    for (size_t cut = 0; cut < size; cut++) {
        test_write(path_of(&key), whole, cut);
        assert_false(holds(&key, ""));
    }
    whole[size] = 'x'; /* where the reader put its NUL */
    test_write(path_of(&key), whole, size + 1);
    assert_false(holds(&key, ""));
    test_write(path_of(&other), whole, size); /* whole, but under another name */
    assert_false(holds(&other, ""));
    assert_true(fnl_accel_cache_put(&key, "code", 4));
    assert_true(holds(&key, "code"));
    fnl_free(whole);
}

static void what_others_may_write_is_not_run(void **state)
{
    (void)state;
    struct fnl_accel_cache_key key = key_of("source", ""), pipe = key_of("pipe", "");
    assert_true(fnl_accel_cache_put(&key, "code", 4));
    assert_int_equal(chmod(path_of(&key), 0666), 0);
    assert_false(holds(&key, ""));
    assert_int_equal(mkfifo(path_of(&pipe), 0600), 0);
    assert_false(holds(&pipe, ""));
    assert_int_equal(unlink(path_of(&pipe)), 0);
    assert_int_equal(mkdir(path_of(&pipe), 0700), 0);
    assert_false(holds(&pipe, ""));
    assert_false(fnl_accel_cache_put(&pipe, "code", 4));
}

static void the_folder_follows_the_environment(void **state)
{
    (void)state;
    const struct {
        const char *own, *xdg, *home, *want;
    } row[] = {
        {"/a", "/b", "/c", "/a/programs"},
        {"rel", "/b", "/c", "rel/programs"},
        {"", "/b", "/c", NULL},
        {NULL, "/b", "/c", "/b/fournil/programs"},
        {NULL, "relative", "/c", "/c/.cache/fournil/programs"},
        {NULL, NULL, "/c", "/c/.cache/fournil/programs"},
        {NULL, NULL, NULL, NULL},
    };
    char *home = fnl_strdup(getenv("HOME") == NULL ? "/" : getenv("HOME"));
    for (size_t i = 0; i < TEST_COUNT(row); i++) {
        const char *const name[] = {"FOURNIL_CACHE", "XDG_CACHE_HOME", "HOME"};
        const char *const value[] = {row[i].own, row[i].xdg, row[i].home};
        for (int j = 0; j < 3; j++) {
            assert_int_equal(value[j] == NULL ? unsetenv(name[j]) : setenv(name[j], value[j], 1),
                             0);
        }
        char *dir = fnl_accel_cache_dir();
        if (row[i].want == NULL) {
            assert_null(dir);
        } else {
            assert_non_null(dir);
            assert_string_equal(dir, row[i].want);
        }
        fnl_free(dir);
    }
    (void)unsetenv("XDG_CACHE_HOME");
    (void)setenv("HOME", home, 1);
    fnl_free(home);
}

static void a_folder_that_cannot_be_is_no_cache(void **state)
{
    (void)state;
    struct fnl_accel_cache_key key = key_of("source", "");
    test_write(test_path("file"), "x", 1);
    assert_int_equal(setenv("FOURNIL_CACHE", test_path("file"), 1), 0);
    assert_false(fnl_accel_cache_put(&key, "code", 4));
    assert_false(holds(&key, ""));
    assert_int_equal(setenv("FOURNIL_CACHE", "", 1), 0);
    assert_false(fnl_accel_cache_put(&key, "code", 4));
    assert_false(holds(&key, ""));
    assert_int_equal(setenv("FOURNIL_CACHE", "/proc/self", 1), 0);
    assert_false(fnl_accel_cache_put(&key, "code", 4));
}

/* A file of so many bytes that takes no space, last used so long ago. */
static void old_file(const char *path, off_t bytes, time_t age_s)
{
    struct timespec when[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(futimens(fd, when), 0);
    assert_int_equal(close(fd), 0);
}

static void the_longest_unused_go_when_it_is_full(void **state)
{
    (void)state;
    struct fnl_accel_cache_key used = key_of("used", ""), fresh = key_of("fresh", "");
    const off_t third = (off_t)(FNL_MAX_PROGRAM_CACHE_BYTES / 3);
    assert_true(fnl_accel_cache_put(&used, "code", 4));
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path_of(&used), long_ago, 0), 0);
    assert_true(holds(&used, "code")); /* notes the use */
    old_file(test_path("programs/a"), third, 3000);
    old_file(test_path("programs/b"), third, 5000);
    old_file(test_path("programs/.left"), third, 4000);
    assert_true(fnl_accel_cache_put(&fresh, "code", 4));
    assert_true(fnl_path_exists(test_path("programs/a")));
    assert_true(fnl_path_exists(test_path("programs/.left")));
    assert_false(fnl_path_exists(test_path("programs/b")));
    assert_true(holds(&used, "code"));
    assert_true(holds(&fresh, "code"));
}

static void failing_writes_and_allocations_leave_nothing_behind(void **state)
{
    (void)state;
    struct fnl_accel_cache_key key = key_of("source", "");
    for (uint64_t n = 1;; n++) {
        fnl_file_fail_at(n);
        bool kept = fnl_accel_cache_put(&key, "code", 4);
        fnl_file_fail_at(0);
        if (kept) {
            assert_true(n > 1);
            break;
        }
        (void)holds(&key, "code"); /* whole, or absent */
    }
    for (uint64_t n = 1; n < 100; n++) {
        char *data = NULL;
        size_t size = 0;
        fnl_mem_fail_at(n);
        bool found = fnl_accel_cache_get(&key, &data, &size);
        (void)fnl_accel_cache_put(&key, "code", 4);
        fnl_mem_fail_at(0);
        if (found) {
            assert_string_equal(data, "code");
            fnl_free(data);
        }
    }
    assert_true(holds(&key, "code"));
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, use_test_dir, test_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_DIR(what_was_put_is_got),
        cmocka_unit_test(parts_do_not_run_into_each_other),
        IN_DIR(damaged_files_count_as_absent_and_are_replaced),
        IN_DIR(what_others_may_write_is_not_run),
        cmocka_unit_test(the_folder_follows_the_environment),
        IN_DIR(a_folder_that_cannot_be_is_no_cache),
        IN_DIR(the_longest_unused_go_when_it_is_full),
        IN_DIR(failing_writes_and_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
