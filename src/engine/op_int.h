/* op_int.h - the operators' arity, for the engine's own files. */
#ifndef FNL_ENGINE_OP_INT_H
#define FNL_ENGINE_OP_INT_H

#include "engine/op.h"

struct fnl_op_arity {
    const char *text;
    int inputs_min, inputs_max, outputs_min, outputs_max;
};

const struct fnl_op_arity *fnl__op_arity(enum fnl_op op);

#endif
