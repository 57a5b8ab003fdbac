/* csv_table.c - a CSV file as samples of numbers with one target.
 *
 * The first file read (train, when there is one) makes the plan: which columns are features, the
 * values of categorical ones, the classes. Later files are read by the same plan, so that their
 * inputs mean the same; columns may stand in another order there. A file is read twice: pass 1
 * counts rows and collects names, pass 2 fills the arrays.
 *
 * A missing value (empty, NA, NaN, null, ?) is an error with line and column: what to put in its
 * place is not ours to guess. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/data_int.h"

enum target { TARGET_UNKNOWN, TARGET_NAMED_CLASS, TARGET_NUMBERED_CLASS, TARGET_NUMBER };

struct column {
    const char *name;
    bool categorical;
    struct fnl__names values; /* categorical: sorted; table freed with the plan */
    int field;                /* in the file being read */
    size_t input;             /* first element of the sample */
};

struct fnl__csv_plan {
    struct column *column; /* features */
    int columns;
    size_t inputs; /* elements of a sample */
    enum target target;
    struct fnl__names classes; /* NAMED_CLASS */
    char **class_names;        /* the same, in the store's arena */
};

/* What is known while one file is read. */
struct table {
    struct fnl__load *load;
    const struct fnl_data_config *config;
    struct fnl__csv_plan *plan;
    bool first;    /* this file makes the plan */
    int fields;    /* of each record */
    char **header; /* names of the fields, in the store's arena */
    int target_field;
    size_t rows;
    bool all_integer, all_number; /* what pass 1 saw in the target */
    double largest;
    struct fnl__names words; /* target texts, while the kind is unknown */
    char *scratch;           /* unescaped text of one field */
};

static int out_of_memory(const struct fnl__csv *csv, struct fnl_error *err)
{
    return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", csv->name);
}

/* --- fields ----------------------------------------------------------------------------------- */

/* Text of a field, blanks around it cut off unless it is quoted, doubled quotes made single. */
static const char *field_text(const struct table *t, const struct fnl__csv_field *f,
                              size_t *ret_size)
{
    const char *p = f->text;
    size_t n = f->size;
    if (f->escaped) {
        size_t out = 0;
        for (size_t i = 0; i < n; i++) {
            t->scratch[out++] = p[i];
            i += p[i] == '"';
        }
        *ret_size = out;
        return t->scratch;
    }
    while (!f->quoted && n != 0 && (p[0] == ' ' || p[0] == '\t')) {
        p++;
        n--;
    }
    while (!f->quoted && n != 0 && (p[n - 1] == ' ' || p[n - 1] == '\t')) {
        n--;
    }
    *ret_size = n;
    return p;
}

static bool is_missing(const char *text, size_t size)
{
    static const char *const words[] = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0) {
            return true;
        }
    }
    return false;
}

static bool to_number(const char *text, size_t size, double *ret)
{
    char copy[FNL_MAX_NUMBER_BYTES + 1];
    if (size > FNL_MAX_NUMBER_BYTES) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    return fnl_parse_double(copy, ret);
}

static int fail_at(const struct fnl__csv *csv, const char *column, const char *hint,
                   const char *what, const char *text, size_t size, struct fnl_error *err)
{
    return FNL_FAIL(err, FORMAT, hint, "%s:%zu: column \"%.60s\": %s%s%.*s%s", csv->name, csv->line,
                    column, what, size != 0 ? " \"" : "", (int)(size < 60 ? size : 60), text,
                    size != 0 ? "\"" : "");
}

static int fail_missing(const struct fnl__csv *csv, const char *column, struct fnl_error *err)
{
    return fail_at(csv, column,
                   "fill it in or remove the row; a column can be left out with ignore",
                   "the value is missing", "", 0, err);
}

/* --- header ----------------------------------------------------------------------------------- */

static bool in_list(const struct fnl_strings *list, const char *name)
{
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->value[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int find_field(const struct table *t, const struct fnl__csv *csv, const char *name,
                      const char *key, int *ret, struct fnl_error *err)
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

/* Names of the columns: the first record, or 1, 2, 3... when there is no header. */
static int read_header(struct table *t, struct fnl__csv *csv, struct fnl_error *err)
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
        return out_of_memory(csv, err);
    }
    for (int i = 0; i < t->fields; i++) {
        char number[16];
        size_t size = (size_t)snprintf(number, sizeof number, "%d", i + 1);
        const char *text = number;
        if (t->config->header) {
            text = field_text(t, &csv->field[i], &size);
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
static int check_lists(const struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
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
            int rc = find_field(t, csv, lists[k].list->value[i], lists[k].key, &at, err);
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

static int make_columns(struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
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
        return out_of_memory(csv, err);
    }
    for (int i = 0; i < t->fields; i++) {
        const char *name = t->header[i];
        if (i == t->target_field || in_list(&c->ignore, name) ||
            (c->features.count != 0 && !in_list(&c->features, name))) {
            continue;
        }
        struct column *column = &plan->column[plan->columns++];
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

static int match_columns(struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
{
    for (int i = 0; i < t->plan->columns; i++) {
        struct column *column = &t->plan->column[i];
        int rc = find_field(t, csv, column->name, "features", &column->field, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* --- pass 1 ----------------------------------------------------------------------------------- */

static int add_name(const struct fnl__csv *csv, struct fnl__names *names, const char *column,
                    const char *text, size_t size, struct fnl_error *err)
{
    if (!fnl_utf8_valid(text, size)) {
        return fail_at(csv, column, "save the file as UTF-8", "the text is not UTF-8", "", 0, err);
    }
    int rc = fnl__names_add(names, text, size);
    if (rc == FNL_E_LIMIT) {
        return FNL_FAIL(err, LIMIT, "is this column a name at all? Leave it out with ignore",
                        "%s:%zu: column \"%.60s\": more than %zu different values", csv->name,
                        csv->line, column, names->max);
    }
    return rc != 0 ? out_of_memory(csv, err) : 0;
}

/* Feature values: those that must be numbers are read in pass 2. */
static int collect_categories(struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
{
    for (int i = 0; i < t->plan->columns; i++) {
        struct column *column = &t->plan->column[i];
        if (!column->categorical) {
            continue;
        }
        size_t size = 0;
        const char *text = field_text(t, &csv->field[column->field], &size);
        int rc = is_missing(text, size)
                     ? fail_missing(csv, column->name, err)
                     : add_name(csv, &column->values, column->name, text, size, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int collect_target(struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
{
    const char *column = t->header[t->target_field];
    double value = 0;
    size_t size = 0;
    const char *text = field_text(t, &csv->field[t->target_field], &size);
    if (is_missing(text, size)) {
        return fail_missing(csv, column, err);
    }
    if (t->all_number && to_number(text, size, &value)) {
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

static int pass_1(struct table *t, struct fnl__csv *csv, struct fnl_error *err)
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

/* --- the plan --------------------------------------------------------------------------------- */

static void decide_target(struct table *t)
{
    struct fnl__csv_plan *plan = t->plan;
    int task = t->config->task;
    if (task == FNL_TASK_REGRESSION) {
        plan->target = TARGET_NUMBER;
    } else if (!t->all_number || (t->config->classes.count != 0 && !t->all_integer)) {
        plan->target = TARGET_NAMED_CLASS;
    } else if (t->all_integer &&
               (task == FNL_TASK_CLASSIFICATION || t->config->classes.count != 0 ||
                (t->words.count < 100 && t->largest + 1 == (double)t->words.count))) {
        plan->target = TARGET_NUMBERED_CLASS;
    } else {
        plan->target = task == FNL_TASK_CLASSIFICATION ? TARGET_NAMED_CLASS : TARGET_NUMBER;
    }
}

/* Classes by name: data.classes in its order, else those met, sorted. */
static int name_classes(struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
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
            return out_of_memory(csv, err);
        }
    }
    size_t count = plan->classes.count;
    plan->class_names = fnl_arena_array(&t->load->store->arena, count, sizeof(char *));
    if (plan->class_names == NULL) {
        return out_of_memory(csv, err);
    }
    memcpy(plan->class_names, plan->classes.name, count * sizeof(char *));
    return 0;
}

static int finish_plan(struct table *t, const struct fnl__csv *csv, struct fnl_error *err)
{
    struct fnl__csv_plan *plan = t->plan;
    decide_target(t);
    if (plan->target == TARGET_NAMED_CLASS) {
        int rc = name_classes(t, csv, err);
        if (rc != 0) {
            return rc;
        }
    }
    for (int i = 0; i < plan->columns; i++) {
        struct column *column = &plan->column[i];
        fnl__names_sort(&column->values);
        column->input = plan->inputs;
        plan->inputs += column->categorical ? column->values.count : 1;
    }
    return 0;
}

/* --- pass 2 ----------------------------------------------------------------------------------- */

static int fill_feature(const struct table *t, const struct fnl__csv *csv,
                        const struct column *column, float *sample, struct fnl_error *err)
{
    size_t size = 0;
    double value = 0;
    const char *text = field_text(t, &csv->field[column->field], &size);
    if (column->categorical) {
        int at = fnl__names_find(&column->values, text, size);
        if (at < 0) {
            return is_missing(text, size)
                       ? fail_missing(csv, column->name, err)
                       : fail_at(csv, column->name, "the training file must show every value",
                                 "unknown value", text, size, err);
        }
        sample[column->input + (size_t)at] = 1.0F;
        return 0;
    }
    if (!to_number(text, size, &value) || !isfinite((float)value)) {
        return is_missing(text, size)
                   ? fail_missing(csv, column->name, err)
                   : fail_at(csv, column->name,
                             "a column of names goes into data.categorical or data.ignore",
                             "not a number:", text, size, err);
    }
    sample[column->input] = (float)value;
    return 0;
}

static int fill_class(const struct table *t, const struct fnl__csv *csv, const char *text,
                      size_t size, int32_t *label, struct fnl_error *err)
{
    const char *column = t->header[t->target_field];
    if (t->plan->target == TARGET_NAMED_CLASS) {
        *label = fnl__names_find(&t->plan->classes, text, size);
        return *label >= 0 ? 0
                           : fail_at(csv, column,
                                     t->config->classes.count != 0
                                         ? "data.classes must list every class"
                                         : "the training file must show every class",
                                     "unknown class", text, size, err);
    }
    double value = -1;
    int limit = fnl__load_class_limit(t->load);
    if (!to_number(text, size, &value) || value < 0 || value != floor(value) || value >= limit) {
        return FNL_FAIL(
            err, FORMAT, "labels count from 0; data.classes sets their number",
            "%s:%zu: column \"%.60s\": label %.*s is out of range, expected 0 to %d (%s)",
            csv->name, csv->line, column, (int)(size < 60 ? size : 60), text, limit - 1,
            fnl__load_class_source(t->load));
    }
    *label = (int32_t)value;
    return 0;
}

static int fill_target(const struct table *t, const struct fnl__csv *csv, int32_t *label,
                       float *target, struct fnl_error *err)
{
    const char *column = t->header[t->target_field];
    size_t size = 0;
    double value = 0;
    const char *text = field_text(t, &csv->field[t->target_field], &size);
    if (is_missing(text, size)) {
        return fail_missing(csv, column, err);
    }
    if (t->plan->target != TARGET_NUMBER) {
        return fill_class(t, csv, text, size, label, err);
    }
    if (!to_number(text, size, &value) || !isfinite((float)value)) {
        return fail_at(csv, column, "for classes by name write \"task: classification\"",
                       "not a number:", text, size, err);
    }
    *target = (float)value;
    return 0;
}

static int pass_2(struct table *t, struct fnl__csv *csv, struct fnl_dataset *out,
                  struct fnl_error *err)
{
    const struct fnl__csv_plan *plan = t->plan;
    bool number = plan->target == TARGET_NUMBER;
    void *samples = NULL, *targets = NULL;
    size_t total = 0;
    if (__builtin_mul_overflow(t->rows, plan->inputs, &total)) {
        return out_of_memory(csv, err);
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
    if (plan->target == TARGET_NAMED_CLASS) {
        out->class_count = (int)plan->classes.count;
        out->class_names = plan->class_names;
    }
    return 0;
}

/* --- one file --------------------------------------------------------------------------------- */

static int read_table(struct table *t, struct fnl__csv *csv, struct fnl_dataset *out,
                      struct fnl_error *err)
{
    int rc = read_header(t, csv, err);
    if (rc == 0) {
        rc = find_field(t, csv, t->config->target, "target", &t->target_field, err);
    }
    if (rc == 0) {
        rc = t->first ? make_columns(t, csv, err) : match_columns(t, csv, err);
    }
    size_t begin = csv->pos, line = csv->next_line;
    if (rc == 0) {
        rc = pass_1(t, csv, err);
    }
    if (rc == 0 && t->first) {
        rc = finish_plan(t, csv, err);
    }
    if (rc == 0) {
        csv->pos = begin;
        csv->next_line = line;
        rc = pass_2(t, csv, out, err);
    }
    return rc;
}

int fnl__csv_parse(struct fnl__load *load, const char *name, const char *data, size_t size,
                   struct fnl_dataset *out, struct fnl_error *err)
{
    struct fnl__csv csv;
    struct table t = {.load = load,
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
