/* nets.h - small networks for the engine's tests: an MLP and a CNN with loss and gradients, random
 * but fixed. */
#ifndef FNL_TESTS_ENGINE_NETS_H
#define FNL_TESTS_ENGINE_NETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "engine/exec.h"
#include "engine/graph.h"

#define ok(call)                                                                                   \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ < 0) {                                                                             \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

struct net {
    struct fnl_graph *graph;
    int loss, scores;
    size_t row; /* floats of one sample */
    float *x;
    int32_t *labels;
    size_t samples;
};

static inline void fill_random(float *p, size_t count, float deviation, uint32_t stream)
{
    struct fnl_rng rng;
    fnl_rng_init(&rng, 7, FNL_RNG_TEST, stream);
    for (size_t i = 0; i < count; i++) {
        p[i] = fnl_rng_normal(&rng) * deviation;
    }
}

static inline int add_weights(struct fnl_graph *g, const char *name, struct fnl_shape shape)
{
    struct fnl_error err = FNL_ERROR_INIT;
    size_t count = (size_t)fnl_shape_count(&shape, -1);
    float *values = fnl_malloc(count * sizeof *values);
    assert_non_null(values);
    fill_random(values, count, 0.1F, (uint32_t)fnl_graph_value_count(g) + 100);
    int v = fnl_graph_add_param(g, name, &shape, values, true, &err);
    ok(v);
    fnl_free(values);
    return v;
}

static inline int add_op(struct fnl_graph *g, enum fnl_op op, const struct fnl_attrs *attrs,
                         int count, const int *inputs)
{
    struct fnl_error err = FNL_ERROR_INIT;
    int y[4];
    ok(fnl_graph_add_node(g, op, NULL, inputs, count, attrs, NULL, 0, y, &err));
    return y[0];
}

static inline int add_dense(struct fnl_graph *g, const char *name, int x, int units, bool relu)
{
    char text[64];
    int in = (int)fnl_graph_value(g, x)->shape.dim[1];
    snprintf(text, sizeof text, "%s.weight", name);
    int w = add_weights(g, text, fnl_shape_make(2, units, in));
    snprintf(text, sizeof text, "%s.bias", name);
    int b = add_weights(g, text, fnl_shape_make(1, units));
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.trans_b = true;
    int y = add_op(g, FNL_OP_GEMM, &a, 3, (int[]){x, w, b});
    return relu ? add_op(g, FNL_OP_RELU, NULL, 1, &y) : y;
}

static inline int add_conv(struct fnl_graph *g, const char *name, int x, int filters)
{
    char text[64];
    int channels = (int)fnl_graph_value(g, x)->shape.dim[1];
    snprintf(text, sizeof text, "%s.weight", name);
    int w = add_weights(g, text, fnl_shape_make(4, filters, channels, 3, 3));
    snprintf(text, sizeof text, "%s.bias", name);
    int b = add_weights(g, text, fnl_shape_make(1, filters));
    int y = add_op(g, FNL_OP_CONV, NULL, 3, (int[]){x, w, b});
    y = add_op(g, FNL_OP_RELU, NULL, 1, &y);
    struct fnl_attrs pool = FNL_ATTRS_INIT;
    pool.kernel[0] = pool.kernel[1] = pool.strides[0] = pool.strides[1] = 2;
    return add_op(g, FNL_OP_MAX_POOL, &pool, 1, &y);
}

/* BatchNormalization in training mode behind x. */
static inline int add_batch_norm(struct fnl_graph *g, const char *name, int x)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_shape s = fnl_shape_make(1, fnl_graph_value(g, x)->shape.dim[1]);
    char text[64];
    int in[5] = {x};
    float ones[64], zeros[64] = {0};
    for (int i = 0; i < 64; i++) {
        ones[i] = 1.0F;
    }
    static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "%s.%s", name, parts[i]);
        in[i + 1] = fnl_graph_add_param(g, text, &s, i == 0 || i == 3 ? ones : zeros, i < 2, &err);
        ok(in[i + 1]);
    }
    struct fnl_attrs a = FNL_ATTRS_INIT;
    a.training = true;
    int y[4];
    ok(fnl_graph_add_node(g, FNL_OP_BATCH_NORMALIZATION, NULL, in, 5, &a, NULL, 3, y, &err));
    return y[0];
}

enum net_kind { NET_MLP, NET_CNN, NET_CNN_NORM };

/* samples random samples with labels 0..9 and the network's training graph. */
static inline void net_open(struct net *n, enum net_kind kind, size_t samples)
{
    struct fnl_error err = FNL_ERROR_INIT;
    memset(n, 0, sizeof *n);
    ok(fnl_graph_create(&n->graph, &err));
    struct fnl_shape image = kind == NET_MLP ? fnl_shape_make(4, FNL_DIM_BATCH, 1, 9, 9)
                                             : fnl_shape_make(4, FNL_DIM_BATCH, 3, 14, 12);
    struct fnl_shape label = fnl_shape_make(1, FNL_DIM_BATCH);
    int x = fnl_graph_add_input(n->graph, "x", FNL_F32, &image, &err);
    int t = fnl_graph_add_input(n->graph, "t", FNL_I32, &label, &err);
    int y = x;
    if (kind != NET_MLP) {
        y = add_conv(n->graph, "conv1", y, 8);
        y = kind == NET_CNN_NORM ? add_batch_norm(n->graph, "norm", y) : y;
        y = add_conv(n->graph, "conv2", y, 12);
    }
    struct fnl_attrs flat = FNL_ATTRS_INIT;
    flat.axis = 1;
    y = add_op(n->graph, FNL_OP_FLATTEN, &flat, 1, &y);
    y = add_dense(n->graph, "dense1", y, 20, true);
    y = add_dense(n->graph, "dense2", y, 10, false);
    int out[4];
    ok(fnl_graph_add_node(n->graph, FNL_OP_SOFTMAX_CROSS_ENTROPY, "loss", (int[]){y, t}, 2, NULL,
                          NULL, 0, out, &err));
    n->loss = out[0];
    n->scores = out[1];
    ok(fnl_graph_autodiff(n->graph, n->loss, &err));
    n->row = (size_t)fnl_shape_count(&image, 1);
    n->samples = samples;
    n->x = fnl_malloc(samples * n->row * sizeof *n->x);
    n->labels = fnl_malloc(samples * sizeof *n->labels);
    assert_true(n->x != NULL && n->labels != NULL);
    fill_random(n->x, samples * n->row, 1.0F, 1);
    for (size_t i = 0; i < samples; i++) {
        n->labels[i] = (int32_t)(i * 7 % 10);
    }
}

static inline void net_close(struct net *n)
{
    fnl_graph_free(n->graph);
    fnl_free(n->x);
    fnl_free(n->labels);
}

#endif
