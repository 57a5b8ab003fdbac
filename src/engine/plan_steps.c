/* plan_steps.c - gives every operand a slot in the layout its implementation wants, and appends the
 * steps.
 *
 * Where the layout at hand is not the one wanted, a reorder step is put between, once for each
 * tensor and layout; where the bytes are the same anyway, or the node only renames them (Flatten),
 * the slot is shared. Invariants: a slot is written by one step, before any step that reads it;
 * gradients of parameters land in the GRADIENT space in the parameter's own layout. */
#include <string.h>

#include "base/mem.h"
#include "engine/plan_int.h"

/* ---- slots ---- */

static bool batched(const struct fnl_shape *s)
{
    return s->rank > 0 && s->dim[0] == FNL_DIM_BATCH;
}

static int add_slot(struct planner *p, const struct fnl_slot *proto)
{
    struct fnl_plan *plan = p->plan;
    if (plan->slot_count == p->slot_capacity) {
        int capacity = p->slot_capacity * 2 + 64;
        void *grown = fnl_realloc(plan->slot, (size_t)capacity * sizeof *plan->slot);
        if (grown == NULL) {
            return FNL_FAIL(p->err, NOMEM, NULL, "no memory for a plan");
        }
        plan->slot = grown;
        p->slot_capacity = capacity;
    }
    plan->slot[plan->slot_count] = *proto;
    return plan->slot_count++;
}

/* A fresh slot for value v in the arena. */
static int arena_slot(struct planner *p, int v)
{
    const struct fnl_value *value = value_at(p, v);
    struct fnl_slot s = {.space = FNL_SPACE_ARENA, .first_group = -1, .kept = p->kept[v]};
    size_t row = (size_t)fnl_shape_count(&value->shape, 1) * fnl_dtype_size(value->dtype);
    s.row_bytes = batched(&value->shape) ? row : 0;
    s.bytes = batched(&value->shape) ? row * p->plan->shard_rows : row;
    return add_slot(p, &s);
}

static const struct fnl_param *param_of(const struct planner *p, int v)
{
    int i = fnl__params_find(p->plan->params, value_at(p, v)->name);
    return i < 0 ? NULL : &p->plan->params->param[i];
}

/* Parameters stand where fnl_params put them. */
static int place_param(struct planner *p, int v)
{
    const struct fnl_value *value = value_at(p, v);
    const struct fnl_param *param = param_of(p, v);
    if (param == NULL || !fnl_shape_equal(&param->shape, &value->shape)) {
        return FNL_FAIL(p->err, INVALID, NULL, "parameter \"%s\" is not among the weights",
                        value->name);
    }
    struct fnl_slot s = {.space = param->trainable ? FNL_SPACE_PARAM : FNL_SPACE_STATE,
                         .offset = param->offset * sizeof(float),
                         .bytes = param->layout.size * sizeof(float),
                         .kept = true};
    int slot = add_slot(p, &s);
    p->plan->slot_of[v][FNL_LAYOUT_NATIVE] = slot;
    if (param->layout.kind == 0) {
        p->plan->slot_of[v][FNL_LAYOUT_PLAIN] = slot;
    }
    return slot < 0 ? slot : 0;
}

static int place_input(struct planner *p, int index)
{
    int v = fnl_graph_input(p->g, index);
    const struct fnl_value *value = value_at(p, v);
    if (index > FNL_SPACE_FEED3 - FNL_SPACE_FEED0) {
        return FNL_FAIL(p->err, UNSUPPORTED, NULL, "more than 4 inputs");
    }
    size_t row = (size_t)fnl_shape_count(&value->shape, 1) * fnl_dtype_size(value->dtype);
    bool image = value->shape.rank == 4 && p->backend->channels_last;
    struct fnl_slot s = {.space = (enum fnl_space)(FNL_SPACE_FEED0 + index),
                         .row_bytes = batched(&value->shape) ? row : 0,
                         .kept = true};
    int slot = add_slot(p, &s);
    p->plan->slot_of[v][image ? FNL_LAYOUT_CHANNELS_LAST : FNL_LAYOUT_PLAIN] = slot;
    return slot < 0 ? slot : 0;
}

/* Constants are gathered in one block; offsets first, data when all are known. */
static int place_constant(struct planner *p, int v)
{
    const struct fnl_value *value = value_at(p, v);
    struct fnl_plan *plan = p->plan;
    size_t bytes = (size_t)fnl_shape_count(&value->shape, -1) * fnl_dtype_size(value->dtype);
    struct fnl_slot s = {
        .space = FNL_SPACE_CONST, .offset = plan->constant_bytes, .bytes = bytes, .kept = true};
    int slot = add_slot(p, &s);
    plan->slot_of[v][FNL_LAYOUT_PLAIN] = slot;
    plan->constant_bytes += (bytes + FNL_CACHE_LINE - 1) / FNL_CACHE_LINE * FNL_CACHE_LINE;
    return slot < 0 ? slot : 0;
}

int fnl__plan_outside(struct planner *p)
{
    int rc = 0;
    for (int v = 0; rc == 0 && v < fnl_graph_value_count(p->g); v++) {
        if (value_at(p, v)->kind == FNL_VALUE_PARAM) {
            rc = place_param(p, v);
        } else if (value_at(p, v)->kind == FNL_VALUE_CONST) {
            rc = place_constant(p, v);
        }
    }
    for (int i = 0; rc == 0 && i < fnl_graph_input_count(p->g); i++) {
        rc = place_input(p, i);
    }
    return rc;
}

int fnl__plan_slot(const struct fnl_plan *plan, int value, enum fnl_layout *ret_layout)
{
    for (int l = 0; l < FNL_LAYOUTS; l++) {
        if (plan->slot_of[value][l] >= 0) {
            *ret_layout = (enum fnl_layout)l;
            return plan->slot_of[value][l];
        }
    }
    return -1;
}

/* ---- steps ---- */

static struct fnl_step *add_step(struct planner *p)
{
    struct fnl_plan *plan = p->plan;
    enum { OPERANDS = FNL_STEP_INPUTS + FNL_STEP_OUTPUTS };
    if (plan->step_count == p->step_capacity) {
        int capacity = p->step_capacity * 2 + 32;
        void *steps = fnl_realloc(plan->step, (size_t)capacity * sizeof *plan->step);
        if (steps == NULL) {
            return NULL;
        }
        plan->step = steps;
        void *slots =
            fnl_realloc(plan->step_slot, (size_t)capacity * OPERANDS * sizeof *plan->step_slot);
        if (slots == NULL) {
            return NULL;
        }
        plan->step_slot = slots;
        p->step_capacity = capacity;
    }
    struct fnl_step *s = &plan->step[plan->step_count];
    memset(s, 0, sizeof *s);
    for (int i = 0; i < OPERANDS; i++) {
        plan->step_slot[plan->step_count * OPERANDS + i] = -1;
    }
    for (int i = 0; i < FNL_STEP_INPUTS; i++) {
        s->in[i].value = -1;
    }
    for (int i = 0; i < FNL_STEP_OUTPUTS; i++) {
        s->out[i].value = -1;
    }
    s->max_rows = plan->shard_rows;
    s->bf16 = plan->bf16;
    plan->step_count++;
    return s;
}

/* Everything of the operand but its address, which plan_memory.c sets. */
static void set_operand(struct planner *p, struct fnl_step *s, bool output, int index, int v,
                        enum fnl_layout layout, int slot)
{
    const struct fnl_value *value = value_at(p, v);
    struct fnl_operand *o = output ? &s->out[index] : &s->in[index];
    *o = (struct fnl_operand){.value = v,
                              .layout = layout,
                              .dtype = value->dtype,
                              .shape = value->shape,
                              .row_size = (size_t)fnl_shape_count(&value->shape, 1)};
    int step = (int)(s - p->plan->step);
    p->plan->step_slot[step * (FNL_STEP_INPUTS + FNL_STEP_OUTPUTS) +
                       (output ? FNL_STEP_INPUTS + index : index)] = slot;
    int *count = output ? &s->out_count : &s->in_count;
    if (index >= *count) {
        *count = index + 1;
    }
}

/* Appends the step that copies v from one slot and layout to another. */
static int add_reorder(struct planner *p, int v, enum fnl_layout from, int from_slot,
                       enum fnl_layout to, int to_slot, const struct fnl_param *param)
{
    struct fnl_step *s = add_step(p);
    struct fnl_reorder *how = fnl_arena_alloc(&p->plan->arena, sizeof *how);
    if (s == NULL || how == NULL) {
        return FNL_FAIL(p->err, NOMEM, NULL, "no memory for a plan");
    }
    how->backend = p->backend;
    how->param = param != NULL ? &param->layout : NULL;
    s->impl = &fnl__reorder_impl;
    s->state = how;
    set_operand(p, s, false, 0, v, from, from_slot);
    set_operand(p, s, true, 0, v, to, to_slot);
    return 0;
}

/* The slot of v in this layout, made by a reorder step when it is not there yet. */
static int slot_in_layout(struct planner *p, int v, enum fnl_layout layout)
{
    int(*slot_of)[FNL_LAYOUTS] = p->plan->slot_of;
    if (slot_of[v][layout] >= 0) {
        return slot_of[v][layout];
    }
    enum fnl_layout from = FNL_LAYOUT_PLAIN;
    int have = fnl__plan_slot(p->plan, v, &from);
    if (have < 0) {
        return FNL_FAIL(p->err, INTERNAL, NULL, "tensor \"%s\" is read before it is made",
                        value_at(p, v)->name);
    }
    bool native = from == FNL_LAYOUT_NATIVE;
    if (!native && fnl__layouts_alike(&value_at(p, v)->shape)) {
        slot_of[v][layout] = have;
        return have;
    }
    int slot = arena_slot(p, v);
    if (slot < 0) {
        return slot;
    }
    int source = value_at(p, v)->gradient_of >= 0 ? value_at(p, v)->gradient_of : v;
    int rc = add_reorder(p, v, from, have, layout, slot, native ? param_of(p, source) : NULL);
    if (rc != 0) {
        return rc;
    }
    slot_of[v][layout] = slot;
    return slot;
}

static char letter(const char *letters, int index)
{
    if (letters == NULL) {
        return 'p';
    }
    size_t length = strlen(letters);
    return letters[(size_t)index < length ? (size_t)index : length - 1];
}

/* What 's' means for this node: the layout of its first rank 4 input that has no ONNX-order twin.
 */
static enum fnl_layout same_layout(const struct planner *p, const struct fnl_node *n)
{
    for (int i = 0; i < n->input_count; i++) {
        if (n->input[i] < 0 || value_at(p, n->input[i])->shape.rank != 4 ||
            value_at(p, n->input[i])->kind == FNL_VALUE_CONST) {
            continue;
        }
        if (p->plan->slot_of[n->input[i]][FNL_LAYOUT_CHANNELS_LAST] >= 0) {
            return FNL_LAYOUT_CHANNELS_LAST;
        }
    }
    return FNL_LAYOUT_PLAIN;
}

static enum fnl_layout wanted_layout(const struct planner *p, const struct fnl_node *n, char l,
                                     int v)
{
    bool param = value_at(p, v)->kind == FNL_VALUE_PARAM;
    bool image = value_at(p, v)->shape.rank == 4 && !param;
    if (l == 'n' && param) {
        return FNL_LAYOUT_NATIVE;
    }
    if (l == 'c' && image) {
        return FNL_LAYOUT_CHANNELS_LAST;
    }
    return l == 's' && image ? same_layout(p, n) : FNL_LAYOUT_PLAIN;
}

#define SHAPE_ONLY (-2) /* an input of which the implementation needs the shape, not the data */

static int set_inputs(struct planner *p, const struct fnl_node *n, const struct choice *c,
                      int *ret_slots, enum fnl_layout *ret_layouts)
{
    const struct fnl_op_impl *impl = c->impl;
    const bool takes_note = impl->takes_notes && c->note_of >= 0;
    for (int i = 0; i < n->input_count; i++) {
        ret_slots[i] = -1;
        if (n->input[i] < 0) {
            continue;
        }
        if (letter(impl->in_layout, i) == '-' || (takes_note && i > 0)) {
            ret_slots[i] = SHAPE_ONLY;
            continue;
        }
        ret_layouts[i] = wanted_layout(p, n, letter(impl->in_layout, i), n->input[i]);
        ret_slots[i] = slot_in_layout(p, n->input[i], ret_layouts[i]);
        if (ret_slots[i] < 0) {
            return ret_slots[i];
        }
    }
    return 0;
}

/* The slot an output is written to. A parameter's gradient goes to the GRADIENT space when the
 * layout is right, else *ret_repack asks for a reorder behind. */
static int output_slot(struct planner *p, int v, char l, enum fnl_layout *ret_layout,
                       const struct fnl_node *n, bool *ret_repack)
{
    int owner = p->plan->training ? value_at(p, v)->gradient_of : -1;
    *ret_repack = false;
    if (owner < 0) {
        enum fnl_layout layout = FNL_LAYOUT_PLAIN;
        if (value_at(p, v)->shape.rank == 4) {
            layout = l == 'c'   ? FNL_LAYOUT_CHANNELS_LAST
                     : l == 's' ? same_layout(p, n)
                                : FNL_LAYOUT_PLAIN;
        }
        *ret_layout = layout;
        return arena_slot(p, v);
    }
    const struct fnl_param *param = param_of(p, owner);
    if (param == NULL) {
        return FNL_FAIL(p->err, INTERNAL, NULL, "gradient of an unknown parameter");
    }
    if (l != 'n' && param->layout.kind != 0) {
        *ret_repack = true;
        *ret_layout = FNL_LAYOUT_PLAIN;
        return arena_slot(p, v);
    }
    *ret_layout = param->layout.kind == 0 ? FNL_LAYOUT_PLAIN : FNL_LAYOUT_NATIVE;
    struct fnl_slot s = {.space = FNL_SPACE_GRADIENT,
                         .offset = param->offset * sizeof(float),
                         .bytes = param->layout.size * sizeof(float),
                         .kept = true};
    return add_slot(p, &s);
}

static int repack_gradient(struct planner *p, int v, int plain_slot)
{
    const struct fnl_param *param = param_of(p, value_at(p, v)->gradient_of);
    struct fnl_slot s = {.space = FNL_SPACE_GRADIENT,
                         .offset = param->offset * sizeof(float),
                         .bytes = param->layout.size * sizeof(float),
                         .kept = true};
    int slot = add_slot(p, &s);
    if (slot < 0) {
        return slot;
    }
    p->plan->slot_of[v][FNL_LAYOUT_NATIVE] = slot;
    return add_reorder(p, v, FNL_LAYOUT_PLAIN, plain_slot, FNL_LAYOUT_NATIVE, slot, param);
}

static int set_outputs(struct planner *p, const struct fnl_node *n, const struct choice *c,
                       int step)
{
    for (int i = 0; i < FNL_STEP_OUTPUTS; i++) {
        int v = i < n->output_count ? n->output[i] : -1;
        v = i == 0 && c->output >= 0 ? c->output : v;
        v = i == FNL_STEP_SUM && c->sum >= 0 ? c->sum : v;
        if (v < 0) {
            continue;
        }
        enum fnl_layout layout = FNL_LAYOUT_PLAIN;
        bool repack = false;
        int slot = output_slot(p, v, letter(c->impl->out_layout, i), &layout, n, &repack);
        if (slot < 0) {
            return slot;
        }
        p->plan->slot_of[v][layout] = slot;
        set_operand(p, &p->plan->step[step], true, i, v, layout, slot);
        int rc = repack ? repack_gradient(p, v, slot) : 0;
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Does value lie where it can be read after a run? The caller's rows may be gone by then. */
static bool in_arena(const struct planner *p, int value)
{
    enum fnl_layout layout;
    int slot = fnl__plan_slot(p->plan, value, &layout);
    return slot >= 0 && p->plan->slot[slot].space == FNL_SPACE_ARENA;
}

/* Flatten and its like move nothing when the bytes stay in ONNX order. */
static bool is_view(const struct planner *p, const struct fnl_node *n)
{
    if (!p->backend->views || value_at(p, n->output[0])->gradient_of >= 0 ||
        (p->kept[n->output[0]] && !in_arena(p, n->input[0]))) {
        return false;
    }
    return n->op == FNL_OP_FLATTEN || n->op == FNL_OP_RESHAPE || n->op == FNL_OP_RESHAPE_TO ||
           n->op == FNL_OP_IDENTITY ||
           (n->op == FNL_OP_DROPOUT && !n->attrs.training && n->output_count == 1);
}

static int add_view(struct planner *p, const struct fnl_node *n)
{
    int x = n->input[0], y = n->output[0];
    bool keeps_shape = fnl_shape_equal(&value_at(p, x)->shape, &value_at(p, y)->shape);
    enum fnl_layout layout = keeps_shape ? same_layout(p, n) : FNL_LAYOUT_PLAIN;
    int slot = slot_in_layout(p, x, layout);
    if (slot < 0) {
        return slot;
    }
    p->plan->slot[slot].kept = p->plan->slot[slot].kept || p->kept[y];
    p->plan->slot_of[y][layout] = slot;
    return 0;
}

/* The note that passes from step, of node n, to its gradient's, or is taken from there. */
static int add_note(struct planner *p, const struct fnl_node *n, struct choice *c, int step)
{
    struct fnl_step *s = &p->plan->step[step];
    const bool takes = c->impl->takes_notes;
    const int y = takes ? n->input[2] : n->output[0];
    if (!takes) {
        struct fnl_slot note = {.space = FNL_SPACE_ARENA, .first_group = -1};
        note.row_bytes = c->impl->note_bytes(p->g, n);
        note.bytes = note.row_bytes * p->plan->shard_rows;
        int slot = add_slot(p, &note);
        if (slot < 0) {
            return slot;
        }
        p->choice[c->note_of].note_slot = slot;
        c->note_slot = slot;
    }
    s->noted = true;
    const int last = takes ? s->in_count : s->out_count;
    set_operand(p, s, !takes, last, y, FNL_LAYOUT_PLAIN, c->note_slot);
    (takes ? &s->in[last] : &s->out[last])->dtype = FNL_U8;
    return 0;
}

int fnl__plan_node(struct planner *p, int index)
{
    const struct fnl_node *n = node_at(p, index);
    struct choice *c = &p->choice[index];
    if (is_view(p, n)) {
        return add_view(p, n);
    }
    int slots[FNL_STEP_INPUTS];
    enum fnl_layout layouts[FNL_STEP_INPUTS] = {FNL_LAYOUT_PLAIN};
    int rc = set_inputs(p, n, c, slots, layouts);
    if (rc != 0) {
        return rc;
    }
    int mask = c->mask < 0 ? -1 : slot_in_layout(p, c->mask, FNL_LAYOUT_PLAIN);
    if (c->mask >= 0 && mask < 0) {
        return mask;
    }
    struct fnl_step *s = add_step(p);
    if (s == NULL) {
        return FNL_FAIL(p->err, NOMEM, NULL, "no memory for a plan");
    }
    int step = p->plan->step_count - 1;
    if (mask >= 0) {
        set_operand(p, s, false, FNL_STEP_MASK, c->mask, FNL_LAYOUT_PLAIN, mask);
    }
    s->sum_input = c->sum_input;
    s->impl = c->impl;
    s->node = n;
    s->activation = c->relu ? 1 : 0;
    s->mask_relu = c->relu_grad;
    for (int i = 0; i < n->input_count; i++) {
        if (slots[i] >= 0 || slots[i] == SHAPE_ONLY) {
            set_operand(p, s, false, i, n->input[i], layouts[i], slots[i]);
        }
    }
    rc = set_outputs(p, n, c, step);
    return rc == 0 && c->note_of >= 0 ? add_note(p, n, c, step) : rc;
}
