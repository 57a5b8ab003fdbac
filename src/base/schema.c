/* schema.c - configuration read by table.
 *
 * One pass over the map finds unknown keys, one pass over the table reads each field. A default is
 * YAML text in the table and goes through the same readers. Every error names file, line, column,
 * the full key, what was expected with its range, and what was found. */
#include "base/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/schema_int.h"
#include "base/text.h"

#define INTS_MAX (sizeof(((struct fnl_ints *)0)->value) / sizeof(int64_t))
#define FLOATS_MAX (sizeof(((struct fnl_floats *)0)->value) / sizeof(double))
#define TEXT_MAX 256
#define KNOWN_KEYS_MAX                                                                             \
    64 /* candidates for a suggestion; larger tables suggest from the first 64                     \
        */

/* One field being read. */
struct reading {
    const struct fnl_yaml *doc;
    const char *where;
    const struct fnl_field *field;
    struct fnl_arena *arena;
    bool is_default; /* the text comes from the table: no range check */
    struct fnl_error *err;
};

static const char *dot(const char *where)
{
    return where != NULL && where[0] != 0 ? "." : "";
}

static const char *text_or_empty(const char *s)
{
    return s != NULL ? s : "";
}

static int out_of_memory(const struct reading *r)
{
    return FNL_FAIL(r->err, NOMEM, NULL, "%s%s%s: out of memory", text_or_empty(r->where),
                    dot(r->where), r->field->name);
}

/* --- what was expected, what was found ------------------------------------------------------- */

static bool has_range(const struct fnl_field *f)
{
    return f->min != 0 || f->max != 0;
}

static bool has_max(const struct fnl_field *f)
{
    return has_range(f) && f->max >= f->min && isfinite(f->max);
}

/* "1 to 100", "at least 1", "at most 5" or "". */
static void range_text(const struct fnl_field *f, char out[TEXT_MAX])
{
    out[0] = 0;
    if (has_max(f) && isfinite(f->min)) {
        (void)snprintf(out, TEXT_MAX, "%.15g to %.*g", f->min, fnl__schema_digits(f->max), f->max);
    } else if (has_max(f)) {
        (void)snprintf(out, TEXT_MAX, "at most %.*g", fnl__schema_digits(f->max), f->max);
    } else if (has_range(f) && isfinite(f->min)) {
        (void)snprintf(out, TEXT_MAX, "at least %.15g", f->min);
    }
}

static void expected_number(const struct fnl_field *f, const char *noun, char out[TEXT_MAX])
{
    char range[TEXT_MAX];
    range_text(f, range);
    bool positive = f->min == 1 && strcmp(noun, "an integer") == 0;
    if (positive && has_max(f)) {
        (void)snprintf(out, TEXT_MAX, "a positive integer up to %.*g", fnl__schema_digits(f->max),
                       f->max);
    } else if (positive) {
        (void)snprintf(out, TEXT_MAX, "a positive integer");
    } else if (has_max(f) && isfinite(f->min)) {
        (void)snprintf(out, TEXT_MAX, "%s from %.100s", noun, range);
    } else {
        (void)snprintf(out, TEXT_MAX, "%s%s%.100s", noun, range[0] != 0 ? " of " : "", range);
    }
}

static const char *found_text(const struct fnl_yaml_node *node, char out[TEXT_MAX])
{
    if (node->kind == FNL_YAML_SCALAR) {
        bool whole = strlen(node->scalar) <= 40;
        (void)snprintf(out, TEXT_MAX, "\"%.40s%s\"", node->scalar, whole ? "" : "...");
    } else {
        (void)snprintf(out, TEXT_MAX, "%s of %zu %s",
                       node->kind == FNL_YAML_MAP ? "a map" : "a list", node->count,
                       node->count == 1 ? "entry" : "entries");
    }
    return out;
}

static int unexpected(const struct reading *r, const struct fnl_yaml_node *node,
                      const char *expected, const char *hint)
{
    char found[TEXT_MAX];
    if (r->is_default) {
        return FNL_FAIL(r->err, INTERNAL, NULL, "%s%s%s: the default is not %s",
                        text_or_empty(r->where), dot(r->where), r->field->name, expected);
    }
    return fnl_yaml_fail(r->doc, node, hint, r->err, "%s%s%s: expected %s, got %s",
                         text_or_empty(r->where), dot(r->where), r->field->name, expected,
                         found_text(node, found));
}

/* --- one value -------------------------------------------------------------------------------- */

static bool in_range(const struct reading *r, double value)
{
    const struct fnl_field *f = r->field;
    return r->is_default || !has_range(f) || (value >= f->min && (!has_max(f) || value <= f->max));
}

static const char *quotes_hint(const struct fnl_yaml_node *node)
{
    return node->kind == FNL_YAML_SCALAR && node->quoted ? "remove the quotes" : NULL;
}

static int read_int(const struct reading *r, const struct fnl_yaml_node *node, int64_t *out)
{
    int64_t value = 0;
    if (node->kind != FNL_YAML_SCALAR || node->quoted || !fnl_parse_int(node->scalar, &value) ||
        !in_range(r, (double)value)) {
        char expected[TEXT_MAX];
        expected_number(r->field, "an integer", expected);
        return unexpected(r, node, expected, quotes_hint(node));
    }
    *out = value;
    return 0;
}

static int read_float(const struct reading *r, const struct fnl_yaml_node *node, double *out)
{
    double value = 0;
    if (node->kind != FNL_YAML_SCALAR || node->quoted || !fnl_parse_double(node->scalar, &value) ||
        !in_range(r, value)) {
        char expected[TEXT_MAX];
        expected_number(r->field, "a number", expected);
        return unexpected(r, node, expected, quotes_hint(node));
    }
    *out = value;
    return 0;
}

static int read_bool(const struct reading *r, const struct fnl_yaml_node *node, bool *out)
{
    if (node->kind != FNL_YAML_SCALAR || node->quoted ||
        (strcmp(node->scalar, "true") != 0 && strcmp(node->scalar, "false") != 0)) {
        return unexpected(r, node, "true or false", quotes_hint(node));
    }
    *out = node->scalar[0] == 't';
    return 0;
}

static int read_string(const struct reading *r, const struct fnl_yaml_node *node, const char **out)
{
    if (node->kind != FNL_YAML_SCALAR) {
        return unexpected(r, node, "a text", NULL);
    }
    const char *copy = fnl_arena_strdup(r->arena, node->scalar);
    if (copy == NULL) {
        return out_of_memory(r);
    }
    *out = copy;
    return 0;
}

/* What other tools call a value, or NULL. */
static const struct fnl_alias *alias_of(const struct fnl_field *f, const char *text)
{
    for (const struct fnl_alias *a = f->aliases; a != NULL && a->other != NULL; a++) {
        if (strcmp(a->other, text) == 0) {
            return a;
        }
    }
    return NULL;
}

static int read_enum(const struct reading *r, const struct fnl_yaml_node *node, int *out)
{
    const char *const *names = r->field->names;
    const char *text = node->kind == FNL_YAML_SCALAR ? node->scalar : NULL;
    const struct fnl_alias *alias = text != NULL ? alias_of(r->field, text) : NULL;
    text = alias != NULL && !alias->refused ? alias->name : text;
    char expected[TEXT_MAX] = "one of ";
    size_t used = strlen(expected);
    for (int i = 0; names[i] != NULL; i++) {
        if (text != NULL && strcmp(text, names[i]) == 0) {
            *out = i;
            return 0;
        }
        int n =
            snprintf(expected + used, sizeof expected - used, "%s%s", i != 0 ? ", " : "", names[i]);
        used = n < (int)(sizeof expected - used) ? used + (size_t)n : sizeof expected - 1;
    }
    const char *near = alias != NULL  ? alias->name
                       : text != NULL ? fnl_nearest_name(text, names)
                                      : NULL;
    char hint[TEXT_MAX];
    (void)snprintf(hint, sizeof hint, "did you mean \"%.200s\"?", near != NULL ? near : "");
    return unexpected(r, node, expected, near != NULL ? hint : NULL);
}

/* --- one value or a list of them ------------------------------------------------------------- */

/* Items of a value that may be one scalar or a list of 1 to max; 0 items with *rc set on error. */
static size_t list_items(const struct reading *r, const struct fnl_yaml_node *node, size_t max,
                         const char *noun, int *rc)
{
    *rc = 0;
    if (node->kind == FNL_YAML_SCALAR) {
        return 1;
    }
    if (node->kind == FNL_YAML_SEQUENCE && node->count >= 1 && node->count <= max) {
        return node->count;
    }
    char expected[TEXT_MAX];
    if (max >= FNL_MAX_YAML_NODES) {
        (void)snprintf(expected, sizeof expected, "%s or a list of them", noun);
    } else {
        (void)snprintf(expected, sizeof expected, "%s or a list of 1 to %zu of them", noun, max);
    }
    *rc = unexpected(r, node, expected, NULL);
    return 0;
}

static const struct fnl_yaml_node *list_item(const struct fnl_yaml_node *node, size_t i)
{
    return node->kind == FNL_YAML_SCALAR ? node : node->item[i];
}

static int read_ints(const struct reading *r, const struct fnl_yaml_node *node,
                     struct fnl_ints *out)
{
    int rc = 0;
    struct fnl_ints list = {0};
    char noun[TEXT_MAX];
    expected_number(r->field, "an integer", noun);
    size_t count = list_items(r, node, INTS_MAX, noun, &rc);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_int(r, list_item(node, i), &list.value[i]);
    }
    if (rc == 0) {
        list.count = (int)count;
        *out = list;
    }
    return rc;
}

static int read_floats(const struct reading *r, const struct fnl_yaml_node *node,
                       struct fnl_floats *out)
{
    int rc = 0;
    struct fnl_floats list = {0};
    char noun[TEXT_MAX];
    expected_number(r->field, "a number", noun);
    size_t count = list_items(r, node, FLOATS_MAX, noun, &rc);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_float(r, list_item(node, i), &list.value[i]);
    }
    if (rc == 0) {
        list.count = (int)count;
        *out = list;
    }
    return rc;
}

static int read_strings(const struct reading *r, const struct fnl_yaml_node *node,
                        struct fnl_strings *out)
{
    int rc = 0;
    size_t count = list_items(r, node, FNL_MAX_YAML_NODES, "a text", &rc);
    if (rc != 0) {
        return rc;
    }
    const char **value = fnl_arena_array(r->arena, count, sizeof *value);
    if (value == NULL) {
        return out_of_memory(r);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_string(r, list_item(node, i), &value[i]);
    }
    if (rc == 0) {
        out->count = (int)count;
        out->value = value;
    }
    return rc;
}

/* --- one field ------------------------------------------------------------------------------- */

static int read_value(const struct reading *r, struct fnl_yaml_node *node, void *place)
{
    switch (r->field->kind) {
    case FNL_FIELD_INT:
        return read_int(r, node, place);
    case FNL_FIELD_FLOAT:
        return read_float(r, node, place);
    case FNL_FIELD_BOOL:
        return read_bool(r, node, place);
    case FNL_FIELD_STRING:
        return read_string(r, node, place);
    case FNL_FIELD_ENUM:
        return read_enum(r, node, place);
    case FNL_FIELD_INTS:
        return read_ints(r, node, place);
    case FNL_FIELD_FLOATS:
        return read_floats(r, node, place);
    case FNL_FIELD_STRINGS:
        return read_strings(r, node, place);
    case FNL_FIELD_NODE:
        *(struct fnl_yaml_node **)place = node;
        return 0;
    }
    return FNL_FAIL(r->err, INTERNAL, NULL, "%s: a field of unknown kind", r->field->name);
}

static size_t value_size(enum fnl_field_kind kind)
{
    switch (kind) {
    case FNL_FIELD_INT:
        return sizeof(int64_t);
    case FNL_FIELD_FLOAT:
        return sizeof(double);
    case FNL_FIELD_BOOL:
        return sizeof(bool);
    case FNL_FIELD_STRING:
        return sizeof(const char *);
    case FNL_FIELD_ENUM:
        return sizeof(int);
    case FNL_FIELD_INTS:
        return sizeof(struct fnl_ints);
    case FNL_FIELD_FLOATS:
        return sizeof(struct fnl_floats);
    case FNL_FIELD_STRINGS:
        return sizeof(struct fnl_strings);
    case FNL_FIELD_NODE:
        return sizeof(struct fnl_yaml_node *);
    }
    return 0;
}

static int read_default(struct reading *r, void *place)
{
    const struct fnl_field *f = r->field;
    memset(place, 0, value_size(f->kind));
    if (f->fallback == NULL || f->kind == FNL_FIELD_NODE) {
        return 0;
    }
    struct fnl_yaml *doc = NULL;
    int rc = fnl_yaml_parse(f->name, f->fallback, strlen(f->fallback), &doc, r->err);
    if (rc == 0) {
        r->is_default = true;
        rc = read_value(r, fnl_yaml_root(doc), place);
        fnl_yaml_free(doc);
    }
    return rc;
}

static int missing(const struct reading *r, const struct fnl_yaml_node *map)
{
    char hint[TEXT_MAX];
    (void)snprintf(hint, sizeof hint, "add \"%.60s: ...\": %.150s", r->field->name,
                   text_or_empty(r->field->doc));
    return fnl_yaml_fail(r->doc, map, hint, r->err, "%s%s%s is required", text_or_empty(r->where),
                         dot(r->where), r->field->name);
}

/* --- the map --------------------------------------------------------------------------------- */

/* The key that other tools call `name`, or NULL. */
static const char *key_meant(const struct fnl_field *fields, const char *name)
{
    for (; fields->name != NULL; fields++) {
        for (const char *const *other = fields->other_keys; other != NULL && *other; other++) {
            if (strcmp(*other, name) == 0) {
                return fields->name;
            }
        }
    }
    return NULL;
}

static int unknown_key(const struct fnl_yaml *doc, const struct fnl_yaml_node *key,
                       const char *where, const struct fnl_field *fields, struct fnl_error *err)
{
    const char *names[KNOWN_KEYS_MAX + 1];
    size_t count = 0;
    for (; count < KNOWN_KEYS_MAX && fields[count].name != NULL; count++) {
        names[count] = fields[count].name;
    }
    names[count] = NULL;
    const char *near = key_meant(fields, key->scalar);
    near = near != NULL ? near : fnl_nearest_name(key->scalar, names);
    char hint[384];
    size_t used = 0;
    if (near != NULL) {
        (void)snprintf(hint, sizeof hint, "did you mean \"%s\"?", near);
    } else {
        (void)snprintf(hint, sizeof hint, count != 0 ? "known keys:" : "it has no keys");
        used = strlen(hint);
    }
    for (size_t i = 0; near == NULL && i < count && used < sizeof hint - 1; i++) {
        int n = snprintf(hint + used, sizeof hint - used, "%s %s", i != 0 ? "," : "", names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    bool top = where == NULL || where[0] == 0;
    return fnl_yaml_fail(doc, key, hint, err, "unknown key \"%s\" %s %s", key->scalar,
                         top ? "at the" : "in", top ? "top level" : where);
}

static bool is_known(const char *name, const struct fnl_field *fields)
{
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return true;
        }
    }
    return false;
}

int fnl_schema_read(const struct fnl_yaml *doc, const struct fnl_yaml_node *map, const char *where,
                    const struct fnl_field *fields, struct fnl_arena *arena, void *out,
                    struct fnl_error *err)
{
    bool empty = map == NULL || fnl_yaml_is_null(map);
    if (!empty && map->kind != FNL_YAML_MAP) {
        char found[TEXT_MAX];
        return fnl_yaml_fail(doc, map, "write keys and values: name: value", err,
                             "%s%sexpected a map, got %s", text_or_empty(where),
                             dot(where)[0] != 0 ? ": " : "", found_text(map, found));
    }
    for (size_t i = 0; !empty && i < map->count; i++) {
        if (!is_known(map->key[i]->scalar, fields)) {
            return unknown_key(doc, map->key[i], where, fields, err);
        }
    }
    for (const struct fnl_field *f = fields; f->name != NULL; f++) {
        struct reading r = {doc, where, f, arena, false, err};
        void *place = (char *)out + f->offset;
        struct fnl_yaml_node *node = empty ? NULL : fnl_yaml_get(map, f->name);
        bool given = node != NULL && !fnl_yaml_is_null(node);
        int rc = given         ? read_value(&r, node, place)
                 : f->required ? missing(&r, map)
                               : read_default(&r, place);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
