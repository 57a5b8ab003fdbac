/* onnx_window.c - Conv, pools, and the Pad in front of them.
 *
 * PyTorch writes every AvgPool2d as Pad and AveragePool, mostly with no padding at all. A Pad of
 * nothing is another name of its input; zeros around an image move into the pads of the only node
 * that reads it. All other Pads are refused. auto_pad becomes numbers. */
#include <string.h>

#include "base/limits.h"
#include "model/onnx_int.h"

static const struct fnl_shape *shape_of(const struct fnl__onnx *o, const struct fnl__onnx_node *n)
{
    return &fnl_graph_value(o->g, n->input[0])->shape;
}

/* ---- windows ---- */

/* Up to `count` small numbers into dst; *given: whether there were any. */
static int window_ints(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, int count,
                       int32_t *dst, bool *given)
{
    int64_t value[4];
    int have;
    int rc = fnl__onnx_attr_ints(o, n, name, 4, value, &have);
    *given = have > 0;
    if (rc != 0 || have == 0) {
        return rc;
    }
    if (have != count) {
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL,
                              "attribute %s has %d numbers; only images (2-D) are supported", name,
                              have);
    }
    for (int i = 0; i < count; i++) {
        if (value[i] < 0 || value[i] > FNL_MAX_WINDOW) {
            return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "attribute %s is out of range",
                                  name);
        }
        dst[i] = (int32_t)value[i];
    }
    return 0;
}

enum auto_pad { NOTSET, SAME_UPPER, SAME_LOWER, VALID };

/* Output size ceil(input / stride); the odd pad goes behind (UPPER) or in front (LOWER). */
static int pad_same(const struct fnl__onnx *o, struct fnl__onnx_node *n, enum auto_pad how)
{
    struct fnl_attrs *a = &n->attrs;
    const struct fnl_shape *x = shape_of(o, n);
    for (int d = 0; d < 2; d++) {
        int64_t stride = a->strides[d] > 0 ? a->strides[d] : 1;
        int64_t out = (x->dim[2 + d] + stride - 1) / stride;
        int64_t span = (int64_t)(a->kernel[d] - 1) * a->dilations[d] + 1;
        int64_t total = (out - 1) * stride + span - x->dim[2 + d];
        total = total < 0 ? 0 : total;
        if (total > 2 * (int64_t)FNL_MAX_WINDOW) {
            return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "the window is out of range");
        }
        int32_t small = (int32_t)(total / 2), large = (int32_t)(total - total / 2);
        a->pads[d] = how == SAME_UPPER ? small : large;
        a->pads[d + 2] = how == SAME_UPPER ? large : small;
    }
    return 0;
}

static int read_window(struct fnl__onnx *o, struct fnl__onnx_node *n, bool *has_kernel)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL};
    bool given, has_pads;
    int how = NOTSET;
    if (shape_of(o, n)->rank != 4) {
        char text[FNL_SHAPE_TEXT];
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "needs images [N, C, H, W], got %s",
                              fnl_shape_text(shape_of(o, n), text));
    }
    int rc = window_ints(o, n, "kernel_shape", 2, n->attrs.kernel, has_kernel);
    rc = rc != 0 ? rc : window_ints(o, n, "strides", 2, n->attrs.strides, &given);
    rc = rc != 0 ? rc : window_ints(o, n, "dilations", 2, n->attrs.dilations, &given);
    rc = rc != 0 ? rc : window_ints(o, n, "pads", 4, n->attrs.pads, &has_pads);
    rc = rc != 0 ? rc : fnl__onnx_attr_enum(o, n, "auto_pad", names, &how);
    if (rc == 0 && how != NOTSET) {
        memset(n->attrs.pads, 0, sizeof n->attrs.pads);
        n->auto_pad = how;
    }
    return rc;
}

/* Zeros that a Pad in front stands for. */
static int add_pads(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    const struct fnl__onnx_name *x = fnl__onnx_find(o, n->proto->input[0]);
    bool some = false, own = false;
    for (int i = 0; i < 4; i++) {
        some = some || x->pads[i] != 0;
        own = own || n->attrs.pads[i] != 0;
    }
    if (!some) {
        return 0;
    }
    bool average = n->op == FNL_OP_AVERAGE_POOL;
    if (n->auto_pad != NOTSET || (average && (own || n->attrs.ceil_mode))) {
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL,
                              "a Pad in front of a window with padding of its own, or ceil_mode");
    }
    for (int i = 0; i < 4; i++) {
        n->attrs.pads[i] += x->pads[i];
    }
    n->attrs.count_include_pad = average;
    return 0;
}

static int settle_pads(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    int rc = add_pads(o, n);
    if (rc != 0) {
        return rc;
    }
    bool same = n->auto_pad == SAME_UPPER || n->auto_pad == SAME_LOWER;
    return same ? pad_same(o, n, (enum auto_pad)n->auto_pad) : 0;
}

int fnl__onnx_read_conv(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    bool has_kernel = false;
    int64_t group = 1;
    int rc = read_window(o, n, &has_kernel);
    rc = rc != 0 ? rc : fnl__onnx_attr_int(o, n, "group", 1, INT32_MAX, &group);
    if (rc != 0) {
        return rc;
    }
    n->attrs.group = (int32_t)group;
    const struct fnl_shape *w = &fnl_graph_value(o->g, n->input[1])->shape;
    for (int d = 0; d < 2; d++) {
        if (w->rank != 4 || w->dim[2 + d] < 1 || w->dim[2 + d] > FNL_MAX_WINDOW ||
            (has_kernel && w->dim[2 + d] != n->attrs.kernel[d])) {
            char text[FNL_SHAPE_TEXT];
            return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "filters %s do not fit kernel_shape",
                                  fnl_shape_text(w, text));
        }
        n->attrs.kernel[d] = (int32_t)w->dim[2 + d];
    }
    return settle_pads(o, n);
}

int fnl__onnx_read_pool(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    bool has_kernel = false;
    int64_t order = 0;
    int rc = read_window(o, n, &has_kernel);
    rc = rc != 0 ? rc : fnl__onnx_attr_bool(o, n, "ceil_mode", &n->attrs.ceil_mode);
    if (rc == 0 && n->op == FNL_OP_AVERAGE_POOL) {
        rc = fnl__onnx_attr_bool(o, n, "count_include_pad", &n->attrs.count_include_pad);
    } else if (rc == 0) { /* the order of indices, which are not given */
        rc = fnl__onnx_attr_int(o, n, "storage_order", 0, 1, &order);
    }
    if (rc == 0 && !has_kernel) {
        rc = fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "it has no kernel_shape");
    }
    return rc != 0 ? rc : settle_pads(o, n);
}

/* ---- Pad ---- */

static int refuse(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *what)
{
    return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL,
                          "%s; only zeros around an image that one Conv or AveragePool reads are "
                          "supported",
                          what);
}

/* Is the only reader a window that can take zeros? */
static bool reader_takes_pads(const struct fnl__onnx *o, const struct fnl__onnx_name *made)
{
    if (made->uses != 1 || made->consumer < 0) {
        return false;
    }
    const Onnx__NodeProto *p = o->proto->node[made->consumer];
    return p->op_type != NULL && p->n_input > 0 && strcmp(p->input[0], made->name) == 0 &&
           (strcmp(p->op_type, "Conv") == 0 || strcmp(p->op_type, "AveragePool") == 0);
}

/* pads: begin of each dimension, then end of each. */
static int move_pads(struct fnl__onnx *o, struct fnl__onnx_node *n, struct fnl__onnx_name *made,
                     const int64_t *pads, int count)
{
    bool none = true, inside = true;
    for (int i = 0; i < count; i++) {
        none = none && pads[i] == 0;
        inside = inside && pads[i] >= 0 && pads[i] <= FNL_MAX_WINDOW;
    }
    if (none) {
        return 0;
    }
    if (count != 8 || !inside || pads[0] != 0 || pads[1] != 0 || pads[4] != 0 || pads[5] != 0) {
        return refuse(o, n, "it pads more than height and width, or cuts");
    }
    if (!reader_takes_pads(o, made)) {
        return refuse(o, n, "its result is read by something else");
    }
    for (int d = 0; d < 2; d++) {
        made->pads[d] = (int32_t)pads[2 + d];
        made->pads[2 + d] = (int32_t)pads[6 + d];
    }
    return 0;
}

int fnl__onnx_read_pad(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap", NULL};
    const Onnx__NodeProto *p = n->proto;
    int64_t pads[2 * FNL_MAX_RANK];
    int mode = 0, count = 0;
    float value = 0.0F;
    if (p->n_input < 2 || p->input[0][0] == '\0') {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "it has no input or no pads");
    }
    int x = fnl__onnx_value(o, n, p->input[0]);
    if (x < 0) {
        return x;
    }
    int rc = fnl__onnx_attr_enum(o, n, "mode", modes, &mode);
    rc = rc != 0 ? rc : fnl__onnx_constant_ints(o, p->input[1], pads, 2 * FNL_MAX_RANK, &count);
    rc = rc != 0 ? rc : fnl__onnx_attr_rest(o, n);
    if (rc == 0 && count != 2 * fnl_graph_value(o->g, x)->shape.rank) {
        rc = refuse(o, n, "its pads do not fit its input");
    }
    bool zeros = p->n_input < 3 || p->input[2][0] == '\0' ||
                 (fnl__onnx_constant_float(o, p->input[2], &value) && value == 0.0F);
    if (rc == 0 && (mode != 0 || !zeros || (p->n_input > 3 && p->input[3][0] != '\0'))) {
        rc = refuse(o, n, "it does not pad with zeros, or names axes");
    }
    struct fnl__onnx_name *made = fnl__onnx_find(o, p->output[0]);
    rc = rc != 0 ? rc : move_pads(o, n, made, pads, count);
    if (rc == 0) {
        made->value = x;
    }
    return rc;
}
