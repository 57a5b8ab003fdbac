/* A run that was stopped, killed, or that met a full disk ends with the same bytes as one that was
 * not. */
#include "small.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/files.h"
#include "base/mem.h"

static struct small_run whole; /* never stopped */
static char config[256];

static int set_up(void **state)
{
    if (small_dir_make(state) != 0) {
        return -1;
    }
    small_write_data();
    (void)snprintf(config, sizeof config, "%s", small_write_config("small.yaml", small_config));
    whole.config = config;
    small_train(&whole);
    return whole.rc;
}

static int tear_down(void **state)
{
    small_free(&whole);
    return small_dir_remove(state);
}

static void assert_as_whole(const struct small_run *r)
{
    small_assert_same_file(r->result.model, whole.result.model);
    small_assert_same_metrics(r, &whole);
    assert_true(r->result.test.loss == whole.result.test.loss);
}

static void test_stopped_at_any_point_it_ends_the_same(void **state)
{
    (void)state;
    /* After each of 18 steps, each of 9 batches of validations and each of the test. */
    assert_int_equal(whole.asked, 18 + 9 + 3);
    for (long at = 1; at <= whole.asked; at++) {
        struct small_run first = {.config = config, .stop_at = at};
        small_train(&first);
        assert_int_equal(first.rc, FNL_E_INTERRUPTED);
        assert_non_null(strstr(first.err.hint, "fournil train --resume "));
        assert_non_null(strstr(first.err.hint, first.result.folder));
        assert_false(fnl_path_exists(small_file(&first, "summary.json")));
        struct small_run second = {.resume = first.result.run};
        small_train_well(&second);
        assert_string_equal(second.result.run, first.result.run);
        assert_as_whole(&second);
        small_free(&first);
        small_free(&second);
    }
}

static void test_stopped_again_and_again_it_ends_the_same(void **state)
{
    (void)state;
    struct small_run r = {.config = config, .stop_at = 4};
    small_train(&r);
    int rounds = 0;
    char run[FNL_RUN_ID];
    while (r.rc == FNL_E_INTERRUPTED && rounds++ < 100) {
        (void)snprintf(run, sizeof run, "%s", r.result.run);
        small_free(&r);
        r = (struct small_run){.resume = run, .stop_at = 4};
        small_train(&r);
    }
    assert_int_equal(r.rc, 0);
    assert_true(rounds > 3);
    assert_as_whole(&r);
    small_free(&r);
}

static void test_a_folder_names_a_run_too(void **state)
{
    (void)state;
    struct small_run first = {.config = config, .stop_at = 7};
    small_train(&first);
    struct small_run second = {.resume = first.result.folder, .dir = "/nonexistent"};
    small_train_well(&second);
    assert_as_whole(&second);
    small_free(&first);
    small_free(&second);
}

static void test_best_weights_survive_a_stop(void **state)
{
    (void)state;
    const char *set[] = {"train.early_stopping={patience: 2, restore_best: true}",
                         "train.optimizer.learning_rate=0.3", "train.epochs=8",
                         "train.schedule=constant", NULL};
    struct small_run straight = {.config = config};
    memcpy(straight.set, set, sizeof set);
    small_train_well(&straight);
    for (long at = 5; at < straight.asked; at += 7) {
        struct small_run first = {.config = config, .stop_at = at};
        memcpy(first.set, set, sizeof set);
        small_train(&first);
        assert_int_equal(first.rc, FNL_E_INTERRUPTED);
        struct small_run second = {.resume = first.result.run};
        small_train_well(&second);
        small_assert_same_file(second.result.model, straight.result.model);
        assert_int_equal(second.result.best_epoch, straight.result.best_epoch);
        assert_int_equal(second.result.epochs, straight.result.epochs);
        small_free(&first);
        small_free(&second);
    }
    small_free(&straight);
}

static void test_a_crash_before_the_best_was_marked_is_mended(void **state)
{
    (void)state;
    /* A rate at which nothing gets better after the first epoch. */
    const char *set[] = {"train.early_stopping={patience: 3, restore_best: true, min_delta: 9}",
                         "train.optimizer={name: sgd, learning_rate: 0}", NULL};
    struct small_run straight = {.config = config}, first = {.config = config, .stop_at = 11};
    memcpy(straight.set, set, sizeof set);
    memcpy(first.set, set, sizeof set);
    small_train_well(&straight);
    small_train(&first);
    assert_int_equal(first.rc, FNL_E_INTERRUPTED);
    /* last.ckpt.1 is the end of epoch 1. */
    assert_int_equal(rename(small_file(&first, "last.ckpt.1"), small_file(&first, "last.ckpt")), 0);
    assert_int_equal(unlink(small_file(&first, "best.ckpt")), 0);
    struct small_run second = {.resume = first.result.run};
    small_train_well(&second);
    assert_true(fnl_path_exists(small_file(&second, "best.ckpt")));
    small_assert_same_file(second.result.model, straight.result.model);
    small_free(&second);
    small_free(&first);
    small_free(&straight);
}

static void test_what_a_killed_process_left_half_written_is_removed(void **state)
{
    (void)state;
    static const char *const left[] = {".fournil-4711-0.tmp", ".fournil-1-12.tmp", "best.ckpt.new",
                                       "last.ckpt.1.new"};
    static const char *const foreign[] = {".fournil-notes.tmp", ".fournil-1-2.tmp.txt",
                                          "notes.new"};
    struct small_run first = {.config = config, .stop_at = 7};
    small_train(&first);
    for (size_t i = 0; i < TEST_COUNT(left); i++) {
        test_write(small_file(&first, left[i]), "half", 4);
    }
    for (size_t i = 0; i < TEST_COUNT(foreign); i++) {
        test_write(small_file(&first, foreign[i]), "mine", 4);
    }
    struct small_run second = {.resume = first.result.run};
    small_train_well(&second);
    assert_as_whole(&second);
    for (size_t i = 0; i < TEST_COUNT(left); i++) {
        assert_false(fnl_path_exists(small_file(&first, left[i])));
    }
    for (size_t i = 0; i < TEST_COUNT(foreign); i++) {
        assert_true(fnl_path_exists(small_file(&first, foreign[i])));
    }
    small_free(&first);
    small_free(&second);
}

/* ---- what resume refuses ---- */

static void expect_refused(struct small_run *r, int code, const char *message)
{
    small_train(r);
    assert_int_equal(r->rc, code);
    if (strstr(r->err.message, message) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", r->err.message, message);
    }
    small_free(r);
}

static void test_a_changed_configuration_is_refused_by_its_key(void **state)
{
    (void)state;
    struct small_run first = {.config = config, .stop_at = 7};
    small_train(&first);
    const struct {
        const char *set, *message;
    } cases[] = {
        {"train.batch=17", "train.batch is not what the run was started with"},
        {"train.optimizer.learning_rate=0.03", "train.optimizer.learning_rate is not"},
        {"train.optimizer.epsilon=1e-6", "train.optimizer.epsilon is not"},
        {"train.threads=3", "train.threads is not"},
        {"model.5.dense.units=3.0", "units"},
        {"data.validation_split=0.1", "data.validation_split is not"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct small_run r = {.resume = first.result.run, .set = {cases[i].set}};
        expect_refused(&r, FNL_E_CONFIG, cases[i].message);
    }
    struct small_run same = {
        .config = config, .resume = first.result.run, .set = {"train.batch=16"}};
    small_train_well(&same);
    assert_as_whole(&same);
    small_free(&same);
    small_free(&first);
}

static void test_an_edited_config_of_the_run_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } edits[] = {{"seed: 5", "seed: 6"}, {"epochs: 3", "epochs: 4"}}; /* cosine: epochs matter */
    struct small_run first = {.config = config, .stop_at = 7};
    small_train(&first);
    size_t size;
    char *text = small_read(small_file(&first, "config.yaml"), &size);
    for (size_t i = 0; i < TEST_COUNT(edits); i++) {
        char *edited = fnl_strdup(text);
        assert_non_null(edited);
        char *at = strstr(edited, edits[i].from);
        assert_non_null(at);
        memcpy(at, edits[i].to, strlen(edits[i].to));
        test_write(small_file(&first, "config.yaml"), edited, size);
        fnl_free(edited);
        struct small_run r = {.resume = first.result.run};
        expect_refused(&r, FNL_E_CONFIG, "belongs to another configuration");
    }
    test_write(small_file(&first, "config.yaml"), text, size);
    FILE *f = fopen(small_file(&first, "config.yaml"), "ab");
    assert_non_null(f);
    assert_true(fputs("# a comment\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    struct small_run commented = {.resume = first.result.run};
    small_train_well(&commented);
    assert_as_whole(&commented);
    fnl_free(text);
    small_free(&commented);
    small_free(&first);
}

static void test_unknown_and_hostile_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"nothing", "..", ".", "", "/", "a/b", "../../etc"};
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        struct small_run r = {.resume = names[i]};
        expect_refused(&r, FNL_E_NOTFOUND, "no run ");
    }
}

static const char *busy_run;
static int busy_rc;
static char busy_message[768];

static void second_process(void *arg, const struct fnl_train_start *s)
{
    (void)arg;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_train_request q = FNL_TRAIN_REQUEST_INIT;
    struct fnl_train_result result;
    q.dir = small_path("state");
    q.resume = s->run;
    busy_run = s->run;
    busy_rc = fnl_train(&q, &result, &err);
    (void)snprintf(busy_message, sizeof busy_message, "%s", err.message);
    fnl_train_result_free(&result);
}

static void test_two_in_one_folder_refuse_each_other(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_train_request q = FNL_TRAIN_REQUEST_INIT;
    struct fnl_train_result result;
    q.config = config;
    q.dir = small_path("state");
    q.observer.start = second_process;
    assert_int_equal(fnl_train(&q, &result, &err), 0);
    assert_int_equal(busy_rc, FNL_E_BUSY);
    assert_int_equal(fnl_code_status(busy_rc), 4);
    assert_non_null(strstr(busy_message, "another process is at work"));
    fnl_train_result_free(&result);
}

/* ---- what the world does to files ---- */

static void damage(const char *path)
{
    size_t size;
    char *data = small_read(path, &size);
    data[size / 2] ^= 0x10;
    test_write(path, data, size);
    fnl_free(data);
}

static void test_a_damaged_checkpoint_falls_back_to_the_one_before(void **state)
{
    (void)state;
    struct small_run first = {.config = config, .stop_at = 24};
    small_train(&first);
    damage(small_file(&first, "last.ckpt"));
    /* Stopped at once it saves once: the damaged file must not become the one before. */
    struct small_run between = {.resume = first.result.run, .stop_at = 1};
    small_train(&between);
    assert_int_equal(between.rc, FNL_E_INTERRUPTED);
    damage(small_file(&first, "last.ckpt"));
    struct small_run second = {.resume = first.result.run};
    small_train_well(&second);
    small_free(&between);
    assert_non_null(strstr(second.notes, "last.ckpt: at byte"));
    assert_non_null(strstr(second.notes, "checksum does not match; using the checkpoint before"));
    assert_as_whole(&second);
    small_free(&first);
    small_free(&second);
}

static void test_two_damaged_checkpoints_are_an_error(void **state)
{
    (void)state;
    struct small_run first = {.config = config, .stop_at = 24};
    small_train(&first);
    damage(small_file(&first, "last.ckpt"));
    damage(small_file(&first, "last.ckpt.1"));
    struct small_run r = {.resume = first.result.run};
    expect_refused(&r, FNL_E_FORMAT, "last.ckpt.1: at byte");
    /* With none the run begins anew. */
    assert_int_equal(unlink(small_file(&first, "last.ckpt")), 0);
    assert_int_equal(unlink(small_file(&first, "last.ckpt.1")), 0);
    struct small_run anew = {.resume = first.result.run};
    small_train_well(&anew);
    assert_non_null(strstr(anew.notes, "no checkpoint yet"));
    assert_as_whole(&anew);
    small_free(&anew);
    small_free(&first);
}

static void test_lines_after_the_checkpoint_are_cut(void **state)
{
    (void)state;
    struct small_run first = {.config = config, .stop_at = 14};
    small_train(&first);
    struct fnl_error err = FNL_ERROR_INIT;
    /* As if the process had died between metrics and checkpoint, in the middle of a line. */
    assert_int_equal(fnl_file_append_line(small_file(&first, "metrics.jsonl"),
                                          "{\"epoch\": 2, \"loss\": 9}", &err),
                     0);
    FILE *f = fopen(small_file(&first, "metrics.jsonl"), "ab");
    assert_non_null(f);
    assert_true(fputs("{\"epo", f) >= 0);
    assert_int_equal(fclose(f), 0);
    struct small_run second = {.resume = first.result.run};
    small_train_well(&second);
    assert_as_whole(&second);
    small_free(&first);
    small_free(&second);
}

static void test_a_full_disk_loses_nothing(void **state)
{
    (void)state;
    int failures = 0, resumed = 0;
    for (uint64_t n = 1;; n++) {
        struct small_run first = {.config = config};
        fnl_file_fail_at(n);
        small_train(&first);
        fnl_file_fail_at(0);
        if (first.rc == 0) {
            small_free(&first);
            break;
        }
        failures++;
        assert_int_equal(first.rc, FNL_E_IO);
        assert_non_null(strstr(first.err.message, "No space left"));
        if (first.result.folder != NULL && fnl_path_exists(small_file(&first, "summary.json"))) {
            assert_as_whole(&first);              /* only the last sync failed: all is there */
        } else if (first.result.folder != NULL) { /* the run had begun */
            assert_non_null(strstr(first.err.hint, first.result.folder));
            struct small_run second = {.resume = first.result.run};
            small_train_well(&second);
            assert_as_whole(&second);
            small_free(&second);
            resumed++;
        }
        small_free(&first);
    }
    assert_true(failures > 20);
    assert_true(resumed > 20);
}

static void test_a_disk_too_full_for_the_folder_leaves_none(void **state)
{
    (void)state;
    char runs[300];
    /* config.yaml and run.json: write, sync, the folder's sync; the sync of runs/ */
    for (uint64_t n = 1; n <= 7; n++) {
        fnl_file_fail_at(n);
        struct small_run r = {.config = config, .dir = small_path("too-full")};
        small_train(&r);
        fnl_file_fail_at(0);
        assert_int_equal(r.rc, FNL_E_IO);
        assert_non_null(strstr(r.err.message, "No space left"));
        assert_null(strstr(r.err.hint, "--resume")); /* there is nothing to go on with */
        (void)snprintf(runs, sizeof runs, "%s", small_path("too-full/runs"));
        assert_int_equal(rmdir(runs), 0); /* it is empty */
        small_free(&r);
    }
}

/* A folder as a process leaves it that is killed before its run has a name. */
static const char *leave_hidden(const char *name, time_t age_s)
{
    static char path[300];
    char file[400];
    (void)snprintf(path, sizeof path, "%s/%s", small_path("swept/runs"), name);
    assert_int_equal(mkdir(path, 0777), 0);
    static const char *const files[] = {"lock", "config.yaml", ".fournil-1-2.tmp"};
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, files[i]);
        test_write(file, "x", 1);
    }
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    return path;
}

static size_t entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    (void)closedir(dir);
    return count;
}

static void test_a_run_killed_before_it_had_a_name_leaves_nothing(void **state)
{
    (void)state;
    char runs[300], lock[400], locked[300];
    (void)snprintf(runs, sizeof runs, "%s", small_path("swept/runs"));
    assert_int_equal(mkdir(small_path("swept"), 0777), 0);
    assert_int_equal(mkdir(runs, 0777), 0);
    (void)leave_hidden(".starting-1-0", 3600);
    (void)leave_hidden(".starting-1-1", 3600);
    (void)leave_hidden(".starting-2-0", 0); /* may be at it just now */
    (void)snprintf(locked, sizeof locked, "%s", leave_hidden(".starting-3-0", 3600));
    (void)snprintf(lock, sizeof lock, "%s/lock", locked);
    struct fnl_error err = FNL_ERROR_INIT;
    int fd = -1;
    assert_int_equal(fnl_file_lock(lock, &fd, &err), 0); /* is at it */
    struct small_run r = {.config = config, .dir = small_path("swept"), .stop_at = 1};
    small_train(&r);
    assert_int_equal(r.rc, FNL_E_INTERRUPTED);
    assert_int_equal(entries(runs), 3); /* the young, the locked, the run */
    assert_true(fnl_path_exists(locked));
    assert_true(fnl_path_exists(small_path("swept/runs/.starting-2-0")));
    fnl_file_unlock(fd);
    small_free(&r);
    /* Ids of one second: all different, all whole. */
    for (int i = 0; i < 3; i++) {
        small_train(&r);
        assert_true(fnl_path_exists(small_file(&r, "config.yaml")));
        size_t size;
        char *info = small_read(small_file(&r, "run.json"), &size);
        assert_non_null(strstr(info, r.result.run));
        fnl_free(info);
        small_free(&r);
    }
    assert_int_equal(entries(runs), 1 + 4); /* the young one, and four runs */
}

static void test_a_folder_that_cannot_be_made_is_a_clear_error(void **state)
{
    (void)state;
    test_write(small_path("file"), "x", 1);
    struct small_run r = {.config = config, .dir = small_path("file")};
    small_train(&r);
    assert_int_equal(r.rc, FNL_E_IO);
    assert_non_null(strstr(r.err.message, "/file"));
    assert_null(r.result.folder);
    small_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_at_any_point_it_ends_the_same),
        cmocka_unit_test(test_stopped_again_and_again_it_ends_the_same),
        cmocka_unit_test(test_a_folder_names_a_run_too),
        cmocka_unit_test(test_best_weights_survive_a_stop),
        cmocka_unit_test(test_a_crash_before_the_best_was_marked_is_mended),
        cmocka_unit_test(test_what_a_killed_process_left_half_written_is_removed),
        cmocka_unit_test(test_a_changed_configuration_is_refused_by_its_key),
        cmocka_unit_test(test_an_edited_config_of_the_run_is_refused),
        cmocka_unit_test(test_unknown_and_hostile_names_are_refused),
        cmocka_unit_test(test_two_in_one_folder_refuse_each_other),
        cmocka_unit_test(test_a_damaged_checkpoint_falls_back_to_the_one_before),
        cmocka_unit_test(test_two_damaged_checkpoints_are_an_error),
        cmocka_unit_test(test_lines_after_the_checkpoint_are_cut),
        cmocka_unit_test(test_a_full_disk_loses_nothing),
        cmocka_unit_test(test_a_disk_too_full_for_the_folder_leaves_none),
        cmocka_unit_test(test_a_run_killed_before_it_had_a_name_leaves_nothing),
        cmocka_unit_test(test_a_folder_that_cannot_be_made_is_a_clear_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
