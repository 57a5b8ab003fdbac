/* gpu_linear.c - products of matrices: y[M][N] = alpha op(a)[M][K] op(b)[K][N] + beta c. Relu, the
 * mask of a ReluGrad and a bias' gradient are made on the way (kernels/gemm.k). */
#include "engine/backend/gpu/gpu_product.h"
#include "engine/backend/gpu/gpu_rows.h"

/* The product as the kernel sees it, for one number of rows. */
struct product {
    size_t M, N, K, sums;
    bool trans_a, trans_b;
    uint32_t flags;
    float alpha, beta;
    size_t bias_m, bias_n;
};

static size_t extent(const struct fnl_operand *o, int d, size_t rows)
{
    return o->shape.dim[d] == FNL_DIM_BATCH ? rows : (size_t)o->shape.dim[d];
}

/* How the bias is broadcast: a step of 0 repeats it. */
static void set_bias(struct product *p, const struct fnl_shape *c)
{
    bool wide = c->rank > 0 && c->dim[c->rank - 1] != 1;
    bool tall = c->rank == 2 && c->dim[0] != 1;
    p->bias_n = wide ? 1 : 0;
    p->bias_m = !tall ? 0 : wide ? p->N : 1;
}

static struct product product_of(const struct fnl_step *step, size_t rows)
{
    const struct fnl_attrs *at = &step->node->attrs;
    bool gemm = step->node->op == FNL_OP_GEMM;
    struct product p = {.M = extent(&step->out[0], 0, rows),
                        .N = extent(&step->out[0], 1, rows),
                        .K = extent(&step->in[0], at->trans_a ? 0 : 1, rows),
                        .trans_a = at->trans_a,
                        .trans_b = at->trans_b,
                        .flags = fnl__gpu_product_flags(step),
                        .alpha = gemm ? at->alpha : 1.0F,
                        .beta = gemm ? at->beta : 0.0F};
    if ((p.flags & FNL_GPU_BIAS) != 0) {
        set_bias(&p, &step->in[2].shape);
    }
    if (step->out[FNL_STEP_SUM].value >= 0) {
        p.flags |= step->sum_input == 0 ? FNL_GPU_SUM_A : FNL_GPU_SUM_B;
        p.sums = step->sum_input == 0 ? p.M : p.N;
    }
    return p;
}

static int plan_product(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                        struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    struct product p = product_of(step, step->max_rows);
    step->scratch_bytes = fnl__gpu_cut_scratch(p.M, p.N, p.K, 1, p.sums);
    return 0;
}

/* May four neighbours be read as one vector? Lines and the first element must be aligned. */
static bool quads(const struct fnl_operand *o, size_t line)
{
    return line % 4 == 0 && o->offset % 16 == 0;
}

static int launch_gemm(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                       const struct product *p, const struct fnl_gpu_cut *cut,
                       struct fnl_error *err)
{
    static const struct fnl_operand absent = {.value = -1};
    bool split = cut->splits > 1;
    uint32_t flags =
        split ? (p->flags & (FNL_GPU_SUM_A | FNL_GPU_SUM_B)) | FNL_GPU_SPLIT : p->flags;
    flags |= p->trans_a ? 0 : FNL_GPU_A_K_FAST;
    flags |= quads(&step->in[0], p->trans_a ? p->M : p->K) ? FNL_GPU_A_QUADS : 0;
    flags |= p->trans_b ? FNL_GPU_B_K_FAST : 0;
    flags |= quads(&step->in[1], p->trans_b ? p->K : p->N) ? FNL_GPU_B_QUADS : 0;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, cut->tile->file[FNL_GPU_GEMM], "gemm");
    fnl__gpu_u32(&c, p->M);
    fnl__gpu_u32(&c, p->N);
    fnl__gpu_u32(&c, p->K);
    fnl__gpu_u32(&c, flags);
    fnl__gpu_u32(&c, cut->chunk);
    fnl__gpu_u32(&c, p->M * p->N + p->sums);
    fnl__gpu_f32(&c, split ? 1.0F : p->alpha);
    fnl__gpu_f32(&c, p->beta);
    fnl__gpu_u32(&c, p->bias_m);
    fnl__gpu_u32(&c, p->bias_n);
    fnl__gpu_ptr(&c, &step->in[0]);
    fnl__gpu_ptr(&c, &step->in[1]);
    fnl__gpu_ptr(&c, (flags & FNL_GPU_BIAS) != 0 ? &step->in[2] : &absent);
    fnl__gpu_ptr(&c, (flags & FNL_GPU_MASK) != 0 ? &step->in[FNL_STEP_MASK] : &absent);
    if (split) {
        fnl__gpu_buf(&c, emit->scratch, step->scratch_offset);
    } else {
        fnl__gpu_ptr(&c, &step->out[0]);
    }
    fnl__gpu_ptr(&c, p->sums > 0 && !split ? &step->out[FNL_STEP_SUM] : &absent);
    c.too_large = c.too_large || p->M * p->K > UINT32_MAX || p->N * p->K > UINT32_MAX;
    return fnl__gpu_grid(&c, cut->tiles, cut->splits, 1, cut->tile->threads, 1, err);
}

static int launch_product(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                          struct fnl_error *err)
{
    struct product p = product_of(step, emit->rows);
    struct fnl_gpu_cut cut;
    fnl__gpu_cut(emit, p.M, p.N, p.K, 1, p.sums, step->scratch_bytes, &cut);
    int rc = launch_gemm(step, emit, &p, &cut, err);
    if (rc != 0 || cut.splits == 1) {
        return rc;
    }
    const struct fnl_gpu_join join = {.M = p.M,
                                      .N = p.N,
                                      .sums = p.sums,
                                      .splits = cut.splits,
                                      .flags = p.flags,
                                      .alpha = p.alpha,
                                      .beta = p.beta,
                                      .bias_m = p.bias_m,
                                      .bias_n = p.bias_n};
    return fnl__gpu_join(step, emit, &join, err);
}

const struct fnl_op_impl fnl__gpu_matmul = {.op = FNL_OP_MATMUL,
                                            .name = "gpu.matmul",
                                            .fuses_relu = true,
                                            .fuses_mask = true,
                                            .fuses_sum = true,
                                            .plan = plan_product,
                                            .launch = launch_product};
const struct fnl_op_impl fnl__gpu_gemm = {.op = FNL_OP_GEMM,
                                          .name = "gpu.gemm",
                                          .fuses_relu = true,
                                          .fuses_mask = true,
                                          .plan = plan_product,
                                          .launch = launch_product};
