/* train_int.h - one run, as its parts see it. */
#ifndef FNL_TRAIN_TRAIN_INT_H
#define FNL_TRAIN_TRAIN_INT_H

#include "train/network.h"
#include "train/resident.h"
#include "train/run_folder.h"
#include "train/state.h"

struct fnl__job {
    const struct fnl_train_request *request;
    struct fnl_train_config *config;
    struct fnl_splits *splits;
    const struct fnl_dataset *validation; /* NULL: none; the test data when there is no split */
    struct fnl__network network;
    struct fnl__resident resident;
    struct fnl__run run;
    struct fnl__state state;
    struct fnl_loader *train_loader, *validation_loader, *test_loader; /* NULL: no such data */
    uint64_t batches;                                                  /* of an epoch */
    bool threads_timed;
    char device_why[FNL_TRAIN_WHY]; /* see fnl_train_start */
    uint32_t epochs_before;         /* resumed with more epochs: how many they were; else 0 */
    char device_before[24];         /* resumed on another device: which it was; else "" */
    uint64_t saved_ns;              /* when last.ckpt was last written (or the loop began) */
    uint64_t shown_ns;              /* when progress was last told */
};

/* loop.c: all epochs that are left. */
int fnl__loop_run(struct fnl__job *job, struct fnl_error *err);

/* What to give to --resume: the id where runs are in the usual place, else the folder; quoted for a
 * shell where it must be. */
#define FNL__JOB_NAME 512
const char *fnl__job_name(const struct fnl__job *job, char out[FNL__JOB_NAME]);
/* Writes last.ckpt as of now. */
int fnl__job_save(struct fnl__job *job, struct fnl_error *err);
void fnl__job_note(const struct fnl__job *job, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
