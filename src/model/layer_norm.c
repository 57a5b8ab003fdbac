/* layer_norm.c - batch_normalization (Ioffe and Szegedy, 2015), layer_normalization (Ba et al.,
 * 2016), with Keras' arguments and defaults. */
#include "model/layers_int.h"

struct norm {
    const char *name;
    double momentum, epsilon;
    bool center, scale;
    struct fnl_yaml_node *beta_initializer, *gamma_initializer;
};

#define EPSILON_FIELD                                                                              \
    {                                                                                              \
        "epsilon", FNL_FIELD_FLOAT, offsetof(struct norm, epsilon),                                \
            .fallback = "0.001", .min = 1e-12, .max = 1.0, .doc = "added to the variance"          \
    }
#define SHIFT_FIELDS                                                                               \
    {"center", FNL_FIELD_BOOL, offsetof(struct norm, center), .fallback = "true",                  \
     .doc = "whether a trained bias is added"},                                                    \
        {"scale", FNL_FIELD_BOOL, offsetof(struct norm, scale), .fallback = "true",                \
         .doc = "whether a trained factor is applied"},                                            \
        {"beta_initializer", FNL_FIELD_NODE, offsetof(struct norm, beta_initializer),              \
         .doc = "initialiser of the bias; default zeros"},                                         \
    {                                                                                              \
        "gamma_initializer", FNL_FIELD_NODE, offsetof(struct norm, gamma_initializer),             \
            .doc = "initialiser of the factor; default ones"                                       \
    }

static const struct fnl_field batch_fields[] = {
    FNL__LAYER_NAME,
    {"momentum", FNL_FIELD_FLOAT, offsetof(struct norm, momentum), .fallback = "0.99", .max = 1.0,
     .doc = "of the running mean and variance: running * momentum + batch's * (1 - momentum)"},
    EPSILON_FIELD,
    SHIFT_FIELDS,
    {0},
};
static const struct fnl_field layer_fields[] = {FNL__LAYER_NAME, EPSILON_FIELD, SHIFT_FIELDS, {0}};

/* "weight" and "bias" of n entries; without scale or center they keep 1 and 0. */
static int add_shift(struct fnl__layers *b, const struct norm *a, int64_t n, int inputs[2])
{
    struct fnl__init gamma, beta;
    struct fnl_shape shape = fnl_shape_make(1, n);
    int rc = fnl__layer_init(b, a->scale ? a->gamma_initializer : NULL, "gamma_initializer", "ones",
                             &gamma);
    if (rc == 0) {
        rc = fnl__layer_init(b, a->center ? a->beta_initializer : NULL, "beta_initializer", "zeros",
                             &beta);
    }
    if (rc != 0) {
        return rc;
    }
    inputs[0] = fnl__layer_param(b, "weight", &shape, &gamma, (double)n, (double)n, a->scale);
    if (inputs[0] < 0) {
        return inputs[0];
    }
    inputs[1] = fnl__layer_param(b, "bias", &shape, &beta, (double)n, (double)n, a->center);
    return inputs[1] < 0 ? inputs[1] : 0;
}

static int build_batch(struct fnl__layers *b, const void *args)
{
    const struct norm *a = args;
    const struct fnl_shape *x = fnl__layer_input(b);
    if (x->rank != 2 && x->rank != 4) {
        return fnl__layer_need_rank(b, 4);
    }
    int64_t channels = x->dim[1];
    struct fnl_shape shape = fnl_shape_make(1, channels);
    struct fnl__init zeros, ones;
    int inputs[5] = {b->value};
    int rc = fnl__layer_init(b, NULL, "moving_mean_initializer", "zeros", &zeros);
    rc = rc != 0 ? rc : fnl__layer_init(b, NULL, "moving_variance_initializer", "ones", &ones);
    rc = rc != 0 ? rc : add_shift(b, a, channels, &inputs[1]);
    if (rc != 0) {
        return rc;
    }
    inputs[3] = fnl__layer_param(b, "running_mean", &shape, &zeros, 1, 1, false);
    if (inputs[3] < 0) {
        return inputs[3];
    }
    inputs[4] = fnl__layer_param(b, "running_var", &shape, &ones, 1, 1, false);
    if (inputs[4] < 0) {
        return inputs[4];
    }
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.epsilon = (float)a->epsilon;
    attrs.momentum = (float)a->momentum;
    return fnl__layer_emit(b, FNL_OP_BATCH_NORMALIZATION, NULL, &attrs, inputs, 5, true);
}

/* Appends a Transpose that gives {N, d1, d2, d3} of the input. */
static int turn(struct fnl__layers *b, const char *suffix, int d1, int d2, int d3, bool last)
{
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    int x = b->value;
    attrs.perm[1] = d1;
    attrs.perm[2] = d2;
    attrs.perm[3] = d3;
    return fnl__layer_emit(b, FNL_OP_TRANSPOSE, suffix, &attrs, &x, 1, last);
}

/* Keras' last axis: the features of a row; the channels of each pixel, which stand last only after
 * a turn (as in ConvNeXt). */
static int build_layer(struct fnl__layers *b, const void *args)
{
    const struct norm *a = args;
    const struct fnl_shape *x = fnl__layer_input(b);
    bool image = x->rank == 4;
    int inputs[3] = {-1, -1, -1};
    int rc = image ? 0 : fnl__layer_need_rank(b, 2);
    rc = rc != 0 ? rc : add_shift(b, a, x->dim[1], &inputs[1]);
    rc = rc == 0 && image ? turn(b, "channels_last", 2, 3, 1, false) : rc;
    if (rc != 0) {
        return rc;
    }
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.epsilon = (float)a->epsilon;
    inputs[0] = b->value;
    rc = fnl__layer_emit(b, FNL_OP_LAYER_NORMALIZATION, image ? "rows" : NULL, &attrs, inputs, 3,
                         !image);
    return rc == 0 && image ? turn(b, NULL, 3, 1, 2, true) : rc;
}

const struct fnl__layer_kind fnl__layer_norm_kinds[] = {
    {"batch_normalization", NULL, batch_fields, sizeof(struct norm), build_batch,
     "Each channel to mean 0 and deviation 1: over the batch in training, by running statistics "
     "otherwise"},
    {"layer_normalization", NULL, layer_fields, sizeof(struct norm), build_layer,
     "Each row, or the channels of each pixel of an image, to mean 0 and deviation 1"},
    {0},
};
