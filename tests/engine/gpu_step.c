/* gpu_step.c - see gpu_step.h. */
#include "gpu_step.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "op_case.h"

#define GUARD 64 /* floats; a multiple of an aligned vector */
#define TOLERANCE 1e-11

struct fnl_gpu *gpu_step_device(void)
{
    struct fnl_gpu *gpu = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    const char *other = getenv("FOURNIL_TEST_DEVICE"); /* tests/gpu */
    const char *name = other != NULL ? other : GPU_STEP_DEVICE;
    if (fnl__gpu_open(name, &gpu, &err) != 0) {
        (void)fprintf(stderr, "# SKIPPED: no device %s: %s\n", name, err.message);
        return NULL;
    }
    return gpu;
}

struct fnl_accel_buf *gpu_step_put(struct fnl_gpu *gpu, const void *data, size_t bytes)
{
    struct fnl_accel *a = fnl__gpu_accel(gpu);
    struct fnl_accel_buf *b = NULL;
    assert_int_equal(a->driver->buf_alloc(a, bytes, &b, NULL), 0);
    assert_int_equal(a->driver->put(a, b, 0, data, bytes, NULL), 0);
    assert_int_equal(a->driver->sync(a, NULL), 0);
    return b;
}

void gpu_step_get(struct fnl_gpu *gpu, struct fnl_accel_buf *b, void *data, size_t bytes)
{
    struct fnl_accel *a = fnl__gpu_accel(gpu);
    assert_int_equal(a->driver->get(a, b, 0, data, bytes, NULL), 0);
}

void gpu_step_drop(struct fnl_gpu *gpu, struct fnl_accel_buf *b)
{
    struct fnl_accel *a = fnl__gpu_accel(gpu);
    a->driver->buf_free(a, b);
}

void gpu_step_begin(struct gpu_step *t, struct fnl_gpu *gpu, enum fnl_op op, uint32_t seed)
{
    static const struct fnl_attrs defaults = FNL_ATTRS_INIT;
    memset(t, 0, sizeof *t);
    t->gpu = gpu;
    t->seed = seed;
    t->node.op = op;
    t->node.attrs = defaults;
    t->step.node = &t->node;
    t->step.max_rows = 1;
    t->step.in_count = 3;
    t->step.out_count = 1;
    t->floats = GUARD;
    for (int i = 0; i < FNL_STEP_INPUTS; i++) {
        t->step.in[i].value = -1;
    }
    for (int i = 0; i < FNL_STEP_OUTPUTS; i++) {
        t->step.out[i].value = -1;
    }
}

void gpu_step_operand(struct gpu_step *t, struct fnl_operand *o, size_t shift, int rank,
                      const int64_t *dims)
{
    *o = (struct fnl_operand){.value = 1, .space = FNL_SPACE_ARENA, .dtype = FNL_F32};
    o->shape.rank = rank;
    o->row_size = 1;
    for (int i = 0; i < rank; i++) {
        o->shape.dim[i] = dims[i];
        o->row_size *= (size_t)dims[i];
    }
    o->offset = (t->floats + shift) * sizeof(float);
    t->floats += (shift + o->row_size + GUARD - 1) / GUARD * GUARD + GUARD;
}

float *gpu_step_at(const struct gpu_step *t, float *block, const struct fnl_operand *o)
{
    (void)t;
    return block + o->offset / sizeof(float);
}

static float random_float(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0F - 1.0F;
}

static void fill(struct gpu_step *t)
{
    for (size_t i = 0; i < t->floats; i++) {
        t->want[i] = NAN;
    }
    for (int i = 0; i < FNL_STEP_INPUTS; i++) {
        const struct fnl_operand *o = &t->step.in[i];
        float *at = o->value < 0 ? NULL : gpu_step_at(t, t->want, o);
        for (size_t k = 0; at != NULL && k < o->row_size; k++) {
            at[k] = i == 0 && k > 0 && k == t->poison ? NAN : random_float(&t->seed);
        }
    }
}

static void run_ref(struct gpu_step *t, const struct fnl_op_impl *ref)
{
    struct fnl_arena arena;
    fnl_arena_init(&arena, 0);
    struct fnl_step step = t->step;
    step.scratch_bytes = 0;
    assert_true(ref->plan == NULL || ref->plan(&step, NULL, &arena, NULL) == 0);
    void *scratch = calloc(step.scratch_bytes + 64, 1);
    assert_non_null(scratch);
    struct fnl_run run = {
        .scratch = scratch, .rows = 1, .shard_rows = 1, .batch_rows = 1, .first_block = true};
    run.base[FNL_SPACE_ARENA] = (unsigned char *)t->want;
    ref->run(&step, &run);
    free(scratch);
    fnl_arena_free(&arena);
}

static void run_gpu(struct gpu_step *t, const struct fnl_op_impl *impl)
{
    struct fnl_accel *accel = fnl__gpu_accel(t->gpu);
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_gpu_emit emit = {.gpu = t->gpu, .rows = 1, .group = 64};
    size_t bytes = t->floats * sizeof(float);
    struct fnl_arena arena;
    fnl_arena_init(&arena, 0);
    assert_true(impl->plan == NULL || impl->plan(&t->step, NULL, &arena, &err) == 0);
    assert_int_equal(accel->driver->buf_alloc(accel, bytes, &emit.space[FNL_SPACE_ARENA], &err), 0);
    assert_int_equal(
        accel->driver->buf_alloc(accel, t->step.scratch_bytes + 4, &emit.scratch, &err), 0);
    assert_int_equal(accel->driver->put(accel, emit.space[FNL_SPACE_ARENA], 0, t->got, bytes, &err),
                     0);
    if (impl->launch(&t->step, &emit, &err) != 0) {
        fail_msg("%s: %s", impl->name, err.message);
    }
    assert_int_equal(accel->driver->get(accel, emit.space[FNL_SPACE_ARENA], 0, t->got, bytes, &err),
                     0);
    accel->driver->buf_free(accel, emit.space[FNL_SPACE_ARENA]);
    accel->driver->buf_free(accel, emit.scratch);
    fnl_arena_free(&arena);
    t->launches = emit.launches;
}

void gpu_step_run(struct gpu_step *t, const struct fnl_op_impl *gpu, const struct fnl_op_impl *ref)
{
    t->want = calloc(t->floats, sizeof(float));
    t->got = calloc(t->floats, sizeof(float));
    assert_true(t->want != NULL && t->got != NULL);
    fill(t);
    memcpy(t->got, t->want, t->floats * sizeof(float));
    t->step.impl = gpu;
    run_gpu(t, gpu);
    run_ref(t, ref);
}

void gpu_step_check(struct gpu_step *t, const char *what)
{
    for (int i = 0; i < FNL_STEP_OUTPUTS; i++) {
        const struct fnl_operand *o = &t->step.out[i];
        if (o->value < 0) {
            continue;
        }
        float *want = gpu_step_at(t, t->want, o), *got = gpu_step_at(t, t->got, o);
        double error = op_nmse(got, want, o->row_size);
        if (!(error <= TOLERANCE)) {
            fail_msg("%s: output %d: error %.2e; element 0 is %.7g, should be %.7g", what, i, error,
                     (double)got[0], (double)want[0]);
        }
        memcpy(got, want, o->row_size * sizeof(float));
    }
    if (memcmp(t->want, t->got, t->floats * sizeof(float)) != 0) {
        fail_msg("%s: writes beside its outputs", what);
    }
}

void gpu_step_end(struct gpu_step *t)
{
    free(t->want);
    free(t->got);
}
