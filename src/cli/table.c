/* table.c - the one table printer (print.h). Cells are kept until print, which knows the widths
 * then; widths count UTF-8 characters. Cost: one allocation for the cells, grown by doubling, and
 * one a cell. */
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "cli/print.h"

#define MAX_COLUMNS 16
#define MAX_BYTES ((size_t)16 << 20) /* a table is read by people */
#define MAX_CELL 512

struct fnl_table {
    struct fnl_arena arena;
    int columns;
    const char *heading[MAX_COLUMNS];
    bool right[MAX_COLUMNS];
    const char **cell; /* row by row */
    size_t count, capacity;
    bool failed;
};

int fnl_table_create(int columns, const char *const *headings, struct fnl_table **ret_table,
                     struct fnl_error *err)
{
    if (columns < 1 || columns > MAX_COLUMNS) {
        return FNL_FAIL(err, INTERNAL, NULL, "a table of %d columns", columns);
    }
    struct fnl_table *t = fnl_calloc(1, sizeof *t);
    if (t == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    fnl_arena_init(&t->arena, MAX_BYTES);
    t->columns = columns;
    for (int i = 0; i < columns; i++) {
        t->heading[i] = headings[i];
    }
    *ret_table = t;
    return 0;
}

void fnl_table_free(struct fnl_table *table)
{
    if (table != NULL) {
        fnl_arena_free(&table->arena);
        fnl_free(table->cell);
        fnl_free(table);
    }
}

void fnl_table_align_right(struct fnl_table *table, int column)
{
    table->right[column] = true;
}

void fnl_table_cell(struct fnl_table *table, const char *format, ...)
{
    char text[MAX_CELL];
    va_list ap;

    if (table->failed) {
        return;
    }
    if (table->count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        const char **cell = fnl_realloc(table->cell, capacity * sizeof *cell);
        if (cell == NULL) {
            table->failed = true;
            return;
        }
        table->cell = cell;
        table->capacity = capacity;
    }
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    const char *copy = fnl_arena_strdup(&table->arena, text);
    table->failed = copy == NULL;
    if (copy != NULL) {
        table->cell[table->count++] = copy;
    }
}

static int text_width(const char *text)
{
    int width = 0;

    for (const char *p = text; *p != '\0'; p++) {
        width += ((unsigned char)*p & 0xc0) != 0x80; /* not a continuation byte */
    }
    return width;
}

static void print_padding(FILE *out, int count)
{
    if (count > 0) {
        fprintf(out, "%*s", count, "");
    }
}

static void print_row(const struct fnl_table *t, const char *const *cell, const int *width,
                      enum fnl_style style, FILE *out)
{
    for (int i = 0; i < t->columns; i++) {
        int padding = width[i] - text_width(cell[i]);

        if (i > 0) {
            fputs("  ", out);
        }
        if (t->right[i]) {
            print_padding(out, padding);
        }
        fnl_print_styled(out, style, cell[i]);
        if (!t->right[i] && i + 1 < t->columns) {
            print_padding(out, padding);
        }
    }
    fputc('\n', out);
}

int fnl_table_print(const struct fnl_table *table, FILE *out, struct fnl_error *err)
{
    int width[MAX_COLUMNS];

    if (table->failed) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory, or a table too large to print");
    }
    for (int i = 0; i < table->columns; i++) {
        width[i] = text_width(table->heading[i]);
    }
    for (size_t i = 0; i < table->count; i++) {
        int column = (int)(i % (size_t)table->columns);
        int w = text_width(table->cell[i]);
        width[column] = w > width[column] ? w : width[column];
    }
    print_row(table, table->heading, width, FNL_STYLE_BOLD, out);
    for (size_t i = 0; i + (size_t)table->columns <= table->count; i += (size_t)table->columns) {
        print_row(table, table->cell + i, width, FNL_STYLE_NONE, out);
    }
    return 0;
}
