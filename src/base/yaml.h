/* yaml.h - a YAML file as a tree of nodes that know their line and column (libyaml's parser).
 * Anchors, aliases, merge keys and tags are refused (a bomb costs more than they give); duplicate
 * keys are errors; depth, nodes and size are limited (base/limits.h), so readers may recurse. */
#ifndef FNL_BASE_YAML_H
#define FNL_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum fnl_yaml_kind { FNL_YAML_SCALAR, FNL_YAML_SEQUENCE, FNL_YAML_MAP };

struct fnl_yaml_node {
    enum fnl_yaml_kind kind;
    int line, column;             /* from 1; 0 for values that came from --set */
    const char *scalar;           /* SCALAR: its text, NUL-terminated */
    bool quoted;                  /* SCALAR: in quotes, so never null, bool or number */
    size_t count;                 /* SEQUENCE, MAP: entries */
    struct fnl_yaml_node **item;  /* SEQUENCE: items; MAP: values */
    struct fnl_yaml_node **key;   /* MAP: keys (SCALAR nodes) */
    struct fnl_yaml_node *parent; /* NULL for the root */
};

struct fnl_yaml; /* owns the nodes and the file's name */

/* name is used in messages ("config.yaml:12:5: ..."). */
int fnl_yaml_parse(const char *name, const char *text, size_t size, struct fnl_yaml **ret_doc,
                   struct fnl_error *err);
int fnl_yaml_load(const char *path, struct fnl_yaml **ret_doc, struct fnl_error *err);
void fnl_yaml_free(struct fnl_yaml *doc); /* takes NULL */

struct fnl_yaml_node *fnl_yaml_root(const struct fnl_yaml *doc); /* borrowed; a MAP or other */
const char *fnl_yaml_name(const struct fnl_yaml *doc);

/* Value of key in a map, or NULL. */
struct fnl_yaml_node *fnl_yaml_get(const struct fnl_yaml_node *map, const char *key);

/* True for a value that says nothing: "key:", "key: ~" or "key: null". */
bool fnl_yaml_is_null(const struct fnl_yaml_node *node);

/* Applies "path.to.key=value" (value parsed as YAML). Maps on the way are made when absent. List
 * items go by index; in an item of one entry whose value is a map (a layer: "- dense: {units: 10}")
 * the entry's name may be left out: "model.1.units=64" and "model.1.dense.units=64" are the same.
 */
int fnl_yaml_set(struct fnl_yaml *doc, const char *assignment, struct fnl_error *err);

/* The same where values have short forms: a path that leads into one has it written out first, so
 * that "model.2.rate=0.5" is right for "- dropout: 0.2" as for "- dropout: {rate: 0.2}". */
struct fnl_yaml_short {
    /* "rate" for "dropout": what a value of this key stands for when it is no map; NULL: nothing */
    const char *(*main_key)(const char *key);
    /* May this item of a list, a name alone, have arguments ("- flatten" is "- flatten: {}")? */
    bool (*is_name)(const char *item);
};
int fnl_yaml_set_short(struct fnl_yaml *doc, const struct fnl_yaml_short *table,
                       const char *assignment, struct fnl_error *err);

/* Writes the tree as YAML again (for the run folder). */
struct fnl_buf;
int fnl_yaml_print(const struct fnl_yaml *doc, struct fnl_buf *out);

/* FNL_E_CONFIG "name:line:column: message" at node; "--set: message" for values that came from
 * there. node may be NULL: "name: message". */
int fnl_yaml_fail(const struct fnl_yaml *doc, const struct fnl_yaml_node *node, const char *hint,
                  struct fnl_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
