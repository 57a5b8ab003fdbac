/* image.c - PNG (libspng) and JPEG (libjpeg-turbo) to 8-bit pixels, channels last. The format is
 * told by magic, not by name. Sizes are read and held against limits before pixels are decoded.
 * Colour to grey is (19595 R + 38470 G + 7471 B + 32768) >> 16, the weights of ITU-R BT.601; an
 * alpha channel is dropped; EXIF rotation is not applied. */
#include <spng.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <turbojpeg.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/data_int.h"

bool fnl__image_is_name(const char *file_name)
{
    const char *dot = strrchr(file_name, '.');
    return dot != NULL && dot != file_name &&
           (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
            strcasecmp(dot, ".jpeg") == 0);
}

void fnl__image_free(struct fnl__image *image)
{
    fnl_free(image->pixels);
    image->pixels = NULL;
}

/* Holds the size against limits and allocates image->pixels for channels. */
static int make_pixels(const char *name, uint64_t height, uint64_t width, int channels,
                       struct fnl__image *image, struct fnl_error *err)
{
    if (height == 0 || width == 0 || height > FNL_MAX_IMAGE_SIDE || width > FNL_MAX_IMAGE_SIDE ||
        height * width > FNL_MAX_IMAGE_PIXELS) {
        return FNL_FAIL(err, LIMIT, "make the image smaller",
                        "%s: an image of %llu x %llu pixels (at most %zu in all)", name,
                        (unsigned long long)width, (unsigned long long)height,
                        FNL_MAX_IMAGE_PIXELS);
    }
    uint8_t *pixels = fnl_malloc((size_t)(height * width) * (size_t)channels);
    if (pixels == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory for %llu x %llu pixels", name,
                        (unsigned long long)width, (unsigned long long)height);
    }
    *image = (struct fnl__image){(int)height, (int)width, channels, pixels};
    return 0;
}

static void to_grey(struct fnl__image *image)
{
    size_t pixels = (size_t)image->height * (size_t)image->width;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *p = image->pixels + 3 * i;
        image->pixels[i] = (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
    }
    image->channels = 1;
}

/* --- PNG -------------------------------------------------------------------------------------- */

static int png_failed(const char *name, int code, struct fnl_error *err)
{
    if (code == SPNG_EMEM) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    return FNL_FAIL(err, FORMAT, "the image is damaged or cut short", "%s: bad PNG: %s", name,
                    spng_strerror(code));
}

static int decode_png_with(spng_ctx *png, const char *name, const char *data, size_t size,
                           int channels, struct fnl__image *image, struct fnl_error *err)
{
    struct spng_ihdr header;
    int code = spng_set_image_limits(png, FNL_MAX_IMAGE_SIDE, FNL_MAX_IMAGE_SIDE);
    code = code == 0 ? spng_set_chunk_limits(png, 1 << 20, 16 << 20) : code;
    code = code == 0 ? spng_set_png_buffer(png, data, size) : code;
    code = code == 0 ? spng_get_ihdr(png, &header) : code;
    if (code != 0) {
        return png_failed(name, code, err);
    }
    bool grey = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE ||
                header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
    if (channels == 0) {
        channels = grey ? 1 : 3;
    }
    size_t bytes = 0, want = (size_t)header.width * header.height * 3;
    code = spng_decoded_image_size(png, SPNG_FMT_RGB8, &bytes);
    if (code == 0 && bytes != want) {
        code = SPNG_EOVERFLOW;
    }
    if (code != 0) {
        return png_failed(name, code, err);
    }
    int rc = make_pixels(name, header.height, header.width, 3, image, err);
    if (rc != 0) {
        return rc;
    }
    code = spng_decode_image(png, image->pixels, bytes, SPNG_FMT_RGB8, 0);
    if (code != 0) {
        fnl__image_free(image);
        return png_failed(name, code, err);
    }
    if (channels == 1) {
        to_grey(image);
    }
    return 0;
}

static int decode_png(const char *name, const char *data, size_t size, int channels,
                      struct fnl__image *image, struct fnl_error *err)
{
    spng_ctx *png = spng_ctx_new(0);
    if (png == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    int rc = decode_png_with(png, name, data, size, channels, image, err);
    spng_ctx_free(png);
    return rc;
}

/* --- JPEG ------------------------------------------------------------------------------------- */

static int jpeg_failed(tjhandle jpeg, const char *name, struct fnl_error *err)
{
    return FNL_FAIL(err, FORMAT, "the image is damaged or cut short", "%s: bad JPEG: %s", name,
                    tjGetErrorStr2(jpeg));
}

/* Decoders go on after a cut file and paint the rest grey: that is an error here. Other warnings
 * (a stray byte between markers) are common in files that look right. */
static bool is_cut_short(tjhandle jpeg)
{
    const char *text = tjGetErrorStr2(jpeg);
    return strstr(text, "remature end") != NULL;
}

static int decode_jpeg_with(tjhandle jpeg, const char *name, const char *data, size_t size,
                            int channels, struct fnl__image *image, struct fnl_error *err)
{
    const unsigned char *in = (const unsigned char *)data;
    int width = 0, height = 0, subsampling = 0, colours = 0;
    if (tjDecompressHeader3(jpeg, in, (unsigned long)size, &width, &height, &subsampling,
                            &colours) != 0) {
        return jpeg_failed(jpeg, name, err);
    }
    if (width <= 0 || height <= 0) {
        return FNL_FAIL(err, FORMAT, "the image is damaged or cut short",
                        "%s: bad JPEG: it holds no image", name);
    }
    if (colours == TJCS_CMYK || colours == TJCS_YCCK) {
        return FNL_FAIL(err, UNSUPPORTED, "convert it to RGB", "%s: a CMYK image", name);
    }
    if (channels == 0) {
        channels = colours == TJCS_GRAY ? 1 : 3;
    }
    /* Grey from colour goes through RGB, so that PNG and JPEG of one picture agree. */
    bool direct = channels == 3 || colours == TJCS_GRAY;
    int decoded = direct ? channels : 3;
    int rc = make_pixels(name, (uint64_t)height, (uint64_t)width, decoded, image, err);
    if (rc != 0) {
        return rc;
    }
    int format = decoded == 1 ? TJPF_GRAY : TJPF_RGB;
    if (tjDecompress2(jpeg, in, (unsigned long)size, image->pixels, width, 0, height, format,
                      TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0) {
        if (tjGetErrorCode(jpeg) != TJERR_WARNING || is_cut_short(jpeg)) {
            fnl__image_free(image);
            return jpeg_failed(jpeg, name, err);
        }
        fnl_log(FNL_LOG_WARNING, "%s: %s", name, tjGetErrorStr2(jpeg));
    }
    if (!direct) {
        to_grey(image);
    }
    return 0;
}

static int decode_jpeg(const char *name, const char *data, size_t size, int channels,
                       struct fnl__image *image, struct fnl_error *err)
{
    tjhandle jpeg = tjInitDecompress();
    if (jpeg == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    int rc = decode_jpeg_with(jpeg, name, data, size, channels, image, err);
    (void)tjDestroy(jpeg);
    return rc;
}

int fnl__image_decode(const char *name, const char *data, size_t size, int channels,
                      struct fnl__image *ret, struct fnl_error *err)
{
    struct fnl__image image = {0};
    int rc;
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) {
        rc = decode_png(name, data, size, channels, &image, err);
    } else if (size >= 3 && memcmp(data, "\xFF\xD8\xFF", 3) == 0) {
        rc = decode_jpeg(name, data, size, channels, &image, err);
    } else {
        rc = FNL_FAIL(err, FORMAT, "images are PNG or JPEG files",
                      "%s: offset 0: neither PNG nor JPEG", name);
    }
    if (rc == 0) {
        *ret = image;
    }
    return rc;
}
