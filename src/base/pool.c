/* pool.c - fork-join over a fixed team of threads.
 *
 * Use: create; run any number of times from one thread at a time; free.
 *
 * How a run goes: the caller writes the job, sets `unfinished` to the count of items, opens the
 * claims
 * (`unclaimed` = items), bumps `round` and wakes sleepers. Everyone, the caller too, claims items
 * by fetch_sub on `unclaimed` until none is left, then subtracts what it did from `unfinished`
 * once. The caller waits until that is 0.
 *
 * Invariants
 *  1. The job's fields are read only between a successful claim and the subtraction for it. The
 *     caller cannot return, hence cannot write the next job, in that time. So a worker that comes
 * late from an older round either claims an item of the new job, which is right, or nothing.
 *  2. The release store that opens the claims precedes every claim (acquire) in `unclaimed`'s
 *     modification order (claims are read-modify-writes, so they continue the release sequence): a
 *     claimer sees the job.
 *  3. A worker adds itself to `sleepers` before it asks the kernel to sleep while `round` is still
 * the one it saw; the caller bumps `round` before it reads `sleepers`. Both sequentially
 * consistent: either the caller sees the sleeper, or the kernel sees the new round. No wake-up is
 * lost.
 *
 * Cost: a run of two threads on two free cores is two cache-line transfers each way when the worker
 * still spins, and a futex wake on top when it sleeps (bench in docs/internals/base.md). */
#include "base/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/host.h"
#include "base/limits.h"
#include "base/mem.h"

/* How long a waiting thread spins before it sleeps: about the price of the sleep and wake-up it may
 * save, so waiting never costs more than twice the best choice. */
#define SPIN_NS 8000u
#define SPINS_PER_CLOCK_READ 32

struct fnl_pool {
    int threads; /* the caller included */
    int started; /* workers running */
    bool spin;   /* as many CPUs as threads */
    pthread_t *worker;
    void (*fn)(void *arg, int item);
    void *arg;
    int items;
    atomic_bool stop;
    _Alignas(FNL_CACHE_LINE) _Atomic uint32_t round; /* futex: workers wait for it to change */
    _Atomic uint32_t sleepers;
    _Alignas(FNL_CACHE_LINE) _Atomic int32_t unclaimed;   /* <= 0: none left */
    _Alignas(FNL_CACHE_LINE) _Atomic uint32_t unfinished; /* futex: the caller waits for 0 */
    atomic_bool caller_sleeps;
};

struct worker_start {
    struct fnl_pool *pool;
    int number;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, uint32_t count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins while *word == value; false when the time is up and it still is. */
static bool spin_while(const struct fnl_pool *p, _Atomic uint32_t *word, uint32_t value)
{
    if (!p->spin) {
        return atomic_load(word) != value;
    }
    uint64_t end = 0;
    for (;;) {
        for (int i = 0; i < SPINS_PER_CLOCK_READ; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value) {
                return true;
            }
            pause_cpu();
        }
        uint64_t now = fnl_clock_ns();
        if (end == 0) {
            end = now + SPIN_NS;
        } else if (now >= end) {
            return false;
        }
    }
}

/* Claims and does items until none is left; true when it did the last ones of the job. */
static bool work(struct fnl_pool *p)
{
    uint32_t done = 0;
    while (atomic_load_explicit(&p->unclaimed, memory_order_relaxed) > 0) {
        int32_t left = atomic_fetch_sub_explicit(&p->unclaimed, 1, memory_order_acq_rel);
        if (left <= 0) {
            break;
        }
        p->fn(p->arg, p->items - left);
        done++;
    }
    return done != 0 && atomic_fetch_sub(&p->unfinished, done) == done;
}

static void *worker_main(void *start_arg)
{
    struct worker_start start = *(struct worker_start *)start_arg;
    fnl_free(start_arg);
    struct fnl_pool *p = start.pool;
    char name[16];
    (void)snprintf(name, sizeof name, "fnl-pool-%d", start.number);
    (void)pthread_setname_np(pthread_self(), name);
    uint32_t seen = 0; /* no run before this: the claims tell whether there is work */
    for (;;) {
        while (!spin_while(p, &p->round, seen)) {
            atomic_fetch_add(&p->sleepers, 1);
            futex_wait(&p->round, seen);
            atomic_fetch_sub(&p->sleepers, 1);
        }
        seen = atomic_load(&p->round);
        if (atomic_load(&p->stop)) {
            return NULL;
        }
        if (work(p) && atomic_load(&p->caller_sleeps)) {
            futex_wake(&p->unfinished, 1);
        }
    }
}

/* Begins a new round for at most `wanted` workers. */
static void call_workers(struct fnl_pool *p, uint32_t wanted)
{
    atomic_fetch_add(&p->round, 1);
    if (atomic_load(&p->sleepers) != 0) {
        futex_wake(&p->round, wanted);
    }
}

static int start_worker(struct fnl_pool *p, int number, struct fnl_error *err)
{
    struct worker_start *start = fnl_malloc(sizeof *start);
    if (start == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "thread pool: out of memory");
    }
    *start = (struct worker_start){p, number};
    int rc = pthread_create(&p->worker[p->started], NULL, worker_main, start);
    if (rc != 0) {
        fnl_free(start);
        char text[128];
        return FNL_FAIL(
            err, NOMEM, "use fewer threads (--threads), or raise the limit of processes",
            "thread pool: cannot start thread %d: %s", number, strerror_r(rc, text, sizeof text));
    }
    p->started++;
    return 0;
}

int fnl_pool_create(int threads, struct fnl_pool **ret_pool, struct fnl_error *err)
{
    if (threads < 1 || threads > FNL_MAX_THREADS) {
        return FNL_FAIL(err, INVALID, "--threads takes 1 to the number of CPUs",
                        "threads: expected 1 to %d, got %d", FNL_MAX_THREADS, threads);
    }
    struct fnl_pool *p = fnl_alloc_aligned(sizeof *p);
    if (p == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "thread pool: out of memory");
    }
    p->threads = threads;
    p->spin = threads <= fnl_host_cpus();
    p->worker = fnl_calloc((size_t)threads, sizeof *p->worker);
    int rc = p->worker != NULL ? 0 : FNL_FAIL(err, NOMEM, NULL, "thread pool: out of memory");
    /* Signals go to the program's own threads: workers start with all of them blocked. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; rc == 0 && i < threads; i++) {
        rc = start_worker(p, i, err);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        fnl_pool_free(p);
        return rc;
    }
    *ret_pool = p;
    return 0;
}

void fnl_pool_free(struct fnl_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    atomic_store(&pool->stop, true);
    call_workers(pool, FNL_MAX_THREADS);
    for (int i = 0; i < pool->started; i++) {
        (void)pthread_join(pool->worker[i], NULL);
    }
    fnl_free(pool->worker);
    fnl_free(pool);
}

int fnl_pool_threads(const struct fnl_pool *pool)
{
    return pool->threads;
}

void fnl_pool_run(struct fnl_pool *pool, void (*fn)(void *arg, int item), void *arg, int items)
{
    if (pool->threads == 1 || items <= 1) {
        for (int i = 0; i < items; i++) {
            fn(arg, i);
        }
        return;
    }
    pool->fn = fn;
    pool->arg = arg;
    pool->items = items;
    atomic_store_explicit(&pool->unfinished, (uint32_t)items, memory_order_relaxed);
    atomic_store_explicit(&pool->unclaimed, items, memory_order_release);
    call_workers(pool, (uint32_t)(items - 1 < pool->started ? items - 1 : pool->started));
    if (work(pool)) {
        return;
    }
    uint32_t left = 0;
    while ((left = atomic_load(&pool->unfinished)) != 0) {
        if (!spin_while(pool, &pool->unfinished, left)) {
            atomic_store(&pool->caller_sleeps, true);
            /* The kernel sleeps only while the count is still the one seen; the worker that ends
             * the job subtracts before it looks at the flag. */
            if (atomic_load(&pool->unfinished) == left) {
                futex_wait(&pool->unfinished, left);
            }
            atomic_store(&pool->caller_sleeps, false);
        }
    }
}
