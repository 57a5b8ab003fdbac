/* evaluation.c - one pass over a data set without learning.
 *
 * The loss is the sum over the rows in their order, in double, divided once at the end; accuracy
 * counts rows. Cost: one forward pass, plus one read of the scores for the confusion matrix. */
#include "train/evaluation.h"

#include <math.h>

#include "base/mem.h"

struct sums {
    double loss;
    uint64_t correct;
    size_t rows;
};

static int add_batch(const struct fnl__evaluator *e, const struct fnl_batch *batch,
                     struct sums *sums, uint64_t *confusion, int classes, struct fnl_error *err)
{
    struct fnl_feed feed = fnl__feeder_feed(e->feeder, batch);
    struct fnl_step_result result = {0};
    uint64_t correct = 0;
    int rc = fnl_exec_run(e->exec, &feed, err);
    rc = rc != 0 ? rc : fnl_exec_result(e->exec, &result);
    rc = rc != 0 ? rc : fnl__feeder_correct(e->feeder, e->exec, batch, &result, &correct, err);
    if (rc == 0 && confusion != NULL) {
        rc = fnl__feeder_read_scores(e->feeder, e->exec, err);
        for (size_t i = 0; rc == 0 && i < batch->rows; i++) {
            int predicted = fnl__feeder_class(e->feeder, i);
            confusion[batch->labels[i] * classes + predicted]++;
        }
    }
    sums->loss += result.loss_sum;
    sums->correct += correct;
    sums->rows += batch->rows;
    return rc;
}

static int add_all(const struct fnl__evaluator *e, struct fnl_loader *loader, struct sums *sums,
                   uint64_t *confusion, int classes, struct fnl_error *err)
{
    int rc = fnl_loader_start(loader, 0, 0, err);
    while (rc == 0) {
        struct fnl_batch batch;
        rc = fnl_loader_next(loader, &batch, err);
        if (rc != 0 || batch.rows == 0) {
            break;
        }
        rc = add_batch(e, &batch, sums, confusion, classes, err);
        if (rc == 0 && e->stop != NULL && e->stop(e->stop_arg)) {
            rc = FNL_FAIL(err, INTERRUPTED, NULL, "interrupted");
        }
    }
    return rc;
}

int fnl__evaluate(const struct fnl__evaluator *e, struct fnl_loader *loader, int classes,
                  bool with_confusion, struct fnl_evaluation *ret, struct fnl_error *err)
{
    bool has_classes = fnl_targets_have_accuracy(&e->feeder->targets);
    if (e->feeder->targets.units == 1 && classes < 2) {
        classes = 2; /* one score says no or yes, also where the data has but one answer */
    }
    uint64_t *confusion = NULL;
    if (with_confusion && has_classes) {
        confusion = fnl_calloc((size_t)classes * (size_t)classes, sizeof *confusion);
        if (confusion == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for %d x %d classes", classes, classes);
        }
    }
    struct sums sums = {0};
    int rc = add_all(e, loader, &sums, confusion, classes, err);
    if (rc == 0 && sums.rows == 0) {
        rc = FNL_FAIL(err, INVALID, NULL, "no samples to evaluate");
    }
    if (rc != 0) {
        fnl_free(confusion);
        return rc;
    }
    *ret = (struct fnl_evaluation){.rows = sums.rows,
                                   .loss = sums.loss / (double)sums.rows,
                                   .has_accuracy = has_classes,
                                   .accuracy = (double)sums.correct / (double)sums.rows,
                                   .classes = confusion != NULL ? classes : 0,
                                   .confusion = confusion};
    return 0;
}

void fnl_evaluation_free(struct fnl_evaluation *e)
{
    if (e != NULL) {
        fnl_free(e->confusion);
        e->confusion = NULL;
    }
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

struct fnl_class_score fnl_evaluation_class(const struct fnl_evaluation *e, int index)
{
    uint64_t labelled = 0, predicted = 0;
    uint64_t right = e->confusion[index * e->classes + index];
    for (int k = 0; k < e->classes; k++) {
        labelled += e->confusion[index * e->classes + k];
        predicted += e->confusion[k * e->classes + index];
    }
    return (struct fnl_class_score){.support = labelled,
                                    .precision = ratio(right, predicted),
                                    .recall = ratio(right, labelled),
                                    .f1 = ratio(2 * right, labelled + predicted)};
}
