/* config_int.h - the tables of keys of `train:`, shared by the reader and the documentation. */
#ifndef FNL_TRAIN_CONFIG_INT_H
#define FNL_TRAIN_CONFIG_INT_H

#include "base/schema.h"
#include "train/config.h"

/* What the tables fill. */
struct fnl__top_keys {
    struct fnl_yaml_node *data, *model, *train;
};
struct fnl__train_keys {
    int loss, precision;
    const char *device;
    int64_t batch, evaluation_batch, epochs, seed, threads;
    bool shuffle, deterministic;
    double clip_norm, clip_value;
    struct fnl_yaml_node *optimizer, *schedule, *early_stopping, *checkpoint;
};
struct fnl__optimizer_keys {
    int name;
    double learning_rate, momentum, beta_1, beta_2, epsilon, weight_decay;
    bool nesterov;
};

extern const struct fnl_field fnl__top_fields[], fnl__data_only_fields[];
extern const struct fnl_field fnl__train_fields[];
extern const struct fnl_field *const fnl__optimizer_fields[]; /* by enum fnl_optimizer_kind */
extern const char *const fnl__optimizer_names[];
extern const struct fnl_alias fnl__optimizer_aliases[];
extern const struct fnl_field *const fnl__schedule_fields[]; /* by enum fnl_schedule_kind */
extern const struct fnl_field fnl__early_stopping_fields[];
extern const struct fnl_field fnl__checkpoint_fields[];

#endif
