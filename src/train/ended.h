/* ended.h - what is known of a run that has ended. */
#ifndef FNL_TRAIN_ENDED_H
#define FNL_TRAIN_ENDED_H

#include "train/train_int.h"

/* The result as the run's summary.json has it, the same numbers to the bit, and how the run could
 * go on. */
int fnl__ended_read(const struct fnl__job *job, struct fnl_train_result *ret,
                    struct fnl_error *err);

#endif
