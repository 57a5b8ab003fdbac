/* layout.c - how the CPU back end keeps parameters: the weights of products and convolutions in
 * panels, ready for the micro-kernel (kernels.h), everything else in ONNX order. A parameter gets
 * panels when all its forward uses agree on them. */
#include <string.h>

#include "engine/backend/cpu/cpu_int.h"

static size_t panels_size(size_t K, size_t N)
{
    size_t P = (size_t)fnl_cpu_kernels()->panel;
    return (N + P - 1) / P * P * K;
}

void fnl__cpu_conv_layout(const struct fnl_shape *w, int group, struct fnl_param_layout *ret)
{
    int N = (int)w->dim[0] / group, C = (int)w->dim[1], window = (int)(w->dim[2] * w->dim[3]);
    *ret = (struct fnl_param_layout){.kind = FNL_CPU_CONV,
                                     .size = panels_size((size_t)window * (size_t)C, (size_t)N) *
                                             (size_t)group,
                                     .dims = {group, N, C, window}};
}

static bool fits_int(const struct fnl_shape *s)
{
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] > 1 << 30) {
            return false;
        }
    }
    return true;
}

/* The layout one use of the value as input 1 asks for. */
static struct fnl_param_layout layout_for_use(const struct fnl_graph *g, const struct fnl_node *n,
                                              const struct fnl_value *v)
{
    struct fnl_param_layout l = {.kind = FNL_CPU_PLAIN};
    const struct fnl_value *x = fnl_graph_value(g, n->input[0]);
    if (!fits_int(&v->shape)) {
        return l;
    }
    if (n->op == FNL_OP_CONV) {
        fnl__cpu_conv_layout(&v->shape, n->attrs.group, &l);
    } else if ((n->op == FNL_OP_GEMM || n->op == FNL_OP_MATMUL) && v->shape.rank == 2 &&
               x->kind != FNL_VALUE_PARAM && !n->attrs.trans_a &&
               x->shape.dim[0] == FNL_DIM_BATCH) {
        bool t = n->attrs.trans_b;
        l.kind = FNL_CPU_DENSE;
        l.dims[0] = (int)v->shape.dim[t ? 1 : 0];
        l.dims[1] = (int)v->shape.dim[t ? 0 : 1];
        l.dims[2] = t ? 1 : 0;
        l.size = panels_size((size_t)l.dims[0], (size_t)l.dims[1]);
    }
    return l;
}

int fnl__cpu_param_layout(const struct fnl_graph *g, int value, struct fnl_param_layout *ret)
{
    const struct fnl_value *v = fnl_graph_value(g, value);
    struct fnl_param_layout plain = *ret, chosen = *ret;
    bool any = false;
    for (int i = 0; i < fnl_graph_node_count(g); i++) {
        const struct fnl_node *n = fnl_graph_node(g, i);
        if (n->backward) {
            break; /* the backward nodes come last */
        }
        for (int k = 0; k < n->input_count; k++) {
            if (n->input[k] != value) {
                continue;
            }
            struct fnl_param_layout l =
                k == 1 ? layout_for_use(g, n, v) : (struct fnl_param_layout){.kind = FNL_CPU_PLAIN};
            if (l.kind == FNL_CPU_PLAIN || (any && memcmp(&l, &chosen, sizeof l) != 0)) {
                *ret = plain;
                return 0;
            }
            chosen = l;
            any = true;
        }
    }
    *ret = any ? chosen : plain;
    return 0;
}

/* Calls copy for every element: index in ONNX order, index in panels. */
#define FOR_EACH_ELEMENT(l, plain_index, panel_index, body)                                        \
    do {                                                                                           \
        size_t P_ = (size_t)fnl_cpu_kernels()->panel;                                              \
        bool conv_ = (l)->kind == FNL_CPU_CONV;                                                    \
        size_t G_ = conv_ ? (size_t)(l)->dims[0] : 1;                                              \
        size_t N_ = (size_t)(l)->dims[1];                                                          \
        size_t C_ = conv_ ? (size_t)(l)->dims[2] : 1;                                              \
        size_t W_ = conv_ ? (size_t)(l)->dims[3] : (size_t)(l)->dims[0];                           \
        size_t K_ = C_ * W_;                                                                       \
        bool nk_ = conv_ || (l)->dims[2] != 0;                                                     \
        for (size_t g_ = 0; g_ < G_; g_++) {                                                       \
            for (size_t n_ = 0; n_ < N_; n_++) {                                                   \
                for (size_t c_ = 0; c_ < C_; c_++) {                                               \
                    for (size_t w_ = 0; w_ < W_; w_++) {                                           \
                        size_t plain_index =                                                       \
                            nk_ ? ((g_ * N_ + n_) * C_ + c_) * W_ + w_ : w_ * N_ + n_;             \
                        size_t panel_index = g_ * panels_size(K_, N_) + n_ / P_ * P_ * K_ +        \
                                             (w_ * C_ + c_) * P_ + n_ % P_;                        \
                        body;                                                                      \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

void fnl__cpu_param_pack(const struct fnl_param_layout *l, const float *plain, float *native)
{
    memset(native, 0, l->size * sizeof *native);
    FOR_EACH_ELEMENT(l, from, to, native[to] = plain[from]);
}

void fnl__cpu_param_unpack(const struct fnl_param_layout *l, const float *native, float *plain)
{
    FOR_EACH_ELEMENT(l, to, from, plain[to] = native[from]);
}
