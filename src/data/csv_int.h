/* csv_int.h - what csv_value.c, csv_columns.c, csv_plan.c and csv_table.c share: the plan of a set
 * of files and the state of the one being read. Order of calls: read_header, find_column (target),
 * make_columns or match_columns, collect, and for the first file finish_plan. */
#ifndef FNL_DATA_CSV_INT_H
#define FNL_DATA_CSV_INT_H

#include "data/data_int.h"

enum fnl__csv_target {
    FNL_CSV_UNKNOWN,
    FNL_CSV_NAMED_CLASS,
    FNL_CSV_NUMBERED_CLASS,
    FNL_CSV_NUMBER
};

struct fnl__csv_column {
    const char *name;
    bool categorical;
    struct fnl__names values; /* categorical: sorted; table freed with the plan */
    int field;                /* in the file being read */
    size_t input;             /* first element of the sample */
};

struct fnl__csv_plan {
    struct fnl__csv_column *column; /* features */
    int columns;
    size_t inputs; /* elements of a sample */
    enum fnl__csv_target target;
    struct fnl__names classes; /* NAMED_CLASS */
    char **class_names;        /* the same, in the store's arena */
};

/* What is known while one file is read. */
struct fnl__csv_table {
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

/* ---- a field's value (csv_value.c) ---- */
/* Text of a field, blanks around it cut off unless it is quoted, doubled quotes made single; valid
 * until the next call. */
const char *fnl__csv_text(const struct fnl__csv_table *t, const struct fnl__csv_field *f,
                          size_t *ret_size);
bool fnl__csv_is_missing(const char *text, size_t size); /* empty, NA, NaN, null, ? */
bool fnl__csv_number(const char *text, size_t size, double *ret);
/* FNL_E_FORMAT "file:line: column "name": what "text"" at the record last read; size 0: no text. */
int fnl__csv_fail(const struct fnl__csv *csv, const char *column, const char *hint,
                  const char *what, const char *text, size_t size, struct fnl_error *err);
int fnl__csv_fail_missing(const struct fnl__csv *csv, const char *column, struct fnl_error *err);
int fnl__csv_no_memory(const struct fnl__csv *csv, struct fnl_error *err);

/* ---- columns (csv_columns.c) ---- */
/* Names of the columns: the first record, or 1, 2, 3... when there is no header. */
int fnl__csv_read_header(struct fnl__csv_table *t, struct fnl__csv *csv, struct fnl_error *err);
/* The field called `name`; an error blames data.`key`. */
int fnl__csv_find_column(const struct fnl__csv_table *t, const struct fnl__csv *csv,
                         const char *name, const char *key, int *ret, struct fnl_error *err);
/* The plan's columns, from the first file; where they stand in a later one. */
int fnl__csv_make_columns(struct fnl__csv_table *t, const struct fnl__csv *csv,
                          struct fnl_error *err);
int fnl__csv_match_columns(struct fnl__csv_table *t, const struct fnl__csv *csv,
                           struct fnl_error *err);

/* ---- pass 1 and the plan (csv_plan.c) ---- */
/* Counts the rows; in the first file also collects names and what the target looks like. */
int fnl__csv_collect(struct fnl__csv_table *t, struct fnl__csv *csv, struct fnl_error *err);
/* Decides what the target is, names classes and gives each column its place in a sample. */
int fnl__csv_finish_plan(struct fnl__csv_table *t, const struct fnl__csv *csv,
                         struct fnl_error *err);

#endif
