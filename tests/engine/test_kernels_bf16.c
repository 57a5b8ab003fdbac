/* The bfloat16 products of every instruction set: bit for bit against plain loops in their
 * documented order where the instruction is emulated, near sums in double everywhere; and networks
 * trained with them beside networks trained by float32 products of rounded values. */
#include "engine/bf16_check.h"
#include "engine/nets.h"

#include "base/buf.h"

/* ---- dense ---- */

struct dims {
    size_t M, K, N;
};

static const struct dims all_dims[] = {
    {1, 1, 1},     {1, 1, 17},   {2, 3, 5},     {3, 7, 16},   {5, 16, 10},   {6, 17, 33},
    {7, 33, 15},   {8, 2, 32},   {13, 6, 1},    {11, 49, 31}, {64, 128, 10}, {65, 785, 9},
    {3, 784, 128}, {97, 65, 47}, {203, 31, 48}, {192, 97, 7}, {194, 40, 70}, {6, 1501, 3},
};
#define DIMS (sizeof(all_dims) / sizeof(*all_dims))

typedef void dense_check(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape);

static void for_all_dense(dense_check *check_one)
{
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        for (size_t d = 0; d < DIMS; d++) {
            char shape[96];
            snprintf(shape, sizeof(shape), "%s M=%zu K=%zu N=%zu", list[i]->isa, all_dims[d].M,
                     all_dims[d].K, all_dims[d].N);
            check_one(list[i], &all_dims[d], shape);
        }
    }
}

static void check_forward(const struct fnl_cpu_kernels *k, const struct dims *d, const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 3, ldy = N + 5;
    struct floats x = floats_random((M - 1) * ldx + K, 2), plain = floats_random(K * N, 3);
    struct floats bias = floats_random(N, 4), w = pack_panels(k, K, N, plain.f);
    struct floats row = floats_new(N);
    struct floats scratch = floats_aligned(k->dense_scratch_bf16(M, K, N));
    for (int variant = 0; variant < 4; variant++) {
        const float *b = variant & 1 ? bias.f : NULL;
        const enum fnl_cpu_activation act = variant & 2 ? FNL_CPU_RELU : FNL_CPU_NONE;
        struct floats y = floats_untouched((M - 1) * ldy + N);
        k->dense_forward_bf16(M, K, N, x.f, ldx, w.f, b, act, y.f, ldy, scratch.f);
        for (size_t i = 0; i < y.count; i++) {
            const size_t m = i / ldy, n = i % ldy;
            if (n >= N) {
                untouched(y.f[i]);
                continue;
            }
            struct pair_sum s = pair_sum_from(b ? b[n] : 0);
            for (size_t j = 0; j < K; j++) {
                pair_sum_add(&s, x.f[m * ldx + j], plain.f[j * N + n]);
            }
            check_pair_sum(k, "dense_forward_bf16", shape, i, y.f[i], &s, act == FNL_CPU_RELU);
        }
        for (size_t m = 0; m < M; m += 1 + M / 7) {
            k->dense_forward_bf16(1, K, N, x.f + m * ldx, ldx, w.f, b, act, row.f, N, scratch.f);
            assert_memory_equal(row.f, y.f + m * ldy, N * sizeof(float));
        }
        floats_free(&y);
    }
    floats_free(&x);
    floats_free(&plain);
    floats_free(&bias);
    floats_free(&w);
    floats_free(&row);
    floats_free(&scratch);
}

static void forward_is_right_and_rows_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    for_all_dense(check_forward);
}

static void check_grad_weights(const struct fnl_cpu_kernels *k, const struct dims *d,
                               const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 1, ldy = N + 2;
    struct floats x = floats_random((M - 1) * ldx + K, 5);
    struct floats dy = floats_random((M - 1) * ldy + N, 6), before = floats_random(K * N, 7);
    struct floats dw = floats_aligned(panel_floats(k, K, N)), dbias = floats_new(N);
    struct floats plain = floats_new(K * N);
    struct floats scratch = floats_aligned(k->dense_scratch_bf16(M, K, N));
    for (int add = 0; add < 2; add++) {
        if (add) {
            k->panel_pack(K, N, before.f, (ptrdiff_t)N, 1, dw.f);
        }
        memset(dbias.f, add ? 0 : 0xff, N * sizeof(float));
        k->dense_grad_weights_bf16(M, K, N, x.f, ldx, dy.f, ldy, dw.f, dbias.f, add, scratch.f);
        k->panel_unpack(K, N, dw.f, plain.f, (ptrdiff_t)N, 1);
        for (size_t i = 0; i < K * N; i++) {
            struct pair_sum s = pair_sum_from(add ? before.f[i] : 0);
            for (size_t m = 0; m < M; m++) {
                pair_sum_add(&s, x.f[m * ldx + i / N], dy.f[m * ldy + i % N]);
            }
            check_pair_sum(k, "dense_grad_weights_bf16", shape, i, plain.f[i], &s, false);
        }
        for (size_t n = 0; n < N; n++) {
            double sum = 0, scale = 0;
            for (size_t m = 0; m < M; m++) {
                sum += (double)dy.f[m * ldy + n];
                scale += fabs((double)dy.f[m * ldy + n]);
            }
            check_sum("dense_grad_weights_bf16: bias", shape, n, dbias.f[n], sum, scale);
        }
        /* Columns that pad the last panel are zero and must stay zero. */
        for (size_t i = 0; i < dw.count; i++) {
            const size_t panel = (size_t)k->panel;
            if (i / (K * panel) * panel + i % panel >= N) {
                assert_true(fabsf(dw.f[i]) <= 0);
            }
        }
    }
    floats_free(&x);
    floats_free(&dy);
    floats_free(&before);
    floats_free(&dw);
    floats_free(&dbias);
    floats_free(&plain);
    floats_free(&scratch);
}

static void gradients_of_weights_are_set_or_added_to(void **state)
{
    (void)state;
    for_all_dense(check_grad_weights);
}

static void check_grad_data(const struct fnl_cpu_kernels *k, const struct dims *d,
                            const char *shape)
{
    const size_t M = d->M, K = d->K, N = d->N, ldx = K + 4, ldy = N + 1;
    struct floats dy = floats_random((M - 1) * ldy + N, 8), plain = floats_random(K * N, 9);
    struct floats w = pack_panels(k, K, N, plain.f), dx = floats_untouched((M - 1) * ldx + K);
    struct floats scratch = floats_aligned(k->dense_scratch_bf16(M, K, N));
    k->dense_grad_data_bf16(M, K, N, dy.f, ldy, w.f, dx.f, ldx, scratch.f);
    for (size_t i = 0; i < dx.count; i++) {
        const size_t m = i / ldx, j = i % ldx;
        if (j >= K) {
            untouched(dx.f[i]);
            continue;
        }
        struct pair_sum s = pair_sum_from(0);
        for (size_t n = 0; n < N; n++) {
            pair_sum_add(&s, dy.f[m * ldy + n], plain.f[j * N + n]);
        }
        check_pair_sum(k, "dense_grad_data_bf16", shape, i, dx.f[i], &s, false);
    }
    floats_free(&dy);
    floats_free(&plain);
    floats_free(&w);
    floats_free(&dx);
    floats_free(&scratch);
}

static void gradients_of_data_are_right(void **state)
{
    (void)state;
    for_all_dense(check_grad_data);
}

/* ---- numbers that are not ---- */

static void nan_and_infinity_stay_in_their_row(void **state)
{
    (void)state;
    const struct fnl_cpu_kernels *list[4];
    int count = fnl_cpu_kernels_list(list);
    for (int i = 0; i < count; i++) {
        const float x[3][3] = {{1, 2, NAN}, {-1, 0.5F, -2}, {INFINITY, 3.4e38F, 1}};
        const float plain[3] = {1, 1, 1};
        float y[3];
        struct floats w = pack_panels(list[i], 3, 1, plain);
        struct floats scratch = floats_aligned(list[i]->dense_scratch_bf16(3, 3, 1));
        list[i]->dense_forward_bf16(3, 3, 1, x[0], 3, w.f, NULL, FNL_CPU_RELU, y, 1, scratch.f);
        assert_true(isnan(y[0]));
        assert_true(y[1] <= 0 && y[1] >= 0);
        assert_true(isinf(y[2]));
        floats_free(&w);
        floats_free(&scratch);
    }
}

/* ---- whole networks ---- */

enum { STEPS = 10, ROWS = 37 };

/* What training in one way leaves: the losses of STEPS steps, all momenta, the plan. */
struct trained {
    double loss[STEPS];
    float *momentum;
    size_t count;
    struct fnl_buf plan;
};

static void read_momenta(const struct fnl_params *params, struct trained *t)
{
    struct fnl_error err = FNL_ERROR_INIT;
    t->count = 0;
    for (int i = 0; i < fnl_params_count(params); i++) {
        t->count += fnl_params_trainable(params, i) ? fnl_params_size(params, i) : 0;
    }
    t->momentum = fnl_malloc(t->count * sizeof *t->momentum);
    assert_non_null(t->momentum);
    float *to = t->momentum;
    for (int i = 0; i < fnl_params_count(params); i++) {
        if (fnl_params_trainable(params, i)) {
            ok(fnl_params_read(params, i, 1, to, &err));
            to += fnl_params_size(params, i);
        }
    }
}

/* The inputs are bfloat16 numbers from the start: the bfloat16 products round them, float32
 * products take them as they come. */
static void train(enum net_kind kind, const char *how, enum fnl_precision precision,
                  struct trained *t)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_optimizer sgd = FNL_OPTIMIZER_INIT;
    struct fnl_params *params;
    struct fnl_exec *exec;
    struct fnl_pool *pool;
    struct net net;
    sgd.momentum = 0.9F;
    setenv("FOURNIL_BF16", how, 1);
    net_open(&net, kind, ROWS);
    for (size_t i = 0; i < ROWS * net.row; i++) {
        net.x[i] = bf16_rounded(net.x[i]);
    }
    ok(fnl_pool_create(2, &pool, &err));
    ok(fnl_params_create(net.graph, "cpu", &sgd, &params, &err));
    struct fnl_exec_options o = FNL_EXEC_OPTIONS_INIT;
    o.batch = ROWS;
    o.shards = 3;
    o.training = true;
    o.precision = precision;
    o.loss_value = net.loss;
    o.scores_value = net.scores;
    o.block_bytes = 8192; /* several blocks of rows a shard */
    ok(fnl_exec_create(net.graph, params, pool, &o, &exec, &err));
    fnl_buf_init(&t->plan, 1 << 20);
    ok(fnl_exec_describe(exec, &t->plan));
    for (uint64_t i = 0; i < STEPS; i++) {
        const void *input[2] = {net.x, net.labels};
        struct fnl_feed feed = {.rows = ROWS, .input = input};
        struct fnl_step_result r;
        ok(fnl_exec_train_step(exec, &feed, 0.05, i + 1, &r, &err));
        t->loss[i] = r.loss_sum / ROWS;
    }
    read_momenta(params, t);
    fnl_exec_free(exec);
    fnl_params_free(params);
    fnl_pool_free(pool);
    net_close(&net);
    unsetenv("FOURNIL_BF16");
}

static void trained_free(struct trained *t)
{
    fnl_free(t->momentum);
    fnl_buf_free(&t->plan);
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)) != NULL; text++) {
        count++;
    }
    return count;
}

static void networks_learn_as_with_rounded_float32(void **state)
{
    (void)state;
    for (enum net_kind kind = NET_MLP; kind <= NET_CNN_NORM; kind++) {
        struct trained full, apart, bf16;
        train(kind, "emulate", FNL_PRECISION_F32, &full);
        train(kind, "off", FNL_PRECISION_BF16, &apart);
        train(kind, "emulate", FNL_PRECISION_BF16, &bf16);
        /* Of two layers: 2 forward, 2 of weights, 1 of data; of two convolutions before them, the
         * same and the data of the dense layer behind. */
        assert_int_equal(count_of(full.plan.data, " bf16\n"), 0);
        assert_int_equal(count_of(apart.plan.data, " bf16\n"), 0);
        assert_int_equal(count_of(bf16.plan.data, " bf16\n"), kind == NET_MLP ? 5 : 11);
        for (int i = 0; i < STEPS; i++) {
            if (!(fabs(bf16.loss[i] - apart.loss[i]) <= 1e-3 * fabs(apart.loss[i]))) {
                fail_msg("net %d, step %d: loss %.9g, %.9g with float32 products", (int)kind, i + 1,
                         bf16.loss[i], apart.loss[i]);
            }
        }
        assert_true(bf16.loss[STEPS - 1] < bf16.loss[0]);
        /* Other kernels ran: the order of a sum shows in the last bits of sums of gradients (in the
         * weights, so much larger, it drowns). */
        assert_memory_not_equal(bf16.momentum, apart.momentum, bf16.count * sizeof(float));
        for (size_t i = 0; i < bf16.count; i++) {
            if (!(fabsf(bf16.momentum[i] - apart.momentum[i]) <= 1e-3F)) {
                fail_msg("net %d: momentum %zu is %.9g, %.9g with float32 products", (int)kind, i,
                         (double)bf16.momentum[i], (double)apart.momentum[i]);
            }
        }
        trained_free(&full);
        trained_free(&apart);
        trained_free(&bf16);
    }
}

static void environment_turns_the_products_on_and_off(void **state)
{
    (void)state;
    setenv("FOURNIL_BF16", "emulate", 1);
    assert_true(fnl_cpu_bf16_products());
    setenv("FOURNIL_BF16", "off", 1);
    assert_false(fnl_cpu_bf16_products());
    unsetenv("FOURNIL_BF16");
    assert_true(fnl_cpu_bf16_products() == fnl_cpu_kernels()->has_bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_right_and_rows_do_not_depend_on_neighbours),
        cmocka_unit_test(gradients_of_weights_are_set_or_added_to),
        cmocka_unit_test(gradients_of_data_are_right),
        cmocka_unit_test(nan_and_infinity_stay_in_their_row),
        cmocka_unit_test(networks_learn_as_with_rounded_float32),
        cmocka_unit_test(environment_turns_the_products_on_and_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
