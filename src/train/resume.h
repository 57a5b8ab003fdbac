/* resume.h - going on with a run that was stopped or killed. */
#ifndef FNL_TRAIN_RESUME_H
#define FNL_TRAIN_RESUME_H

#include "train/train_int.h"

/* Opens and locks the run, reads its configuration, refuses a changed one. */
int fnl__resume_open(struct fnl__job *job, struct fnl_error *err);

/* Loads the newest good checkpoint (says so when it is not the last), and cuts metrics.jsonl back
 * to it. Without any the run begins anew. */
int fnl__resume_state(struct fnl__job *job, struct fnl_error *err);

#endif
