/* graph_int.h - the graph's inside, for the engine's own files. */
#ifndef FNL_ENGINE_GRAPH_INT_H
#define FNL_ENGINE_GRAPH_INT_H

#include "base/arena.h"
#include "engine/graph.h"

struct fnl_meta {
    const char *key, *text;
};

struct fnl_graph {
    struct fnl_arena arena; /* names, data, index lists */
    struct fnl_value *values;
    int value_count, value_capacity;
    struct fnl_node *nodes;
    int node_count, node_capacity;
    int *slots;     /* open-addressing table: name -> value index + 1 */
    int slot_count; /* a power of two, at least twice value_count */
    int *inputs, *outputs;
    int input_count, input_capacity, output_count, output_capacity;
    struct fnl_meta *meta;
    int meta_count, meta_capacity;
};

/* fnl_graph_add_node, for nodes of the backward pass too (they may sum over the batch). */
int fnl__graph_add_node(struct fnl_graph *g, enum fnl_op op, const char *name, const int *inputs,
                        int input_count, const struct fnl_attrs *attrs, bool backward,
                        const char *const *output_names, int output_count, int *ret_outputs,
                        struct fnl_error *err);

/* Shape inference of one node whose inputs are known: fills dtype and shape of outputs [0,
 * output_count). */
int fnl__infer(const struct fnl_graph *g, const struct fnl_node *node, struct fnl_value *outputs,
               struct fnl_error *err);

/* Output extent of a window along one axis; -1 when the window does not fit. */
int64_t fnl__window_extent(int64_t extent, int kernel, int stride, int dilation, int pad_begin,
                           int pad_end, bool ceil_mode);

#endif
