/* resident.h - training and validation over data sets that lie on the accelerator. */
#ifndef FNL_TRAIN_RESIDENT_H
#define FNL_TRAIN_RESIDENT_H

#include "train/evaluation.h"

struct fnl__job;

struct fnl__resident {
    bool train, validation; /* the set is on the device */
    uint32_t *order;        /* of the epoch `ordered` */
    double *rate;           /* [batches] */
    bool is_ordered;
    uint32_t ordered;
    size_t chunk; /* batches between two looks at the clock and at Ctrl-C */
};

/* Binds what can be bound: data that needs no work of the CPU (no augmentation, no expanded
 * targets) and fits. What cannot is fed batch by batch: 0 is returned all the same. */
int fnl__resident_prepare(struct fnl__job *job, struct fnl_error *err);
void fnl__resident_free(struct fnl__resident *r);

/* The next chunk of batches of the epoch, into job->state. */
int fnl__resident_steps(struct fnl__job *job, struct fnl_error *err);
/* Loss and accuracy on the validation data. */
int fnl__resident_validate(struct fnl__job *job, struct fnl_evaluation *ret, struct fnl_error *err);

#endif
