/* cmd_data_info.c - `fournil data info`: what a configuration's data section finds. */
#include "base/mem.h"
#include "cli/cmd_data_int.h"
#include "cli/print.h"
#include "train/config.h"

#define ROWS_MAX 100 /* classes shown in the table; --json has all */

struct info_options {
    bool json;
    struct fnl_opt_list set;
};

static const struct info_options defaults = {0};

static const struct fnl_opt options[] = {
    {"set", 0, FNL_OPT_LIST, offsetof(struct info_options, set), "KEY=VALUE",
     "set a key of the configuration, such as data.validation_split=0.1"},
    {"json", 0, FNL_OPT_FLAG, offsetof(struct info_options, json), .help = "print one JSON object"},
    {NULL},
};

static const struct fnl_example examples[] = {
    {"what would be trained on", "fournil data info examples/mnist_mlp.yaml"},
    {NULL},
};

static const char *const split_names[] = {"train", "validation", "test"};

/* The splits and the samples of each class in each: count[split * classes + class]. */
struct info {
    const struct fnl_dataset *split[3];
    const struct fnl_dataset *any; /* one that is there */
    int classes;                   /* 0: targets are numbers */
    size_t *count;
};

static int gather(const struct fnl_splits *s, struct info *info, struct fnl_error *err)
{
    *info = (struct info){.split = {&s->train, &s->validation, &s->test}};
    for (int i = 2; i >= 0; i--) {
        info->any = info->split[i]->count != 0 ? info->split[i] : info->any;
    }
    if (info->any->target_kind != FNL_TARGET_CLASS) {
        return 0;
    }
    info->classes = info->any->class_count;
    info->count = fnl_calloc(3 * (size_t)info->classes, sizeof *info->count);
    if (info->count == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    for (int i = 0; i < 3; i++) {
        if (info->split[i]->count != 0) {
            fnl_dataset_class_counts(info->split[i], info->count + i * info->classes);
        }
    }
    return 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *json_floats(const float *values, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_array_append_new(list, json_real((double)values[i]));
    }
    return list;
}

static json_t *json_classes(const struct info *info)
{
    json_t *list = json_array();
    for (int c = 0; c < info->classes; c++) {
        const char *name = info->any->class_names != NULL ? info->any->class_names[c] : NULL;
        json_t *one = json_pack("{s:i, s:s?}", "label", c, "name", name);
        for (int i = 0; i < 3; i++) {
            json_object_set_new(one, split_names[i],
                                json_integer((json_int_t)info->count[i * info->classes + c]));
        }
        json_array_append_new(list, one);
    }
    return list;
}

static int print_json(const char *path, const struct fnl_splits *s, const struct info *info,
                      struct fnl_error *err)
{
    json_t *shape = json_array(), *samples = json_object();
    for (int i = 0; i < info->any->sample.rank; i++) {
        json_array_append_new(shape, json_integer(info->any->sample.dim[i]));
    }
    for (int i = 0; i < 3; i++) {
        json_object_set_new(samples, split_names[i],
                            json_integer((json_int_t)info->split[i]->count));
    }
    const struct fnl_normalization *n = &s->normalization;
    json_t *all =
        json_pack("{s:s, s:o, s:o, s:s, s:s, s:{s:o, s:o}}", "config", path, "samples", samples,
                  "shape", shape, "dtype", fnl_dtype_name(info->any->dtype), "target",
                  info->classes != 0 ? "class" : "number", "normalization", "mul",
                  json_floats(n->mul, n->channels), "add", json_floats(n->add, n->channels));
    if (info->classes != 0) {
        json_object_set_new(all, "classes", json_classes(info));
    } else {
        json_object_set_new(all, "target_size", json_integer((json_int_t)info->any->target_size));
    }
    return fnl_print_json(all, err);
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_normalization(const struct fnl_normalization *n)
{
    if (n->channels == 0) {
        puts("normalize  none");
    } else if (n->channels <= 4) {
        for (int c = 0; c < n->channels; c++) {
            printf("%s x * %.6g %c %.6g\n", c == 0 ? "normalize " : "          ", (double)n->mul[c],
                   n->add[c] < 0 ? '-' : '+', (double)(n->add[c] < 0 ? -n->add[c] : n->add[c]));
        }
    } else {
        printf("normalize  a multiplication and an addition for each of %d values\n", n->channels);
    }
}

static int print_classes(const struct info *info, struct fnl_error *err)
{
    static const char *const headings[] = {"LABEL", "CLASS", "TRAIN", "VALIDATION", "TEST"};
    struct fnl_table *table = NULL;
    int rc = fnl_table_create(5, headings, &table, err);
    if (rc != 0) {
        return rc;
    }
    for (int c = 0; c < info->classes && c < ROWS_MAX; c++) {
        fnl_table_cell(table, "%d", c);
        fnl_table_cell(table, "%s",
                       info->any->class_names != NULL ? info->any->class_names[c] : "");
        for (int i = 0; i < 3; i++) {
            fnl_table_cell(table, "%zu", info->count[i * info->classes + c]);
        }
    }
    for (int c = 2; c < 5; c++) {
        fnl_table_align_right(table, c);
    }
    puts("");
    rc = fnl_table_print(table, stdout, err);
    fnl_table_free(table);
    if (rc == 0 && info->classes > ROWS_MAX) {
        printf("... and %d more; --json lists all\n", info->classes - ROWS_MAX);
    }
    return rc;
}

static int print_text(const struct fnl_splits *s, const struct info *info, struct fnl_error *err)
{
    char shape[FNL_SHAPE_TEXT];
    printf("samples    train %zu, validation %zu, test %zu\n", s->train.count, s->validation.count,
           s->test.count);
    printf("shape      %s %s\n", fnl_shape_text(&info->any->sample, shape),
           fnl_dtype_name(info->any->dtype));
    if (info->classes == 0) {
        printf("target     %zu %s\n", info->any->target_size,
               info->any->target_size == 1 ? "number" : "numbers");
    } else {
        printf("target     %d classes\n", info->classes);
    }
    print_normalization(&s->normalization);
    return info->classes != 0 ? print_classes(info, err) : 0;
}

static int run(const struct fnl_call *call, struct fnl_error *err)
{
    const struct info_options *o = call->options;
    const char *path = call->argument[0];
    struct fnl_train_config *config = NULL;
    struct fnl_splits *splits = NULL;
    struct info info = {.count = NULL};
    int rc = fnl_train_config_load(path, NULL, o->set.value, o->set.count, true, &config, err);
    if (rc == 0) {
        rc = fnl_data_load(config->data, config->directory, (uint64_t)config->seed, &splits, err);
    }
    if (rc == 0) {
        rc = gather(splits, &info, err);
    }
    if (rc == 0) {
        rc = o->json ? print_json(path, splits, &info, err) : print_text(splits, &info, err);
    }
    fnl_free(info.count);
    fnl_splits_free(splits);
    fnl_train_config_free(config);
    return rc;
}

const struct fnl_command fnl__cmd_data_info = {
    .name = "info",
    .summary = "show what a configuration's data section finds",
    .arguments = "CONFIG.yaml",
    .description =
        "Reads all files of the data section as training would, and shows the samples of "
        "each part, their shape and type, the normalisation, and how many samples each "
        "class has.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .defaults = &defaults,
    .options_size = sizeof(struct info_options),
    .examples = examples,
    .complete = FNL_COMPLETE_FILE,
    .parent = &fnl_cmd_data,
    .run = run,
};
