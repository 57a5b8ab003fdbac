/* schedule.h - the learning rate of each step. */
#ifndef FNL_TRAIN_SCHEDULE_H
#define FNL_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum fnl_schedule_kind {
    FNL_SCHEDULE_CONSTANT,
    FNL_SCHEDULE_STEP,
    FNL_SCHEDULE_COSINE,
    FNL_SCHEDULE_ONE_CYCLE,
};

struct fnl_schedule {
    int kind;                 /* enum fnl_schedule_kind */
    double learning_rate;     /* the optimiser's */
    int64_t warmup_steps;     /* all but ONE_CYCLE, whose rise is its warm-up */
    int64_t warmup_epochs;    /* instead of warmup_steps */
    int64_t step_epochs;      /* STEP */
    double gamma;             /* STEP */
    double min_learning_rate; /* COSINE */
    double max_learning_rate; /* ONE_CYCLE; 0 = learning_rate */
    double pct_start;         /* ONE_CYCLE: part of the steps in which the rate rises */
    double div_factor;        /* ONE_CYCLE: it starts at max / div_factor */
    double final_div_factor;  /* ONE_CYCLE: it ends at start / final_div_factor */
};

extern const char *const fnl_schedule_names[]; /* by enum fnl_schedule_kind */

/* Do its rates depend on how many epochs the run has? Then more of them make it another run. */
bool fnl_schedule_needs_length(const struct fnl_schedule *s);

/* The rate of step `step` (from 0) of a run of epochs * steps_per_epoch steps. A pure function, so
 * that a resumed run sees the same rates. */
double fnl_schedule_rate(const struct fnl_schedule *s, uint64_t step, uint64_t steps_per_epoch,
                         uint64_t epochs);

#endif
