/* The data section, finding files, splitting, normalising. */
#include "data_test.h"

#include "base/buf.h"
#include "base/yaml.h"

static void write_set(const char *x, const char *y, size_t count)
{
    static uint8_t values[1000 * 2], labels[1000];
    for (size_t i = 0; i < count; i++) {
        values[2 * i] = (uint8_t)i;
        values[2 * i + 1] = (uint8_t)(i >> 8);
        labels[i] = (uint8_t)(i % 10);
    }
    (void)write_idx(x, (const uint32_t[]){(uint32_t)count, 2, 0}, values);
    (void)write_idx(y, (const uint32_t[]){(uint32_t)count, 0}, labels);
}

static void mistakes_name_line_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text, *parts;
    } cases[] = {
        {"{}", "data.format is required"},
        {"{format: idy}", "data.format|one of idx, cifar10, npy, csv, images|did you mean \"idx\""},
        {"{format: idx}", "names no files"},
        {"{format: idx, train: {images: x}}", "data.train.labels is required"},
        {"{format: idx, train: {image: x}}", "unknown key \"image\" in data.train|\"images\""},
        {"{format: idx, train: {images: x, labels: y}, targt: z}", "did you mean \"target\""},
        {"{format: idx, train: {images: x, labels: y}, target: z}",
         "data.target has no meaning for the format idx"},
        {"{format: idx, train: {images: x, labels: y}, size: [2, 3]}", "data.size has no meaning"},
        {"{format: idx, train: {images: x, labels: y}, validation_split: 1}",
         "data.validation_split|0 to 0.9"},
        {"{format: idx, test: {images: x, labels: y}, validation_split: 0.1}", "needs data.train"},
        {"{format: idx, train: {images: x, labels: y}, validation: {images: x, labels: y}, "
         "validation_split: 0.1}",
         "both validation and validation_split"},
        {"{format: idx, train: {images: x, labels: y}, normalize: yes}", "computed, none or a map"},
        {"{format: idx, train: {images: x, labels: y}, normalize: {std: 0}}", "above 0"},
        {"{format: idx, train: {images: x, labels: y}, normalize: {mean: [1, 2], std: [1, 2, 3]}}",
         "mean has 2 numbers and std 3"},
        {"{format: idx, train: {images: x, labels: y}, normalize: {mean: [1, 2, 3]}}",
         "data.normalize.mean has 3 numbers, the samples have 2 channels"},
        {"{format: idx, train: {images: x, labels: y}, augment: {flip: sideways}}",
         "data.augment.flip"},
        {"{format: images, train: {folder: x}, size: 3}", "expected [height, width]"},
        {"{format: images, train: {folder: x}, channels: 2}", "expected 1 or 3"},
        {"{format: npy, train: {x: a.npy}}", "expected x and y, or file"},
    };
    write_set("x", "y", 10);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        load_fails(cases[i].text, FNL_E_CONFIG, "test.yaml:1:");
        load_fails(cases[i].text, FNL_E_CONFIG, cases[i].parts);
    }
}

static void each_key_is_documented(void **state)
{
    (void)state;
    struct fnl_buf b;
    static const char *const keys[] = {
        "`format`",       "`validation_split`", "`normalize`", "`std`",
        "`pad_and_crop`", "`folder`",           "`images`",    "`files`"};
    fnl_buf_init(&b, 1 << 20);
    assert_int_equal(fnl_data_config_doc(&b), 0);
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        assert_non_null(strstr(b.data, keys[i]));
    }
    fnl_buf_free(&b);
    fnl_buf_init(&b, 100);
    assert_int_equal(fnl_data_config_doc(&b), FNL_E_LIMIT);
    fnl_buf_free(&b);
}

static void files_are_looked_for_in_four_places(void **state)
{
    (void)state;
    struct loaded l;
    char other[] = "/tmp/fournil-test-other-XXXXXX", path[128];
    assert_non_null(mkdtemp(other));
    load_fails("{format: idx, train: {images: mnist/x, labels: mnist/y}}", FNL_E_NOTFOUND,
               "data.train: mnist/x: no such file|/mnist/x|/data/mnist/x|fournil data fetch mnist");
    write_set("x", "y", 4);
    load("{format: idx, train: {images: x, labels: y}}", &l);
    unload(&l);
    assert_int_equal(mkdir(test_path("data"), 0755), 0);
    write_set("data/x5", "data/y5", 5);
    load("{format: idx, train: {images: x5, labels: y5}}", &l);
    assert_int_equal(l.splits->train.count, 5);
    unload(&l);
    write_set("data/x", "data/y", 6); /* beside the file goes first */
    load("{format: idx, train: {images: x, labels: y}}", &l);
    assert_int_equal(l.splits->train.count, 4);
    unload(&l);
    (void)snprintf(path, sizeof path, "%s/w", other);
    assert_int_equal(rename(test_path("data/x5"), path), 0);
    assert_int_equal(setenv("FOURNIL_DATA", other, 1), 0);
    load("{format: idx, train: {images: w, labels: y5}}", &l);
    assert_int_equal(l.splits->train.count, 5);
    unload(&l);
    assert_int_equal(unsetenv("FOURNIL_DATA"), 0);
    load_fails("{format: idx, train: {images: w, labels: y5}}", FNL_E_NOTFOUND, "FOURNIL_DATA");
    load_fails("{format: idx, train: {images: /nowhere/x, labels: y}}", FNL_E_NOTFOUND,
               "looked for /nowhere/x|FOURNIL_DATA");
    load_fails("{format: idx, train: {images: fashion-mnist/x, labels: y}}", FNL_E_NOTFOUND,
               "apt install dataset-fashion-mnist");
    load_fails("{format: cifar10, train: {files: cifar10/x}}", FNL_E_NOTFOUND,
               "fournil data fetch cifar10");
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(other), 0);
}

static size_t sample_id(const struct fnl_dataset *d, size_t i)
{
    const uint8_t *x = d->samples;
    return x[2 * i] + 256u * x[2 * i + 1];
}

static void validation_takes_its_part_from_train_by_the_seed(void **state)
{
    (void)state;
    struct loaded a, b, c;
    struct fnl_error err = FNL_ERROR_INIT;
    static const char text[] =
        "{format: idx, train: {images: x, labels: y}, validation_split: 0.2}";
    write_set("x", "y", 1000);
    assert_int_equal(try_load(text, 1, &a, &err), 0);
    assert_int_equal(try_load(text, 1, &b, &err), 0);
    assert_int_equal(try_load(text, 2, &c, &err), 0);
    assert_int_equal(a.splits->train.count, 800);
    assert_int_equal(a.splits->validation.count, 200);
    int seen[1000] = {0};
    const struct fnl_dataset *part[] = {&a.splits->train, &a.splits->validation};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < part[k]->count; i++) {
            size_t id = sample_id(part[k], i);
            assert_true(id < 1000);
            assert_int_equal(part[k]->labels[i], id % 10);
            assert_true(i == 0 || sample_id(part[k], i - 1) < id); /* order is kept */
            seen[id]++;
        }
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_memory_equal(a.splits->validation.samples, b.splits->validation.samples, 400);
    assert_memory_not_equal(a.splits->validation.samples, c.splits->validation.samples, 400);
    unload(&a);
    unload(&b);
    unload(&c);
    load_fails("{format: idx, train: {images: x, labels: y}, validation_split: 0.2, limit: 4}",
               FNL_E_CONFIG, "leaves one of the two empty");
}

static void limit_takes_the_first_samples(void **state)
{
    (void)state;
    struct loaded l;
    write_set("x", "y", 100);
    load("{format: idx, train: {images: x, labels: y}, test: {images: x, labels: y}, limit: 7}",
         &l);
    assert_int_equal(l.splits->train.count, 7);
    assert_int_equal(l.splits->test.count, 7);
    assert_int_equal(l.splits->train.class_count, 10);
    size_t counts[10];
    fnl_dataset_class_counts(&l.splits->train, counts);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[9], 0);
    unload(&l);
}

#define XY "{format: idx, train: {images: x, labels: y}, "

static void normalisation_is_folded_and_rounded_once(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int channels;
        float mul[2], add[2];
    } cases[] = {
        {XY "}", 1, {(float)(1.0 / 255)}, {0}},
        {XY "normalize: none}", 0, {0}, {0}},
        {XY "normalize: {mean: 0.5, std: 0.5}}", 1, {(float)(1.0 / 255 / 0.5)}, {-1}},
        {XY "normalize: {scale: 1}}", 1, {1}, {0}},
        {XY "normalize: {scale: 2, mean: [1, 2], std: 4}}", 2, {0.5F, 0.5F}, {-0.25F, -0.5F}},
        {XY "normalize: {scale: 1, mean: 10, std: [2, 5]}}", 2, {0.5F, 0.2F}, {-5, -2}},
    };
    write_set("x", "y", 10);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct loaded l;
        load(cases[i].text, &l);
        const struct fnl_normalization *n = &l.splits->normalization;
        assert_int_equal(n->channels, cases[i].channels);
        assert_floats(n->mul, cases[i].mul, (size_t)n->channels);
        assert_floats(n->add, cases[i].add, (size_t)n->channels);
        unload(&l);
    }
}

static void computed_normalisation_is_of_the_training_samples(void **state)
{
    (void)state;
    struct loaded l;
    /* channel 0: 0, 2 (mean 1, deviation 1); channel 1: 7, 7 (deviation 0 counts as 1) */
    (void)write_idx("x", (const uint32_t[]){2, 2, 0}, "\0\7\2\7");
    (void)write_idx("y", (const uint32_t[]){2, 0}, "\0\1");
    (void)write_idx("tx", (const uint32_t[]){2, 2, 0}, "\77\77\77\77");
    load(XY "test: {images: tx, labels: y}, normalize: computed}", &l);
    assert_int_equal(l.splits->normalization.channels, 2);
    assert_floats(l.splits->normalization.mul, (const float[]){1, 1}, 2);
    assert_floats(l.splits->normalization.add, (const float[]){-1, -7}, 2);
    unload(&l);
    write_text("a.csv", "p,q,y\n1,5,0\n3,5,1\n");
    load("{format: csv, train: {file: a.csv}, target: y, normalize: computed}", &l);
    assert_floats(l.splits->normalization.mul, (const float[]){1, 1}, 2);
    assert_floats(l.splits->normalization.add, (const float[]){-2, -5}, 2);
    unload(&l);
    load_fails("{format: idx, test: {images: x, labels: y}, normalize: computed}", FNL_E_CONFIG,
               "needs training samples");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(mistakes_name_line_and_remedy),
        cmocka_unit_test(each_key_is_documented),
        IN_DIR(files_are_looked_for_in_four_places),
        IN_DIR(validation_takes_its_part_from_train_by_the_seed),
        IN_DIR(limit_takes_the_first_samples),
        IN_DIR(normalisation_is_folded_and_rounded_once),
        IN_DIR(computed_normalisation_is_of_the_training_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
