/* schema_print.c - the table of a schema as Markdown, for docs/config.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/schema.h"

#include "base/schema_int.h"

static const char *kind_text(enum fnl_field_kind kind)
{
    switch (kind) {
    case FNL_FIELD_INT:
        return "integer";
    case FNL_FIELD_FLOAT:
        return "number";
    case FNL_FIELD_BOOL:
        return "true or false";
    case FNL_FIELD_STRING:
        return "text";
    case FNL_FIELD_ENUM:
        return "one of";
    case FNL_FIELD_INTS:
        return "integer or list of integers";
    case FNL_FIELD_FLOATS:
        return "number or list of numbers";
    case FNL_FIELD_STRINGS:
        return "text or list of texts";
    case FNL_FIELD_NODE:
        return "structure";
    }
    return "";
}

/* A cell's text: a bar would end the cell. */
static void print_cell(struct fnl_buf *out, const char *text)
{
    for (const char *p = text != NULL ? text : ""; *p != 0; p++) {
        if (*p == '|') {
            (void)fnl_buf_puts(out, "\\|");
        } else {
            (void)fnl_buf_append(out, *p == '\n' ? " " : p, 1);
        }
    }
}

/* " (or `mse`, `MSE`)" */
static void print_aliases(struct fnl_buf *out, const struct fnl_field *f, const char *name)
{
    int count = 0;
    for (const struct fnl_alias *a = f->aliases; a != NULL && a->other != NULL; a++) {
        if (!a->refused && strcmp(a->name, name) == 0) {
            (void)fnl_buf_printf(out, "%s`%s`", count++ > 0 ? ", " : " (or ", a->other);
        }
    }
    (void)fnl_buf_puts(out, count > 0 ? ")" : "");
}

static void print_values(struct fnl_buf *out, const struct fnl_field *f)
{
    (void)fnl_buf_puts(out, kind_text(f->kind));
    if (f->kind == FNL_FIELD_ENUM) {
        for (int i = 0; f->names[i] != NULL; i++) {
            (void)fnl_buf_printf(out, "%s `%s`", i != 0 ? "," : "", f->names[i]);
            print_aliases(out, f, f->names[i]);
        }
    } else if (f->min != 0 || f->max != 0) {
        bool max = f->max >= f->min && isfinite(f->max);
        if (max && isfinite(f->min)) {
            (void)fnl_buf_printf(out, ", %.15g to %.*g", f->min, fnl__schema_digits(f->max),
                                 f->max);
        } else if (max) {
            (void)fnl_buf_printf(out, ", at most %.*g", fnl__schema_digits(f->max), f->max);
        } else {
            (void)fnl_buf_printf(out, ", at least %.15g", f->min);
        }
    }
}

static void print_default(struct fnl_buf *out, const struct fnl_field *f)
{
    if (f->required) {
        (void)fnl_buf_puts(out, "required");
    } else if (f->fallback != NULL && f->fallback[0] != 0) {
        (void)fnl_buf_puts(out, "`");
        print_cell(out, f->fallback);
        (void)fnl_buf_puts(out, "`");
    }
}

int fnl_schema_print(const struct fnl_field *fields, struct fnl_buf *out)
{
    (void)fnl_buf_puts(out, "| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
    for (const struct fnl_field *f = fields; f->name != NULL; f++) {
        (void)fnl_buf_printf(out, "| `%s` | ", f->name);
        print_values(out, f);
        (void)fnl_buf_puts(out, " | ");
        print_default(out, f);
        (void)fnl_buf_puts(out, " | ");
        print_cell(out, f->doc);
        (void)fnl_buf_puts(out, " |\n");
    }
    return out->failed ? out->code : 0;
}
