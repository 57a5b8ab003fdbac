/* layer_activation.c - activations: as layers of their own, and as an argument of others. */
#include "model/layers_int.h"

/* In Keras the slope of `activation: leaky_relu` is 0.2 and that of the layer is 0.3. */
#define ACTIVATION_SLOPE 0.2F

static const struct {
    const char *name;
    enum fnl_op op;
} activations[] = {
    {"linear", FNL_OP_IDENTITY}, {"relu", FNL_OP_RELU},       {"leaky_relu", FNL_OP_LEAKY_RELU},
    {"gelu", FNL_OP_GELU},       {"sigmoid", FNL_OP_SIGMOID}, {"tanh", FNL_OP_TANH},
    {"softmax", FNL_OP_SOFTMAX},
};

const char *const fnl__activation_names[] = {
    "linear", "relu", "leaky_relu", "gelu", "sigmoid", "tanh", "softmax", NULL,
};

static int emit(struct fnl__layers *b, enum fnl_op op, const char *suffix, float slope,
                bool gelu_tanh)
{
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    if (op == FNL_OP_LEAKY_RELU) {
        attrs.alpha = slope;
    }
    attrs.gelu_tanh = gelu_tanh;
    if (op == FNL_OP_SOFTMAX) {
        int rc = fnl__layer_need_rank(b, 2);
        if (rc != 0) {
            return rc;
        }
    }
    int x = b->value;
    return fnl__layer_emit(b, op, suffix, &attrs, &x, 1, true);
}

int fnl__layer_activation(struct fnl__layers *b, int activation)
{
    if (activation == 0) {
        return 0;
    }
    return emit(b, activations[activation].op, activations[activation].name, ACTIVATION_SLOPE,
                false);
}

struct plain {
    const char *name;
};
static const struct fnl_field plain_fields[] = {FNL__LAYER_NAME, {0}};

static int build_plain(struct fnl__layers *b, const void *args)
{
    (void)args;
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (strcmp(activations[i].name, b->kind->name) == 0) {
            return emit(b, activations[i].op, NULL, 0.0F, false);
        }
    }
    return fnl__layer_fail(b, NULL, "no such activation");
}

struct leaky_relu {
    const char *name;
    double negative_slope;
};
static const struct fnl_field leaky_relu_fields[] = {
    FNL__LAYER_NAME,
    {"negative_slope", FNL_FIELD_FLOAT, offsetof(struct leaky_relu, negative_slope),
     .fallback = "0.3", .max = 1e6, .doc = "factor of negative inputs"},
    {0},
};

static int build_leaky_relu(struct fnl__layers *b, const void *args)
{
    const struct leaky_relu *a = args;
    return emit(b, FNL_OP_LEAKY_RELU, NULL, (float)a->negative_slope, false);
}

struct gelu {
    const char *name;
    bool approximate;
};
static const struct fnl_field gelu_fields[] = {
    FNL__LAYER_NAME,
    {"approximate", FNL_FIELD_BOOL, offsetof(struct gelu, approximate), .fallback = "false",
     .doc = "the form with tanh instead of erf"},
    {0},
};

static int build_gelu(struct fnl__layers *b, const void *args)
{
    const struct gelu *a = args;
    return emit(b, FNL_OP_GELU, NULL, 0.0F, a->approximate);
}

struct activation {
    const char *name;
    int activation;
};
static const struct fnl_field activation_fields[] = {
    FNL__LAYER_NAME,
    {"activation", FNL_FIELD_ENUM, offsetof(struct activation, activation), .required = true,
     .names = fnl__activation_names, .doc = "which one; leaky_relu has slope 0.2 here"},
    {0},
};

static int build_activation(struct fnl__layers *b, const void *args)
{
    const struct activation *a = args;
    return emit(b, activations[a->activation].op, NULL, ACTIVATION_SLOPE, false);
}

const struct fnl__layer_kind fnl__layer_activation_kinds[] = {
    {"activation", "activation", activation_fields, sizeof(struct activation), build_activation,
     "An activation by name"},
    {"relu", NULL, plain_fields, sizeof(struct plain), build_plain, "max(x, 0)"},
    {"leaky_relu", "negative_slope", leaky_relu_fields, sizeof(struct leaky_relu), build_leaky_relu,
     "x, or negative_slope * x below 0"},
    {"gelu", NULL, gelu_fields, sizeof(struct gelu), build_gelu,
     "x times the normal distribution function of x"},
    {"sigmoid", NULL, plain_fields, sizeof(struct plain), build_plain, "1 / (1 + exp(-x))"},
    {"tanh", NULL, plain_fields, sizeof(struct plain), build_plain, "Hyperbolic tangent"},
    {"softmax", NULL, plain_fields, sizeof(struct plain), build_plain,
     "Rows to probabilities: exp(x) / sum of exp(x)"},
    {0},
};
