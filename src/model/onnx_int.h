/* onnx_int.h - reading an ONNX file: what its parts share. */
#ifndef FNL_MODEL_ONNX_INT_H
#define FNL_MODEL_ONNX_INT_H

#include <onnx.pb-c.h>
#include <stdarg.h>

#include "base/arena.h"
#include "base/limits.h"
#include "engine/graph.h"
#include "model/model.h"

/* Oldest and newest versions of the operator set that are read, and the one that is written. */
#define FNL__OPSET_MIN 11
#define FNL__OPSET_MAX 21
#define FNL__OPSET_WRITTEN 17
#define FNL__IR_WRITTEN 8

/* Metadata of the file, not of the graph: names of parameters that are not trained, one a line. */
#define FNL__META_FROZEN "fournil.frozen"

/* ---- onnx_scan.c ---- */

/* Walks the bytes of an ONNX model without recursion and refuses what the decoder must not see:
 * lengths beyond the end, deep nesting, too many messages, single messages that stand twice. */
int fnl__onnx_scan(const char *file, const void *data, size_t size, struct fnl_error *err);

/* ---- names ---- */

enum fnl__onnx_kind {
    FNL__ONNX_INPUT,       /* index: graph input */
    FNL__ONNX_INITIALIZER, /* index: initializer */
    FNL__ONNX_CONSTANT,    /* index: Constant node */
    FNL__ONNX_OUTPUT,      /* index: node that makes it */
};

/* What an initializer is for; the highest that a reader asks for wins. */
enum fnl__onnx_role {
    FNL__ONNX_DATA,      /* fixed */
    FNL__ONNX_TRAINABLE, /* weights, bias, scale */
    FNL__ONNX_STATE,     /* running mean and variance */
};

struct fnl__onnx_name {
    const char *name;
    enum fnl__onnx_kind kind;
    enum fnl__onnx_role role;
    int index;
    int uses;        /* by nodes and graph outputs */
    int consumer;    /* a node that reads it, or -1 */
    int value;       /* in the graph, or -1: not yet made */
    int32_t pads[4]; /* made by a Pad of zeros: top, left, bottom, right still to be added */
    const Onnx__TensorProto *tensor;  /* INITIALIZER, CONSTANT: its data; NULL: of no known kind */
    const struct fnl__onnx_int *ints; /* OUTPUT: integers computed from shapes, or NULL */
    int ints_count, ints_rank;        /* rank 0: one number; 1: a list */
};

/* An integer that is known when the file is read: `number`, or `number` batches. */
struct fnl__onnx_int {
    int64_t number;
    bool batch;
};
struct fnl__onnx_ints {
    int rank, count;
    struct fnl__onnx_int item[FNL_MAX_ONNX_INTS];
};

struct fnl__onnx {
    const char *file;
    const char *model_dir; /* for external data, or NULL: refused */
    const Onnx__ModelProto *model;
    const Onnx__GraphProto *proto;
    int opset;
    struct fnl_graph *g;
    struct fnl_arena arena;
    struct fnl__onnx_name *names; /* sorted by name */
    size_t name_count;
    struct fnl__onnx_fused *fused; /* per node */
    int64_t fixed_batch; /* first dimension of the inputs where the file fixes it, else 0 */
    uint32_t dropouts;
    struct fnl_error *err;
};

/* What onnx_fuse.c found out about a node. */
enum fnl__onnx_fate {
    FNL__ONNX_KEEP,
    FNL__ONNX_SKIP,      /* Constant, or inside a pattern */
    FNL__ONNX_GELU,      /* last node of a Gelu; reads x */
    FNL__ONNX_GELU_TANH, /* the same with tanh */
};
struct fnl__onnx_fused {
    enum fnl__onnx_fate fate;
    const char *x;
};

/* ---- onnx_names.c ---- */

/* Makes o->names: every name once, with its uses and role. */
int fnl__onnx_names(struct fnl__onnx *o);
struct fnl__onnx_name *fnl__onnx_find(const struct fnl__onnx *o, const char *name); /* or NULL */

/* ---- onnx_fuse.c ---- */

/* Fills o->fused: finds the patterns that mean Gelu. */
int fnl__onnx_fuse(struct fnl__onnx *o);

/* ---- onnx_tensor.c ---- */

/* The tensor that a Constant node gives; NULL when it is of no known kind, or memory ends. */
const Onnx__TensorProto *fnl__onnx_constant_of(struct fnl__onnx *o, const Onnx__NodeProto *n);

/* Adds the float tensor to the graph as its role says; returns the value or a negative code. */
int fnl__onnx_add_tensor(struct fnl__onnx *o, const struct fnl__onnx_name *name);

/* Is it of a type of integers that shapes and axes have? */
bool fnl__onnx_is_ints(const Onnx__TensorProto *t);
/* Shape of a tensor of the file. */
int fnl__onnx_tensor_shape(const struct fnl__onnx *o, const char *name, const Onnx__TensorProto *t,
                           struct fnl_shape *ret);
/* Integers of the constant called name: a number or a list. */
int fnl__onnx_tensor_ints(const struct fnl__onnx *o, const char *name, struct fnl__onnx_ints *ret);
/* Integers of the constant called name, or computed, that do not depend on the batch: at most max.
 */
int fnl__onnx_constant_ints(const struct fnl__onnx *o, const char *name, int64_t *ret, int max,
                            int *ret_count);
/* The one number of the constant called name; false when it is something else. */
bool fnl__onnx_constant_float(const struct fnl__onnx *o, const char *name, float *ret);
bool fnl__onnx_constant_bool(const struct fnl__onnx *o, const char *name, bool *ret);

/* ---- onnx_external.c ---- */

/* Reads size bytes of tensor data kept in a file beside the model; *ret_data by fnl_free. */
int fnl__onnx_external(const struct fnl__onnx *o, const Onnx__TensorProto *t, size_t size,
                       void **ret_data);

/* ---- onnx_attr.c ---- */

/* A node while it is read. */
struct fnl__onnx_node {
    const Onnx__NodeProto *proto;
    int index;
    enum fnl_op op;
    struct fnl_attrs attrs;
    int input[8]; /* values of the inputs that are tensors */
    int input_count;
    uint64_t used;     /* attributes that were asked for: bit i = attribute i */
    int auto_pad;      /* windows: how pads are to be made */
    bool reshape_back; /* Softmax before opset 13: a Reshape to `back` follows */
    struct fnl_shape back;
};

/* "model.onnx: node 3 "conv1" (Conv): ..." */
int fnl__onnx_fail(const struct fnl__onnx *o, const struct fnl__onnx_node *n, int code,
                   const char *hint, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Each leaves *ret alone when the node has no such attribute. */
int fnl__onnx_attr_int(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, int64_t min,
                       int64_t max, int64_t *ret);
int fnl__onnx_attr_bool(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, bool *ret);
int fnl__onnx_attr_float(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name,
                         float *ret);
/* *ret_count takes the number of values, 0 when absent. */
int fnl__onnx_attr_ints(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, int max,
                        int64_t *ret, int *ret_count);
/* Compares a text: *ret = index in names (NULL-terminated). */
int fnl__onnx_attr_enum(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name,
                        const char *const *names, int *ret);
/* Refuses attributes nobody asked for. */
int fnl__onnx_attr_rest(struct fnl__onnx *o, const struct fnl__onnx_node *n);

/* ---- onnx_ints.c ---- */

/* Is the node one that computes integers from shapes or other integers? Then it leaves no node in
 * the graph: fold puts its result into the table of names. */
bool fnl__onnx_folds(const struct fnl__onnx *o, const Onnx__NodeProto *p);
int fnl__onnx_fold(struct fnl__onnx *o, struct fnl__onnx_node *n);
/* The integers called name: of a constant, or computed. */
int fnl__onnx_ints_of(const struct fnl__onnx *o, const char *name, struct fnl__onnx_ints *ret);

/* ---- onnx_window.c ---- */

int fnl__onnx_read_conv(struct fnl__onnx *o, struct fnl__onnx_node *n);
int fnl__onnx_read_pool(struct fnl__onnx *o, struct fnl__onnx_node *n);

/* Takes a Pad of zeros into the one window that reads it. */
int fnl__onnx_read_pad(struct fnl__onnx *o, struct fnl__onnx_node *n);

/* ---- onnx_reshape.c ---- */

int fnl__onnx_read_flatten(struct fnl__onnx *o, struct fnl__onnx_node *n);
int fnl__onnx_read_reshape(struct fnl__onnx *o, struct fnl__onnx_node *n);
int fnl__onnx_read_squeeze(struct fnl__onnx *o, struct fnl__onnx_node *n);
int fnl__onnx_read_unsqueeze(struct fnl__onnx *o, struct fnl__onnx_node *n);
int fnl__onnx_read_transpose(struct fnl__onnx *o, struct fnl__onnx_node *n);
int fnl__onnx_read_cast(struct fnl__onnx *o, struct fnl__onnx_node *n);

/* ---- onnx_ops.c ---- */

/* The value called name, made when it is a constant; a negative code when there is none. */
int fnl__onnx_value(struct fnl__onnx *o, const struct fnl__onnx_node *n, const char *name);

/* Appends the node(s) of the graph for node index of the file. */
int fnl__onnx_read_node(struct fnl__onnx *o, int index);

#endif
