/* What stands around a step on a GPU: the rows of a batch out of a data set on the device, to the
 * bit as the CPU's loader makes them, and the end of the forward half with its counters. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "gpu_step.h"

#define SAMPLES 50
#define BATCH 8
#define ROWS 5 /* of the last batch */
#define STEP 2
#define MOST 105 /* elements of a sample */

static struct fnl_gpu *gpu;

static void need_device(void)
{
    if (gpu == NULL) {
        skip();
    }
}

/* A data set of one shape, and the order in which it is taken. */
struct set {
    size_t channels, hw, elements;
    bool channels_last, bytes, normalize;
    uint8_t u8[SAMPLES * MOST];
    float f32[SAMPLES * MOST];
    float scale[MOST], shift[MOST];
    uint32_t order[(STEP + 1) * BATCH];
    int32_t labels[SAMPLES];
};

static void make_set(struct set *s)
{
    struct fnl_rng rng;
    fnl_rng_init(&rng, 11, FNL_RNG_TEST, (uint32_t)s->channels);
    s->elements = s->channels * s->hw;
    for (size_t i = 0; i < SAMPLES * s->elements; i++) {
        s->u8[i] = (uint8_t)fnl_rng_below(&rng, 256);
        s->f32[i] = fnl_rng_normal(&rng);
    }
    for (size_t c = 0; c < s->channels; c++) {
        s->scale[c] = 0.0123F * fnl_rng_normal(&rng);
        s->shift[c] = fnl_rng_normal(&rng);
    }
    for (size_t i = 0; i < (STEP + 1) * BATCH; i++) {
        s->order[i] = fnl_rng_below(&rng, SAMPLES);
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        s->labels[i] = (int32_t)fnl_rng_below(&rng, 10);
    }
}

/* As data/convert.c, then to C, H, W. */
static float wanted(const struct set *s, size_t row, size_t c, size_t pixel)
{
    size_t sample = s->order[STEP * BATCH + row];
    size_t at =
        sample * s->elements + (s->channels_last ? pixel * s->channels + c : c * s->hw + pixel);
    float x = s->bytes ? (float)s->u8[at] : s->f32[at];
    float scaled = x * s->scale[c];
    return s->normalize ? scaled + s->shift[c] : x;
}

static void gather(const struct set *s, uint32_t group, float *ret, int32_t *ret_labels)
{
    const uint32_t control[FNL_GPU_CONTROL_WORDS] = {[FNL_GPU_NEXT] = STEP};
    struct fnl_gpu_emit emit = {.gpu = gpu, .group = group};
    struct fnl_accel_buf *const b[] = {gpu_step_put(gpu, control, sizeof control),
                                       gpu_step_put(gpu, s->order, sizeof s->order),
                                       s->bytes ? gpu_step_put(gpu, s->u8, sizeof s->u8)
                                                : gpu_step_put(gpu, s->f32, sizeof s->f32),
                                       gpu_step_put(gpu, s->scale, sizeof s->scale),
                                       gpu_step_put(gpu, s->shift, sizeof s->shift),
                                       gpu_step_put(gpu, ret, ROWS * s->elements * sizeof *ret),
                                       gpu_step_put(gpu, s->labels, sizeof s->labels),
                                       gpu_step_put(gpu, ret_labels, ROWS * sizeof *ret_labels)};
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &emit, "data", s->bytes ? "gather_u8" : "gather_f32");
    fnl__gpu_u32(&c, ROWS);
    fnl__gpu_u32(&c, s->elements);
    fnl__gpu_u32(&c, s->channels);
    fnl__gpu_u32(&c, s->hw);
    fnl__gpu_i32(&c, s->channels_last ? 1 : 0);
    fnl__gpu_buf(&c, b[0], 0);
    fnl__gpu_buf(&c, b[1], 0);
    fnl__gpu_u32(&c, BATCH);
    fnl__gpu_buf(&c, b[2], 0);
    if (!s->bytes) {
        fnl__gpu_i32(&c, s->normalize ? 1 : 0);
    }
    fnl__gpu_buf(&c, s->normalize ? b[3] : NULL, 0);
    fnl__gpu_buf(&c, s->normalize ? b[4] : NULL, 0);
    fnl__gpu_buf(&c, b[5], 0);
    fnl__gpu_i32(&c, 1);
    fnl__gpu_buf(&c, b[6], 0);
    fnl__gpu_buf(&c, b[7], 0);
    assert_int_equal(fnl__gpu_flat(&c, ROWS * s->elements, NULL), 0);
    gpu_step_get(gpu, b[5], ret, ROWS * s->elements * sizeof *ret);
    gpu_step_get(gpu, b[7], ret_labels, ROWS * sizeof *ret_labels);
    for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
        gpu_step_drop(gpu, b[i]);
    }
}

static void rows_are_the_loaders_to_the_bit(void **state)
{
    (void)state;
    need_device();
    static struct set sets[] = {
        {.channels = 3, .hw = 35, .channels_last = true, .bytes = true, .normalize = true},
        {.channels = 3, .hw = 35, .bytes = true, .normalize = true},
        {.channels = 1, .hw = 81, .bytes = true, .normalize = true},
        {.channels = 3, .hw = 35, .channels_last = true, .normalize = true},
        {.channels = 3, .hw = 35, .channels_last = true},
        {.channels = 13, .hw = 1, .normalize = true},
    };
    for (size_t k = 0; k < sizeof sets / sizeof sets[0]; k++) {
        struct set *s = &sets[k];
        make_set(s);
        for (uint32_t group = 1; group <= 256; group *= 16) {
            float got[ROWS * MOST] = {0.0F};
            int32_t labels[ROWS] = {0};
            gather(s, group, got, labels);
            for (size_t i = 0; i < ROWS * s->elements; i++) {
                size_t row = i / s->elements, e = i % s->elements;
                float want = wanted(s, row, e / s->hw, e % s->hw);
                assert_memory_equal(&got[i], &want, sizeof want);
            }
            for (size_t row = 0; row < ROWS; row++) {
                assert_int_equal(labels[row], s->labels[s->order[STEP * BATCH + row]]);
            }
        }
    }
}

static void targets_are_of_the_same_samples(void **state)
{
    (void)state;
    need_device();
    enum { FEATURES = 3 };
    const uint32_t control[FNL_GPU_CONTROL_WORDS] = {[FNL_GPU_NEXT] = 1};
    const uint32_t order[] = {9, 9, 4, 0, 4};
    float targets[SAMPLES * FEATURES], got[2 * FEATURES] = {0.0F};
    for (size_t i = 0; i < SAMPLES * FEATURES; i++) {
        targets[i] = (float)i;
    }
    struct fnl_gpu_emit emit = {.gpu = gpu, .group = 4};
    struct fnl_accel_buf *const b[] = {
        gpu_step_put(gpu, control, sizeof control), gpu_step_put(gpu, order, sizeof order),
        gpu_step_put(gpu, targets, sizeof targets), gpu_step_put(gpu, got, sizeof got)};
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &emit, "data", "gather_targets");
    fnl__gpu_u32(&c, 2);
    fnl__gpu_u32(&c, FEATURES);
    fnl__gpu_buf(&c, b[0], 0);
    fnl__gpu_buf(&c, b[1], 0);
    fnl__gpu_u32(&c, 3);
    fnl__gpu_buf(&c, b[2], 0);
    fnl__gpu_buf(&c, b[3], 0);
    assert_int_equal(fnl__gpu_flat(&c, sizeof got / sizeof got[0], NULL), 0);
    gpu_step_get(gpu, b[3], got, sizeof got);
    const float want[] = {0.0F, 1.0F, 2.0F, 12.0F, 13.0F, 14.0F};
    assert_memory_equal(got, want, sizeof want);
    for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
        gpu_step_drop(gpu, b[i]);
    }
}

/* ---- the end of the forward half ---- */

#define CLASSES 4
#define MANY 700 /* rows */
struct ending {
    float ring[STEP + 1][2];
    uint32_t control[FNL_GPU_CONTROL_WORDS];
};

static struct ending end_step(const float *losses, const float *scores, const int32_t *labels,
                              size_t rows, bool counts, bool guard)
{
    struct ending e = {.control = {[FNL_GPU_NEXT] = STEP, [FNL_GPU_SCALE] = 77}};
    struct fnl_gpu_emit emit = {.gpu = gpu, .group = 256};
    struct fnl_accel_buf *const b[] = {gpu_step_put(gpu, e.control, sizeof e.control),
                                       gpu_step_put(gpu, losses, rows * sizeof *losses),
                                       gpu_step_put(gpu, scores, rows * CLASSES * sizeof *scores),
                                       gpu_step_put(gpu, labels, rows * sizeof *labels),
                                       gpu_step_put(gpu, e.ring, sizeof e.ring)};
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, &emit, "loss", "loss_sum");
    fnl__gpu_u32(&c, rows);
    fnl__gpu_buf(&c, b[0], 0);
    fnl__gpu_buf(&c, b[1], 0);
    fnl__gpu_buf(&c, counts ? b[2] : NULL, 0);
    fnl__gpu_buf(&c, counts ? b[3] : NULL, 0);
    fnl__gpu_u32(&c, counts ? CLASSES : 0);
    fnl__gpu_buf(&c, b[4], 0);
    fnl__gpu_i32(&c, guard ? 1 : 0);
    assert_int_equal(fnl__gpu_grid(&c, 1, 1, 1, 256, 1, NULL), 0);
    gpu_step_get(gpu, b[0], e.control, sizeof e.control);
    gpu_step_get(gpu, b[4], e.ring, sizeof e.ring);
    for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
        gpu_step_drop(gpu, b[i]);
    }
    return e;
}

static void losses_are_added_and_rows_counted(void **state)
{
    (void)state;
    need_device();
    static float losses[MANY], scores[MANY * CLASSES];
    static int32_t labels[MANY];
    struct fnl_rng rng;
    fnl_rng_init(&rng, 12, FNL_RNG_TEST, 0);
    for (size_t rows = 1; rows <= MANY; rows += 233) {
        double sum = 0.0;
        uint32_t right = 0, got = 0;
        for (size_t i = 0; i < rows; i++) {
            size_t best = 0;
            losses[i] = fnl_rng_uniform(&rng);
            labels[i] = (int32_t)fnl_rng_below(&rng, CLASSES + 2) - 1; /* some of no class */
            for (size_t k = 0; k < CLASSES; k++) {
                scores[i * CLASSES + k] = (float)fnl_rng_below(&rng, 3); /* many are equal */
                best = scores[i * CLASSES + k] > scores[i * CLASSES + best] ? k : best;
            }
            sum += (double)losses[i];
            right += labels[i] == (int32_t)best ? 1U : 0U;
        }
        struct ending e = end_step(losses, scores, labels, rows, true, true);
        memcpy(&got, &e.ring[STEP][1], sizeof got);
        assert_true(fabs((double)e.ring[STEP][0] - sum) <= 1e-6 * sum);
        assert_int_equal(got, right);
        assert_true(e.ring[STEP - 1][0] == 0.0F && e.ring[STEP - 1][1] == 0.0F);
        assert_int_equal(e.control[FNL_GPU_NEXT], STEP + 1);
        assert_int_equal(e.control[FNL_GPU_DONE], STEP);
        assert_int_equal(e.control[FNL_GPU_STOPPED], 0);
        assert_int_equal(e.control[FNL_GPU_SCALE], 77);
        e = end_step(losses, scores, labels, rows, false, true);
        assert_true(e.ring[STEP][1] == 0.0F);
    }
}

/* Only in training: an evaluation changes nothing that would have to be saved. */
static void a_loss_that_is_no_number_stops_training(void **state)
{
    (void)state;
    need_device();
    static const float bad[] = {NAN, INFINITY};
    static const float scores[300 * CLASSES] = {0.0F};
    static const int32_t labels[300] = {0};
    for (size_t k = 0; k < 2; k++) {
        float losses[300] = {[299] = bad[k]};
        struct ending e = end_step(losses, scores, labels, 300, true, true);
        assert_int_equal(e.control[FNL_GPU_STOPPED], 1);
        assert_true(isfinite(e.ring[STEP][0]) == 0);
        assert_int_equal(e.control[FNL_GPU_NEXT], STEP + 1);
        e = end_step(losses, scores, labels, 300, true, false);
        assert_int_equal(e.control[FNL_GPU_STOPPED], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_loaders_to_the_bit),
        cmocka_unit_test(targets_are_of_the_same_samples),
        cmocka_unit_test(losses_are_added_and_rows_counted),
        cmocka_unit_test(a_loss_that_is_no_number_stops_training),
    };
    gpu = gpu_step_device();
    int failed = cmocka_run_group_tests_name("gpu_data", tests, NULL, NULL);
    fnl__gpu_release(gpu);
    return failed;
}
