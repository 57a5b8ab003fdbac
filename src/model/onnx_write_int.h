/* onnx_write_int.h - writing an ONNX file: what its two parts share. */
#ifndef FNL_MODEL_ONNX_WRITE_INT_H
#define FNL_MODEL_ONNX_WRITE_INT_H

#include <onnx.pb-c.h>

#include "base/arena.h"
#include "engine/graph.h"

/* Memory that ends sets `failed`; everything made after it is NULL, and is taken as a no-op. */
struct fnl__onnx_writer {
    const struct fnl_graph *g;
    struct fnl_arena arena; /* all messages; names and data stay the graph's */
    Onnx__GraphProto graph;
    bool *written;    /* per value: is it an initializer already? */
    int input;        /* the input that is normalised, or -1 */
    const char *feed; /* what nodes read in its place */
    bool failed;
    struct fnl_error *err;
};

/* ---- onnx_write_ops.c ---- */

/* "<base>/<suffix>", made fresh. */
const char *fnl__onnx_fresh(struct fnl__onnx_writer *w, const char *base, const char *suffix);

/* Appends an operator of one output. inputs: names; NULL ends them. */
Onnx__NodeProto *fnl__onnx_put_node(struct fnl__onnx_writer *w, const char *op, const char *name,
                                    const char *output, const char *const *inputs);

/* Appends an initializer; data is not copied. */
void fnl__onnx_put_tensor(struct fnl__onnx_writer *w, const char *name, enum fnl_dtype dtype,
                          const struct fnl_shape *shape, const void *data);

/* Appends what stands for a node of the graph. */
int fnl__onnx_put(struct fnl__onnx_writer *w, const struct fnl_node *n);

/* Type and shape of an input or output. */
int fnl__onnx_type(enum fnl_dtype dtype);

#endif
