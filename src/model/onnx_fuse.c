/* onnx_fuse.c - finds the chains of nodes that mean Gelu, which opset 20 was the first to have.
 *
 *   erf:  t = Erf(x / sqrt(2))                             (Div, or Mul by 1 / sqrt(2))
 *   tanh: t = Tanh((x + 0.044715 x^3) sqrt(2 / pi))        (x^3 by Pow or two Muls)
 *   both: y = x (1 + t) / 2, the two factors in any order
 *
 * A chain is taken only when nothing else reads its inner tensors, so nothing is lost. Constants
 * may be off by a few units in the last place: exporters round them differently. */
#include <math.h>
#include <string.h>

#include "model/onnx_int.h"

#define CHAIN_MAX 12

struct chain {
    const struct fnl__onnx *o;
    int node[CHAIN_MAX]; /* inner nodes */
    int count;
    const char *x;
};

static const Onnx__NodeProto *node_at(const struct chain *c, int index)
{
    return c->o->proto->node[index];
}

static bool is(const Onnx__NodeProto *n, const char *type, size_t inputs)
{
    return n->op_type != NULL && strcmp(n->op_type, type) == 0 && n->n_input == inputs &&
           n->n_output == 1 && (n->domain == NULL || n->domain[0] == '\0');
}

static bool is_number(const struct chain *c, const char *name, double wanted)
{
    float value;
    return fnl__onnx_constant_float(c->o, name, &value) &&
           fabs((double)value - wanted) <= 1e-6 * fabs(wanted);
}

/* The node of this type that makes name for one reader only; NULL when there is none. */
static const Onnx__NodeProto *maker(struct chain *c, const char *name, const char *type,
                                    size_t inputs)
{
    const struct fnl__onnx_name *entry = fnl__onnx_find(c->o, name);
    if (entry == NULL || entry->kind != FNL__ONNX_OUTPUT || entry->uses != 1 ||
        !is(node_at(c, entry->index), type, inputs) || c->count == CHAIN_MAX) {
        return NULL;
    }
    c->node[c->count++] = entry->index;
    return node_at(c, entry->index);
}

/* Index of the only node that reads the output of n, when it is of this type; else -1. */
static int reader(const struct chain *c, const Onnx__NodeProto *n, const char *type)
{
    const struct fnl__onnx_name *entry = fnl__onnx_find(c->o, n->output[0]);
    bool one = entry != NULL && entry->uses == 1 && entry->consumer >= 0;
    return one && is(node_at(c, entry->consumer), type, 2) ? entry->consumer : -1;
}

/* The other input of a node of two. */
static const char *other(const Onnx__NodeProto *n, const char *input)
{
    return strcmp(n->input[0], input) == 0 ? n->input[1] : n->input[0];
}

/* n has the number `wanted` as an input; gives the other one. */
static const char *beside_number(const struct chain *c, const Onnx__NodeProto *n, double wanted)
{
    for (int i = 0; i < 2; i++) {
        if (is_number(c, n->input[i], wanted)) {
            return n->input[1 - i];
        }
    }
    return NULL;
}

/* t = Erf(x / sqrt(2)): sets c->x. */
static bool match_erf(struct chain *c, const Onnx__NodeProto *erf)
{
    const Onnx__NodeProto *n = maker(c, erf->input[0], "Div", 2);
    if (n != NULL && is_number(c, n->input[1], M_SQRT2)) {
        c->x = n->input[0];
        return true;
    }
    c->count = 0;
    n = maker(c, erf->input[0], "Mul", 2);
    c->x = n != NULL ? beside_number(c, n, M_SQRT1_2) : NULL;
    return c->x != NULL;
}

/* name = x^3? */
static bool match_cube(struct chain *c, const char *name, const char *x)
{
    int count = c->count;
    const Onnx__NodeProto *n = maker(c, name, "Pow", 2);
    if (n != NULL) {
        return strcmp(n->input[0], x) == 0 && is_number(c, n->input[1], 3.0);
    }
    c->count = count;
    n = maker(c, name, "Mul", 2);
    if (n == NULL || (strcmp(n->input[0], x) != 0 && strcmp(n->input[1], x) != 0)) {
        return false;
    }
    n = maker(c, other(n, x), "Mul", 2);
    return n != NULL && strcmp(n->input[0], x) == 0 && strcmp(n->input[1], x) == 0;
}

/* t = Tanh(sqrt(2 / pi) (x + 0.044715 x^3)) */
static bool match_tanh(struct chain *c, const Onnx__NodeProto *tanh_node)
{
    const Onnx__NodeProto *scale = maker(c, tanh_node->input[0], "Mul", 2);
    const char *inner = scale != NULL ? beside_number(c, scale, 0.79788456080286541) : NULL;
    const Onnx__NodeProto *sum = inner != NULL ? maker(c, inner, "Add", 2) : NULL;
    int count = c->count;
    for (int i = 0; sum != NULL && i < 2; i++) {
        c->count = count;
        c->x = sum->input[i];
        const Onnx__NodeProto *n = maker(c, sum->input[1 - i], "Mul", 2);
        const char *cube = n != NULL ? beside_number(c, n, 0.044715) : NULL;
        if (cube != NULL && match_cube(c, cube, c->x)) {
            return true;
        }
    }
    return false;
}

/* From t on: Add 1, then the factors x and 1/2. Returns the last node, or -1. */
static int match_tail(struct chain *c, int t)
{
    int add = reader(c, node_at(c, t), "Add");
    if (add < 0 || beside_number(c, node_at(c, add), 1.0) == NULL || c->count + 3 > CHAIN_MAX) {
        return -1;
    }
    c->node[c->count++] = t;
    c->node[c->count++] = add;
    int first = reader(c, node_at(c, add), "Mul");
    if (first < 0) {
        return -1;
    }
    const char *factor = other(node_at(c, first), node_at(c, add)->output[0]);
    bool by_x = strcmp(factor, c->x) == 0, by_half = is_number(c, factor, 0.5);
    if (!by_x && !by_half) { /* (x / 2) made before */
        const Onnx__NodeProto *half = maker(c, factor, "Mul", 2);
        const char *x = half != NULL ? beside_number(c, half, 0.5) : NULL;
        return x != NULL && strcmp(x, c->x) == 0 ? first : -1;
    }
    int last = reader(c, node_at(c, first), "Mul");
    if (last < 0) {
        return -1;
    }
    c->node[c->count++] = first;
    factor = other(node_at(c, last), node_at(c, first)->output[0]);
    bool good = by_x ? is_number(c, factor, 0.5) : strcmp(factor, c->x) == 0;
    return good ? last : -1;
}

/* A chain through node t takes its inner nodes out and makes the last one a Gelu. */
static void try_chain(struct fnl__onnx *o, int t)
{
    struct chain c = {.o = o};
    const Onnx__NodeProto *n = o->proto->node[t];
    bool erf = is(n, "Erf", 1);
    if (!erf && !is(n, "Tanh", 1)) {
        return;
    }
    bool head = erf ? match_erf(&c, n) : match_tanh(&c, n);
    int last = head ? match_tail(&c, t) : -1;
    if (last < 0) {
        return;
    }
    for (int i = 0; i < c.count; i++) {
        if (c.node[i] >= last) { /* not sorted: let the reader of nodes say so */
            return;
        }
    }
    for (int i = 0; i < c.count; i++) {
        o->fused[c.node[i]].fate = FNL__ONNX_SKIP;
    }
    o->fused[last].fate = erf ? FNL__ONNX_GELU : FNL__ONNX_GELU_TANH;
    o->fused[last].x = c.x;
}

int fnl__onnx_fuse(struct fnl__onnx *o)
{
    const Onnx__GraphProto *p = o->proto;
    o->fused = fnl_arena_array(&o->arena, p->n_node + 1, sizeof *o->fused);
    if (o->fused == NULL) {
        return FNL_FAIL(o->err, NOMEM, NULL, "%s: no memory for %zu nodes", o->file, p->n_node);
    }
    for (size_t i = 0; i < p->n_node; i++) {
        const Onnx__NodeProto *n = p->node[i];
        const struct fnl__onnx_name *made =
            n->n_output > 0 ? fnl__onnx_find(o, n->output[0]) : NULL;
        if (made != NULL && made->kind == FNL__ONNX_CONSTANT) {
            o->fused[i].fate = FNL__ONNX_SKIP;
        } else {
            try_chain(o, (int)i);
        }
    }
    return 0;
}
