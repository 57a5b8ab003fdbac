/* The real MNIST, Fashion-MNIST and CIFAR-10 (a subset): counts, classes, known means. The figures
 * are those of ../shared/data/README.md of each set. */
#include "data_test.h"

#include <math.h>

static bool near(double a, double b)
{
    return fabs(a - b) < 6e-6;
}

/* mean and deviation of x / 255 from what `computed` made of them */
static void known_moments(const struct fnl_normalization *n, int channels, const double *mean,
                          const double *std)
{
    assert_int_equal(n->channels, channels);
    for (int c = 0; c < channels; c++) {
        double s = 1 / (double)n->mul[c], m = -(double)n->add[c] * s;
        if (!near(m / 255, mean[c]) || !near(s / 255, std[c])) {
            fail_msg("channel %d: mean %.6f, std %.6f", c, m / 255, s / 255);
        }
    }
}

static void mnist_is_complete(void **state)
{
    (void)state;
    const char *root = shared_data();
    if (root == NULL) {
        skip();
    }
    struct loaded l;
    static const size_t want[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    assert_int_equal(setenv("FOURNIL_DATA", root, 1), 0);
    load("  format: idx\n"
         "  train: {images: mnist/train-images-idx3-ubyte.gz, labels: "
         "mnist/train-labels-idx1-ubyte.gz}\n"
         "  test: {images: mnist/t10k-images-idx3-ubyte, labels: mnist/t10k-labels-idx1-ubyte}\n"
         "  normalize: computed",
         &l);
    assert_int_equal(l.splits->train.count, 60000);
    assert_int_equal(l.splits->test.count, 10000);
    assert_true(fnl_shape_equal(&l.splits->train.sample, &fnl_shape_make(3, 1, 28, 28)));
    assert_int_equal(l.splits->train.class_count, 10);
    size_t counts[10];
    fnl_dataset_class_counts(&l.splits->train, counts);
    assert_memory_equal(counts, want, sizeof counts);
    known_moments(&l.splits->normalization, 1, (const double[]){0.13066},
                  (const double[]){0.30811});
    unload(&l);
}

static void cifar_subset_is_complete(void **state)
{
    (void)state;
    const char *root = shared_data();
    if (root == NULL) {
        skip();
    }
    struct loaded l;
    assert_int_equal(setenv("FOURNIL_DATA", root, 1), 0);
    load("  format: cifar10\n"
         "  train: {files: [cifar10/data_batch_1.bin, cifar10/data_batch_2.bin, "
         "cifar10/data_batch_3.bin, cifar10/data_batch_4.bin, cifar10/data_batch_5.bin]}\n"
         "  test: {files: cifar10/test_batch.bin}\n"
         "  normalize: computed",
         &l);
    assert_int_equal(l.splits->train.count, 10000);
    assert_int_equal(l.splits->test.count, 2000);
    assert_string_equal(l.splits->train.class_names[0], "airplane");
    assert_string_equal(l.splits->test.class_names[9], "truck");
    size_t counts[10];
    fnl_dataset_class_counts(&l.splits->train, counts);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(counts[i], 1000);
    }
    known_moments(&l.splits->normalization, 3, (const double[]){0.49357, 0.48321, 0.44715},
                  (const double[]){0.24784, 0.24476, 0.26257});
    unload(&l);
}

static void fashion_mnist_of_debian_is_found_by_itself(void **state)
{
    (void)state;
    if (access("/usr/share/datasets/fashion-mnist", R_OK) != 0) {
        printf("# skipped: dataset-fashion-mnist is not installed\n");
        skip();
    }
    struct loaded l;
    assert_int_equal(unsetenv("FOURNIL_DATA"), 0);
    load("  format: idx\n"
         "  train: {images: fashion-mnist/train-images-idx3-ubyte.gz, labels: "
         "fashion-mnist/train-labels-idx1-ubyte.gz}\n"
         "  validation_split: 0.1\n"
         "  normalize: {mean: 0.5, std: 0.5}",
         &l);
    assert_int_equal(l.splits->train.count, 54000);
    assert_int_equal(l.splits->validation.count, 6000);
    size_t a[10], b[10];
    fnl_dataset_class_counts(&l.splits->train, a);
    fnl_dataset_class_counts(&l.splits->validation, b);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(a[i] + b[i], 6000);
    }
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(mnist_is_complete),
        IN_DIR(cifar_subset_is_complete),
        IN_DIR(fashion_mnist_of_debian_is_found_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
