/* How many kernels a training step launches on a GPU: small networks wait for launches, not for
 * arithmetic, so what is fused must stay fused. */
#include "nets.h"

#include "base/pool.h"

#define DEVICE "opencl:0"
#define ROWS 16

static int launches_of(enum net_kind kind)
{
    static const struct fnl_optimizer optimizer = FNL_OPTIMIZER_INIT;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_params *params = NULL;
    struct fnl_pool *pool = NULL;
    struct fnl_exec *exec = NULL;
    struct net n;
    net_open(&n, kind, ROWS);
    if (fnl_params_create(n.graph, DEVICE, &optimizer, &params, &err) != 0) {
        print_message("skipped: %s\n", err.message);
        net_close(&n);
        skip();
    }
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    options.batch = ROWS;
    options.shards = 1;
    options.training = true;
    options.loss_value = n.loss;
    options.scores_value = n.scores;
    ok(fnl_pool_create(1, &pool, &err));
    ok(fnl_exec_create(n.graph, params, pool, &options, &exec, &err));
    const void *const input[] = {n.x, n.labels};
    struct fnl_feed feed = {.rows = ROWS, .input = input};
    struct fnl_step_result result;
    ok(fnl_exec_train_step(exec, &feed, 0.01, 1, &result, &err));
    int launches = fnl_exec_launches(exec, ROWS);
    fnl_exec_free(exec);
    fnl_params_free(params);
    fnl_pool_free(pool);
    net_close(&n);
    return launches;
}

/* Two dense layers. With the gathering of a batch from a data set on the device it is one more. */
static void an_mlp_step_is_8_launches(void **state)
{
    (void)state;
    assert_in_range(launches_of(NET_MLP), 1, 8);
}

/* Two convolutions with pools, two dense layers. */
static void a_cnn_step_is_29_launches(void **state)
{
    (void)state;
    assert_in_range(launches_of(NET_CNN), 1, 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_mlp_step_is_8_launches),
        cmocka_unit_test(a_cnn_step_is_29_launches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
