/* csv.c - CSV text into records of fields, by RFC 4180: quoted fields may hold delimiters, line
 * ends and doubled quotes; lines end with LF or CRLF. Beyond the RFC: the delimiter can be chosen,
 * a UTF-8 byte order mark is skipped, empty lines are skipped, a quote inside an unquoted field is
 * a plain character (as spreadsheets and Python read it). Fields are borrowed from the text. */
#include <string.h>

#include "base/limits.h"
#include "data/data_int.h"

void fnl__csv_begin(struct fnl__csv *csv, const char *name, const char *data, size_t size,
                    char delimiter, struct fnl__csv_field *field, int fields_max)
{
    *csv = (struct fnl__csv){.name = name,
                             .data = data,
                             .size = size,
                             .delimiter = delimiter,
                             .next_line = 1,
                             .fields_max = fields_max,
                             .field = field};
    if (size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        csv->pos = 3;
    }
}

/* A field that begins with a quote; pos behind its closing quote. */
static int quoted_field(struct fnl__csv *csv, struct fnl__csv_field *f, struct fnl_error *err)
{
    size_t start = ++csv->pos;
    f->quoted = true;
    for (;; csv->pos++) {
        if (csv->pos == csv->size || csv->pos - start > FNL_MAX_CSV_FIELD_BYTES) {
            return FNL_FAIL(err, FORMAT, "add the closing quote, or write a quote itself as \"\"",
                            "%s:%zu: a quoted field has no end", csv->name, csv->line);
        }
        char c = csv->data[csv->pos];
        if (c == '\n') {
            csv->next_line++;
        } else if (c == '"') {
            if (csv->pos + 1 == csv->size || csv->data[csv->pos + 1] != '"') {
                break;
            }
            f->escaped = true;
            csv->pos++;
        }
    }
    f->text = csv->data + start;
    f->size = csv->pos++ - start;
    return 0;
}

static int plain_field(struct fnl__csv *csv, struct fnl__csv_field *f, struct fnl_error *err)
{
    size_t start = csv->pos;
    while (csv->pos < csv->size && csv->data[csv->pos] != csv->delimiter &&
           csv->data[csv->pos] != '\n') {
        csv->pos++;
    }
    f->text = csv->data + start;
    f->size = csv->pos - start;
    bool line_end = csv->pos == csv->size || csv->data[csv->pos] == '\n';
    if (line_end && f->size != 0 && f->text[f->size - 1] == '\r') {
        f->size--;
    }
    if (f->size > FNL_MAX_CSV_FIELD_BYTES) {
        return FNL_FAIL(err, LIMIT, NULL, "%s:%zu: a field of %zu bytes (at most %zu)", csv->name,
                        csv->line, f->size, FNL_MAX_CSV_FIELD_BYTES);
    }
    return 0;
}

/* Behind a field: the delimiter (true), or the end of the record (false). */
static int after_field(struct fnl__csv *csv, bool *ret_more, struct fnl_error *err)
{
    *ret_more = false;
    if (csv->pos == csv->size) {
        return 0;
    }
    char c = csv->data[csv->pos];
    if (c == csv->delimiter) {
        csv->pos++;
        *ret_more = true;
        return 0;
    }
    if (c == '\r' && csv->pos + 1 < csv->size && csv->data[csv->pos + 1] == '\n') {
        csv->pos++;
        c = '\n';
    }
    if (c == '\n' || (c == '\r' && csv->pos + 1 == csv->size)) {
        csv->pos++;
        csv->next_line++;
        return 0;
    }
    return FNL_FAIL(err, FORMAT, "write a quote itself as \"\"",
                    "%s:%zu: text after the closing quote of a field", csv->name, csv->next_line);
}

static int read_record(struct fnl__csv *csv, int *ret_count, struct fnl_error *err)
{
    int count = 0;
    bool more = true;
    csv->line = csv->next_line;
    while (more) {
        if (count == csv->fields_max) {
            return FNL_FAIL(err, FORMAT, NULL, "%s:%zu: more than %d fields", csv->name, csv->line,
                            csv->fields_max);
        }
        struct fnl__csv_field *f = &csv->field[count];
        *f = (struct fnl__csv_field){0};
        bool quoted = csv->pos < csv->size && csv->data[csv->pos] == '"';
        int rc = quoted ? quoted_field(csv, f, err) : plain_field(csv, f, err);
        if (rc == 0 && memchr(f->text, 0, f->size) != NULL) {
            rc = FNL_FAIL(err, FORMAT, "CSV is text: is this the right file, in UTF-8?",
                          "%s:%zu: a field holds a zero byte", csv->name, csv->line);
        }
        if (rc == 0) {
            rc = after_field(csv, &more, err);
        }
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    *ret_count = count;
    return 0;
}

int fnl__csv_next(struct fnl__csv *csv, int *ret_count, struct fnl_error *err)
{
    *ret_count = 0;
    while (csv->pos < csv->size) {
        int rc = read_record(csv, ret_count, err);
        bool empty = rc == 0 && *ret_count == 1 && csv->field[0].size == 0 && !csv->field[0].quoted;
        if (rc != 0 || !empty) {
            return rc;
        }
        *ret_count = 0;
    }
    return 0;
}
