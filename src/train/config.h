/* config.h - the whole YAML file of a training run: `data:`, `model:`, `train:`, checked. */
#ifndef FNL_TRAIN_CONFIG_H
#define FNL_TRAIN_CONFIG_H

#include "base/arena.h"
#include "base/yaml.h"
#include "data/data.h"
#include "engine/exec.h"
#include "train/device.h"
#include "train/schedule.h"

enum fnl_monitor { /* the numbers a run can be judged by */
                   FNL_MONITOR_VAL_LOSS,
                   FNL_MONITOR_VAL_ACCURACY,
                   FNL_MONITOR_LOSS,
                   FNL_MONITOR_ACCURACY,
};
extern const char *const fnl_monitor_names[];
extern const char *const fnl_loss_names[];      /* in the order of enum fnl_loss */
extern const char *const fnl_precision_names[]; /* in the order of enum fnl_precision */

struct fnl_early_stopping {
    bool on;
    bool monitor_given;
    int monitor; /* enum fnl_monitor */
    int64_t patience;
    double min_delta;
    bool restore_best;
};

struct fnl_checkpointing {
    bool best_by_given;
    int best_by; /* enum fnl_monitor */
    int64_t every_epochs;
    int64_t every_seconds;
};

struct fnl_train_config {
    struct fnl_yaml *doc;
    char *directory; /* of the file: data files are looked for beside it */
    struct fnl_arena arena;
    struct fnl_yaml_node *data_node, *layers, *train_node; /* in doc; the last two may be NULL */
    struct fnl_data_config *data;
    bool augments; /* batches cost more to make */

    int loss; /* enum fnl_loss */
    struct fnl_optimizer optimizer;
    struct fnl_schedule schedule;
    int64_t batch, evaluation_batch, epochs, seed, threads; /* threads: 0 = chosen by timing */
    bool shuffle, deterministic;
    int precision; /* enum fnl_precision */
    struct fnl_train_choice device;
    struct fnl_early_stopping early_stopping;
    struct fnl_checkpointing checkpoint;
};

/* Reads path, applies the assignments ("train.epochs=5") in order, checks everything. data_only:
 * for evaluation, where `model:` may be absent. directory: where its relative paths start; NULL:
 * the folder of path. */
int fnl_train_config_load(const char *path, const char *directory, const char *const *assignments,
                          int count, bool data_only, struct fnl_train_config **ret_config,
                          struct fnl_error *err);
void fnl_train_config_free(struct fnl_train_config *config); /* takes NULL */

/* Where two files differ: the path of the first key ("train.batch") into out, or "" when they mean
 * the same. Keys whose path is in `ignore` (NULL-terminated) may differ. */
#define FNL_CONFIG_PATH 256
void fnl_train_config_difference(const struct fnl_yaml *a, const struct fnl_yaml *b,
                                 const char *const *ignore, char out[FNL_CONFIG_PATH]);

/* What a checkpoint knows its run's configuration by: the same for all that mean the same, whatever
 * their comments, and whatever their train.epochs where the schedule does not depend on it. */
uint32_t fnl_train_config_identity(const struct fnl_train_config *config);

/* docs/config.md: every key with default, range and meaning. */
struct fnl_buf;
int fnl_train_config_doc(struct fnl_buf *out);

#endif
