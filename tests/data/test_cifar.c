/* CIFAR-10's binary version. */
#include "data_test.h"

#include "data/data_int.h"

#define ONE "{format: cifar10, train: {files: a.bin}}"

/* count records: label i % 10, pixel p of plane c: i * 7 + c * 50 + p */
static void write_records(const char *name, size_t count)
{
    static unsigned char file[8 * FNL__CIFAR_RECORD];
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        unsigned char *r = file + i * FNL__CIFAR_RECORD;
        r[0] = (unsigned char)(i % 10);
        for (size_t c = 0; c < 3; c++) {
            for (size_t p = 0; p < 1024; p++) {
                r[1 + c * 1024 + p] = (unsigned char)(i * 7 + c * 50 + p);
            }
        }
    }
    test_write(test_path(name), file, count * FNL__CIFAR_RECORD);
}

static void planes_become_pixels(void **state)
{
    (void)state;
    struct loaded l;
    write_records("a.bin", 3);
    write_records("b.bin", 2);
    load("{format: cifar10, train: {files: [a.bin, b.bin]}}", &l);
    const struct fnl_dataset *d = &l.splits->train;
    assert_int_equal(d->count, 5);
    assert_true(fnl_shape_equal(&d->sample, &fnl_shape_make(3, 3, 32, 32)));
    const uint8_t *x = d->samples;
    for (size_t i = 0; i < 5; i++) {
        for (size_t p = 0; p < 1024; p++) {
            for (size_t c = 0; c < 3; c++) {
                size_t want = (i % 3) * 7 + c * 50 + p;
                assert_int_equal(x[(i * 1024 + p) * 3 + c], want & 255);
            }
        }
        assert_int_equal(d->labels[i], i % 3);
    }
    assert_int_equal(d->class_count, 10);
    assert_null(d->class_names);
    unload(&l);
}

static void class_names_stand_beside_the_files(void **state)
{
    (void)state;
    struct loaded l;
    write_records("a.bin", 1);
    write_text("batches.meta.txt",
               "zero\none\r\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n\n");
    load(ONE, &l);
    assert_string_equal(l.splits->train.class_names[1], "one");
    assert_string_equal(l.splits->train.class_names[9], "nine");
    unload(&l);
    write_text("batches.meta.txt", "zero\none\n");
    load(ONE, &l);
    assert_null(l.splits->train.class_names);
    unload(&l);
    load_fails("{format: cifar10, train: {files: a.bin}, classes: [a, b]}", FNL_E_CONFIG,
               "2 classes, the data has 10");
}

static void sizes_must_be_whole_records(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 3072, 3074, 6145, 6147};
    write_records("whole", 3);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        char part[64];
        write_cut("whole", "a.bin", sizes[i]);
        (void)snprintf(part, sizeof part, "a.bin|offset %zu|record", sizes[i]);
        load_fails(ONE, FNL_E_FORMAT, part);
    }
}

static void labels_out_of_range_name_the_sample(void **state)
{
    (void)state;
    static unsigned char file[3 * FNL__CIFAR_RECORD];
    file[2 * FNL__CIFAR_RECORD] = 10;
    test_write(test_path("a.bin"), file, sizeof file);
    load_fails(ONE, FNL_E_FORMAT, "offset 6146: sample 2: label 10|0 to 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(planes_become_pixels),
        IN_DIR(class_names_stand_beside_the_files),
        IN_DIR(sizes_must_be_whole_records),
        IN_DIR(labels_out_of_range_name_the_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
