/* checkpoint.h - a run's weights and state in one file that is whole or absent. */
#ifndef FNL_TRAIN_CHECKPOINT_H
#define FNL_TRAIN_CHECKPOINT_H

#include "engine/exec.h"
#include "train/state.h"

/* Writes path. keep_previous: what stood there stays as "path.1". slots: 1 = weights alone, or
 * fnl_params_slots() with the optimiser's state. FNL_E_DIVERGED when a weight is not finite: such
 * weights are never saved over good ones. */
int fnl__checkpoint_save(const char *path, bool keep_previous, uint32_t config_crc,
                         const struct fnl__state *state, const struct fnl_params *params, int slots,
                         struct fnl_error *err);

/* Reads path into params and, when not NULL, state. Nothing is changed unless the whole file is
 * good and fits these parameters and this configuration. */
int fnl__checkpoint_load(const char *path, uint32_t config_crc, struct fnl__state *state,
                         struct fnl_params *params, struct fnl_error *err);

#endif
