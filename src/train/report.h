/* report.h - the texts of a run folder: metrics.jsonl, summary.json, curves.svg. */
#ifndef FNL_TRAIN_REPORT_H
#define FNL_TRAIN_REPORT_H

#include "base/buf.h"
#include "train/config.h"
#include "train/network.h"
#include "train/run_folder.h"
#include "train/state.h"
#include "train/train.h"

/* Appends the last epoch's line; rewrite: writes the whole file anew from the history (a resumed
 * run: lines of epochs after the checkpoint go). */
int fnl__metrics_append(const struct fnl__run *run, const struct fnl__state *state,
                        struct fnl_error *err);
int fnl__metrics_rewrite(const struct fnl__run *run, const struct fnl__state *state,
                         struct fnl_error *err);

struct fnl__summary {
    const struct fnl__run *run;
    const struct fnl_train_config *config;
    const struct fnl__network *network;
    const struct fnl__state *state;
    const struct fnl_splits *splits;
    const struct fnl_train_result *result;
};
int fnl__summary_write(const struct fnl__summary *s, struct fnl_error *err);

/* {"loss": ..., "accuracy": ..., "confusion_matrix": [[..]], "classes": [{...}]} of an evaluation;
 * names may be NULL. */
void fnl_evaluation_json(struct fnl_buf *out, const struct fnl_evaluation *e, char *const *names);

/* The lines of --json: {"event":"epoch","run":..., the keys of metrics.jsonl, "epochs":...,
 * "eta_s":...} and, last, {"event":"end","run":...}. */
void fnl_epoch_event_json(struct fnl_buf *out, const char *run, const struct fnl_epoch *e,
                          uint32_t epochs, double eta_s);
void fnl_train_end_json(struct fnl_buf *out, const struct fnl_train_result *r);

/* Curves of loss and accuracy over the epochs. */
int fnl__curves_write(const char *path, const struct fnl_epoch *epochs, uint32_t count,
                      struct fnl_error *err);
int fnl__curves_print(struct fnl_buf *out, const struct fnl_epoch *epochs, uint32_t count);

#endif
