/* csv_value.c - what a CSV field says: its text, a number or nothing; and errors that name file,
 * line and column.
 *
 * A missing value (empty, NA, NaN, null, ?) is an error wherever it is met: what to put in its
 * place is not ours to guess. */
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "data/csv_int.h"

const char *fnl__csv_text(const struct fnl__csv_table *t, const struct fnl__csv_field *f,
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

bool fnl__csv_is_missing(const char *text, size_t size)
{
    static const char *const words[] = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0) {
            return true;
        }
    }
    return false;
}

bool fnl__csv_number(const char *text, size_t size, double *ret)
{
    char copy[FNL_MAX_NUMBER_BYTES + 1];
    if (size > FNL_MAX_NUMBER_BYTES) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    return fnl_parse_double(copy, ret);
}

int fnl__csv_fail(const struct fnl__csv *csv, const char *column, const char *hint,
                  const char *what, const char *text, size_t size, struct fnl_error *err)
{
    return FNL_FAIL(err, FORMAT, hint, "%s:%zu: column \"%.60s\": %s%s%.*s%s", csv->name, csv->line,
                    column, what, size != 0 ? " \"" : "", (int)(size < 60 ? size : 60), text,
                    size != 0 ? "\"" : "");
}

int fnl__csv_fail_missing(const struct fnl__csv *csv, const char *column, struct fnl_error *err)
{
    return fnl__csv_fail(csv, column,
                         "fill it in or remove the row; a column can be left out with ignore",
                         "the value is missing", "", 0, err);
}

int fnl__csv_no_memory(const struct fnl__csv *csv, struct fnl_error *err)
{
    return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", csv->name);
}
