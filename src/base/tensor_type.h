/* tensor_type.h - element types and shapes, shared by data, engine and model. */
#ifndef FNL_BASE_TENSOR_TYPE_H
#define FNL_BASE_TENSOR_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fnl_dtype {
    FNL_DTYPE_NONE = 0,
    FNL_F32,
    FNL_BF16,
    FNL_F16,
    FNL_F64,
    FNL_U8,
    FNL_I8,
    FNL_I32,
    FNL_I64,
    FNL_BOOL,
};

size_t fnl_dtype_size(enum fnl_dtype t);      /* bytes; 0 for NONE */
const char *fnl_dtype_name(enum fnl_dtype t); /* "float32", numpy's names */

#define FNL_MAX_RANK 8
#define FNL_DIM_BATCH (-1) /* the batch dimension: its extent is known only when a plan runs */

struct fnl_shape {
    int rank; /* 0 = scalar */
    int64_t dim[FNL_MAX_RANK];
};

/* fnl_shape_make(2, 784, 128) */
#define fnl_shape_make(rank, ...) ((struct fnl_shape){(rank), {__VA_ARGS__}})

bool fnl_shape_equal(const struct fnl_shape *a, const struct fnl_shape *b);
/* Elements, a batch dimension counted as `batch`; -1 on overflow or a negative dimension. */
int64_t fnl_shape_count(const struct fnl_shape *s, int64_t batch);
/* "[N, 3, 32, 32]" into out; returns out. */
#define FNL_SHAPE_TEXT 96
const char *fnl_shape_text(const struct fnl_shape *s, char out[FNL_SHAPE_TEXT]);

/* bfloat16: the upper half of a float32, rounded to nearest even (NaN kept quiet). */
uint16_t fnl_bf16_from_f32(float x);
float fnl_bf16_to_f32(uint16_t x);

#endif
