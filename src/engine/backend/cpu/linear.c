/* linear.c - products: dense layers on panel weights, and general matrix products. */
#include <string.h>

#include "engine/backend/cpu/cpu_int.h"

static const struct fnl_value *input(const struct fnl_graph *g, const struct fnl_node *n, int i)
{
    return fnl_graph_value(g, n->input[i]);
}

static bool layout_of(const struct fnl_graph *g, int value, struct fnl_param_layout *ret)
{
    const struct fnl_value *v = fnl_graph_value(g, value);
    *ret = (struct fnl_param_layout){0};
    return v->kind == FNL_VALUE_PARAM && fnl__cpu_param_layout(g, value, ret) == 0 &&
           ret->kind == FNL_CPU_DENSE;
}

/* ---- y = x w + bias on panels ---- */

static bool dense_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    struct fnl_param_layout l;
    if (n->backward || !layout_of(g, n->input[1], &l)) {
        return false;
    }
    if (n->op == FNL_OP_MATMUL) {
        return true;
    }
    bool biased = n->input_count > 2 && n->input[2] >= 0;
    const struct fnl_shape *b = biased ? &input(g, n, 2)->shape : NULL;
    bool row = !biased || (fnl_shape_count(b, -1) == l.dims[1] &&
                           b->dim[b->rank - 1] == l.dims[1] && b->dim[0] != FNL_DIM_BATCH);
    return row && n->attrs.alpha == 1.0F && (!biased || n->attrs.beta == 1.0F);
}

/* The scratch of a dense step with K inputs and N units, and which kernels it calls. */
static void plan_dense(struct fnl_step *s, size_t K, size_t N, bool needs_scratch)
{
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    s->bf16_product = s->bf16 && fnl_cpu_bf16_products();
    size_t floats = needs_scratch ? k->dense_scratch(s->max_rows, K, N) : 0;
    if (s->bf16_product) {
        floats = k->dense_scratch_bf16(s->max_rows, K, N);
    }
    s->scratch_bytes = floats * sizeof(float);
}

static int dense_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                      struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    plan_dense(s, s->in[0].row_size, s->out[0].row_size, false);
    return 0;
}

static void dense_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    size_t K = s->in[0].row_size, N = s->out[0].row_size;
    const float *x = fnl_f32(r, &s->in[0]), *w = fnl_f32(r, &s->in[1]);
    const float *bias = s->in_count > 2 ? fnl_f32(r, &s->in[2]) : NULL;
    enum fnl_cpu_activation act = s->activation != 0 ? FNL_CPU_RELU : FNL_CPU_NONE;
    float *y = fnl_f32(r, &s->out[0]);
    if (s->bf16_product) {
        k->dense_forward_bf16(r->rows, K, N, x, K, w, bias, act, y, N, (float *)(void *)r->scratch);
    } else {
        k->dense_forward(r->rows, K, N, x, K, w, bias, act, y, N);
    }
}

const struct fnl_op_impl fnl__cpu_impl_dense_forward = {.op = FNL_OP_GEMM,
                                                        .name = "cpu.dense",
                                                        .rank = 20,
                                                        .fuses_relu = true,
                                                        .in_layout = "pnp",
                                                        .out_layout = "p",
                                                        .supports = dense_supports,
                                                        .plan = dense_plan,
                                                        .run = dense_run};

const struct fnl_op_impl fnl__cpu_impl_dense_forward_matmul = {.op = FNL_OP_MATMUL,
                                                               .name = "cpu.dense",
                                                               .rank = 20,
                                                               .fuses_relu = true,
                                                               .in_layout = "pn",
                                                               .out_layout = "p",
                                                               .supports = dense_supports,
                                                               .plan = dense_plan,
                                                               .run = dense_run};

/* ---- dw = x^T dy, straight into the parameter's panels. Inputs (dy, x) for [N, K] weights, (x,
 * dy) for [K, N]. ---- */

static bool grad_weights_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    struct fnl_param_layout l;
    int owner = fnl_graph_value(g, n->output[0])->gradient_of;
    if (!n->backward || owner < 0 || !n->attrs.trans_a || n->attrs.trans_b ||
        !layout_of(g, owner, &l)) {
        return false;
    }
    bool nk = l.dims[2] != 0;
    const struct fnl_shape *a = &input(g, n, 0)->shape, *b = &input(g, n, 1)->shape;
    return a->dim[0] == FNL_DIM_BATCH && b->dim[0] == FNL_DIM_BATCH &&
           a->dim[1] == l.dims[nk ? 1 : 0] && b->dim[1] == l.dims[nk ? 0 : 1];
}

static bool weights_nk(const struct fnl_step *s, const struct fnl_graph *g)
{
    struct fnl_param_layout l = {0};
    layout_of(g, fnl_graph_value(g, s->out[0].value)->gradient_of, &l);
    return l.dims[2] != 0;
}

struct grad_weights {
    int x, dy; /* which input is which */
};

/* Units in panels, then inputs, until there are enough parts for the threads to share: a part each
 * and one to even out. */
static struct fnl_dense_part part_of(size_t K, size_t N, int part, int parts)
{
    const size_t panel = (size_t)fnl_cpu_kernels()->panel, panels = (N + panel - 1) / panel;
    const size_t across = panels < (size_t)parts ? panels : (size_t)parts;
    const size_t down = (size_t)parts / across;
    const size_t p = (size_t)part % across, k = (size_t)part / across;
    return (struct fnl_dense_part){panels * p / across, panels * (p + 1) / across, K * k / down,
                                   K * (k + 1) / down};
}

/* Inputs that a part has at least: fewer are not worth the copy of dy into its panels. */
#define PART_INPUTS 96

static int grad_weights_parts(const struct fnl_step *s, const struct fnl_graph *g, int threads)
{
    if (s->bf16 && fnl_cpu_bf16_products()) {
        return 0;
    }
    const bool nk = weights_nk(s, g);
    const size_t K = s->in[nk ? 1 : 0].row_size, N = s->in[nk ? 0 : 1].row_size;
    const size_t panel = (size_t)fnl_cpu_kernels()->panel, panels = (N + panel - 1) / panel;
    const size_t wanted = threads > 1 ? 2 * (size_t)threads : 1;
    const size_t across = panels < wanted ? panels : wanted;
    size_t down = wanted / across, most = K / PART_INPUTS;
    down = down > most ? most : down;
    return (int)(across * (down > 0 ? down : 1));
}

static int grad_weights_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                             struct fnl_error *err)
{
    struct grad_weights *state = fnl_arena_alloc(arena, sizeof *state);
    if (state == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    bool nk = weights_nk(s, g);
    *state = (struct grad_weights){.x = nk ? 1 : 0, .dy = nk ? 0 : 1};
    s->state = state;
    const size_t K = s->in[state->x].row_size, N = s->in[state->dy].row_size;
    plan_dense(s, K, N, true);
    for (int i = 0; i < s->parts; i++) {
        const struct fnl_dense_part part = part_of(K, N, i, s->parts);
        const size_t bytes =
            fnl_cpu_kernels()->dense_part_scratch(s->max_rows, part) * sizeof(float);
        s->scratch_bytes = i == 0 || bytes > s->scratch_bytes ? bytes : s->scratch_bytes;
    }
    return 0;
}

static void grad_weights_run(const struct fnl_step *s, const struct fnl_run *r)
{
    const struct grad_weights *state = s->state;
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    const struct fnl_operand *x = &s->in[state->x], *dy = &s->in[state->dy];
    (s->bf16_product ? k->dense_grad_weights_bf16 : k->dense_grad_weights)(
        r->rows, x->row_size, dy->row_size, fnl_f32(r, x), x->row_size, fnl_f32(r, dy),
        dy->row_size, fnl_f32(r, &s->out[0]), NULL, !r->first_block, (float *)(void *)r->scratch);
}

static void grad_weights_run_part(const struct fnl_step *s, const struct fnl_run *r, int part,
                                  const struct fnl_update *update)
{
    const struct grad_weights *state = s->state;
    const struct fnl_operand *x = &s->in[state->x], *dy = &s->in[state->dy];
    const size_t K = x->row_size, N = dy->row_size;
    fnl_cpu_kernels()->dense_grad_weights_part(
        r->rows, K, N, fnl_f32(r, x), K, fnl_f32(r, dy), N, part_of(K, N, part, s->parts),
        fnl_f32(r, &s->out[0]), update, s->out[0].offset / sizeof(float),
        (float *)(void *)r->scratch);
}

const struct fnl_op_impl fnl__cpu_impl_dense_grad_weights = {.op = FNL_OP_MATMUL,
                                                             .name = "cpu.dense.grad_weights",
                                                             .rank = 20,
                                                             .in_layout = "p",
                                                             .out_layout = "n",
                                                             .supports = grad_weights_supports,
                                                             .plan = grad_weights_plan,
                                                             .run = grad_weights_run,
                                                             .parts = grad_weights_parts,
                                                             .run_part = grad_weights_run_part};

/* ---- dx = dy w^T ---- */

static bool grad_data_supports(const struct fnl_graph *g, const struct fnl_node *n)
{
    struct fnl_param_layout l;
    return n->backward && !n->attrs.trans_a && layout_of(g, n->input[1], &l) &&
           n->attrs.trans_b == (l.dims[2] == 0) && input(g, n, 0)->shape.dim[0] == FNL_DIM_BATCH;
}

static int grad_data_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                          struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    plan_dense(s, s->out[0].row_size, s->in[0].row_size, true);
    return 0;
}

static void grad_data_run(const struct fnl_step *s, const struct fnl_run *r)
{
    size_t K = s->out[0].row_size, N = s->in[0].row_size;
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    (s->bf16_product ? k->dense_grad_data_bf16 : k->dense_grad_data)(
        r->rows, K, N, fnl_f32(r, &s->in[0]), N, fnl_f32(r, &s->in[1]), fnl_f32(r, &s->out[0]), K,
        (float *)(void *)r->scratch);
}

const struct fnl_op_impl fnl__cpu_impl_dense_grad_data = {.op = FNL_OP_MATMUL,
                                                          .name = "cpu.dense.grad_data",
                                                          .rank = 20,
                                                          .in_layout = "pn",
                                                          .out_layout = "p",
                                                          .supports = grad_data_supports,
                                                          .plan = grad_data_plan,
                                                          .run = grad_data_run};

/* ---- any two matrices, row-major ---- */

/* Extent of dimension d for this run. */
static size_t extent(const struct fnl_run *r, const struct fnl_operand *o, int d)
{
    return d == 0 && fnl_batched(o) ? r->rows : (size_t)o->shape.dim[d];
}

static int matmul_plan(struct fnl_step *s, const struct fnl_graph *g, struct fnl_arena *arena,
                       struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    struct fnl_run most = {.rows = s->max_rows};
    bool ta = s->node->attrs.trans_a, tb = s->node->attrs.trans_b;
    s->scratch_bytes =
        sizeof(float) * fnl_cpu_kernels()->matmul_scratch(extent(&most, &s->in[0], ta ? 1 : 0),
                                                          extent(&most, &s->in[1], tb ? 0 : 1),
                                                          extent(&most, &s->in[0], ta ? 0 : 1));
    return 0;
}

static void matmul_run(const struct fnl_step *s, const struct fnl_run *r)
{
    bool ta = s->node->attrs.trans_a, tb = s->node->attrs.trans_b;
    ptrdiff_t lda = (ptrdiff_t)s->in[0].shape.dim[1], ldb = (ptrdiff_t)s->in[1].shape.dim[1];
    size_t M = extent(r, &s->in[0], ta ? 1 : 0), K = extent(r, &s->in[0], ta ? 0 : 1);
    size_t N = extent(r, &s->in[1], tb ? 0 : 1);
    fnl_cpu_kernels()->matmul(M, N, K, fnl_f32(r, &s->in[0]), ta ? 1 : lda, ta ? lda : 1,
                              fnl_f32(r, &s->in[1]), tb ? 1 : ldb, tb ? ldb : 1,
                              fnl_f32(r, &s->out[0]), N, (float *)(void *)r->scratch);
}

const struct fnl_op_impl fnl__cpu_impl_matmul = {.op = FNL_OP_MATMUL,
                                                 .name = "cpu.matmul",
                                                 .rank = 10,
                                                 .in_layout = "p",
                                                 .out_layout = "p",
                                                 .plan = matmul_plan,
                                                 .run = matmul_run};

/* y = alpha op(a) op(b) + beta c, c broadcast over rows or columns. */
static void gemm_run(const struct fnl_step *s, const struct fnl_run *r)
{
    matmul_run(s, r);
    size_t M = extent(r, &s->out[0], 0), N = (size_t)s->out[0].shape.dim[1];
    float *y = fnl_f32(r, &s->out[0]);
    float alpha = s->node->attrs.alpha, beta = s->node->attrs.beta;
    const struct fnl_operand *c = &s->in[2];
    const float *bias = s->in_count > 2 ? fnl_f32(r, c) : NULL;
    bool wide = bias != NULL && c->shape.rank > 0 && c->shape.dim[c->shape.rank - 1] != 1;
    bool tall = bias != NULL && c->shape.rank == 2 && c->shape.dim[0] != 1;
    for (size_t m = 0; m < M; m++) {
        const float *row = bias == NULL ? NULL : bias + (tall ? m * (wide ? N : 1) : 0);
        for (size_t n = 0; n < N; n++) {
            float add = row == NULL ? 0.0F : beta * row[wide ? n : 0];
            y[m * N + n] = alpha * y[m * N + n] + add;
        }
    }
}

const struct fnl_op_impl fnl__cpu_impl_gemm = {.op = FNL_OP_GEMM,
                                               .name = "cpu.gemm",
                                               .rank = 10,
                                               .in_layout = "p",
                                               .out_layout = "p",
                                               .plan = matmul_plan,
                                               .run = gemm_run};
