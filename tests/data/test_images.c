/* Image folders: PNG and JPEG, resizing, what is refused. */
#include "data_test.h"

#include <spng.h>
#include <turbojpeg.h>

#include "base/log.h"
#include "data/data_int.h"

static void make_dir(const char *name)
{
    assert_int_equal(mkdir(test_path(name), 0755), 0);
}

/* The pattern of make_resize.py. */
static void pattern(uint8_t *out, int h, int w, int c)
{
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            for (int k = 0; k < c; k++) {
                *out++ = (uint8_t)(y * 37 + x * 59 + k * 83 + x * y * 11);
            }
        }
    }
}

static size_t png_bytes(const uint8_t *pixels, int h, int w, enum spng_color_type type, char *out,
                        size_t room)
{
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    struct spng_ihdr header = {
        .width = (uint32_t)w, .height = (uint32_t)h, .bit_depth = 8, .color_type = (uint8_t)type};
    size_t bytes = 0, channels = type == SPNG_COLOR_TYPE_GRAYSCALE   ? 1
                                 : type == SPNG_COLOR_TYPE_TRUECOLOR ? 3
                                                                     : 4;
    int code = 0;
    assert_int_equal(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(png, &header), 0);
    assert_int_equal(spng_encode_image(png, pixels, (size_t)h * (size_t)w * channels, SPNG_FMT_PNG,
                                       SPNG_ENCODE_FINALIZE),
                     0);
    void *data = spng_get_png_buffer(png, &bytes, &code);
    assert_non_null(data);
    assert_true(bytes <= room);
    memcpy(out, data, bytes);
    free(data);
    spng_ctx_free(png);
    return bytes;
}

static void write_png(const char *name, int h, int w, int c)
{
    static uint8_t pixels[64 * 64 * 3];
    static char file[1 << 16];
    assert_true((size_t)h * (size_t)w * (size_t)c <= sizeof pixels);
    pattern(pixels, h, w, c);
    size_t n =
        png_bytes(pixels, h, w, c == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR,
                  file, sizeof file);
    test_write(test_path(name), file, n);
}

static size_t jpeg_bytes(int h, int w, int c, char *out, size_t room)
{
    static uint8_t pixels[64 * 64 * 3];
    unsigned char *file = NULL;
    unsigned long bytes = 0;
    tjhandle jpeg = tjInitCompress();
    pattern(pixels, h, w, c);
    assert_int_equal(tjCompress2(jpeg, pixels, w, 0, h, c == 1 ? TJPF_GRAY : TJPF_RGB, &file,
                                 &bytes, c == 1 ? TJSAMP_GRAY : TJSAMP_444, 95, 0),
                     0);
    assert_true(bytes <= room);
    memcpy(out, file, bytes);
    tjFree(file);
    (void)tjDestroy(jpeg);
    return bytes;
}

static void write_jpeg(const char *name, int h, int w, int c)
{
    static char file[1 << 16];
    test_write(test_path(name), file, jpeg_bytes(h, w, c, file, sizeof file));
}

static void a_folder_a_class_in_the_order_of_names(void **state)
{
    (void)state;
    struct loaded l;
    uint8_t want[4 * 6 * 3];
    make_dir("set");
    make_dir("set/dog");
    make_dir("set/cat");
    make_dir("set/.hidden");
    write_png("set/dog/b.png", 4, 6, 3);
    write_png("set/dog/a.PNG", 4, 6, 3);
    write_png("set/cat/z.png", 4, 6, 3);
    write_text("set/cat/notes.txt", "not an image");
    write_text("set/README", "not a class");
    load("{format: images, train: {folder: set}}", &l);
    const struct fnl_dataset *d = &l.splits->train;
    assert_int_equal(d->count, 3);
    assert_true(fnl_shape_equal(&d->sample, &fnl_shape_make(3, 3, 4, 6)));
    assert_int_equal(d->class_count, 2);
    assert_string_equal(d->class_names[0], "cat");
    assert_string_equal(d->class_names[1], "dog");
    assert_int_equal(d->labels[0], 0);
    assert_int_equal(d->labels[1], 1);
    assert_int_equal(d->labels[2], 1);
    pattern(want, 4, 6, 3);
    assert_memory_equal(d->samples, want, sizeof want);
    unload(&l);
    load("{format: images, train: {folder: set}, classes: [dog, cat, bird], limit: 2}", &l);
    assert_int_equal(l.splits->train.count, 2);
    assert_int_equal(l.splits->train.class_count, 3);
    assert_int_equal(l.splits->train.labels[0], 1);
    unload(&l);
    load_fails("{format: images, train: {folder: set}, classes: [dog, bird]}", FNL_E_FORMAT,
               "set/cat: unknown class|data.classes");
    load_fails("{format: images, train: {folder: gone}}", FNL_E_NOTFOUND, "gone: no such folder");
    make_dir("empty");
    load_fails("{format: images, train: {folder: empty}}", FNL_E_FORMAT, "no folders of classes");
    make_dir("empty/a");
    load_fails("{format: images, train: {folder: empty}}", FNL_E_FORMAT, "has no images");
}

static char said[1024];
static int lines_said;

static void hear(void *arg, enum fnl_log_level level, const char *text)
{
    (void)arg;
    assert_int_equal(level, FNL_LOG_WARNING);
    (void)snprintf(said, sizeof said, "%s", text);
    lines_said++;
}

static void expect_said(const char *data, const char *text)
{
    struct loaded l;
    lines_said = 0;
    said[0] = 0;
    load(data, &l);
    unload(&l);
    assert_int_equal(lines_said, text != NULL);
    if (text != NULL && strstr(said, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, said);
    }
}

static void a_class_without_images_is_said_once(void **state)
{
    (void)state;
    make_dir("set");
    make_dir("set/cat");
    make_dir("set/dog");
    make_dir("set/owl");
    write_png("set/dog/1.png", 4, 4, 1);
    write_png("set/owl/1.png", 4, 4, 1);
    fnl_log_to(hear, NULL, FNL_LOG_WARNING);
    expect_said("{format: images, train: {folder: set}}",
                "set/cat: no PNG or JPEG files: this class has no samples in data.train");
    assert_null(strstr(said, "nor have"));
    expect_said("{format: images, train: {folder: set}, classes: [dog, cat, owl, emu, yak]}",
                "set/cat: no PNG or JPEG files: this class has no samples in data.train, nor have "
                "2 other classes");
    expect_said("{format: images, train: {folder: set}, classes: [yak, dog, cat, owl]}",
                "set/yak: no such folder: this class has no samples in data.train, nor have 1 "
                "other class");
    expect_said("{format: images, train: {folder: set}, limit: 1}", NULL);
    write_png("set/cat/1.png", 4, 4, 1);
    expect_said("{format: images, train: {folder: set}}", NULL);
    fnl_log_to(NULL, NULL, FNL_LOG_WARNING);
}

static void grey_and_colour_become_what_the_first_is_or_what_is_asked(void **state)
{
    (void)state;
    struct loaded l;
    make_dir("set");
    make_dir("set/a");
    write_png("set/a/1.png", 4, 6, 1);
    write_png("set/a/2.png", 4, 6, 3);
    load("{format: images, train: {folder: set}}", &l);
    assert_true(fnl_shape_equal(&l.splits->train.sample, &fnl_shape_make(3, 1, 4, 6)));
    const uint8_t *x = l.splits->train.samples;
    /* first pixel of the colour image: 0, 83, 166 */
    assert_int_equal(x[24], (0u + 38470u * 83u + 7471u * 166u + 32768u) >> 16);
    unload(&l);
    load("{format: images, train: {folder: set}, channels: 3}", &l);
    x = l.splits->train.samples;
    assert_int_equal(x[3], 59);
    assert_int_equal(x[4], 59);
    assert_int_equal(x[5], 59);
    unload(&l);
}

static void alpha_is_dropped(void **state)
{
    (void)state;
    static const uint8_t rgba[] = {10, 20, 30, 0, 40, 50, 60, 255};
    char file[1024];
    struct fnl__image image;
    size_t n = png_bytes(rgba, 1, 2, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, file, sizeof file);
    assert_int_equal(fnl__image_decode("f", file, n, 0, &image, NULL), 0);
    assert_int_equal(image.channels, 3);
    assert_memory_equal(image.pixels, "\x0a\x14\x1e\x28\x32\x3c", 6);
    fnl__image_free(&image);
}

static void jpeg_is_close_to_what_was_drawn(void **state)
{
    (void)state;
    for (int c = 1; c <= 3; c += 2) {
        static char file[1 << 16];
        static uint8_t want[16 * 16 * 3];
        struct fnl__image image;
        size_t n = jpeg_bytes(16, 16, c, file, sizeof file);
        pattern(want, 16, 16, c);
        assert_int_equal(fnl__image_decode("f", file, n, 0, &image, NULL), 0);
        assert_int_equal(image.channels, c);
        assert_int_equal(image.height, 16);
        int far = 0, sum = 0;
        for (int i = 0; i < 256 * c; i++) {
            int diff = abs(image.pixels[i] - want[i]);
            far = diff > far ? diff : far;
            sum += diff;
        }
        assert_true(far < 60 && sum / (256 * c) < 8);
        fnl__image_free(&image);
    }
}

/* As torchvision's and Keras' image folders: pixels as stored. */
static void exif_orientation_turns_nothing(void **state)
{
    (void)state;
    static const unsigned char exif[] = {0xFF, 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0, 0,  'M', 'M',
                                         0,    42,   0, 0,  0,   8,   0,   1,   1, 18, 0,   3,
                                         0,    0,    0, 1,  0,   6,   0,   0,   0, 0,  0,   0};
    static char plain[1 << 16], turned[1 << 16];
    struct fnl__image a, b;
    size_t n = jpeg_bytes(4, 6, 3, plain, sizeof plain);
    memcpy(turned, plain, 2); /* behind the start marker */
    memcpy(turned + 2, exif, sizeof exif);
    memcpy(turned + 2 + sizeof exif, plain + 2, n - 2);
    assert_int_equal(fnl__image_decode("a", plain, n, 0, &a, NULL), 0);
    assert_int_equal(fnl__image_decode("b", turned, n + sizeof exif, 0, &b, NULL), 0);
    assert_int_equal(b.height, 4);
    assert_int_equal(b.width, 6);
    assert_memory_equal(a.pixels, b.pixels, 4 * 6 * 3);
    fnl__image_free(&a);
    fnl__image_free(&b);
}

static void sizes_must_agree_unless_one_is_given(void **state)
{
    (void)state;
    struct loaded l;
    make_dir("set");
    make_dir("set/a");
    write_png("set/a/1.png", 5, 7, 1);
    write_jpeg("set/a/2.jpg", 8, 8, 3);
    load_fails("{format: images, train: {folder: set}}", FNL_E_FORMAT,
               "2.jpg: 8 x 8 pixels, the images before it have 7 x 5|size: [height, width]");
    load("{format: images, train: {folder: set}, size: [3, 4]}", &l);
    assert_true(fnl_shape_equal(&l.splits->train.sample, &fnl_shape_make(3, 1, 3, 4)));
    static const uint8_t want[] = {49, 148, 157, 116, 114, 157, 140, 133, 171, 132, 134, 164};
    assert_memory_equal(l.splits->train.samples, want, 12);
    unload(&l);
}

static void resizing_is_pytorchs_with_antialias(void **state)
{
    (void)state;
    static const struct {
        int h, w, c, to_h, to_w;
        uint8_t want[60];
    } cases[] = {
        {5, 7, 1, 3, 4, {49, 148, 157, 116, 114, 157, 140, 133, 171, 132, 134, 164}},
        {3, 3, 3, 5, 4, {0,  83,  166, 37,  120, 203, 81,  164, 151, 118, 201, 28,
                         15, 98,  181, 54,  137, 156, 102, 147, 108, 142, 122, 52,
                         37, 120, 203, 81,  164, 87,  133, 120, 43,  177, 4,   87,
                         59, 142, 225, 107, 190, 113, 165, 152, 75,  212, 39,  122,
                         74, 157, 240, 125, 208, 131, 185, 172, 95,  236, 63,  146}},
        {9, 4, 1, 2, 6, {81, 111, 143, 145, 146, 146, 121, 129, 133, 119, 121, 126}},
        {6, 6, 1, 1, 1, {134}},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        uint8_t pixels[128], got[60];
        size_t n = (size_t)(cases[i].to_h * cases[i].to_w * cases[i].c);
        struct fnl__image image = {cases[i].h, cases[i].w, cases[i].c, pixels};
        pattern(pixels, image.height, image.width, image.channels);
        assert_int_equal(fnl__image_resize(&image, cases[i].to_h, cases[i].to_w, got, NULL), 0);
        for (size_t k = 0; k < n; k++) { /* rounding may differ where a half is met */
            if (abs(got[k] - cases[i].want[k]) > 1) {
                fail_msg("case %zu, value %zu: %d, not %d", i, k, got[k], cases[i].want[k]);
            }
        }
    }
}

static void images_cut_anywhere_are_refused(void **state)
{
    (void)state;
    static uint8_t pixels[12 * 12 * 3];
    static char file[1 << 16];
    pattern(pixels, 12, 12, 3);
    for (int kind = 0; kind < 2; kind++) {
        size_t size = kind == 0
                          ? png_bytes(pixels, 12, 12, SPNG_COLOR_TYPE_TRUECOLOR, file, sizeof file)
                          : jpeg_bytes(12, 12, 3, file, sizeof file);
        /* Behind the last pixel only the end marker is missing, which harms nothing. */
        size_t end = size - 16;
        for (size_t cut = 0; cut < end; cut++) {
            struct fnl__image image = {0};
            struct fnl_error err = FNL_ERROR_INIT;
            char *exact = fnl_malloc(cut);
            memcpy(exact, file, cut);
            if (fnl__image_decode("name", exact, cut, 0, &image, &err) != FNL_E_FORMAT) {
                fail_msg("kind %d cut at %zu of %zu: %s", kind, cut, size, err.message);
            }
            assert_non_null(strstr(err.message, "name"));
            assert_null(image.pixels);
            fnl_free(exact);
        }
    }
}

static void huge_images_are_refused_before_they_are_decoded(void **state)
{
    (void)state;
    static const uint8_t one[] = {1};
    char file[1024];
    struct fnl__image image;
    struct fnl_error err = FNL_ERROR_INIT;
    size_t n = png_bytes(one, 1, 1, SPNG_COLOR_TYPE_GRAYSCALE, file, sizeof file);
    file[16 + 2] = (char)0xFF; /* width 65281; the checksum of the header is wrong as well */
    assert_true(fnl__image_decode("f", file, n, 0, &image, &err) < 0);
    n = jpeg_bytes(8, 8, 1, file, sizeof file);
    for (size_t i = 0; i + 9 < n; i++) {
        if ((unsigned char)file[i] == 0xFF && (unsigned char)file[i + 1] == 0xC0) {
            memcpy(file + i + 5, "\xFF\0\xFF\0", 4); /* height and width */
        }
    }
    assert_int_equal(fnl__image_decode("f", file, n, 0, &image, &err), FNL_E_LIMIT);
    assert_non_null(strstr(err.message, "65280 x 65280"));
}

static void reading_survives_each_failed_allocation(void **state)
{
    (void)state;
    make_dir("set");
    make_dir("set/a");
    write_png("set/a/1.png", 5, 7, 1);
    write_png("set/a/2.png", 8, 8, 3);
    for (uint64_t n = 1;; n++) {
        struct loaded l;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = try_load("{format: images, train: {folder: set}, size: [3, 3]}", 1, &l, &err);
        fnl_mem_fail_at(0);
        if (rc == 0) {
            unload(&l);
            assert_true(n > 20);
            return;
        }
        if (rc != FNL_E_NOMEM) {
            fail_msg("allocation %d: %s", (int)n, err.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(a_folder_a_class_in_the_order_of_names),
        IN_DIR(a_class_without_images_is_said_once),
        IN_DIR(grey_and_colour_become_what_the_first_is_or_what_is_asked),
        IN_DIR(alpha_is_dropped),
        IN_DIR(jpeg_is_close_to_what_was_drawn),
        IN_DIR(exif_orientation_turns_nothing),
        IN_DIR(sizes_must_agree_unless_one_is_given),
        IN_DIR(resizing_is_pytorchs_with_antialias),
        IN_DIR(images_cut_anywhere_are_refused),
        IN_DIR(huge_images_are_refused_before_they_are_decoded),
        IN_DIR(reading_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
