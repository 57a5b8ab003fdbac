/* csv_plan.c - what the first CSV file read settles for all: the values of categorical columns,
 * what the target is and its classes, and the places of a sample's elements.
 *
 * Pass 1 counts rows and collects names; a number in a feature is not looked at before pass 2
 * (csv_table.c). */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "data/csv_int.h"

static int add_name(const struct fnl__csv *csv, struct fnl__names *names, const char *column,
                    const char *text, size_t size, struct fnl_error *err)
{
    if (!fnl_utf8_valid(text, size)) {
        return fnl__csv_fail(csv, column, "save the file as UTF-8", "the text is not UTF-8", "", 0,
                             err);
    }
    int rc = fnl__names_add(names, text, size);
    if (rc == FNL_E_LIMIT) {
        return FNL_FAIL(err, LIMIT, "is this column a name at all? Leave it out with ignore",
                        "%s:%zu: column \"%.60s\": more than %zu different values", csv->name,
                        csv->line, column, names->max);
    }
    return rc != 0 ? fnl__csv_no_memory(csv, err) : 0;
}

/* Feature values: those that must be numbers are read in pass 2. */
static int collect_categories(struct fnl__csv_table *t, const struct fnl__csv *csv,
                              struct fnl_error *err)
{
    for (int i = 0; i < t->plan->columns; i++) {
        struct fnl__csv_column *column = &t->plan->column[i];
        if (!column->categorical) {
            continue;
        }
        size_t size = 0;
        const char *text = fnl__csv_text(t, &csv->field[column->field], &size);
        int rc = fnl__csv_is_missing(text, size)
                     ? fnl__csv_fail_missing(csv, column->name, err)
                     : add_name(csv, &column->values, column->name, text, size, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int collect_target(struct fnl__csv_table *t, const struct fnl__csv *csv,
                          struct fnl_error *err)
{
    const char *column = t->header[t->target_field];
    double value = 0;
    size_t size = 0;
    const char *text = fnl__csv_text(t, &csv->field[t->target_field], &size);
    if (fnl__csv_is_missing(text, size)) {
        return fnl__csv_fail_missing(csv, column, err);
    }
    if (t->all_number && fnl__csv_number(text, size, &value)) {
        t->all_integer = t->all_integer && value >= 0 && value == floor(value);
        t->largest = value > t->largest ? value : t->largest;
    } else {
        t->all_number = false;
    }
    /* Distinct values decide what the target is; many of them make it a number in any case. */
    if (t->words.count < t->words.max || !t->all_number) {
        return add_name(csv, &t->words, column, text, size, err);
    }
    return 0;
}

int fnl__csv_collect(struct fnl__csv_table *t, struct fnl__csv *csv, struct fnl_error *err)
{
    for (;;) {
        int count = 0;
        int rc = fnl__csv_next(csv, &count, err);
        if (rc != 0) {
            return rc;
        }
        if (count == 0) {
            break;
        }
        if (count != t->fields) {
            return FNL_FAIL(err, FORMAT,
                            "each line needs one value a column; texts with a delimiter "
                            "need quotes",
                            "%s:%zu: %d fields, expected %d", csv->name, csv->line, count,
                            t->fields);
        }
        if (t->rows == FNL_MAX_SAMPLES) {
            return FNL_FAIL(err, LIMIT, NULL, "%s: more than %u rows", csv->name, FNL_MAX_SAMPLES);
        }
        t->rows++;
        if (t->first) {
            rc = collect_categories(t, csv, err);
            rc = rc == 0 ? collect_target(t, csv, err) : rc;
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (t->rows == 0) {
        return FNL_FAIL(err, FORMAT, NULL, "%s: has no rows", csv->name);
    }
    return 0;
}

static void decide_target(struct fnl__csv_table *t)
{
    struct fnl__csv_plan *plan = t->plan;
    int task = t->config->task;
    if (task == FNL_TASK_REGRESSION) {
        plan->target = FNL_CSV_NUMBER;
    } else if (!t->all_number || (t->config->classes.count != 0 && !t->all_integer)) {
        plan->target = FNL_CSV_NAMED_CLASS;
    } else if (t->all_integer &&
               (task == FNL_TASK_CLASSIFICATION || t->config->classes.count != 0 ||
                (t->words.count < 100 && t->largest + 1 == (double)t->words.count))) {
        plan->target = FNL_CSV_NUMBERED_CLASS;
    } else {
        plan->target = task == FNL_TASK_CLASSIFICATION ? FNL_CSV_NAMED_CLASS : FNL_CSV_NUMBER;
    }
}

/* Classes by name: data.classes in its order, else those met, sorted. */
static int name_classes(struct fnl__csv_table *t, const struct fnl__csv *csv, struct fnl_error *err)
{
    struct fnl__csv_plan *plan = t->plan;
    const struct fnl_strings *given = &t->config->classes;
    if (given->count == 0) {
        plan->classes = t->words;
        t->words = (struct fnl__names){0};
        fnl__names_sort(&plan->classes);
    } else {
        fnl__names_init(&plan->classes, &t->load->store->arena, FNL_MAX_CLASSES);
    }
    for (int i = 0; i < given->count; i++) {
        if (fnl__names_add(&plan->classes, given->value[i], strlen(given->value[i])) != 0) {
            return fnl__csv_no_memory(csv, err);
        }
    }
    size_t count = plan->classes.count;
    plan->class_names = fnl_arena_array(&t->load->store->arena, count, sizeof(char *));
    if (plan->class_names == NULL) {
        return fnl__csv_no_memory(csv, err);
    }
    memcpy(plan->class_names, plan->classes.name, count * sizeof(char *));
    return 0;
}

int fnl__csv_finish_plan(struct fnl__csv_table *t, const struct fnl__csv *csv,
                         struct fnl_error *err)
{
    struct fnl__csv_plan *plan = t->plan;
    decide_target(t);
    if (plan->target == FNL_CSV_NAMED_CLASS) {
        int rc = name_classes(t, csv, err);
        if (rc != 0) {
            return rc;
        }
    }
    for (int i = 0; i < plan->columns; i++) {
        struct fnl__csv_column *column = &plan->column[i];
        fnl__names_sort(&column->values);
        column->input = plan->inputs;
        plan->inputs += column->categorical ? column->values.count : 1;
    }
    return 0;
}

void fnl__csv_plan_free(struct fnl__csv_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (int i = 0; i < plan->columns; i++) {
        fnl__names_free(&plan->column[i].values);
    }
    fnl__names_free(&plan->classes);
}
