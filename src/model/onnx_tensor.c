/* onnx_tensor.c - ONNX tensors to numbers.
 *
 * Data stands in raw_data (little-endian), in a typed field, or in a file beside the model. Sizes
 * are checked against what is really there before memory is taken, so a file of n bytes never makes
 * us allocate more than about 8 n. All floats become float32. */
#include <string.h>

#include "base/mem.h"
#include "model/onnx_int.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "raw tensor data is little-endian and is taken as it is");

#define TYPE(x) ONNX__TENSOR_PROTO__DATA_TYPE__##x

/* A tensor with its data found. */
struct tensor {
    struct fnl_shape shape;
    size_t count;
    int type;        /* TYPE(...) */
    const void *raw; /* count elements of that type, perhaps unaligned; NULL: in a typed field */
    void *owned;     /* to free */
};

static size_t element_size(int type)
{
    switch (type) {
    case TYPE(FLOAT):
    case TYPE(INT32):
        return 4;
    case TYPE(DOUBLE):
    case TYPE(INT64):
        return 8;
    case TYPE(FLOAT16):
    case TYPE(BFLOAT16):
        return 2;
    case TYPE(BOOL):
        return 1;
    default:
        return 0;
    }
}

static const char *type_name(int type)
{
    static const char *const names[] = {"undefined",  "float32", "uint8",  "int8",   "uint16",
                                        "int16",      "int32",   "int64",  "string", "bool",
                                        "float16",    "float64", "uint32", "uint64", "complex64",
                                        "complex128", "bfloat16"};
    return type >= 0 && type < (int)(sizeof names / sizeof names[0]) ? names[type] : "unknown";
}

static bool is_float(int type)
{
    return type == TYPE(FLOAT) || type == TYPE(FLOAT16) || type == TYPE(BFLOAT16) ||
           type == TYPE(DOUBLE);
}

static int fail(const struct fnl__onnx *o, const char *name, const char *what)
{
    return FNL_FAIL(o->err, FORMAT, "the file is damaged; export the model again",
                    "%s: tensor \"%s\": %s", o->file, name, what);
}

/* Elements that stand in the typed field of this type. */
static size_t field_count(const Onnx__TensorProto *t, int type)
{
    switch (type) {
    case TYPE(FLOAT):
        return t->n_float_data;
    case TYPE(DOUBLE):
        return t->n_double_data;
    case TYPE(INT64):
        return t->n_int64_data;
    default: /* the small ones, each in an int32 */
        return t->n_int32_data;
    }
}

static int read_shape(const struct fnl__onnx *o, const char *name, const Onnx__TensorProto *t,
                      struct tensor *ret)
{
    if (t->n_dims > FNL_MAX_RANK) {
        return FNL_FAIL(o->err, UNSUPPORTED, NULL,
                        "%s: tensor \"%s\" has %zu dimensions, at most %d", o->file, name,
                        t->n_dims, FNL_MAX_RANK);
    }
    ret->shape.rank = (int)t->n_dims;
    uint64_t count = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        int64_t d = t->dims[i];
        ret->shape.dim[i] = d;
        if (d < 0 || __builtin_mul_overflow(count, (uint64_t)d, &count) || count > SIZE_MAX / 16) {
            return fail(o, name, "its dimensions are negative or too large");
        }
    }
    ret->count = (size_t)count;
    return 0;
}

/* Finds shape and data, with all sizes agreeing. Free ret->owned. */
static int open_tensor(const struct fnl__onnx *o, const char *name, const Onnx__TensorProto *t,
                       struct tensor *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->type = t->data_type;
    size_t size = element_size(ret->type);
    if (size == 0) {
        return FNL_FAIL(o->err, UNSUPPORTED, NULL, "%s: tensor \"%s\" is of type %s", o->file, name,
                        type_name(ret->type));
    }
    int rc = read_shape(o, name, t, ret);
    if (rc != 0) {
        return rc;
    }
    if (t->segment != NULL) {
        return fail(o, name, "segments are not supported");
    }
    if (t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        rc = fnl__onnx_external(o, t, ret->count * size, &ret->owned);
        ret->raw = ret->owned;
        return rc != 0 ? fnl_error_context(o->err, rc, "%s: tensor \"%s\"", o->file, name) : 0;
    }
    size_t have = field_count(t, ret->type);
    if (t->has_raw_data) {
        ret->raw = t->raw_data.data;
        have = t->raw_data.len / size;
        have = t->raw_data.len % size == 0 ? have : SIZE_MAX;
    }
    return have == ret->count ? 0 : fail(o, name, "its data does not have the size of its shape");
}

/* ---- to float32 ---- */

static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000U) << 16, exponent = (h >> 10) & 0x1FU, bits;
    uint32_t mantissa = h & 0x3FFU;
    float f;
    if (exponent == 0) { /* zero and subnormals: an integer times 2^-24 */
        f = (float)mantissa * 0x1p-24F;
        memcpy(&bits, &f, sizeof bits);
        bits |= sign;
    } else {
        exponent = exponent == 31 ? 255 : exponent + 112;
        bits = sign | exponent << 23 | mantissa << 13;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float float_at(const struct tensor *x, const Onnx__TensorProto *t, size_t i)
{
    uint16_t half;
    float f;
    double d;
    switch (x->type) {
    case TYPE(FLOAT):
        if (x->raw == NULL) {
            return t->float_data[i];
        }
        memcpy(&f, (const char *)x->raw + i * sizeof f, sizeof f);
        return f;
    case TYPE(DOUBLE):
        if (x->raw == NULL) {
            return (float)t->double_data[i];
        }
        memcpy(&d, (const char *)x->raw + i * sizeof d, sizeof d);
        return (float)d;
    default:
        if (x->raw == NULL) {
            half = (uint16_t)t->int32_data[i];
        } else {
            memcpy(&half, (const char *)x->raw + i * sizeof half, sizeof half);
        }
        return x->type == TYPE(FLOAT16) ? from_f16(half) : fnl_bf16_to_f32(half);
    }
}

static int add_floats(struct fnl__onnx *o, const struct fnl__onnx_name *name,
                      const struct tensor *x, const float *data)
{
    if (name->role == FNL__ONNX_DATA) {
        return fnl_graph_add_const(o->g, name->name, FNL_F32, &x->shape, data, o->err);
    }
    return fnl_graph_add_param(o->g, name->name, &x->shape, data, name->role == FNL__ONNX_TRAINABLE,
                               o->err);
}

static int add_open_tensor(struct fnl__onnx *o, const struct fnl__onnx_name *name,
                           const struct tensor *x)
{
    if (!is_float(x->type)) {
        return FNL_FAIL(o->err, UNSUPPORTED, NULL,
                        "%s: tensor \"%s\" is of type %s; nodes compute with floats", o->file,
                        name->name, type_name(x->type));
    }
    if (x->count == 0) {
        return fail(o, name->name, "it is empty");
    }
    if (x->type == TYPE(FLOAT) && x->raw != NULL && (uintptr_t)x->raw % sizeof(float) == 0) {
        return add_floats(o, name, x, x->raw);
    }
    float *data = fnl_malloc(x->count * sizeof *data);
    if (data == NULL) {
        return FNL_FAIL(o->err, NOMEM, NULL, "%s: no memory for tensor \"%s\"", o->file,
                        name->name);
    }
    for (size_t i = 0; i < x->count; i++) {
        data[i] = float_at(x, name->tensor, i);
    }
    int value = add_floats(o, name, x, data);
    fnl_free(data);
    return value;
}

int fnl__onnx_add_tensor(struct fnl__onnx *o, const struct fnl__onnx_name *name)
{
    struct tensor x;
    if (name->tensor == NULL) {
        return FNL_FAIL(o->err, UNSUPPORTED, NULL, "%s: constant \"%s\" is of no supported kind",
                        o->file, name->name);
    }
    int rc = open_tensor(o, name->name, name->tensor, &x);
    if (rc == 0) {
        rc = add_open_tensor(o, name, &x);
    }
    fnl_free(x.owned);
    return rc;
}

/* ---- small constants that a reader of nodes wants as numbers ---- */

static const Onnx__TensorProto *find_tensor(const struct fnl__onnx *o, const char *name)
{
    const struct fnl__onnx_name *entry = fnl__onnx_find(o, name);
    return entry != NULL ? entry->tensor : NULL;
}

static int64_t int_at(const struct tensor *x, const Onnx__TensorProto *t, size_t i)
{
    int64_t wide;
    int32_t narrow;
    if (x->type == TYPE(INT64)) {
        if (x->raw == NULL) {
            return t->int64_data[i];
        }
        memcpy(&wide, (const char *)x->raw + i * sizeof wide, sizeof wide);
        return wide;
    }
    if (x->raw == NULL) {
        return t->int32_data[i];
    }
    if (x->type == TYPE(BOOL)) {
        return ((const unsigned char *)x->raw)[i];
    }
    memcpy(&narrow, (const char *)x->raw + i * sizeof narrow, sizeof narrow);
    return narrow;
}

bool fnl__onnx_is_ints(const Onnx__TensorProto *t)
{
    return t->data_type == TYPE(INT64) || t->data_type == TYPE(INT32);
}

int fnl__onnx_tensor_shape(const struct fnl__onnx *o, const char *name, const Onnx__TensorProto *t,
                           struct fnl_shape *ret)
{
    struct tensor x = {0};
    int rc = read_shape(o, name, t, &x);
    *ret = x.shape;
    return rc;
}

int fnl__onnx_tensor_ints(const struct fnl__onnx *o, const char *name, struct fnl__onnx_ints *ret)
{
    struct tensor x;
    const Onnx__TensorProto *t = find_tensor(o, name);
    if (t == NULL) {
        return FNL_FAIL(o->err, UNSUPPORTED,
                        "export with constant shapes: a fixed image size, only the batch dynamic",
                        "%s: tensor \"%s\" must be a constant", o->file, name);
    }
    int rc = open_tensor(o, name, t, &x);
    if (rc == 0 && !fnl__onnx_is_ints(t)) {
        rc = fail(o, name, "expected integers");
    }
    if (rc == 0 && (x.shape.rank > 1 || x.count > FNL_MAX_ONNX_INTS)) {
        rc = fail(o, name, "expected a short list of integers");
    }
    for (size_t i = 0; rc == 0 && i < x.count; i++) {
        ret->item[i] = (struct fnl__onnx_int){int_at(&x, t, i), false};
    }
    if (rc == 0) {
        ret->rank = x.shape.rank;
        ret->count = (int)x.count;
    }
    fnl_free(x.owned);
    return rc;
}

int fnl__onnx_constant_ints(const struct fnl__onnx *o, const char *name, int64_t *ret, int max,
                            int *ret_count)
{
    struct fnl__onnx_ints list = {0};
    int rc = fnl__onnx_ints_of(o, name, &list);
    if (rc == 0 && list.count > max) {
        rc = fail(o, name, "expected a short list of integers");
    }
    for (int i = 0; rc == 0 && i < list.count; i++) {
        ret[i] = list.item[i].number;
        if (list.item[i].batch) {
            rc = FNL_FAIL(o->err, UNSUPPORTED, NULL, "%s: \"%s\" depends on the batch size",
                          o->file, name);
        }
    }
    if (rc == 0) {
        *ret_count = list.count;
    }
    return rc;
}

/* A tensor of one element, opened; quietly false when it is none, or in a file of its own. */
static bool open_scalar(const struct fnl__onnx *o, const char *name, const Onnx__TensorProto **t,
                        struct tensor *x)
{
    struct fnl__onnx quiet = *o;
    quiet.err = NULL;
    *t = find_tensor(o, name);
    if (*t == NULL || (*t)->n_external_data > 0 || open_tensor(&quiet, name, *t, x) != 0) {
        return false;
    }
    return x->count == 1;
}

bool fnl__onnx_constant_float(const struct fnl__onnx *o, const char *name, float *ret)
{
    struct tensor x;
    const Onnx__TensorProto *t;
    if (!open_scalar(o, name, &t, &x) || !is_float(x.type)) {
        return false;
    }
    *ret = float_at(&x, t, 0);
    return true;
}

bool fnl__onnx_constant_bool(const struct fnl__onnx *o, const char *name, bool *ret)
{
    struct tensor x;
    const Onnx__TensorProto *t;
    if (!open_scalar(o, name, &t, &x) || x.type != TYPE(BOOL)) {
        return false;
    }
    *ret = int_at(&x, t, 0) != 0;
    return true;
}

/* ---- Constant nodes ---- */

const Onnx__TensorProto *fnl__onnx_constant_of(struct fnl__onnx *o, const Onnx__NodeProto *n)
{
    if (n->n_attribute != 1 || n->attribute[0]->name == NULL) {
        return NULL;
    }
    const Onnx__AttributeProto *a = n->attribute[0];
    if (strcmp(a->name, "value") == 0) {
        return a->t;
    }
    bool floats = strncmp(a->name, "value_float", 11) == 0;
    bool list = strcmp(a->name, "value_floats") == 0 || strcmp(a->name, "value_ints") == 0;
    if (!list && strcmp(a->name, "value_float") != 0 && strcmp(a->name, "value_int") != 0) {
        return NULL;
    }
    Onnx__TensorProto *t = fnl_arena_alloc(&o->arena, sizeof *t);
    int64_t *dims = fnl_arena_alloc(&o->arena, sizeof *dims);
    if (t == NULL || dims == NULL) {
        return NULL;
    }
    onnx__tensor_proto__init(t);
    t->has_data_type = 1;
    t->data_type = floats ? TYPE(FLOAT) : TYPE(INT64);
    t->dims = dims;
    t->n_dims = list ? 1 : 0;
    if (floats) { /* the data stays the attribute's */
        t->n_float_data = list ? a->n_floats : 1;
        t->float_data = list ? a->floats : (float *)(uintptr_t)&a->f;
    } else {
        t->n_int64_data = list ? a->n_ints : 1;
        t->int64_data = list ? a->ints : (int64_t *)(uintptr_t)&a->i;
    }
    dims[0] = (int64_t)(floats ? t->n_float_data : t->n_int64_data);
    return t;
}
