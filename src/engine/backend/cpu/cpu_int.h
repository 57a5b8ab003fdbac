/* cpu_int.h - the CPU back end's own: the implementations of each family, and what they share. */
#ifndef FNL_ENGINE_BACKEND_CPU_CPU_INT_H
#define FNL_ENGINE_BACKEND_CPU_CPU_INT_H

#include "engine/backend/cpu/kernels.h"
#include "engine/impl.h"

/* ---- layouts of parameters (layout.c) ---- */
enum {
    FNL_CPU_PLAIN = 0,
    FNL_CPU_DENSE, /* dims: K (inputs), N (units), transposed (plain is [N, K], else [K, N]) */
    FNL_CPU_CONV,  /* dims: groups, N (filters of a group), C (channels of a group), KH*KW */
};
int fnl__cpu_param_layout(const struct fnl_graph *g, int value, struct fnl_param_layout *ret);
void fnl__cpu_param_pack(const struct fnl_param_layout *l, const float *plain, float *native);
void fnl__cpu_param_unpack(const struct fnl_param_layout *l, const float *native, float *plain);
/* The layout of a convolution's weights [K, C/group, KH, KW]. */
void fnl__cpu_conv_layout(const struct fnl_shape *w, int group, struct fnl_param_layout *ret);

/* ---- implementations, one list ---- */
#define FNL_CPU_IMPLS(X)                                                                           \
    X(dense_forward)                                                                               \
    X(dense_forward_matmul)                                                                        \
    X(dense_grad_weights)                                                                          \
    X(dense_grad_data)                                                                             \
    X(matmul)                                                                                      \
    X(gemm)                                                                                        \
    X(conv)                                                                                        \
    X(conv_grad_weights)                                                                           \
    X(conv_grad_data)                                                                              \
    X(conv_grad_bias)                                                                              \
    X(max_pool)                                                                                    \
    X(max_pool_grad)                                                                               \
    X(average_pool)                                                                                \
    X(average_pool_grad)                                                                           \
    X(global_average_pool)                                                                         \
    X(global_average_pool_grad)                                                                    \
    X(global_max_pool)                                                                             \
    X(global_max_pool_grad)                                                                        \
    X(add)                                                                                         \
    X(mul)                                                                                         \
    X(sub)                                                                                         \
    X(div)                                                                                         \
    X(add_channel)                                                                                 \
    X(mul_channel)                                                                                 \
    X(sub_channel)                                                                                 \
    X(div_channel)                                                                                 \
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
    X(dropout)                                                                                     \
    X(softmax)                                                                                     \
    X(log_softmax)                                                                                 \
    X(softmax_grad)                                                                                \
    X(log_softmax_grad)                                                                            \
    X(softmax_cross_entropy)                                                                       \
    X(softmax_cross_entropy_grad)                                                                  \
    X(categorical_cross_entropy)                                                                   \
    X(binary_cross_entropy)                                                                        \
    X(mean_squared_error)                                                                          \
    X(difference_grad)                                                                             \
    X(sum_to_features)                                                                             \
    X(batch_norm)                                                                                  \
    X(batch_norm_training)                                                                         \
    X(batch_norm_grad)                                                                             \
    X(layer_norm)                                                                                  \
    X(layer_norm_grad)

#define FNL_CPU_DECLARE(name) extern const struct fnl_op_impl fnl__cpu_impl_##name;
FNL_CPU_IMPLS(FNL_CPU_DECLARE)
#undef FNL_CPU_DECLARE

#endif
