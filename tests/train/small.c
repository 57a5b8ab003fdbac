/* small.c - see small.h. */
#include "small.h"

#include <jansson.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/rng.h"

const char small_config[] = "data:\n"
                            "  format: idx\n"
                            "  train: {images: train-images, labels: train-labels}\n"
                            "  test: {images: test-images, labels: test-labels}\n"
                            "  normalize: computed\n"
                            "model:\n"
                            "  - conv2d: {filters: 4, kernel_size: 3, use_bias: false}\n"
                            "  - batch_normalization\n"
                            "  - relu\n"
                            "  - flatten\n"
                            "  - dropout: 0.2\n"
                            "  - dense: {units: 3}\n"
                            "train:\n"
                            "  loss: sparse_categorical_crossentropy\n"
                            "  optimizer: {name: adam, learning_rate: 0.02}\n"
                            "  schedule: {name: cosine, warmup_steps: 2}\n"
                            "  batch: 16\n"
                            "  evaluation_batch: 16\n"
                            "  epochs: 3\n"
                            "  threads: 2\n"
                            "  seed: 5\n";

int small_dir_make(void **state)
{
    return test_dir_make(state);
}

int small_dir_remove(void **state)
{
    return test_dir_remove(state);
}

const char *small_path(const char *name)
{
    static char path[64][256];
    static unsigned turn;
    turn = (turn + 1) % 64;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", test_dir, name);
    return path[turn];
}

static void put_u32(FILE *f, uint32_t x)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        assert_int_not_equal(fputc((int)(x >> shift & 255u), f), EOF);
    }
}

static void write_split(const char *images, const char *labels, uint32_t count, uint32_t low)
{
    struct fnl_rng rng;
    fnl_rng_init(&rng, 1, FNL_RNG_TEST, low);
    FILE *x = fopen(small_path(images), "wb");
    FILE *y = fopen(small_path(labels), "wb");
    assert_non_null(x);
    assert_non_null(y);
    put_u32(x, 0x803);
    put_u32(x, count);
    put_u32(x, SMALL_SIDE);
    put_u32(x, SMALL_SIDE);
    put_u32(y, 0x801);
    put_u32(y, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t label = i < SMALL_CLASSES ? i : fnl_rng_below(&rng, SMALL_CLASSES);
        for (uint32_t p = 0; p < SMALL_SIDE * SMALL_SIDE; p++) {
            bool lit = p % SMALL_SIDE / 2 == label;
            (void)fputc((int)(fnl_rng_below(&rng, 150) + (lit ? 70 : 0)), x);
        }
        (void)fputc((int)label, y);
    }
    assert_int_equal(fclose(x), 0);
    assert_int_equal(fclose(y), 0);
}

void small_write_data(void)
{
    write_split("train-images", "train-labels", SMALL_TRAIN, 0);
    write_split("test-images", "test-labels", SMALL_TEST, 1);
}

const char *small_write_config(const char *name, const char *text)
{
    const char *path = small_path(name);
    test_write(path, text, strlen(text));
    return path;
}

static bool stop(void *arg)
{
    struct small_run *r = arg;
    r->asked++;
    return r->asked == r->stop_at;
}

static void epoch(void *arg, const struct fnl_epoch *e, double eta_s)
{
    struct small_run *r = arg;
    (void)eta_s;
    assert_true(r->epochs < TEST_COUNT(r->epoch));
    r->epoch[r->epochs++] = *e;
}

static void note(void *arg, const char *text)
{
    struct small_run *r = arg;
    size_t used = strlen(r->notes);
    (void)snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

void small_train(struct small_run *r)
{
    struct fnl_train_request q = FNL_TRAIN_REQUEST_INIT;
    q.config = r->config;
    q.resume = r->resume;
    q.dir = r->dir != NULL ? r->dir : small_path("state");
    q.assignments = r->set;
    while (q.assignment_count < (int)TEST_COUNT(r->set) && r->set[q.assignment_count] != NULL) {
        q.assignment_count++;
    }
    q.stop = stop;
    q.stop_arg = r;
    q.observer = (struct fnl_train_observer){.epoch = epoch, .note = note, .arg = r};
    r->err = (struct fnl_error)FNL_ERROR_INIT;
    r->asked = 0;
    r->epochs = 0;
    r->notes[0] = 0;
    r->rc = fnl_train(&q, &r->result, &r->err);
}

void small_train_well(struct small_run *r)
{
    small_train(r);
    if (r->rc != 0) {
        fail_msg("%s (%s)", r->err.message, r->err.hint);
    }
}

void small_free(struct small_run *r)
{
    fnl_train_result_free(&r->result);
}

char *small_read(const char *path, size_t *ret_size)
{
    struct fnl_error err = FNL_ERROR_INIT;
    char *data = NULL;
    if (fnl_file_read(path, (size_t)1 << 26, &data, ret_size, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return data;
}

const char *small_file(const struct small_run *r, const char *name)
{
    static char path[4][512];
    static unsigned turn;
    turn = (turn + 1) % 4;
    assert_non_null(r->result.folder);
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", r->result.folder, name);
    return path[turn];
}

void small_assert_same_file(const char *a, const char *b)
{
    size_t a_size, b_size;
    char *a_data = small_read(a, &a_size), *b_data = small_read(b, &b_size);
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a_data, b_data, a_size);
    fnl_free(a_data);
    fnl_free(b_data);
}

/* The lines as one JSON list, without the keys that tell times. */
static json_t *metrics(const struct small_run *r)
{
    size_t size;
    char *text = small_read(small_file(r, "metrics.jsonl"), &size);
    json_t *list = json_array();
    for (char *line = text; *line != 0;) {
        char *end = strchr(line, '\n');
        assert_non_null(end); /* every line is whole */
        json_t *object = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(object);
        assert_int_equal(json_object_del(object, "seconds"), 0);
        assert_int_equal(json_object_del(object, "samples_per_s"), 0);
        assert_int_equal(json_array_append_new(list, object), 0);
        line = end + 1;
    }
    fnl_free(text);
    return list;
}

void small_assert_same_metrics(const struct small_run *a, const struct small_run *b)
{
    json_t *x = metrics(a), *y = metrics(b);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
}
