/* op.c - names and arity of the operators (op.h's list). */
#include "engine/op_int.h"

#include <string.h>

static const struct fnl_op_arity op_table[FNL_OP_COUNT] = {
#define FNL_OP_ROW(name, text, i0, i1, o0, o1) [FNL_OP_##name] = {text, i0, i1, o0, o1},
    FNL_OPS(FNL_OP_ROW)
#undef FNL_OP_ROW
};

const struct fnl_op_arity *fnl__op_arity(enum fnl_op op)
{
    return &op_table[op];
}

const char *fnl_op_text(enum fnl_op op)
{
    return (unsigned)op < FNL_OP_COUNT ? op_table[op].text : "?";
}

enum fnl_op fnl_op_from_text(const char *text)
{
    if (strncmp(text, "fnl.", 4) == 0) {
        return FNL_OP_COUNT;
    }
    for (int i = 0; i < FNL_OP_COUNT; i++) {
        if (strcmp(op_table[i].text, text) == 0) {
            return (enum fnl_op)i;
        }
    }
    return FNL_OP_COUNT;
}
