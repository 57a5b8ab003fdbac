/* feed.h - a loader's batch as what a plan is fed with, and what it gives back per row. */
#ifndef FNL_TRAIN_FEED_H
#define FNL_TRAIN_FEED_H

#include "engine/exec.h"
#include "model/model.h"
#include "train/targets.h"

struct fnl__feeder {
    const struct fnl_training_graph *graph;
    struct fnl_targets targets;
    bool images;             /* samples are H, W, C in memory */
    int input_at, target_at; /* places in the graph's order of inputs */
    const void *pointer[2];
    float *scores; /* [batch, units] of the last run, for fnl__feeder_classes */
};

int fnl__feeder_init(struct fnl__feeder *f, const struct fnl_training_graph *graph,
                     enum fnl_loss loss, const struct fnl_dataset *data, size_t batch,
                     struct fnl_error *err);
void fnl__feeder_free(struct fnl__feeder *f);

/* The feed of a batch; valid until the next call. */
struct fnl_feed fnl__feeder_feed(struct fnl__feeder *f, const struct fnl_batch *batch);

/* Reads the scores of the last run of exec; fnl__feeder_class then gives row i's class. */
int fnl__feeder_read_scores(struct fnl__feeder *f, const struct fnl_exec *exec,
                            struct fnl_error *err);
int fnl__feeder_class(const struct fnl__feeder *f, size_t row);

/* Rows of the batch whose class was right: the executor's count, or by the scores where it does
 * not count. */
int fnl__feeder_correct(struct fnl__feeder *f, const struct fnl_exec *exec,
                        const struct fnl_batch *batch, const struct fnl_step_result *result,
                        uint64_t *ret_correct, struct fnl_error *err);

#endif
