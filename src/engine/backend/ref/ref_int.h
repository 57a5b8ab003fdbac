/* ref_int.h - the reference back end's inside: tensors as its loops see them, and its list of
 * operators. */
#ifndef FNL_ENGINE_BACKEND_REF_REF_INT_H
#define FNL_ENGINE_BACKEND_REF_REF_INT_H

#include "engine/impl.h"

/* An operand with its batch dimension filled in: plain row-major floats. */
struct fnl_ref_tensor {
    float *at; /* NULL when the operand is absent */
    int rank;
    size_t dim[FNL_MAX_RANK];
    size_t count; /* elements, 1 for a scalar */
};

struct fnl_ref_tensor fnl__ref_in(const struct fnl_step *step, const struct fnl_run *run,
                                  int index);
struct fnl_ref_tensor fnl__ref_out(const struct fnl_step *step, const struct fnl_run *run,
                                   int index);

/* numpy broadcasting: which element of `from` stands at element `index` of `over`. Shapes are
 * aligned at the right; a dimension of 1 is repeated. */
size_t fnl__ref_broadcast_index(const struct fnl_ref_tensor *from,
                                const struct fnl_ref_tensor *over, size_t index);

/* An axis as ONNX counts it (negative: from the end), counted from the front. */
int fnl__ref_axis(const struct fnl_step *step, int rank);

/* Elements of dimensions [begin, end). */
size_t fnl__ref_extent(const struct fnl_ref_tensor *t, int begin, int end);

/* Scratch of one double for each element of output 0; a plan() for operators that sum into it. */
int fnl__ref_plan_sums(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                       struct fnl_error *err);

/* Defines fnl__ref_<name>, the implementation of FNL_OP_<OP>. layouts: of the inputs, as
 * fnl_op_impl.in_layout; the rest: more fields. */
#define FNL_REF_IMPL(name_, OP, layouts, ...)                                                      \
    const struct fnl_op_impl fnl__ref_##name_ = {.op = FNL_OP_##OP,                                \
                                                 .name = "ref." #name_,                            \
                                                 .in_layout = layouts,                             \
                                                 .out_layout = "p",                                \
                                                 __VA_ARGS__}

/* At least one row for each operator of op.h. */
#define FNL_REF_IMPLS(X)                                                                           \
    X(add)                                                                                         \
    X(sub)                                                                                         \
    X(mul)                                                                                         \
    X(div)                                                                                         \
    X(relu)                                                                                        \
    X(leaky_relu)                                                                                  \
    X(gelu)                                                                                        \
    X(sigmoid)                                                                                     \
    X(tanh)                                                                                        \
    X(erf)                                                                                         \
    X(softmax)                                                                                     \
    X(log_softmax)                                                                                 \
    X(identity)                                                                                    \
    X(flatten)                                                                                     \
    X(reshape)                                                                                     \
    X(transpose)                                                                                   \
    X(matmul)                                                                                      \
    X(gemm)                                                                                        \
    X(conv)                                                                                        \
    X(max_pool)                                                                                    \
    X(average_pool)                                                                                \
    X(global_average_pool)                                                                         \
    X(global_max_pool)                                                                             \
    X(dropout)                                                                                     \
    X(batch_normalization)                                                                         \
    X(batch_normalization_training)                                                                \
    X(layer_normalization)                                                                         \
    X(reduce_sum)                                                                                  \
    X(reduce_mean)                                                                                 \
    X(softmax_cross_entropy)                                                                       \
    X(categorical_cross_entropy)                                                                   \
    X(binary_cross_entropy)                                                                        \
    X(mean_squared_error)                                                                          \
    X(softmax_cross_entropy_grad)                                                                  \
    X(difference_grad)                                                                             \
    X(relu_grad)                                                                                   \
    X(leaky_relu_grad)                                                                             \
    X(gelu_grad)                                                                                   \
    X(sigmoid_grad)                                                                                \
    X(tanh_grad)                                                                                   \
    X(erf_grad)                                                                                    \
    X(softmax_grad)                                                                                \
    X(log_softmax_grad)                                                                            \
    X(conv_grad_data)                                                                              \
    X(conv_grad_weights)                                                                           \
    X(conv_grad_bias)                                                                              \
    X(max_pool_grad)                                                                               \
    X(average_pool_grad)                                                                           \
    X(global_average_pool_grad)                                                                    \
    X(global_max_pool_grad)                                                                        \
    X(batch_normalization_grad)                                                                    \
    X(layer_normalization_grad)                                                                    \
    X(sum_to_shape)                                                                                \
    X(expand_to)                                                                                   \
    X(reshape_to)

#define FNL_REF_DECLARE(name) extern const struct fnl_op_impl fnl__ref_##name;
FNL_REF_IMPLS(FNL_REF_DECLARE)
#undef FNL_REF_DECLARE

/* ref_optimizer.c */
void fnl__ref_update(const struct fnl_update *u, size_t begin, size_t end);
double fnl__ref_gradient_norm2(float *const *gradient, int count, size_t begin, size_t end);

#endif
