/* schedule.c - learning rates as functions of the step.
 *
 * Formulas are those of PyTorch's closed forms: StepLR stepped once an epoch, CosineAnnealingLR
 * stepped once a batch, OneCycleLR with two cosine phases (Smith and Topin, "Super-Convergence",
 * 2018). The warm-up is linear and reaches the full rate at its last step; cosine decay is spread
 * over the steps that are left after it. */
#include "train/schedule.h"

#include <math.h>
#include <stddef.h>

const char *const fnl_schedule_names[] = {"constant", "step", "cosine", "one_cycle", NULL};

static const double PI = 3.14159265358979323846;

static double cosine_between(double from, double to, double part)
{
    return to + (from - to) / 2.0 * (1.0 + cos(PI * part));
}

static double one_cycle(const struct fnl_schedule *s, double step, double total)
{
    double high = s->max_learning_rate > 0.0 ? s->max_learning_rate : s->learning_rate;
    double start = high / s->div_factor;
    double end = start / s->final_div_factor;
    double rise = s->pct_start * total - 1.0; /* the step at which the rate is highest */
    double last = total - 1.0;
    if (step <= rise) {
        return rise > 0.0 ? cosine_between(start, high, step / rise) : high;
    }
    double first = rise > 0.0 ? rise : 0.0;
    return last > first ? cosine_between(high, end, (step - first) / (last - first)) : end;
}

bool fnl_schedule_needs_length(const struct fnl_schedule *s)
{
    return s->kind == FNL_SCHEDULE_COSINE || s->kind == FNL_SCHEDULE_ONE_CYCLE;
}

double fnl_schedule_rate(const struct fnl_schedule *s, uint64_t step, uint64_t steps_per_epoch,
                         uint64_t epochs)
{
    uint64_t total = steps_per_epoch * epochs;
    if (s->kind == FNL_SCHEDULE_ONE_CYCLE) {
        return one_cycle(s, (double)step, (double)total);
    }
    uint64_t warmup = s->warmup_epochs > 0 ? (uint64_t)s->warmup_epochs * steps_per_epoch
                                           : (uint64_t)s->warmup_steps;
    double rate = s->learning_rate;
    if (s->kind == FNL_SCHEDULE_STEP) {
        uint64_t epoch = steps_per_epoch > 0 ? step / steps_per_epoch : 0;
        rate *= pow(s->gamma, (double)(epoch / (uint64_t)s->step_epochs));
    } else if (s->kind == FNL_SCHEDULE_COSINE && step >= warmup) {
        uint64_t left = total > warmup ? total - warmup : 1;
        double part = (double)(step - warmup) / (double)left;
        rate = cosine_between(rate, s->min_learning_rate, part < 1.0 ? part : 1.0);
    }
    if (step < warmup) {
        rate *= (double)(step + 1) / (double)warmup;
    }
    return rate;
}
