/* yaml.c - a YAML document as its readers see it: made from a text or a file (yaml_tree.c builds
 * the tree), asked for values, and named in messages. */
#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/yaml_int.h"

int fnl_yaml_parse(const char *name, const char *text, size_t size, struct fnl_yaml **ret_doc,
                   struct fnl_error *err)
{
    struct fnl_yaml *doc = fnl_calloc(1, sizeof *doc);
    if (doc == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    fnl_arena_init(&doc->arena, FNL_MAX_YAML_TREE_BYTES);
    doc->name = fnl_arena_strdup(&doc->arena, name);
    int rc = 0;
    if (doc->name == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    } else {
        rc = fnl__yaml_tree(doc, name, text, size, 0, false, &doc->root, err);
    }
    if (rc != 0) {
        fnl_yaml_free(doc);
        return rc;
    }
    if (fnl_yaml_is_null(doc->root)) {
        doc->root->kind = FNL_YAML_MAP; /* an empty file sets nothing */
        doc->root->scalar = NULL;
    }
    *ret_doc = doc;
    return 0;
}

int fnl_yaml_load(const char *path, struct fnl_yaml **ret_doc, struct fnl_error *err)
{
    char *text = NULL;
    size_t size = 0;
    int rc = fnl_file_read(path, FNL_MAX_YAML_BYTES, &text, &size, err);
    if (rc == 0) {
        rc = fnl_yaml_parse(path, text, size, ret_doc, err);
        fnl_free(text);
    }
    return rc;
}

void fnl_yaml_free(struct fnl_yaml *doc)
{
    if (doc != NULL) {
        fnl_arena_free(&doc->arena);
        fnl_free(doc);
    }
}

struct fnl_yaml_node *fnl_yaml_root(const struct fnl_yaml *doc)
{
    return doc->root;
}

const char *fnl_yaml_name(const struct fnl_yaml *doc)
{
    return doc->name;
}

struct fnl_yaml_node *fnl_yaml_get(const struct fnl_yaml_node *map, const char *key)
{
    if (map == NULL || map->kind != FNL_YAML_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->key[i]->scalar, key) == 0) {
            return map->item[i];
        }
    }
    return NULL;
}

bool fnl_yaml_is_null(const struct fnl_yaml_node *node)
{
    return node->kind == FNL_YAML_SCALAR && !node->quoted &&
           (node->scalar[0] == 0 || strcmp(node->scalar, "~") == 0 ||
            strcmp(node->scalar, "null") == 0);
}

int fnl_yaml_fail(const struct fnl_yaml *doc, const struct fnl_yaml_node *node, const char *hint,
                  struct fnl_error *err, const char *format, ...)
{
    char text[640];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    const char *name = doc != NULL ? doc->name : "configuration";
    if (node == NULL) {
        return FNL_FAIL(err, CONFIG, hint, "%s: %s", name, text);
    }
    if (node->line == 0) {
        return FNL_FAIL(err, CONFIG, hint, "--set: %s", text);
    }
    return FNL_FAIL(err, CONFIG, hint, "%s:%d:%d: %s", name, node->line, node->column, text);
}
