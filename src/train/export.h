/* export.h - model.onnx and its metadata. */
#ifndef FNL_TRAIN_EXPORT_H
#define FNL_TRAIN_EXPORT_H

#include "data/data.h"
#include "train/network.h"

/* Keys of metadata_props. Nothing in them depends on when or where the run was made: the same run
 * made twice gives the same bytes. */
#define FNL_META_VERSION "fournil.version"
#define FNL_META_CLASSES "fournil.classes"             /* JSON list of names */
#define FNL_META_NORMALIZATION "fournil.normalization" /* JSON; the model takes raw values */
#define FNL_META_LOSS "fournil.loss"
#define FNL_META_BATCH "fournil.evaluation_batch"

/* Stores the parameters in the inference graph and writes it. */
int fnl__export_model(const struct fnl__network *n, const struct fnl_train_config *config,
                      const struct fnl_splits *splits, const char *path, struct fnl_error *err);

#endif
