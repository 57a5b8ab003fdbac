/* Convolutions and their gradients on a GPU: each tile, with whole and split sums, strides, pads,
 * dilations and groups, against the reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/backend/gpu/gpu_product.h"
#include "engine/backend/gpu/gpu_rows.h"
#include "gpu_step.h"

extern const struct fnl_op_impl fnl__ref_conv, fnl__ref_conv_grad_data, fnl__ref_conv_grad_weights,
    fnl__ref_conv_grad_bias;

static struct fnl_gpu *gpu;

struct conv {
    int64_t N, C, H, W, K, KH, KW;
    int32_t strides[2], pads[4], dilations[2], group;
};

static const struct conv convs[] = {
    {3, 1, 1, 1, 1, 1, 1, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {2, 3, 17, 15, 5, 3, 3, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {5, 3, 9, 10, 33, 1, 1, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {2, 7, 11, 8, 65, 3, 2, {2, 1}, {1, 0, 0, 1}, {1, 1}, 1},
    {1, 2, 14, 13, 3, 3, 3, {3, 2}, {2, 2, 2, 2}, {2, 2}, 1},
    {2, 2, 8, 9, 4, 3, 2, {1, 1}, {1, 1, 1, 1}, {2, 3}, 1},
    {3, 4, 6, 5, 6, 3, 3, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {2, 5, 7, 6, 5, 3, 3, {1, 1}, {1, 1, 1, 1}, {1, 1}, 5},
    {2, 4, 9, 9, 8, 3, 3, {2, 2}, {1, 1, 1, 1}, {1, 1}, 4},
    {4, 32, 15, 15, 64, 3, 3, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {1, 66, 5, 5, 130, 5, 5, {1, 1}, {2, 2, 2, 2}, {1, 1}, 1},
};
#define CONVS (sizeof convs / sizeof convs[0])

static int64_t extent(const struct conv *c, int d)
{
    int64_t size = d == 0 ? c->H : c->W, taps = d == 0 ? c->KH : c->KW;
    return (size + c->pads[d] + c->pads[d + 2] - c->dilations[d] * (taps - 1) - 1) / c->strides[d] +
           1;
}

static void begin(struct gpu_step *t, const struct conv *c, enum fnl_op op)
{
    gpu_step_begin(t, gpu, op, (uint32_t)(c - convs) + 1);
    memcpy(t->node.attrs.strides, c->strides, sizeof c->strides);
    memcpy(t->node.attrs.pads, c->pads, sizeof c->pads);
    memcpy(t->node.attrs.dilations, c->dilations, sizeof c->dilations);
    t->node.attrs.group = c->group;
}

static void image(struct gpu_step *t, struct fnl_operand *o, const struct conv *c)
{
    const int64_t dims[] = {c->N, c->C, c->H, c->W};
    gpu_step_operand(t, o, 1, 4, dims);
}

static void filters(struct gpu_step *t, struct fnl_operand *o, const struct conv *c)
{
    const int64_t dims[] = {c->K, c->C / c->group, c->KH, c->KW};
    gpu_step_operand(t, o, 3, 4, dims);
}

static void result(struct gpu_step *t, struct fnl_operand *o, const struct conv *c)
{
    const int64_t dims[] = {c->N, c->K, extent(c, 0), extent(c, 1)};
    gpu_step_operand(t, o, 2, 4, dims);
}

static void finish(struct gpu_step *t, const struct fnl_op_impl *impl,
                   const struct fnl_op_impl *ref)
{
    gpu_step_run(t, impl, ref);
    float *y = gpu_step_at(t, t->want, &t->step.out[0]);
    const struct fnl_operand *m = &t->step.in[FNL_STEP_MASK];
    const float *mask = m->value >= 0 ? gpu_step_at(t, t->want, m) : NULL;
    for (size_t i = 0; i < t->step.out[0].row_size; i++) {
        y[i] = t->step.activation != 0 && y[i] < 0.0F ? 0.0F : y[i];
        y[i] = mask != NULL && !(mask[i] > 0.0F) ? 0.0F : y[i];
    }
}

static void check_end(struct gpu_step *t, const struct conv *c)
{
    char what[80];
    snprintf(what, sizeof what, "%s, convolution %d", fnl_op_text(t->node.op), (int)(c - convs));
    gpu_step_check(t, what);
    gpu_step_end(t);
}

static void check_forward(const struct conv *c)
{
    struct gpu_step t;
    begin(&t, c, FNL_OP_CONV);
    image(&t, &t.step.in[0], c);
    filters(&t, &t.step.in[1], c);
    result(&t, &t.step.out[0], c);
    if ((c - convs) % 3 != 0) {
        gpu_step_operand(&t, &t.step.in[2], 0, 1, &c->K);
    }
    t.step.activation = (c - convs) % 2 == 0 ? 1 : 0;
    finish(&t, &fnl__gpu_conv, &fnl__ref_conv);
    check_end(&t, c);
}

static void check_data(const struct conv *c)
{
    struct gpu_step t;
    begin(&t, c, FNL_OP_CONV_GRAD_DATA);
    result(&t, &t.step.in[0], c);
    filters(&t, &t.step.in[1], c);
    image(&t, &t.step.in[2], c);
    image(&t, &t.step.out[0], c);
    if ((c - convs) % 2 == 1) {
        image(&t, &t.step.in[FNL_STEP_MASK], c);
    }
    finish(&t, &fnl__gpu_conv_grad_data, &fnl__ref_conv_grad_data);
    check_end(&t, c);
}

static void sum_channels(struct gpu_step *t, const struct conv *c, const struct fnl_operand *o)
{
    float *sum = gpu_step_at(t, t->want, o);
    const float *dy = gpu_step_at(t, t->want, &t->step.in[0]);
    int64_t pixels = extent(c, 0) * extent(c, 1);
    for (int64_t k = 0; k < c->K; k++) {
        double s = 0.0;
        for (int64_t i = 0; i < c->N * pixels; i++) {
            s += (double)dy[(i / pixels * c->K + k) * pixels + i % pixels];
        }
        sum[k] = (float)s;
    }
}

static int check_weights(const struct conv *c)
{
    struct gpu_step t;
    begin(&t, c, FNL_OP_CONV_GRAD_WEIGHTS);
    result(&t, &t.step.in[0], c);
    image(&t, &t.step.in[1], c);
    filters(&t, &t.step.in[2], c);
    filters(&t, &t.step.out[0], c);
    bool sums = (c - convs) % 3 != 1;
    if (sums) {
        gpu_step_operand(&t, &t.step.out[FNL_STEP_SUM], 0, 1, &c->K);
    }
    finish(&t, &fnl__gpu_conv_grad_weights, &fnl__ref_conv_grad_weights);
    if (sums) {
        sum_channels(&t, c, &t.step.out[FNL_STEP_SUM]);
    }
    check_end(&t, c);
    return t.launches;
}

static void need_device(void)
{
    if (gpu == NULL) {
        skip();
    }
}

static void check_tiles(size_t splits, void (*check)(const struct conv *c))
{
    need_device();
    for (int tile = -1; tile < fnl__gpu_tile_count; tile++) {
        fnl__gpu_cut_force(tile, splits);
        for (size_t i = 0; i < CONVS; i++) {
            check(&convs[i]);
        }
    }
    fnl__gpu_cut_force(-1, 0);
}

static void forward_of_every_tile(void **state)
{
    (void)state;
    check_tiles(0, check_forward);
}

static void image_gradient_of_every_tile(void **state)
{
    (void)state;
    check_tiles(0, check_data);
}

static void weights_once(const struct conv *c)
{
    assert_int_equal(check_weights(c), 1);
}

static void filter_gradient_of_every_tile(void **state)
{
    (void)state;
    check_tiles(1, weights_once);
}

static void weights_split(const struct conv *c)
{
    int64_t terms = c->N * extent(c, 0) * extent(c, 1);
    int launches = check_weights(c);
    assert_true(launches == 2 || terms <= 32); /* the longest step of a tile is not cut */
}

static void split_filter_gradient_of_every_tile(void **state)
{
    (void)state;
    check_tiles(5, weights_split);
}

static void bias_gradient_alone(void **state)
{
    (void)state;
    need_device();
    for (size_t i = 0; i < CONVS; i++) {
        struct gpu_step t;
        begin(&t, &convs[i], FNL_OP_CONV_GRAD_BIAS);
        result(&t, &t.step.in[0], &convs[i]);
        gpu_step_operand(&t, &t.step.out[0], 0, 1, &convs[i].K);
        gpu_step_run(&t, &fnl__gpu_conv_grad_bias, &fnl__ref_conv_grad_bias);
        check_end(&t, &convs[i]);
    }
}

static int open_device(void **state)
{
    (void)state;
    gpu = gpu_step_device();
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    fnl__gpu_release(gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_of_every_tile),
        cmocka_unit_test(image_gradient_of_every_tile),
        cmocka_unit_test(filter_gradient_of_every_tile),
        cmocka_unit_test(split_filter_gradient_of_every_tile),
        cmocka_unit_test(bias_gradient_alone),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
