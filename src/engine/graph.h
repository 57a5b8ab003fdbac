/* graph.h - a network as a graph of ONNX operators.
 *
 * Values are tensors, nodes are operators; both are named by their index. Nodes stand in
 * topological order (a node reads only values made before it). The first dimension of an input may
 * be FNL_DIM_BATCH; all that depends on it carries it as its first dimension. Shapes and names are
 * ONNX's (N, C, H, W); how a back end lays an image out in memory is its own affair. Adding a node
 * infers its output shape at once, so a graph is always consistent; errors name the node and the
 * shapes. */
#ifndef FNL_ENGINE_GRAPH_H
#define FNL_ENGINE_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/tensor_type.h"
#include "engine/op.h"

enum fnl_value_kind {
    FNL_VALUE_INPUT, /* fed at each run */
    FNL_VALUE_PARAM, /* trained, or state such as batch_norm's running mean (trainable = false) */
    FNL_VALUE_CONST, /* fixed data */
    FNL_VALUE_NODE,  /* made by a node */
};

struct fnl_value {
    const char *name;
    enum fnl_value_kind kind;
    enum fnl_dtype dtype;
    struct fnl_shape shape;
    bool trainable;   /* PARAM */
    const void *data; /* PARAM: initial, CONST: fixed; row-major, owned by the graph */
    int producer;     /* node index, or -1 */
    int gradient;     /* value index of d(loss)/d(this), or -1; set by fnl_graph_autodiff */
    int gradient_of;  /* PARAM whose final gradient this is, or -1 */
};

struct fnl_node {
    enum fnl_op op;
    const char *name;
    int input_count, output_count;
    int *input, *output; /* value indices; -1 = optional and absent */
    struct fnl_attrs attrs;
    bool backward; /* made by autodiff */
};

struct fnl_graph; /* opaque; reads by the functions below */

int fnl_graph_create(struct fnl_graph **ret_graph, struct fnl_error *err);
void fnl_graph_free(struct fnl_graph *g); /* takes NULL */
int fnl_graph_copy(const struct fnl_graph *g, struct fnl_graph **ret_copy, struct fnl_error *err);

int fnl_graph_value_count(const struct fnl_graph *g);
const struct fnl_value *fnl_graph_value(const struct fnl_graph *g, int value);
int fnl_graph_node_count(const struct fnl_graph *g);
const struct fnl_node *fnl_graph_node(const struct fnl_graph *g, int node);
int fnl_graph_find_value(const struct fnl_graph *g, const char *name); /* or -1 */

/* Each returns the new value's index (>= 0) or a negative code. Names must be fresh; NULL makes one
 * up. data is copied. */
int fnl_graph_add_input(struct fnl_graph *g, const char *name, enum fnl_dtype dtype,
                        const struct fnl_shape *shape, struct fnl_error *err);
int fnl_graph_add_param(struct fnl_graph *g, const char *name, const struct fnl_shape *shape,
                        const float *data, bool trainable, struct fnl_error *err);
int fnl_graph_add_const(struct fnl_graph *g, const char *name, enum fnl_dtype dtype,
                        const struct fnl_shape *shape, const void *data, struct fnl_error *err);

/* Appends a node. inputs: value indices. Output values are created and their shapes inferred;
 * ret_outputs takes their indices (as many as the op has, or output_count when it is > 0: ops such
 * as MaxPool have optional ones). output_names may be NULL. Returns the node's index or a negative
 * code. */
int fnl_graph_add_node(struct fnl_graph *g, enum fnl_op op, const char *name, const int *inputs,
                       int input_count, const struct fnl_attrs *attrs,
                       const char *const *output_names, int output_count, int *ret_outputs,
                       struct fnl_error *err);

/* Marks what the outside wants to read after a run. */
int fnl_graph_add_output(struct fnl_graph *g, int value, struct fnl_error *err);
int fnl_graph_output_count(const struct fnl_graph *g);
int fnl_graph_output(const struct fnl_graph *g, int index); /* value index */
int fnl_graph_input_count(const struct fnl_graph *g);
int fnl_graph_input(const struct fnl_graph *g, int index); /* value index, in order of adding */

/* Overwrites a PARAM's or CONST's data (same shape), e.g. with trained weights before export. */
int fnl_graph_set_data(struct fnl_graph *g, int value, const void *data, struct fnl_error *err);
void fnl_graph_set_trainable(struct fnl_graph *g, int value, bool trainable);

/* Graphs carry string metadata (ONNX metadata_props): class names, normalisation, ... Keys are
 * unique. */
int fnl_graph_set_meta(struct fnl_graph *g, const char *key, const char *text,
                       struct fnl_error *err);
const char *fnl_graph_meta(const struct fnl_graph *g, const char *key); /* or NULL */
int fnl_graph_meta_count(const struct fnl_graph *g);
void fnl_graph_meta_at(const struct fnl_graph *g, int index, const char **key, const char **text);

/* Appends the nodes that compute d(loss)/d(p) for every trainable PARAM (fnl_value.gradient). loss:
 * output of a loss node. Rules per operator in engine/autodiff.c. */
int fnl_graph_autodiff(struct fnl_graph *g, int loss, struct fnl_error *err);

#endif
