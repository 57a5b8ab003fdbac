/* cifar.c - CIFAR-10's binary version: records of one label byte and 32 x 32 pixels as three
 * planes. The number of records is the file's size / 3073. Images are held as H, W, C. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/data_int.h"

#define CIFAR_CLASSES 10

int fnl__cifar_count(const char *name, size_t size, size_t *ret_count, struct fnl_error *err)
{
    if (size == 0 || size % FNL__CIFAR_RECORD != 0) {
        return FNL_FAIL(
            err, FORMAT,
            "the file is cut short, or not of CIFAR-10's binary version: fetch it again",
            "%s: offset %zu: the file ends inside record %zu (%zu bytes are no multiple "
            "of %u)",
            name, size, size / FNL__CIFAR_RECORD, size, FNL__CIFAR_RECORD);
    }
    *ret_count = size / FNL__CIFAR_RECORD;
    return 0;
}

int fnl__cifar_parse(const char *name, const char *data, size_t count, uint8_t *samples,
                     int32_t *labels, struct fnl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *record = (const uint8_t *)data + i * FNL__CIFAR_RECORD;
        if (record[0] >= CIFAR_CLASSES) {
            return FNL_FAIL(
                err, FORMAT, "is this a file of CIFAR-10's binary version?",
                "%s: offset %zu: sample %zu: label %u is out of range, expected 0 to %d", name,
                i * FNL__CIFAR_RECORD, i, record[0], CIFAR_CLASSES - 1);
        }
        labels[i] = record[0];
        fnl__planes_to_pixels(record + 1, samples + i * FNL__CIFAR_SAMPLE, 3, FNL__CIFAR_PIXELS, 1);
    }
    return 0;
}

/* The files in memory until all are read: their sizes tell how many samples there are. */
struct cifar_file {
    char *path, *data;
    size_t count;
};

static int read_files(struct fnl__load *load, const struct fnl_strings *names,
                      struct cifar_file *file, size_t *ret_total, struct fnl_error *err)
{
    size_t total = 0;
    for (int i = 0; i < names->count; i++) {
        size_t size = 0;
        int rc = fnl__load_file(load, names->value[i], &file[i].path, &file[i].data, &size, err);
        if (rc == 0) {
            rc = fnl__cifar_count(file[i].path, size, &file[i].count, err);
        }
        if (rc != 0) {
            return rc;
        }
        total += file[i].count;
        if (total > FNL_MAX_SAMPLES) {
            return FNL_FAIL(err, LIMIT, NULL, "%s: more than %u samples", file[i].path,
                            FNL_MAX_SAMPLES);
        }
    }
    *ret_total = total;
    return 0;
}

static int parse_files(struct fnl__load *load, struct cifar_file *file, int files, size_t total,
                       struct fnl_dataset *out, struct fnl_error *err)
{
    void *samples = NULL, *labels = NULL;
    int rc = fnl__store_alloc(load->store, total, FNL__CIFAR_SAMPLE, "CIFAR-10", &samples, err);
    if (rc == 0) {
        rc = fnl__store_alloc(load->store, total, sizeof(int32_t), "CIFAR-10", &labels, err);
    }
    size_t at = 0;
    for (int i = 0; i < files && rc == 0; i++) {
        rc = fnl__cifar_parse(file[i].path, file[i].data, file[i].count,
                              (uint8_t *)samples + at * FNL__CIFAR_SAMPLE, (int32_t *)labels + at,
                              err);
        at += file[i].count;
        fnl_free(file[i].data);
        file[i].data = NULL;
    }
    if (rc == 0) {
        *out = (struct fnl_dataset){.count = total,
                                    .sample = fnl_shape_make(3, 3, 32, 32),
                                    .sample_size = FNL__CIFAR_SAMPLE,
                                    .dtype = FNL_U8,
                                    .samples = samples,
                                    .target_kind = FNL_TARGET_CLASS,
                                    .labels = labels,
                                    .class_count = CIFAR_CLASSES};
    }
    return rc;
}

/* Class names from batches.meta.txt beside the data, when it is there and has ten lines. */
static int read_names(struct fnl__load *load, const char *path, struct fnl_dataset *out,
                      struct fnl_error *err)
{
    char *folder = fnl_path_dirname(path);
    char *meta = folder != NULL ? fnl_path_join(folder, "batches.meta.txt") : NULL;
    char *text = NULL;
    size_t size = 0;
    int rc = 0;
    if (meta == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    } else if (fnl_path_exists(meta)) {
        rc = fnl_file_read(meta, 4096, &text, &size, err);
    }
    if (rc == 0 && text != NULL && fnl_utf8_valid(text, size)) {
        char **names = fnl_arena_array(&load->store->arena, CIFAR_CLASSES, sizeof *names);
        int count = 0;
        rc = names == NULL ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path) : 0;
        for (const char *p = text; rc == 0 && *p != 0 && count < CIFAR_CLASSES;) {
            size_t n = strcspn(p, "\r\n");
            if (n != 0) {
                names[count++] = fnl__store_text(load->store, p, n, err);
                rc = names[count - 1] == NULL ? FNL_E_NOMEM : 0;
            }
            p += n + strspn(p + n, "\r\n");
        }
        out->class_names = rc == 0 && count == CIFAR_CLASSES ? names : NULL;
    }
    fnl_free(text);
    fnl_free(meta);
    fnl_free(folder);
    return rc;
}

int fnl__read_cifar(struct fnl__load *load, const struct fnl__files *files, struct fnl_dataset *out,
                    struct fnl_error *err)
{
    size_t total = 0;
    int count = files->files.count;
    struct cifar_file *file = fnl_calloc((size_t)count, sizeof *file);
    if (file == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    int rc = read_files(load, &files->files, file, &total, err);
    if (rc == 0) {
        rc = parse_files(load, file, count, total, out, err);
    }
    if (rc == 0) {
        rc = read_names(load, file[0].path, out, err);
    }
    for (int i = 0; i < count; i++) {
        fnl_free(file[i].path);
        fnl_free(file[i].data);
    }
    fnl_free(file);
    return rc;
}
