/* layer_dense.c - dense, flatten, dropout. */
#include "base/limits.h"
#include "model/layers_int.h"

struct dense {
    const char *name;
    int64_t units;
    int activation;
    bool use_bias;
    struct fnl_yaml_node *kernel_initializer, *bias_initializer;
};

static const struct fnl_field dense_fields[] = {
    FNL__LAYER_NAME,
    {"units", FNL_FIELD_INT, offsetof(struct dense, units), .required = true, .min = 1,
     .max = FNL_MAX_UNITS, .doc = "outputs"},
    {"activation", FNL_FIELD_ENUM, offsetof(struct dense, activation), .fallback = "linear",
     .names = fnl__activation_names, .doc = "activation after it"},
    {"use_bias", FNL_FIELD_BOOL, offsetof(struct dense, use_bias), .fallback = "true",
     .doc = "whether a bias is added"},
    {"kernel_initializer", FNL_FIELD_NODE, offsetof(struct dense, kernel_initializer),
     .doc = "initialiser of the weights; default glorot_uniform"},
    {"bias_initializer", FNL_FIELD_NODE, offsetof(struct dense, bias_initializer),
     .doc = "initialiser of the bias; default zeros"},
    {0},
};

/* x[N, F] -> Gemm with weight[units, F], as PyTorch and its ONNX files have it. */
static int build_dense(struct fnl__layers *b, const void *args)
{
    const struct dense *a = args;
    struct fnl__init kernel, bias;
    int rc = fnl__layer_need_rank(b, 2);
    if (rc == 0) {
        rc = fnl__layer_init(b, a->kernel_initializer, "kernel_initializer", "glorot_uniform",
                             &kernel);
    }
    if (rc == 0) {
        rc = fnl__layer_init(b, a->bias_initializer, "bias_initializer", "zeros", &bias);
    }
    if (rc != 0) {
        return rc;
    }
    int64_t features = fnl__layer_input(b)->dim[1];
    struct fnl_shape shape = fnl_shape_make(2, a->units, features);
    int inputs[3] = {b->value, -1, -1};
    inputs[1] =
        fnl__layer_param(b, "weight", &shape, &kernel, (double)features, (double)a->units, true);
    if (inputs[1] < 0) {
        return inputs[1];
    }
    if (a->use_bias) {
        shape = fnl_shape_make(1, a->units);
        inputs[2] =
            fnl__layer_param(b, "bias", &shape, &bias, (double)features, (double)a->units, true);
        if (inputs[2] < 0) {
            return inputs[2];
        }
    }
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.trans_b = true;
    rc = fnl__layer_emit(b, FNL_OP_GEMM, NULL, &attrs, inputs, a->use_bias ? 3 : 2,
                         a->activation == 0);
    return rc != 0 ? rc : fnl__layer_activation(b, a->activation);
}

struct flatten {
    const char *name;
};

static const struct fnl_field flatten_fields[] = {FNL__LAYER_NAME, {0}};

static int build_flatten(struct fnl__layers *b, const void *args)
{
    (void)args;
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.axis = 1;
    int x = b->value;
    return fnl__layer_emit(b, FNL_OP_FLATTEN, NULL, &attrs, &x, 1, true);
}

struct dropout {
    const char *name;
    double rate;
};

static const struct fnl_field dropout_fields[] = {
    FNL__LAYER_NAME,
    {"rate", FNL_FIELD_FLOAT, offsetof(struct dropout, rate), .required = true, .max = 0.999,
     .doc = "part of the inputs set to 0 in training; the others grow by 1 / (1 - rate)"},
    {0},
};

static int build_dropout(struct fnl__layers *b, const void *args)
{
    const struct dropout *a = args;
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.ratio = (float)a->rate;
    attrs.seed = b->dropout_index++;
    int x = b->value;
    return fnl__layer_emit(b, FNL_OP_DROPOUT, NULL, &attrs, &x, 1, true);
}

const struct fnl__layer_kind fnl__layer_dense_kinds[] = {
    {"dense", "units", dense_fields, sizeof(struct dense), build_dense,
     "Fully connected: every output is a weighted sum of all inputs"},
    {"flatten", NULL, flatten_fields, sizeof(struct flatten), build_flatten,
     "Images to rows, in the order channel, height, width"},
    {"dropout", "rate", dropout_fields, sizeof(struct dropout), build_dropout,
     "Sets random inputs to 0 in training, does nothing otherwise"},
    {0},
};
