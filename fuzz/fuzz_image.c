/* fuzz_image.c - PNG and JPEG, then resizing. The first byte chooses the channels. */
#include <stdint.h>

#include "data/data_int.h"

#define PIXELS_MAX (256 * 1024) /* decoders of honest giants are slow, not wrong */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Width times height by the file's own header, where it is easy to see. */
static int is_giant(const uint8_t *p, size_t size)
{
    if (size >= 24 && p[0] == 0x89) {
        uint64_t width =
            (uint64_t)p[16] << 24 | (uint64_t)p[17] << 16 | (uint64_t)p[18] << 8 | p[19];
        uint64_t height =
            (uint64_t)p[20] << 24 | (uint64_t)p[21] << 16 | (uint64_t)p[22] << 8 | p[23];
        return width * height > PIXELS_MAX;
    }
    for (size_t i = 0; i + 9 < size; i++) {
        if (p[i] == 0xFF && p[i + 1] >= 0xC0 && p[i + 1] <= 0xCF) {
            uint64_t height = (uint64_t)p[i + 5] << 8 | p[i + 6];
            uint64_t width = (uint64_t)p[i + 7] << 8 | p[i + 8];
            if (width * height > PIXELS_MAX) {
                return 1;
            }
        }
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int channels[] = {0, 1, 3};
    static uint8_t small[5 * 3 * 3];
    struct fnl__image image;
    struct fnl_error err;

    if (size != 0 && !is_giant(data + 1, size - 1) &&
        fnl__image_decode("fuzz", (const char *)data + 1, size - 1, channels[data[0] % 3], &image,
                          &err) == 0) {
        (void)fnl__image_resize(&image, 5, 3, small, &err);
        fnl__image_free(&image);
    }
    return 0;
}
