/* training.h - a training run, from one YAML file (docs/config.md) to a model.onnx.
 *
 * The same run as `fournil train`: same files, same numbers. fnl_training_run returns when the run
 * is over. While it goes on it calls the functions of its options, all of them optional and all
 * from the calling thread; what they are given is theirs until they return. Numbers that a run does
 * not have are NAN. */
#ifndef FOURNIL_TRAINING_H
#define FOURNIL_TRAINING_H

#include <stddef.h>
#include <stdint.h>

#include "fournil/error.h"
#include "fournil/visibility.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In the middle of an epoch. */
struct fnl_training_progress {
    uint32_t epoch, epochs;  /* epoch from 1 */
    uint64_t batch, batches; /* done, and of the epoch */
    double loss, accuracy;   /* means of the epoch so far */
    double samples_per_s;
};

/* An epoch that is over. */
struct fnl_training_epoch {
    uint32_t epoch, epochs; /* epoch from 1 */
    double loss, accuracy;  /* over the epoch's batches, while the weights changed */
    double val_loss, val_accuracy;
    double learning_rate; /* of the last step */
    double seconds;       /* of the steps, without validation */
    double samples_per_s;
};

struct fnl_training_options {
    int version;                    /* 1 */
    const char *config;             /* path of the YAML file; NULL: the resumed run's own */
    const char *const *assignments; /* "train.epochs=5": applied to the file in order, or NULL */
    int assignment_count;
    int threads; /* 0 = as the file says: given there, or chosen by timing. A run that goes on keeps
                    its own; another number is FNL_E_CONFIG */
    const char *dir;    /* folder below which the run's folder is made; NULL: ".fournil" */
    const char *resume; /* id or folder of the run to go on with, or NULL */

    /* (optional) A few times a second. Anything but 0 stops the run, which is saved first. */
    int (*progress)(void *arg, const struct fnl_training_progress *progress);
    /* (optional) At the end of each epoch; as above. */
    int (*epoch)(void *arg, const struct fnl_training_epoch *epoch);
    /* (optional) What a person should know, one line. */
    void (*note)(void *arg, const char *text);
    void *arg;
};
#define FNL_TRAINING_OPTIONS_INIT                                                                  \
    {                                                                                              \
        1, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL                                    \
    }

struct fnl_training_result; /* opaque */

/* Trains. FNL_E_INTERRUPTED: stopped by a function of the options, and saved; the hint says how to
 * go on. FNL_E_DIVERGED: the loss is no finite number. FNL_E_BUSY: another process is at the run.
 * ret_result may be NULL. */
FNL_API int fnl_training_run(const struct fnl_training_options *options,
                             struct fnl_training_result **ret_result, struct fnl_error *err);
FNL_API void fnl_training_result_free(struct fnl_training_result *result); /* takes NULL */

/* The run's name, its folder, and the model in it. The result's. */
FNL_API const char *fnl_training_result_id(const struct fnl_training_result *result);
FNL_API const char *fnl_training_result_folder(const struct fnl_training_result *result);
FNL_API const char *fnl_training_result_model(const struct fnl_training_result *result);
/* Epochs done, and the best of them by the configuration's measure (0: none is better). */
FNL_API uint32_t fnl_training_result_epochs(const struct fnl_training_result *result);
FNL_API uint32_t fnl_training_result_best_epoch(const struct fnl_training_result *result);
/* On the test data; NAN where there are none, or where accuracy has no meaning. */
FNL_API double fnl_training_result_test_loss(const struct fnl_training_result *result);
FNL_API double fnl_training_result_test_accuracy(const struct fnl_training_result *result);
/* Training speed over all steps, and seconds of this call, all in all. */
FNL_API double fnl_training_result_samples_per_s(const struct fnl_training_result *result);
FNL_API double fnl_training_result_seconds(const struct fnl_training_result *result);

#ifdef __cplusplus
}
#endif

#endif
