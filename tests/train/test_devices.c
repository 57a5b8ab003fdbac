/* Runs that change their device, and runs whose device fails: every entry point of OpenCL in turn,
 * on the stand-in loader (tests/fake_opencl). What needs an OpenCL device skips aloud without. */
#include "small.h"

#include <math.h>

#include "base/files.h"
#include "base/mem.h"
#include "device/accel.h"
#include "fake_opencl/fake_opencl.h"

#define OUT_OF_RESOURCES (-5) /* of CL/cl.h */
#define DEVICE_NOT_AVAILABLE (-2)

/* A network that every back end trains. 6 batches an epoch. */
static const char mlp[] = "data:\n"
                          "  format: idx\n"
                          "  train: {images: train-images, labels: train-labels}\n"
                          "  test: {images: test-images, labels: test-labels}\n"
                          "  normalize: computed\n"
                          "model:\n"
                          "  - flatten\n"
                          "  - dense: {units: 8, activation: relu}\n"
                          "  - dense: {units: 3}\n"
                          "train:\n"
                          "  loss: sparse_categorical_crossentropy\n"
                          "  optimizer: {name: adam, learning_rate: 0.01}\n"
                          "  batch: 16\n"
                          "  epochs: 3\n"
                          "  threads: 1\n"
                          "  seed: 3\n";

static char config[256];

static int set_up(void **state)
{
    if (small_dir_make(state) != 0) {
        return -1;
    }
    small_write_data();
    (void)snprintf(config, sizeof config, "%s", small_write_config("mlp.yaml", mlp));
    return setenv("FOURNIL_CACHE", small_path("cache"), 1);
}

static struct small_run run_on(const char *device, long stop_at)
{
    struct small_run r = {.config = config, .set = {device}, .stop_at = stop_at};
    small_train(&r);
    return r;
}

static struct small_run resume_on(const struct small_run *first, const char *device)
{
    struct small_run r = {.resume = first->result.run, .set = {device}};
    small_train(&r);
    return r;
}

static bool says(const struct small_run *r, const char *file, const char *text)
{
    size_t size = 0;
    char *data = small_read(small_file(r, file), &size);
    bool found = strstr(data, text) != NULL;
    fnl_free(data);
    return found;
}

static void test_a_run_goes_on_on_another_device_and_says_so(void **state)
{
    (void)state;
    struct small_run whole = run_on("train.device=cpu", 0);
    struct small_run first = run_on("train.device=cpu", 10);
    assert_int_equal(first.rc, FNL_E_INTERRUPTED);
    struct small_run second = resume_on(&first, "train.device=ref");
    assert_int_equal(second.rc, 0);
    assert_non_null(strstr(second.notes, "goes on on ref, after cpu"));
    assert_string_equal(second.result.device, "ref");
    assert_int_equal(second.result.epochs, 3);
    assert_true(fabs(second.result.test.loss - whole.result.test.loss) < 1e-3);
    assert_true(says(&second, "config.yaml", "device: ref"));
    small_free(&whole);
    small_free(&first);
    small_free(&second);
}

static void test_once_moved_it_stays_there(void **state)
{
    (void)state;
    struct small_run first = run_on("train.device=cpu", 4);
    struct small_run second = {
        .resume = first.result.run, .set = {"train.device=ref"}, .stop_at = 4};
    small_train(&second);
    assert_int_equal(second.rc, FNL_E_INTERRUPTED);
    struct small_run third = {.resume = first.result.run};
    small_train(&third);
    assert_int_equal(third.rc, 0);
    assert_string_equal(third.result.device, "ref");
    assert_null(strstr(third.notes, "goes on on"));
    small_free(&first);
    small_free(&second);
    small_free(&third);
}

static void test_the_same_device_is_no_change(void **state)
{
    (void)state;
    struct small_run whole = run_on("train.device=cpu", 0);
    struct small_run first = run_on("train.device=cpu", 4);
    struct small_run second = resume_on(&first, "train.device=cpu");
    assert_int_equal(second.rc, 0);
    assert_null(strstr(second.notes, "goes on on"));
    small_assert_same_file(second.result.model, whole.result.model);
    small_free(&whole);
    small_free(&first);
    small_free(&second);
}

static void test_a_run_that_has_ended_is_not_moved(void **state)
{
    (void)state;
    struct small_run first = run_on("train.device=cpu", 0);
    struct small_run second = resume_on(&first, "train.device=ref");
    assert_int_equal(second.rc, 0);
    assert_true(second.result.had_ended);
    assert_true(says(&second, "config.yaml", "device: cpu"));
    small_free(&first);
    small_free(&second);
}

/* ---- with an OpenCL device ---- */

static const struct fake_opencl *stand_in(void)
{
    struct fnl_error reason = FNL_ERROR_INIT;
    int count = 0;
    (void)fnl_accel_opencl.count(&count, &reason);
    if (count == 0) {
        print_message("skipped: %s\n", reason.message);
        skip();
    }
    fake_opencl()->break_at(NULL, 0, false, 0);
    return fake_opencl();
}

static void test_a_device_lost_in_an_epoch_costs_the_epoch(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    struct small_run whole = run_on("train.device=opencl:0", 0);
    assert_int_equal(whole.rc, 0);
    long launches = f->calls("clEnqueueNDRangeKernel");
    f->break_at("clEnqueueNDRangeKernel", launches * 6 / 10, true, DEVICE_NOT_AVAILABLE);
    struct small_run first = run_on("train.device=opencl:0", 0);
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(first.rc, FNL_E_DEVICE_LOST);
    assert_int_equal(fnl_code_status(first.rc), 5);
    assert_non_null(strstr(first.err.message, "opencl:0: the device was lost"));
    assert_non_null(strstr(first.err.hint, "fournil train --resume"));
    assert_non_null(strstr(first.err.hint, "--device cpu"));
    assert_int_equal(first.epochs, 1);
    assert_true(fnl_path_exists(small_file(&first, "last.ckpt")));
    struct small_run second = resume_on(&first, NULL);
    assert_int_equal(second.rc, 0);
    small_assert_same_file(second.result.model, whole.result.model);
    small_free(&whole);
    small_free(&first);
    small_free(&second);
}

static void test_after_a_lost_device_it_goes_on_on_the_processor(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    struct small_run whole = run_on("train.device=cpu", 0);
    f->break_at("clFinish", 1000000, true, 0); /* counts alone */
    struct small_run counted = run_on("train.device=opencl:0", 0);
    long reads = f->calls("clEnqueueReadBuffer");
    f->break_at("clEnqueueReadBuffer", reads / 2, true, DEVICE_NOT_AVAILABLE);
    struct small_run first = run_on("train.device=opencl:0", 0);
    assert_int_equal(first.rc, FNL_E_DEVICE_LOST);
    f->break_at("clGetPlatformIDs", 1, true, -1001); /* and now it is gone */
    struct small_run none = resume_on(&first, NULL);
    assert_int_equal(none.rc, FNL_E_DEVICE);
    assert_non_null(strstr(none.err.hint, "--device cpu"));
    struct small_run second = resume_on(&first, "train.device=cpu");
    f->break_at(NULL, 0, false, 0);
    assert_int_equal(second.rc, 0);
    assert_non_null(strstr(second.notes, "goes on on cpu"));
    assert_true(fabs(second.result.test.loss - whole.result.test.loss) < 1e-3);
    small_free(&whole);
    small_free(&counted);
    small_free(&first);
    small_free(&none);
    small_free(&second);
}

/* Which calls of `calls` are failed: the first, the last, and some between. */
static const long parts[] = {0, 1, 2, 8, 24, 60, 99, 100};

static void fail_one(const char *entry, long n, int code)
{
    const struct fake_opencl *f = fake_opencl();
    f->break_at(entry, n, false, code);
    struct small_run r = run_on("train.device=opencl:0", 0);
    int left = f->live();
    bool expected = r.rc == 0 || r.rc == FNL_E_NOMEM || r.rc == FNL_E_DEVICE ||
                    r.rc == FNL_E_DEVICE_LOST || r.rc == FNL_E_INTERNAL;
    if (!expected || left != 0 || (r.rc != 0 && r.err.message[0] == 0) ||
        (r.rc == FNL_E_DEVICE_LOST && r.err.hint[0] == 0)) {
        fail_msg("%s, call %ld, code %d: rc %d \"%s\", %d handles left", entry, n, code, r.rc,
                 r.err.message, left);
    }
    small_free(&r);
}

static void test_any_call_may_fail(void **state)
{
    (void)state;
    const struct fake_opencl *f = stand_in();
    struct small_run good = run_on("train.device=opencl:0", 0);
    assert_int_equal(good.rc, 0);
    small_free(&good);
    f->break_at(NULL, 0, false, 0);
    good = run_on("train.device=opencl:0", 0);
    struct {
        const char *entry;
        long calls;
    } seen[64] = {{NULL, 0}};
    int count = 0;
    for (; f->called(count) != NULL; count++) {
        seen[count].entry = f->called(count);
        seen[count].calls = f->calls(seen[count].entry);
    }
    assert_true(count > 15);
    for (int e = 0; e < count; e++) {
        long last = 0;
        for (size_t p = 0; p < TEST_COUNT(parts); p++) {
            long n = 1 + (seen[e].calls - 1) * parts[p] / 100;
            if (n != last) {
                fail_one(seen[e].entry, n, p % 2 == 0 ? OUT_OF_RESOURCES : DEVICE_NOT_AVAILABLE);
            }
            last = n;
        }
    }
    f->break_at(NULL, 0, false, 0);
    small_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_goes_on_on_another_device_and_says_so),
        cmocka_unit_test(test_once_moved_it_stays_there),
        cmocka_unit_test(test_the_same_device_is_no_change),
        cmocka_unit_test(test_a_run_that_has_ended_is_not_moved),
        cmocka_unit_test(test_a_device_lost_in_an_epoch_costs_the_epoch),
        cmocka_unit_test(test_after_a_lost_device_it_goes_on_on_the_processor),
        cmocka_unit_test(test_any_call_may_fail),
    };
    fake_opencl_enter();
    return cmocka_run_group_tests(tests, set_up, small_dir_remove);
}
