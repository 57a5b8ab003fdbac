/* kernel_list.h - the list of all kernels: one line per slot of struct fnl_cpu_kernels. It declares
 * every FNL_K(name) with the type of its slot, and table.c fills the table from it, so that a
 * signature is written once, in kernels.h. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_KERNEL_LIST_H
#define FNL_ENGINE_BACKEND_CPU_ISA_KERNEL_LIST_H

#include "engine/backend/cpu/isa/isa.h"

/* clang-format off */
#define FNL_FLOAT_KERNELS(X)                                                                      \
    /* panel.c, dense.c, matmul.c, conv*.c */                                                     \
    X(panel_pack) X(panel_unpack)                                                                 \
    X(dense_forward) X(dense_grad_weights) X(dense_grad_data) X(dense_scratch)                    \
    X(dense_grad_weights_part) X(dense_part_scratch)                                              \
    X(matmul) X(matmul_scratch)                                                                   \
    X(conv_forward) X(conv_grad_weights) X(conv_grad_data) X(conv_scratch)                        \
    /* winograd.c */                                                                              \
    X(winograd_forward) X(winograd_grad_weights) X(winograd_grad_data) X(winograd_scratch)        \
    /* pool_*.c */                                                                                \
    X(max_pool) X(max_pool_grad) X(max_pool_noted) X(max_pool_noted_grad)                         \
    X(average_pool) X(average_pool_grad)                                                          \
    /* elementwise.c */                                                                           \
    X(add) X(relu) X(leaky_relu) X(gelu) X(sigmoid) X(tanh_) X(erf_)                              \
    X(relu_grad) X(leaky_relu_grad) X(gelu_grad) X(sigmoid_grad) X(tanh_grad) X(erf_grad)         \
    /* rows.c */                                                                                  \
    X(softmax) X(softmax_grad) X(softmax_cross_entropy) X(softmax_cross_entropy_grad)             \
    X(layer_norm) X(layer_norm_grad)                                                              \
    /* channels.c */                                                                              \
    X(channel_sums) X(channel_affine) X(channel_grad_sums) X(channel_grad) X(channel_bias_grad)   \
    /* optimizer.c, round.c */                                                                    \
    X(update) X(gradient_norm2) X(round_bf16)
#define FNL_BF16_KERNELS(X)                                                                       \
    /* bf16*.c */                                                                                 \
    X(dense_forward_bf16) X(dense_grad_weights_bf16) X(dense_grad_data_bf16)                      \
    X(dense_scratch_bf16)                                                                         \
    X(conv_forward_bf16) X(conv_grad_weights_bf16) X(conv_grad_data_bf16) X(conv_scratch_bf16)
/* clang-format on */

#define FNL_FLOAT_DECLARE(name) __typeof__(*((struct fnl_cpu_kernels *)0)->name) FNL_FLOAT_K(name);
#define FNL_BF16_DECLARE(name) __typeof__(*((struct fnl_cpu_kernels *)0)->name) FNL_K(name);
FNL_FLOAT_KERNELS(FNL_FLOAT_DECLARE)
FNL_BF16_KERNELS(FNL_BF16_DECLARE)
#undef FNL_FLOAT_DECLARE
#undef FNL_BF16_DECLARE

/* The table of this build. */
extern const struct fnl_cpu_kernels FNL_K(table);

#endif
