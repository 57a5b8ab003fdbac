/* plan_int.h - the planner's own state, shared by plan.c (what runs) and plan_steps.c (where its
 * operands lie). */
#ifndef FNL_ENGINE_PLAN_INT_H
#define FNL_ENGINE_PLAN_INT_H

#include "engine/plan.h"

struct choice {
    const struct fnl_op_impl *impl;
    bool wanted;
    bool absorbed;  /* fused into another node's step */
    bool relu;      /* this step applies the Relu that follows */
    bool relu_grad; /* this MaxPoolGrad masks like the ReluGrad that follows */
    int note_of;    /* the node whose note this one takes, or to which it leaves one, or -1 */
    int note_slot;  /* where the note lies, once the forward step is planned */
    int output;     /* value written instead of output 0 when something is fused behind, or -1 */
    int mask;       /* value for FNL_STEP_MASK, or -1 */
    int sum;        /* value for FNL_STEP_SUM, or -1 */
    int sum_input;  /* fnl_step.sum_input */
};

struct planner {
    struct fnl_plan *plan;
    const struct fnl_graph *g;
    const struct fnl_backend *backend;
    struct choice *choice; /* per node */
    int *uses;             /* per value: how many wanted nodes read it */
    bool *kept;            /* per value */
    int step_capacity, slot_capacity;
    struct fnl_error *err;
};

static inline const struct fnl_node *node_at(const struct planner *p, int n)
{
    return fnl_graph_node(p->g, n);
}

static inline const struct fnl_value *value_at(const struct planner *p, int v)
{
    return fnl_graph_value(p->g, v);
}

/* ---- plan_steps.c ---- */

/* Slots of parameters, constants and inputs. */
int fnl__plan_outside(struct planner *p);
/* Appends the step of a node (or makes a view of it), with the reorder steps it needs. */
int fnl__plan_node(struct planner *p, int index);

#endif
