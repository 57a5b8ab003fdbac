/* images.c - a folder with one folder a class, each holding PNG and JPEG files. Classes are the
 * folders' names in the order of their bytes (or data.classes), samples go class by class in the
 * order of file names: the same on every file system. Hidden entries and other files are left out.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/data_int.h"

struct listing {
    char **name; /* fnl_free each */
    size_t count, capacity;
};

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++) {
        fnl_free(l->name[i]);
    }
    fnl_free(l->name);
    *l = (struct listing){0};
}

static int listing_add(struct listing *l, const char *name)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity != 0 ? l->capacity * 2 : 64;
        char **grown = fnl_realloc(l->name, capacity * sizeof *grown);
        if (grown == NULL) {
            return FNL_E_NOMEM;
        }
        l->name = grown;
        l->capacity = capacity;
    }
    l->name[l->count] = fnl_strdup(name);
    if (l->name[l->count] == NULL) {
        return FNL_E_NOMEM;
    }
    l->count++;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Folders of `path` (folders), or its image files. */
static int list(const char *path, bool folders, struct listing *l, struct fnl_error *err)
{
    DIR *dir = opendir(path);
    size_t others = 0;
    int rc = 0;
    if (dir == NULL) {
        return FNL_FAIL(err, IO, "check the path and its permissions", "%s: cannot open: %s", path,
                        strerror(errno));
    }
    for (const struct dirent *e = readdir(dir); e != NULL && rc == 0; e = readdir(dir)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        char *full = fnl_path_join(path, e->d_name);
        bool is_dir = full != NULL && fnl_path_is_dir(full);
        rc = full == NULL ? FNL_E_NOMEM : 0;
        fnl_free(full);
        if (rc == 0 && folders == is_dir && (folders || fnl__image_is_name(e->d_name))) {
            rc = listing_add(l, e->d_name);
        } else {
            others += !folders;
        }
        if (l->count > FNL_MAX_SAMPLES) {
            rc = FNL_E_LIMIT;
        }
    }
    (void)closedir(dir);
    if (rc != 0) {
        return rc == FNL_E_NOMEM ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                                 : FNL_FAIL(err, LIMIT, NULL, "%s: too many files", path);
    }
    if (others != 0) {
        fnl_log(FNL_LOG_WARNING, "%s: %zu entries that are not PNG or JPEG were left out", path,
                others);
    }
    if (l->count != 0) {
        qsort(l->name, l->count, sizeof *l->name, compare);
    }
    return 0;
}

/* --- classes ---------------------------------------------------------------------------------- */

static int classes_from(struct fnl__load *load, const char *const *name, size_t count,
                        struct fnl_error *err)
{
    if (count > FNL_MAX_CLASSES) {
        return FNL_FAIL(err, LIMIT, NULL, "%zu folders of classes (at most %d)", count,
                        FNL_MAX_CLASSES);
    }
    char **names = fnl_arena_array(&load->store->arena, count, sizeof *names);
    if (names == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory for class names");
    }
    for (size_t i = 0; i < count; i++) {
        if (!fnl_utf8_valid(name[i], strlen(name[i]))) {
            return FNL_FAIL(err, FORMAT, "rename it", "the folder \"%.60s\" is not UTF-8", name[i]);
        }
        names[i] = fnl__store_text(load->store, name[i], strlen(name[i]), err);
        if (names[i] == NULL) {
            return FNL_E_NOMEM;
        }
    }
    load->class_names = names;
    load->class_count = (int)count;
    return 0;
}

/* The first folder read decides, unless data.classes does. */
static int know_classes(struct fnl__load *load, const char *path, const struct listing *folders,
                        struct fnl_error *err)
{
    const struct fnl_strings *given = &load->config->classes;
    if (load->class_names != NULL) {
        return 0;
    }
    if (given->count != 0) {
        return classes_from(load, given->value, (size_t)given->count, err);
    }
    if (folders->count == 0) {
        return FNL_FAIL(err, FORMAT, "put the images of each class into a folder of its name",
                        "%s: has no folders of classes", path);
    }
    return classes_from(load, (const char *const *)folders->name, folders->count, err);
}

static int class_of(const struct fnl__load *load, const char *path, const char *folder, int *ret,
                    struct fnl_error *err)
{
    for (int i = 0; i < load->class_count; i++) {
        if (strcmp(load->class_names[i], folder) == 0) {
            *ret = i;
            return 0;
        }
    }
    return FNL_FAIL(err, FORMAT,
                    load->config->classes.count != 0 ? "data.classes must list every folder"
                                                     : "the training folder must have every class",
                    "%s/%s: unknown class", path, folder);
}

/* --- pixels ----------------------------------------------------------------------------------- */

struct filling {
    struct fnl__load *load;
    uint8_t *samples; /* grows by doubling: the count is known only when all folders are listed */
    int32_t *labels;
    size_t count, capacity;
    size_t sample_size;
};

static int reserve(struct filling *f, const char *path, struct fnl_error *err)
{
    if (f->count < f->capacity) {
        return 0;
    }
    size_t capacity = f->capacity != 0 ? f->capacity * 2 : 256, bytes = 0;
    uint8_t *samples = NULL;
    int32_t *labels = NULL;
    if (!__builtin_mul_overflow(capacity, f->sample_size, &bytes)) {
        samples = fnl_realloc(f->samples, bytes);
        f->samples = samples != NULL ? samples : f->samples;
        labels = fnl_realloc(f->labels, capacity * sizeof *labels);
        f->labels = labels != NULL ? labels : f->labels;
    }
    if (samples == NULL || labels == NULL) {
        return FNL_FAIL(err, NOMEM, "take fewer samples, or a smaller data.size",
                        "%s: out of memory for %zu images", path, capacity);
    }
    f->capacity = capacity;
    return 0;
}

/* The first image decides what is not configured. */
static void know_shape(struct fnl__load *load, const struct fnl__image *image)
{
    if (load->image_height == 0) {
        const struct fnl_ints *size = &load->config->size;
        load->image_height = size->count == 2 ? (int)size->value[0] : image->height;
        load->image_width = size->count == 2 ? (int)size->value[1] : image->width;
        load->image_channels = image->channels;
    }
}

static int add_image(struct filling *f, const char *path, int label, struct fnl_error *err)
{
    struct fnl__load *load = f->load;
    struct fnl__image image = {0};
    char *data = NULL;
    size_t size = 0;
    int channels = load->image_channels != 0 ? load->image_channels : (int)load->config->channels;
    int rc = fnl_file_read(path, FNL_MAX_IMAGE_FILE_BYTES, &data, &size, err);
    if (rc == 0) {
        rc = fnl__image_decode(path, data, size, channels, &image, err);
        fnl_free(data);
    }
    if (rc != 0) {
        return rc;
    }
    know_shape(load, &image);
    f->sample_size =
        (size_t)load->image_height * (size_t)load->image_width * (size_t)load->image_channels;
    if (load->config->size.count == 0 &&
        (image.height != load->image_height || image.width != load->image_width)) {
        rc = FNL_FAIL(err, FORMAT, "add \"size: [height, width]\" to data to resize all images",
                      "%s: %d x %d pixels, the images before it have %d x %d", path, image.width,
                      image.height, load->image_width, load->image_height);
    } else if (f->sample_size > FNL_MAX_SAMPLE_ELEMENTS) {
        rc = FNL_FAIL(err, LIMIT, "choose a smaller data.size", "%s: %zu values an image", path,
                      f->sample_size);
    }
    if (rc == 0) {
        rc = reserve(f, path, err);
    }
    if (rc == 0) {
        rc = fnl__image_resize(&image, load->image_height, load->image_width,
                               f->samples + f->count * f->sample_size, err);
    }
    if (rc == 0) {
        f->labels[f->count++] = label;
    }
    fnl__image_free(&image);
    return rc;
}

static bool enough(const struct filling *f)
{
    int64_t limit = f->load->config->limit;
    return limit > 0 && f->count >= (size_t)limit;
}

static int add_class(struct filling *f, const char *path, const char *folder, struct fnl_error *err)
{
    struct listing files = {0};
    int label = 0;
    char *full = fnl_path_join(path, folder);
    int rc = full == NULL ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                          : class_of(f->load, path, folder, &label, err);
    if (rc == 0) {
        rc = list(full, false, &files, err);
    }
    for (size_t i = 0; rc == 0 && i < files.count && !enough(f); i++) {
        char *file = fnl_path_join(full, files.name[i]);
        rc = file == NULL ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", full)
                          : add_image(f, file, label, err);
        fnl_free(file);
    }
    listing_free(&files);
    fnl_free(full);
    return rc;
}

/* One warning for all classes that came out empty: a folder that was never filled, or that holds
 * files of another kind. Not under data.limit, which leaves the last classes out. */
static void warn_of_empty(const struct filling *f, const char *path)
{
    const struct fnl__load *load = f->load;
    unsigned char *seen = fnl_calloc((size_t)load->class_count, 1);
    int first = -1, others = 0;
    for (size_t i = 0; seen != NULL && i < f->count; i++) {
        seen[f->labels[i]] = 1;
    }
    for (int i = 0; seen != NULL && i < load->class_count; i++) {
        others += seen[i] == 0 && first >= 0;
        first = seen[i] == 0 && first < 0 ? i : first;
    }
    char also[64] = "";
    if (others > 0) {
        (void)snprintf(also, sizeof also, ", nor have %d other class%s", others,
                       others == 1 ? "" : "es");
    }
    char *folder = first >= 0 ? fnl_path_join(path, load->class_names[first]) : NULL;
    if (folder != NULL) {
        fnl_log(FNL_LOG_WARNING, "%s: %s: this class has no samples in data.%s%s", folder,
                fnl_path_is_dir(folder) ? "no PNG or JPEG files" : "no such folder",
                fnl__split_names[load->split], also);
    }
    fnl_free(folder);
    fnl_free(seen);
}

/* Moves what was filled into the store. */
static int finish(struct filling *f, struct fnl_dataset *out, struct fnl_error *err)
{
    struct fnl__load *load = f->load;
    *out = (struct fnl_dataset){
        .count = f->count,
        .sample = fnl_shape_make(3, load->image_channels, load->image_height, load->image_width),
        .sample_size = f->sample_size,
        .dtype = FNL_U8,
        .samples = f->samples,
        .target_kind = FNL_TARGET_CLASS,
        .labels = f->labels,
        .class_count = load->class_count,
        .class_names = load->class_names};
    int rc = fnl__store_keep(load->store, f->samples, err);
    f->samples = NULL;
    if (rc == 0) {
        rc = fnl__store_keep(load->store, f->labels, err);
        f->labels = NULL;
    }
    return rc;
}

int fnl__read_images(struct fnl__load *load, const struct fnl__files *files,
                     struct fnl_dataset *out, struct fnl_error *err)
{
    struct filling f = {.load = load};
    struct listing folders = {0};
    char *path = NULL;
    int rc = fnl__data_find(load->config_dir, files->folder, true, &path, err);
    if (rc == 0) {
        rc = list(path, true, &folders, err);
    }
    if (rc == 0) {
        rc = know_classes(load, path, &folders, err);
    }
    for (size_t i = 0; rc == 0 && i < folders.count && !enough(&f); i++) {
        rc = add_class(&f, path, folders.name[i], err);
    }
    if (rc == 0 && f.count == 0) {
        rc = FNL_FAIL(err, FORMAT, "put PNG or JPEG files into a folder for each class",
                      "%s: has no images", path);
    }
    if (rc == 0 && !enough(&f)) {
        warn_of_empty(&f, path);
    }
    if (rc == 0) {
        rc = finish(&f, out, err);
    }
    fnl_free(f.samples);
    fnl_free(f.labels);
    listing_free(&folders);
    fnl_free(path);
    return rc;
}
