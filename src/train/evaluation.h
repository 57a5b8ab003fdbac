/* evaluation.h - loss, accuracy and confusion of a network on a data set. The one code path of
 * training's own evaluation and of `fournil evaluate`, so that both give the same bits. */
#ifndef FNL_TRAIN_EVALUATION_H
#define FNL_TRAIN_EVALUATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "train/feed.h"

/* An evaluation's batch is always split into this many parts, whatever the threads: blocks of rows
 * of the same size give the same bits on one thread and on many. */
#define FNL_EVALUATION_SHARDS 8

struct fnl_evaluation {
    size_t rows;
    double loss; /* mean over the rows */
    bool has_accuracy;
    double accuracy;
    int classes;         /* of the confusion matrix; 0: none */
    uint64_t *confusion; /* [label][predicted], counts */
};
void fnl_evaluation_free(struct fnl_evaluation *e); /* the matrix; takes NULL */

/* One class of the confusion matrix. What is undefined (0 / 0) is NAN, never 0. */
struct fnl_class_score {
    uint64_t support; /* rows with this label */
    double precision, recall, f1;
};
struct fnl_class_score fnl_evaluation_class(const struct fnl_evaluation *e, int index);

/* stop: asked between batches, may be NULL; when it says yes the result is FNL_E_INTERRUPTED. */
struct fnl__evaluator {
    struct fnl_exec *exec; /* plan of the evaluation graph, FNL_EVALUATION_SHARDS shards */
    struct fnl__feeder *feeder;
    bool (*stop)(void *arg);
    void *stop_arg;
};

/* Runs all batches of the loader. with_confusion: also the matrix (when the data has classes). */
int fnl__evaluate(const struct fnl__evaluator *e, struct fnl_loader *loader, int classes,
                  bool with_confusion, struct fnl_evaluation *ret, struct fnl_error *err);

#endif
