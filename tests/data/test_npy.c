/* NPY and NPZ files. tests/data/npy holds files that NumPy wrote (make_npy.py). */
#include "data_test.h"

#include "data/data_int.h"

static const float zero_to_five[] = {0, 1, 2, 3, 4, 5};

/* Folder of NumPy's files, as the configuration names it: absolute, the test's folder is the
 * configuration's. */
static const char *npy(const char *name)
{
    static char path[2][512];
    static unsigned turn;
    turn = (turn + 1) % 2;
    char here[256];
    assert_non_null(getcwd(here, sizeof here));
    (void)snprintf(path[turn], sizeof path[turn], "%s/tests/data/npy/%s", here, name);
    return path[turn];
}

static const char *pair(const char *x, const char *y, const char *more)
{
    static char text[2048];
    (void)snprintf(text, sizeof text, "{format: npy, train: {x: %s, y: %s}%s}", x, y, more);
    return text;
}

static void each_type_of_numpy_is_read(void **state)
{
    (void)state;
    static const char *const files[] = {
        "x_i1",     "x_u2",     "x_i2",      "x_u4",      "x_i4",     "x_u8",
        "x_i8",     "x_f2",     "x_f4",      "x_f8",      "x_big_i2", "x_big_f4",
        "x_big_f8", "x_big_i8", "x_fortran", "version_2", "version_3"};
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        struct loaded l;
        char name[64];
        (void)snprintf(name, sizeof name, "%s.npy", files[i]);
        load(pair(npy(name), npy("y.npy"), ""), &l);
        const struct fnl_dataset *d = &l.splits->train;
        assert_int_equal(d->dtype, FNL_F32);
        assert_true(fnl_shape_equal(&d->sample, &fnl_shape_make(1, 3)));
        assert_floats(d->samples, zero_to_five, 6);
        assert_int_equal(d->labels[0], 1);
        assert_int_equal(d->labels[1], 0);
        unload(&l);
    }
}

static void bytes_stay_bytes_and_booleans_become_floats(void **state)
{
    (void)state;
    struct loaded l;
    load(pair(npy("x_u1.npy"), npy("y.npy"), ""), &l);
    assert_int_equal(l.splits->train.dtype, FNL_U8);
    assert_memory_equal(l.splits->train.samples, "\0\1\2\3\4\5", 6);
    assert_int_equal(l.splits->normalization.channels, 1);
    unload(&l);
    load(pair(npy("x_b1.npy"), npy("y.npy"), ""), &l);
    assert_int_equal(l.splits->train.dtype, FNL_F32);
    assert_floats(l.splits->train.samples, (const float[]){0, 1, 1, 1, 1, 1}, 6);
    unload(&l);
}

static void images_end_up_channels_last(void **state)
{
    (void)state;
    static const char *const files[] = {"images_last.npy", "images_first.npy",
                                        "images_first_fortran.npy"};
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        struct loaded l;
        load(pair(npy(files[i]), npy("y.npy"), ""), &l);
        const struct fnl_dataset *d = &l.splits->train;
        assert_true(fnl_shape_equal(&d->sample, &fnl_shape_make(3, 3, 2, 2)));
        for (int e = 0; e < 24; e++) {
            if (d->dtype == FNL_U8) {
                assert_int_equal(((const uint8_t *)d->samples)[e], e);
            } else {
                assert_true(((const float *)d->samples)[e] == (float)e);
            }
        }
        unload(&l);
    }
    struct loaded l;
    load(pair(npy("images_last.npy"), npy("y.npy"), ", layout: channels_first"), &l);
    assert_true(fnl_shape_equal(&l.splits->train.sample, &fnl_shape_make(3, 2, 2, 3)));
    unload(&l);
}

static void float_targets_are_numbers(void **state)
{
    (void)state;
    struct loaded l;
    load(pair(npy("x_f4.npy"), npy("y_float.npy"), ""), &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_REAL);
    assert_int_equal(l.splits->train.target_size, 1);
    assert_floats(l.splits->train.targets, (const float[]){1.5F, -2.0F}, 2);
    unload(&l);
    load(pair(npy("x_f4.npy"), npy("y_two.npy"), ""), &l);
    assert_int_equal(l.splits->train.target_size, 2);
    assert_floats(l.splits->train.targets, (const float[]){1.5F, 2.5F, -2.0F, 0.25F}, 4);
    unload(&l);
    load(pair(npy("x_f4.npy"), npy("y.npy"), ", task: regression"), &l);
    assert_floats(l.splits->train.targets, (const float[]){1, 0}, 2);
    unload(&l);
    load_fails(pair(npy("x_f4.npy"), npy("y_float.npy"), ", task: classification"), FNL_E_FORMAT,
               "sample 0: 1.5 is not a label");
    load_fails(pair(npy("x_f4.npy"), npy("y_negative.npy"), ""), FNL_E_FORMAT,
               "offset 136: sample 1: label -1 is out of range");
}

/* What Keras' categorical_crossentropy takes. */
static void one_hot_rows_are_classes(void **state)
{
    (void)state;
    struct loaded l;
    static const char *const files[] = {"y_onehot.npy", "y_onehot_fortran.npy"};
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        load(pair(npy("x_f4.npy"), npy(files[i]), ""), &l);
        assert_int_equal(l.splits->train.target_kind, FNL_TARGET_CLASS);
        assert_int_equal(l.splits->train.class_count, 4); /* also the one that never occurs */
        assert_int_equal(l.splits->train.labels[0], 2);
        assert_int_equal(l.splits->train.labels[1], 0);
        unload(&l);
    }
    load(pair(npy("x_f4.npy"), npy("y_onehot.npy"), ", task: regression"), &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_REAL);
    assert_int_equal(l.splits->train.target_size, 4);
    unload(&l);
    load(pair(npy("x_f4.npy"), npy("y_several.npy"), ""), &l);
    assert_int_equal(l.splits->train.target_kind, FNL_TARGET_REAL);
    unload(&l);
    load_fails(pair(npy("x_f4.npy"), npy("y_several.npy"), ", task: classification"), FNL_E_FORMAT,
               "sample 1: expected one 1 among 3 values");
    load_fails(pair(npy("x_f4.npy"), npy("y_onehot.npy"), ", classes: [a, b, c]"), FNL_E_FORMAT,
               "4 values a sample, but there are 3 classes");
}

static void what_is_no_array_of_numbers_is_refused(void **state)
{
    (void)state;
    load_fails(pair(npy("objects.npy"), npy("y.npy"), ""), FNL_E_UNSUPPORTED, "\"|O\"");
    load_fails(pair(npy("structured.npy"), npy("y.npy"), ""), FNL_E_FORMAT, "structured");
    load_fails(pair(npy("x_nan.npy"), npy("y.npy"), ""), FNL_E_FORMAT,
               "offset 144: sample 1, value 1 is not a finite number");
    load_fails(pair("y.txt", npy("y.npy"), ""), FNL_E_NOTFOUND, "y.txt");
    write_text("bad", "not numpy at all");
    load_fails(pair("bad", npy("y.npy"), ""), FNL_E_FORMAT, "offset 0: not an NPY file");
}

static void archives_are_read_by_array(void **state)
{
    (void)state;
    struct loaded l;
    char text[1024];
    (void)snprintf(text, sizeof text, "{format: npy, train: {file: %s}}", npy("stored.npz"));
    load(text, &l);
    assert_floats(l.splits->train.samples, zero_to_five, 6);
    assert_int_equal(l.splits->train.labels[0], 1);
    unload(&l);
    (void)snprintf(text, sizeof text, "{format: npy, train: {file: %s, y: labels}}",
                   npy("deflated.npz"));
    load(text, &l);
    assert_floats(l.splits->train.samples, zero_to_five, 6);
    assert_int_equal(l.splits->train.labels[1], 1);
    unload(&l);
    (void)snprintf(text, sizeof text, "{format: npy, train: {file: %s}}", npy("deflated.npz"));
    load_fails(text, FNL_E_FORMAT, "no array \"y\"");
}

static size_t slurp(const char *name, char *out, size_t room)
{
    FILE *f = fopen(npy(name), "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, room, f);
    (void)fclose(f);
    return n;
}

static void arrays_cut_anywhere_are_refused(void **state)
{
    (void)state;
    static char bytes[4096];
    size_t size = slurp("x_f4.npy", bytes, sizeof bytes);
    for (size_t cut = 0; cut < size; cut++) {
        struct fnl__array a;
        struct fnl_error err = FNL_ERROR_INIT;
        char *exact = fnl_malloc(cut);
        memcpy(exact, bytes, cut);
        assert_int_equal(fnl__npy_parse("f", exact, cut, &a, &err), FNL_E_FORMAT);
        fnl_free(exact);
    }
}

static void archives_cut_anywhere_or_changed_are_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"stored.npz", "deflated.npz"};
    static char bytes[4096];
    for (size_t i = 0; i < TEST_COUNT(files); i++) {
        size_t size = slurp(files[i], bytes, sizeof bytes), out_size = 0, refused = 0;
        char *out = NULL;
        for (size_t cut = 0; cut < size; cut++) {
            char *exact = fnl_malloc(cut);
            memcpy(exact, bytes, cut);
            assert_true(fnl__zip_extract("f", exact, cut, "x", 1 << 20, &out, &out_size, NULL) < 0);
            fnl_free(exact);
        }
        for (size_t at = 0; at < size; at++) { /* a changed byte: refused, or not of this member */
            char *exact = fnl_malloc(size);
            memcpy(exact, bytes, size);
            exact[at] = (char)(exact[at] ^ 0x55);
            int rc = fnl__zip_extract("f", exact, size, "x", 1 << 20, &out, &out_size, NULL);
            if (rc == 0) {
                struct fnl__array a;
                assert_int_equal(fnl__npy_parse("f", out, out_size, &a, NULL), 0);
                fnl_free(out);
            }
            refused += rc != 0;
            fnl_free(exact);
        }
        assert_true(refused > 100);
    }
    size_t size = slurp("stored.npz", bytes, sizeof bytes), out_size = 0;
    char *out = NULL;
    assert_int_equal(fnl__zip_extract("f", bytes, size, "x", 100, &out, &out_size, NULL),
                     FNL_E_LIMIT);
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *part;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }  \n", NULL},
        {"{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,2)}", NULL},
        {"", "expected {"},
        {"{", "expected 'key':"},
        {"{'descr': '<f4'}", "is missing"},
        {"{'descr': '<f4', 'descr': '<f4'}", "stands twice"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "single number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "expected a dimension"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", "expected , or )"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
         "expected a dimension"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296,16)}",
         "overflow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", "is 0"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}",
         "more than 8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "announces 12 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "after the end"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "\"<c8\""},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", "text after"},
        {"{'descr': '<f4', 'more': 1}", "unknown key"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char file[512] = "\x93NUMPY\1";
        struct fnl__array a;
        struct fnl_error err = FNL_ERROR_INIT;
        size_t n = strlen(cases[i].header);
        file[8] = (char)n;
        memcpy(file + 10, cases[i].header, n);
        int rc = fnl__npy_parse("f", file, 10 + n + 8, &a, &err);
        if (cases[i].part == NULL ? rc != 0 : rc == 0 || !strstr(err.message, cases[i].part)) {
            fail_msg("%s: %d %s", cases[i].header, rc, err.message);
        }
    }
}

static void reading_survives_each_failed_allocation(void **state)
{
    (void)state;
    char text[1024];
    (void)snprintf(text, sizeof text, "{format: npy, train: {file: %s, y: labels}}",
                   npy("deflated.npz"));
    for (uint64_t n = 1;; n++) {
        struct loaded l;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = try_load(text, 1, &l, &err);
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
        IN_DIR(each_type_of_numpy_is_read),
        IN_DIR(bytes_stay_bytes_and_booleans_become_floats),
        IN_DIR(images_end_up_channels_last),
        IN_DIR(float_targets_are_numbers),
        IN_DIR(one_hot_rows_are_classes),
        IN_DIR(what_is_no_array_of_numbers_is_refused),
        IN_DIR(archives_are_read_by_array),
        IN_DIR(arrays_cut_anywhere_are_refused),
        IN_DIR(archives_cut_anywhere_or_changed_are_refused),
        IN_DIR(headers_that_lie_are_refused),
        IN_DIR(reading_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
