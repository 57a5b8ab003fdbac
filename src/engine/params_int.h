/* params_int.h - the inside of fnl_params, for planner and executor. */
#ifndef FNL_ENGINE_PARAMS_INT_H
#define FNL_ENGINE_PARAMS_INT_H

#include "base/arena.h"
#include "engine/impl.h"

struct fnl_param {
    const char *name;
    struct fnl_shape shape;
    size_t count; /* elements in ONNX order */
    bool trainable;
    size_t offset; /* floats from the block's start */
    struct fnl_param_layout layout;
};

struct fnl_params {
    const struct fnl_backend *backend;
    struct fnl_arena arena;
    struct fnl_optimizer optimizer;
    int slots; /* blocks: values and the optimiser's state */
    struct fnl_param *param;
    int param_count;
    size_t trainable_size; /* floats at the front of the blocks that the optimiser updates */
    size_t size;           /* floats of the value block; state blocks hold trainable_size */
    float *block[3];       /* values, optimiser state 1 and 2; NULL when they are on a device */
    struct fnl_gpu_params *gpu; /* (optional) the blocks on a device */
};

/* Index of the parameter named so, or -1. */
int fnl__params_find(const struct fnl_params *params, const char *name);

const struct fnl_backend *fnl__backend_find(const char *name); /* or NULL */

#endif
