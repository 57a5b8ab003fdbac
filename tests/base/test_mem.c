/* Allocation, arena, buffer. */
#include "test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"

static void each_kind_is_counted_and_freed_by_one_function(void **state)
{
    (void)state;
    uint64_t before = fnl_mem_alloc_count();
    char *a = fnl_malloc(10), *b = fnl_calloc(3, 5), *c = fnl_strdup("text");
    char *d = fnl_strndup("text", 2), *e = fnl_alloc_aligned(100);
    a = fnl_realloc(a, 1000);
    assert_int_equal(fnl_mem_alloc_count() - before, 6);
    assert_non_null(a);
    assert_memory_equal(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
    assert_string_equal(c, "text");
    assert_string_equal(d, "te");
    assert_int_equal((uintptr_t)e % FNL_CACHE_LINE, 0);
    void *all[] = {a, b, c, d, e, NULL};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        fnl_free(all[i]);
    }
}

static void size_zero_is_not_a_failure(void **state)
{
    (void)state;
    void *a = fnl_malloc(0), *b = fnl_calloc(0, 8), *c = fnl_alloc_aligned(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    a = fnl_realloc(a, 0);
    assert_non_null(a);
    fnl_free(a);
    fnl_free(b);
    fnl_free(c);
}

static void absurd_sizes_fail_cleanly(void **state)
{
    (void)state;
    assert_null(fnl_malloc(SIZE_MAX));
    assert_null(fnl_calloc(SIZE_MAX / 2, 3));
    assert_null(fnl_alloc_aligned(SIZE_MAX - 10));
    char *p = fnl_malloc(4);
    assert_null(fnl_realloc(p, SIZE_MAX - 1));
    fnl_free(p);
}

static void large_aligned_blocks_are_zero_even_when_reused(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        for (size_t size = 1000; size <= (5u << 20); size = size * 7 + 13) {
            unsigned char *p = fnl_alloc_aligned(size);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % FNL_CACHE_LINE, 0);
            for (size_t i = 0; i < size; i++) {
                if (p[i] != 0) {
                    fail_msg("byte %zu of %zu is %d", i, size, p[i]);
                }
            }
            memset(p, 0xEE, size);
            fnl_free(p);
        }
    }
}

static void the_chosen_allocation_fails_and_only_that(void **state)
{
    (void)state;
    fnl_mem_fail_at(3);
    void *a = fnl_malloc(1), *b = fnl_calloc(1, 1), *c = fnl_strdup("x"), *d = fnl_malloc(1);
    assert_true(a != NULL && b != NULL && c == NULL && d != NULL);
    fnl_mem_fail_at(1);
    fnl_mem_fail_at(0);
    void *e = fnl_malloc(1);
    assert_non_null(e);
    void *all[] = {a, b, d, e};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        fnl_free(all[i]);
    }
}

static void arena_items_are_aligned_zero_and_apart(void **state)
{
    (void)state;
    struct fnl_arena a;
    fnl_arena_init(&a, (size_t)64 << 20);
    unsigned char *p[400];
    for (size_t i = 0; i < 400; i++) {
        size_t size = i * i % 3001 + (i % 50 == 0 ? 100000 : 0);
        p[i] = fnl_arena_alloc(&a, size);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        for (size_t k = 0; k < size; k++) {
            if (p[i][k] != 0) {
                fail_msg("item %zu byte %zu", i, k);
            }
        }
        memset(p[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < 400; i++) {
        size_t size = i * i % 3001 + (i % 50 == 0 ? 100000 : 0);
        for (size_t k = 0; k < size; k++) {
            if (p[i][k] != i % 255 + 1) {
                fail_msg("item %zu was overwritten at %zu", i, k);
            }
        }
    }
    fnl_arena_free(&a);
    assert_int_equal(a.used_bytes, 0);
    fnl_arena_free(&a);
}

static void arena_keeps_its_limit(void **state)
{
    (void)state;
    struct fnl_arena a;
    fnl_arena_init(&a, 1000);
    assert_non_null(fnl_arena_alloc(&a, 900));
    assert_null(fnl_arena_alloc(&a, 200));
    assert_non_null(fnl_arena_alloc(&a, 80));
    assert_null(fnl_arena_alloc(&a, SIZE_MAX));
    assert_null(fnl_arena_array(&a, SIZE_MAX / 4, 8));
    fnl_arena_free(&a);
}

static void arena_texts(void **state)
{
    (void)state;
    struct fnl_arena a;
    fnl_arena_init(&a, 100000);
    assert_string_equal(fnl_arena_strdup(&a, "whole"), "whole");
    assert_string_equal(fnl_arena_strndup(&a, "part of it", 4), "part");
    assert_string_equal(fnl_arena_strndup(&a, "short", 400), "short");
    assert_string_equal(fnl_arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    fnl_arena_free(&a);
}

static void buffer_grows_and_is_terminated(void **state)
{
    (void)state;
    struct fnl_buf b;
    fnl_buf_init(&b, 1 << 20);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(fnl_buf_printf(&b, "%04d,", i), 0);
        assert_int_equal(b.data[b.size], 0);
    }
    assert_int_equal(b.size, 25000);
    assert_memory_equal(b.data + 5 * 1234, "1234,", 5);
    fnl_buf_reset(&b);
    assert_int_equal(fnl_buf_puts(&b, "new"), 0);
    assert_string_equal(b.data, "new");
    fnl_buf_free(&b);
    fnl_buf_free(&b);
}

static void buffer_failure_sticks_and_keeps_what_was_there(void **state)
{
    (void)state;
    struct fnl_buf b;
    fnl_buf_init(&b, 10);
    assert_int_equal(fnl_buf_puts(&b, "12345"), 0);
    assert_int_equal(fnl_buf_printf(&b, "%s", "678901"), FNL_E_LIMIT);
    assert_true(b.failed);
    assert_string_equal(b.data, "12345");
    assert_int_equal(fnl_buf_puts(&b, "6"), FNL_E_LIMIT);
    assert_int_equal(b.size, 5);
    fnl_buf_reset(&b);
    assert_int_equal(fnl_buf_puts(&b, "1234567890"), 0); /* exactly the maximum */
    assert_int_equal(fnl_buf_puts(&b, ""), 0);
    assert_int_equal(fnl_buf_puts(&b, "x"), FNL_E_LIMIT);
    fnl_buf_free(&b);
    fnl_buf_init(&b, 1000);
    fnl_mem_fail_at(1);
    assert_int_equal(fnl_buf_puts(&b, "x"), FNL_E_NOMEM);
    assert_int_equal(fnl_buf_append(&b, "y", 1), FNL_E_NOMEM);
    fnl_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_counted_and_freed_by_one_function),
        cmocka_unit_test(size_zero_is_not_a_failure),
        cmocka_unit_test(absurd_sizes_fail_cleanly),
        cmocka_unit_test(large_aligned_blocks_are_zero_even_when_reused),
        cmocka_unit_test(the_chosen_allocation_fails_and_only_that),
        cmocka_unit_test(arena_items_are_aligned_zero_and_apart),
        cmocka_unit_test(arena_keeps_its_limit),
        cmocka_unit_test(arena_texts),
        cmocka_unit_test(buffer_grows_and_is_terminated),
        cmocka_unit_test(buffer_failure_sticks_and_keeps_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
