/* train_view.h - what `fournil train` shows while it works. */
#ifndef FNL_CLI_TRAIN_VIEW_H
#define FNL_CLI_TRAIN_VIEW_H

#include "base/progress.h"
#include "train/train.h"

struct fnl_train_view {
    bool json;
    bool has_validation, has_accuracy;
    char run[FNL_RUN_ID];
    uint32_t epochs, bar_epoch; /* bar_epoch: whose bar stands on the terminal; 0: none */
    struct fnl_progress bar;
    struct fnl_error error; /* of printing; 0 while all is well */
};

/* Fills the observer with functions that print into the view. */
void fnl_train_view_init(struct fnl_train_view *v, bool json, struct fnl_train_observer *ret);
/* Takes the bar off the terminal. */
void fnl_train_view_clear(struct fnl_train_view *v);
/* The result: a few lines, or the last line of JSON. */
int fnl_train_view_end(struct fnl_train_view *v, const struct fnl_train_result *r,
                       struct fnl_error *err);

#endif
