/* resize.c - images to another size: separable bilinear interpolation whose triangle is as wide as
 * one output pixel where the image shrinks, so that every input pixel counts and nothing aliases
 * (what PIL and torchvision call bilinear with antialias). Pixel centres lie at i + 0.5; at the
 * borders the weights that fall outside are left out and the rest is scaled to 1. Rows first into
 * floats, then columns, each in a fixed order: the same bits everywhere. Cost: about
 * (H w + h w) C k multiply-adds for k taps. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/data_int.h"

/* Weights of output pixel i: taps input pixels from first[i] on. */
struct taps {
    int count;
    int *first;
    float *weight; /* out * count, 0 where a tap falls outside */
};

static void taps_free(struct taps *t)
{
    fnl_free(t->first);
    fnl_free(t->weight);
}

static int taps_make(int in, int out, struct taps *t)
{
    double scale = (double)in / out, radius = scale > 1 ? scale : 1;
    t->count = (int)ceil(radius) * 2 + 1;
    t->first = fnl_calloc((size_t)out, sizeof *t->first);
    t->weight = fnl_calloc((size_t)out * (size_t)t->count, sizeof *t->weight);
    if (t->first == NULL || t->weight == NULL) {
        taps_free(t);
        return FNL_E_NOMEM;
    }
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale;
        int first = (int)floor(centre - radius), last = (int)ceil(centre + radius);
        first = first > 0 ? first : 0;
        last = last < in ? last : in;
        float *w = t->weight + (size_t)i * (size_t)t->count;
        double sum = 0;
        for (int j = first; j < last && j - first < t->count; j++) {
            double x = 1 - fabs(j + 0.5 - centre) / radius;
            sum += x > 0 ? x : 0;
        }
        for (int j = first; j < last && j - first < t->count; j++) {
            double x = 1 - fabs(j + 0.5 - centre) / radius;
            w[j - first] = (float)((x > 0 ? x : 0) / sum);
        }
        t->first[i] = first;
    }
    return 0;
}

/* One output row of width * channels from the rows of tmp (in_height x row floats). */
static void column_pass(const float *tmp, size_t row, const struct taps *t, int in_height, int y,
                        float *sum, uint8_t *dst)
{
    const float *w = t->weight + (size_t)y * (size_t)t->count;
    memset(sum, 0, row * sizeof *sum);
    for (int k = 0; k < t->count && t->first[y] + k < in_height; k++) {
        const float *src = tmp + (size_t)(t->first[y] + k) * row;
        for (size_t i = 0; i < row; i++) {
            sum[i] += w[k] * src[i];
        }
    }
    for (size_t i = 0; i < row; i++) {
        float v = sum[i] + 0.5F;
        dst[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void row_pass(const struct fnl__image *src, const struct taps *t, int width, float *tmp)
{
    int channels = src->channels;
    for (int y = 0; y < src->height; y++) {
        const uint8_t *in = src->pixels + (size_t)y * (size_t)src->width * (size_t)channels;
        for (int x = 0; x < width; x++) {
            const float *w = t->weight + (size_t)x * (size_t)t->count;
            for (int c = 0; c < channels; c++) {
                float sum = 0;
                for (int k = 0; k < t->count && t->first[x] + k < src->width; k++) {
                    sum += w[k] * in[(t->first[x] + k) * channels + c];
                }
                *tmp++ = sum;
            }
        }
    }
}

int fnl__image_resize(const struct fnl__image *src, int height, int width, uint8_t *dst,
                      struct fnl_error *err)
{
    size_t row = (size_t)width * (size_t)src->channels;
    if (src->height == height && src->width == width) {
        memcpy(dst, src->pixels, (size_t)height * row);
        return 0;
    }
    struct taps across = {0}, down = {0};
    int rc = taps_make(src->width, width, &across);
    if (rc == 0) {
        rc = taps_make(src->height, height, &down);
        if (rc != 0) {
            taps_free(&across);
        }
    }
    if (rc != 0) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory to resize an image");
    }
    float *tmp = fnl_calloc((size_t)src->height * row, sizeof *tmp);
    float *sum = fnl_calloc(row, sizeof *sum);
    if (tmp != NULL && sum != NULL) {
        row_pass(src, &across, width, tmp);
        for (int y = 0; y < height; y++) {
            column_pass(tmp, row, &down, src->height, y, sum, dst + (size_t)y * row);
        }
    } else {
        rc = FNL_FAIL(err, NOMEM, NULL, "out of memory to resize an image");
    }
    fnl_free(sum);
    fnl_free(tmp);
    taps_free(&across);
    taps_free(&down);
    return rc;
}
