/* plan.c - from graph to steps.
 *
 * Order of work: (1) mark the nodes whose results are wanted; (2) choose for each the
 * implementation of highest rank that supports it; (3) fuse Relu and its gradient into neighbours
 * that can take them, and have a pool note for its gradient what that needs; (4) walk the nodes in
 * order and append their steps (plan_steps.c); then place everything in memory (plan_memory.c). */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "engine/plan_int.h"

/* ---- (1) wanted nodes ---- */

/* BatchNormalization in training mode updates its running statistics whether or not its output is
 * read. */
static bool has_effect(const struct fnl_node *n)
{
    return n->op == FNL_OP_BATCH_NORMALIZATION && n->attrs.training;
}

static bool output_wanted(const struct planner *p, const struct fnl_node *n)
{
    for (int i = 0; i < n->output_count; i++) {
        int v = n->output[i];
        if (p->kept[v] || p->uses[v] > 0 ||
            (p->plan->training && value_at(p, v)->gradient_of >= 0)) {
            return true;
        }
    }
    return has_effect(n) && p->plan->training;
}

static void mark_wanted(struct planner *p)
{
    for (int n = fnl_graph_node_count(p->g) - 1; n >= 0; n--) {
        const struct fnl_node *node = node_at(p, n);
        p->choice[n].output = p->choice[n].mask = p->choice[n].sum = -1;
        p->choice[n].note_of = -1;
        p->choice[n].wanted = output_wanted(p, node);
        for (int i = 0; p->choice[n].wanted && i < node->input_count; i++) {
            if (node->input[i] >= 0) {
                p->uses[node->input[i]]++;
            }
        }
    }
}

/* ---- (2) implementations ---- */

static const struct fnl_op_impl *best_of(const struct planner *p, const struct fnl_backend *b,
                                         const struct fnl_node *node)
{
    const struct fnl_op_impl *best = NULL;
    for (const struct fnl_op_impl *const *i = b->impls; *i != NULL; i++) {
        if ((*i)->op == node->op && (best == NULL || (*i)->rank > best->rank) &&
            ((*i)->supports == NULL || (*i)->supports(p->g, node))) {
            best = *i;
        }
    }
    return best;
}

static int choose(struct planner *p, int n)
{
    const struct fnl_node *node = node_at(p, n);
    const struct fnl_op_impl *best = best_of(p, p->backend, node);
    if (best == NULL && p->backend->fallback != NULL) {
        best = best_of(p, p->backend->fallback, node);
    }
    if (best == NULL) {
        return FNL_FAIL(p->err, UNSUPPORTED, NULL,
                        "node \"%s\": the %s back end has no %s of this kind", node->name,
                        p->backend->name, fnl_op_text(node->op));
    }
    p->choice[n].impl = best;
    return 0;
}

/* ---- (3) fusion ---- */

/* The step that writes value, when value is read by one node alone and nobody outside. */
static int sole_producer(const struct planner *p, int value)
{
    int producer = value_at(p, value)->producer;
    if (producer < 0 || p->uses[value] != 1 || p->kept[value] || !p->choice[producer].wanted ||
        p->choice[producer].absorbed || p->choice[producer].output >= 0) {
        return -1;
    }
    return producer;
}

/* Relu and ReluGrad into the step before them. */
static void fuse_relu(struct planner *p, int n)
{
    const struct fnl_node *node = node_at(p, n);
    int m = sole_producer(p, node->input[0]);
    if (m < 0) {
        return;
    }
    struct choice *c = &p->choice[m];
    bool forward = node->op == FNL_OP_RELU && c->impl->fuses_relu;
    /* dy comes from MaxPoolGrad(dy, x, y) and the mask is that very x. */
    bool back = node->op == FNL_OP_RELU_GRAD && c->impl->fuses_relu_grad &&
                node_at(p, m)->input[1] == node->input[1];
    bool mask = node->op == FNL_OP_RELU_GRAD && !back && c->impl->fuses_mask && c->sum < 0 &&
                value_at(p, node->input[1])->producer < m;
    if (forward || back || mask) {
        c->relu = forward;
        c->relu_grad = back;
        c->mask = mask ? node->input[1] : -1;
        c->output = node->output[0];
        p->choice[n].absorbed = true;
    }
}

/* Which input of product m has dy's rows as the dimension that is summed away: 0, 1, or -1. */
static int summed_input(const struct planner *p, int m, int dy)
{
    const struct fnl_node *node = node_at(p, m);
    if (value_at(p, dy)->shape.rank != 2 && node->op == FNL_OP_MATMUL) {
        return -1;
    }
    if (node->op == FNL_OP_CONV_GRAD_WEIGHTS) {
        return node->input[0] == dy ? 0 : -1;
    }
    if (node->op != FNL_OP_MATMUL) {
        return -1;
    }
    if (node->input[0] == dy && node->attrs.trans_a) {
        return 0;
    }
    return node->input[1] == dy && !node->attrs.trans_b ? 1 : -1;
}

/* The gradient of a bias, dy summed over its rows, into the product before it that reads the whole
 * of dy for the weights' gradient. */
static void fuse_sum(struct planner *p, int n)
{
    const struct fnl_node *node = node_at(p, n);
    int dy = node->input[0], sum = node->output[0];
    const struct fnl_shape *from = &value_at(p, dy)->shape, *to = &value_at(p, sum)->shape;
    if (node->op == FNL_OP_SUM_TO_SHAPE &&
        (from->rank != 2 || fnl_shape_count(to, 1) != from->dim[1])) {
        return;
    }
    for (int m = n - 1; m >= 0; m--) {
        struct choice *c = &p->choice[m];
        bool open = c->wanted && !c->absorbed && c->sum < 0 && c->mask < 0;
        int input = open && c->impl->fuses_sum ? summed_input(p, m, dy) : -1;
        if (input >= 0) {
            c->sum = sum;
            c->sum_input = input;
            p->choice[n].absorbed = true;
            return;
        }
    }
}

/* The loss's gradient into the loss. */
static void fuse_gradient(struct planner *p, int n)
{
    const struct fnl_node *node = node_at(p, n);
    int m = value_at(p, node->input[0])->producer;
    if (m >= 0 && p->choice[m].wanted && !p->choice[m].absorbed && p->choice[m].sum < 0 &&
        p->choice[m].impl->fuses_gradient && node_at(p, m)->input[1] == node->input[1]) {
        p->choice[m].sum = node->output[0];
        p->choice[n].absorbed = true;
    }
}

static void fuse(struct planner *p, int n)
{
    switch (node_at(p, n)->op) {
    case FNL_OP_RELU:
    case FNL_OP_RELU_GRAD:
        fuse_relu(p, n);
        break;
    case FNL_OP_SUM_TO_SHAPE:
    case FNL_OP_CONV_GRAD_BIAS:
        fuse_sum(p, n);
        break;
    case FNL_OP_SOFTMAX_CROSS_ENTROPY_GRAD:
        fuse_gradient(p, n);
        break;
    default:
        break;
    }
}

/* A MaxPoolGrad(dy, x, y) takes a note of the MaxPool that made y of x, where both can. */
static void pass_note(struct planner *p, int n)
{
    const struct fnl_node *node = node_at(p, n);
    const int m = p->choice[n].impl->takes_notes ? value_at(p, node->input[2])->producer : -1;
    if (m < 0 || !p->choice[m].wanted || p->choice[m].note_of >= 0 ||
        p->choice[m].impl->note_bytes == NULL || node_at(p, m)->input[0] != node->input[1] ||
        p->choice[m].impl->note_bytes(p->g, node_at(p, m)) == 0) {
        return;
    }
    p->choice[n].note_of = m;
    p->choice[m].note_of = n;
    p->choice[m].relu_grad = p->choice[n].relu_grad;
}

static int build(struct planner *p)
{
    int nodes = fnl_graph_node_count(p->g);
    mark_wanted(p);
    for (int n = 0; n < nodes; n++) {
        int rc = p->choice[n].wanted ? choose(p, n) : 0;
        if (rc != 0) {
            return rc;
        }
    }
    for (int n = 0; n < nodes; n++) {
        if (p->choice[n].wanted && p->backend->views) {
            fuse(p, n);
        }
    }
    for (int n = 0; n < nodes; n++) {
        if (p->choice[n].wanted && !p->choice[n].absorbed) {
            pass_note(p, n);
        }
    }
    int rc = fnl__plan_outside(p);
    for (int n = 0; rc == 0 && n < nodes; n++) {
        if (p->choice[n].wanted && !p->choice[n].absorbed) {
            rc = fnl__plan_node(p, n);
        }
    }
    return rc;
}

static int fill_constants(struct fnl_plan *plan, struct fnl_error *err)
{
    plan->constants = fnl_alloc_aligned(plan->constant_bytes + FNL_CACHE_LINE);
    if (plan->constants == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for constants");
    }
    for (int v = 0; v < fnl_graph_value_count(plan->graph); v++) {
        const struct fnl_value *value = fnl_graph_value(plan->graph, v);
        if (value->kind == FNL_VALUE_CONST) {
            const struct fnl_slot *s = &plan->slot[plan->slot_of[v][FNL_LAYOUT_PLAIN]];
            memcpy(plan->constants + s->offset, value->data, s->bytes);
        }
    }
    return 0;
}

static int alloc_planner(struct planner *p, const struct fnl_plan_options *o)
{
    size_t values = (size_t)fnl_graph_value_count(p->g) + 1;
    p->choice = fnl_calloc((size_t)fnl_graph_node_count(p->g) + 1, sizeof *p->choice);
    p->uses = fnl_calloc(values, sizeof *p->uses);
    p->kept = fnl_calloc(values, sizeof *p->kept);
    p->plan->slot_of = fnl_malloc(values * sizeof *p->plan->slot_of);
    if (p->choice == NULL || p->uses == NULL || p->kept == NULL || p->plan->slot_of == NULL) {
        return FNL_FAIL(p->err, NOMEM, NULL, "no memory for a plan");
    }
    for (size_t v = 0; v < values; v++) {
        for (int l = 0; l < FNL_LAYOUTS; l++) {
            p->plan->slot_of[v][l] = -1;
        }
    }
    for (int i = 0; i < o->kept_count; i++) {
        p->kept[o->kept[i]] = true;
    }
    return 0;
}

int fnl__plan_create(const struct fnl_graph *g, struct fnl_params *params,
                     const struct fnl_plan_options *options, struct fnl_plan **ret_plan,
                     struct fnl_error *err)
{
    struct fnl_plan *plan = fnl_calloc(1, sizeof *plan);
    if (plan == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    fnl_arena_init(&plan->arena, FNL_MAX_GRAPH_BYTES);
    plan->graph = g;
    plan->params = params;
    plan->backend = params->backend;
    plan->shard_rows = options->shard_rows;
    plan->batch_rows = options->batch_rows;
    plan->threads = options->threads;
    plan->block_bytes = options->block_bytes;
    plan->training = options->training;
    plan->bf16 = options->bf16;
    struct planner p = {.plan = plan, .g = g, .backend = params->backend, .err = err};
    int rc = alloc_planner(&p, options);
    if (rc == 0) {
        rc = build(&p);
    }
    if (rc == 0) {
        rc = fill_constants(plan, err);
    }
    if (rc == 0) {
        rc = fnl__plan_memory(plan, err);
    }
    fnl_free(p.choice);
    fnl_free(p.uses);
    fnl_free(p.kept);
    if (rc != 0) {
        fnl__plan_free(plan);
        return rc;
    }
    *ret_plan = plan;
    return 0;
}

void fnl__plan_free(struct fnl_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    fnl_free(plan->slot);
    fnl_free(plan->slot_of);
    fnl_free(plan->step);
    fnl_free(plan->step_slot);
    fnl_free(plan->group);
    fnl_free(plan->constants);
    fnl_arena_free(&plan->arena);
    fnl_free(plan);
}
