/* tensor_type.c - element types and shapes. */
#include "base/tensor_type.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [FNL_DTYPE_NONE] = {"none", 0}, [FNL_F32] = {"float32", 4}, [FNL_BF16] = {"bfloat16", 2},
    [FNL_F16] = {"float16", 2},     [FNL_F64] = {"float64", 8}, [FNL_U8] = {"uint8", 1},
    [FNL_I8] = {"int8", 1},         [FNL_I32] = {"int32", 4},   [FNL_I64] = {"int64", 8},
    [FNL_BOOL] = {"bool", 1},
};

static bool known(enum fnl_dtype t)
{
    return (size_t)t < sizeof dtypes / sizeof dtypes[0];
}

size_t fnl_dtype_size(enum fnl_dtype t)
{
    return known(t) ? dtypes[t].size : 0;
}

const char *fnl_dtype_name(enum fnl_dtype t)
{
    return known(t) ? dtypes[t].name : "unknown";
}

bool fnl_shape_equal(const struct fnl_shape *a, const struct fnl_shape *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i]) {
            return false;
        }
    }
    return true;
}

int64_t fnl_shape_count(const struct fnl_shape *s, int64_t batch)
{
    int64_t count = 1;
    if (s->rank < 0 || s->rank > FNL_MAX_RANK) {
        return -1;
    }
    for (int i = 0; i < s->rank; i++) {
        int64_t d = s->dim[i] == FNL_DIM_BATCH ? batch : s->dim[i];
        if (d < 0 || __builtin_mul_overflow(count, d, &count)) {
            return -1;
        }
    }
    return count;
}

const char *fnl_shape_text(const struct fnl_shape *s, char out[FNL_SHAPE_TEXT])
{
    size_t used = 0;
    out[used++] = '[';
    int rank = s->rank < 0 ? 0 : s->rank > FNL_MAX_RANK ? FNL_MAX_RANK : s->rank;
    for (int i = 0; i < rank; i++) {
        char dim[32];
        int n = 0;
        if (s->dim[i] == FNL_DIM_BATCH) {
            n = snprintf(dim, sizeof dim, "%sN", i != 0 ? ", " : "");
        } else {
            n = snprintf(dim, sizeof dim, "%s%lld", i != 0 ? ", " : "", (long long)s->dim[i]);
        }
        if (used + (size_t)n + sizeof ", ...]" > FNL_SHAPE_TEXT) {
            memcpy(out + used, ", ...", 5);
            used += 5;
            break;
        }
        memcpy(out + used, dim, (size_t)n);
        used += (size_t)n;
    }
    memcpy(out + used, "]", 2);
    return out;
}

uint16_t fnl_bf16_from_f32(float x)
{
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)((bits >> 16) | 0x40u); /* keep the sign, make it quiet */
    }
    bits += 0x7FFFu + ((bits >> 16) & 1u);
    return (uint16_t)(bits >> 16);
}

float fnl_bf16_to_f32(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float f = 0;
    memcpy(&f, &bits, sizeof f);
    return f;
}
