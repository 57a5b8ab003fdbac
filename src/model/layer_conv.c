/* layer_conv.c - conv2d. */
#include "base/limits.h"
#include "model/layers_int.h"

struct conv2d {
    const char *name;
    int64_t filters, groups;
    struct fnl_ints kernel_size, strides, dilation_rate;
    struct fnl_yaml_node *padding;
    int activation;
    bool use_bias;
    struct fnl_yaml_node *kernel_initializer, *bias_initializer;
};

static const struct fnl_field conv2d_fields[] = {
    FNL__LAYER_NAME,
    {"filters", FNL_FIELD_INT, offsetof(struct conv2d, filters), .required = true, .min = 1,
     .max = FNL_MAX_UNITS, .doc = "output channels"},
    {"kernel_size", FNL_FIELD_INTS, offsetof(struct conv2d, kernel_size), .required = true,
     .min = 1, .max = FNL_MAX_WINDOW, .doc = "a number, or [height, width]"},
    {"strides", FNL_FIELD_INTS, offsetof(struct conv2d, strides), .fallback = "1", .min = 1,
     .max = FNL_MAX_WINDOW, .doc = "step of the window: a number, or [height, width]"},
    {"padding", FNL_FIELD_NODE, offsetof(struct conv2d, padding),
     .doc = "valid (default, none), same (output = input / stride, rounded up), a number, "
            "[height, width] or [top, left, bottom, right]"},
    {"dilation_rate", FNL_FIELD_INTS, offsetof(struct conv2d, dilation_rate), .fallback = "1",
     .min = 1, .max = FNL_MAX_WINDOW, .doc = "distance of the window's points"},
    {"groups", FNL_FIELD_INT, offsetof(struct conv2d, groups), .fallback = "1", .min = 1,
     .max = FNL_MAX_UNITS,
     .doc = "parts into which channels and filters are split; each sees its own part"},
    {"activation", FNL_FIELD_ENUM, offsetof(struct conv2d, activation), .fallback = "linear",
     .names = fnl__activation_names, .doc = "activation after it"},
    {"use_bias", FNL_FIELD_BOOL, offsetof(struct conv2d, use_bias), .fallback = "true",
     .doc = "whether a bias is added"},
    {"kernel_initializer", FNL_FIELD_NODE, offsetof(struct conv2d, kernel_initializer),
     .doc = "initialiser of the filters; default glorot_uniform"},
    {"bias_initializer", FNL_FIELD_NODE, offsetof(struct conv2d, bias_initializer),
     .doc = "initialiser of the bias; default zeros"},
    {0},
};

static int read_window(struct fnl__layers *b, const struct conv2d *a, struct fnl_attrs *attrs)
{
    int rc = fnl__layer_pair(b, &a->kernel_size, "kernel_size", attrs->kernel);
    rc = rc != 0 ? rc : fnl__layer_pair(b, &a->strides, "strides", attrs->strides);
    rc = rc != 0 ? rc : fnl__layer_pair(b, &a->dilation_rate, "dilation_rate", attrs->dilations);
    attrs->group = (int32_t)a->groups;
    return rc != 0 ? rc : fnl__layer_padding(b, a->padding, attrs);
}

/* inputs: x, filters [, bias] */
static int add_params(struct fnl__layers *b, const struct conv2d *a, const struct fnl_attrs *attrs,
                      int inputs[3])
{
    struct fnl__init kernel, bias;
    int rc =
        fnl__layer_init(b, a->kernel_initializer, "kernel_initializer", "glorot_uniform", &kernel);
    if (rc == 0) {
        rc = fnl__layer_init(b, a->bias_initializer, "bias_initializer", "zeros", &bias);
    }
    if (rc != 0) {
        return rc;
    }
    int64_t channels = fnl__layer_input(b)->dim[1] / a->groups;
    int64_t points = (int64_t)attrs->kernel[0] * attrs->kernel[1];
    double fan_in = (double)channels * (double)points,
           fan_out = (double)a->filters * (double)points;
    struct fnl_shape shape =
        fnl_shape_make(4, a->filters, channels, attrs->kernel[0], attrs->kernel[1]);
    inputs[1] = fnl__layer_param(b, "weight", &shape, &kernel, fan_in, fan_out, true);
    if (inputs[1] < 0 || !a->use_bias) {
        return inputs[1] < 0 ? inputs[1] : 0;
    }
    shape = fnl_shape_make(1, a->filters);
    inputs[2] = fnl__layer_param(b, "bias", &shape, &bias, fan_in, fan_out, true);
    return inputs[2] < 0 ? inputs[2] : 0;
}

static int build_conv2d(struct fnl__layers *b, const void *args)
{
    const struct conv2d *a = args;
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    int rc = fnl__layer_need_rank(b, 4);
    rc = rc != 0 ? rc : read_window(b, a, &attrs);
    if (rc != 0) {
        return rc;
    }
    int64_t channels = fnl__layer_input(b)->dim[1];
    if (channels % a->groups != 0 || a->filters % a->groups != 0) {
        return fnl__layer_fail(b, "use a number that divides both",
                               "%lld channels and %lld filters do not split into %lld groups",
                               (long long)channels, (long long)a->filters, (long long)a->groups);
    }
    int inputs[3] = {b->value, -1, -1};
    rc = add_params(b, a, &attrs, inputs);
    if (rc == 0) {
        rc = fnl__layer_emit(b, FNL_OP_CONV, NULL, &attrs, inputs, a->use_bias ? 3 : 2,
                             a->activation == 0);
    }
    return rc != 0 ? rc : fnl__layer_activation(b, a->activation);
}

const struct fnl__layer_kind fnl__layer_conv_kinds[] = {
    {"conv2d", NULL, conv2d_fields, sizeof(struct conv2d), build_conv2d,
     "2-D convolution of images"},
    {0},
};
