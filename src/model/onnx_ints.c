/* onnx_ints.c - integers that a file computes from shapes.
 *
 * Exporters write `x.view(x.size(0), -1)` as Shape, Gather, Unsqueeze, Concat and a Reshape that
 * reads the result. All of it is known when the file is read, but for the batch size, which stays a
 * symbol: an integer here is a number, or a number of batches. Such nodes are computed at once and
 * leave nothing in the graph; what they give stands in the table of names (fnl__onnx_name.ints).
 *
 * Invariants: (1) only nodes that stand before are read, so there is no recursion and a circle is
 * an error; (2) a list has at most FNL_MAX_ONNX_INTS entries, whatever indices a file asks for; (3)
 * all arithmetic is checked for overflow; (4) what would need the batch size itself is refused, by
 * node. Cost: a node, O(FNL_MAX_ONNX_INTS). Semantics: the operators' pages of the ONNX
 * specification. */
#include <limits.h>
#include <string.h>

#include "base/limits.h"
#include "model/onnx_int.h"

/* A node being computed. */
struct folding {
    struct fnl__onnx *o;
    struct fnl__onnx_node *n;
    struct fnl__onnx_ints result;
};

static int fail(const struct folding *f, int code, const char *what)
{
    return fnl__onnx_fail(f->o, f->n, code, NULL, "%s", what);
}

static int fail_batch(const struct folding *f)
{
    return fnl__onnx_fail(f->o, f->n, FNL_E_UNSUPPORTED,
                          "keep the batch a dimension of its own, in front",
                          "its result depends on the batch size in a way that is not supported");
}

/* ---- operands ---- */

static bool is_ints(const struct fnl__onnx *o, const char *name)
{
    const struct fnl__onnx_name *entry = fnl__onnx_find(o, name);
    if (entry == NULL) {
        return false;
    }
    return entry->ints != NULL || (entry->tensor != NULL && fnl__onnx_is_ints(entry->tensor));
}

int fnl__onnx_ints_of(const struct fnl__onnx *o, const char *name, struct fnl__onnx_ints *ret)
{
    const struct fnl__onnx_name *entry = fnl__onnx_find(o, name);
    if (entry == NULL || entry->ints == NULL) {
        return fnl__onnx_tensor_ints(o, name, ret);
    }
    ret->rank = entry->ints_rank;
    ret->count = entry->ints_count;
    memcpy(ret->item, entry->ints, (size_t)entry->ints_count * sizeof *ret->item);
    return 0;
}

static bool has_input(const struct folding *f, size_t i)
{
    return i < f->n->proto->n_input && f->n->proto->input[i][0] != '\0';
}

static int operand(const struct folding *f, size_t i, struct fnl__onnx_ints *ret)
{
    if (!has_input(f, i)) {
        return fail(f, FNL_E_FORMAT, "an input is missing");
    }
    const char *name = f->n->proto->input[i];
    if (!is_ints(f->o, name)) {
        return fnl__onnx_fail(f->o, f->n, FNL_E_UNSUPPORTED, NULL,
                              "\"%s\" must be integers known when the file is read: constants, or "
                              "made from shapes",
                              name);
    }
    int rc = fnl__onnx_ints_of(f->o, name, ret);
    return rc != 0 ? fnl_error_context(f->o->err, rc, "node %d", f->n->index) : 0;
}

/* Integers that do not depend on the batch: indices, axes. */
static int plain_operand(const struct folding *f, size_t i, struct fnl__onnx_ints *ret)
{
    int rc = operand(f, i, ret);
    for (int k = 0; rc == 0 && k < ret->count; k++) {
        rc = ret->item[k].batch ? fail_batch(f) : 0;
    }
    return rc;
}

static int append(struct folding *f, struct fnl__onnx_int item)
{
    if (f->result.count == FNL_MAX_ONNX_INTS) {
        return fnl__onnx_fail(f->o, f->n, FNL_E_LIMIT, NULL, "a list of more than %d integers",
                              FNL_MAX_ONNX_INTS);
    }
    f->result.item[f->result.count++] = item;
    return 0;
}

/* The one axis that a list has, by attribute or input `axes`. */
static int read_axis(struct folding *f, const char *attribute, int64_t axis)
{
    int rc = fnl__onnx_attr_int(f->o, f->n, attribute, -FNL_MAX_RANK, FNL_MAX_RANK, &axis);
    return rc == 0 && axis != 0 && axis != -1
               ? fail(f, FNL_E_FORMAT, "its axis is beyond the one of a list of integers")
               : rc;
}

/* Squeeze, Unsqueeze: axes is an attribute before opset 13. Each must mean the first dimension. */
static int read_axes(struct folding *f, int *ret_count)
{
    struct fnl__onnx_ints axes = {0};
    int64_t attribute[FNL_MAX_RANK];
    int rc, count = 0;
    if (f->o->opset < 13) {
        rc = fnl__onnx_attr_ints(f->o, f->n, "axes", FNL_MAX_RANK, attribute, &count);
        for (int i = 0; rc == 0 && i < count; i++) {
            axes.item[i].number = attribute[i];
        }
    } else {
        rc = has_input(f, 1) ? plain_operand(f, 1, &axes) : 0;
        count = axes.count;
    }
    for (int i = 0; rc == 0 && i < count; i++) {
        if (axes.item[i].number != 0 && axes.item[i].number != -1) {
            rc = fail(f, FNL_E_UNSUPPORTED, "it makes more than a list of integers");
        }
    }
    *ret_count = count;
    return rc;
}

/* ---- from tensors ---- */

static int fold_shape(struct folding *f)
{
    struct fnl_shape shape = {0};
    int64_t start = 0, end = INT64_MAX;
    if (!has_input(f, 0)) {
        return fail(f, FNL_E_FORMAT, "input 0 is missing");
    }
    const char *name = f->n->proto->input[0];
    const struct fnl__onnx_name *entry = fnl__onnx_find(f->o, name);
    int rc = 0;
    if (entry != NULL && entry->ints != NULL) {
        shape.rank = entry->ints_rank;
        shape.dim[0] = entry->ints_count;
    } else if (entry != NULL && entry->tensor != NULL) {
        rc = fnl__onnx_tensor_shape(f->o, name, entry->tensor, &shape);
    } else {
        int value = fnl__onnx_value(f->o, f->n, name);
        rc = value < 0 ? value : 0;
        shape = rc == 0 ? fnl_graph_value(f->o->g, value)->shape : shape;
    }
    if (rc == 0 && f->o->opset >= 15) {
        rc = fnl__onnx_attr_int(f->o, f->n, "start", INT32_MIN, INT32_MAX, &start);
        rc = rc != 0 ? rc : fnl__onnx_attr_int(f->o, f->n, "end", INT32_MIN, INT32_MAX, &end);
    }
    start = start < 0 ? start + shape.rank : start;
    end = end < 0 ? end + shape.rank : end;
    for (int64_t d = start < 0 ? 0 : start; rc == 0 && d < end && d < shape.rank; d++) {
        bool batch = shape.dim[d] == FNL_DIM_BATCH;
        rc = append(f, (struct fnl__onnx_int){batch ? 1 : shape.dim[d], batch});
    }
    f->result.rank = 1;
    return rc;
}

/* ---- lists ---- */

static int fold_gather(struct folding *f)
{
    struct fnl__onnx_ints data = {0}, index = {0};
    int rc = read_axis(f, "axis", 0);
    rc = rc != 0 ? rc : operand(f, 0, &data);
    rc = rc != 0 ? rc : plain_operand(f, 1, &index);
    if (rc == 0 && data.rank != 1) {
        rc = fail(f, FNL_E_FORMAT, "it gathers from a single number");
    }
    f->result.rank = index.rank;
    for (int i = 0; rc == 0 && i < index.count; i++) {
        int64_t at = index.item[i].number;
        at = at < 0 ? at + data.count : at;
        if (at < 0 || at >= data.count) {
            return fnl__onnx_fail(f->o, f->n, FNL_E_FORMAT, NULL, "index %lld of a list of %d",
                                  (long long)index.item[i].number, data.count);
        }
        rc = append(f, data.item[at]);
    }
    return rc;
}

/* start, end and step as Python's slices take them. */
static int cut(struct folding *f, const struct fnl__onnx_ints *data, int64_t start, int64_t end,
               int64_t step)
{
    int64_t count = data->count, low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
    if (step == 0) {
        return fail(f, FNL_E_FORMAT, "a step of 0");
    }
    start = start < 0 && start >= -count ? start + count : start;
    end = end < 0 && end >= -count ? end + count : end;
    start = start < low ? low : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    step = step > count + 1 ? count + 1 : step < -count - 1 ? -count - 1 : step; /* no overflow */
    int rc = 0;
    for (int64_t i = start; rc == 0 && (step > 0 ? i < end : i > end); i += step) {
        rc = append(f, data->item[i]);
    }
    return rc;
}

static int fold_slice(struct folding *f)
{
    struct fnl__onnx_ints data = {0}, bound[4] = {0}; /* starts, ends, axes, steps */
    bound[3].item[0].number = 1;
    int rc = operand(f, 0, &data);
    for (size_t i = 1; rc == 0 && i <= 4; i++) {
        if (i < 3 || has_input(f, i)) {
            rc = plain_operand(f, i, &bound[i - 1]);
            if (rc == 0 && bound[i - 1].count != 1) {
                rc = fail(f, FNL_E_FORMAT, "a list of integers has one axis to cut");
            }
        }
    }
    int64_t axis = bound[2].item[0].number;
    if (rc == 0 && (data.rank != 1 || (axis != 0 && axis != -1))) {
        rc = fail(f, FNL_E_FORMAT, "its axis is beyond the one of a list of integers");
    }
    f->result.rank = 1;
    return rc != 0 ? rc
                   : cut(f, &data, bound[0].item[0].number, bound[1].item[0].number,
                         bound[3].item[0].number);
}

static int fold_concat(struct folding *f)
{
    if (f->n->proto->n_input > FNL_MAX_ONNX_INTS) {
        return fnl__onnx_fail(f->o, f->n, FNL_E_LIMIT, NULL, "more than %d inputs",
                              FNL_MAX_ONNX_INTS);
    }
    int rc = read_axis(f, "axis", 0);
    for (size_t i = 0; rc == 0 && i < f->n->proto->n_input; i++) {
        struct fnl__onnx_ints part = {0};
        rc = operand(f, i, &part);
        if (rc == 0 && part.rank != 1) {
            rc = fail(f, FNL_E_FORMAT, "it joins lists, and one input is a single number");
        }
        for (int k = 0; rc == 0 && k < part.count; k++) {
            rc = append(f, part.item[k]);
        }
    }
    f->result.rank = 1;
    return rc;
}

static int fold_unsqueeze(struct folding *f)
{
    int axes;
    int rc = operand(f, 0, &f->result);
    rc = rc != 0 ? rc : read_axes(f, &axes);
    if (rc == 0 && (f->result.rank != 0 || axes != 1)) {
        rc = fail(f, FNL_E_UNSUPPORTED, "it makes more than a list of integers");
    }
    f->result.rank = 1;
    return rc;
}

static int fold_squeeze(struct folding *f)
{
    int axes;
    int rc = operand(f, 0, &f->result);
    rc = rc != 0 ? rc : read_axes(f, &axes);
    if (rc == 0 && f->result.count != 1) {
        rc = fail(f, FNL_E_FORMAT, "a list of several integers cannot become one number");
    }
    f->result.rank = 0;
    return rc;
}

/* To a list, which it is already, or of a single number to one of one. */
static int fold_reshape(struct folding *f)
{
    struct fnl__onnx_ints shape = {0};
    bool allow_zero = false;
    int rc = fnl__onnx_attr_bool(f->o, f->n, "allowzero", &allow_zero);
    rc = rc != 0 ? rc : operand(f, 0, &f->result);
    rc = rc != 0 ? rc : plain_operand(f, 1, &shape);
    if (rc == 0 && shape.count == 0 && f->result.count == 1) {
        f->result.rank = 0;
        return 0;
    }
    if (rc == 0 && (shape.count != 1 ||
                    (shape.item[0].number != -1 && shape.item[0].number != f->result.count))) {
        rc = fail(f, FNL_E_UNSUPPORTED, "it makes more than a list of integers");
    }
    f->result.rank = 1;
    return rc;
}

/* ---- numbers ---- */

static int fold_same(struct folding *f)
{
    return operand(f, 0, &f->result);
}

static int fold_cast(struct folding *f)
{
    int64_t to = 0;
    int rc = fnl__onnx_attr_int(f->o, f->n, "to", 0, INT32_MAX, &to);
    if (rc == 0 && to != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 &&
        to != ONNX__TENSOR_PROTO__DATA_TYPE__INT32) {
        return fail(f, FNL_E_UNSUPPORTED, "numbers made from shapes can only stay integers");
    }
    return rc != 0 ? rc : operand(f, 0, &f->result);
}

/* Each leaves *ret alone and says false when there is no such integer. */
static bool add(struct fnl__onnx_int a, struct fnl__onnx_int b, struct fnl__onnx_int *ret)
{
    int64_t sum;
    if (a.batch != b.batch || __builtin_add_overflow(a.number, b.number, &sum)) {
        return false;
    }
    *ret = (struct fnl__onnx_int){sum, a.batch && sum != 0};
    return true;
}

static bool subtract(struct fnl__onnx_int a, struct fnl__onnx_int b, struct fnl__onnx_int *ret)
{
    int64_t difference;
    if (a.batch != b.batch || __builtin_sub_overflow(a.number, b.number, &difference)) {
        return false;
    }
    *ret = (struct fnl__onnx_int){difference, a.batch && difference != 0};
    return true;
}

static bool multiply(struct fnl__onnx_int a, struct fnl__onnx_int b, struct fnl__onnx_int *ret)
{
    int64_t product;
    if ((a.batch && b.batch) || __builtin_mul_overflow(a.number, b.number, &product)) {
        return false;
    }
    *ret = (struct fnl__onnx_int){product, (a.batch || b.batch) && product != 0};
    return true;
}

/* Towards zero, as ONNX has it. Batches divide only without remainder. */
static bool divide(struct fnl__onnx_int a, struct fnl__onnx_int b, struct fnl__onnx_int *ret)
{
    bool overflow = a.number == INT64_MIN && b.number == -1;
    if (b.number == 0 || overflow || (b.batch && !a.batch && a.number != 0)) {
        return false;
    }
    if ((a.batch || b.batch) && a.number % b.number != 0) {
        return false;
    }
    *ret = (struct fnl__onnx_int){a.number / b.number, a.batch && !b.batch};
    return true;
}

static int combine(struct folding *f,
                   bool (*op)(struct fnl__onnx_int, struct fnl__onnx_int, struct fnl__onnx_int *))
{
    struct fnl__onnx_ints a = {0}, b = {0};
    int rc = operand(f, 0, &a);
    rc = rc != 0 ? rc : operand(f, 1, &b);
    if (rc == 0 && a.count != b.count && a.count != 1 && b.count != 1) {
        rc = fail(f, FNL_E_FORMAT, "its inputs have different lengths");
    }
    int count = a.count == 1 ? b.count : a.count;
    f->result.rank = a.rank > b.rank ? a.rank : b.rank;
    for (int i = 0; rc == 0 && i < count; i++) {
        struct fnl__onnx_int x = a.item[a.count == 1 ? 0 : i], y = b.item[b.count == 1 ? 0 : i], z;
        if (!op(x, y, &z)) {
            return x.batch || y.batch ? fail_batch(f)
                                      : fail(f, FNL_E_FORMAT, "it overflows, or divides by zero");
        }
        rc = append(f, z);
    }
    return rc;
}

static int fold_add(struct folding *f)
{
    return combine(f, add);
}

static int fold_sub(struct folding *f)
{
    return combine(f, subtract);
}

static int fold_mul(struct folding *f)
{
    return combine(f, multiply);
}

static int fold_div(struct folding *f)
{
    return combine(f, divide);
}

static int fold_reduce_prod(struct folding *f)
{
    struct fnl__onnx_ints data = {0};
    struct fnl__onnx_int product = {1, false};
    bool keep = true;
    struct fnl__onnx_ints axes = {0};
    int64_t axis[1];
    int count;
    int rc = fnl__onnx_attr_bool(f->o, f->n, "keepdims", &keep);
    rc = rc != 0 ? rc : fnl__onnx_attr_ints(f->o, f->n, "axes", 1, axis, &count);
    rc = rc == 0 && has_input(f, 1) ? plain_operand(f, 1, &axes) : rc; /* of one: all there is */
    rc = rc != 0 ? rc : operand(f, 0, &data);
    for (int i = 0; rc == 0 && i < data.count; i++) {
        rc = multiply(product, data.item[i], &product) ? 0 : fail_batch(f);
    }
    f->result.rank = keep ? data.rank : 0;
    return rc != 0 ? rc : append(f, product);
}

/* ---- the table ---- */

static const struct {
    const char *type;
    size_t inputs_max;
    int (*fold)(struct folding *f);
} rows[] = {
    {"Shape", 1, fold_shape},
    {"Gather", 2, fold_gather},
    {"Slice", 5, fold_slice},
    {"Concat", FNL_MAX_ONNX_INTS, fold_concat},
    {"Unsqueeze", 2, fold_unsqueeze},
    {"Squeeze", 2, fold_squeeze},
    {"Reshape", 2, fold_reshape},
    {"Identity", 1, fold_same},
    {"Cast", 1, fold_cast},
    {"Add", 2, fold_add},
    {"Sub", 2, fold_sub},
    {"Mul", 2, fold_mul},
    {"Div", 2, fold_div},
    {"ReduceProd", 2, fold_reduce_prod},
};
#define ROWS (sizeof rows / sizeof rows[0])

bool fnl__onnx_folds(const struct fnl__onnx *o, const Onnx__NodeProto *p)
{
    if (p->op_type == NULL) {
        return false;
    }
    if (strcmp(p->op_type, "Shape") == 0) {
        return true;
    }
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(p->op_type, rows[i].type) == 0) {
            return p->n_input > 0 && is_ints(o, p->input[0]);
        }
    }
    return false;
}

int fnl__onnx_fold(struct fnl__onnx *o, struct fnl__onnx_node *n)
{
    struct folding f = {.o = o, .n = n};
    size_t row = 0;
    while (strcmp(n->proto->op_type, rows[row].type) != 0) { /* fnl__onnx_folds found it */
        row++;
    }
    if (n->proto->n_input > rows[row].inputs_max) {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "it has %zu inputs, at most %zu",
                              n->proto->n_input, rows[row].inputs_max);
    }
    int rc = rows[row].fold(&f);
    rc = rc != 0 ? rc : fnl__onnx_attr_rest(o, n);
    if (rc != 0) {
        return rc;
    }
    size_t count = (size_t)f.result.count;
    struct fnl__onnx_int *item = fnl_arena_array(&o->arena, count + 1, sizeof *item);
    if (item == NULL) {
        return FNL_FAIL(o->err, NOMEM, NULL, "%s: out of memory", o->file);
    }
    memcpy(item, f.result.item, count * sizeof *item);
    struct fnl__onnx_name *made = fnl__onnx_find(o, n->proto->output[0]);
    made->ints = item;
    made->ints_count = f.result.count;
    made->ints_rank = f.result.rank;
    return 0;
}
