/* threads.c - the thread count is timed, not assumed: on a small network, on a shared machine or
 * under a CPU quota fewer threads are often faster than all.
 *
 * Each candidate gets a pool, fresh parameters and a plan of its own, all freed afterwards: nothing
 * is left behind in the run's parameters. Cost: about 50 ms a candidate (two steps, where those
 * take longer), and there are log2(CPUs) of them. The first step is not timed (caches, page faults,
 * the library's code generation); of the rest the fastest counts, because all disturbances make a
 * step slower. */
#include "train/threads.h"

#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "train/evaluation.h"

#define WARM_STEPS 1
#define STEPS_MAX 200
#define BUDGET_NS 40000000u /* of one candidate, but one timed step at least */
/* More threads must save at least this part of the time, else fewer do: they leave CPUs to others
 * and depend less on all of them being free. */
#define WORTH 0.95

static int time_steps(struct fnl_exec *exec, const struct fnl_feed *feed, uint64_t *ret_ns,
                      struct fnl_error *err)
{
    uint64_t best = UINT64_MAX, spent = 0;
    for (uint64_t i = 1; i <= WARM_STEPS + 1 || (i <= STEPS_MAX && spent < BUDGET_NS); i++) {
        struct fnl_step_result result;
        uint64_t begin = fnl_clock_ns();
        /* A rate of 0: the weights stay, so that the loss stays finite whatever the rate. */
        int rc = fnl_exec_train_step(exec, feed, 0.0, i, &result, err);
        uint64_t ns = fnl_clock_ns() - begin;
        if (rc != 0) {
            return rc;
        }
        spent += ns;
        best = i > WARM_STEPS && ns < best ? ns : best;
    }
    *ret_ns = best;
    return 0;
}

static int time_threads(const struct fnl__network *n, const struct fnl_train_config *config,
                        const struct fnl_feed *feed, int threads, uint64_t *ret_ns,
                        struct fnl_error *err)
{
    struct fnl_pool *pool = NULL;
    struct fnl_params *params = NULL;
    struct fnl_exec *exec = NULL;
    int rc = fnl_pool_create(threads, &pool, err);
    rc = rc != 0
             ? rc
             : fnl_params_create(n->training.graph, n->backend, &config->optimizer, &params, err);
    rc = rc != 0 ? rc
                 : fnl__network_train_plan(n, config, params, pool,
                                           fnl__network_shards(config, threads), &exec, err);
    rc = rc != 0 ? rc : time_steps(exec, feed, ret_ns, err);
    fnl_exec_free(exec);
    fnl_params_free(params);
    fnl_pool_free(pool);
    return rc;
}

/* Twice as many, and at last all. */
static int next_candidate(int threads, int all)
{
    return threads >= all ? 0 : threads * 2 < all ? threads * 2 : all;
}

int fnl__threads_choose(const struct fnl__network *n, const struct fnl_train_config *config,
                        const struct fnl_splits *splits, int *ret_threads, struct fnl_error *err)
{
    int all = fnl_host_cpus();
    all = config->batch < all ? (int)config->batch : all;
    if (all <= 1) {
        *ret_threads = 1;
        return 0;
    }
    struct fnl_loader_options options = FNL_LOADER_OPTIONS_INIT;
    options.batch = (size_t)config->batch;
    struct fnl__feeder feeder = {0};
    struct fnl_loader *loader = NULL;
    struct fnl_batch batch;
    int rc = fnl_loader_create(config->data, splits, &splits->train, &options, &loader, err);
    rc = rc != 0 ? rc : fnl_loader_start(loader, 0, 0, err);
    rc = rc != 0 ? rc : fnl_loader_next(loader, &batch, err);
    rc = rc != 0 ? rc
                 : fnl__feeder_init(&feeder, &n->training, (enum fnl_loss)config->loss,
                                    &splits->train, (size_t)config->batch, err);
    int best = 1;
    uint64_t best_ns = 0;
    for (int threads = 1; rc == 0 && threads > 0; threads = next_candidate(threads, all)) {
        uint64_t ns = 0;
        struct fnl_feed feed = fnl__feeder_feed(&feeder, &batch);
        rc = time_threads(n, config, &feed, threads, &ns, err);
        if (rc == 0 && (best_ns == 0 || (double)ns < WORTH * (double)best_ns)) {
            best = threads;
            best_ns = ns;
        }
    }
    if (rc == 0) {
        *ret_threads = best;
    }
    fnl__feeder_free(&feeder);
    fnl_loader_free(loader);
    return rc;
}
