/* yaml_short.c - short forms written out, so that --set can reach into them.
 *
 *   dropout: 0.2          ->  dropout: {rate: 0.2}          the value of a key with a main argument
 *   - dense_layer         ->  - dense_layer: {}             a name alone in a list
 *
 * Which keys and names have such forms the caller's table says. The node that was looked at stays
 * in its place and becomes the map; what it held moves into a fresh node below it. */
#include <string.h>

#include "base/text.h"
#include "base/yaml_int.h"

/* The key of the map that holds node, or NULL. */
static const char *key_of(const struct fnl_yaml_node *node)
{
    const struct fnl_yaml_node *parent = node->parent;
    for (size_t i = 0; parent != NULL && parent->kind == FNL_YAML_MAP && i < parent->count; i++) {
        if (parent->item[i] == node) {
            return parent->key[i]->scalar;
        }
    }
    return NULL;
}

/* node becomes {key: what it was}, or, with an empty map in its place, {what it was: {}}. */
static int wrap(struct fnl_yaml *doc, struct fnl_yaml_node *node, const char *key, bool with_old)
{
    struct fnl_yaml_node *name = fnl__yaml_node(doc, FNL_YAML_SCALAR);
    struct fnl_yaml_node *below = fnl__yaml_node(doc, FNL_YAML_MAP);
    if (name == NULL || below == NULL) {
        return FNL_E_NOMEM;
    }
    name->scalar = key;
    name->line = node->line;
    name->column = node->column;
    if (with_old) {
        *below = *node;
        for (size_t i = 0; i < below->count; i++) {
            below->item[i]->parent = below;
        }
    }
    struct fnl_yaml_node *parent = node->parent;
    *node = (struct fnl_yaml_node){
        .kind = FNL_YAML_MAP, .line = node->line, .column = node->column, .parent = parent};
    return fnl__yaml_add(doc, node, name, below);
}

int fnl__yaml_open_short(struct fnl_yaml *doc, const struct fnl_yaml_short *table,
                         struct fnl_yaml_node *node, const char *name)
{
    int64_t index = 0;
    bool by_index = node->kind == FNL_YAML_SEQUENCE && fnl_parse_int(name, &index);
    if (table == NULL || node->kind == FNL_YAML_MAP || by_index || fnl_yaml_is_null(node)) {
        return 0;
    }
    const char *key = key_of(node);
    if (key != NULL) {
        const char *main_key = table->main_key(key);
        return main_key != NULL ? wrap(doc, node, main_key, true) : 0;
    }
    bool in_list = node->parent != NULL && node->parent->kind == FNL_YAML_SEQUENCE;
    if (in_list && node->kind == FNL_YAML_SCALAR && table->is_name(node->scalar)) {
        return wrap(doc, node, node->scalar, false);
    }
    return 0;
}
