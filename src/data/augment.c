/* augment.c - random changes to one image: mirrored, and cut out of a padded copy at a random
 * place. Works on the data's own type before normalisation, so padding is the value 0, as
 * torchvision's RandomCrop pads. The four random words decide everything: word 0 horizontal flip, 1
 * vertical flip, 2 row of the cut, 3 column. */
#include <string.h>

#include "data/data_int.h"

bool fnl__augment_active(const struct fnl__augment *a)
{
    return a->pad_and_crop > 0 || (a->flip != FNL_FLIP_NONE && a->flip_probability > 0);
}

static bool happens(uint32_t word, double probability)
{
    return (double)word < probability * 4294967296.0;
}

/* In [0, n): the bias is below n / 2^32. */
static int64_t draw(uint32_t word, int64_t n)
{
    return (int64_t)((uint64_t)word * (uint64_t)n >> 32);
}

/* Pixels of a row backwards. */
static void copy_mirrored(const char *src, char *dst, int64_t pixels, size_t pixel_bytes)
{
    const char *p = src + (size_t)pixels * pixel_bytes;
    if (pixel_bytes == 1) {
        for (int64_t i = 0; i < pixels; i++) {
            *dst++ = *--p;
        }
        return;
    }
    if (pixel_bytes == 3) { /* the common case of colour bytes, unrolled */
        for (int64_t i = 0; i < pixels; i++, dst += 3) {
            p -= 3;
            dst[0] = p[0];
            dst[1] = p[1];
            dst[2] = p[2];
        }
        return;
    }
    for (int64_t i = 0; i < pixels; i++) {
        p -= pixel_bytes;
        for (size_t b = 0; b < pixel_bytes; b++) {
            *dst++ = p[b];
        }
    }
}

void fnl__augment_sample(const struct fnl__augment *a, const struct fnl_dataset *d, const void *src,
                         void *dst, const uint32_t word[4])
{
    const int64_t H = d->sample.dim[1], W = d->sample.dim[2], pad = a->pad_and_crop;
    const size_t pixel = (size_t)d->sample.dim[0] * fnl_dtype_size(d->dtype);
    const size_t row = (size_t)W * pixel;
    bool across = (a->flip == FNL_FLIP_HORIZONTAL || a->flip == FNL_FLIP_BOTH) &&
                  happens(word[0], a->flip_probability);
    bool down = (a->flip == FNL_FLIP_VERTICAL || a->flip == FNL_FLIP_BOTH) &&
                happens(word[1], a->flip_probability);
    /* Output pixel (y, x) is input pixel (y + dy, x + dx), 0 where that is outside. */
    const int64_t dy = draw(word[2], 2 * pad + 1) - pad, dx = draw(word[3], 2 * pad + 1) - pad;
    const int64_t left = dx < 0 ? (-dx < W ? -dx : W) : 0; /* columns of padding on each side */
    const int64_t right = dx > 0 ? (dx < W ? dx : W) : 0;
    const int64_t width = W - left - right;

    for (int64_t y = 0; y < H; y++) {
        /* The crop of the padded image first, then the flips. */
        int64_t from = (down ? H - 1 - y : y) + dy;
        char *out = (char *)dst + (size_t)y * row;
        if (from < 0 || from >= H) {
            memset(out, 0, row);
            continue;
        }
        const char *in = (const char *)src + (size_t)from * row + (size_t)right * pixel;
        int64_t before = across ? right : left, after = across ? left : right;
        memset(out, 0, (size_t)before * pixel);
        if (across) {
            copy_mirrored(in, out + (size_t)before * pixel, width, pixel);
        } else {
            memcpy(out + (size_t)before * pixel, in, (size_t)width * pixel);
        }
        memset(out + (size_t)(before + width) * pixel, 0, (size_t)after * pixel);
    }
}
