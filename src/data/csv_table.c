/* csv_table.c - a CSV file as samples of numbers with one target.
 *
 * The first file read (train, when there is one) makes the plan: which columns are features, the
 * values of categorical ones, the classes. Later files are read by the same plan, so that their
 * inputs mean the same; columns may stand in another order there. A file is read twice: pass 1
 * (csv_plan.c) counts rows and collects names, pass 2 fills the arrays. */
#include <math.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/csv_int.h"

/* --- pass 2 ----------------------------------------------------------------------------------- */

static int fill_feature(const struct fnl__csv_table *t, const struct fnl__csv *csv,
                        const struct fnl__csv_column *column, float *sample, struct fnl_error *err)
{
    size_t size = 0;
    double value = 0;
    const char *text = fnl__csv_text(t, &csv->field[column->field], &size);
    if (column->categorical) {
        int at = fnl__names_find(&column->values, text, size);
        if (at < 0) {
            return fnl__csv_is_missing(text, size)
                       ? fnl__csv_fail_missing(csv, column->name, err)
                       : fnl__csv_fail(csv, column->name, "the training file must show every value",
                                       "unknown value", text, size, err);
        }
        sample[column->input + (size_t)at] = 1.0F;
        return 0;
    }
    if (!fnl__csv_number(text, size, &value) || !isfinite((float)value)) {
        return fnl__csv_is_missing(text, size)
                   ? fnl__csv_fail_missing(csv, column->name, err)
                   : fnl__csv_fail(csv, column->name,
                                   "a column of names goes into data.categorical or data.ignore",
                                   "not a number:", text, size, err);
    }
    sample[column->input] = (float)value;
    return 0;
}

static int fill_class(const struct fnl__csv_table *t, const struct fnl__csv *csv, const char *text,
                      size_t size, int32_t *label, struct fnl_error *err)
{
    const char *column = t->header[t->target_field];
    if (t->plan->target == FNL_CSV_NAMED_CLASS) {
        *label = fnl__names_find(&t->plan->classes, text, size);
        return *label >= 0 ? 0
                           : fnl__csv_fail(csv, column,
                                           t->config->classes.count != 0
                                               ? "data.classes must list every class"
                                               : "the training file must show every class",
                                           "unknown class", text, size, err);
    }
    double value = -1;
    int limit = fnl__load_class_limit(t->load);
    if (!fnl__csv_number(text, size, &value) || value < 0 || value != floor(value) ||
        value >= limit) {
        return FNL_FAIL(
            err, FORMAT, "labels count from 0; data.classes sets their number",
            "%s:%zu: column \"%.60s\": label %.*s is out of range, expected 0 to %d (%s)",
            csv->name, csv->line, column, (int)(size < 60 ? size : 60), text, limit - 1,
            fnl__load_class_source(t->load));
    }
    *label = (int32_t)value;
    return 0;
}

static int fill_target(const struct fnl__csv_table *t, const struct fnl__csv *csv, int32_t *label,
                       float *target, struct fnl_error *err)
{
    const char *column = t->header[t->target_field];
    size_t size = 0;
    double value = 0;
    const char *text = fnl__csv_text(t, &csv->field[t->target_field], &size);
    if (fnl__csv_is_missing(text, size)) {
        return fnl__csv_fail_missing(csv, column, err);
    }
    if (t->plan->target != FNL_CSV_NUMBER) {
        return fill_class(t, csv, text, size, label, err);
    }
    if (!fnl__csv_number(text, size, &value) || !isfinite((float)value)) {
        return fnl__csv_fail(csv, column, "for classes by name write \"task: classification\"",
                             "not a number:", text, size, err);
    }
    *target = (float)value;
    return 0;
}

static int fill_samples(struct fnl__csv_table *t, struct fnl__csv *csv, struct fnl_dataset *out,
                        struct fnl_error *err)
{
    const struct fnl__csv_plan *plan = t->plan;
    bool number = plan->target == FNL_CSV_NUMBER;
    void *samples = NULL, *targets = NULL;
    size_t total = 0;
    if (__builtin_mul_overflow(t->rows, plan->inputs, &total)) {
        return fnl__csv_no_memory(csv, err);
    }
    int rc = fnl__store_alloc(t->load->store, total, sizeof(float), csv->name, &samples, err);
    if (rc == 0) {
        rc = fnl__store_alloc(t->load->store, t->rows, 4, csv->name, &targets, err);
    }
    for (size_t row = 0; rc == 0 && row < t->rows; row++) {
        int count = 0;
        rc = fnl__csv_next(csv, &count, err);
        for (int i = 0; rc == 0 && i < plan->columns; i++) {
            rc = fill_feature(t, csv, &plan->column[i], (float *)samples + row * plan->inputs, err);
        }
        if (rc == 0) {
            rc = fill_target(t, csv, (int32_t *)targets + row, (float *)targets + row, err);
        }
    }
    if (rc != 0) {
        return rc;
    }
    *out = (struct fnl_dataset){.count = t->rows,
                                .sample = fnl_shape_make(1, (int64_t)plan->inputs),
                                .sample_size = plan->inputs,
                                .dtype = FNL_F32,
                                .samples = samples,
                                .target_kind = number ? FNL_TARGET_REAL : FNL_TARGET_CLASS,
                                .labels = number ? NULL : targets,
                                .targets = number ? targets : NULL,
                                .target_size = number ? 1 : 0};
    if (plan->target == FNL_CSV_NAMED_CLASS) {
        out->class_count = (int)plan->classes.count;
        out->class_names = plan->class_names;
    }
    return 0;
}

/* --- one file --------------------------------------------------------------------------------- */

static int read_table(struct fnl__csv_table *t, struct fnl__csv *csv, struct fnl_dataset *out,
                      struct fnl_error *err)
{
    int rc = fnl__csv_read_header(t, csv, err);
    if (rc == 0) {
        rc = fnl__csv_find_column(t, csv, t->config->target, "target", &t->target_field, err);
    }
    if (rc == 0) {
        rc = t->first ? fnl__csv_make_columns(t, csv, err) : fnl__csv_match_columns(t, csv, err);
    }
    size_t begin = csv->pos, line = csv->next_line;
    if (rc == 0) {
        rc = fnl__csv_collect(t, csv, err);
    }
    if (rc == 0 && t->first) {
        rc = fnl__csv_finish_plan(t, csv, err);
    }
    if (rc == 0) {
        csv->pos = begin;
        csv->next_line = line;
        rc = fill_samples(t, csv, out, err);
    }
    return rc;
}

int fnl__csv_parse(struct fnl__load *load, const char *name, const char *data, size_t size,
                   struct fnl_dataset *out, struct fnl_error *err)
{
    struct fnl__csv csv;
    struct fnl__csv_table t = {.load = load,
                               .config = load->config,
                               .first = load->csv == NULL,
                               .all_integer = true,
                               .all_number = true,
                               .largest = -1};
    struct fnl__csv_field *field = fnl_calloc(FNL_MAX_CSV_COLUMNS, sizeof *field);
    t.scratch = fnl_malloc(FNL_MAX_CSV_FIELD_BYTES + 1);
    if (t.first) {
        load->csv = fnl_arena_alloc(&load->store->arena, sizeof *load->csv);
    }
    t.plan = load->csv;
    fnl__csv_begin(&csv, name, data, size, load->config->delimiter[0], field, FNL_MAX_CSV_COLUMNS);
    fnl__names_init(&t.words, &load->store->arena, FNL_MAX_CLASSES);
    int rc = field == NULL || t.scratch == NULL || t.plan == NULL
                 ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name)
                 : read_table(&t, &csv, out, err);
    fnl__names_free(&t.words);
    fnl_free(t.scratch);
    fnl_free(field);
    return rc;
}

int fnl__read_csv(struct fnl__load *load, const struct fnl__files *files, struct fnl_dataset *out,
                  struct fnl_error *err)
{
    char *path = NULL, *data = NULL;
    size_t size = 0;
    int rc = fnl__load_file(load, files->file, &path, &data, &size, err);
    if (rc == 0) {
        rc = fnl__csv_parse(load, path, data, size, out, err);
    }
    fnl_free(data);
    fnl_free(path);
    return rc;
}
