/* state.h - all that a run must remember besides its weights, and how epochs are judged. */
#ifndef FNL_TRAIN_STATE_H
#define FNL_TRAIN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "train/config.h"
#include "train/train.h"

struct fnl__state {
    uint32_t epoch; /* epochs that are over */
    bool stopped;   /* early stopping has ended the run */
    uint64_t step;  /* steps done in all */
    /* the epoch under way */
    uint64_t batch; /* batches done */
    double loss_sum;
    uint64_t correct, rows;
    double seconds;       /* spent on its steps */
    double learning_rate; /* of the last step */
    /* all epochs */
    double total_seconds;
    uint64_t total_rows;
    double best;               /* best.ckpt's number */
    uint32_t best_epoch;       /* from 1; 0: none yet */
    double reference;          /* early stopping: what must be beaten */
    uint32_t wait;             /* early stopping: epochs since it was */
    struct fnl_epoch *history; /* [epoch] */
    uint32_t capacity;
};

void fnl__state_free(struct fnl__state *s);
int fnl__state_reserve(struct fnl__state *s, uint32_t epochs, struct fnl_error *err);

/* Which numbers the run has. Monitors that were not chosen by the user fall back to `loss`; a
 * chosen one that the run does not have is an error that names the key. */
int fnl__monitors_resolve(struct fnl_train_config *config, bool has_validation, bool has_accuracy,
                          struct fnl_error *err);

/* Ends an epoch: appends it to the history, resets the sums, judges it. *ret_is_best: best.ckpt is
 * to be written. */
int fnl__state_end_epoch(struct fnl__state *s, const struct fnl_train_config *config,
                         const struct fnl_epoch *epoch, bool *ret_is_best, struct fnl_error *err);

#endif
