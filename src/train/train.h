/* train.h - training and evaluation for other modules: one call each, results in plain structs,
 * progress through a table of functions. Nothing here prints. */
#ifndef FNL_TRAIN_TRAIN_H
#define FNL_TRAIN_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "train/device.h"
#include "train/evaluation.h"

/* One epoch. NAN: the run has no such number. */
struct fnl_epoch {
    uint32_t epoch; /* from 1 */
    uint32_t reserved;
    double loss, accuracy; /* over the epoch's batches, while the weights changed */
    double val_loss, val_accuracy;
    double learning_rate; /* of the last step */
    double seconds;       /* of the steps, without validation */
    double samples_per_s;
};

#define FNL_RUN_ID 96
/* What is known when the first step is about to be made. */
struct fnl_train_start {
    const char *run, *folder; /* id and path */
    const char *device;
    const char *device_why; /* what `auto` chose and why; "" when the device was given */
    int threads;
    bool threads_timed; /* chosen by timing, not by the user */
    size_t parameters;  /* trainable numbers */
    size_t train_count, validation_count, test_count;
    bool validation_is_test; /* no validation split: the test data serve, as in Keras' examples */
    uint32_t epochs, first_epoch; /* of the run; from 1: where this process begins */
    uint64_t batches;             /* of an epoch */
    uint64_t first_batch;         /* > 0: in the middle of first_epoch */
};

struct fnl_train_progress {
    uint32_t epoch, epochs; /* epoch from 1 */
    uint64_t batch, batches;
    double loss, accuracy; /* running means of the epoch; NAN where there is none */
    double samples_per_s;
};

/* All slots are optional; called from the thread that called fnl_train. */
struct fnl_train_observer {
    void (*start)(void *arg, const struct fnl_train_start *s);
    void (*progress)(void *arg, const struct fnl_train_progress *p);
    /* eta_s: seconds until the end at the speed so far, NAN when unknown. */
    void (*epoch)(void *arg, const struct fnl_epoch *e, double eta_s);
    void (*note)(void *arg, const char *text); /* what the user should know, a line */
    void *arg;
};

struct fnl_train_request {
    int version;
    const char *config;             /* path of the YAML file; NULL: the resumed run's own */
    const char *const *assignments; /* "train.epochs=5", applied in order */
    int assignment_count;
    const char *dir;            /* folder of state, ".fournil" */
    const char *resume;         /* id or folder of the run to go on with, or NULL; train.epochs may
                                   be more than it was started with */
    double progress_interval_s; /* at least so long between two calls of progress */
    bool (*stop)(void *arg);    /* (optional) asked after each step: save and end? */
    void *stop_arg;
    struct fnl_train_observer observer;
};
#define FNL_TRAIN_DIR ".fournil"
#define FNL_TRAIN_REQUEST_INIT                                                                     \
    {                                                                                              \
        .version = 1, .dir = FNL_TRAIN_DIR, .progress_interval_s = 0.05                            \
    }

#define FNL_WAY_ON 512
struct fnl_train_result {
    char run[FNL_RUN_ID];
    char *folder, *model; /* paths; freed by fnl_train_result_free */
    const char *device;
    const char *precision, *products; /* names; products: what the run's multiplications are in */
    uint32_t epochs;                  /* done */
    bool stopped_early;
    uint32_t best_epoch;   /* 0: none */
    bool weights_are_best; /* model.onnx holds best_epoch's weights, not the last's */
    bool has_test;
    struct fnl_evaluation test;
    double samples_per_s; /* over all training steps; NAN: none was made */
    double seconds;       /* of this process's run, all in all */
    /* Resumed, and nothing was left to do: all this is what the run's summary.json says (of the
     * test: rows, loss and accuracy). way_on: a line that says how it could go on, or why not. */
    bool had_ended;
    char way_on[FNL_WAY_ON];
    char *device_read; /* the text of `device` */
};

/* Trains. FNL_E_INTERRUPTED: stopped and saved, the hint says how to go on; FNL_E_DIVERGED: the
 * loss is no finite number; FNL_E_BUSY: another process is at the run. ret is filled on success;
 * ret->run and ret->folder also where the run folder exists on failure. */
int fnl_train(const struct fnl_train_request *request, struct fnl_train_result *ret,
              struct fnl_error *err);
void fnl_train_result_free(struct fnl_train_result *result);

enum fnl_evaluate_split { FNL_EVALUATE_TEST, FNL_EVALUATE_VALIDATION, FNL_EVALUATE_TRAIN };
extern const char *const fnl_evaluate_splits[]; /* "test"... */

struct fnl_evaluate_request {
    int version;
    const char *model;  /* ONNX file */
    const char *config; /* YAML file: its `data:` (and `train.loss`) */
    const char *const *assignments;
    int assignment_count;
    int split;     /* enum fnl_evaluate_split */
    int threads;   /* 0: as many as there are CPUs; changes nothing in the result */
    int64_t batch; /* 0: the model's own (metadata), or the configuration's */
    struct fnl_train_choice device;
    bool (*stop)(void *arg);
    void *stop_arg;
};
#define FNL_EVALUATE_REQUEST_INIT                                                                  \
    {                                                                                              \
        .version = 1                                                                               \
    }

struct fnl_evaluate_result {
    struct fnl_evaluation evaluation;
    const char *loss;   /* its name */
    char device[24];    /* its name */
    char **class_names; /* evaluation.classes of them, or NULL */
    double seconds;
};
int fnl_evaluate(const struct fnl_evaluate_request *request, struct fnl_evaluate_result *ret,
                 struct fnl_error *err);
void fnl_evaluate_result_free(struct fnl_evaluate_result *result);

#endif
