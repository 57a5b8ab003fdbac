/* layers_int.h - what the layer kinds share: the builder, and the registry's row. */
#ifndef FNL_MODEL_LAYERS_INT_H
#define FNL_MODEL_LAYERS_INT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/schema.h"
#include "engine/graph.h"
#include "model/init_int.h"

struct fnl__layer_kind;

struct fnl__layer_name {
    const char *name;
    struct fnl__layer_name *next;
};

/* One build of a layer list. */
struct fnl__layers {
    const struct fnl_yaml *doc;
    struct fnl_graph *g;
    struct fnl_arena arena; /* arguments, names */
    uint64_t seed;
    uint32_t param_index;   /* stream of the next parameter's random numbers */
    uint32_t dropout_index; /* stream of the next Dropout's */
    int depth;              /* residual inside residual */
    int layer_count;
    struct fnl__layer_name *names;
    int value; /* what the layers so far give */
    struct fnl_error *err;
    /* the layer being built */
    const struct fnl__layer_kind *kind;
    struct fnl_yaml_node *node; /* its value, or its name when it has none */
    const char *path;           /* "model.3.layers.0" */
    const char *name;
    bool final; /* its last node gives "output" */
};

/* A kind of layer. args_size bytes are filled by fields, whose first is FNL__LAYER_NAME; build
 * appends nodes that read b->value and leaves their result there. */
struct fnl__layer_kind {
    const char *name;
    const char *shorthand; /* (optional) field that a value which is no map stands for */
    const struct fnl_field *fields;
    size_t args_size;
    int (*build)(struct fnl__layers *b, const void *args);
    const char *doc;
};

/* Every struct of arguments begins with its name. */
#define FNL__LAYER_NAME                                                                            \
    {                                                                                              \
        "name", FNL_FIELD_STRING, 0,                                                               \
            .doc = "name of the layer, in messages and of its parameters; made from its kind"      \
    }

/* Lists of kinds, one a file, each ended by name == NULL. */
extern const struct fnl__layer_kind fnl__layer_dense_kinds[];
extern const struct fnl__layer_kind fnl__layer_conv_kinds[];
extern const struct fnl__layer_kind fnl__layer_pool_kinds[];
extern const struct fnl__layer_kind fnl__layer_activation_kinds[];
extern const struct fnl__layer_kind fnl__layer_norm_kinds[];
extern const struct fnl__layer_kind fnl__layer_residual_kinds[];

/* ---- layers.c ---- */

/* Builds a list of layers inside the one being built (residual). label: the key of the list. final:
 * the last one gives "output". */
int fnl__layers_build(struct fnl__layers *b, struct fnl_yaml_node *list, const char *path,
                      bool final);

/* "config.yaml:12:5: model.3 (dense "dense_1"): ..." */
int fnl__layer_fail(const struct fnl__layers *b, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends a node that becomes b->value. suffix: NULL for the layer's main node, else what follows
 * its name. last: no other node of the layer follows. */
int fnl__layer_emit(struct fnl__layers *b, enum fnl_op op, const char *suffix,
                    const struct fnl_attrs *attrs, const int *inputs, int input_count, bool last);

/* Adds parameter "<layer>.<suffix>" and returns its value, or a negative code. */
int fnl__layer_param(struct fnl__layers *b, const char *suffix, const struct fnl_shape *shape,
                     const struct fnl__init *init, double fan_in, double fan_out, bool trainable);

/* Reads the initialiser under key. */
int fnl__layer_init(struct fnl__layers *b, struct fnl_yaml_node *node, const char *key,
                    const char *fallback, struct fnl__init *ret);

/* Shape of what the layer reads. */
const struct fnl_shape *fnl__layer_input(const struct fnl__layers *b);

/* The layer reads an image batch [N, C, H, W] (rank 4), or rows [N, F] (rank 2)? */
int fnl__layer_need_rank(const struct fnl__layers *b, int rank);

/* 1 or 2 numbers -> height, width. */
int fnl__layer_pair(const struct fnl__layers *b, const struct fnl_ints *given, const char *key,
                    int32_t ret[2]);

/* `padding`: valid, same, a number, [h, w] or [top, left, bottom, right]; kernel, strides and
 * dilations of attrs are set already. */
int fnl__layer_padding(const struct fnl__layers *b, const struct fnl_yaml_node *node,
                       struct fnl_attrs *attrs);

/* ---- layer_activation.c ---- */
extern const char *const fnl__activation_names[]; /* for ENUM fields; 0 is "linear" */
/* The activation as the layer's last node; "linear" appends nothing. */
int fnl__layer_activation(struct fnl__layers *b, int activation);

/* ---- a map of one entry, made on the spot ---- */
struct fnl__short_map {
    struct fnl_yaml_node map, key_node;
    struct fnl_yaml_node *key, *item;
};
/* {key: value} when value is given and not a map already, else value. Lives as long as room. */
struct fnl_yaml_node *fnl__short_map(struct fnl__short_map *room, const char *key,
                                     struct fnl_yaml_node *value);

#endif
