/* small.h - a data set of a few blurred squares and runs that take milliseconds, for tests of the
 * training loop. */
#ifndef FNL_TESTS_TRAIN_SMALL_H
#define FNL_TESTS_TRAIN_SMALL_H

#include "base/test.h"

#include "train/train.h"

#define SMALL_TRAIN 90
#define SMALL_TEST 40
#define SMALL_SIDE 6
#define SMALL_CLASSES 3

/* The folder of one test program, made and removed; paths in it (the last 64 stay valid). */
int small_dir_make(void **state);
int small_dir_remove(void **state);
const char *small_path(const char *name);

/* Writes train and test images and labels (IDX) into the folder. */
void small_write_data(void);

/* The network and settings that most tests start from: every layer with state (dropout, batch
 * normalisation), 6 batches an epoch, 3 epochs. */
extern const char small_config[];

/* Writes a file of the folder; returns its path. */
const char *small_write_config(const char *name, const char *text);

/* One run. Stops at the stop_at-th question whether to stop (0: never). */
struct small_run {
    const char *config; /* path, or NULL with resume */
    const char *resume;
    const char *dir; /* default: the folder/state */
    const char *set[8];
    long stop_at;
    /* results */
    int rc;
    struct fnl_error err;
    struct fnl_train_result result;
    char notes[1024]; /* what was said, one after the other */
    uint32_t epochs;  /* events seen */
    struct fnl_epoch epoch[64];
    long asked; /* how often it asked whether to stop */
};
void small_train(struct small_run *r);
void small_free(struct small_run *r);
/* Runs and asserts success. */
void small_train_well(struct small_run *r);

/* The whole file; freed by fnl_free. */
char *small_read(const char *path, size_t *ret_size);
/* The file of a run's folder. */
const char *small_file(const struct small_run *r, const char *name);
void small_assert_same_file(const char *a, const char *b);
/* Epochs of metrics.jsonl are equal but for times. */
void small_assert_same_metrics(const struct small_run *a, const struct small_run *b);

#endif
