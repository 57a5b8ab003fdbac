/* array.c - arrays as IDX and NPY files hold them, turned into samples, labels and targets.
 *
 * An array's bytes are used where they lie when they serve as they are (bytes, or little-endian
 * float32 in C order); everything else is converted element by element into a fresh block, and the
 * file's bytes are freed. Cost: about 2 ns an element where a conversion is needed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/data_int.h"

static const struct {
    const char *name;
    size_t size;
    bool is_float;
} elements[] = {
    [FNL_ELEMENT_U8] = {"uint8", 1, false},   [FNL_ELEMENT_I8] = {"int8", 1, false},
    [FNL_ELEMENT_BOOL] = {"bool", 1, false},  [FNL_ELEMENT_U16] = {"uint16", 2, false},
    [FNL_ELEMENT_I16] = {"int16", 2, false},  [FNL_ELEMENT_U32] = {"uint32", 4, false},
    [FNL_ELEMENT_I32] = {"int32", 4, false},  [FNL_ELEMENT_U64] = {"uint64", 8, false},
    [FNL_ELEMENT_I64] = {"int64", 8, false},  [FNL_ELEMENT_F16] = {"float16", 2, true},
    [FNL_ELEMENT_F32] = {"float32", 4, true}, [FNL_ELEMENT_F64] = {"float64", 8, true},
};

size_t fnl__element_size(enum fnl__element e)
{
    return elements[e].size;
}

const char *fnl__element_name(enum fnl__element e)
{
    return elements[e].name;
}

bool fnl__element_is_float(enum fnl__element e)
{
    return elements[e].is_float;
}

int fnl__array_check(struct fnl__array *a, size_t size, struct fnl_error *err)
{
    uint64_t count = 1;
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] == 0) {
            return FNL_FAIL(err, FORMAT, NULL, "%s: dimension %d is 0: no data", a->name, i + 1);
        }
        if (__builtin_mul_overflow(count, a->dim[i], &count) || count > UINT64_MAX / 16) {
            return FNL_FAIL(err, FORMAT, "the header is damaged", "%s: the dimensions overflow",
                            a->name);
        }
    }
    if (a->dim[0] > FNL_MAX_SAMPLES) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: %llu samples (at most %u)", a->name,
                        (unsigned long long)a->dim[0], FNL_MAX_SAMPLES);
    }
    uint64_t bytes = count * fnl__element_size(a->element);
    uint64_t there = size - a->offset;
    if (bytes > there) {
        return FNL_FAIL(
            err, FORMAT, "the file is cut short: fetch or make it again",
            "%s: offset %zu: the header announces %llu bytes of data, the file has %llu", a->name,
            size, (unsigned long long)bytes, (unsigned long long)there);
    }
    if (bytes < there) {
        return FNL_FAIL(err, FORMAT, "the file holds something else, or its header is damaged",
                        "%s: offset %llu: %llu bytes after the end of the data", a->name,
                        (unsigned long long)(a->offset + bytes),
                        (unsigned long long)(there - bytes));
    }
    a->count = count;
    return 0;
}

/* --- single elements -------------------------------------------------------------------------- */

/* The bits of element e (in file order), in the host's byte order. */
static uint64_t element_bits(const struct fnl__array *a, uint64_t e)
{
    size_t size = fnl__element_size(a->element);
    const unsigned char *p = (const unsigned char *)a->data + a->offset + e * size;
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        size_t shift = a->big_endian ? size - 1 - i : i;
        bits |= (uint64_t)p[i] << (8 * shift);
    }
    return bits;
}

static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float value;
    if (exponent == 31) {
        value = mantissa != 0 ? NAN : INFINITY;
    } else if (exponent == 0) {
        value = (float)mantissa * 0x1p-24f;
    } else {
        value = ldexpf((float)(1024 + mantissa), exponent - 25);
    }
    return (h & 0x8000) != 0 ? -value : value;
}

static double element_value(const struct fnl__array *a, uint64_t e)
{
    uint64_t bits = element_bits(a, e);
    uint32_t low = (uint32_t)bits;
    float f;
    double d;
    switch (a->element) {
    case FNL_ELEMENT_I8:
        return (int8_t)bits;
    case FNL_ELEMENT_I16:
        return (int16_t)bits;
    case FNL_ELEMENT_I32:
        return (int32_t)bits;
    case FNL_ELEMENT_I64:
        return (double)(int64_t)bits;
    case FNL_ELEMENT_F16:
        return half_to_float((uint16_t)bits);
    case FNL_ELEMENT_F32:
        memcpy(&f, &low, sizeof f);
        return f;
    case FNL_ELEMENT_F64:
        memcpy(&d, &bits, sizeof d);
        return d;
    default:
        return (double)bits;
    }
}

/* Of an integer type; UINT64 beyond INT64_MAX becomes INT64_MAX, out of any range we accept. */
static int64_t element_integer(const struct fnl__array *a, uint64_t e)
{
    uint64_t bits = element_bits(a, e);
    switch (a->element) {
    case FNL_ELEMENT_I8:
        return (int8_t)bits;
    case FNL_ELEMENT_I16:
        return (int16_t)bits;
    case FNL_ELEMENT_I32:
        return (int32_t)bits;
    case FNL_ELEMENT_I64:
        return (int64_t)bits;
    default:
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    }
}

/* Where element e of C order stands in the file. */
static uint64_t file_index(const struct fnl__array *a, uint64_t e)
{
    if (!a->fortran || a->rank == 1) {
        return e;
    }
    uint64_t at = 0, stride = a->count;
    for (int i = a->rank - 1; i >= 0; i--) {
        stride /= a->dim[i];
        at += e % a->dim[i] * stride;
        e /= a->dim[i];
    }
    return at;
}

static uint64_t element_offset(const struct fnl__array *a, uint64_t index)
{
    return a->offset + index * fnl__element_size(a->element);
}

/* --- samples ---------------------------------------------------------------------------------- */

static bool channel_count(uint64_t n)
{
    return n == 1 || n == 3 || n == 4;
}

/* The shape of one sample from the array's dimensions after the first. *ret_planes: the file has
 * the channels before the pixels. */
static int sample_shape(const struct fnl__array *a, int layout, struct fnl_shape *ret_shape,
                        bool *ret_planes, struct fnl_error *err)
{
    uint64_t elements_each = a->count / a->dim[0];
    if (elements_each > FNL_MAX_SAMPLE_ELEMENTS) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: one sample has %llu values (at most %zu)", a->name,
                        (unsigned long long)elements_each, FNL_MAX_SAMPLE_ELEMENTS);
    }
    const int64_t d1 = a->rank > 1 ? (int64_t)a->dim[1] : 1;
    *ret_planes = false;
    if (a->rank <= 2) {
        *ret_shape = fnl_shape_make(1, d1);
        return 0;
    }
    const int64_t d2 = (int64_t)a->dim[2];
    if (a->rank == 3) {
        *ret_shape = fnl_shape_make(3, 1, d1, d2);
        return 0;
    }
    if (a->rank != 4) {
        return FNL_FAIL(err, UNSUPPORTED, "samples are rows [N, F] or images [N, H, W(, C)]",
                        "%s: the array has %d dimensions, expected 1 to 4", a->name, a->rank);
    }
    const int64_t d3 = (int64_t)a->dim[3];
    if (layout == FNL_LAYOUT_AUTO) {
        bool first = channel_count(a->dim[1]), last = channel_count(a->dim[3]);
        if (first == last) {
            return FNL_FAIL(
                err, CONFIG, "add \"layout: channels_last\" or \"layout: channels_first\" to data",
                "%s: [%llu, %lld, %lld, %lld] does not tell where the channels are", a->name,
                (unsigned long long)a->dim[0], (long long)d1, (long long)d2, (long long)d3);
        }
        layout = first ? FNL_LAYOUT_CHANNELS_FIRST : FNL_LAYOUT_CHANNELS_LAST;
    }
    *ret_planes = layout == FNL_LAYOUT_CHANNELS_FIRST;
    *ret_shape = *ret_planes ? fnl_shape_make(3, d1, d2, d3) : fnl_shape_make(3, d3, d1, d2);
    return 0;
}

void fnl__planes_to_pixels(const void *src, void *dst, size_t channels, size_t pixels,
                           size_t element_size)
{
    if (element_size == 1) {
        const uint8_t *s = src;
        uint8_t *d = dst;
        for (size_t c = 0; c < channels; c++) {
            for (size_t p = 0; p < pixels; p++) {
                d[p * channels + c] = s[c * pixels + p];
            }
        }
        return;
    }
    const float *s = src;
    float *d = dst;
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < pixels; p++) {
            d[p * channels + c] = s[c * pixels + p];
        }
    }
}

static bool host_is_little(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

/* The file's bytes are the samples. */
static bool serves_as_it_is(const struct fnl__array *a, enum fnl_dtype dtype)
{
    if (a->fortran && a->rank > 1) {
        return false;
    }
    return dtype == FNL_U8 || (a->element == FNL_ELEMENT_F32 && a->big_endian != host_is_little() &&
                               (uintptr_t)(a->data + a->offset) % sizeof(float) == 0);
}

static int not_finite(const struct fnl__array *a, uint64_t e, size_t each, struct fnl_error *err)
{
    return FNL_FAIL(err, FORMAT, "replace missing values, or leave such samples out",
                    "%s: offset %llu: sample %llu, value %llu is not a finite number", a->name,
                    (unsigned long long)element_offset(a, file_index(a, e)),
                    (unsigned long long)(e / each), (unsigned long long)(e % each));
}

static int check_finite(const struct fnl__array *a, const float *values, size_t each,
                        struct fnl_error *err)
{
    for (uint64_t e = 0; e < a->count; e++) {
        if (!isfinite(values[e])) {
            return not_finite(a, e, each, err);
        }
    }
    return 0;
}

/* A fresh block with all elements as dtype, in C order. */
static int convert(const struct fnl__array *a, enum fnl_dtype dtype, size_t each,
                   struct fnl__load *load, void **ret_block, struct fnl_error *err)
{
    int rc = fnl__store_alloc(load->store, (size_t)a->count, fnl_dtype_size(dtype), a->name,
                              ret_block, err);
    if (rc != 0) {
        return rc;
    }
    if (dtype == FNL_U8) {
        uint8_t *out = *ret_block;
        for (uint64_t e = 0; e < a->count; e++) {
            out[e] = (uint8_t)element_bits(a, file_index(a, e));
        }
        return 0;
    }
    float *out = *ret_block;
    for (uint64_t e = 0; e < a->count; e++) {
        out[e] = (float)element_value(a, file_index(a, e));
    }
    return check_finite(a, out, each, err);
}

/* Each sample from planes to pixels, in place through one sample of scratch. */
static int turn_planes(const struct fnl__array *a, struct fnl_dataset *out, void *block,
                       struct fnl_error *err)
{
    size_t element_size = fnl_dtype_size(out->dtype), bytes = out->sample_size * element_size;
    size_t channels = (size_t)out->sample.dim[0];
    char *scratch = fnl_malloc(bytes);
    if (scratch == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", a->name);
    }
    for (size_t i = 0; i < out->count; i++) {
        char *sample = (char *)block + i * bytes;
        memcpy(scratch, sample, bytes);
        fnl__planes_to_pixels(scratch, sample, channels, out->sample_size / channels, element_size);
    }
    fnl_free(scratch);
    return 0;
}

int fnl__array_samples(struct fnl__load *load, const struct fnl__array *a, char **data,
                       struct fnl_dataset *out, struct fnl_error *err)
{
    bool planes = false;
    void *block = NULL;
    int rc = sample_shape(a, load->config->layout, &out->sample, &planes, err);
    if (rc != 0) {
        return rc;
    }
    out->count = (size_t)a->dim[0];
    out->sample_size = (size_t)(a->count / a->dim[0]);
    out->dtype = a->element == FNL_ELEMENT_U8 ? FNL_U8 : FNL_F32;
    if (serves_as_it_is(a, out->dtype)) {
        block = *data + a->offset;
        char *owned = *data;
        *data = NULL;
        rc = fnl__store_keep(load->store, owned, err);
        if (rc == 0 && out->dtype == FNL_F32) {
            rc = check_finite(a, block, out->sample_size, err);
        }
    } else {
        rc = convert(a, out->dtype, out->sample_size, load, &block, err);
    }
    if (rc == 0 && planes && out->sample.dim[0] > 1) {
        rc = turn_planes(a, out, block, err);
    }
    if (rc == 0) {
        out->samples = block;
    }
    return rc;
}

/* --- labels and targets ----------------------------------------------------------------------- */

static int read_labels(struct fnl__load *load, const struct fnl__array *a, struct fnl_dataset *out,
                       struct fnl_error *err)
{
    void *block = NULL;
    int limit = fnl__load_class_limit(load);
    int rc = fnl__store_alloc(load->store, out->count, sizeof(int32_t), a->name, &block, err);
    if (rc != 0) {
        return rc;
    }
    int32_t *labels = block;
    for (size_t i = 0; i < out->count; i++) {
        int64_t label = 0;
        if (fnl__element_is_float(a->element)) {
            double value = element_value(a, i);
            if (!(value >= 0 && value < (double)FNL_MAX_CLASSES && value == floor(value))) {
                return FNL_FAIL(err, FORMAT, "classes are whole numbers from 0",
                                "%s: offset %llu: sample %zu: %g is not a label", a->name,
                                (unsigned long long)element_offset(a, i), i, value);
            }
            label = (int64_t)value;
        } else {
            label = element_integer(a, i);
        }
        if (label < 0 || label >= limit) {
            return FNL_FAIL(err, FORMAT, "labels count from 0; data.classes sets their number",
                            "%s: offset %llu: sample %zu: label %lld is out of range, expected 0 "
                            "to %d (%s)",
                            a->name, (unsigned long long)element_offset(a, i), i, (long long)label,
                            limit - 1, fnl__load_class_source(load));
        }
        labels[i] = (int32_t)label;
    }
    out->target_kind = FNL_TARGET_CLASS;
    out->labels = labels;
    return 0;
}

/* The place of the one 1 among the zeros of a row, or -1. */
static int hot(const struct fnl__array *a, uint64_t row, uint64_t each)
{
    int place = -1;
    for (uint64_t k = 0; k < each; k++) {
        double value = element_value(a, file_index(a, row * each + k));
        if (value == 1.0 && place < 0) {
            place = (int)k;
        } else if (value != 0.0) {
            return -1;
        }
    }
    return place;
}

static bool is_one_hot(const struct fnl__array *a, uint64_t each)
{
    bool all = each > 1 && each <= FNL_MAX_CLASSES;
    for (uint64_t i = 0; all && i < a->dim[0]; i++) {
        all = hot(a, i, each) >= 0;
    }
    return all;
}

/* Rows of 0 with one 1, as Keras' to_categorical makes them: classes written another way. */
static int read_one_hot(struct fnl__load *load, const struct fnl__array *a, uint64_t each,
                        struct fnl_dataset *out, struct fnl_error *err)
{
    void *block = NULL;
    int limit = fnl__load_class_limit(load);
    if (each > (uint64_t)limit) {
        return FNL_FAIL(err, FORMAT, "give one label a sample: its class as a whole number from 0",
                        "%s: %llu values a sample, but there are %d classes (%s)", a->name,
                        (unsigned long long)each, limit, fnl__load_class_source(load));
    }
    int rc = fnl__store_alloc(load->store, out->count, sizeof(int32_t), a->name, &block, err);
    int32_t *labels = block;
    for (size_t i = 0; rc == 0 && i < out->count; i++) {
        labels[i] = hot(a, i, each);
        if (labels[i] < 0) {
            rc = FNL_FAIL(err, FORMAT, "give one label a sample, or a row of 0 with one 1",
                          "%s: offset %llu: sample %zu: expected one 1 among %llu values, the "
                          "others 0",
                          a->name, (unsigned long long)element_offset(a, file_index(a, i * each)),
                          i, (unsigned long long)each);
        }
    }
    if (rc == 0) {
        out->target_kind = FNL_TARGET_CLASS;
        out->labels = labels;
        out->class_count = (int)each;
    }
    return rc;
}

static int read_numbers(struct fnl__load *load, const struct fnl__array *a, struct fnl_dataset *out,
                        struct fnl_error *err)
{
    void *block = NULL;
    size_t each = (size_t)(a->count / a->dim[0]);
    int rc = convert(a, FNL_F32, each, load, &block, err);
    if (rc == 0) {
        out->target_kind = FNL_TARGET_REAL;
        out->targets = block;
        out->target_size = each;
    }
    return rc;
}

int fnl__array_targets(struct fnl__load *load, const struct fnl__array *a, struct fnl_dataset *out,
                       struct fnl_error *err)
{
    if (a->dim[0] != out->count) {
        return FNL_FAIL(err, FORMAT, "samples and labels must come from the same set",
                        "%s: %llu labels for %zu samples", a->name, (unsigned long long)a->dim[0],
                        out->count);
    }
    uint64_t each = a->count / a->dim[0];
    int task = load->config->task;
    if (task == FNL_TASK_AUTO) {
        bool numbers = fnl__element_is_float(a->element) || each > 1;
        task = numbers && !is_one_hot(a, each) ? FNL_TASK_REGRESSION : FNL_TASK_CLASSIFICATION;
    }
    if (task == FNL_TASK_REGRESSION) {
        return read_numbers(load, a, out, err);
    }
    if (each != 1) {
        return read_one_hot(load, a, each, out, err);
    }
    return read_labels(load, a, out, err);
}
