/* config_fields.c - the keys of `train:` as tables: name, type, default, range, meaning. The reader
 * (config.c) and docs/config.md (config_doc.c) go by the same rows. */
#include "train/config_int.h"

#include "base/limits.h"

const char *const fnl_monitor_names[] = {"val_loss", "val_accuracy", "loss", "accuracy", NULL};
const char *const fnl_loss_names[] = {"sparse_categorical_crossentropy", "categorical_crossentropy",
                                      "binary_crossentropy", "mean_squared_error", NULL};
const char *const fnl_precision_names[] = {"float32", "bfloat16", NULL};
const char *const fnl__optimizer_names[] = {"sgd", "adam", "adamw", NULL};

/* Keras takes these too: its short names and its classes' names. */
static const struct fnl_alias loss_aliases[] = {
    {"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", false},
    {"CategoricalCrossentropy", "categorical_crossentropy", false},
    {"BinaryCrossentropy", "binary_crossentropy", false},
    {"bce", "binary_crossentropy", false},
    {"BCE", "binary_crossentropy", false},
    {"MeanSquaredError", "mean_squared_error", false},
    {"mse", "mean_squared_error", false},
    {"MSE", "mean_squared_error", false},
    /* Other tools' names: of labels, as nearly all data sets have them. */
    {"crossentropy", "sparse_categorical_crossentropy", true},
    {"cross_entropy", "sparse_categorical_crossentropy", true},
    {"CrossEntropyLoss", "sparse_categorical_crossentropy", true},
    {"ce", "sparse_categorical_crossentropy", true},
    {"nll", "sparse_categorical_crossentropy", true},
    {"nll_loss", "sparse_categorical_crossentropy", true},
    {"BCELoss", "binary_crossentropy", true},
    {"BCEWithLogitsLoss", "binary_crossentropy", true},
    {"MSELoss", "mean_squared_error", true},
    {"l2", "mean_squared_error", true},
    {NULL, NULL, false},
};
const struct fnl_alias fnl__optimizer_aliases[] = {
    {"SGD", "sgd", false},
    {"Adam", "adam", false},
    {"AdamW", "adamw", false},
    {NULL, NULL, false},
};
static const struct fnl_alias precision_aliases[] = {
    {"bf16", "bfloat16", true},
    {"mixed_bfloat16", "bfloat16", true},
    {"fp32", "float32", true},
    {NULL, NULL, false},
};
static const char *const other_batch[] = {"batch_size", NULL};
static const char *const other_epochs[] = {"num_epochs", "max_epochs", NULL};
static const char *const other_rate[] = {"lr", NULL};
static const char *const other_optimizer[] = {"learning_rate", "lr", "momentum", "weight_decay",
                                              NULL};
static const char *const other_schedule[] = {"scheduler", "lr_schedule", "lr_scheduler", NULL};
static const char *const other_norm[] = {"clipnorm", "global_clipnorm", NULL};
static const char *const other_value[] = {"clipvalue", NULL};
static const char *const other_restore[] = {"restore_best_weights", NULL};

/* A seed is a YAML number: integers up to here are exact in every reader of JSON and YAML. */
#define SEED_MAX 9007199254740991.0

#define AT(type, field) offsetof(struct type, field)

const struct fnl_field fnl__top_fields[] = {
    {"data", FNL_FIELD_NODE, AT(fnl__top_keys, data), .required = true,
     .doc = "Where samples come from."},
    {"model", FNL_FIELD_NODE, AT(fnl__top_keys, model), .required = true,
     .doc = "The list of layers."},
    {"train", FNL_FIELD_NODE, AT(fnl__top_keys, train), .doc = "How to train it."},
    {NULL},
};
const struct fnl_field fnl__data_only_fields[] = {
    {"data", FNL_FIELD_NODE, AT(fnl__top_keys, data), .required = true,
     .doc = "Where samples come from."},
    {"model", FNL_FIELD_NODE, AT(fnl__top_keys, model), .doc = "Not read by evaluate."},
    {"train", FNL_FIELD_NODE, AT(fnl__top_keys, train), .doc = "How it was trained."},
    {NULL},
};

const struct fnl_field fnl__train_fields[] = {
    {"loss", FNL_FIELD_ENUM, AT(fnl__train_keys, loss),
     .fallback = "sparse_categorical_crossentropy", .names = fnl_loss_names,
     .doc = "What is made small; a softmax or sigmoid at the end of the model becomes part of it.",
     .aliases = loss_aliases},
    {"batch", FNL_FIELD_INT, AT(fnl__train_keys, batch), .fallback = "64", .min = 1,
     .max = FNL_MAX_BATCH, .doc = "Samples of one step.", .other_keys = other_batch},
    {"epochs", FNL_FIELD_INT, AT(fnl__train_keys, epochs), .fallback = "10", .min = 1,
     .max = FNL_MAX_EPOCHS, .doc = "Passes over the training data.", .other_keys = other_epochs},
    {"seed", FNL_FIELD_INT, AT(fnl__train_keys, seed), .fallback = "1", .max = SEED_MAX,
     .doc =
         "of initial weights, order, augmentation and dropout; the same seed gives the same run"},
    {"shuffle", FNL_FIELD_BOOL, AT(fnl__train_keys, shuffle), .fallback = "true",
     .doc = "A new order of the training samples each epoch."},
    {"evaluation_batch", FNL_FIELD_INT, AT(fnl__train_keys, evaluation_batch), .fallback = "256",
     .min = 1, .max = FNL_MAX_BATCH, .doc = "Samples of one step of an evaluation."},
    {"precision", FNL_FIELD_ENUM, AT(fnl__train_keys, precision), .fallback = "float32",
     .names = fnl_precision_names,
     .doc = "Of products and activations in training; weights and evaluation stay float32. "
            "`bfloat16` is faster only on a CPU with AVX512_BF16 (a run without says so).",
     .aliases = precision_aliases},
    {"device", FNL_FIELD_STRING, AT(fnl__train_keys, device), .fallback = "auto",
     .doc =
         "`cpu`, `auto` (the fastest that this build can train on: the CPU so far) or `ref` (the "
         "slow reference)."},
    {"threads", FNL_FIELD_INT, AT(fnl__train_keys, threads), .fallback = "0", .max = FNL_MAX_SHARDS,
     .doc =
         "Worker threads; 0 times a few steps and takes the best. The batch is split among them, "
         "so results depend on the number unless `deterministic`."},
    {"deterministic", FNL_FIELD_BOOL, AT(fnl__train_keys, deterministic), .fallback = "false",
     .doc = "The same bits whatever the number of threads."},
    {"optimizer", FNL_FIELD_NODE, AT(fnl__train_keys, optimizer),
     .doc = "A name (`sgd`, `adam`, `adamw`) or a map with `name`; see below.",
     .other_keys = other_optimizer},
    {"schedule", FNL_FIELD_NODE, AT(fnl__train_keys, schedule),
     .doc =
         "Of the learning rate: a name (`constant`, `step`, `cosine`, `one_cycle`) or a map with "
         "`name`; see below.",
     .other_keys = other_schedule},
    {"clip_norm", FNL_FIELD_FLOAT, AT(fnl__train_keys, clip_norm), .fallback = "0", .max = 1e30,
     .doc = "The gradients' global norm is scaled down to this; 0 is off.",
     .other_keys = other_norm},
    {"clip_value", FNL_FIELD_FLOAT, AT(fnl__train_keys, clip_value), .fallback = "0", .max = 1e30,
     .doc = "Each gradient is cut to plus or minus this; 0 is off.", .other_keys = other_value},
    {"early_stopping", FNL_FIELD_NODE, AT(fnl__train_keys, early_stopping),
     .doc = "Stops when a number no longer gets better; absent: off; see below."},
    {"checkpoint", FNL_FIELD_NODE, AT(fnl__train_keys, checkpoint),
     .doc = "What is saved on the way; see below."},
    {NULL},
};

#define NAME(names_, aliases_)                                                                     \
    {                                                                                              \
        "name", FNL_FIELD_ENUM, 0, .required = true, .names = (names_), .doc = "Which.",           \
                                   .aliases = (aliases_)                                           \
    }
#define RATE(fallback_)                                                                            \
    {                                                                                              \
        "learning_rate", FNL_FIELD_FLOAT, AT(fnl__optimizer_keys, learning_rate),                  \
            .fallback = (fallback_), .max = 1e6, .doc = "Length of a step.",                       \
            .other_keys = other_rate                                                               \
    }
#define ADAM_KEYS(decay_, decay_doc_)                                                              \
    {"beta_1",          FNL_FIELD_FLOAT,  AT(fnl__optimizer_keys, beta_1),                         \
     .fallback = "0.9", .max = 0.9999999, .doc = "Decay of the mean of gradients."},               \
        {"beta_2",                                                                                 \
         FNL_FIELD_FLOAT,                                                                          \
         AT(fnl__optimizer_keys, beta_2),                                                          \
         .fallback = "0.999",                                                                      \
         .max = 0.9999999,                                                                         \
         .doc = "Decay of the mean of their squares."},                                            \
        {"epsilon",                                                                                \
         FNL_FIELD_FLOAT,                                                                          \
         AT(fnl__optimizer_keys, epsilon),                                                         \
         .fallback = "1e-8",                                                                       \
         .min = 1e-30,                                                                             \
         .max = 1.0,                                                                               \
         .doc = "Added to the root of the squares; PyTorch's default (Keras: 1e-7)."},             \
    {                                                                                              \
        "weight_decay", FNL_FIELD_FLOAT, AT(fnl__optimizer_keys, weight_decay),                    \
            .fallback = (decay_), .max = 1e6, .doc = (decay_doc_)                                  \
    }

static const struct fnl_field sgd_fields[] = {
    NAME(fnl__optimizer_names, fnl__optimizer_aliases),
    RATE("0.01"),
    {"momentum", FNL_FIELD_FLOAT, AT(fnl__optimizer_keys, momentum), .fallback = "0",
     .max = 0.9999999, .doc = "Part of the last step that is added to the next."},
    {"nesterov", FNL_FIELD_BOOL, AT(fnl__optimizer_keys, nesterov), .fallback = "false",
     .doc = "Nesterov's form of momentum."},
    {"weight_decay", FNL_FIELD_FLOAT, AT(fnl__optimizer_keys, weight_decay), .fallback = "0",
     .max = 1e6, .doc = "Times the weight, added to the gradient."},
    {NULL},
};
static const struct fnl_field adam_fields[] = {
    NAME(fnl__optimizer_names, fnl__optimizer_aliases),
    RATE("0.001"),
    ADAM_KEYS("0", "Times the weight, added to the gradient."),
    {NULL},
};
static const struct fnl_field adamw_fields[] = {
    NAME(fnl__optimizer_names, fnl__optimizer_aliases),
    RATE("0.001"),
    ADAM_KEYS("0.01", "Part of the weight taken off in a step of learning rate 1, apart from the "
                      "gradient."),
    {NULL},
};
const struct fnl_field *const fnl__optimizer_fields[] = {sgd_fields, adam_fields, adamw_fields,
                                                         NULL};

#define WARMUP                                                                                     \
    {"warmup_steps",                                                                               \
     FNL_FIELD_INT,                                                                                \
     AT(fnl_schedule, warmup_steps),                                                               \
     .fallback = "0",                                                                              \
     .max = 1e9,                                                                                   \
     .doc = "Steps in which the rate rises in a straight line to its full size."},                 \
    {                                                                                              \
        "warmup_epochs", FNL_FIELD_INT, AT(fnl_schedule, warmup_epochs),                           \
            .fallback = "0", .max = FNL_MAX_EPOCHS, .doc = "The same in epochs."                   \
    }

static const struct fnl_field constant_fields[] = {
    NAME(fnl_schedule_names, NULL),
    WARMUP,
    {NULL},
};
static const struct fnl_field step_fields[] = {
    NAME(fnl_schedule_names, NULL),
    {"step_epochs", FNL_FIELD_INT, AT(fnl_schedule, step_epochs), .fallback = "10", .min = 1,
     .max = FNL_MAX_EPOCHS, .doc = "Epochs between two steps."},
    {"gamma", FNL_FIELD_FLOAT, AT(fnl_schedule, gamma), .fallback = "0.1", .min = 1e-9, .max = 1,
     .doc = "The rate is multiplied by this at each."},
    WARMUP,
    {NULL},
};
static const struct fnl_field cosine_fields[] = {
    NAME(fnl_schedule_names, NULL),
    {"min_learning_rate", FNL_FIELD_FLOAT, AT(fnl_schedule, min_learning_rate), .fallback = "0",
     .max = 1e6, .doc = "The rate at the end."},
    WARMUP,
    {NULL},
};
static const struct fnl_field one_cycle_fields[] = {
    NAME(fnl_schedule_names, NULL),
    {"max_learning_rate", FNL_FIELD_FLOAT, AT(fnl_schedule, max_learning_rate), .fallback = "0",
     .max = 1e6, .doc = "The highest rate; 0: the optimizer's learning_rate."},
    {"pct_start", FNL_FIELD_FLOAT, AT(fnl_schedule, pct_start), .fallback = "0.3", .min = 0.001,
     .max = 0.999, .doc = "Part of the run in which the rate rises."},
    {"div_factor", FNL_FIELD_FLOAT, AT(fnl_schedule, div_factor), .fallback = "25", .min = 1,
     .max = 1e9, .doc = "The first rate is the highest divided by this."},
    {"final_div_factor", FNL_FIELD_FLOAT, AT(fnl_schedule, final_div_factor), .fallback = "10000",
     .min = 1, .max = 1e12, .doc = "The last rate is the first divided by this."},
    {NULL},
};
const struct fnl_field *const fnl__schedule_fields[] = {constant_fields, step_fields, cosine_fields,
                                                        one_cycle_fields, NULL};

const struct fnl_field fnl__early_stopping_fields[] = {
    {"monitor", FNL_FIELD_ENUM, AT(fnl_early_stopping, monitor), .fallback = "val_loss",
     .names = fnl_monitor_names,
     .doc = "The number that must get better; without validation data `loss`."},
    {"patience", FNL_FIELD_INT, AT(fnl_early_stopping, patience), .fallback = "5",
     .max = FNL_MAX_EPOCHS, .doc = "Epochs without a better one before it stops."},
    {"min_delta", FNL_FIELD_FLOAT, AT(fnl_early_stopping, min_delta), .fallback = "0", .max = 1e30,
     .doc = "What is less better than this is not better."},
    {"restore_best", FNL_FIELD_BOOL, AT(fnl_early_stopping, restore_best), .fallback = "false",
     .doc = "The weights of the best epoch go to model.onnx, not those of the last.",
     .other_keys = other_restore},
    {NULL},
};
const struct fnl_field fnl__checkpoint_fields[] = {
    {"best_by", FNL_FIELD_ENUM, AT(fnl_checkpointing, best_by), .fallback = "val_loss",
     .names = fnl_monitor_names,
     .doc = "The number that best.ckpt goes by; default: the monitor of early stopping, or "
            "`val_loss`, without validation data `loss`."},
    {"every", FNL_FIELD_INT, AT(fnl_checkpointing, every_epochs), .fallback = "1", .min = 1,
     .max = FNL_MAX_EPOCHS, .doc = "Epochs between two writings of last.ckpt."},
    {"every_seconds", FNL_FIELD_INT, AT(fnl_checkpointing, every_seconds), .fallback = "60",
     .max = 1e7, .doc = "And seconds, inside an epoch; 0: only between epochs."},
    {NULL},
};
