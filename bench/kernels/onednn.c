/* onednn.c - the shapes of floor.h by oneDNN 2 (C API), layouts left to the library: operands are
 * made in the layout it asks for, so that no reordering is timed. */
#include <stdio.h>
#include <stdlib.h>

#include <dnnl.h>

#include "floor.h"

enum { IN, OUT, WEIGHTS, BIAS, OPERANDS };

struct onednn {
    struct work work;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[OPERANDS];
};

static void check(dnnl_status_t status)
{
    if (status != dnnl_success) {
        fprintf(stderr, "oneDNN: status %d\n", (int)status);
        exit(1);
    }
}

static void describe(dnnl_memory_desc_t *d, int count, const dnnl_dim_t *dims, bool any)
{
    check(
        dnnl_memory_desc_init_by_tag(d, count, dims, dnnl_f32, any ? dnnl_format_tag_any : dnnl_x));
}

static void run(struct work *w)
{
    struct onednn *o = (struct onednn *)w;
    check(dnnl_primitive_execute(o->primitive, o->stream, OPERANDS, o->args));
}

static void free_work(struct work *w)
{
    struct onednn *o = (struct onednn *)w;
    dnnl_primitive_destroy(o->primitive);
    for (int i = 0; i < OPERANDS; i++) {
        dnnl_memory_destroy(o->args[i].memory);
    }
    dnnl_stream_destroy(o->stream);
    dnnl_engine_destroy(o->engine);
    free(o);
}

/* The primitive descriptor of a shape; a gradient's leans on the forward one. */
static dnnl_primitive_desc_t plan(struct onednn *o, const struct shape *shape)
{
    const struct fnl_conv_shape *s = &shape->s;
    const bool dense = s->KH == 0;
    const int rank = dense ? 2 : 4;
    const dnnl_dims_t in = {shape->batch, s->C, s->H, s->W};
    const dnnl_dims_t out = {shape->batch, s->K, s->OH, s->OW};
    const dnnl_dims_t weights = {s->K, s->C, s->KH, s->KW}, filters = {s->K};
    const dnnl_dims_t strides = {s->stride_h, s->stride_w};
    const dnnl_dims_t before = {s->pad_top, s->pad_left}, after = {s->pad_bottom, s->pad_right};
    dnnl_memory_desc_t md[OPERANDS];
    describe(&md[IN], rank, in, true);
    describe(&md[OUT], rank, out, true);
    describe(&md[WEIGHTS], rank, weights, true);
    describe(&md[BIAS], 1, filters, false);

    dnnl_primitive_attr_t relu;
    dnnl_post_ops_t ops;
    check(dnnl_primitive_attr_create(&relu));
    check(dnnl_post_ops_create(&ops));
    check(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0));
    check(dnnl_primitive_attr_set_post_ops(relu, ops));

    dnnl_primitive_desc_t forward, pd;
    dnnl_inner_product_desc_t ip;
    dnnl_convolution_desc_t conv;
    if (dense) {
        check(dnnl_inner_product_forward_desc_init(&ip, dnnl_forward_training, &md[IN],
                                                   &md[WEIGHTS], &md[BIAS], &md[OUT]));
        check(dnnl_primitive_desc_create(&forward, &ip, relu, o->engine, NULL));
    } else {
        check(dnnl_convolution_forward_desc_init(&conv, dnnl_forward_training,
                                                 dnnl_convolution_direct, &md[IN], &md[WEIGHTS],
                                                 &md[BIAS], &md[OUT], strides, before, after));
        check(dnnl_primitive_desc_create(&forward, &conv, relu, o->engine, NULL));
    }
    dnnl_primitive_attr_destroy(relu);
    dnnl_post_ops_destroy(ops);
    if (shape->direction == FORWARD) {
        return forward;
    }
    if (shape->direction == GRAD_WEIGHTS) {
        if (dense) {
            check(dnnl_inner_product_backward_weights_desc_init(&ip, &md[IN], &md[WEIGHTS],
                                                                &md[BIAS], &md[OUT]));
        } else {
            check(dnnl_convolution_backward_weights_desc_init(&conv, dnnl_convolution_direct,
                                                              &md[IN], &md[WEIGHTS], &md[BIAS],
                                                              &md[OUT], strides, before, after));
        }
    } else if (dense) {
        check(dnnl_inner_product_backward_data_desc_init(&ip, &md[IN], &md[WEIGHTS], &md[OUT]));
    } else {
        check(dnnl_convolution_backward_data_desc_init(&conv, dnnl_convolution_direct, &md[IN],
                                                       &md[WEIGHTS], &md[OUT], strides, before,
                                                       after));
    }
    check(dnnl_primitive_desc_create(&pd, dense ? (const void *)&ip : (const void *)&conv, NULL,
                                     o->engine, forward));
    dnnl_primitive_desc_destroy(forward);
    return pd;
}

static dnnl_memory_t operand(struct onednn *o, const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, what, 0);
    dnnl_memory_t memory;
    check(dnnl_memory_create(&memory, md, o->engine, DNNL_MEMORY_ALLOCATE));
    void *data;
    check(dnnl_memory_get_data_handle(memory, &data));
    float *f = data;
    for (size_t i = 0; i < dnnl_memory_desc_get_size(md) / sizeof(float); i++) {
        f[i] = (float)(i % 17) / 17 - 0.5f;
    }
    return memory;
}

struct work *onednn_work(const struct shape *shape)
{
    struct onednn *o = calloc(1, sizeof(*o));
    o->work = (struct work){run, free_work};
    check(dnnl_engine_create(&o->engine, dnnl_cpu, 0));
    check(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags));
    dnnl_primitive_desc_t pd = plan(o, shape);
    const int direction = shape->direction;
    const dnnl_query_t query[] = {
        direction == GRAD_DATA ? dnnl_query_diff_src_md : dnnl_query_src_md,
        direction == FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md,
        direction == GRAD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md,
    };
    const int arg[] = {
        direction == GRAD_DATA ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
        direction == FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST,
        direction == GRAD_WEIGHTS ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
    };
    for (int i = 0; i < BIAS; i++) {
        o->args[i] = (dnnl_exec_arg_t){arg[i], operand(o, pd, query[i])};
    }
    dnnl_memory_desc_t bias;
    const dnnl_dims_t filters = {shape->s.K};
    describe(&bias, 1, filters, false);
    dnnl_memory_t memory;
    check(dnnl_memory_create(&memory, &bias, o->engine, DNNL_MEMORY_ALLOCATE));
    o->args[BIAS] =
        (dnnl_exec_arg_t){direction == GRAD_WEIGHTS ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, memory};
    check(dnnl_primitive_create(&o->primitive, pd));
    dnnl_primitive_desc_destroy(pd);
    return &o->work;
}
