/* normalize.c - (x * scale - mean) / std as one multiply and one add per channel.
 *
 * mul = scale / std and add = -mean / std are worked out in double and rounded to float once. With
 * `computed`, mean and deviation (of the population) come from the training samples: bytes through
 * one histogram a channel, so exactly; floats in two passes of double sums. A channel that never
 * changes keeps deviation 1. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/data_int.h"

int fnl__dataset_channels(const struct fnl_dataset *d)
{
    return (int)d->sample.dim[0]; /* C of {C, H, W}, F of {F} */
}

/* Sum and sum of squares of a channel from its histogram: exact in 64 bits up to 2^47 values. */
static void moments_u8(const struct fnl_dataset *d, int channels, double *mean, double *std,
                       uint64_t (*histogram)[256])
{
    const uint8_t *x = d->samples;
    size_t total = d->count * d->sample_size;
    for (size_t i = 0; i < total;) {
        for (int c = 0; c < channels; c++) {
            histogram[c][x[i++]]++;
        }
    }
    for (int c = 0; c < channels; c++) {
        uint64_t n = 0, sum = 0, squares = 0;
        for (uint64_t v = 0; v < 256; v++) {
            n += histogram[c][v];
            sum += histogram[c][v] * v;
            squares += histogram[c][v] * v * v;
        }
        mean[c] = (double)sum / (double)n;
        double variance = (double)squares / (double)n - mean[c] * mean[c];
        std[c] = variance > 0 ? sqrt(variance) : 0;
    }
}

static void moments_f32(const struct fnl_dataset *d, int channels, double *mean, double *std)
{
    const float *x = d->samples;
    size_t total = d->count * d->sample_size, each = total / (size_t)channels;
    for (size_t i = 0; i < total;) {
        for (int c = 0; c < channels; c++) {
            mean[c] += x[i++];
        }
    }
    for (int c = 0; c < channels; c++) {
        mean[c] /= (double)each;
    }
    for (size_t i = 0; i < total;) {
        for (int c = 0; c < channels; c++, i++) {
            std[c] += (x[i] - mean[c]) * (x[i] - mean[c]);
        }
    }
    for (int c = 0; c < channels; c++) {
        std[c] = sqrt(std[c] / (double)each);
    }
}

static int out_of_memory(struct fnl_error *err)
{
    return FNL_FAIL(err, NOMEM, NULL, "data.normalize: out of memory");
}

static int make(struct fnl_splits *s, int channels, const double *scale, const double *mean,
                const double *std, struct fnl_error *err)
{
    float *mul = fnl_arena_array(&s->store->arena, (size_t)channels, sizeof *mul);
    float *add = fnl_arena_array(&s->store->arena, (size_t)channels, sizeof *add);
    if (mul == NULL || add == NULL) {
        return out_of_memory(err);
    }
    for (int c = 0; c < channels; c++) {
        mul[c] = (float)(*scale / std[c]);
        add[c] = (float)(0 - mean[c] / std[c]); /* 0 - 0, not -0 */
        if (!isfinite(mul[c]) || !isfinite(add[c])) {
            return FNL_FAIL(err, CONFIG, "choose larger std or smaller values",
                            "data.normalize: channel %d: %g / %g does not fit a float", c + 1,
                            mean[c], std[c]);
        }
    }
    s->normalization = (struct fnl_normalization){channels, mul, add};
    return 0;
}

static int make_computed(struct fnl_splits *s, struct fnl_error *err)
{
    const struct fnl_dataset *d = &s->train;
    if (d->count == 0) {
        return FNL_FAIL(err, CONFIG, "add data.train, or give mean and std as numbers",
                        "data.normalize: computed needs training samples");
    }
    int channels = fnl__dataset_channels(d);
    double *mean = fnl_calloc(2 * (size_t)channels, sizeof *mean),
           *std = mean != NULL ? mean + channels : NULL;
    uint64_t(*histogram)[256] =
        d->dtype == FNL_U8 ? fnl_calloc((size_t)channels, sizeof *histogram) : NULL;
    int rc = mean == NULL || (d->dtype == FNL_U8 && histogram == NULL) ? out_of_memory(err) : 0;
    if (rc == 0) {
        const double one = 1;
        if (d->dtype == FNL_U8) {
            moments_u8(d, channels, mean, std, histogram);
        } else {
            moments_f32(d, channels, mean, std);
        }
        for (int c = 0; c < channels; c++) {
            std[c] = std[c] > 0 ? std[c] : 1;
        }
        rc = make(s, channels, &one, mean, std, err);
    }
    fnl_free(histogram);
    fnl_free(mean);
    return rc;
}

static int check_count(const struct fnl_data_config *c, const struct fnl_floats *list,
                       const char *key, int channels, struct fnl_error *err)
{
    if (list->count > 1 && list->count != channels) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(c->normalize_node, key),
                             "give one number for all, or one for each", err,
                             "data.normalize.%s has %d numbers, the samples have %d channels", key,
                             list->count, channels);
    }
    return 0;
}

static int make_given(const struct fnl_data_config *c, const struct fnl_dataset *d,
                      struct fnl_splits *s, struct fnl_error *err)
{
    const struct fnl__normalize *n = &c->normalize;
    double mean[16] = {0}, std[16] = {0};
    double scale = n->scale_given ? n->scale : d->dtype == FNL_U8 ? 1.0 / 255 : 1.0;
    int channels = n->mean.count > n->std.count ? n->mean.count : n->std.count;
    int rc = check_count(c, &n->mean, "mean", fnl__dataset_channels(d), err);
    if (rc == 0) {
        rc = check_count(c, &n->std, "std", fnl__dataset_channels(d), err);
    }
    channels = channels > 0 ? channels : 1;
    for (int i = 0; i < channels; i++) {
        mean[i] = n->mean.count == 0 ? 0 : n->mean.value[n->mean.count == 1 ? 0 : i];
        std[i] = n->std.count == 0 ? 1 : n->std.value[n->std.count == 1 ? 0 : i];
    }
    return rc != 0 ? rc : make(s, channels, &scale, mean, std, err);
}

int fnl__normalization_make(const struct fnl_data_config *config, struct fnl_splits *splits,
                            struct fnl_error *err)
{
    const struct fnl_dataset *d = splits->train.count != 0        ? &splits->train
                                  : splits->validation.count != 0 ? &splits->validation
                                                                  : &splits->test;
    switch (config->normalize.kind) {
    case FNL_NORMALIZE_COMPUTED:
        return make_computed(splits, err);
    case FNL_NORMALIZE_GIVEN:
        return make_given(config, d, splits, err);
    case FNL_NORMALIZE_DEFAULT:
        if (d->dtype == FNL_U8) {
            const double scale = 1.0 / 255, mean = 0, std = 1;
            return make(splits, 1, &scale, &mean, &std, err);
        }
        return 0;
    default:
        return 0;
    }
}
