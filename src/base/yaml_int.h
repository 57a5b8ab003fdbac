/* yaml_int.h - what the yaml*.c share. */
#ifndef FNL_BASE_YAML_INT_H
#define FNL_BASE_YAML_INT_H

#include "base/arena.h"
#include "base/yaml.h"

struct fnl_yaml {
    struct fnl_arena arena;
    const char *name;
    struct fnl_yaml_node *root;
    size_t nodes; /* made so far, against FNL_MAX_YAML_NODES */
};

/* Parses text into doc's arena. The result counts as `depth` levels below the root. With from_set
 * all lines are 0 and messages name the assignment `name` instead of the file. */
int fnl__yaml_tree(struct fnl_yaml *doc, const char *name, const char *text, size_t size, int depth,
                   bool from_set, struct fnl_yaml_node **ret_root, struct fnl_error *err);

/* Writes a short form at node out when `name` is to be looked for inside it; else leaves it. */
int fnl__yaml_open_short(struct fnl_yaml *doc, const struct fnl_yaml_short *table,
                         struct fnl_yaml_node *node, const char *name);

/* NULL when memory or the count of nodes ends. */
struct fnl_yaml_node *fnl__yaml_node(struct fnl_yaml *doc, enum fnl_yaml_kind kind);
/* Appends to a sequence (key NULL) or a map; FNL_E_NOMEM when memory ends. */
int fnl__yaml_add(struct fnl_yaml *doc, struct fnl_yaml_node *to, struct fnl_yaml_node *key,
                  struct fnl_yaml_node *item);

#endif
