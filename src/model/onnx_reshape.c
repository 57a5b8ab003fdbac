/* onnx_reshape.c - operators of ONNX that change a tensor's shape and nothing else. */
#include "base/limits.h"
#include "model/onnx_int.h"

static const struct fnl_shape *shape_of(const struct fnl__onnx *o, const struct fnl__onnx_node *n)
{
    return &fnl_graph_value(o->g, n->input[0])->shape;
}

int fnl__onnx_read_flatten(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    int64_t axis = 1;
    int rc = fnl__onnx_attr_int(o, n, "axis", -FNL_MAX_RANK, FNL_MAX_RANK, &axis);
    n->attrs.axis = (int32_t)axis;
    return rc;
}

/* Says 0 and -1 in numbers, so that equal reshapes have equal attributes. What cannot be is left
 * for the shape inference to refuse. */
static void settle_shape(const struct fnl_shape *x, struct fnl_shape *y)
{
    bool batched = x->rank > 0 && x->dim[0] == FNL_DIM_BATCH;
    int64_t have = fnl_shape_count(x, 1), known = 1;
    int unknown = -1;
    for (int i = batched ? 1 : 0; i < y->rank; i++) {
        if (y->dim[i] == 0 && i < x->rank) {
            y->dim[i] = x->dim[i];
        }
        if (y->dim[i] == -1 && unknown < 0) {
            unknown = i;
        } else if (y->dim[i] < 1 || __builtin_mul_overflow(known, y->dim[i], &known)) {
            return;
        }
    }
    if (unknown >= 0 && have > 0 && have % known == 0) {
        y->dim[unknown] = have / known;
    }
}

/* The shape that input 1 asks for. What the file computed from the batch can only be the batch. */
static int read_target(struct fnl__onnx *o, struct fnl__onnx_node *n, const struct fnl_shape *x,
                       struct fnl_shape *y)
{
    struct fnl__onnx_ints list = {0};
    int rc = fnl__onnx_ints_of(o, n->proto->input[1], &list);
    if (rc != 0) {
        return rc;
    }
    if (list.count > FNL_MAX_RANK || list.rank > 1) {
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "a shape of %d dimensions, at most %d",
                              list.count, FNL_MAX_RANK);
    }
    bool batched = x->rank > 0 && x->dim[0] == FNL_DIM_BATCH;
    y->rank = list.count;
    for (int i = 0; i < list.count; i++) {
        y->dim[i] = list.item[i].number;
        if (!list.item[i].batch) {
            continue;
        }
        if (i > 0 || !batched || list.item[i].number != 1) {
            return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED,
                                  "keep the batch a dimension of its own, in front",
                                  "dimension %d of its shape mixes the batch with others", i);
        }
        y->dim[i] = FNL_DIM_BATCH;
    }
    return 0;
}

int fnl__onnx_read_reshape(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    struct fnl_shape *y = &n->attrs.shape;
    const struct fnl_shape *x = shape_of(o, n);
    bool allow_zero = false;
    int rc = fnl__onnx_attr_bool(o, n, "allowzero", &allow_zero);
    if (rc == 0 && n->proto->n_input < 2) {
        rc = fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "it has no shape");
    }
    rc = rc == 0 ? read_target(o, n, x, y) : rc;
    for (int i = 0; rc == 0 && allow_zero && i < y->rank; i++) {
        if (y->dim[i] == 0) {
            rc = fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "empty tensors are not supported");
        }
    }
    if (rc != 0) {
        return rc;
    }
    /* 0 keeps the batch, -1 means it, and so does the batch size that the file was made with. */
    bool batched = x->rank > 0 && x->dim[0] == FNL_DIM_BATCH && y->rank > 0;
    if (batched && (y->dim[0] == 0 || (o->fixed_batch > 0 && y->dim[0] == o->fixed_batch))) {
        y->dim[0] = FNL_DIM_BATCH;
    }
    settle_shape(x, y);
    return 0;
}

int fnl__onnx_read_transpose(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    int64_t perm[FNL_MAX_RANK];
    int count, rank = shape_of(o, n)->rank;
    int rc = fnl__onnx_attr_ints(o, n, "perm", FNL_MAX_RANK, perm, &count);
    if (rc == 0 && count != 0 && count != rank) {
        rc = fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "perm has %d numbers for %d dimensions",
                            count, rank);
    }
    for (int i = 0; rc == 0 && i < rank; i++) {
        int64_t p = count == 0 ? rank - 1 - i : perm[i];
        n->attrs.perm[i] = p >= 0 && p < rank ? (int32_t)p : -1; /* -1 is refused by inference */
    }
    return rc;
}

/* ---- dimensions of 1 ---- */

/* The axes, as a mask over rank dimensions: an attribute before opset 13, then an input. */
static int read_axes(struct fnl__onnx *o, struct fnl__onnx_node *n, int rank, uint32_t *ret_mask)
{
    int64_t axes[FNL_MAX_RANK];
    int count = 0, rc = 0;
    const Onnx__NodeProto *p = n->proto;
    if (o->opset < 13) {
        rc = fnl__onnx_attr_ints(o, n, "axes", FNL_MAX_RANK, axes, &count);
    } else if (p->n_input > 1 && p->input[1][0] != '\0') {
        rc = fnl__onnx_constant_ints(o, p->input[1], axes, FNL_MAX_RANK, &count);
    }
    *ret_mask = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank || (*ret_mask >> axis & 1U) != 0) {
            return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "axis %lld of %d dimensions",
                                  (long long)axes[i], rank);
        }
        *ret_mask |= 1U << axis;
    }
    return rc;
}

int fnl__onnx_read_squeeze(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const struct fnl_shape *x = shape_of(o, n);
    struct fnl_shape *y = &n->attrs.shape;
    uint32_t mask;
    int rc = read_axes(o, n, x->rank, &mask);
    if (rc == 0 && mask == 0) { /* then the batch goes too, when it is 1 */
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, "name the dimensions: x.squeeze(-1)",
                              "it names no axes");
    }
    for (int i = 0; rc == 0 && i < x->rank; i++) {
        if ((mask >> i & 1U) == 0) {
            y->dim[y->rank++] = x->dim[i];
        } else if (x->dim[i] != 1) {
            rc = fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "dimension %d is %s, not 1", i,
                                x->dim[i] == FNL_DIM_BATCH ? "the batch" : "larger");
        }
    }
    return rc;
}

int fnl__onnx_read_unsqueeze(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const struct fnl_shape *x = shape_of(o, n);
    struct fnl_shape *y = &n->attrs.shape;
    struct fnl__onnx_ints axes = {0};
    int64_t attribute[FNL_MAX_RANK];
    uint32_t mask;
    int added = 0;
    int rc = o->opset < 13 ? fnl__onnx_attr_ints(o, n, "axes", FNL_MAX_RANK, attribute, &added)
             : n->proto->n_input > 1 ? fnl__onnx_ints_of(o, n->proto->input[1], &axes)
                                     : 0;
    added += axes.count;
    if (rc == 0 && (added == 0 || x->rank + added > FNL_MAX_RANK)) {
        rc =
            fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "%d new dimensions beside %d", added, x->rank);
    }
    rc = rc != 0 ? rc : read_axes(o, n, x->rank + added, &mask);
    if (rc == 0 && (mask & 1U) != 0 && x->rank > 0 && x->dim[0] == FNL_DIM_BATCH) {
        rc = fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "the batch must stay in front");
    }
    for (int i = 0, from = 0; rc == 0 && i < x->rank + added; i++) {
        y->dim[i] = (mask >> i & 1U) != 0 ? 1 : x->dim[from++];
        y->rank = i + 1;
    }
    return rc;
}

/* ---- types ---- */

/* All tensors of the graph are float32, so a Cast to it does nothing. */
int fnl__onnx_read_cast(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    int64_t to = 0;
    int rc = fnl__onnx_attr_int(o, n, "to", 0, INT32_MAX, &to);
    return rc == 0 && to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
               ? fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, "export the model in float32",
                                "it casts to another type than float32")
               : rc;
}
