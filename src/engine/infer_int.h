/* infer_int.h - shape inference: what its files share. */
#ifndef FNL_ENGINE_INFER_INT_H
#define FNL_ENGINE_INFER_INT_H

#include "engine/graph_int.h"

/* A node whose outputs are being inferred. Each rule fills out[0].shape; the dtype is that of input
 * 0 unless the rule says otherwise. */
struct fnl__infer {
    const struct fnl_graph *g;
    const struct fnl_node *node;
    const struct fnl_value *in[8]; /* NULL when absent */
    struct fnl_value *out;
    struct fnl_error *err;
};

/* "node "x" (Conv): ..." with the shapes of the first two inputs. */
int fnl__infer_error(const struct fnl__infer *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int fnl__infer_same_as_first(struct fnl__infer *f);

/* ---- infer_shape.c ---- */
int fnl__infer_flatten(struct fnl__infer *f);
int fnl__infer_reshape(struct fnl__infer *f);
int fnl__infer_transpose(struct fnl__infer *f);
int fnl__infer_reduce(struct fnl__infer *f);

/* ---- infer_window.c ---- */
int fnl__infer_conv(struct fnl__infer *f);
int fnl__infer_pool(struct fnl__infer *f);
int fnl__infer_global_pool(struct fnl__infer *f);

/* ---- infer_norm.c ---- */
int fnl__infer_batch_normalization(struct fnl__infer *f);
int fnl__infer_layer_normalization(struct fnl__infer *f);
int fnl__infer_norm_grad(struct fnl__infer *f); /* of both */

#endif
