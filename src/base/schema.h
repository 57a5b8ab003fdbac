/* schema.h - configuration read by table. A table of fields says for each key its name, type,
 * default, range and meaning; one reader fills a plain struct from a YAML map by it, with every
 * error naming line, key and what was expected (an unknown key: the nearest known name), and
 * docs/config.md is printed from the same table. */
#ifndef FNL_BASE_SCHEMA_H
#define FNL_BASE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/yaml.h"

enum fnl_field_kind {
    FNL_FIELD_INT,     /* int64_t */
    FNL_FIELD_FLOAT,   /* double */
    FNL_FIELD_BOOL,    /* bool */
    FNL_FIELD_STRING,  /* const char *, owned by the arena */
    FNL_FIELD_ENUM,    /* int, index into `names` */
    FNL_FIELD_INTS,    /* struct fnl_ints: one number or a list of 1..8 */
    FNL_FIELD_FLOATS,  /* struct fnl_floats: one number or a list of 1..16 */
    FNL_FIELD_STRINGS, /* struct fnl_strings */
    FNL_FIELD_NODE,    /* struct fnl_yaml_node *: read by its own code */
};

struct fnl_ints {
    int count; /* 0 = not given */
    int64_t value[8];
};
struct fnl_floats {
    int count;
    double value[16];
};
struct fnl_strings {
    int count;
    const char **value;
};

/* Another name of a value of an ENUM: what other tools call it. */
struct fnl_alias {
    const char *other, *name;
    bool refused; /* too vague to be taken, but the error says which name was meant */
};

struct fnl_field {
    const char *name;
    enum fnl_field_kind kind;
    size_t offset; /* in the struct that is filled */
    bool required;
    const char *fallback;            /* default as YAML text, or NULL: zero */
    double min, max;                 /* numbers; both 0 = no range; max below min = min alone */
    const char *const *names;        /* ENUM: NULL-terminated */
    const char *doc;                 /* one sentence for docs/config.md */
    const struct fnl_alias *aliases; /* ENUM: (optional) ended by other == NULL */
    const char *const *other_keys;   /* (optional) what other tools call the key, NULL-terminated:
                                        not taken, but the error says which key was meant */
};

/* Fills out by fields (terminated by name == NULL). `where` names the map in messages ("train").
 * Fields that are not in the map, or say nothing there ("seed:"), get their default; a default is
 * not held against the range. map may be NULL or empty: all defaults. Strings live in arena, except
 * those of ENUM; a NODE belongs to doc. */
int fnl_schema_read(const struct fnl_yaml *doc, const struct fnl_yaml_node *map, const char *where,
                    const struct fnl_field *fields, struct fnl_arena *arena, void *out,
                    struct fnl_error *err);

/* One Markdown table for docs/config.md. */
int fnl_schema_print(const struct fnl_field *fields, struct fnl_buf *out);

/* The candidate nearest to name, or NULL when none is near: insertions, deletions, changes and
 * swaps of neighbours (Damerau-Levenshtein, letter case ignored), at most a third of the length of
 * the longer name, at least 1. candidates is NULL-terminated. */
const char *fnl_nearest_name(const char *name, const char *const *candidates);

#endif
