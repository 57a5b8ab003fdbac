/* load.c - all files of a configuration into splits: reads train first (it settles the number of
 * classes and, for CSV and image folders, their names), then validation and test, then sets samples
 * aside for validation, then makes the normalisation. */
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/data_int.h"

/* In the order of enum fnl__format. */
static fnl__reader_fn *const readers[] = {fnl__read_idx, fnl__read_cifar, fnl__read_npy,
                                          fnl__read_csv, fnl__read_images};

int fnl__load_file(const struct fnl__load *load, const char *name, char **ret_path, char **ret_data,
                   size_t *ret_size, struct fnl_error *err)
{
    char *path = NULL;
    int rc = fnl__data_find(load->config_dir, name, false, &path, err);
    if (rc == 0) {
        rc = fnl_file_read(path, fnl__data_file_max(), ret_data, ret_size, err);
    }
    if (rc != 0) {
        fnl_free(path);
        return rc;
    }
    *ret_path = path;
    return 0;
}

int fnl__load_class_limit(const struct fnl__load *load)
{
    if (load->config->classes.count != 0) {
        return load->config->classes.count;
    }
    return load->class_count != 0 ? load->class_count : FNL_MAX_CLASSES;
}

const char *fnl__load_class_source(const struct fnl__load *load)
{
    if (load->config->classes.count != 0) {
        return "the classes in data.classes";
    }
    return load->class_count != 0 ? "the classes of the data read first" : "the most there may be";
}

/* --- classes and shapes ----------------------------------------------------------------------- */

static int largest_label(const struct fnl_dataset *d)
{
    int largest = 0;
    for (size_t i = 0; i < d->count; i++) {
        largest = d->labels[i] > largest ? d->labels[i] : largest;
    }
    return largest;
}

/* Where the labels alone say how many classes there are, one damaged label makes many more. */
static void warn_of_gaps(const struct fnl__load *load, const struct fnl_dataset *d, int classes)
{
    unsigned char *seen = fnl_calloc((size_t)classes, 1);
    size_t largest_at = 0;
    int missing = classes;
    if (seen == NULL) {
        return; /* only a warning is lost */
    }
    for (size_t i = 0; i < d->count; i++) {
        missing -= seen[d->labels[i]] == 0;
        seen[d->labels[i]] = 1;
        largest_at = d->labels[i] > d->labels[largest_at] ? i : largest_at;
    }
    if (missing > 0) {
        fnl_log(FNL_LOG_WARNING,
                "data.%s: %d of %d classes have no sample; the largest label, %d, is that of "
                "sample %zu",
                fnl__split_names[load->split], missing, classes, classes - 1, largest_at);
    }
    fnl_free(seen);
}

/* The number and the names of classes, from the configuration, the reader, or the labels. */
static int know_classes(struct fnl__load *load, struct fnl_dataset *d, struct fnl_error *err)
{
    const struct fnl_strings *given = &load->config->classes;
    if (d->target_kind != FNL_TARGET_CLASS) {
        return 0;
    }
    if (d->class_count != 0 && given->count != 0 && d->class_count != given->count) {
        return FNL_FAIL(err, CONFIG, NULL, "data.classes names %d classes, the data has %d",
                        given->count, d->class_count);
    }
    if (load->class_count == 0) {
        load->class_count = given->count != 0     ? given->count
                            : d->class_count != 0 ? d->class_count
                                                  : largest_label(d) + 1;
        if (given->count == 0 && d->class_count == 0) {
            warn_of_gaps(load, d, load->class_count);
        }
    }
    if (load->class_names == NULL && given->count != 0) {
        char **names = fnl_arena_array(&load->store->arena, (size_t)given->count, sizeof *names);
        for (int i = 0; names != NULL && i < given->count; i++) {
            names[i] = fnl_arena_strdup(&load->store->arena, given->value[i]);
            names = names[i] != NULL ? names : NULL;
        }
        if (names == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "out of memory for class names");
        }
        load->class_names = names;
    }
    if (load->class_names == NULL) {
        load->class_names = d->class_names;
    }
    d->class_count = load->class_count;
    d->class_names = load->class_names;
    return 0;
}

static int check_same(const struct fnl_dataset *first, const struct fnl_dataset *d,
                      const char *name, struct fnl_error *err)
{
    char a[FNL_SHAPE_TEXT], b[FNL_SHAPE_TEXT];
    if (!fnl_shape_equal(&first->sample, &d->sample)) {
        return FNL_FAIL(err, FORMAT, NULL, "data.%s: samples of shape %s, the others have %s", name,
                        fnl_shape_text(&d->sample, b), fnl_shape_text(&first->sample, a));
    }
    if (first->dtype != d->dtype) {
        return FNL_FAIL(err, FORMAT, "store both in one type",
                        "data.%s: samples of type %s, the others have %s", name,
                        fnl_dtype_name(d->dtype), fnl_dtype_name(first->dtype));
    }
    if (first->target_kind != d->target_kind || first->target_size != d->target_size) {
        return FNL_FAIL(err, FORMAT, "the key data.task says what the target is",
                        "data.%s: its targets are of another kind than the others'", name);
    }
    return 0;
}

static int read_split(struct fnl__load *load, struct fnl_dataset *d,
                      const struct fnl_dataset *first, struct fnl_error *err)
{
    const struct fnl_data_config *c = load->config;
    int rc = readers[c->format](load, &c->split[load->split], d, err);
    if (rc == 0) {
        rc = know_classes(load, d, err);
    }
    if (rc != 0) {
        return fnl_error_context(err, rc, "data.%s", fnl__split_names[load->split]);
    }
    if (c->limit > 0 && (size_t)c->limit < d->count) {
        d->count = (size_t)c->limit;
    }
    return first != NULL ? check_same(first, d, fnl__split_names[load->split], err) : 0;
}

/* --- validation_split ------------------------------------------------------------------------- */

/* Moves the rows marked in `aside` out to `to` and closes the gaps; both keep their order. */
static void move_rows(void *rows, size_t row_bytes, size_t count, const uint8_t *aside, void *to)
{
    char *keep = rows, *out = to;
    const char *from = rows;
    for (size_t i = 0; i < count; i++, from += row_bytes) {
        if (aside[i] != 0) {
            memcpy(out, from, row_bytes);
            out += row_bytes;
        } else {
            if (keep != from) {
                memcpy(keep, from, row_bytes);
            }
            keep += row_bytes;
        }
    }
}

/* One of samples, labels, targets. The rows belong to the store, so they may be changed. */
static int split_rows(struct fnl_data_store *store, const void *rows, size_t row_bytes,
                      size_t count, size_t aside_count, const uint8_t *aside, const void **ret_out,
                      struct fnl_error *err)
{
    void *out = NULL;
    if (rows == NULL) {
        return 0;
    }
    int rc = fnl__store_alloc(store, aside_count, row_bytes, "data.validation_split", &out, err);
    if (rc == 0) {
        move_rows((void *)(uintptr_t)rows, row_bytes, count, aside, out);
        *ret_out = out;
    }
    return rc;
}

static int set_aside_marked(struct fnl_splits *s, size_t aside_count, const uint8_t *aside,
                            struct fnl_error *err)
{
    struct fnl_dataset *t = &s->train, v = *t;
    const void *samples = NULL, *labels = NULL, *targets = NULL;
    int rc = split_rows(s->store, t->samples, t->sample_size * fnl_dtype_size(t->dtype), t->count,
                        aside_count, aside, &samples, err);
    if (rc == 0) {
        rc = split_rows(s->store, t->labels, sizeof(int32_t), t->count, aside_count, aside, &labels,
                        err);
    }
    if (rc == 0) {
        rc = split_rows(s->store, t->targets, t->target_size * sizeof(float), t->count, aside_count,
                        aside, &targets, err);
    }
    if (rc != 0) {
        return rc;
    }
    v.samples = samples;
    v.labels = labels;
    v.targets = targets;
    v.count = aside_count;
    t->count -= aside_count;
    s->validation = v;
    return 0;
}

static int set_aside(const struct fnl_data_config *c, uint64_t seed, struct fnl_splits *s,
                     struct fnl_error *err)
{
    size_t count = s->train.count, part = (size_t)((double)count * c->validation_split);
    if (c->validation_split <= 0) {
        return 0;
    }
    if (part == 0 || part == count) {
        return FNL_FAIL(err, CONFIG, "choose another part, or remove data.limit",
                        "data.validation_split: %g of %zu samples leaves one of the two empty",
                        c->validation_split, count);
    }
    uint32_t *order = fnl_malloc(count * sizeof *order);
    uint8_t *aside = fnl_calloc(count, 1);
    int rc = order == NULL || aside == NULL
                 ? FNL_FAIL(err, NOMEM, NULL, "out of memory for data.validation_split")
                 : 0;
    if (rc == 0) {
        fnl_rng_permutation(seed, FNL_RNG_SPLIT, 0, order, count);
        for (size_t i = 0; i < part; i++) {
            aside[order[i]] = 1;
        }
        rc = set_aside_marked(s, part, aside, err);
    }
    fnl_free(aside);
    fnl_free(order);
    return rc;
}

/* --- all -------------------------------------------------------------------------------------- */

static int load_all(struct fnl__load *load, uint64_t seed, struct fnl_splits *s,
                    struct fnl_error *err)
{
    struct fnl_dataset *const dataset[] = {&s->train, &s->validation, &s->test};
    const struct fnl_dataset *first = NULL;
    for (int i = 0; i < FNL_SPLIT_COUNT; i++) {
        if (load->config->split[i].node == NULL) {
            continue;
        }
        load->split = (enum fnl__split)i;
        int rc = read_split(load, dataset[i], first, err);
        if (rc != 0) {
            return rc;
        }
        first = first != NULL ? first : dataset[i];
    }
    int rc = set_aside(load->config, seed, s, err);
    return rc != 0 ? rc : fnl__normalization_make(load->config, s, err);
}

int fnl_data_load(const struct fnl_data_config *config, const char *config_dir, uint64_t seed,
                  struct fnl_splits **ret_splits, struct fnl_error *err)
{
    struct fnl_splits *s = fnl_calloc(1, sizeof *s);
    if (s == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    int rc = fnl__store_create(&s->store, err);
    if (rc == 0) {
        struct fnl__load load = {.config = config, .config_dir = config_dir, .store = s->store};
        rc = load_all(&load, seed, s, err);
        fnl__csv_plan_free(load.csv);
    }
    if (rc != 0) {
        fnl_splits_free(s);
        return rc;
    }
    *ret_splits = s;
    return 0;
}

void fnl_splits_free(struct fnl_splits *splits)
{
    if (splits != NULL) {
        fnl__store_free(splits->store);
        fnl_free(splits);
    }
}

void fnl_dataset_class_counts(const struct fnl_dataset *dataset, size_t *counts)
{
    memset(counts, 0, (size_t)dataset->class_count * sizeof *counts);
    for (size_t i = 0; i < dataset->count; i++) {
        counts[dataset->labels[i]]++;
    }
}
