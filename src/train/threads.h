/* threads.h - how many worker threads a run gets. */
#ifndef FNL_TRAIN_THREADS_H
#define FNL_TRAIN_THREADS_H

#include "train/network.h"

/* Times a few steps of the real training plan with 1, 2, 4, ... threads, up to the CPUs this
 * process may use, on a copy of the parameters, and takes the fewest that are about as fast as the
 * best. */
int fnl__threads_choose(const struct fnl__network *n, const struct fnl_train_config *config,
                        const struct fnl_splits *splits, int *ret_threads, struct fnl_error *err);

#endif
