/* onnx_names.c - the table of all tensor names of an ONNX graph.
 *
 * Sorted once, so that finding one costs O(log n) whatever a file holds. Invariants: (1) a name
 * stands once; an initializer that is also listed as an input (files before IR 4) is an
 * initializer; (2) uses counts readers: nodes' inputs and the graph's outputs. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "model/onnx_int.h"

static int compare_names(const void *a, const void *b)
{
    const struct fnl__onnx_name *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order == 0) { /* an initializer stands before the input of its name */
        order = (int)y->kind - (int)x->kind;
    }
    return order;
}

static int compare_key(const void *key, const void *entry)
{
    return strcmp(key, ((const struct fnl__onnx_name *)entry)->name);
}

struct fnl__onnx_name *fnl__onnx_find(const struct fnl__onnx *o, const char *name)
{
    return o->name_count == 0
               ? NULL
               : bsearch(name, o->names, o->name_count, sizeof *o->names, compare_key);
}

static void append(struct fnl__onnx *o, const char *name, enum fnl__onnx_kind kind, size_t index)
{
    if (name != NULL && name[0] != '\0') {
        o->names[o->name_count++] = (struct fnl__onnx_name){.name = name,
                                                            .kind = kind,
                                                            .role = FNL__ONNX_DATA,
                                                            .index = (int)index,
                                                            .consumer = -1,
                                                            .value = -1};
    }
}

/* All makers of tensors, unsorted. */
static int collect(struct fnl__onnx *o)
{
    const Onnx__GraphProto *p = o->proto;
    size_t count = p->n_input + p->n_initializer; /* each bounded by FNL_MAX_ONNX_FIELDS */
    for (size_t i = 0; i < p->n_node; i++) {
        count += p->node[i]->n_output;
    }
    o->names = fnl_arena_array(&o->arena, count + 1, sizeof *o->names);
    if (o->names == NULL) {
        return FNL_FAIL(o->err, NOMEM, NULL, "%s: no memory for %zu names", o->file, count);
    }
    for (size_t i = 0; i < p->n_input; i++) {
        append(o, p->input[i]->name, FNL__ONNX_INPUT, i);
    }
    for (size_t i = 0; i < p->n_initializer; i++) {
        append(o, p->initializer[i]->name, FNL__ONNX_INITIALIZER, i);
    }
    for (size_t i = 0; i < p->n_node; i++) {
        const Onnx__NodeProto *n = p->node[i];
        bool constant = n->op_type != NULL && strcmp(n->op_type, "Constant") == 0;
        for (size_t k = 0; k < n->n_output; k++) {
            append(o, n->output[k], constant ? FNL__ONNX_CONSTANT : FNL__ONNX_OUTPUT, i);
        }
    }
    return 0;
}

/* Drops inputs that are initializers; refuses all other names that stand twice. */
static int unite(struct fnl__onnx *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->name_count; i++) {
        const struct fnl__onnx_name *last = kept > 0 ? &o->names[kept - 1] : NULL;
        if (last != NULL && strcmp(last->name, o->names[i].name) == 0) {
            if (last->kind == FNL__ONNX_INITIALIZER && o->names[i].kind == FNL__ONNX_INPUT) {
                continue;
            }
            return FNL_FAIL(o->err, FORMAT, "every tensor needs a name of its own",
                            "%s: two tensors are named \"%s\"", o->file, last->name);
        }
        o->names[kept++] = o->names[i];
    }
    o->name_count = kept;
    return 0;
}

/* ---- roles ---- */

static void ask(struct fnl__onnx *o, const Onnx__NodeProto *n, size_t input,
                enum fnl__onnx_role role)
{
    struct fnl__onnx_name *name = input < n->n_input ? fnl__onnx_find(o, n->input[input]) : NULL;
    if (name != NULL && role > name->role) {
        name->role = role;
    }
}

/* Made by an operator with weights, so that what is added to it is a bias. */
static bool is_product(const struct fnl__onnx *o, const char *name)
{
    const struct fnl__onnx_name *entry = fnl__onnx_find(o, name);
    if (entry == NULL || entry->kind != FNL__ONNX_OUTPUT) {
        return false;
    }
    const char *type = o->proto->node[entry->index]->op_type;
    return type != NULL &&
           (strcmp(type, "MatMul") == 0 || strcmp(type, "Gemm") == 0 || strcmp(type, "Conv") == 0);
}

static void give_roles(struct fnl__onnx *o, const Onnx__NodeProto *n)
{
    static const struct {
        const char *type;
        enum fnl__onnx_role role[5];
    } table[] = {
        {"Gemm", {FNL__ONNX_DATA, FNL__ONNX_TRAINABLE, FNL__ONNX_TRAINABLE}},
        {"MatMul", {FNL__ONNX_TRAINABLE, FNL__ONNX_TRAINABLE}},
        {"Conv", {FNL__ONNX_DATA, FNL__ONNX_TRAINABLE, FNL__ONNX_TRAINABLE}},
        {"BatchNormalization",
         {FNL__ONNX_DATA, FNL__ONNX_TRAINABLE, FNL__ONNX_TRAINABLE, FNL__ONNX_STATE,
          FNL__ONNX_STATE}},
        {"LayerNormalization", {FNL__ONNX_DATA, FNL__ONNX_TRAINABLE, FNL__ONNX_TRAINABLE}},
    };
    for (size_t t = 0; t < sizeof table / sizeof table[0]; t++) {
        if (strcmp(table[t].type, n->op_type) == 0) {
            for (size_t i = 0; i < 5; i++) {
                ask(o, n, i, table[t].role[i]);
            }
        }
    }
    if (strcmp(n->op_type, "Add") == 0 && n->n_input == 2) {
        for (size_t i = 0; i < 2; i++) {
            if (is_product(o, n->input[1 - i])) {
                ask(o, n, i, FNL__ONNX_TRAINABLE);
            }
        }
    }
}

static void count_uses(struct fnl__onnx *o)
{
    const Onnx__GraphProto *p = o->proto;
    for (size_t i = 0; i < p->n_node; i++) {
        const Onnx__NodeProto *n = p->node[i];
        for (size_t k = 0; k < n->n_input; k++) {
            struct fnl__onnx_name *name = fnl__onnx_find(o, n->input[k]);
            if (name != NULL) {
                name->uses++;
                name->consumer = (int)i;
            }
        }
        if (n->op_type != NULL) {
            give_roles(o, n);
        }
    }
    for (size_t i = 0; i < p->n_output; i++) {
        struct fnl__onnx_name *name =
            p->output[i]->name != NULL ? fnl__onnx_find(o, p->output[i]->name) : NULL;
        if (name != NULL) {
            name->uses++;
        }
    }
}

/* Exporters write the second of two equal initializers as an Identity of the first: it becomes a
 * constant of its own. */
static void find_aliases(struct fnl__onnx *o)
{
    for (size_t i = 0; i < o->proto->n_node; i++) {
        const Onnx__NodeProto *n = o->proto->node[i];
        if (n->op_type == NULL || strcmp(n->op_type, "Identity") != 0 || n->n_input != 1 ||
            n->n_output != 1) {
            continue;
        }
        const struct fnl__onnx_name *from = fnl__onnx_find(o, n->input[0]);
        struct fnl__onnx_name *to = fnl__onnx_find(o, n->output[0]);
        if (from != NULL && to != NULL && from->tensor != NULL) {
            to->kind = FNL__ONNX_CONSTANT;
            to->tensor = from->tensor;
        }
    }
}

static void find_tensors(struct fnl__onnx *o)
{
    for (size_t i = 0; i < o->name_count; i++) {
        struct fnl__onnx_name *name = &o->names[i];
        if (name->kind == FNL__ONNX_INITIALIZER) {
            name->tensor = o->proto->initializer[name->index];
        } else if (name->kind == FNL__ONNX_CONSTANT) {
            name->tensor = fnl__onnx_constant_of(o, o->proto->node[name->index]);
        }
    }
}

int fnl__onnx_names(struct fnl__onnx *o)
{
    int rc = collect(o);
    if (rc != 0) {
        return rc;
    }
    qsort(o->names, o->name_count, sizeof *o->names, compare_names);
    rc = unite(o);
    if (rc == 0) {
        find_tensors(o);
        find_aliases(o);
        count_uses(o);
    }
    return rc;
}
