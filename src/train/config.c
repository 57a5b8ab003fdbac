/* config.c - reads the YAML file of a run: parse, apply assignments, then table by table.
 *
 * Sections are checked in the order of the file's meaning: top level, `train:` (cheap, no files),
 * then `data:` by its own module. `model:` is only kept: it is built when the data's shape is
 * known. Every error names file, line, key and what was expected. */
#include "train/config.h"

#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "model/model.h"
#include "train/config_int.h"
#include "train/device.h"

/* A key that is a name, or a map with `name` and the keys of that kind: `optimizer: adam` or
 * `optimizer: {name: adam, epsilon: 1e-7}`. fields: one table per kind. */
static int read_kind(struct fnl_train_config *c, const struct fnl_yaml_node *node,
                     const char *where, const char *const *names, const struct fnl_alias *aliases,
                     const struct fnl_field *const *fields, void *out, int *ret_kind,
                     struct fnl_error *err)
{
    const struct fnl_yaml_node *name = node;
    int kind = 0;
    if (node != NULL && node->kind == FNL_YAML_MAP) {
        name = fnl_yaml_get(node, "name");
        if (name == NULL) {
            return fnl_yaml_fail(c->doc, node, "add \"name: ...\"", err, "%s.name is required",
                                 where);
        }
    }
    if (name != NULL) {
        const struct fnl_field field[] = {
            {node == name ? where : "name", FNL_FIELD_ENUM, 0, .names = names, .aliases = aliases},
            {NULL}};
        /* A map of one pair, so that the one reader of enums says what was wrong. */
        struct fnl_yaml_node *items[] = {(struct fnl_yaml_node *)(uintptr_t)name};
        struct fnl_yaml_node key = {.kind = FNL_YAML_SCALAR, .scalar = field[0].name};
        struct fnl_yaml_node *keys[] = {&key};
        struct fnl_yaml_node pair = {.kind = FNL_YAML_MAP,
                                     .line = name->line,
                                     .column = name->column,
                                     .count = 1,
                                     .item = items,
                                     .key = keys};
        int rc =
            fnl_schema_read(c->doc, &pair, node == name ? "" : where, field, &c->arena, &kind, err);
        if (rc != 0) {
            return rc;
        }
    }
    const struct fnl_field *table = fields[kind];
    bool is_map = node != NULL && node->kind == FNL_YAML_MAP;
    /* Without a map the rest are defaults; `name` itself is known already and stands first. */
    *ret_kind = kind;
    return fnl_schema_read(c->doc, is_map ? node : NULL, where, is_map ? table : table + 1,
                           &c->arena, out, err);
}

static int read_optimizer(struct fnl_train_config *c, const struct fnl__train_keys *keys,
                          struct fnl_error *err)
{
    struct fnl__optimizer_keys o = {0};
    int kind = 0;
    int rc = read_kind(c, keys->optimizer, "train.optimizer", fnl__optimizer_names,
                       fnl__optimizer_aliases, fnl__optimizer_fields, &o, &kind, err);
    if (rc != 0) {
        return rc;
    }
    if (o.nesterov && o.momentum == 0.0) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(keys->optimizer, "nesterov"),
                             "add momentum: 0.9, or remove nesterov", err,
                             "train.optimizer.nesterov: needs momentum above 0");
    }
    c->optimizer = (struct fnl_optimizer)FNL_OPTIMIZER_INIT;
    c->optimizer.kind = (enum fnl_optimizer_kind)kind;
    c->optimizer.weight_decay = (float)o.weight_decay;
    c->optimizer.clip_norm = (float)keys->clip_norm;
    c->optimizer.clip_value = (float)keys->clip_value;
    if (kind == FNL_SGD) {
        c->optimizer.momentum = (float)o.momentum;
        c->optimizer.nesterov = o.nesterov;
    } else {
        c->optimizer.beta1 = (float)o.beta_1;
        c->optimizer.beta2 = (float)o.beta_2;
        c->optimizer.epsilon = (float)o.epsilon;
    }
    c->schedule.learning_rate = o.learning_rate;
    return 0;
}

static int read_schedule(struct fnl_train_config *c, const struct fnl__train_keys *keys,
                         struct fnl_error *err)
{
    const struct fnl_yaml_node *node = keys->schedule;
    double learning_rate = c->schedule.learning_rate;
    struct fnl_schedule s = {0};
    int kind = 0;
    int rc = read_kind(c, node, "train.schedule", fnl_schedule_names, NULL, fnl__schedule_fields,
                       &s, &kind, err);
    if (rc != 0) {
        return rc;
    }
    if (s.warmup_steps > 0 && s.warmup_epochs > 0) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(node, "warmup_steps"), "remove one of the two",
                             err, "train.schedule: warmup_steps and warmup_epochs are both given");
    }
    if (s.warmup_epochs > c->epochs) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(node, "warmup_epochs"), NULL, err,
                             "train.schedule.warmup_epochs: %lld of %lld epochs",
                             (long long)s.warmup_epochs, (long long)c->epochs);
    }
    if (kind == FNL_SCHEDULE_COSINE && s.min_learning_rate > learning_rate) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(node, "min_learning_rate"), NULL, err,
                             "train.schedule.min_learning_rate: %g is more than the learning_rate "
                             "%g",
                             s.min_learning_rate, learning_rate);
    }
    s.kind = kind;
    s.learning_rate = learning_rate;
    c->schedule = s;
    return 0;
}

/* bool-like words in the place of a map are what people write first. */
static int read_stopping(struct fnl_train_config *c, const struct fnl__train_keys *keys,
                         struct fnl_error *err)
{
    struct fnl_early_stopping *s = &c->early_stopping;
    const struct fnl_yaml_node *node = keys->early_stopping;
    int rc = fnl_schema_read(c->doc, node, "train.early_stopping", fnl__early_stopping_fields,
                             &c->arena, s, err);
    if (rc != 0) {
        return rc;
    }
    s->on = node != NULL;
    s->monitor_given = s->on && fnl_yaml_get(node, "monitor") != NULL;
    struct fnl_checkpointing *k = &c->checkpoint;
    node = keys->checkpoint;
    rc = fnl_schema_read(c->doc, node, "train.checkpoint", fnl__checkpoint_fields, &c->arena, k,
                         err);
    if (rc != 0) {
        return rc;
    }
    const struct fnl_yaml_node *best_by = node != NULL ? fnl_yaml_get(node, "best_by") : NULL;
    k->best_by_given = best_by != NULL || s->monitor_given;
    if (best_by == NULL) {
        k->best_by = s->on ? s->monitor : FNL_MONITOR_VAL_LOSS;
    } else if (s->on && s->restore_best && k->best_by != s->monitor) {
        return fnl_yaml_fail(c->doc, best_by, "let both go by the same number", err,
                             "train.checkpoint.best_by: %s, but early_stopping.restore_best goes "
                             "by %s",
                             fnl_monitor_names[k->best_by], fnl_monitor_names[s->monitor]);
    }
    return 0;
}

/* An evaluation does not go where the training went: a device that is not here is no matter. */
static int read_device(struct fnl_train_config *c, const char *name, bool data_only,
                       struct fnl_error *err)
{
    struct fnl_error why = FNL_ERROR_INIT;
    int rc = fnl_train_device_parse(name, &c->device, &why);
    if (rc == 0 || (rc == FNL_E_DEVICE && data_only)) {
        return 0;
    }
    (void)fnl_yaml_fail(c->doc, fnl_yaml_get(c->train_node, "device"), why.hint, err,
                        "train.device: %s", why.message);
    if (err != NULL) {
        err->code = rc;
    }
    return rc;
}

static int read_train(struct fnl_train_config *c, bool data_only, struct fnl_error *err)
{
    struct fnl__train_keys k = {0};
    int rc = fnl_schema_read(c->doc, c->train_node, "train", fnl__train_fields, &c->arena, &k, err);
    if (rc != 0) {
        return rc;
    }
    c->loss = k.loss;
    c->precision = k.precision;
    c->batch = k.batch;
    c->evaluation_batch = k.evaluation_batch;
    c->epochs = k.epochs;
    c->seed = k.seed;
    c->threads = k.threads;
    c->shuffle = k.shuffle;
    c->deterministic = k.deterministic;
    rc = read_device(c, k.device, data_only, err);
    rc = rc != 0 ? rc : read_optimizer(c, &k, err);
    rc = rc != 0 ? rc : read_schedule(c, &k, err);
    return rc != 0 ? rc : read_stopping(c, &k, err);
}

static int read_sections(struct fnl_train_config *c, bool data_only, struct fnl_error *err)
{
    struct fnl__top_keys top = {0};
    const struct fnl_yaml_node *root = fnl_yaml_root(c->doc);
    int rc = fnl_schema_read(c->doc, root, "", data_only ? fnl__data_only_fields : fnl__top_fields,
                             &c->arena, &top, err);
    if (rc != 0) {
        return rc;
    }
    c->data_node = top.data;
    c->layers = top.model;
    c->train_node = top.train;
    rc = read_train(c, data_only, err);
    if (rc != 0) {
        return rc;
    }
    rc = fnl_data_config_read(c->doc, c->data_node, &c->data, err);
    c->augments = rc == 0 && fnl_data_config_augments(c->data);
    return rc;
}

/* "optimizer: adam" is "optimizer: {name: adam}"; layers have short forms of their own. */
static const char *main_key(const char *key)
{
    bool has_name = strcmp(key, "optimizer") == 0 || strcmp(key, "schedule") == 0;
    return has_name ? "name" : fnl_model_layer_shorthand(key);
}

static const struct fnl_yaml_short short_forms = {.main_key = main_key,
                                                  .is_name = fnl_model_is_layer};

int fnl_train_config_load(const char *path, const char *directory, const char *const *assignments,
                          int count, bool data_only, struct fnl_train_config **ret_config,
                          struct fnl_error *err)
{
    struct fnl_train_config *c = fnl_calloc(1, sizeof *c);
    if (c == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    }
    fnl_arena_init(&c->arena, FNL_MAX_TRAIN_CONFIG_BYTES);
    int rc = fnl_yaml_load(path, &c->doc, err);
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = fnl_yaml_set_short(c->doc, &short_forms, assignments[i], err);
    }
    if (rc == 0) {
        c->directory = directory != NULL ? fnl_strdup(directory) : fnl_path_dirname(path);
        rc = c->directory == NULL ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path) : 0;
    }
    rc = rc != 0 ? rc : read_sections(c, data_only, err);
    if (rc != 0) {
        fnl_train_config_free(c);
        return rc;
    }
    *ret_config = c;
    return 0;
}

void fnl_train_config_free(struct fnl_train_config *config)
{
    if (config == NULL) {
        return;
    }
    fnl_data_config_free(config->data);
    fnl_arena_free(&config->arena);
    fnl_yaml_free(config->doc);
    fnl_free(config->directory);
    fnl_free(config);
}
