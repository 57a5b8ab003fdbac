/* test_exec.c - what the executor promises: no allocation in a step, results that depend on shards
 * and never on threads, the same result for any split into rows, a non-finite loss that changes
 * nothing. */
#include <math.h>

#include "engine/nets.h"

struct session {
    struct net net;
    struct fnl_params *params;
    struct fnl_pool *pool;
    struct fnl_exec *exec;
};

static size_t block_bytes;  /* 0: the default */
static bool keep_gradients; /* no update is fused with its gradient then */

static void open_session(struct session *s, enum net_kind kind, const char *backend, int threads,
                         int shards, struct fnl_optimizer optimizer, enum fnl_precision precision)
{
    struct fnl_error err = FNL_ERROR_INIT;
    net_open(&s->net, kind, 40);
    ok(fnl_params_create(s->net.graph, backend, &optimizer, &s->params, &err));
    ok(fnl_pool_create(threads, &s->pool, &err));
    struct fnl_exec_options o = FNL_EXEC_OPTIONS_INIT;
    o.batch = 40;
    o.shards = shards;
    o.block_bytes = block_bytes;
    o.keep_gradients = keep_gradients;
    o.training = true;
    o.precision = precision;
    o.loss_value = s->net.loss;
    o.scores_value = s->net.scores;
    ok(fnl_exec_create(s->net.graph, s->params, s->pool, &o, &s->exec, &err));
}

static void close_session(struct session *s)
{
    fnl_exec_free(s->exec);
    fnl_pool_free(s->pool);
    fnl_params_free(s->params);
    net_close(&s->net);
}

static int step(struct session *s, size_t rows, uint64_t number, double rate,
                struct fnl_step_result *r, struct fnl_error *err)
{
    const void *input[2] = {s->net.x, s->net.labels};
    struct fnl_feed feed = {rows, input, false};
    return fnl_exec_train_step(s->exec, &feed, rate, number, r, err);
}

/* Mean loss after `steps` steps, and all parameters in *ret_params (fnl_free). */
static double train(enum net_kind kind, const char *backend, int threads, int shards, int steps,
                    enum fnl_precision precision, float **ret_params, size_t *ret_count)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer adam = FNL_OPTIMIZER_INIT;
    adam.kind = FNL_ADAM;
    adam.clip_norm = 1.0F;
    struct session s;
    open_session(&s, kind, backend, threads, shards, adam, precision);
    struct fnl_step_result r = {0};
    for (int i = 1; i <= steps; i++) {
        size_t rows = i % 3 == 0 ? 17 : 40; /* a short batch now and then, as at an epoch's end */
        ok(step(&s, rows, (uint64_t)i, 0.003, &r, &err));
    }
    size_t count = 0;
    for (int i = 0; i < fnl_params_count(s.params); i++) {
        count += fnl_params_size(s.params, i);
    }
    float *all = fnl_malloc(count * sizeof *all), *p = all;
    assert_non_null(all);
    for (int i = 0; i < fnl_params_count(s.params); i++) {
        ok(fnl_params_read(s.params, i, 0, p, &err));
        p += fnl_params_size(s.params, i);
    }
    close_session(&s);
    *ret_params = all;
    *ret_count = count;
    return r.loss_sum;
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        struct session s;
        open_session(&s, kind, "cpu", 2, 0, sgd, FNL_PRECISION_F32);
        struct fnl_step_result r;
        uint64_t before = fnl_mem_alloc_count();
        for (uint64_t i = 1; i <= 3; i++) {
            ok(step(&s, 40, i, 0.01, &r, &err));
        }
        assert_int_equal(fnl_mem_alloc_count(), before);
        close_session(&s);
    }
}

static void threads_do_not_change_the_bits(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        float *one, *three;
        size_t count, count3;
        train(kind, "cpu", 1, 4, 7, FNL_PRECISION_F32, &one, &count);
        train(kind, "cpu", 3, 4, 7, FNL_PRECISION_F32, &three, &count3);
        assert_int_equal(count, count3);
        assert_memory_equal(one, three, count * sizeof *one);
        fnl_free(one);
        fnl_free(three);
    }
}

static void shards_change_only_the_rounding(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        float *a, *b;
        size_t count;
        double one = train(kind, "cpu", 1, 1, 7, FNL_PRECISION_F32, &a, &count);
        double five = train(kind, "cpu", 1, 5, 7, FNL_PRECISION_F32, &b, &count);
        assert_true(fabs(one - five) < 1e-4 * fabs(one));
        fnl_free(a);
        fnl_free(b);
    }
}

/* One row at a time, or all at once: a step that forgets what it added up, or reads a block that is
 * gone, shows here. */
static void blocks_of_rows_change_only_the_rounding(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_CNN; kind <= NET_CNN_NORM; kind++) {
        float *a, *b;
        size_t count;
        block_bytes = 1;
        double rows = train(kind, "cpu", 1, 2, 7, FNL_PRECISION_F32, &a, &count);
        block_bytes = (size_t)1 << 40;
        double whole = train(kind, "cpu", 1, 2, 7, FNL_PRECISION_F32, &b, &count);
        block_bytes = 0;
        assert_true(fabs(rows - whole) < 1e-4 * fabs(whole));
        assert_memory_not_equal(a, b, count * sizeof *a);
        fnl_free(a);
        fnl_free(b);
    }
}

static void cpu_follows_the_reference(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        float *a, *b;
        size_t count;
        double ref = train(kind, "ref", 1, 1, 9, FNL_PRECISION_F32, &a, &count);
        double cpu = train(kind, "cpu", 1, 1, 9, FNL_PRECISION_F32, &b, &count);
        if (fabs(ref - cpu) > 1e-4 * fabs(ref)) {
            fail_msg("net %d: loss %.9g on ref, %.9g on cpu", (int)kind, ref, cpu);
        }
        fnl_free(a);
        fnl_free(b);
    }
}

/* Values and the optimiser's state after some steps, the last of a short batch. */
static float *trained(enum net_kind kind, struct fnl_optimizer optimizer, int shards, size_t *count)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct session s;
    struct fnl_step_result r;
    open_session(&s, kind, "cpu", 2, shards, optimizer, FNL_PRECISION_F32);
    for (uint64_t i = 1; i <= 4; i++) {
        ok(step(&s, i % 4 == 0 ? 17 : 40, i, 0.01, &r, &err));
    }
    *count = 0;
    for (int i = 0; i < fnl_params_count(s.params); i++) {
        *count += fnl_params_size(s.params, i) * 3;
    }
    float *all = fnl_calloc(*count, sizeof *all), *p = all;
    assert_non_null(all);
    for (int i = 0; i < fnl_params_count(s.params); i++) {
        for (int slot = 0; slot < fnl_params_slots(s.params); slot++) {
            if (slot == 0 || fnl_params_trainable(s.params, i)) {
                ok(fnl_params_read(s.params, i, slot, p, &err));
            }
            p += fnl_params_size(s.params, i);
        }
    }
    close_session(&s);
    return all;
}

static const struct fnl_optimizer optimizers[] = {
    {.kind = FNL_SGD},
    {.kind = FNL_SGD, .momentum = 0.9F, .nesterov = true, .weight_decay = 0.01F},
    {.kind = FNL_SGD, .clip_value = 0.001F},
    {.kind = FNL_SGD, .clip_norm = 0.1F},
    {.kind = FNL_ADAM, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F},
    {.kind = FNL_ADAM, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .weight_decay = 0.01F},
    {.kind = FNL_ADAMW, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .weight_decay = 0.01F},
};

static void an_update_fused_with_its_gradient_makes_the_same_bits(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
            for (int shards = 1; shards <= 3; shards += 2) {
                size_t count, kept_count;
                float *fused = trained(kind, optimizers[i], shards, &count);
                keep_gradients = true;
                float *kept = trained(kind, optimizers[i], shards, &kept_count);
                keep_gradients = false;
                assert_int_equal(count, kept_count);
                assert_memory_equal(fused, kept, count * sizeof *fused);
                fnl_free(fused);
                fnl_free(kept);
            }
        }
    }
}

/* Threads share the gradient of a dense layer's weights over the whole batch, in the order of its
 * rows: after one step from equal weights not a bit depends on the shards. */
static void dense_weights_do_not_depend_on_shards(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_step_result r;
    float *first = NULL;
    for (int shards = 1; shards <= 7; shards += 2) {
        struct session s;
        open_session(&s, NET_MLP, "cpu", 2, shards, optimizers[4], FNL_PRECISION_F32);
        ok(step(&s, 37, 1, 0.01, &r, &err));
        size_t count = fnl_params_size(s.params, 0);
        float *values = fnl_malloc(count * sizeof *values);
        ok(fnl_params_read(s.params, 0, 0, values, &err));
        close_session(&s);
        if (first == NULL) {
            first = values;
        } else {
            assert_memory_equal(first, values, count * sizeof *values);
            fnl_free(values);
        }
    }
    fnl_free(first);
}

/* bfloat16 keeps 8 bits: it must differ from float32, and stay near it. */
static void bfloat16_is_near_float32_and_not_the_same(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        float *a, *b;
        size_t count;
        double full = train(kind, "cpu", 1, 1, 9, FNL_PRECISION_F32, &a, &count);
        double half = train(kind, "cpu", 1, 1, 9, FNL_PRECISION_BF16, &b, &count);
        assert_true(full != half);
        assert_true(fabs(full - half) < 0.05 * fabs(full));
        fnl_free(a);
        fnl_free(b);
    }
}

static void a_loss_that_is_not_finite_changes_no_parameter(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    struct session s;
    open_session(&s, NET_MLP, "cpu", 1, 0, sgd, FNL_PRECISION_F32);
    size_t count = fnl_params_size(s.params, 0);
    float *before = fnl_malloc(count * sizeof *before), *after = fnl_malloc(count * sizeof *after);
    ok(fnl_params_read(s.params, 0, 0, before, &err));
    s.net.x[5] = NAN;
    struct fnl_step_result r;
    assert_int_equal(step(&s, 40, 1, 0.01, &r, &err), FNL_E_DIVERGED);
    assert_non_null(strstr(err.message, "step 1"));
    ok(fnl_params_read(s.params, 0, 0, after, &err));
    assert_memory_equal(before, after, count * sizeof *before);
    fnl_free(before);
    fnl_free(after);
    close_session(&s);
}

static void loss_and_hits_are_counted_over_all_shards(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    struct fnl_step_result whole, parts;
    struct session s;
    open_session(&s, NET_CNN, "cpu", 1, 1, sgd, FNL_PRECISION_F32);
    ok(step(&s, 40, 1, 0.0, &whole, &err));
    float *scores = fnl_malloc(40 * 10 * sizeof *scores);
    ok(fnl_exec_read(s.exec, s.net.scores, scores, &err));
    uint64_t hits = 0;
    for (int i = 0; i < 40; i++) {
        int best = 0;
        for (int c = 1; c < 10; c++) {
            best = scores[i * 10 + c] > scores[i * 10 + best] ? c : best;
        }
        hits += best == s.net.labels[i];
    }
    assert_int_equal(whole.correct, hits);
    fnl_free(scores);
    close_session(&s);
    open_session(&s, NET_CNN, "cpu", 2, 7, sgd, FNL_PRECISION_F32);
    ok(step(&s, 40, 1, 0.0, &parts, &err));
    /* A row's result does not depend on its neighbours, and rows are summed in order. */
    assert_true(whole.loss_sum == parts.loss_sum);
    assert_int_equal(whole.correct, parts.correct);
    close_session(&s);
}

/* The last batch of an epoch may be shorter than there are shards: some have no rows then. */
static void fewer_rows_than_shards_are_as_good_as_any(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    struct fnl_step_result r;
    struct session one, eight;
    open_session(&one, NET_MLP, "cpu", 1, 1, sgd, FNL_PRECISION_F32);
    open_session(&eight, NET_MLP, "cpu", 2, 8, sgd, FNL_PRECISION_F32);
    static const size_t rows[] = {40, 3, 5, 40, 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ok(step(&one, rows[i], i + 1, 0.1, &r, &err));
        ok(step(&eight, rows[i], i + 1, 0.1, &r, &err));
    }
    size_t count = fnl_params_size(one.params, 0);
    float *a = fnl_malloc(count * sizeof *a), *b = fnl_malloc(count * sizeof *b);
    ok(fnl_params_read(one.params, 0, 0, a, &err));
    ok(fnl_params_read(eight.params, 0, 0, b, &err));
    for (size_t i = 0; i < count; i++) {
        assert_true(fabsf(a[i] - b[i]) < 1e-4F);
    }
    fnl_free(a);
    fnl_free(b);
    close_session(&one);
    close_session(&eight); /* each block is freed once: sanitizers look on */
}

static void too_many_rows_are_refused(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    struct fnl_step_result r;
    struct session s;
    open_session(&s, NET_MLP, "cpu", 1, 1, sgd, FNL_PRECISION_F32);
    assert_int_equal(step(&s, 41, 1, 0.0, &r, &err), FNL_E_INVALID);
    assert_int_equal(step(&s, 0, 1, 0.0, &r, &err), FNL_E_INVALID);
    close_session(&s);
}

/* The same with every convolution that can by Winograd's algorithm. */
static int by_winograd(void **state)
{
    (void)state;
    return setenv("FOURNIL_CONV", "winograd", 1);
}

static int as_it_comes(void **state)
{
    (void)state;
    return unsetenv("FOURNIL_CONV");
}

#define WINOGRAD_TEST(test)                                                                        \
    {                                                                                              \
#test "_by_winograd", test, by_winograd, as_it_comes, NULL                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(threads_do_not_change_the_bits),
        cmocka_unit_test(shards_change_only_the_rounding),
        cmocka_unit_test(blocks_of_rows_change_only_the_rounding),
        cmocka_unit_test(cpu_follows_the_reference),
        WINOGRAD_TEST(threads_do_not_change_the_bits),
        WINOGRAD_TEST(shards_change_only_the_rounding),
        WINOGRAD_TEST(blocks_of_rows_change_only_the_rounding),
        WINOGRAD_TEST(cpu_follows_the_reference),
        cmocka_unit_test(an_update_fused_with_its_gradient_makes_the_same_bits),
        cmocka_unit_test(dense_weights_do_not_depend_on_shards),
        cmocka_unit_test(bfloat16_is_near_float32_and_not_the_same),
        cmocka_unit_test(a_loss_that_is_not_finite_changes_no_parameter),
        cmocka_unit_test(loss_and_hits_are_counted_over_all_shards),
        cmocka_unit_test(fewer_rows_than_shards_are_as_good_as_any),
        cmocka_unit_test(too_many_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
