/* run_folder.h - `.fournil/runs/ID/`: what a run leaves behind, and the lock that keeps a second
 * process out. */
#ifndef FNL_TRAIN_RUN_FOLDER_H
#define FNL_TRAIN_RUN_FOLDER_H

#include <stdint.h>

#include "base/error.h"
#include "train/train.h"

enum fnl__run_file {
    FNL__RUN_CONFIG,   /* config.yaml: as run */
    FNL__RUN_INFO,     /* run.json: where it started from */
    FNL__RUN_METRICS,  /* metrics.jsonl: a line an epoch */
    FNL__RUN_SUMMARY,  /* summary.json: written last; a run that has it is finished */
    FNL__RUN_CURVES,   /* curves.svg */
    FNL__RUN_MODEL,    /* model.onnx */
    FNL__RUN_LAST,     /* last.ckpt, and the one before as last.ckpt.1 */
    FNL__RUN_PREVIOUS, /* last.ckpt.1 */
    FNL__RUN_BEST,     /* best.ckpt */
    FNL__RUN_LOCK,
    FNL__RUN_FILES
};

struct fnl__run {
    char id[FNL_RUN_ID];
    char *folder;
    char *file[FNL__RUN_FILES];
    int lock_fd;        /* -1: not held */
    uint32_t config_id; /* of its configuration, fnl_train_config_identity; checkpoints carry it */
    bool ended;         /* it has its summary and its model: nothing is left to do */
    char *directory;    /* where relative data paths start, from run.json */
};
#define FNL__RUN_INIT                                                                              \
    {                                                                                              \
        .lock_fd = -1                                                                              \
    }

/* A fresh folder for a run of the file config_path, locked, with config.yaml and run.json: it is
 * there with all of them or not at all (run_create.c). */
int fnl__run_create(const char *dir, const char *config_path, const char *directory,
                    const struct fnl_yaml *config, struct fnl__run *run, struct fnl_error *err);

/* An existing one, by id or path, locked. FNL_E_NOTFOUND; FNL_E_BUSY when somebody is at it. */
int fnl__run_open(const char *dir, const char *name, struct fnl__run *run, struct fnl_error *err);

/* The run goes on with a changed configuration (more epochs): it has no longer ended, and its
 * config.yaml says so. A crash in between leaves a run that can be resumed either way. */
int fnl__run_reopen(struct fnl__run *run, const struct fnl_yaml *config, struct fnl_error *err);

/* Where the relative data paths of a configuration start, when it is the config.yaml of a run's
 * folder (run.json beside it says so); else *ret_directory is NULL: beside the file. fnl_free. */
int fnl__run_data_directory(const char *config_path, char **ret_directory, struct fnl_error *err);

void fnl__run_close(struct fnl__run *run); /* unlocks */

/* For run_create.c: the paths of all files in run->folder; the lock; config.yaml. */
int fnl__run_name_files(struct fnl__run *run, struct fnl_error *err);
int fnl__run_lock(struct fnl__run *run, struct fnl_error *err);
int fnl__run_write_config(const struct fnl__run *run, const struct fnl_yaml *config,
                          struct fnl_error *err);

#endif
