/* train.c - trains the network of a YAML file and shows how it goes; Ctrl-C saves the run.
 *
 *   cc -o train train.c $(pkg-config --cflags --libs fournil)
 *   ./train fashion_mlp.yaml train.epochs=3 */
#include <fournil/training.h>
#include <fournil/version.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* Anything but 0 stops the run, which is saved first. */
static int show_progress(void *arg, const struct fnl_training_progress *p)
{
    (void)arg;
    fprintf(stderr, "\repoch %u of %u: %.0f %%, loss %.4f ", (unsigned)p->epoch,
            (unsigned)p->epochs, 100.0 * (double)p->batch / (double)p->batches, p->loss);
    return interrupted;
}

static int show_epoch(void *arg, const struct fnl_training_epoch *e)
{
    (void)arg;
    fprintf(stderr, "\r");
    printf("epoch %u of %u: loss %.4f", (unsigned)e->epoch, (unsigned)e->epochs, e->loss);
    if (!isnan(e->val_accuracy)) {
        printf(", accuracy %.4f on validation data", e->val_accuracy);
    }
    printf(", %.0f samples/s\n", e->samples_per_s);
    return interrupted;
}

static void show_note(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "note: %s\n", text);
}

int main(int argc, char **argv)
{
    struct fnl_training_options options = FNL_TRAINING_OPTIONS_INIT;
    struct fnl_training_result *result = NULL;
    struct fnl_error err = FNL_ERROR_INIT;

    if (argc < 2) {
        fprintf(stderr, "usage: train CONFIG.yaml [KEY=VALUE...]\n");
        return 2;
    }
    signal(SIGINT, on_interrupt);
    options.config = argv[1];
    options.assignments = (const char *const *)(argv + 2);
    options.assignment_count = argc - 2;
    options.progress = show_progress;
    options.epoch = show_epoch;
    options.note = show_note;
    if (fnl_training_run(&options, &result, &err) != 0) {
        fprintf(stderr, "error: %s\n", err.message);
        if (err.hint[0] != '\0') {
            fprintf(stderr, "hint: %s\n", err.hint);
        }
        return fnl_code_status(err.code);
    }
    if (!isnan(fnl_training_result_test_accuracy(result))) {
        printf("accuracy %.4f on test data\n", fnl_training_result_test_accuracy(result));
    }
    printf("%s\n", fnl_training_result_model(result));
    fnl_training_result_free(result);
    return 0;
}
