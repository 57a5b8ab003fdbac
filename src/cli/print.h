/* print.h - how commands speak: results to stdout, everything else to stderr. Colours only where
 * the stream is a terminal, NO_COLOR is unset and TERM is not "dumb". */
#ifndef FNL_CLI_PRINT_H
#define FNL_CLI_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

enum fnl_style {
    FNL_STYLE_NONE,
    FNL_STYLE_BOLD,
    FNL_STYLE_DIM,
    FNL_STYLE_RED,
    FNL_STYLE_YELLOW,
    FNL_STYLE_GREEN
};

bool fnl_print_is_terminal(FILE *out);
bool fnl_print_colors(FILE *out);
/* Columns of the terminal; 80 where out is none. */
int fnl_print_width(FILE *out);
/* Text in a style, plain where there are no colours. Control characters of the text (it may come
 * from a file) are shown as '?'. */
void fnl_print_styled(FILE *out, enum fnl_style style, const char *text);

/* Text from column `at`, wrapped at FNL_PRINT_WIDTH columns whatever the terminal's width (so that
 * it looks the same in a mail or a bug report), later lines indented to `indent`; ends the line. */
#define FNL_PRINT_WIDTH 80
void fnl_print_wrapped(FILE *out, const char *text, int indent, int at);

/* stderr: "fournil: error: message" and, when there is one, "  hint: ..." on the next line. */
void fnl_print_error(const struct fnl_error *err);
/* stderr: "fournil: warning: ..." / "fournil: ...". */
void fnl_print_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fnl_print_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One JSON value on one line of stdout, flushed; takes over the reference. FNL_E_NOMEM when value
 * is NULL (json_pack failed), FNL_E_IO when stdout does. */
int fnl_print_json(json_t *value, struct fnl_error *err);

/* A table: columns as wide as their widest cell, two spaces between, headings in bold. */
struct fnl_table;
int fnl_table_create(int columns, const char *const *headings, struct fnl_table **ret_table,
                     struct fnl_error *err);
void fnl_table_align_right(struct fnl_table *table, int column);
/* One cell after the other, row by row; text is copied. Failures stick until print. */
void fnl_table_cell(struct fnl_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int fnl_table_print(const struct fnl_table *table, FILE *out, struct fnl_error *err);
void fnl_table_free(struct fnl_table *table); /* takes NULL */

#endif
