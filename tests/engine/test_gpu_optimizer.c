/* The update on a GPU: each optimiser against the reference over some steps, the norm of the
 * gradients and what follows from it, and that nothing changes after a loss that was not finite.
 * Also: tensors that kernels cannot count are refused before anything is launched. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/backend/gpu/gpu_update.h"
#include "gpu_step.h"
#include "op_case.h"

#define COUNT 1003
#define STEPS 4
#define TOLERANCE 1e-11 /* of the normalised mean squared error, as for operators */

static struct fnl_gpu *gpu;

static void need_device(void)
{
    if (gpu == NULL) {
        skip();
    }
}

static struct fnl_accel_buf *put(const void *data, size_t bytes)
{
    return gpu_step_put(gpu, data, bytes);
}

static void get(struct fnl_accel_buf *b, void *data, size_t bytes)
{
    gpu_step_get(gpu, b, data, bytes);
}

static void drop(struct fnl_accel_buf *b)
{
    gpu_step_drop(gpu, b);
}

static void fill(struct fnl_rng *rng, float *x, float scale)
{
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = scale * fnl_rng_normal(rng);
    }
}

/* ---- the optimisers ---- */

struct update {
    struct fnl_gpu_emit emit;
    struct fnl_accel_buf *control, *rates, *gradient, *block[3];
};

static int launch_update(struct update *u, const struct fnl_optimizer *o, bool scaled)
{
    const struct fnl_gpu_update all = {o, COUNT, u->gradient, u->block, u->rates};
    u->emit.control = u->control;
    return fnl__gpu_update(&u->emit, &all, scaled, NULL);
}

static void check(const char *what, struct fnl_accel_buf *b, const float *want)
{
    float got[COUNT];
    get(b, got, sizeof got);
    double error = op_nmse(got, want, COUNT);
    if (!(error <= TOLERANCE)) {
        fail_msg("%s: error %.2e", what, error);
    }
}

/* Some steps of one optimiser on the device and by the reference. scale: of the gradients; 0: none.
 */
static void compare(const char *what, const struct fnl_optimizer *o, uint32_t group, float scale)
{
    static float block[3][COUNT], gradient[COUNT];
    static const float rates_of_steps[STEPS] = {0.1F, 0.03F, 0.01F, 0.02F};
    float rates[STEPS][4];
    uint32_t control[FNL_GPU_CONTROL_WORDS] = {0};
    struct fnl_rng rng;
    struct update u = {.emit = {.gpu = gpu, .group = group}};
    fnl_rng_init(&rng, 3, FNL_RNG_TEST, group);
    memset(block, 0, sizeof block);
    fill(&rng, block[0], 1.0F);
    for (int t = 0; t < STEPS; t++) {
        rates[t][0] = rates_of_steps[t];
        rates[t][1] = (float)(1.0 - pow((double)o->beta1, t + 1));
        rates[t][2] = (float)(1.0 - pow((double)o->beta2, t + 1));
        rates[t][3] = 0.0F;
    }
    memcpy(&control[FNL_GPU_SCALE], &scale, sizeof scale);
    u.rates = put(rates, sizeof rates);
    for (int b = 0; b < 3; b++) {
        u.block[b] = put(block[b], sizeof block[b]);
    }
    for (uint32_t t = 0; t < STEPS; t++) {
        float *const shards[] = {gradient};
        struct fnl_update update = {.optimizer = o,
                                    .value = block[0],
                                    .slot1 = block[1],
                                    .slot2 = block[2],
                                    .gradient = shards,
                                    .gradient_count = 1,
                                    .learning_rate = rates_of_steps[t],
                                    .gradient_scale = scale > 0.0F ? scale : 1.0F,
                                    .step = t + 1};
        fill(&rng, gradient, 0.5F);
        control[FNL_GPU_DONE] = t;
        u.control = put(control, sizeof control);
        u.gradient = put(gradient, sizeof gradient);
        assert_int_equal(launch_update(&u, o, scale > 0.0F), 0);
        fnl_backend_ref.update(&update, 0, COUNT);
        check(what, u.block[0], block[0]);
        drop(u.control);
        drop(u.gradient);
    }
    check(what, u.block[1], block[1]);
    check(what, u.block[2], block[2]);
    drop(u.rates);
    for (int b = 0; b < 3; b++) {
        drop(u.block[b]);
    }
}

static void updates_are_those_of_the_reference(void **state)
{
    (void)state;
    need_device();
    static const struct {
        const char *what;
        float scale;
        struct fnl_optimizer o;
    } cases[] = {
        {"sgd", 0.0F, {.kind = FNL_SGD}},
        {"sgd, decay, clipped", 0.5F, {.kind = FNL_SGD, .weight_decay = 0.01F, .clip_value = 0.2F}},
        {"momentum", 0.0F, {.kind = FNL_SGD, .momentum = 0.9F, .weight_decay = 0.02F}},
        {"nesterov", 0.25F, {.kind = FNL_SGD, .momentum = 0.8F, .nesterov = true}},
        {"adam", 0.0F, {.kind = FNL_ADAM, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F}},
        {"adam, decay, clipped",
         0.5F,
         {FNL_ADAM, 0.0F, false, 0.8F, 0.99F, 1e-4F, 0.1F, 0.0F, 0.3F}},
        {"adamw",
         0.0F,
         {.kind = FNL_ADAMW,
          .beta1 = 0.9F,
          .beta2 = 0.95F,
          .epsilon = 1e-6F,
          .weight_decay = 0.1F}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        compare(cases[i].what, &cases[i].o, 256, cases[i].scale);
        compare(cases[i].what, &cases[i].o, 8, cases[i].scale);
    }
}

/* After a loss that was not finite the weights stay as they are. */
static void nothing_changes_after_a_stop(void **state)
{
    (void)state;
    need_device();
    static const struct fnl_optimizer kinds[] = {
        {.kind = FNL_SGD, .momentum = 0.9F},
        {.kind = FNL_ADAM, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F}};
    static float x[COUNT], rates[4] = {0.1F, 0.1F, 0.1F, 0.0F};
    uint32_t control[FNL_GPU_CONTROL_WORDS] = {[FNL_GPU_STOPPED] = 1};
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = (float)i;
    }
    for (size_t k = 0; k < 2; k++) {
        struct update u = {.emit = {.gpu = gpu, .group = 64}};
        u.control = put(control, sizeof control);
        u.rates = put(rates, sizeof rates);
        u.gradient = put(x, sizeof x);
        for (int b = 0; b < 3; b++) {
            u.block[b] = put(x, sizeof x);
        }
        assert_int_equal(launch_update(&u, &kinds[k], false), 0);
        for (int b = 0; b < 3; b++) {
            float got[COUNT];
            get(u.block[b], got, sizeof got);
            assert_memory_equal(got, x, sizeof x);
            drop(u.block[b]);
        }
        drop(u.control);
        drop(u.rates);
        drop(u.gradient);
    }
}

/* ---- the norm ---- */

static void norm_of(const float *x, uint32_t group, size_t groups, float limit, float *ret_norm,
                    float *ret_scale)
{
    uint32_t control[FNL_GPU_CONTROL_WORDS] = {0};
    float partial[64] = {0.0F};
    struct fnl_gpu_emit emit = {.gpu = gpu, .group = group};
    struct fnl_accel_buf *g = put(x, COUNT * sizeof *x), *p = put(partial, sizeof partial);
    struct fnl_accel_buf *k = put(control, sizeof control);
    const struct fnl_gpu_update all = {.count = COUNT, .gradient = g};
    emit.control = k;
    assert_int_equal(fnl__gpu_norm(&emit, &all, p, groups, limit, NULL), 0);
    get(k, control, sizeof control);
    memcpy(ret_norm, &control[FNL_GPU_NORM], sizeof *ret_norm);
    memcpy(ret_scale, &control[FNL_GPU_SCALE], sizeof *ret_scale);
    drop(g);
    drop(p);
    drop(k);
}

static void gradients_are_scaled_to_the_limit(void **state)
{
    (void)state;
    need_device();
    static float x[COUNT];
    float *const shards[] = {x};
    struct fnl_rng rng;
    fnl_rng_init(&rng, 5, FNL_RNG_TEST, 0);
    fill(&rng, x, 1.0F);
    double want = sqrt(fnl_backend_ref.gradient_norm2(shards, 1, 0, COUNT));
    static const struct {
        uint32_t group;
        size_t groups;
    } cuts[] = {{256, 64}, {32, 3}, {1, 7}, {1024, 1}};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        float norm, scale;
        norm_of(x, cuts[i].group, cuts[i].groups, 2.0F, &norm, &scale);
        assert_true(fabs((double)norm - want) < 1e-5 * want);
        assert_true(fabs((double)scale - 2.0 / (want + 1e-6)) < 1e-5 * (double)scale);
        norm_of(x, cuts[i].group, cuts[i].groups, 1000.0F, &norm, &scale);
        assert_true(scale == 1.0F);
    }
}

/* ---- limits ---- */

/* Kernels count elements in 32 bits; nothing may be launched on more. */
static void too_many_elements_are_refused(void **state)
{
    (void)state;
    need_device();
    static const int64_t dims[] = {1 << 20, 1 << 12};
    const struct fnl_op_impl *const rows[] = {&fnl__gpu_relu, &fnl__gpu_add, &fnl__gpu_softmax,
                                              &fnl__gpu_transpose, &fnl__gpu_identity};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gpu_step t;
        struct fnl_error err = FNL_ERROR_INIT;
        struct fnl_gpu_emit emit = {.gpu = gpu, .rows = 1, .group = 256};
        gpu_step_begin(&t, gpu, rows[i]->op, 1);
        t.node.attrs.perm[0] = 1;
        for (int k = 0; k < 2; k++) {
            gpu_step_operand(&t, &t.step.in[k], 0, 2, dims);
        }
        gpu_step_operand(&t, &t.step.out[0], 0, 2, dims);
        assert_int_equal(rows[i]->launch(&t.step, &emit, &err), FNL_E_LIMIT);
        assert_int_equal(emit.launches, 0);
        assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_are_those_of_the_reference),
        cmocka_unit_test(nothing_changes_after_a_stop),
        cmocka_unit_test(gradients_are_scaled_to_the_limit),
        cmocka_unit_test(too_many_elements_are_refused),
    };
    gpu = gpu_step_device();
    int failed = cmocka_run_group_tests_name("gpu_optimizer", tests, NULL, NULL);
    fnl__gpu_release(gpu);
    return failed;
}
