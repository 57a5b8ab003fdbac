/* targets.h - labels or numbers of a batch in the form that a loss takes, and how many rows were
 * right where the executor does not count them. */
#ifndef FNL_TRAIN_TARGETS_H
#define FNL_TRAIN_TARGETS_H

#include "data/data.h"
#include "model/model.h"

struct fnl_targets {
    enum fnl_loss loss;
    enum fnl_target_kind kind;
    size_t units; /* scores of one sample */
    size_t width; /* targets of one sample: 1 (labels) or units */
    float *rows;  /* batch * units, for what must be expanded; NULL when not needed */
};

/* Checks that data, loss and the model's output fit; units: of the model's output. */
int fnl_targets_init(struct fnl_targets *t, enum fnl_loss loss, const struct fnl_dataset *data,
                     const struct fnl_shape *scores, size_t batch, struct fnl_error *err);
void fnl_targets_free(struct fnl_targets *t);

/* What to feed as target; valid until the next call. */
const void *fnl_targets_of(struct fnl_targets *t, const struct fnl_batch *batch);

/* Does the run have an accuracy, and does the executor count it (integer labels)? */
bool fnl_targets_have_accuracy(const struct fnl_targets *t);
bool fnl_targets_are_counted(const struct fnl_targets *t);

/* The class of one row of scores: the first largest, or for one score whether it is above 0.5. */
int fnl_targets_class(const struct fnl_targets *t, const float *scores);

#endif
