/* gpu_rows.h - the operators that run on accelerators, one list; each row is defined in the file of
 * its family (gpu_<family>.c) as fnl__gpu_<name>. */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_ROWS_H
#define FNL_ENGINE_BACKEND_GPU_GPU_ROWS_H

#include "engine/backend/gpu/gpu.h"

/* gpu_linear.c, gpu_conv.c */
#define FNL_GPU_PRODUCT_ROWS(X)                                                                    \
    X(matmul)                                                                                      \
    X(gemm)                                                                                        \
    X(conv)                                                                                        \
    X(conv_grad_data)                                                                              \
    X(conv_grad_weights)                                                                           \
    X(conv_grad_bias)

/* gpu_elementwise.c */
#define FNL_GPU_ELEMENTWISE_ROWS(X)                                                                \
    X(identity)                                                                                    \
    X(flatten)                                                                                     \
    X(reshape)                                                                                     \
    X(reshape_to)                                                                                  \
    X(relu)                                                                                        \
    X(leaky_relu)                                                                                  \
    X(gelu)                                                                                        \
    X(sigmoid)                                                                                     \
    X(tanh)                                                                                        \
    X(erf)                                                                                         \
    X(relu_grad)                                                                                   \
    X(leaky_relu_grad)                                                                             \
    X(gelu_grad)                                                                                   \
    X(sigmoid_grad)                                                                                \
    X(tanh_grad)                                                                                   \
    X(erf_grad)                                                                                    \
    X(difference_grad)                                                                             \
    X(add)                                                                                         \
    X(sub)                                                                                         \
    X(mul)                                                                                         \
    X(div)                                                                                         \
    X(dropout)

/* gpu_shape.c */
#define FNL_GPU_SHAPE_ROWS(X)                                                                      \
    X(transpose)                                                                                   \
    X(expand_to)                                                                                   \
    X(sum_to_shape)                                                                                \
    X(reduce_sum)                                                                                  \
    X(reduce_mean)                                                                                 \
    X(global_average_pool)                                                                         \
    X(global_average_pool_grad)

/* gpu_pool.c */
#define FNL_GPU_POOL_ROWS(X)                                                                       \
    X(max_pool)                                                                                    \
    X(max_pool_grad)                                                                               \
    X(average_pool)                                                                                \
    X(average_pool_grad)                                                                           \
    X(global_max_pool)                                                                             \
    X(global_max_pool_grad)

/* gpu_softmax.c */
#define FNL_GPU_SOFTMAX_ROWS(X)                                                                    \
    X(softmax)                                                                                     \
    X(log_softmax)                                                                                 \
    X(softmax_grad)                                                                                \
    X(log_softmax_grad)

/* gpu_norm.c */
#define FNL_GPU_NORM_ROWS(X)                                                                       \
    X(batch_norm)                                                                                  \
    X(batch_norm_training)                                                                         \
    X(batch_norm_grad)                                                                             \
    X(layer_norm)                                                                                  \
    X(layer_norm_grad)

/* gpu_loss.c */
#define FNL_GPU_LOSS_ROWS(X)                                                                       \
    X(softmax_cross_entropy)                                                                       \
    X(categorical_cross_entropy)                                                                   \
    X(binary_cross_entropy)                                                                        \
    X(mean_squared_error)                                                                          \
    X(softmax_cross_entropy_grad)

#define FNL_GPU_ROWS(X)                                                                            \
    FNL_GPU_PRODUCT_ROWS(X)                                                                        \
    FNL_GPU_ELEMENTWISE_ROWS(X)                                                                    \
    FNL_GPU_SHAPE_ROWS(X)                                                                          \
    FNL_GPU_POOL_ROWS(X)                                                                           \
    FNL_GPU_SOFTMAX_ROWS(X)                                                                        \
    FNL_GPU_NORM_ROWS(X)                                                                           \
    FNL_GPU_LOSS_ROWS(X)

#define FNL_GPU_ROW_DECLARE(name) extern const struct fnl_op_impl fnl__gpu_##name;
FNL_GPU_ROWS(FNL_GPU_ROW_DECLARE)
#undef FNL_GPU_ROW_DECLARE

/* Defines fnl__gpu_<name>. layouts: of the inputs, as fnl_op_impl.in_layout ('-': of an input only
 * the shape is needed); the rest: more fields. */
#define FNL_GPU_ROW(name_, OP, layouts, launch_, ...)                                              \
    const struct fnl_op_impl fnl__gpu_##name_ = {.op = FNL_OP_##OP,                                \
                                                 .name = "gpu." #name_,                            \
                                                 .in_layout = layouts,                             \
                                                 .launch = launch_,                                \
                                                 ##__VA_ARGS__}

#endif
