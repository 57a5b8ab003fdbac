/* op.h - the operators, one list. Forward operators are ONNX's, with ONNX's attribute names and
 * defaults; those ending in Grad (and the losses and updates) are ours, made by autodiff and never
 * written to a file. */
#ifndef FNL_ENGINE_OP_H
#define FNL_ENGINE_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/tensor_type.h"

/* enum name, text (ONNX op_type), min inputs, max inputs, min outputs, max outputs */
#define FNL_OPS(X)                                                                                 \
    X(ADD, "Add", 2, 2, 1, 1)                                                                      \
    X(SUB, "Sub", 2, 2, 1, 1)                                                                      \
    X(MUL, "Mul", 2, 2, 1, 1)                                                                      \
    X(DIV, "Div", 2, 2, 1, 1)                                                                      \
    X(RELU, "Relu", 1, 1, 1, 1)                                                                    \
    X(LEAKY_RELU, "LeakyRelu", 1, 1, 1, 1)                                                         \
    X(GELU, "Gelu", 1, 1, 1, 1) /* ONNX opset 20; exported as Erf form below 20 */                 \
    X(SIGMOID, "Sigmoid", 1, 1, 1, 1)                                                              \
    X(TANH, "Tanh", 1, 1, 1, 1)                                                                    \
    X(ERF, "Erf", 1, 1, 1, 1)                                                                      \
    X(SOFTMAX, "Softmax", 1, 1, 1, 1)                                                              \
    X(LOG_SOFTMAX, "LogSoftmax", 1, 1, 1, 1)                                                       \
    X(IDENTITY, "Identity", 1, 1, 1, 1)                                                            \
    X(FLATTEN, "Flatten", 1, 1, 1, 1)                                                              \
    X(RESHAPE, "Reshape", 1, 2, 1, 1) /* target in attrs.shape; a const 2nd input is folded */     \
    X(TRANSPOSE, "Transpose", 1, 1, 1, 1)                                                          \
    X(MATMUL, "MatMul", 2, 2, 1, 1)                                                                \
    X(GEMM, "Gemm", 2, 3, 1, 1)                                                                    \
    X(CONV, "Conv", 2, 3, 1, 1)                                                                    \
    X(MAX_POOL, "MaxPool", 1, 1, 1, 1)                                                             \
    X(AVERAGE_POOL, "AveragePool", 1, 1, 1, 1)                                                     \
    X(GLOBAL_AVERAGE_POOL, "GlobalAveragePool", 1, 1, 1, 1)                                        \
    X(GLOBAL_MAX_POOL, "GlobalMaxPool", 1, 1, 1, 1)                                                \
    X(DROPOUT, "Dropout", 1, 3, 1, 2) /* attrs.training, ratio; 2nd output: mask */                \
    /* X, scale, B, mean, var -> Y [, saved mean, saved 1/std] when attrs.training */              \
    X(BATCH_NORMALIZATION, "BatchNormalization", 5, 5, 1, 3)                                       \
    /* X, scale [, B] -> Y [, mean, 1/std] */                                                      \
    X(LAYER_NORMALIZATION, "LayerNormalization", 2, 3, 1, 3)                                       \
    X(REDUCE_SUM, "ReduceSum", 1, 1, 1, 1) /* attrs.axes_mask, keepdims */                         \
    X(REDUCE_MEAN, "ReduceMean", 1, 1, 1, 1)                                                       \
    /* losses: -> per-sample loss [N]; the gradient of their mean over the batch */                \
    X(SOFTMAX_CROSS_ENTROPY, "fnl.SoftmaxCrossEntropy", 2, 2, 2,                                   \
      2) /* logits, labels -> loss, p */                                                           \
    X(CATEGORICAL_CROSS_ENTROPY, "fnl.CategoricalCrossEntropy", 2, 2, 2, 2) /* logits, onehot */   \
    X(BINARY_CROSS_ENTROPY, "fnl.BinaryCrossEntropy", 2, 2, 2, 2) /* logits, targets -> loss, p */ \
    X(MEAN_SQUARED_ERROR, "fnl.MeanSquaredError", 2, 2, 1, 1)                                      \
    /* gradients */                                                                                \
    X(SOFTMAX_CROSS_ENTROPY_GRAD, "fnl.SoftmaxCrossEntropyGrad", 2, 2, 1, 1) /* p, labels -> dx */ \
    X(DIFFERENCE_GRAD, "fnl.DifferenceGrad", 2, 2, 1, 1)    /* (a-b)*alpha/N: other losses */      \
    X(RELU_GRAD, "fnl.ReluGrad", 2, 2, 1, 1)                /* dy, y */                            \
    X(LEAKY_RELU_GRAD, "fnl.LeakyReluGrad", 2, 2, 1, 1)     /* dy, y */                            \
    X(GELU_GRAD, "fnl.GeluGrad", 2, 2, 1, 1)                /* dy, x */                            \
    X(SIGMOID_GRAD, "fnl.SigmoidGrad", 2, 2, 1, 1)          /* dy, y */                            \
    X(TANH_GRAD, "fnl.TanhGrad", 2, 2, 1, 1)                /* dy, y */                            \
    X(ERF_GRAD, "fnl.ErfGrad", 2, 2, 1, 1)                  /* dy, x */                            \
    X(SOFTMAX_GRAD, "fnl.SoftmaxGrad", 2, 2, 1, 1)          /* dy, y */                            \
    X(LOG_SOFTMAX_GRAD, "fnl.LogSoftmaxGrad", 2, 2, 1, 1)   /* dy, y */                            \
    X(CONV_GRAD_DATA, "fnl.ConvGradData", 3, 3, 1, 1)       /* dy, w, x (for its shape) */         \
    X(CONV_GRAD_WEIGHTS, "fnl.ConvGradWeights", 3, 3, 1, 1) /* dy, x, w (for its shape) */         \
    X(CONV_GRAD_BIAS, "fnl.ConvGradBias", 1, 1, 1, 1)       /* dy */                               \
    X(MAX_POOL_GRAD, "fnl.MaxPoolGrad", 3, 3, 1, 1)         /* dy, x, y; first maximum wins */     \
    X(AVERAGE_POOL_GRAD, "fnl.AveragePoolGrad", 2, 2, 1, 1) /* dy, x (for its shape) */            \
    X(GLOBAL_AVERAGE_POOL_GRAD, "fnl.GlobalAveragePoolGrad", 2, 2, 1, 1) /* dy, x */               \
    X(GLOBAL_MAX_POOL_GRAD, "fnl.GlobalMaxPoolGrad", 3, 3, 1, 1)         /* dy, x, y */            \
    X(BATCH_NORMALIZATION_GRAD, "fnl.BatchNormalizationGrad", 5, 5, 3, 3)                          \
    /* ^ dy, x, scale, mean, 1/std -> dx, dscale, dB */                                            \
    X(LAYER_NORMALIZATION_GRAD, "fnl.LayerNormalizationGrad", 5, 5, 3, 3)                          \
    /* ^ dy, x, scale, mean, 1/std -> dx, dscale, dB */                                            \
    X(SUM_TO_SHAPE, "fnl.SumToShape", 2, 2, 1,                                                     \
      1)                                     /* dy, v: sums dy over what was broadcast in v */     \
    X(EXPAND_TO, "fnl.ExpandTo", 2, 2, 1, 1) /* dy, v: broadcasts dy to the shape of v, * alpha */ \
    X(RESHAPE_TO, "fnl.ReshapeTo", 2, 2, 1, 1) /* dy, v: the shape of v */

enum fnl_op {
#define FNL_OP_ENUM(name, text, i0, i1, o0, o1) FNL_OP_##name,
    FNL_OPS(FNL_OP_ENUM)
#undef FNL_OP_ENUM
        FNL_OP_COUNT
};

const char *fnl_op_text(enum fnl_op op);
/* By ONNX op_type; FNL_OP_COUNT when unknown (operators of our own are never found). */
enum fnl_op fnl_op_from_text(const char *text);

/* Attributes of all operators, each at ONNX's default by FNL_ATTRS_INIT. 2-D spatial only. */
struct fnl_attrs {
    int32_t kernel[2]; /* kernel_shape */
    int32_t strides[2];
    int32_t pads[4]; /* top, left, bottom, right */
    int32_t dilations[2];
    int32_t group;
    bool ceil_mode, count_include_pad; /* pools */
    bool trans_a, trans_b;             /* Gemm, MatMul of ours */
    bool training;                     /* Dropout, BatchNormalization */
    bool keepdims;                     /* reductions */
    bool gelu_tanh;                    /* Gelu: approximate = "tanh" */
    float alpha, beta;          /* Gemm; LeakyRelu slope; scale of DifferenceGrad, ExpandTo */
    float epsilon, momentum;    /* normalisations; momentum as in ONNX: running * m + new * (1-m) */
    float ratio;                /* Dropout */
    int32_t axis;               /* Softmax, Flatten, LayerNormalization */
    uint32_t axes_mask;         /* reductions: bit d = dimension d */
    struct fnl_shape shape;     /* Reshape: 0 keeps, -1 infers (FNL_DIM_BATCH in dim 0 keeps N) */
    int32_t perm[FNL_MAX_RANK]; /* Transpose */
    uint32_t seed;              /* Dropout: stream of its random numbers */
};

#define FNL_ATTRS_INIT                                                                             \
    {                                                                                              \
        .kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}, .group = 1, .keepdims = true,    \
        .alpha = 1.0F, .beta = 1.0F, .epsilon = 1e-5F, .momentum = 0.9F, .ratio = 0.5F, .axis = -1 \
    }

#endif
