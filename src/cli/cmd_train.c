/* cmd_train.c - `fournil train`: options to a request, the request to the library, its events to
 * the terminal. */
#include <stdio.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/limits.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/train_view.h"
#include "train/device.h"

#define ASSIGNMENT_BYTES 64
#define FLAGS_MAX 5 /* flags that are assignments */

struct train_options {
    bool json, deterministic;
    int64_t threads, epochs, batch;
    const char *device, *dir, *resume;
    struct fnl_opt_list set;
};

static const struct train_options defaults = {0};

static const struct fnl_opt options[] = {
    {"device", 0, FNL_OPT_STRING, offsetof(struct train_options, device), "DEVICE",
     "where to train: auto, cpu, cuda:N, opencl:N, or ref (slow reference); see fournil devices",
     .names = fnl_train_device_names},
    {"threads", 0, FNL_OPT_INT, offsetof(struct train_options, threads), "N",
     "worker threads; by default a few steps are timed and the best number is taken", .min = 1,
     .max = FNL_MAX_SHARDS},
    {"epochs", 0, FNL_OPT_INT, offsetof(struct train_options, epochs), "N",
     "passes over the training data; with --resume: in all, may be more than before", .min = 1,
     .max = FNL_MAX_EPOCHS},
    {"batch", 0, FNL_OPT_INT, offsetof(struct train_options, batch), "N", "samples of one step",
     .min = 1, .max = FNL_MAX_BATCH},
    {"set", 0, FNL_OPT_LIST, offsetof(struct train_options, set), "KEY=VALUE",
     "set a key of the configuration, such as train.optimizer.learning_rate=0.1"},
    {"deterministic", 0, FNL_OPT_FLAG, offsetof(struct train_options, deterministic), NULL,
     "the same result whatever the number of threads"},
    {"resume", 0, FNL_OPT_STRING, offsetof(struct train_options, resume), "RUN",
     "go on with a run that was stopped, or that is to have more epochs: its id or folder",
     .complete = FNL_COMPLETE_RUN},
    {"dir", 0, FNL_OPT_STRING, offsetof(struct train_options, dir), "DIR",
     "folder for runs (default: $FOURNIL_DIR, or .fournil)", .complete = FNL_COMPLETE_DIR},
    {"json", 0, FNL_OPT_FLAG, offsetof(struct train_options, json), NULL,
     "print one JSON object for each epoch and one at the end"},
    {NULL},
};

static const struct fnl_example examples[] = {
    {"train the network of a file", "fournil train examples/mnist_mlp.yaml"},
    {"with other settings",
     "fournil train examples/mnist_mlp.yaml --epochs 20 --set train.optimizer.learning_rate=0.05"},
    {"go on with a run that was stopped", "fournil train --resume mnist_mlp-20261124-103819"},
    {"give a run that has ended ten epochs more",
     "fournil train --resume mnist_mlp-20261124-103819 --epochs 20"},
    {NULL},
};

static bool stop(void *arg)
{
    (void)arg;
    return fnl_interrupted();
}

/* --set, then the flags: assignments in the order in which they win. */
struct assignments {
    char text[FLAGS_MAX][ASSIGNMENT_BYTES];
    const char *list[FNL_OPT_LIST_MAX + FLAGS_MAX];
    int flags, count;
};

static void assign(struct assignments *a, const char *key, int64_t number, const char *word)
{
    char *text = a->text[a->flags++];
    if (word != NULL) {
        (void)snprintf(text, ASSIGNMENT_BYTES, "train.%s=%s", key, word);
    } else {
        (void)snprintf(text, ASSIGNMENT_BYTES, "train.%s=%lld", key, (long long)number);
    }
    a->list[a->count++] = text;
}

static void collect(const struct train_options *o, struct assignments *a)
{
    for (int i = 0; i < o->set.count; i++) {
        a->list[a->count++] = o->set.value[i];
    }
    if (o->device != NULL) {
        assign(a, "device", 0, o->device);
    }
    if (o->threads > 0) {
        assign(a, "threads", o->threads, NULL);
    }
    if (o->epochs > 0) {
        assign(a, "epochs", o->epochs, NULL);
    }
    if (o->batch > 0) {
        assign(a, "batch", o->batch, NULL);
    }
    if (o->deterministic) {
        assign(a, "deterministic", 0, "true");
    }
}

static const char *state_folder(const struct train_options *o)
{
    const char *from_environment = getenv("FOURNIL_DIR");
    if (o->dir != NULL) {
        return o->dir;
    }
    return from_environment != NULL && from_environment[0] != 0 ? from_environment : FNL_TRAIN_DIR;
}

static int run(const struct fnl_call *call, struct fnl_error *err)
{
    const struct train_options *o = call->options;
    const char *config = call->argument_count > 0 ? call->argument[0] : NULL;
    if (config == NULL && o->resume == NULL) {
        return FNL_FAIL(err, INVALID, "fournil train CONFIG.yaml, or fournil train --resume RUN",
                        "train: no configuration given");
    }
    struct fnl_train_choice
        device; /* looked at here so that a mistake is one of the option, not of a key */
    if (o->device != NULL) {
        int wrong = fnl_train_device_option("--device", o->device, &device, err);
        if (wrong != 0) {
            return wrong;
        }
    }
    struct assignments assignments = {0};
    collect(o, &assignments);
    struct fnl_train_view view;
    struct fnl_train_result result;
    struct fnl_train_request request = FNL_TRAIN_REQUEST_INIT;
    request.config = config;
    request.assignments = assignments.list;
    request.assignment_count = assignments.count;
    request.dir = state_folder(o);
    request.resume = o->resume;
    request.stop = stop;
    fnl_train_view_init(&view, o->json, &request.observer);
    fnl_interrupt_install();
    int rc = fnl_train(&request, &result, err);
    if (rc == 0) {
        rc = fnl_train_view_end(&view, &result, err);
    }
    fnl_train_view_clear(&view);
    fnl_train_result_free(&result);
    return rc;
}

const struct fnl_command fnl_cmd_train = {
    .name = "train",
    .summary = "train the network that a YAML file describes",
    .arguments = "[CONFIG.yaml]",
    .description =
        "Reads the data, builds the network, trains and tests it, and leaves everything in a run "
        "folder: the configuration as run, metrics.jsonl, summary.json, curves.svg, checkpoints, "
        "and model.onnx, which opens in every ONNX runtime and takes raw values.\n"
        "Ctrl-C saves the run and ends it with status 130; --resume goes on with it, also after a "
        "crash, to the same result bit for bit as if it had not been stopped.",
    .max_arguments = 1,
    .options = options,
    .defaults = &defaults,
    .options_size = sizeof(struct train_options),
    .examples = examples,
    .complete = FNL_COMPLETE_FILE,
    .run = run,
};
