/* data.h - labelled samples from files, and the loader that turns them into batches.
 *
 * A dataset is held in memory as read: u8 (images, channels last: H, W, C) or float32. The loader
 * makes float32 batches: gather by the epoch's permutation, augment, normalise. Every batch is a
 * pure function of (seed, epoch, batch index), so any thread may fill any of its rows and a resumed
 * run sees the same. */
#ifndef FNL_DATA_DATA_H
#define FNL_DATA_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/tensor_type.h"
#include "base/yaml.h"

enum fnl_target_kind { FNL_TARGET_CLASS, FNL_TARGET_REAL };

struct fnl_dataset {
    size_t count; /* samples */
    /* Shape of one sample as the model sees it: {C, H, W} for images, {F} for rows. Memory order of
     * an image is H, W, C. */
    struct fnl_shape sample;
    size_t sample_size;   /* elements of one sample */
    enum fnl_dtype dtype; /* FNL_U8 or FNL_F32 */
    const void *samples;  /* count * sample_size elements */
    enum fnl_target_kind target_kind;
    const int32_t *labels; /* CLASS: count, each in [0, class_count) */
    const float *targets;  /* REAL: count * target_size */
    size_t target_size;
    int class_count;
    char **class_names; /* class_count names, or NULL */
};

/* The `data:` section, checked. doc must stay until the data is loaded (errors name its lines). */
struct fnl_data_config;
int fnl_data_config_read(const struct fnl_yaml *doc, const struct fnl_yaml_node *data_node,
                         struct fnl_data_config **ret_config, struct fnl_error *err);
void fnl_data_config_free(struct fnl_data_config *config); /* takes NULL */
bool fnl_data_config_augments(const struct fnl_data_config *config);
/* The tables of keys, for docs/config.md. */
struct fnl_buf;
int fnl_data_config_doc(struct fnl_buf *out);

/* Normalisation of a sample's elements: y = (x * scale - mean[c]) / std[c] folded into y = x *
 * mul[c] + add[c], computed as one float multiply, then one float add (never fused), so that the
 * same two operators in an ONNX file give the same bits. */
struct fnl_normalization {
    int channels;     /* entries of mul and add: 1, C, or F; 0 = none (identity) */
    float *mul, *add; /* borrowed from the splits that own it */
};

struct fnl_splits {
    struct fnl_dataset train, validation, test; /* count 0 when absent */
    struct fnl_normalization normalization;     /* of all three, computed on train when asked */
    /* for the CSV reader: names of columns etc. stay in the config */
    struct fnl_data_store *store; /* owns all memory */
};

/* Reads all files named by the config. Relative paths are looked for beside config_dir, in
 * config_dir/data, ./data, and in $FOURNIL_DATA. Augmentation settings stay in the config. */
int fnl_data_load(const struct fnl_data_config *config, const char *config_dir, uint64_t seed,
                  struct fnl_splits **ret_splits, struct fnl_error *err);
void fnl_splits_free(struct fnl_splits *splits); /* takes NULL */
/* Samples of each class into counts[class_count]. */
void fnl_dataset_class_counts(const struct fnl_dataset *dataset, size_t *counts);

/* ---- loader ---- */
struct fnl_batch {
    size_t rows;
    const float *x;        /* rows * sample_size; images channels last */
    const int32_t *labels; /* CLASS */
    const float *targets;  /* REAL: rows * target_size */
};

struct fnl_loader_options {
    int version;
    size_t batch; /* rows of a batch; the last may have fewer */
    bool shuffle; /* a new permutation each epoch */
    bool augment; /* as the config says; off for evaluation */
    bool drop_last;
    bool normalize; /* false: raw values as float */
    int prefetch;   /* batches made ahead by a thread of the loader's own; 0 = in the caller */
    uint64_t seed;
};
#define FNL_LOADER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        1, 64, false, false, false, true, 0, 0                                                     \
    }

struct fnl_loader;
/* config: for its augmentation, read here; NULL = none. splits (for its normalisation) and dataset
 * must stay. */
int fnl_loader_create(const struct fnl_data_config *config, const struct fnl_splits *splits,
                      const struct fnl_dataset *dataset, const struct fnl_loader_options *options,
                      struct fnl_loader **ret_loader, struct fnl_error *err);
void fnl_loader_free(struct fnl_loader *loader);            /* takes NULL */
size_t fnl_loader_batches(const struct fnl_loader *loader); /* in one epoch */
/* The sample of each row of an epoch, in order; dst: as many as the data set has. */
void fnl_loader_order(const struct fnl_loader *loader, uint32_t epoch, uint32_t *dst);
/* Starts an epoch at batch index first (0, or where a resumed run stopped). Allocates nothing. */
int fnl_loader_start(struct fnl_loader *loader, uint32_t epoch, size_t first,
                     struct fnl_error *err);
/* The next batch, valid until the next call; rows == 0 at the end. Allocates nothing. */
int fnl_loader_next(struct fnl_loader *loader, struct fnl_batch *ret_batch, struct fnl_error *err);

#endif
