/* IDX files: what is read, and what is refused with file and offset. */
#include "data_test.h"

#include <zlib.h>

#include "base/log.h"

#define PAIR "{format: idx, train: {images: x, labels: y}, "

static const unsigned char six[] = {0, 1, 2, 3, 4, 255};

static void write_pair(const uint32_t *dims, const void *x, const void *y)
{
    (void)write_idx("x", dims, x);
    (void)write_idx("y", (const uint32_t[]){dims[0], 0}, y);
}

static void images_are_one_channel_bytes(void **state)
{
    (void)state;
    struct loaded l;
    write_pair((const uint32_t[]){2, 1, 3, 0}, six, "\0\1");
    load(PAIR "normalize: none}", &l);
    const struct fnl_dataset *d = &l.splits->train;
    assert_int_equal(d->count, 2);
    assert_true(fnl_shape_equal(&d->sample, &fnl_shape_make(3, 1, 1, 3)));
    assert_int_equal(d->sample_size, 3);
    assert_int_equal(d->dtype, FNL_U8);
    assert_memory_equal(d->samples, six, 6);
    assert_int_equal(d->target_kind, FNL_TARGET_CLASS);
    assert_int_equal(d->labels[0], 0);
    assert_int_equal(d->labels[1], 1);
    assert_int_equal(d->class_count, 2);
    assert_null(d->class_names);
    assert_int_equal(l.splits->test.count, 0);
    unload(&l);
}

static void rows_have_one_dimension(void **state)
{
    (void)state;
    struct loaded l;
    write_pair((const uint32_t[]){2, 3, 0}, six, "\0\1");
    load(PAIR "}", &l);
    assert_true(fnl_shape_equal(&l.splits->train.sample, &fnl_shape_make(1, 3)));
    unload(&l);
}

static void other_types_become_floats(void **state)
{
    (void)state;
    struct loaded l;
    /* two rows of one element: 1.5, -2 as float32; int16 -1, 300; int8 -1, 2 */
    static const unsigned char f32[] = {0, 0, 0x0D, 2,    0, 0, 0,    2, 0, 0,
                                        0, 1, 0x3F, 0xC0, 0, 0, 0xC0, 0, 0, 0};
    static const unsigned char i16[] = {0, 0, 0x0B, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0xFF, 0xFF, 1, 0x2C};
    static const unsigned char i8[] = {0, 0, 0x09, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0xFF, 2};
    const struct {
        const unsigned char *file;
        size_t size;
        float want[2];
    } cases[] = {{f32, sizeof f32, {1.5F, -2.0F}},
                 {i16, sizeof i16, {-1.0F, 300.0F}},
                 {i8, sizeof i8, {-1.0F, 2.0F}}};
    (void)write_idx("y", (const uint32_t[]){2, 0}, "\0\1");
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        test_write(test_path("x"), cases[i].file, cases[i].size);
        load(PAIR "}", &l);
        assert_int_equal(l.splits->train.dtype, FNL_F32);
        assert_floats(l.splits->train.samples, cases[i].want, 2);
        assert_int_equal(l.splits->normalization.channels, 0);
        unload(&l);
    }
}

static void gzip_is_told_by_magic_and_gz_is_tried(void **state)
{
    (void)state;
    struct loaded l;
    write_pair((const uint32_t[]){2, 1, 3, 0}, six, "\0\1");
    static char raw[64];
    FILE *f = fopen(test_path("x"), "rb");
    size_t size = fread(raw, 1, sizeof raw, f);
    (void)fclose(f);
    gzFile z = gzopen(test_path("z.gz"), "wb");
    assert_int_equal(gzwrite(z, raw, (unsigned)size), size);
    assert_int_equal(gzclose(z), Z_OK);
    load("{format: idx, train: {images: z, labels: y.gz}}", &l);
    assert_memory_equal(l.splits->train.samples, six, 6);
    unload(&l);
}

static void files_cut_anywhere_are_refused_with_the_offset(void **state)
{
    (void)state;
    size_t size = write_idx("whole", (const uint32_t[]){2, 1, 3, 0}, six);
    (void)write_idx("y", (const uint32_t[]){2, 0}, "\0\1");
    for (size_t cut = 0; cut < size; cut++) {
        char part[64];
        write_cut("whole", "x", cut);
        (void)snprintf(part, sizeof part, "/x|offset %zu", cut);
        load_fails(PAIR "}", FNL_E_FORMAT, part);
    }
    size = write_idx("whole", (const uint32_t[]){2, 0}, "\0\1");
    (void)write_idx("x", (const uint32_t[]){2, 1, 3, 0}, six);
    for (size_t cut = 0; cut < size; cut++) {
        char part[64];
        write_cut("whole", "y", cut);
        (void)snprintf(part, sizeof part, "/y|offset %zu", cut);
        load_fails(PAIR "}", FNL_E_FORMAT, part);
    }
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned char head[20];
        size_t size;
        const char *part;
    } cases[] = {
        {{1, 0, 8, 1, 0, 0, 0, 1}, 9, "offset 0: not an IDX file (magic 01000801)"},
        {{0, 0, 7, 1, 0, 0, 0, 1}, 9, "not an IDX file"},
        {{0, 0, 8, 0}, 4, "offset 3: 0 dimensions"},
        {{0, 0, 8, 9}, 20, "offset 3: 9 dimensions"},
        {{0, 0, 8, 1, 0, 0, 0, 0}, 8, "dimension 1 is 0"},
        {{0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, 20, "overflow"},
        {{0, 0, 0x0E, 2, 255, 255, 255, 255, 0, 0, 0, 1}, 20, "samples"},
        {{0, 0, 8, 2, 0, 0, 0, 1, 255, 255, 255, 255}, 20, "announces 4294967295 bytes"},
        {{0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2}, 20, "6 bytes after the end"},
    };
    (void)write_idx("y", (const uint32_t[]){2, 0}, "\0\1");
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        test_write(test_path("x"), cases[i].head, cases[i].size);
        struct loaded l;
        struct fnl_error err = FNL_ERROR_INIT;
        assert_true(try_load(PAIR "}", 1, &l, &err) < 0);
        if (strstr(err.message, cases[i].part) == NULL) {
            fail_msg("case %zu: \"%s\"", i, err.message);
        }
    }
}

static void labels_must_fit_the_samples_and_the_classes(void **state)
{
    (void)state;
    write_pair((const uint32_t[]){2, 1, 3, 0}, six, "\0\1");
    (void)write_idx("y3", (const uint32_t[]){3, 0}, "\0\1\2");
    (void)write_idx("y9", (const uint32_t[]){2, 0}, "\0\11");
    load_fails("{format: idx, train: {images: x, labels: y3}}", FNL_E_FORMAT,
               "data.train|y3|3 labels for 2 samples");
    load_fails("{format: idx, train: {images: x, labels: y}, test: {images: x, labels: y9}}",
               FNL_E_FORMAT, "data.test|y9|offset 9: sample 1: label 9|0 to 1");
    load_fails("{format: idx, train: {images: x, labels: y9}, classes: [a, b, c]}", FNL_E_FORMAT,
               "sample 1: label 9 is out of range, expected 0 to 2|data.classes");
    load_fails("{format: idx, train: {images: x, labels: x}}", FNL_E_FORMAT, "exchanged");
}

static void labels_are_no_images(void **state)
{
    (void)state;
    (void)write_idx("y", (const uint32_t[]){2, 0}, "\0\1");
    load_fails("{format: idx, train: {images: y, labels: y}}", FNL_E_FORMAT,
               "/y|offset 3: 1 dimension, expected 2|exchanged");
}

static char said[512];

static void hear(void *arg, enum fnl_log_level level, const char *text)
{
    (void)arg;
    assert_int_equal(level, FNL_LOG_WARNING);
    (void)snprintf(said, sizeof said, "%s", text);
}

/* One damaged label makes many classes of nothing: it is said which it is. */
static void classes_without_samples_are_said(void **state)
{
    (void)state;
    struct loaded l;
    (void)write_idx("x", (const uint32_t[]){4, 1, 3, 0}, "012345678901");
    (void)write_idx("y", (const uint32_t[]){4, 0}, "\0\1\143\1");
    fnl_log_to(hear, NULL, FNL_LOG_WARNING);
    load(PAIR "}", &l);
    assert_int_equal(l.splits->train.class_count, 100);
    unload(&l);
    assert_string_equal(said,
                        "data.train: 97 of 100 classes have no sample; the largest label, 99, "
                        "is that of sample 2");
    said[0] = 0;
    (void)write_idx("y", (const uint32_t[]){4, 0}, "\0\1\2\1");
    load(PAIR "}", &l);
    unload(&l);
    assert_string_equal(said, "");
    fnl_log_to(NULL, NULL, FNL_LOG_WARNING);
}

static void shapes_of_the_splits_must_agree(void **state)
{
    (void)state;
    write_pair((const uint32_t[]){2, 1, 3, 0}, six, "\0\1");
    (void)write_idx("other", (const uint32_t[]){2, 3, 1, 0}, six);
    load_fails("{format: idx, train: {images: x, labels: y}, test: {images: other, labels: y}}",
               FNL_E_FORMAT, "data.test|[1, 3, 1]|[1, 1, 3]");
}

static void reading_survives_each_failed_allocation(void **state)
{
    (void)state;
    write_pair((const uint32_t[]){2, 1, 3, 0}, six, "\0\1");
    for (uint64_t n = 1;; n++) {
        struct loaded l;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = try_load(PAIR "validation_split: 0.5, normalize: computed}", 1, &l, &err);
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
        IN_DIR(images_are_one_channel_bytes),
        IN_DIR(rows_have_one_dimension),
        IN_DIR(other_types_become_floats),
        IN_DIR(gzip_is_told_by_magic_and_gz_is_tried),
        IN_DIR(files_cut_anywhere_are_refused_with_the_offset),
        IN_DIR(headers_that_lie_are_refused),
        IN_DIR(labels_must_fit_the_samples_and_the_classes),
        IN_DIR(labels_are_no_images),
        IN_DIR(classes_without_samples_are_said),
        IN_DIR(shapes_of_the_splits_must_agree),
        IN_DIR(reading_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
