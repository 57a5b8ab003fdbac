/* checkpoint.h - a run's weights and state in one file that is whole or absent. */
#ifndef FNL_TRAIN_CHECKPOINT_H
#define FNL_TRAIN_CHECKPOINT_H

#include "engine/exec.h"
#include "train/state.h"

/* Writes path. keep_previous: what stood there stays as "path.1". FNL_E_DIVERGED when a weight is
 * not finite: such weights are never saved over good ones. */
int fnl__checkpoint_save(const char *path, bool keep_previous, uint32_t config_id,
                         const struct fnl__state *state, const struct fnl_params *params,
                         struct fnl_error *err);

/* The file at from is also found at to, whatever happens to from later. */
int fnl__checkpoint_copy(const char *from, const char *to, struct fnl_error *err);

/* Removes what a copy to path that was cut short by a crash has left. */
void fnl__checkpoint_sweep(const char *to);

/* Reads path into params (all slots) and, when not NULL, state. Nothing is changed unless the whole
 * file is good and fits these parameters and this configuration. */
int fnl__checkpoint_load(const char *path, uint32_t config_id, struct fnl__state *state,
                         struct fnl_params *params, struct fnl_error *err);

#endif
