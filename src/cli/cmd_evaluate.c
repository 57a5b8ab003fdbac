/* cmd_evaluate.c - `fournil evaluate`: loss, accuracy and confusion of a model on data. */
#include <math.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/limits.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "train/device.h"
#include "train/report.h"

/* A larger matrix does not fit a terminal; --json has it. */
#define MATRIX_CLASSES_MAX 20

struct evaluate_options {
    bool json;
    const char *data;
    const char *device;
    int split;
    int64_t threads, batch;
    struct fnl_opt_list set;
};

static const char *const split_names[] = {"test", "validation", "train", NULL};
static const struct evaluate_options defaults = {.device = "auto"};

static const struct fnl_opt options[] = {
    {"data", 0, FNL_OPT_STRING, offsetof(struct evaluate_options, data), "CONFIG.yaml",
     "configuration whose data section says where the samples are", .complete = FNL_COMPLETE_FILE},
    {"split", 0, FNL_OPT_ENUM, offsetof(struct evaluate_options, split), NULL, "which samples",
     .names = split_names},
    {"set", 0, FNL_OPT_LIST, offsetof(struct evaluate_options, set), "KEY=VALUE",
     "set a key of the configuration, such as data.limit=1000"},
    {"batch", 0, FNL_OPT_INT, offsetof(struct evaluate_options, batch), "N",
     "samples of one step (default: the model's own)", .min = 1, .max = FNL_MAX_BATCH},
    {"device", 0, FNL_OPT_STRING, offsetof(struct evaluate_options, device), "DEVICE",
     "where to evaluate: auto, cpu, cuda:N, opencl:N, or ref (slow reference)",
     .names = fnl_train_device_names},
    {"threads", 0, FNL_OPT_INT, offsetof(struct evaluate_options, threads), "N",
     "worker threads (default: all CPUs); the result is the same", .min = 1, .max = FNL_MAX_SHARDS},
    {"json", 0, FNL_OPT_FLAG, offsetof(struct evaluate_options, json), NULL,
     "print one JSON object"},
    {NULL},
};

static const struct fnl_example examples[] = {
    {"test a trained model",
     "fournil evaluate .fournil/runs/mnist_mlp-20261124-103819/model.onnx --data "
     "examples/mnist_mlp.yaml"},
    {NULL},
};

static bool stop(void *arg)
{
    (void)arg;
    return fnl_interrupted();
}

/* The object of summary.json's "test", with what was evaluated in front. */
static int print_json(const char *model, const struct evaluate_options *o,
                      const struct fnl_evaluate_result *r, struct fnl_error *err)
{
    struct fnl_buf text;
    fnl_buf_init(&text, FNL_MAX_RUN_TEXT_BYTES);
    fnl_evaluation_json(&text, &r->evaluation, r->class_names);
    json_t *all = text.failed ? NULL : json_loadb(text.data, text.size, 0, NULL);
    fnl_buf_free(&text);
    json_t *front =
        json_pack("{s:s, s:s, s:s, s:s, s:f}", "model", model, "split", split_names[o->split],
                  "loss_function", r->loss, "device", r->device, "seconds", r->seconds);
    if (all == NULL || front == NULL || json_object_update(front, all) != 0) {
        json_decref(front);
        front = NULL;
    }
    json_decref(all);
    return fnl_print_json(front, err);
}

static void ratio_cell(struct fnl_table *table, double x)
{
    if (isnan(x)) {
        fnl_table_cell(table, "-");
    } else {
        fnl_table_cell(table, "%.4f", x);
    }
}

static int print_classes(const struct fnl_evaluate_result *r, struct fnl_error *err)
{
    static const char *const headings[] = {"CLASS", "SAMPLES", "PRECISION", "RECALL", "F1"};
    struct fnl_table *table = NULL;
    int rc = fnl_table_create(5, headings, &table, err);
    for (int c = 1; rc == 0 && c < 5; c++) {
        fnl_table_align_right(table, c);
    }
    for (int i = 0; rc == 0 && i < r->evaluation.classes; i++) {
        struct fnl_class_score s = fnl_evaluation_class(&r->evaluation, i);
        if (r->class_names != NULL) {
            fnl_table_cell(table, "%s", r->class_names[i]);
        } else {
            fnl_table_cell(table, "%d", i);
        }
        fnl_table_cell(table, "%llu", (unsigned long long)s.support);
        ratio_cell(table, s.precision);
        ratio_cell(table, s.recall);
        ratio_cell(table, s.f1);
    }
    rc = rc != 0 ? rc : fnl_table_print(table, stdout, err);
    fnl_table_free(table);
    return rc;
}

static void print_matrix(const struct fnl_evaluation *e)
{
    printf("\nconfusion: a row is a label, a column what was predicted\n     ");
    for (int k = 0; k < e->classes; k++) {
        printf("%7d", k);
    }
    for (int i = 0; i < e->classes; i++) {
        printf("\n%5d", i);
        for (int k = 0; k < e->classes; k++) {
            printf("%7llu", (unsigned long long)e->confusion[i * e->classes + k]);
        }
    }
    puts("");
}

static int print_text(const struct evaluate_options *o, const struct fnl_evaluate_result *r,
                      struct fnl_error *err)
{
    const struct fnl_evaluation *e = &r->evaluation;
    char text[32];
    printf("%s loss %.6f", split_names[o->split], e->loss);
    if (e->has_accuracy) {
        printf(", %s accuracy %.4f", split_names[o->split], e->accuracy);
    }
    printf(" (%zu samples, %s)\n", e->rows, fnl_duration_text(r->seconds, text));
    if (e->classes == 0) {
        return 0;
    }
    puts("");
    int rc = print_classes(r, err);
    if (rc == 0 && e->classes <= MATRIX_CLASSES_MAX) {
        print_matrix(e);
    }
    return rc;
}

static int run(const struct fnl_call *call, struct fnl_error *err)
{
    const struct evaluate_options *o = call->options;
    if (o->data == NULL) {
        return FNL_FAIL(err, INVALID, "add --data CONFIG.yaml, the file it was trained with",
                        "evaluate: --data is missing");
    }
    struct fnl_evaluate_result result;
    struct fnl_evaluate_request request = FNL_EVALUATE_REQUEST_INIT;
    request.model = call->argument[0];
    request.config = o->data;
    request.assignments = o->set.value;
    request.assignment_count = o->set.count;
    request.split = o->split;
    request.threads = (int)o->threads;
    request.batch = o->batch;
    request.stop = stop;
    int rc = fnl_train_device_option("--device", o->device, &request.device, err);
    if (rc != 0) {
        return rc;
    }
    fnl_interrupt_install();
    rc = fnl_evaluate(&request, &result, err);
    if (rc != 0) {
        return rc;
    }
    rc = o->json ? print_json(request.model, o, &result, err) : print_text(o, &result, err);
    fnl_evaluate_result_free(&result);
    return rc;
}

const struct fnl_command fnl_cmd_evaluate = {
    .name = "evaluate",
    .summary = "test a trained model on data",
    .arguments = "MODEL.onnx",
    .description =
        "Loss, accuracy, precision and recall of each class, and the confusion matrix of an ONNX "
        "model. For a model of fournil train the numbers are those of the training's own test, bit "
        "for bit.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .defaults = &defaults,
    .options_size = sizeof(struct evaluate_options),
    .examples = examples,
    .complete = FNL_COMPLETE_FILE,
    .run = run,
};
