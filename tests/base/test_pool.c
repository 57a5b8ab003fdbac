/* The thread pool. Also run under ThreadSanitizer. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/host.h"
#include "base/mem.h"
#include "base/pool.h"

#define ITEMS_MAX 1000

struct job {
    int plain[ITEMS_MAX]; /* each item writes its own: not atomic on purpose, for ThreadSanitizer */
    int factor;
    _Atomic long sum;
};

static void add_item(void *arg, int item)
{
    struct job *j = arg;
    j->plain[item] += j->factor;
    atomic_fetch_add_explicit(&j->sum, item, memory_order_relaxed);
}

/* Runs `rounds` jobs of changing size over one pool and checks that each item was done once. */
static void check_pool(int threads, int rounds)
{
    struct fnl_pool *pool = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_pool_create(threads, &pool, &err), 0);
    assert_int_equal(fnl_pool_threads(pool), threads);
    struct job *j = fnl_calloc(1, sizeof *j);
    long want[ITEMS_MAX] = {0};
    for (int round = 0; round < rounds; round++) {
        int items = round * 37 % 97;
        j->factor = round; /* written by the caller between runs, read by the workers */
        atomic_store(&j->sum, 0);
        fnl_pool_run(pool, add_item, j, items);
        assert_int_equal(atomic_load(&j->sum), (long)items * (items - 1) / 2);
        for (int i = 0; i < items; i++) {
            want[i] += round;
        }
    }
    for (int i = 0; i < ITEMS_MAX; i++) {
        assert_int_equal(j->plain[i], want[i]);
    }
    fnl_free(j);
    fnl_pool_free(pool);
}

static void one_thread_does_every_item(void **state)
{
    (void)state;
    check_pool(1, 500);
}

static void two_threads_do_every_item_once(void **state)
{
    (void)state;
    check_pool(2, 20000);
}

static void more_threads_than_cpus_work(void **state)
{
    (void)state;
    check_pool(4 * fnl_host_cpus() + 3, 2000);
}

static void a_run_allocates_nothing(void **state)
{
    (void)state;
    struct fnl_pool *pool = NULL;
    assert_int_equal(fnl_pool_create(3, &pool, NULL), 0);
    struct job *j = fnl_calloc(1, sizeof *j);
    fnl_pool_run(pool, add_item, j, 100);
    uint64_t before = fnl_mem_alloc_count();
    for (int i = 0; i < 100; i++) {
        fnl_pool_run(pool, add_item, j, 100);
    }
    assert_int_equal(fnl_mem_alloc_count(), before);
    fnl_free(j);
    fnl_pool_free(pool);
}

static void sleepy_item(void *arg, int item)
{
    (void)item;
    struct timespec t = {0, 200000};
    (void)nanosleep(&t, NULL);
    atomic_fetch_add((_Atomic int *)arg, 1);
}

/* Longer than anyone spins: caller and workers sleep and must be woken. */
static void sleepers_are_woken(void **state)
{
    (void)state;
    struct fnl_pool *pool = NULL;
    assert_int_equal(fnl_pool_create(2, &pool, NULL), 0);
    _Atomic int done = 0;
    for (int i = 0; i < 200; i++) {
        fnl_pool_run(pool, sleepy_item, &done, 2 + i % 3);
        sleepy_item(&done, 0);
    }
    assert_int_equal(atomic_load(&done), 200 + 67 * 2 + 67 * 3 + 66 * 4);
    fnl_pool_free(pool);
}

struct names {
    _Atomic int named;
    _Atomic int arrived;
};

/* Both items must be inside at once, so one of them is on the worker. */
static void look_at_name(void *arg, int item)
{
    (void)item;
    struct names *n = arg;
    char name[16] = "";
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    if (strcmp(name, "fnl-pool-1") == 0) {
        atomic_fetch_add(&n->named, 1);
    }
    atomic_fetch_add(&n->arrived, 1);
    while (atomic_load(&n->arrived) < 2) {
        (void)usleep(100);
    }
}

static void two_items_run_at_once_on_named_threads(void **state)
{
    (void)state;
    struct fnl_pool *pool = NULL;
    assert_int_equal(fnl_pool_create(2, &pool, NULL), 0);
    struct names n = {0, 0};
    fnl_pool_run(pool, look_at_name, &n, 2);
    assert_int_equal(atomic_load(&n.named), 1);
    fnl_pool_free(pool);
}

static void bad_counts_are_refused_with_a_hint(void **state)
{
    (void)state;
    struct fnl_pool *pool = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_pool_create(0, &pool, &err), FNL_E_INVALID);
    assert_int_equal(fnl_pool_create(-3, &pool, &err), FNL_E_INVALID);
    assert_int_equal(fnl_pool_create(1000000, &pool, &err), FNL_E_INVALID);
    assert_non_null(strstr(err.message, "1000000"));
    assert_true(err.hint[0] != 0);
    assert_null(pool);
}

static void creation_survives_each_failed_allocation(void **state)
{
    (void)state;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fnl_pool *pool = NULL;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = fnl_pool_create(4, &pool, &err);
        fnl_mem_fail_at(0);
        if (rc == 0) {
            fnl_pool_free(pool);
            break;
        }
        assert_int_equal(rc, FNL_E_NOMEM);
        assert_null(pool);
        failures++;
    }
    assert_int_equal(failures, 5); /* pool, thread ids, three starts */
}

static void an_idle_pool_can_be_freed(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct fnl_pool *pool = NULL;
        assert_int_equal(fnl_pool_create(1 + i % 4, &pool, NULL), 0);
        fnl_pool_free(pool);
    }
    fnl_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_does_every_item),
        cmocka_unit_test(two_threads_do_every_item_once),
        cmocka_unit_test(more_threads_than_cpus_work),
        cmocka_unit_test(a_run_allocates_nothing),
        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(two_items_run_at_once_on_named_threads),
        cmocka_unit_test(bad_counts_are_refused_with_a_hint),
        cmocka_unit_test(creation_survives_each_failed_allocation),
        cmocka_unit_test(an_idle_pool_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
