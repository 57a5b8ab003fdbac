/* report.c - metrics.jsonl and summary.json. Both are facts for programs: every number exact, what
 * is unknown null. summary.json is written last and marks the run as finished. */
#include "train/report.h"

#include <math.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/limits.h"
#include "train/environment.h"
#include "train/json_out.h"

static void number(struct fnl_buf *out, const char *key, double x)
{
    (void)fnl_buf_printf(out, ",\"%s\":", key);
    fnl__json_number(out, x);
}

static void text(struct fnl_buf *out, const char *key, const char *s)
{
    (void)fnl_buf_printf(out, ",\"%s\":", key);
    fnl__json_string(out, s);
}

static void epoch_keys(struct fnl_buf *out, const struct fnl_epoch *e)
{
    (void)fnl_buf_printf(out, "\"epoch\":%u", e->epoch);
    number(out, "loss", e->loss);
    number(out, "accuracy", e->accuracy);
    number(out, "val_loss", e->val_loss);
    number(out, "val_accuracy", e->val_accuracy);
    number(out, "learning_rate", e->learning_rate);
    number(out, "seconds", e->seconds);
    number(out, "samples_per_s", e->samples_per_s);
}

static void line(struct fnl_buf *out, const struct fnl_epoch *e)
{
    (void)fnl_buf_puts(out, "{");
    epoch_keys(out, e);
    (void)fnl_buf_puts(out, "}");
}

int fnl__metrics_append(const struct fnl__run *run, const struct fnl__state *state,
                        struct fnl_error *err)
{
    const char *path = run->file[FNL__RUN_METRICS];
    struct fnl_buf out;
    fnl_buf_init(&out, FNL_MAX_RUN_TEXT_BYTES);
    line(&out, &state->history[state->epoch - 1]);
    int rc = out.failed ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                        : fnl_file_append_line(path, out.data, err);
    fnl_buf_free(&out);
    return rc;
}

int fnl__metrics_rewrite(const struct fnl__run *run, const struct fnl__state *state,
                         struct fnl_error *err)
{
    const char *path = run->file[FNL__RUN_METRICS];
    struct fnl_buf out;
    fnl_buf_init(&out, FNL_MAX_RUN_TEXT_BYTES);
    for (uint32_t i = 0; i < state->epoch; i++) {
        line(&out, &state->history[i]);
        (void)fnl_buf_puts(&out, "\n");
    }
    int rc = out.failed ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                        : fnl_file_write(path, out.data, out.size, err);
    fnl_buf_free(&out);
    return rc;
}

/* ---- an evaluation ---- */

static void matrix(struct fnl_buf *out, const struct fnl_evaluation *e)
{
    (void)fnl_buf_puts(out, ",\"confusion_matrix\":[");
    for (int i = 0; i < e->classes; i++) {
        (void)fnl_buf_puts(out, i > 0 ? ",[" : "[");
        for (int k = 0; k < e->classes; k++) {
            (void)fnl_buf_printf(out, "%s%llu", k > 0 ? "," : "",
                                 (unsigned long long)e->confusion[i * e->classes + k]);
        }
        (void)fnl_buf_puts(out, "]");
    }
    (void)fnl_buf_puts(out, "]");
}

void fnl_evaluation_json(struct fnl_buf *out, const struct fnl_evaluation *e, char *const *names)
{
    (void)fnl_buf_printf(out, "{\"samples\":%zu", e->rows);
    number(out, "loss", e->loss);
    number(out, "accuracy", e->has_accuracy ? e->accuracy : (double)NAN);
    if (e->classes > 0 && e->classes <= FNL_MAX_CONFUSION_CLASSES) {
        matrix(out, e);
    }
    if (e->classes > 0) {
        (void)fnl_buf_puts(out, ",\"classes\":[");
    }
    for (int i = 0; i < e->classes; i++) {
        struct fnl_class_score c = fnl_evaluation_class(e, i);
        (void)fnl_buf_printf(out, "%s{\"class\":%d", i > 0 ? "," : "", i);
        if (names != NULL) {
            text(out, "name", names[i]);
        }
        (void)fnl_buf_printf(out, ",\"support\":%llu", (unsigned long long)c.support);
        number(out, "precision", c.precision);
        number(out, "recall", c.recall);
        number(out, "f1", c.f1);
        (void)fnl_buf_puts(out, "}");
    }
    (void)fnl_buf_puts(out, e->classes > 0 ? "]}" : "}");
}

/* ---- the lines of --json ---- */

void fnl_epoch_event_json(struct fnl_buf *out, const char *run, const struct fnl_epoch *e,
                          uint32_t epochs, double eta_s)
{
    (void)fnl_buf_puts(out, "{\"event\":\"epoch\"");
    text(out, "run", run);
    (void)fnl_buf_puts(out, ",");
    epoch_keys(out, e);
    (void)fnl_buf_printf(out, ",\"epochs\":%u", epochs);
    number(out, "eta_s", isfinite(eta_s) ? round(eta_s * 1e3) / 1e3 : eta_s);
    (void)fnl_buf_puts(out, "}");
}

void fnl_train_end_json(struct fnl_buf *out, const struct fnl_train_result *r)
{
    bool accuracy = r->has_test && r->test.has_accuracy;
    (void)fnl_buf_puts(out, "{\"event\":\"end\"");
    text(out, "run", r->run);
    text(out, "model", r->model);
    text(out, "device", r->device);
    (void)fnl_buf_printf(out, ",\"epochs\":%u", r->epochs);
    number(out, "test_loss", r->has_test ? r->test.loss : (double)NAN);
    number(out, "test_accuracy", accuracy ? r->test.accuracy : (double)NAN);
    number(out, "samples_per_s", r->samples_per_s);
    if (r->precision != fnl_precision_names[FNL_PRECISION_F32]) {
        text(out, "precision", r->precision);
        text(out, "products", r->products);
    }
    (void)fnl_buf_puts(out, "}");
}

/* ---- the summary ---- */

static void counts(struct fnl_buf *out, const struct fnl__summary *s)
{
    const struct fnl_splits *d = s->splits;
    (void)fnl_buf_printf(out, ",\n \"samples\":{\"train\":%zu,\"validation\":%zu,\"test\":%zu}",
                         d->train.count, d->validation.count, d->test.count);
    (void)fnl_buf_printf(out, ",\"parameters\":%zu", s->network->parameter_count);
}

static void setting(struct fnl_buf *out, const struct fnl__summary *s)
{
    char finished[32];
    (void)fnl_buf_printf(out, ",\n \"version\":\"%s\"", FNL_VERSION);
    text(out, "device", s->result->device);
    (void)fnl_buf_printf(out, ",\"threads\":%d,\"shards\":%d,\"seed\":%lld", s->network->threads,
                         s->network->shards, (long long)s->config->seed);
    text(out, "loss_function", fnl_loss_names[s->config->loss]);
    text(out, "precision", s->result->precision);
    text(out, "products", s->result->products);
    text(out, "finished", fnl_clock_text(fnl_clock_unix_ms(), finished));
    (void)fnl_buf_puts(out, ",\n \"seconds\":");
    fnl__json_number(out, s->result->seconds);
    number(out, "train_seconds", s->state->total_seconds);
    number(out, "samples_per_s", s->result->samples_per_s);
    (void)fnl_buf_puts(out, ",\n \"environment\":");
    fnl__environment_json(out, s->network);
}

static const struct fnl_dataset *tested(const struct fnl__summary *s)
{
    return s->splits->test.count > 0 ? &s->splits->test : &s->splits->train;
}

static void print_summary(struct fnl_buf *out, const struct fnl__summary *s)
{
    const struct fnl_train_result *r = s->result;
    (void)fnl_buf_puts(out, "{\"run\":");
    fnl__json_string(out, s->run->id);
    text(out, "status", r->stopped_early ? "stopped_early" : "done");
    (void)fnl_buf_printf(out, ",\"epochs\":%u,\"best_epoch\":", r->epochs);
    fnl__json_number(out, r->best_epoch > 0 ? (double)r->best_epoch : (double)NAN);
    text(out, "weights", r->weights_are_best ? "best" : "last");
    if (s->state->epoch > 0) {
        (void)fnl_buf_puts(out, ",\n \"last\":");
        line(out, &s->state->history[s->state->epoch - 1]);
    }
    (void)fnl_buf_puts(out, ",\n \"test\":");
    if (r->has_test) {
        fnl_evaluation_json(out, &r->test, tested(s)->class_names);
    } else {
        (void)fnl_buf_puts(out, "null");
    }
    counts(out, s);
    setting(out, s);
    (void)fnl_buf_puts(out, "}\n");
}

int fnl__summary_write(const struct fnl__summary *s, struct fnl_error *err)
{
    const char *path = s->run->file[FNL__RUN_SUMMARY];
    struct fnl_buf out;
    fnl_buf_init(&out, FNL_MAX_RUN_TEXT_BYTES);
    print_summary(&out, s);
    int rc = out.failed ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path)
                        : fnl_file_write(path, out.data, out.size, err);
    fnl_buf_free(&out);
    return rc;
}
