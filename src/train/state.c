/* state.c - counters and judgement of a run.
 *
 * An epoch is best when its number is better than all before; early stopping also asks for
 * min_delta and counts epochs without (as Keras' EarlyStopping: the run ends when `wait` reaches
 * patience, and patience 0 ends it at the first). NaN is never better. */
#include "train/state.h"

#include <math.h>

#include "base/mem.h"

void fnl__state_free(struct fnl__state *s)
{
    fnl_free(s->history);
    s->history = NULL;
    s->capacity = 0;
}

int fnl__state_reserve(struct fnl__state *s, uint32_t epochs, struct fnl_error *err)
{
    if (epochs <= s->capacity) {
        return 0;
    }
    struct fnl_epoch *grown = fnl_realloc(s->history, epochs * sizeof *grown);
    if (grown == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for the metrics of %u epochs", epochs);
    }
    s->history = grown;
    s->capacity = epochs;
    return 0;
}

static bool is_validation(int monitor)
{
    return monitor == FNL_MONITOR_VAL_LOSS || monitor == FNL_MONITOR_VAL_ACCURACY;
}

static bool is_accuracy(int monitor)
{
    return monitor == FNL_MONITOR_VAL_ACCURACY || monitor == FNL_MONITOR_ACCURACY;
}

static int resolve(int *monitor, bool chosen, const char *key, bool has_validation,
                   bool has_accuracy, struct fnl_error *err)
{
    bool lacks_validation = is_validation(*monitor) && !has_validation;
    if (lacks_validation && !chosen) {
        *monitor = FNL_MONITOR_LOSS;
        return 0;
    }
    if (lacks_validation) {
        return FNL_FAIL(err, CONFIG, "give data.validation or data.test, or use loss or accuracy",
                        "%s: %s, but there is no validation data", key,
                        fnl_monitor_names[*monitor]);
    }
    if (is_accuracy(*monitor) && !has_accuracy) {
        return FNL_FAIL(err, CONFIG, "use loss or val_loss",
                        "%s: %s, but targets that are numbers have no accuracy", key,
                        fnl_monitor_names[*monitor]);
    }
    return 0;
}

int fnl__monitors_resolve(struct fnl_train_config *config, bool has_validation, bool has_accuracy,
                          struct fnl_error *err)
{
    struct fnl_early_stopping *s = &config->early_stopping;
    struct fnl_checkpointing *k = &config->checkpoint;
    int rc = 0;
    if (s->on) {
        rc = resolve(&s->monitor, s->monitor_given, "train.early_stopping.monitor", has_validation,
                     has_accuracy, err);
    }
    return rc != 0 ? rc
                   : resolve(&k->best_by, k->best_by_given, "train.checkpoint.best_by",
                             has_validation, has_accuracy, err);
}

static double number_of(const struct fnl_epoch *e, int monitor)
{
    switch (monitor) {
    case FNL_MONITOR_VAL_LOSS:
        return e->val_loss;
    case FNL_MONITOR_VAL_ACCURACY:
        return e->val_accuracy;
    case FNL_MONITOR_ACCURACY:
        return e->accuracy;
    default:
        return e->loss;
    }
}

/* Is x better than what was, by more than delta? */
static bool is_better(int monitor, double x, double was, double delta)
{
    return is_accuracy(monitor) ? x > was + delta : x < was - delta;
}

static void judge_stopping(struct fnl__state *s, const struct fnl_early_stopping *rule,
                           const struct fnl_epoch *e)
{
    double x = number_of(e, rule->monitor);
    if (s->epoch == 1 || is_better(rule->monitor, x, s->reference, rule->min_delta)) {
        s->reference = x;
        s->wait = 0;
        return;
    }
    s->wait++;
    s->stopped = (int64_t)s->wait >= rule->patience;
}

int fnl__state_end_epoch(struct fnl__state *s, const struct fnl_train_config *config,
                         const struct fnl_epoch *epoch, bool *ret_is_best, struct fnl_error *err)
{
    int rc = fnl__state_reserve(s, s->epoch + 1, err);
    if (rc != 0) {
        return rc;
    }
    s->history[s->epoch] = *epoch;
    s->epoch++;
    s->total_seconds += s->seconds;
    s->total_rows += s->rows;
    s->batch = 0;
    s->loss_sum = 0.0;
    s->correct = 0;
    s->rows = 0;
    s->seconds = 0.0;
    int best_by = config->checkpoint.best_by;
    double x = number_of(epoch, best_by);
    *ret_is_best = !isnan(x) && (s->best_epoch == 0 || is_better(best_by, x, s->best, 0.0));
    if (*ret_is_best) {
        s->best = x;
        s->best_epoch = s->epoch;
    }
    if (config->early_stopping.on) {
        judge_stopping(s, &config->early_stopping, epoch);
    }
    return 0;
}
