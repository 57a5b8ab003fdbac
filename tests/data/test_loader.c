/* Batches: values, order, prefetch, restarts, allocations. */
#include "data_test.h"

#include "base/limits.h"
#include "base/rng.h"
#include "data/data_int.h"

#define COUNT 103u
#define H 4u
#define W 5u

/* The set "x", "y": images of C channels made from Philox, labels i % 10. */
static void write_images(uint32_t channels)
{
    static uint8_t x[COUNT * H * W * 3], y[COUNT];
    struct fnl_rng r;
    fnl_rng_init(&r, 7, FNL_RNG_TEST, channels);
    for (size_t i = 0; i < sizeof x; i++) {
        x[i] = (uint8_t)fnl_rng_u32(&r);
    }
    for (size_t i = 0; i < COUNT; i++) {
        y[i] = (uint8_t)(i % 10);
    }
    (void)write_idx("x", (const uint32_t[]){COUNT, H, W, channels, 0}, x);
    (void)write_idx("y", (const uint32_t[]){COUNT, 0}, y);
}

#define SET "{format: idx, train: {images: x, labels: y}, layout: channels_last, "

static struct fnl_loader *make(const struct loaded *l, const struct fnl_loader_options *o)
{
    struct fnl_loader *loader = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_loader_create(l->config, l->splits, &l->splits->train, o, &loader, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return loader;
}

static void start(struct fnl_loader *loader, uint32_t epoch, size_t first)
{
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_loader_start(loader, epoch, first, &err), 0);
}

static struct fnl_batch next(struct fnl_loader *loader)
{
    struct fnl_batch b;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_loader_next(loader, &b, &err), 0);
    return b;
}

static void values_are_multiplied_then_added_for_each_channel(void **state)
{
    (void)state;
    static const char *const normalize[] = {
        "}", "normalize: none}", "normalize: {mean: 0.5, std: 0.5}}", "normalize: computed}",
        "normalize: {scale: 0.1, mean: [1, 2, 3], std: [0.3, 0.7, 0.9]}}"};
    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        write_images(channels);
        for (size_t k = 0; k < TEST_COUNT(normalize) - (channels == 1); k++) {
            struct loaded l;
            char text[256];
            (void)snprintf(text, sizeof text, "%s%s", SET, normalize[k]);
            load(text, &l);
            struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
            o.batch = 10;
            struct fnl_loader *loader = make(&l, &o);
            const struct fnl_normalization *n = &l.splits->normalization;
            const uint8_t *raw = l.splits->train.samples;
            size_t each = H * W * channels, row = 0;
            assert_int_equal(fnl_loader_batches(loader), 11);
            start(loader, 0, 0);
            for (struct fnl_batch b = next(loader); b.rows != 0; b = next(loader)) {
                for (size_t i = 0; i < b.rows * each; i++) {
                    float want = raw[row * each + i];
                    if (n->channels != 0) {
                        size_t c = i % (size_t)n->channels;
                        volatile float scaled = want * n->mul[c]; /* rounded, so never fused */
                        want = scaled + n->add[c];
                    }
                    assert_floats(&b.x[i], &want, 1);
                }
                for (size_t i = 0; i < b.rows; i++) {
                    assert_int_equal(b.labels[i], (row + i) % 10);
                }
                row += b.rows;
            }
            assert_int_equal(row, COUNT);
            fnl_loader_free(loader);
            unload(&l);
        }
    }
}

static void any_number_of_channels_converts_at_any_length(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 70; channels++) {
        float mul[70], add[70], got[700];
        uint8_t u8[700];
        float f32[700];
        for (int c = 0; c < channels; c++) {
            mul[c] = 0.01F * (float)(c + 1);
            add[c] = (float)c - 3.3F;
        }
        for (int i = 0; i < 700; i++) {
            u8[i] = (uint8_t)(i * 31);
            f32[i] = u8[i];
        }
        struct fnl_normalization n = {channels, mul, add};
        struct fnl__convert c;
        assert_int_equal(fnl__convert_init(&c, &n, NULL), 0);
        for (size_t count = 0; count <= 700; count += (size_t)channels) {
            for (int kind = 0; kind < 2; kind++) {
                memset(got, 0x7F, sizeof got);
                if (kind == 0) {
                    c.u8(&c, u8, got, count);
                } else {
                    c.f32(&c, f32, got, count);
                }
                for (size_t i = 0; i < count; i++) {
                    volatile float scaled = f32[i] * mul[i % (size_t)channels];
                    float want = scaled + add[i % (size_t)channels];
                    assert_floats(&got[i], &want, 1);
                }
                assert_true(count == 700 || got[count] > 1e38F); /* nothing written behind */
            }
        }
        fnl__convert_free(&c);
    }
}

static void shuffling_is_philoxs_permutation_of_the_epoch(void **state)
{
    (void)state;
    struct loaded l;
    write_images(1);
    load(SET "normalize: none}", &l);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = 16;
    o.shuffle = true;
    o.seed = 5;
    struct fnl_loader *loader = make(&l, &o);
    const uint8_t *raw = l.splits->train.samples;
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        uint32_t order[COUNT];
        size_t row = 0;
        fnl_rng_permutation(5, FNL_RNG_SHUFFLE, epoch, order, COUNT);
        start(loader, epoch, 0);
        for (struct fnl_batch b = next(loader); b.rows != 0; b = next(loader)) {
            for (size_t r = 0; r < b.rows; r++, row++) {
                assert_int_equal(b.labels[r], order[row] % 10);
                for (size_t i = 0; i < H * W; i++) {
                    assert_true(b.x[r * H * W + i] == (float)raw[order[row] * H * W + i]);
                }
            }
        }
        assert_int_equal(row, COUNT);
    }
    fnl_loader_free(loader);
    unload(&l);
}

static uint64_t hash(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ p[i]) * 0x100000001b3u;
    }
    return h;
}

/* One number for all batches of an epoch from `first` on; a slow caller now and then. */
static uint64_t epoch_hash(struct fnl_loader *loader, uint32_t epoch, size_t first, size_t each)
{
    uint64_t h = 1;
    int turn = 0;
    start(loader, epoch, first);
    for (struct fnl_batch b = next(loader); b.rows != 0; b = next(loader)) {
        if (turn++ % 3 == 0) {
            (void)usleep(200);
        }
        h = hash(h, b.x, b.rows * each * sizeof *b.x);
        h = b.labels != NULL ? hash(h, b.labels, b.rows * sizeof *b.labels)
                             : hash(h, b.targets, b.rows * sizeof *b.targets);
    }
    assert_int_equal(next(loader).rows, 0); /* the end stays the end */
    return h;
}

static void prefetching_gives_the_same_bits(void **state)
{
    (void)state;
    static const char *const texts[] = {
        SET "}", SET "normalize: computed, augment: {flip: horizontal, pad_and_crop: 2}}",
        "{format: csv, train: {file: a.csv}, target: y, task: regression}",
        "{format: csv, train: {file: a.csv}, target: y, task: regression, normalize: computed}"};
    write_images(3);
    FILE *f = fopen(test_path("a.csv"), "w");
    (void)fputs("x,y\n", f);
    for (int i = 0; i < 100; i++) {
        (void)fprintf(f, "%d,%d.5\n", i, -i);
    }
    (void)fclose(f);
    for (size_t k = 0; k < TEST_COUNT(texts); k++) {
        struct loaded l;
        load(texts[k], &l);
        size_t each = l.splits->train.sample_size;
        for (int shuffle = 0; shuffle < 2; shuffle++) {
            struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
            o.batch = 7;
            o.shuffle = shuffle != 0;
            o.augment = true;
            o.seed = 3;
            struct fnl_loader *plain = make(&l, &o);
            uint64_t want[4];
            for (uint32_t epoch = 0; epoch < 3; epoch++) {
                want[epoch] = epoch_hash(plain, epoch, 0, each);
            }
            want[3] = epoch_hash(plain, 2, 5, each);
            fnl_loader_free(plain);
            assert_true(shuffle == 0 || want[0] != want[1]);
            for (o.prefetch = 1; o.prefetch <= FNL_MAX_PREFETCH; o.prefetch *= 4) {
                struct fnl_loader *ahead = make(&l, &o);
                for (uint32_t epoch = 0; epoch < 3; epoch++) {
                    assert_true(epoch_hash(ahead, epoch, 0, each) == want[epoch]);
                }
                assert_true(epoch_hash(ahead, 2, 5, each) == want[3]); /* resumed */
                fnl_loader_free(ahead);
            }
        }
        unload(&l);
    }
}

static void epochs_can_be_left_and_started_at_any_time(void **state)
{
    (void)state;
    struct loaded l;
    write_images(1);
    load(SET "}", &l);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = 8;
    o.shuffle = true;
    o.prefetch = 3;
    struct fnl_loader *loader = make(&l, &o);
    assert_int_equal(next(loader).rows, 0); /* no epoch yet */
    uint64_t want = epoch_hash(loader, 0, 0, H * W);
    for (size_t stop = 0; stop < 13; stop++) {
        start(loader, 1, 0);
        for (size_t i = 0; i < stop; i++) {
            (void)next(loader);
        }
        assert_true(epoch_hash(loader, 0, 0, H * W) == want);
    }
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_loader_start(loader, 0, 13, &err), 0);
    assert_int_equal(next(loader).rows, 0);
    assert_int_equal(fnl_loader_start(loader, 0, 14, &err), FNL_E_INVALID);
    start(loader, 1, 0);
    (void)next(loader);
    fnl_loader_free(loader); /* while the thread is at work */
    for (int i = 0; i < 20; i++) {
        loader = make(&l, &o);
        if (i % 2 == 0) {
            start(loader, 0, 0);
        }
        fnl_loader_free(loader);
    }
    unload(&l);
}

static void the_last_batch_is_short_or_dropped(void **state)
{
    (void)state;
    struct loaded l;
    write_images(1);
    load(SET "}", &l);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = 50;
    struct fnl_loader *loader = make(&l, &o);
    start(loader, 0, 0);
    assert_int_equal(next(loader).rows, 50);
    assert_int_equal(next(loader).rows, 50);
    assert_int_equal(next(loader).rows, 3);
    assert_int_equal(next(loader).rows, 0);
    fnl_loader_free(loader);
    o.drop_last = true;
    loader = make(&l, &o);
    assert_int_equal(fnl_loader_batches(loader), 2);
    fnl_loader_free(loader);
    o.drop_last = false;
    o.batch = 1000;
    loader = make(&l, &o);
    start(loader, 0, 0);
    assert_int_equal(next(loader).rows, COUNT);
    fnl_loader_free(loader);
    struct fnl_error err = FNL_ERROR_INIT;
    o.batch = 0;
    assert_int_equal(fnl_loader_create(l.config, l.splits, &l.splits->train, &o, &loader, &err),
                     FNL_E_INVALID);
    o.batch = 1;
    assert_int_equal(fnl_loader_create(l.config, l.splits, &l.splits->test, &o, &loader, &err),
                     FNL_E_INVALID);
    unload(&l);
}

static void start_and_next_allocate_nothing(void **state)
{
    (void)state;
    struct loaded l;
    write_images(3);
    load(SET "normalize: computed, augment: {flip: both, pad_and_crop: 1}}", &l);
    for (int prefetch = 0; prefetch <= 2; prefetch += 2) {
        struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
        o.shuffle = true;
        o.augment = true;
        o.batch = 9;
        o.prefetch = prefetch;
        struct fnl_loader *loader = make(&l, &o);
        uint64_t before = fnl_mem_alloc_count();
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            start(loader, epoch, 0);
            while (next(loader).rows != 0) {
            }
        }
        assert_int_equal(fnl_mem_alloc_count(), before);
        fnl_loader_free(loader);
    }
    unload(&l);
}

static void creating_survives_each_failed_allocation(void **state)
{
    (void)state;
    struct loaded l;
    write_images(3);
    load(SET "normalize: computed, augment: {flip: both}}", &l);
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.shuffle = true;
    o.augment = true;
    o.prefetch = 2;
    for (uint64_t n = 1;; n++) {
        struct fnl_loader *loader = NULL;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = fnl_loader_create(l.config, l.splits, &l.splits->train, &o, &loader, &err);
        fnl_mem_fail_at(0);
        if (rc == 0) {
            fnl_loader_free(loader);
            assert_true(n > 8);
            break;
        }
        assert_int_equal(rc, FNL_E_NOMEM);
    }
    unload(&l);
}

/* --- augmentation ----------------------------------------------------------------------------- */

/* Augmentation by its definition, one pixel at a time. */
static uint8_t expected(const struct fnl__augment *a, const uint8_t *src, size_t channels, int y,
                        int x, size_t c, const uint32_t word[4])
{
    const int pad = (int)a->pad_and_crop, h = (int)H, w = (int)W;
    if (a->flip == FNL_FLIP_HORIZONTAL || a->flip == FNL_FLIP_BOTH) {
        x = word[0] < 0x80000000u ? w - 1 - x : x;
    }
    if (a->flip == FNL_FLIP_VERTICAL || a->flip == FNL_FLIP_BOTH) {
        y = word[1] < 0x80000000u ? h - 1 - y : y;
    }
    y += (int)((uint64_t)word[2] * (2 * (unsigned)pad + 1) >> 32) - pad;
    x += (int)((uint64_t)word[3] * (2 * (unsigned)pad + 1) >> 32) - pad;
    return y < 0 || y >= h || x < 0 || x >= w ? 0 : src[(size_t)(y * w + x) * channels + c];
}

static void augmented_samples_are_as_defined(void **state)
{
    (void)state;
    for (size_t channels = 1; channels <= 3; channels += 2) {
        uint8_t src[H * W * 3], got[H * W * 3];
        struct fnl_dataset d = {.sample = {3, {(int64_t)channels, H, W}},
                                .sample_size = H * W * channels,
                                .dtype = FNL_U8};
        for (size_t i = 0; i < sizeof src; i++) {
            src[i] = (uint8_t)(i + 1);
        }
        for (uint32_t k = 0; k < 2000; k++) {
            struct fnl__augment a = {(int)(k % 4), 0.5, (int64_t)(k / 4 % 7)};
            uint32_t word[4];
            fnl_rng_at(1, FNL_RNG_TEST, 0, k, word);
            memset(got, 0xEE, sizeof got);
            fnl__augment_sample(&a, &d, src, got, word);
            for (size_t i = 0; i < d.sample_size; i++) {
                size_t p = i / channels;
                assert_int_equal(got[i], expected(&a, src, channels, (int)(p / W), (int)(p % W),
                                                  i % channels, word));
            }
        }
    }
}

static void augmentation_depends_on_seed_epoch_and_place(void **state)
{
    (void)state;
    struct loaded l;
    write_images(1);
    load(SET "normalize: none, augment: {flip: horizontal, pad_and_crop: 1}}", &l);
    assert_true(fnl_data_config_augments(l.config));
    struct fnl_loader_options o = FNL_LOADER_OPTIONS_INIT;
    o.batch = COUNT;
    o.seed = 9;
    struct fnl_loader *plain = make(&l, &o);
    o.augment = true;
    struct fnl_loader *changed = make(&l, &o);
    o.seed = 10;
    struct fnl_loader *other = make(&l, &o);
    uint64_t a = epoch_hash(changed, 0, 0, H * W);
    assert_true(a == epoch_hash(changed, 0, 0, H * W));
    assert_true(a != epoch_hash(changed, 1, 0, H * W));
    assert_true(a != epoch_hash(other, 0, 0, H * W));
    assert_true(a != epoch_hash(plain, 0, 0, H * W));
    fnl_loader_free(plain);
    fnl_loader_free(changed);
    fnl_loader_free(other);
    unload(&l);
    (void)write_idx("x", (const uint32_t[]){COUNT, 3, 0}, (uint8_t[COUNT * 3]){0});
    load(SET "augment: {flip: horizontal}}", &l);
    struct fnl_loader *loader = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_loader_create(l.config, l.splits, &l.splits->train, &o, &loader, &err),
                     FNL_E_CONFIG);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(values_are_multiplied_then_added_for_each_channel),
        cmocka_unit_test(any_number_of_channels_converts_at_any_length),
        IN_DIR(shuffling_is_philoxs_permutation_of_the_epoch),
        IN_DIR(prefetching_gives_the_same_bits),
        IN_DIR(epochs_can_be_left_and_started_at_any_time),
        IN_DIR(the_last_batch_is_short_or_dropped),
        IN_DIR(start_and_next_allocate_nothing),
        IN_DIR(creating_survives_each_failed_allocation),
        cmocka_unit_test(augmented_samples_are_as_defined),
        IN_DIR(augmentation_depends_on_seed_epoch_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
