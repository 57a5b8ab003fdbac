/* test.h - cmocka with what it wants included first, and a folder that goes away with the test. */
#ifndef FNL_TESTS_BASE_TEST_H
#define FNL_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <unistd.h>

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char test_dir[64];

static inline int test__remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* cmocka set-up and tear-down: a fresh folder in test_dir. */
static inline int test_dir_make(void **state)
{
    (void)state;
    (void)snprintf(test_dir, sizeof test_dir, "/tmp/fournil-test-XXXXXX");
    return mkdtemp(test_dir) != NULL ? 0 : -1;
}

static inline int test_dir_remove(void **state)
{
    (void)state;
    return nftw(test_dir, test__remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Path of name in the folder; the last 4 results stay valid. */
static inline const char *test_path(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", test_dir, name);
    return path[turn];
}

static inline void test_write(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

#endif
