/* fournil/training.h: the same run as train/train.h makes, seen from outside. */
#include "train/small.h"

#include <math.h>

#include "base/files.h"
#include "base/mem.h"
#include "fournil/training.h"

static char config[256], state_dir[256];

static int set_up(void **state)
{
    if (small_dir_make(state) != 0) {
        return -1;
    }
    small_write_data();
    (void)snprintf(config, sizeof config, "%s", small_write_config("small.yaml", small_config));
    (void)snprintf(state_dir, sizeof state_dir, "%s", small_path("runs-of-the-api"));
    return 0;
}

struct seen {
    int stop_after; /* epochs; 0: never */
    int epochs, calls;
    struct fnl_training_epoch last;
};

static int on_progress(void *arg, const struct fnl_training_progress *p)
{
    struct seen *s = arg;
    assert_true(p->epoch >= 1 && p->epoch <= p->epochs && p->batch <= p->batches);
    s->calls++;
    return 0;
}

static int on_epoch(void *arg, const struct fnl_training_epoch *e)
{
    struct seen *s = arg;
    s->epochs++;
    assert_int_equal(e->epoch, s->epochs);
    assert_int_equal(e->epochs, 3);
    s->last = *e;
    return s->epochs == s->stop_after;
}

static struct fnl_training_options options_for(struct seen *seen)
{
    struct fnl_training_options o = FNL_TRAINING_OPTIONS_INIT;
    o.config = config;
    o.dir = state_dir;
    o.progress = on_progress;
    o.epoch = on_epoch;
    o.arg = seen;
    return o;
}

static void a_run_is_that_of_the_program(void **state)
{
    (void)state;
    struct small_run reference = {.config = config};
    small_train_well(&reference);

    struct seen seen = {0};
    struct fnl_training_options o = options_for(&seen);
    struct fnl_training_result *r = NULL;
    assert_int_equal(fnl_training_run(&o, &r, NULL), 0);
    assert_int_equal(seen.epochs, 3);
    assert_true(seen.calls >= 1);
    assert_true(seen.last.loss == reference.epoch[2].loss);
    assert_true(seen.last.val_loss == reference.epoch[2].val_loss);
    assert_int_equal(fnl_training_result_epochs(r), 3);
    assert_true(fnl_training_result_test_loss(r) == reference.result.test.loss);
    assert_true(fnl_training_result_test_accuracy(r) == reference.result.test.accuracy);
    assert_true(fnl_training_result_samples_per_s(r) > 0.0);
    assert_true(fnl_training_result_seconds(r) > 0.0);
    assert_non_null(strstr(fnl_training_result_folder(r), fnl_training_result_id(r)));
    small_assert_same_file(fnl_training_result_model(r), reference.result.model);
    fnl_training_result_free(r);
    fnl_training_result_free(NULL);
    small_free(&reference);
}

static void a_function_stops_the_run_and_it_goes_on_to_the_same_end(void **state)
{
    (void)state;
    struct small_run reference = {.config = config};
    small_train_well(&reference);

    struct seen seen = {.stop_after = 2};
    struct fnl_training_options o = options_for(&seen);
    struct fnl_training_result *r = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_training_run(&o, &r, &err), FNL_E_INTERRUPTED);
    assert_null(r);
    const char *at = strstr(err.hint, "--resume ");
    assert_non_null(at);

    seen.stop_after = 0;
    o.config = NULL;
    o.resume = at + strlen("--resume ");
    assert_int_equal(fnl_training_run(&o, &r, NULL), 0);
    assert_int_equal(seen.epochs, 3);
    small_assert_same_file(fnl_training_result_model(r), reference.result.model);
    fnl_training_result_free(r);
    small_free(&reference);
}

static void assignments_and_threads_reach_the_run(void **state)
{
    (void)state;
    static const char *const one_epoch[] = {"train.epochs=9", "train.epochs=1"};
    struct fnl_training_options o = FNL_TRAINING_OPTIONS_INIT;
    struct fnl_training_result *r = NULL;
    o.config = config;
    o.dir = state_dir;
    o.assignments = one_epoch;
    o.assignment_count = 2;
    o.threads = 1;
    assert_int_equal(fnl_training_run(&o, &r, NULL), 0);
    assert_int_equal(fnl_training_result_epochs(r), 1);
    char path[512];
    (void)snprintf(path, sizeof path, "%s/config.yaml", fnl_training_result_folder(r));
    size_t size;
    char *text = small_read(path, &size);
    assert_non_null(strstr(text, "threads: 1"));
    fnl_free(text);
    fnl_training_result_free(r);
}

static void errors_come_back_as_values(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_training_options o = FNL_TRAINING_OPTIONS_INIT;
    static const char *const wrong[] = {"train.epochz=1"};
    assert_int_equal(fnl_training_run(NULL, NULL, &err), FNL_E_INVALID);
    assert_int_equal(fnl_training_run(&o, NULL, &err), FNL_E_INVALID);
    o.config = config;
    o.dir = state_dir;
    o.version = 2;
    assert_int_equal(fnl_training_run(&o, NULL, &err), FNL_E_INVALID);
    o.version = 1;
    o.threads = -1;
    assert_int_equal(fnl_training_run(&o, NULL, &err), FNL_E_INVALID);
    o.threads = 0;
    o.assignment_count = 1;
    assert_int_equal(fnl_training_run(&o, NULL, &err), FNL_E_INVALID);
    o.assignments = wrong;
    assert_int_equal(fnl_training_run(&o, NULL, &err), FNL_E_CONFIG);
    assert_non_null(strstr(err.message, "epochz"));
    assert_true(err.hint[0] != '\0');
    o.assignment_count = 0;
    o.config = "/nonexistent/c.yaml";
    assert_int_not_equal(fnl_training_run(&o, NULL, &err), 0);
    assert_non_null(strstr(err.message, "/nonexistent/c.yaml"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_that_of_the_program),
        cmocka_unit_test(a_function_stops_the_run_and_it_goes_on_to_the_same_end),
        cmocka_unit_test(assignments_and_threads_reach_the_run),
        cmocka_unit_test(errors_come_back_as_values),
    };
    return cmocka_run_group_tests(tests, set_up, small_dir_remove);
}
