/* layer_residual.c - residual: input + what a branch makes of it (He et al., "Deep residual
 * learning for image recognition", 2016). */
#include "base/limits.h"
#include "model/layers_int.h"

struct residual {
    const char *name;
    struct fnl_yaml_node *layers, *shortcut;
    int activation;
};

static const struct fnl_field residual_fields[] = {
    FNL__LAYER_NAME,
    {"layers", FNL_FIELD_NODE, offsetof(struct residual, layers), .required = true,
     .doc = "list of layers: the branch"},
    {"shortcut", FNL_FIELD_NODE, offsetof(struct residual, shortcut),
     .doc = "list of layers on the other way, such as a 1x1 conv2d when the branch changes the "
            "shape; default: the input as it is"},
    {"activation", FNL_FIELD_ENUM, offsetof(struct residual, activation), .fallback = "linear",
     .names = fnl__activation_names, .doc = "activation after the sum"},
    {0},
};

/* Builds an inner list from value `from`; the builder's view of this layer is put back after it. */
static int build_way(struct fnl__layers *b, struct fnl_yaml_node *list, const char *key, int from)
{
    struct fnl__layers outer = *b;
    const char *path = fnl_arena_printf(&b->arena, "%s.%s", b->path, key);
    if (path == NULL) {
        return FNL_FAIL(b->err, NOMEM, NULL, "%s: out of memory", b->path);
    }
    b->value = from;
    b->depth++;
    int rc = fnl__layers_build(b, list, path, false);
    b->depth--;
    b->kind = outer.kind;
    b->node = outer.node;
    b->path = outer.path;
    b->name = outer.name;
    b->final = outer.final;
    return rc;
}

static int build_residual(struct fnl__layers *b, const void *args)
{
    const struct residual *a = args;
    int input = b->value;
    if (b->depth >= FNL_MAX_LAYER_NESTING) {
        return fnl__layer_fail(b, NULL, "residual layers stand more than %d deep in each other",
                               FNL_MAX_LAYER_NESTING);
    }
    int rc = build_way(b, a->layers, "layers", input);
    int branch = b->value, other = input;
    if (rc == 0 && a->shortcut != NULL) {
        rc = build_way(b, a->shortcut, "shortcut", input);
        other = b->value;
    }
    if (rc != 0) {
        return rc;
    }
    const struct fnl_shape *x = &fnl_graph_value(b->g, other)->shape;
    const struct fnl_shape *y = &fnl_graph_value(b->g, branch)->shape;
    if (!fnl_shape_equal(x, y)) {
        char tx[FNL_SHAPE_TEXT], ty[FNL_SHAPE_TEXT];
        return fnl__layer_fail(
            b,
            a->shortcut != NULL ? NULL
                                : "add \"shortcut: [...]\", such as a 1x1 conv2d, that gives "
                                  "the branch's shape",
            "cannot add the %s %s and the branch %s", a->shortcut != NULL ? "shortcut" : "input",
            fnl_shape_text(x, tx), fnl_shape_text(y, ty));
    }
    int inputs[2] = {branch, other};
    rc = fnl__layer_emit(b, FNL_OP_ADD, NULL, NULL, inputs, 2, a->activation == 0);
    return rc != 0 ? rc : fnl__layer_activation(b, a->activation);
}

const struct fnl__layer_kind fnl__layer_residual_kinds[] = {
    {"residual", "layers", residual_fields, sizeof(struct residual), build_residual,
     "Input plus what a branch of layers makes of it"},
    {0},
};
