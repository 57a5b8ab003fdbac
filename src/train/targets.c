/* targets.c - labels to what a loss takes.
 *
 *   loss                              labels (classes)               numbers
 *   sparse_categorical_crossentropy   int32 [N]                      refused
 *   categorical_crossentropy          one-hot [N, K]                 refused
 *   binary_crossentropy               K = 1: 0 or 1, else one-hot    [N, K] as they are
 *   mean_squared_error                K = 1: the label, else one-hot [N, K] as they are
 *
 * Cost: N * K floats written a batch for one-hot rows, nothing otherwise. */
#include "train/targets.h"

#include <string.h>

#include "base/mem.h"
#include "train/config.h"

static int check_classes(const struct fnl_targets *t, const struct fnl_dataset *data,
                         struct fnl_error *err)
{
    size_t classes = (size_t)data->class_count;
    bool one = t->units == 1 &&
               (t->loss == FNL_LOSS_BINARY_CROSSENTROPY || t->loss == FNL_LOSS_MEAN_SQUARED_ERROR);
    if (one && classes > 2) {
        return FNL_FAIL(err, CONFIG, "use sparse_categorical_crossentropy",
                        "train.loss: %s with one output, but the data has %zu classes",
                        fnl_loss_names[t->loss], classes);
    }
    if (!one && t->units != classes) {
        return FNL_FAIL(err, CONFIG, "give the last layer as many units as there are classes",
                        "the model has %zu outputs, but the data has %zu classes", t->units,
                        classes);
    }
    return 0;
}

static int check_numbers(const struct fnl_targets *t, const struct fnl_dataset *data,
                         struct fnl_error *err)
{
    if (t->loss == FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY ||
        t->loss == FNL_LOSS_CATEGORICAL_CROSSENTROPY) {
        return FNL_FAIL(err, CONFIG, "use train.loss: mean_squared_error",
                        "train.loss: %s needs classes, but the data's targets are numbers",
                        fnl_loss_names[t->loss]);
    }
    if (t->units != data->target_size) {
        return FNL_FAIL(err, CONFIG, "give the last layer as many units as there are targets",
                        "the model has %zu outputs, but a sample has %zu targets", t->units,
                        data->target_size);
    }
    return 0;
}

int fnl_targets_init(struct fnl_targets *t, enum fnl_loss loss, const struct fnl_dataset *data,
                     const struct fnl_shape *scores, size_t batch, struct fnl_error *err)
{
    char shape[FNL_SHAPE_TEXT];
    if (scores->rank != 2 || scores->dim[1] < 1) {
        return FNL_FAIL(err, CONFIG, "end the model with flatten or a global pool, then dense",
                        "the model's output has shape %s: expected [N, outputs]",
                        fnl_shape_text(scores, shape));
    }
    *t = (struct fnl_targets){
        .loss = loss, .kind = data->target_kind, .units = (size_t)scores->dim[1]};
    int rc =
        t->kind == FNL_TARGET_CLASS ? check_classes(t, data, err) : check_numbers(t, data, err);
    if (rc != 0) {
        return rc;
    }
    t->width = loss == FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY ? 1 : t->units;
    if (t->kind == FNL_TARGET_CLASS && loss != FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY) {
        t->rows = fnl_calloc(batch * t->units, sizeof *t->rows);
        if (t->rows == NULL) {
            return FNL_FAIL(err, NOMEM, "use a smaller batch", "no memory for targets");
        }
    }
    return 0;
}

void fnl_targets_free(struct fnl_targets *t)
{
    fnl_free(t->rows);
    t->rows = NULL;
}

const void *fnl_targets_of(struct fnl_targets *t, const struct fnl_batch *batch)
{
    if (t->kind == FNL_TARGET_REAL) {
        return batch->targets;
    }
    if (t->rows == NULL) {
        return batch->labels;
    }
    if (t->units == 1) {
        for (size_t i = 0; i < batch->rows; i++) {
            t->rows[i] = (float)batch->labels[i];
        }
        return t->rows;
    }
    memset(t->rows, 0, batch->rows * t->units * sizeof *t->rows);
    for (size_t i = 0; i < batch->rows; i++) {
        t->rows[i * t->units + (size_t)batch->labels[i]] = 1.0F;
    }
    return t->rows;
}

bool fnl_targets_have_accuracy(const struct fnl_targets *t)
{
    return t->kind == FNL_TARGET_CLASS;
}

bool fnl_targets_are_counted(const struct fnl_targets *t)
{
    return t->kind == FNL_TARGET_CLASS && t->loss == FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY;
}

int fnl_targets_class(const struct fnl_targets *t, const float *scores)
{
    if (t->units == 1) {
        return scores[0] > 0.5F ? 1 : 0;
    }
    size_t best = 0;
    for (size_t k = 1; k < t->units; k++) {
        best = scores[k] > scores[best] ? k : best;
    }
    return (int)best;
}
