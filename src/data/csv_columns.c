/* csv_columns.c - the columns of a CSV file: their names, which of them are features, and where
 * those of the first file stand in a later one. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "data/csv_int.h"

static bool in_list(const struct fnl_strings *list, const char *name)
{
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->value[i], name) == 0) {
            return true;
        }
    }
    return false;
}

int fnl__csv_find_column(const struct fnl__csv_table *t, const struct fnl__csv *csv,
                         const char *name, const char *key, int *ret, struct fnl_error *err)
{
    for (int i = 0; i < t->fields; i++) {
        if (strcmp(t->header[i], name) == 0) {
            *ret = i;
            return 0;
        }
    }
    const char *near = NULL;
    const char *names[64];
    int n = 0;
    for (; n < t->fields && n < 63; n++) {
        names[n] = t->header[n];
    }
    names[n] = NULL;
    near = fnl_nearest_name(name, names);
    (void)FNL_FAIL(err, FORMAT,
                   t->config->header ? NULL : "without a header columns are called 1, 2, ...",
                   "%s:1: has no column \"%.60s\" (data.%s)", csv->name, name, key);
    if (near != NULL) {
        fnl_error_hint(err, "did you mean \"%.60s\"?", near);
    }
    return FNL_E_FORMAT;
}

int fnl__csv_read_header(struct fnl__csv_table *t, struct fnl__csv *csv, struct fnl_error *err)
{
    struct fnl_data_store *store = t->load->store;
    int rc = fnl__csv_next(csv, &t->fields, err);
    if (rc != 0) {
        return rc;
    }
    if (t->fields == 0) {
        return FNL_FAIL(err, FORMAT, NULL, "%s: the file is empty", csv->name);
    }
    t->header = fnl_arena_array(&store->arena, (size_t)t->fields, sizeof *t->header);
    if (t->header == NULL) {
        return fnl__csv_no_memory(csv, err);
    }
    for (int i = 0; i < t->fields; i++) {
        char number[16];
        size_t size = (size_t)snprintf(number, sizeof number, "%d", i + 1);
        const char *text = number;
        if (t->config->header) {
            text = fnl__csv_text(t, &csv->field[i], &size);
            if (!fnl_utf8_valid(text, size)) {
                return FNL_FAIL(err, FORMAT, "save the file as UTF-8",
                                "%s:1: the name of column %d is not UTF-8", csv->name, i + 1);
            }
        }
        t->header[i] = fnl__store_text(store, text, size, err);
        if (t->header[i] == NULL) {
            return FNL_E_NOMEM;
        }
        if (in_list(&(struct fnl_strings){i, (const char **)t->header}, t->header[i])) {
            return FNL_FAIL(err, FORMAT, "give each column a name of its own",
                            "%s:1: two columns are called \"%.60s\"", csv->name, t->header[i]);
        }
    }
    if (!t->config->header) { /* the first record is data */
        fnl__csv_begin(csv, csv->name, csv->data, csv->size, csv->delimiter, csv->field,
                       csv->fields_max);
    }
    return 0;
}

/* Keys that name columns must name columns that are there. */
static int check_lists(const struct fnl__csv_table *t, const struct fnl__csv *csv,
                       struct fnl_error *err)
{
    const struct {
        const char *key;
        const struct fnl_strings *list;
    } lists[] = {{"features", &t->config->features},
                 {"ignore", &t->config->ignore},
                 {"categorical", &t->config->categorical}};
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        for (int i = 0; i < lists[k].list->count; i++) {
            int at = 0;
            int rc = fnl__csv_find_column(t, csv, lists[k].list->value[i], lists[k].key, &at, err);
            if (rc == 0 && at == t->target_field && k != 1) {
                rc = FNL_FAIL(err, CONFIG, NULL, "data.%s: \"%.60s\" is the target", lists[k].key,
                              lists[k].list->value[i]);
            }
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

int fnl__csv_make_columns(struct fnl__csv_table *t, const struct fnl__csv *csv,
                          struct fnl_error *err)
{
    struct fnl__csv_plan *plan = t->plan;
    const struct fnl_data_config *c = t->config;
    struct fnl_arena *arena = &t->load->store->arena;
    int rc = check_lists(t, csv, err);
    if (rc != 0) {
        return rc;
    }
    plan->column = fnl_arena_array(arena, (size_t)t->fields, sizeof *plan->column);
    if (plan->column == NULL) {
        return fnl__csv_no_memory(csv, err);
    }
    for (int i = 0; i < t->fields; i++) {
        const char *name = t->header[i];
        if (i == t->target_field || in_list(&c->ignore, name) ||
            (c->features.count != 0 && !in_list(&c->features, name))) {
            continue;
        }
        struct fnl__csv_column *column = &plan->column[plan->columns++];
        column->name = name;
        column->field = i;
        column->categorical = in_list(&c->categorical, name);
        fnl__names_init(&column->values, arena, FNL_MAX_CATEGORIES);
    }
    if (plan->columns == 0) {
        return FNL_FAIL(err, CONFIG, NULL, "%s: no column is left to predict from", csv->name);
    }
    return 0;
}

int fnl__csv_match_columns(struct fnl__csv_table *t, const struct fnl__csv *csv,
                           struct fnl_error *err)
{
    for (int i = 0; i < t->plan->columns; i++) {
        struct fnl__csv_column *column = &t->plan->column[i];
        int rc = fnl__csv_find_column(t, csv, column->name, "features", &column->field, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
