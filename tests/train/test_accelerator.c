/* The tutorial models on an accelerator (PoCL, or FOURNIL_TEST_DEVICE): the losses of their first
 * 50 steps are the CPU's, fed batch by batch and from a bound data set, in as few launches as they
 * should take. Real data; skips aloud where it or the device is absent. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/accel.h"
#include "train/network.h"

enum { STEPS = 50 };

struct trainer {
    struct fnl_train_config *config;
    struct fnl_splits *splits;
    struct fnl__network network;
    struct fnl_loader *loader;
    double loss[STEPS];
};

static const char *device_name(void)
{
    const char *name = getenv("FOURNIL_TEST_DEVICE");
    return name != NULL ? name : "opencl:0";
}

static void check(int rc, const struct fnl_error *err)
{
    if (rc != 0) {
        print_error("%s\n", err->message);
    }
    assert_int_equal(rc, 0);
}

static void skip_without_device(void)
{
    struct fnl_accel_info info;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_accel_find(device_name(), &info, &err) != 0) {
        print_message("skipped: %s\n", err.message);
        skip();
    }
}

/* false: the data is not here. */
static bool open_trainer(struct trainer *t, const char *path, const char *device)
{
    struct fnl_error err = FNL_ERROR_INIT;
    char assignment[64];
    const char *const assignments[] = {assignment, "data.limit=3200"};
    (void)snprintf(assignment, sizeof assignment, "train.device=%s", device);
    *t = (struct trainer){.config = NULL};
    check(fnl_train_config_load(path, NULL, assignments, 2, false, &t->config, &err), &err);
    struct fnl_train_config *c = t->config;
    if (fnl_data_load(c->data, c->directory, (uint64_t)c->seed, &t->splits, &err) != 0) {
        print_message("skipped: %s\n", err.message);
        fnl_train_config_free(c);
        return false;
    }
    check(fnl__network_build(&t->network, c, &t->splits->train, &err), &err);
    check(fnl__network_prepare(&t->network, c, &t->splits->train, 1, &err), &err);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = (size_t)c->batch;
    o.shuffle = true;
    o.seed = (uint64_t)c->seed;
    check(fnl_loader_create(c->data, t->splits, &t->splits->train, &o, &t->loader, &err), &err);
    return true;
}

static void close_trainer(struct trainer *t)
{
    fnl_loader_free(t->loader);
    fnl__network_free(&t->network);
    fnl_splits_free(t->splits);
    fnl_train_config_free(t->config);
}

static double rate_of(const struct trainer *t)
{
    return t->config->schedule.learning_rate;
}

static void one_step(struct trainer *t, int i)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_batch batch;
    struct fnl_step_result result;
    check(fnl_loader_next(t->loader, &batch, &err), &err);
    struct fnl_feed feed = fnl__feeder_feed(&t->network.train_feeder, &batch);
    check(fnl_exec_train_step(t->network.train_exec, &feed, rate_of(t), (uint64_t)i + 1, &result,
                              &err),
          &err);
    t->loss[i] = result.loss_sum / (double)batch.rows;
}

/* Weights and the optimiser's moments. */
static void copy_state(const struct trainer *from, struct trainer *to)
{
    struct fnl_error err = FNL_ERROR_INIT;
    const struct fnl_params *params = from->network.params;
    for (int i = 0; i < fnl_params_count(params); i++) {
        float *values = malloc(fnl_params_size(params, i) * sizeof *values);
        assert_non_null(values);
        for (int slot = 0; slot < fnl_params_slots(params); slot++) {
            check(fnl_params_read(params, i, slot, values, &err), &err);
            check(fnl_params_write(to->network.params, i, slot, values, &err), &err);
        }
        free(values);
    }
}

static void train_side_by_side(struct trainer *cpu, struct trainer *accel, bool freely)
{
    struct fnl_error err = FNL_ERROR_INIT;
    double bound = freely ? 1e-3 : 1e-4;
    check(fnl_loader_start(cpu->loader, 0, 0, &err), &err);
    check(fnl_loader_start(accel->loader, 0, 0, &err), &err);
    for (int i = 0; i < STEPS; i++) {
        if (!freely) {
            copy_state(cpu, accel);
        }
        one_step(cpu, i);
        one_step(accel, i);
        if (!(fabs(accel->loss[i] - cpu->loss[i]) <= bound * fabs(cpu->loss[i]))) {
            fail_msg("step %d: loss %.9g, on the CPU %.9g", i + 1, accel->loss[i], cpu->loss[i]);
        }
    }
}

static void bind(struct trainer *t)
{
    struct fnl_error err = FNL_ERROR_INIT;
    const struct fnl_dataset *d = &t->splits->train;
    const struct fnl_normalization *n = &t->splits->normalization;
    const struct fnl_exec_data set = {.count = d->count,
                                      .dtype = d->dtype,
                                      .x = d->samples,
                                      .sample_size = d->sample_size,
                                      .image_channels = (size_t)d->sample.dim[0],
                                      .channels_last = true,
                                      .norm_channels = n->channels,
                                      .mul = n->mul,
                                      .add = n->add,
                                      .labels = d->labels,
                                      .input = t->network.train_feeder.input_at,
                                      .target = t->network.train_feeder.target_at};
    check(fnl_exec_bind(t->network.train_exec, &set, &err), &err);
}

/* All steps in calls of 7, so that a call ends in the middle of nothing in particular. */
static void train_bound(struct trainer *t, double *ret_sum)
{
    struct fnl_error err = FNL_ERROR_INIT;
    size_t batch = (size_t)t->config->batch;
    uint32_t *order = malloc(t->splits->train.count * sizeof *order);
    assert_non_null(order);
    fnl_loader_order(t->loader, 0, order);
    bind(t);
    *ret_sum = 0.0;
    for (size_t first = 0; first < STEPS; first += 7) {
        size_t steps = STEPS - first < 7 ? STEPS - first : 7;
        double rate[7];
        for (size_t i = 0; i < steps; i++) {
            rate[i] = rate_of(t);
        }
        struct fnl_exec_rows rows = {.count = steps * batch, .order = order + first * batch};
        struct fnl_step_result result;
        check(fnl_exec_train_rows(t->network.train_exec, &rows, rate, first + 1, &result, &err),
              &err);
        *ret_sum += result.loss_sum;
    }
    free(order);
}

/* The same steps over a bound set: the losses' sum that fed batches gave, and few launches. */
static void check_bound(const char *path, double fed_sum, int most_launches)
{
    struct trainer t;
    double sum = 0.0;
    assert_true(open_trainer(&t, path, device_name()));
    train_bound(&t, &sum);
    int launches = fnl_exec_launches(t.network.train_exec, (size_t)t.config->batch);
    print_message("# %s: %d launches a step\n", path, launches);
    assert_in_range(launches, 1, most_launches);
    assert_true(fabs(sum - fed_sum) <= 1e-6 * fabs(fed_sum));
    close_trainer(&t);
}

static double free_sum(const char *path)
{
    struct trainer t;
    struct fnl_error err = FNL_ERROR_INIT;
    double sum = 0.0;
    assert_true(open_trainer(&t, path, device_name()));
    check(fnl_loader_start(t.loader, 0, 0, &err), &err);
    for (int i = 0; i < STEPS; i++) {
        one_step(&t, i);
        sum += t.loss[i] * (double)t.config->batch;
    }
    close_trainer(&t);
    return sum;
}

static void follow_the_cpu(const char *path, bool freely, int most_launches)
{
    struct trainer cpu, accel;
    skip_without_device();
    if (!open_trainer(&cpu, path, "cpu")) {
        skip();
    }
    assert_true(open_trainer(&accel, path, device_name()));
    train_side_by_side(&cpu, &accel, freely);
    close_trainer(&accel);
    close_trainer(&cpu);
    check_bound(path, free_sum(path), most_launches);
}

static void mnist_mlp_follows_the_cpu_in_9_launches_a_step(void **state)
{
    (void)state;
    follow_the_cpu("examples/mnist_mlp.yaml", true, 9);
}

static void cifar10_cnn_follows_the_cpu_in_30_launches_a_step(void **state)
{
    (void)state;
    follow_the_cpu("examples/cifar10_cnn.yaml", false, 30);
}

static int find_data(void **state)
{
    (void)state;
    char path[4096];
    const char *shared = getenv("FOURNIL_SHARED");
    (void)snprintf(path, sizeof path, "%s/data", shared != NULL ? shared : "../shared");
    return setenv("FOURNIL_DATA", path, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mnist_mlp_follows_the_cpu_in_9_launches_a_step),
        cmocka_unit_test(cifar10_cnn_follows_the_cpu_in_30_launches_a_step),
    };
    return cmocka_run_group_tests(tests, find_data, NULL);
}
