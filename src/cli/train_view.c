/* train_view.c - the progress of a training on the terminal: one bar that is redrawn, one line of a
 * table for each epoch. Where stdout is no terminal there is no bar and the same lines; with --json
 * one object an epoch and one at the end. */
#include "cli/train_view.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/shell.h"
#include "cli/print.h"
#include "train/report.h"

#define PATH_BYTES 8192  /* a path, and its quotes */
#define LINE_BYTES 32768 /* holds a path, each byte of it escaped */

static void put_line(struct fnl_train_view *v, struct fnl_buf *line)
{
    if (line->failed && v->error.code == 0) {
        FNL_FAIL(&v->error, NOMEM, NULL, "no memory for a line of output");
    } else if ((puts(line->data) == EOF || fflush(stdout) != 0) && errno != EPIPE &&
               v->error.code == 0) { /* no reason to stop a training: it is said at the end */
        char reason[128];
        FNL_FAIL(&v->error, IO, NULL, "standard output: %s",
                 strerror_r(errno, reason, sizeof reason));
    }
    fnl_buf_free(line);
}

/* ---- the start ---- */

/* 60000 -> "60,000"; returns out. */
static const char *thousands(uint64_t n, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    int used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

static void show_start(void *arg, const struct fnl_train_start *s)
{
    struct fnl_train_view *v = arg;
    char a[32], b[32];
    (void)snprintf(v->run, sizeof v->run, "%s", s->run);
    v->epochs = s->epochs;
    v->has_validation = s->validation_count > 0 || s->validation_is_test;
    if (v->json) {
        return;
    }
    printf("run %s\n", s->run);
    printf("%s training samples, %s to %s, %s parameters\n", thousands(s->train_count, a),
           thousands(s->validation_is_test ? s->test_count : s->validation_count, b),
           s->validation_is_test ? "test" : "validate", thousands(s->parameters, (char[32]){0}));
    printf("device %s, %d thread%s%s\n", s->device, s->threads, s->threads == 1 ? "" : "s",
           s->threads_timed ? " (the fastest when timed)" : "");
    if (s->device_why[0] != 0) {
        printf("  chosen by auto: %s\n", s->device_why);
    }
    if (s->first_batch > 0) {
        printf("going on in epoch %u after batch %llu of %llu\n", s->first_epoch,
               (unsigned long long)s->first_batch, (unsigned long long)s->batches);
    } else if (s->first_epoch > 1) {
        printf("going on with epoch %u\n", s->first_epoch);
    }
    puts("");
    fnl_print_styled(
        stdout, FNL_STYLE_BOLD,
        v->has_validation
            ? "  epoch     loss  accuracy  val_loss  val_accuracy  samples/s     time     left"
            : "  epoch     loss  accuracy  samples/s     time     left");
    puts("");
    (void)fflush(stdout);
}

/* ---- a step ---- */

static void show_progress(void *arg, const struct fnl_train_progress *p)
{
    struct fnl_train_view *v = arg;
    char note[96], label[32], rate[32];
    if (v->json) {
        return;
    }
    if (v->bar_epoch != p->epoch) {
        (void)snprintf(label, sizeof label, "%3u/%u", p->epoch, p->epochs);
        fnl_progress_begin(&v->bar, stdout, label, p->batches);
        v->bar_epoch = p->epoch;
    }
    int n = snprintf(note, sizeof note, fabs(p->loss) < 1e4 ? "loss %.4f" : "loss %.2e", p->loss);
    if (!isnan(p->accuracy)) {
        n += snprintf(note + n, sizeof note - (size_t)n, "  accuracy %.4f", p->accuracy);
    }
    if (!isnan(p->samples_per_s)) {
        (void)snprintf(note + n, sizeof note - (size_t)n, "  %s/s",
                       thousands((uint64_t)p->samples_per_s, rate));
    }
    fnl_progress_update(&v->bar, p->batch, note);
}

void fnl_train_view_clear(struct fnl_train_view *v)
{
    if (v->bar_epoch != 0) {
        fnl_progress_end(&v->bar);
        v->bar_epoch = 0;
    }
}

/* ---- an epoch ---- */

/* A column, a blank before it: the number, or "-" where there is none. */
static void cell(struct fnl_buf *out, int width, double x)
{
    if (isnan(x)) {
        (void)fnl_buf_printf(out, " %*s", width - 1, "-");
    } else {
        (void)fnl_buf_printf(out, fabs(x) < 1e4 ? " %*.4f" : " %*.2e", width - 1, x);
    }
}

static void json_epoch(struct fnl_train_view *v, const struct fnl_epoch *e, double eta_s)
{
    struct fnl_buf line;
    fnl_buf_init(&line, LINE_BYTES);
    fnl_epoch_event_json(&line, v->run, e, v->epochs, eta_s);
    put_line(v, &line);
}

static void show_epoch(void *arg, const struct fnl_epoch *e, double eta_s)
{
    struct fnl_train_view *v = arg;
    char text[32];
    fnl_train_view_clear(v);
    if (v->json) {
        json_epoch(v, e, eta_s);
        return;
    }
    struct fnl_buf line;
    fnl_buf_init(&line, LINE_BYTES);
    (void)fnl_buf_printf(&line, "%3u/%-3u", e->epoch, v->epochs);
    cell(&line, 9, e->loss);
    cell(&line, 10, e->accuracy);
    if (v->has_validation) {
        cell(&line, 10, e->val_loss);
        cell(&line, 14, e->val_accuracy);
    }
    uint64_t rate = isnan(e->samples_per_s) ? 0 : (uint64_t)e->samples_per_s;
    (void)fnl_buf_printf(&line, "%11s", thousands(rate, text));
    (void)fnl_buf_printf(&line, "%9s", fnl_duration_short(e->seconds, text));
    (void)fnl_buf_printf(&line, "%9s", isnan(eta_s) ? "-" : fnl_duration_short(eta_s, text));
    put_line(v, &line);
}

static void show_note(void *arg, const char *text)
{
    fnl_train_view_clear(arg);
    fnl_print_warning("%s", text);
}

void fnl_train_view_init(struct fnl_train_view *v, bool json, struct fnl_train_observer *ret)
{
    *v = (struct fnl_train_view){.json = json};
    *ret = (struct fnl_train_observer){.start = show_start,
                                       .progress = show_progress,
                                       .epoch = show_epoch,
                                       .note = show_note,
                                       .arg = v};
}

/* ---- the end ---- */

static int json_end(struct fnl_train_view *v, const struct fnl_train_result *r,
                    struct fnl_error *err)
{
    struct fnl_buf line;
    fnl_buf_init(&line, LINE_BYTES);
    fnl_train_end_json(&line, r);
    put_line(v, &line);
    if (v->error.code != 0) {
        *err = v->error;
    }
    return v->error.code;
}

/* "test loss 0.3228, test accuracy 0.8853" */
static void print_test(const struct fnl_evaluation *test)
{
    printf(fabs(test->loss) < 1e4 ? "test loss %.4f" : "test loss %.2e", test->loss);
    if (test->has_accuracy) {
        printf(", test accuracy %.4f", test->accuracy);
    }
}

static void print_result(const struct fnl_train_result *r)
{
    char text[32];
    puts("");
    if (r->stopped_early) {
        printf("stopped early: epoch %u was the best\n", r->best_epoch);
    }
    if (r->has_test) {
        print_test(&r->test);
        printf(" (%s samples, %s epoch's weights)\n", thousands(r->test.rows, text),
               r->weights_are_best ? "best" : "last");
    }
    printf("done in %s\n", fnl_duration_text(r->seconds, text));
}

/* A run that was resumed and had ended before. */
static void print_had_ended(const struct fnl_train_result *r)
{
    printf("run %s has ended: %u epoch%s", r->run, r->epochs, r->epochs == 1 ? "" : "s");
    if (r->has_test) {
        printf(", ");
        print_test(&r->test);
    }
    puts("");
    if (r->way_on[0] != 0) {
        puts(r->way_on);
    }
}

int fnl_train_view_end(struct fnl_train_view *v, const struct fnl_train_result *r,
                       struct fnl_error *err)
{
    fnl_train_view_clear(v);
    if (v->error.code != 0) {
        *err = v->error;
        return v->error.code;
    }
    if (v->json) {
        return json_end(v, r, err);
    }
    if (r->had_ended) {
        print_had_ended(r);
    } else {
        print_result(r);
    }
    printf("model   %s\ncurves  %s/curves.svg\n", r->model, r->folder);
    /* The configuration as run, so that the numbers are the same whatever --set said. */
    char config[PATH_BYTES], model[PATH_BYTES], quoted[PATH_BYTES];
    (void)snprintf(config, sizeof config, "%s/config.yaml", r->folder);
    printf("\nnext: fournil evaluate %s --data %s\n", fnl_shell_word(r->model, model, sizeof model),
           fnl_shell_word(config, quoted, sizeof quoted));
    return 0;
}
