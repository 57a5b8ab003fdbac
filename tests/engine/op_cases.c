/* op_cases.c - the operators and what they are tried on: several cases each, with odd sizes,
 * strides, pads, groups and dilations. A new operator gets its lines here; every back end and the
 * gradients are then tested on them. */
#include "op_case.h"

#define FED(shape, fill)                                                                           \
    {                                                                                              \
        OP_FED, shape, fill, NULL                                                                  \
    }
#define PARAM(shape, fill)                                                                         \
    {                                                                                              \
        OP_PARAM, shape, fill, NULL                                                                \
    }
#define STATE(shape, fill)                                                                         \
    {                                                                                              \
        OP_STATE, shape, fill, NULL                                                                \
    }
#define TARGET(shape, fill)                                                                        \
    {                                                                                              \
        OP_TARGET, shape, fill, NULL                                                               \
    }
#define LABELS                                                                                     \
    {                                                                                              \
        OP_LABELS, "N", OP_NORMAL, NULL                                                            \
    }
#define ABSENT                                                                                     \
    {                                                                                              \
        OP_NONE, NULL, OP_NORMAL, NULL                                                             \
    }

#define CASE(name_, op_, attrs_, ...)                                                              \
    {                                                                                              \
        .name = name_, .op = FNL_OP_##op_, .attrs = attrs_, .in = { __VA_ARGS__ }                  \
    }
#define CASE3(name_, op_, attrs_, ...)                                                             \
    {                                                                                              \
        .name = name_, .op = FNL_OP_##op_, .attrs = attrs_, .in = {__VA_ARGS__}, .outputs = 3      \
    }
#define FORWARD(name_, op_, attrs_, ...)                                                           \
    {                                                                                              \
        .name = name_, .op = FNL_OP_##op_, .attrs = attrs_, .in = {__VA_ARGS__},                   \
        .forward_only = true                                                                       \
    }

#define NORMAL OP_NORMAL
#define AWAY OP_AWAY
#define DISTINCT OP_DISTINCT
#define POSITIVE OP_POSITIVE

const struct op_case op_cases[] = {
    /* arithmetic and its broadcasting */
    CASE("add rows", ADD, "", FED("N,13", NORMAL), FED("N,13", NORMAL)),
    CASE("add images", ADD, "", FED("N,5,3,7", NORMAL), FED("N,5,3,7", NORMAL)),
    CASE("add bias", ADD, "", FED("N,13", NORMAL), PARAM("13", NORMAL)),
    CASE("add bias in front", ADD, "", PARAM("13", NORMAL), FED("N,13", NORMAL)),
    CASE("add channels", ADD, "", FED("N,5,3,7", NORMAL), PARAM("5,1,1", NORMAL)),
    CASE("add channels of rank 4", ADD, "", FED("N,5,3,7", NORMAL), PARAM("1,5,1,1", NORMAL)),
    CASE("add scalar", ADD, "", FED("N,4,3", NORMAL), PARAM("1", NORMAL)),
    CASE("add column to row", ADD, "", FED("N,4,1", NORMAL), PARAM("1,3", NORMAL)),
    CASE("add parameters", ADD, "", PARAM("4,3", NORMAL), PARAM("3", NORMAL)),
    CASE("add one value of each image", ADD, "", FED("N,5,3,7", NORMAL), FED("N,1,1,1", NORMAL)),
    CASE("add with holes", ADD, "", FED("N,1,3", NORMAL), PARAM("4,1", NORMAL)),
    CASE("add bias, many rows", ADD, "", FED("N,128,5", NORMAL), PARAM("5", NORMAL)),
    CASE("add channels, many pixels", ADD, "", FED("N,3,12,12", NORMAL), PARAM("3,1,1", NORMAL)),
    CASE("sub rows", SUB, "", FED("N,13", NORMAL), FED("N,13", NORMAL)),
    CASE("sub mean", SUB, "", FED("N,6,2", NORMAL), PARAM("6,1", NORMAL)),
    CASE("sub from parameter", SUB, "", PARAM("7", NORMAL), FED("N,7", NORMAL)),
    CASE("mul rows", MUL, "", FED("N,13", NORMAL), FED("N,13", NORMAL)),
    CASE("mul channels", MUL, "", FED("N,5,3,7", NORMAL), PARAM("5,1,1", NORMAL)),
    CASE("mul channels of each image", MUL, "", FED("N,5,3,7", NORMAL), FED("N,5,1,1", NORMAL)),
    CASE("mul parameters", MUL, "", PARAM("4,3", NORMAL), PARAM("4,1", NORMAL)),
    CASE("div rows", DIV, "", FED("N,13", NORMAL), FED("N,13", POSITIVE)),
    CASE("div by parameter", DIV, "", FED("N,5,3,7", NORMAL), PARAM("5,1,1", POSITIVE)),
    CASE("div of parameter", DIV, "", PARAM("7", NORMAL), FED("N,7", POSITIVE)),

    /* activations */
    CASE("relu rows", RELU, "", FED("N,37", AWAY)),
    CASE("relu images", RELU, "", FED("N,3,5,7", AWAY)),
    CASE("leaky relu", LEAKY_RELU, "alpha=0.01", FED("N,37", AWAY)),
    CASE("leaky relu, steep", LEAKY_RELU, "alpha=0.3", FED("N,3,5,7", AWAY)),
    CASE("leaky relu, falling", LEAKY_RELU, "alpha=-0.5", FED("N,19", AWAY)),
    CASE("gelu", GELU, "", FED("N,37", NORMAL)),
    CASE("gelu tanh", GELU, "gelu_tanh=1", FED("N,37", NORMAL)),
    CASE("gelu images", GELU, "", FED("N,3,5,7", NORMAL)),
    CASE("sigmoid", SIGMOID, "", FED("N,37", NORMAL)),
    CASE("tanh", TANH, "", FED("N,37", NORMAL)),
    CASE("tanh of a parameter", TANH, "", PARAM("4,3", NORMAL)),
    CASE("erf", ERF, "", FED("N,37", NORMAL)),

    /* softmax */
    CASE("softmax", SOFTMAX, "", FED("N,10", NORMAL)),
    CASE("softmax, wide", SOFTMAX, "", FED("N,133", NORMAL)),
    CASE("softmax of one class", SOFTMAX, "", FED("N,1", NORMAL)),
    CASE("softmax over channels", SOFTMAX, "axis=1", FED("N,5,3,2", NORMAL)),
    CASE("softmax, last of three", SOFTMAX, "axis=-1", FED("N,4,7", NORMAL)),
    CASE("log softmax", LOG_SOFTMAX, "", FED("N,10", NORMAL)),
    CASE("log softmax over channels", LOG_SOFTMAX, "axis=1", FED("N,5,3,2", NORMAL)),

    /* shapes */
    CASE("identity", IDENTITY, "", FED("N,3,4", NORMAL)),
    CASE("identity of an image", IDENTITY, "", FED("N,3,4,5", NORMAL)),
    CASE("flatten images", FLATTEN, "axis=1", FED("N,3,4,5", NORMAL)),
    CASE("flatten rows", FLATTEN, "axis=1", FED("N,6", NORMAL)),
    CASE("reshape to image", RESHAPE, "shape=N,2,3,-1", FED("N,30", NORMAL)),
    CASE("reshape keeps", RESHAPE, "shape=0,-1,5", FED("N,3,4,5", NORMAL)),
    CASE("reshape of a parameter", RESHAPE, "shape=6,2", PARAM("3,4", NORMAL)),
    CASE("transpose image", TRANSPOSE, "perm=0,2,3,1", FED("N,3,4,5", NORMAL)),
    CASE("transpose image, large", TRANSPOSE, "perm=0,2,3,1", FED("N,40,7,9", NORMAL)),
    CASE("transpose of all", TRANSPOSE, "perm=0,3,2,1", FED("N,3,4,5", NORMAL)),
    CASE("transpose of three", TRANSPOSE, "perm=0,2,1", FED("N,3,4", NORMAL)),
    CASE("transpose of a parameter", TRANSPOSE, "perm=1,0", PARAM("3,4", NORMAL)),

    /* products */
    CASE("matmul", MATMUL, "", FED("N,7", NORMAL), PARAM("7,5", NORMAL)),
    CASE("matmul, large", MATMUL, "", FED("N,70", NORMAL), PARAM("70,33", NORMAL)),
    CASE("matmul of parameters", MATMUL, "", PARAM("4,7", NORMAL), PARAM("7,5", NORMAL)),
    CASE("gemm", GEMM, "", FED("N,7", NORMAL), PARAM("7,5", NORMAL), PARAM("5", NORMAL)),
    CASE("gemm, weights by unit", GEMM, "trans_b=1", FED("N,50", NORMAL), PARAM("17,50", NORMAL),
         PARAM("17", NORMAL)),
    CASE("gemm, one unit", GEMM, "trans_b=1", FED("N,9", NORMAL), PARAM("1,9", NORMAL),
         PARAM("1", NORMAL)),
    CASE("gemm, one input", GEMM, "", FED("N,1", NORMAL), PARAM("1,3", NORMAL), PARAM("3", NORMAL)),
    CASE("gemm without bias", GEMM, "", FED("N,16", NORMAL), PARAM("16,32", NORMAL)),
    CASE("gemm, scaled", GEMM, "alpha=0.5 beta=-2", FED("N,7", NORMAL), PARAM("7,5", NORMAL),
         PARAM("5", NORMAL)),
    CASE("gemm, bias of rank 2", GEMM, "", FED("N,7", NORMAL), PARAM("7,5", NORMAL),
         PARAM("1,5", NORMAL)),
    CASE("gemm, bias of one", GEMM, "", FED("N,7", NORMAL), PARAM("7,5", NORMAL),
         PARAM("1", NORMAL)),
    CASE("gemm, transposed parameters", GEMM, "trans_a=1 trans_b=1", PARAM("7,4", NORMAL),
         PARAM("5,7", NORMAL), PARAM("4,1", NORMAL)),
    CASE("gemm, wide", GEMM, "", FED("N,129", NORMAL), PARAM("129,65", NORMAL),
         PARAM("65", NORMAL)),

    /* convolution */
    CASE("conv 1x1", CONV, "", FED("N,3,5,5", NORMAL), PARAM("4,3,1,1", NORMAL),
         PARAM("4", NORMAL)),
    CASE("conv 3x3 same", CONV, "pads=1,1,1,1", FED("N,3,7,6", NORMAL), PARAM("5,3,3,3", NORMAL),
         PARAM("5", NORMAL)),
    CASE("conv 3x3 valid", CONV, "", FED("N,2,7,6", NORMAL), PARAM("17,2,3,3", NORMAL),
         PARAM("17", NORMAL)),
    CASE("conv without bias", CONV, "", FED("N,2,6,6", NORMAL), PARAM("3,2,3,2", NORMAL)),
    CASE("conv strides", CONV, "strides=2,2 pads=1,1,1,1", FED("N,3,8,7", NORMAL),
         PARAM("4,3,3,3", NORMAL), PARAM("4", NORMAL)),
    CASE("conv uneven strides", CONV, "strides=1,3", FED("N,3,5,9", NORMAL),
         PARAM("4,3,2,3", NORMAL), PARAM("4", NORMAL)),
    CASE("conv uneven pads", CONV, "pads=0,2,1,0", FED("N,3,5,6", NORMAL), PARAM("4,3,3,3", NORMAL),
         PARAM("4", NORMAL)),
    CASE("conv dilations", CONV, "dilations=2,3 pads=1,1,1,1", FED("N,2,8,9", NORMAL),
         PARAM("3,2,3,2", NORMAL), PARAM("3", NORMAL)),
    CASE("conv dilations and strides", CONV, "dilations=2,2 strides=2,1 pads=2,2,2,2",
         FED("N,2,7,7", NORMAL), PARAM("3,2,3,3", NORMAL), PARAM("3", NORMAL)),
    CASE("conv 2 groups", CONV, "group=2 pads=1,1,1,1", FED("N,4,5,5", NORMAL),
         PARAM("6,2,3,3", NORMAL), PARAM("6", NORMAL)),
    CASE("conv depthwise", CONV, "group=5 pads=1,1,1,1", FED("N,5,5,6", NORMAL),
         PARAM("5,1,3,3", NORMAL), PARAM("5", NORMAL)),
    CASE("conv depthwise, two each", CONV, "group=3 strides=2,2", FED("N,3,7,7", NORMAL),
         PARAM("6,1,3,3", NORMAL), PARAM("6", NORMAL)),
    CASE("conv of one channel", CONV, "pads=2,2,2,2", FED("N,1,9,9", NORMAL),
         PARAM("8,1,5,5", NORMAL), PARAM("8", NORMAL)),
    CASE("conv whole image", CONV, "", FED("N,3,4,5", NORMAL), PARAM("7,3,4,5", NORMAL),
         PARAM("7", NORMAL)),
    CASE("conv 32 filters", CONV, "", FED("N,16,6,6", NORMAL), PARAM("32,16,3,3", NORMAL),
         PARAM("32", NORMAL)),
    CASE("conv strides past the end", CONV, "strides=3,3", FED("N,2,8,8", NORMAL),
         PARAM("3,2,2,2", NORMAL), PARAM("3", NORMAL)),

    /* pools */
    CASE("max pool 2x2", MAX_POOL, "kernel=2,2 strides=2,2", FED("N,3,6,8", DISTINCT)),
    CASE("max pool, odd image", MAX_POOL, "kernel=2,2 strides=2,2", FED("N,3,7,5", DISTINCT)),
    CASE("max pool overlapping", MAX_POOL, "kernel=3,3 strides=2,2 pads=1,1,1,1",
         FED("N,3,7,6", DISTINCT)),
    CASE("max pool stride 1", MAX_POOL, "kernel=3,2", FED("N,5,5,6", DISTINCT)),
    CASE("max pool ceil", MAX_POOL, "kernel=3,3 strides=2,2 ceil_mode=1", FED("N,2,6,8", DISTINCT)),
    CASE("max pool ceil and pads", MAX_POOL, "kernel=3,3 strides=3,2 pads=1,0,0,1 ceil_mode=1",
         FED("N,2,6,8", DISTINCT)),
    CASE("max pool dilations", MAX_POOL, "kernel=2,3 dilations=2,2 pads=1,1,1,1",
         FED("N,2,6,8", DISTINCT)),
    CASE("average pool 2x2", AVERAGE_POOL, "kernel=2,2 strides=2,2", FED("N,3,6,8", NORMAL)),
    CASE("average pool, odd image", AVERAGE_POOL, "kernel=2,2 strides=2,2",
         FED("N,17,7,5", NORMAL)),
    CASE("average pool pads", AVERAGE_POOL, "kernel=3,3 strides=2,2 pads=1,1,1,1",
         FED("N,3,7,6", NORMAL)),
    CASE("average pool counts pads", AVERAGE_POOL,
         "kernel=3,3 strides=2,2 pads=1,1,1,1 count_include_pad=1", FED("N,3,7,6", NORMAL)),
    CASE("average pool uneven pads", AVERAGE_POOL, "kernel=3,2 pads=0,1,2,0",
         FED("N,3,5,6", NORMAL)),
    CASE("average pool ceil", AVERAGE_POOL, "kernel=3,3 strides=2,2 ceil_mode=1",
         FED("N,2,6,8", NORMAL)),
    CASE("average pool ceil counts pads", AVERAGE_POOL,
         "kernel=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1 count_include_pad=1",
         FED("N,2,6,8", NORMAL)),
    CASE("average pool dilations", AVERAGE_POOL, "kernel=2,2 dilations=3,2 strides=2,1",
         FED("N,2,8,6", NORMAL)),
    CASE("global average pool", GLOBAL_AVERAGE_POOL, "", FED("N,5,4,3", NORMAL)),
    CASE("global average pool, 1x1", GLOBAL_AVERAGE_POOL, "", FED("N,19,1,1", NORMAL)),
    CASE("global max pool", GLOBAL_MAX_POOL, "", FED("N,5,4,3", DISTINCT)),

    /* dropout */
    {.name = "dropout",
     .op = FNL_OP_DROPOUT,
     .attrs = "training=1 ratio=0.4 seed=5",
     .in = {FED("N,21", NORMAL)},
     .outputs = 2},
    {.name = "dropout images",
     .op = FNL_OP_DROPOUT,
     .attrs = "training=1 ratio=0.25 seed=6",
     .in = {FED("N,3,5,3", NORMAL)},
     .outputs = 2},
    {.name = "dropout of nothing",
     .op = FNL_OP_DROPOUT,
     .attrs = "training=1 ratio=0",
     .in = {FED("N,21", NORMAL)},
     .outputs = 2},
    CASE("dropout at rest", DROPOUT, "ratio=0.4", FED("N,21", NORMAL)),

    /* normalisation */
    FORWARD("batch norm at rest", BATCH_NORMALIZATION, "epsilon=0.001", FED("N,5,3,4", NORMAL),
            PARAM("5", POSITIVE), PARAM("5", NORMAL), STATE("5", NORMAL), STATE("5", POSITIVE)),
    FORWARD("batch norm at rest, rows", BATCH_NORMALIZATION, "", FED("N,7", NORMAL),
            PARAM("7", POSITIVE), PARAM("7", NORMAL), STATE("7", NORMAL), STATE("7", POSITIVE)),
    CASE3("batch norm", BATCH_NORMALIZATION, "training=1", FED("N,5,3,4", NORMAL),
          PARAM("5", POSITIVE), PARAM("5", NORMAL), STATE("5", NORMAL), STATE("5", POSITIVE)),
    CASE3("batch norm, slow", BATCH_NORMALIZATION, "training=1 momentum=0.99 epsilon=0.001",
          FED("N,17,2,2", NORMAL), PARAM("17", POSITIVE), PARAM("17", NORMAL), STATE("17", NORMAL),
          STATE("17", POSITIVE)),
    CASE3("batch norm, rows", BATCH_NORMALIZATION, "training=1 epsilon=0.1", FED("N,7", NORMAL),
          PARAM("7", POSITIVE), PARAM("7", NORMAL), STATE("7", NORMAL), STATE("7", POSITIVE)),
    CASE3("batch norm, many pixels", BATCH_NORMALIZATION, "training=1", FED("N,3,12,12", NORMAL),
          PARAM("3", POSITIVE), PARAM("3", NORMAL), STATE("3", NORMAL), STATE("3", POSITIVE)),
    CASE3("layer norm", LAYER_NORMALIZATION, "", FED("N,13", NORMAL), PARAM("13", POSITIVE),
          PARAM("13", NORMAL)),
    CASE3("layer norm, wide", LAYER_NORMALIZATION, "epsilon=0.001", FED("N,67", NORMAL),
          PARAM("67", POSITIVE), PARAM("67", NORMAL)),
    CASE3("layer norm without bias", LAYER_NORMALIZATION, "", FED("N,9", NORMAL),
          PARAM("9", POSITIVE)),
    CASE3("layer norm over images", LAYER_NORMALIZATION, "axis=1", FED("N,3,4,5", NORMAL),
          PARAM("3,4,5", POSITIVE), PARAM("3,4,5", NORMAL)),
    CASE3("layer norm over the last of three", LAYER_NORMALIZATION, "axis=-1", FED("N,4,6", NORMAL),
          PARAM("6", POSITIVE), PARAM("6", NORMAL)),
    CASE3("layer norm, many rows", LAYER_NORMALIZATION, "axis=-1", FED("N,120,5", NORMAL),
          PARAM("5", POSITIVE), PARAM("5", NORMAL)),

    /* reductions: axes_mask has bit d for dimension d */
    CASE("reduce sum", REDUCE_SUM, "axes_mask=2", FED("N,6,3", NORMAL)),
    CASE("reduce sum to a number", REDUCE_SUM, "axes_mask=6 keepdims=0", FED("N,6,3", NORMAL)),
    CASE("reduce sum, long", REDUCE_SUM, "axes_mask=2", FED("N,4500", NORMAL)),
    CASE("reduce sum of every other", REDUCE_SUM, "axes_mask=10", FED("N,6,3,5", NORMAL)),
    CASE("reduce mean over pixels", REDUCE_MEAN, "axes_mask=12", FED("N,5,3,4", NORMAL)),
    CASE("reduce mean over channels", REDUCE_MEAN, "axes_mask=2 keepdims=0",
         FED("N,5,3,4", NORMAL)),
    CASE("reduce mean of a parameter", REDUCE_MEAN, "axes_mask=1", PARAM("4,3", NORMAL)),

    /* losses */
    CASE("softmax cross entropy", SOFTMAX_CROSS_ENTROPY, "", FED("N,10", NORMAL), LABELS),
    CASE("softmax cross entropy, wide", SOFTMAX_CROSS_ENTROPY, "", FED("N,131", NORMAL), LABELS),
    CASE("softmax cross entropy of one class", SOFTMAX_CROSS_ENTROPY, "", FED("N,1", NORMAL),
         LABELS),
    CASE("categorical cross entropy", CATEGORICAL_CROSS_ENTROPY, "", FED("N,7", NORMAL),
         TARGET("N,7", OP_ONE_HOT)),
    CASE("binary cross entropy", BINARY_CROSS_ENTROPY, "", FED("N,1", NORMAL),
         TARGET("N,1", OP_BITS)),
    CASE("binary cross entropy of many", BINARY_CROSS_ENTROPY, "", FED("N,3,5", NORMAL),
         TARGET("N,3,5", OP_BITS)),
    CASE("mean squared error", MEAN_SQUARED_ERROR, "", FED("N,7", NORMAL), TARGET("N,7", NORMAL)),
    CASE("mean squared error of images", MEAN_SQUARED_ERROR, "", FED("N,2,3,4", NORMAL),
         TARGET("N,2,3,4", NORMAL)),
};
const int op_case_count = (int)(sizeof op_cases / sizeof op_cases[0]);
