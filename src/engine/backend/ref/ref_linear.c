/* ref_linear.c - products of matrices. Autodiff writes their gradients as products too. */
#include "engine/backend/ref/ref_int.h"

/* y[M][N] = alpha op(a)[M][K] op(b)[K][N] + beta c, c broadcast to y. MatMul has neither alpha nor
 * c. */
static void run_product(const struct fnl_step *step, const struct fnl_run *run)
{
    const struct fnl_attrs *at = &step->node->attrs;
    struct fnl_ref_tensor a = fnl__ref_in(step, run, 0), b = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor c = fnl__ref_in(step, run, 2), y = fnl__ref_out(step, run, 0);
    size_t M = y.dim[0], N = y.dim[1], K = a.dim[at->trans_a ? 0 : 1];
    double alpha = step->node->op == FNL_OP_GEMM ? (double)at->alpha : 1.0;
    for (size_t m = 0; m < M; m++) {
        for (size_t n = 0; n < N; n++) {
            double sum = 0.0;
            for (size_t k = 0; k < K; k++) {
                float p = at->trans_a ? a.at[k * M + m] : a.at[m * K + k];
                float q = at->trans_b ? b.at[n * K + k] : b.at[k * N + n];
                sum += (double)p * (double)q;
            }
            sum *= alpha;
            if (c.at != NULL) {
                size_t from = fnl__ref_broadcast_index(&c, &y, m * N + n);
                sum += (double)at->beta * (double)c.at[from];
            }
            y.at[m * N + n] = (float)sum;
        }
    }
}

FNL_REF_IMPL(matmul, MATMUL, "p", .run = run_product);
FNL_REF_IMPL(gemm, GEMM, "p", .run = run_product);
