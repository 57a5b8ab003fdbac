/* yaml_set.c - "path.to.key=value" applied to a tree (--set on the command line). */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/yaml_int.h"

/* The assignment being applied, for messages and for the walk. */
struct assignment {
    struct fnl_yaml *doc;
    const char *text;                   /* all of it */
    size_t path_used;                   /* bytes of text that have been walked, for messages */
    const struct fnl_yaml_short *table; /* (optional) */
    struct fnl_error *err;
};

static int fail(const struct assignment *a, const char *hint, const char *what)
{
    return FNL_FAIL(a->err, CONFIG, hint, "--set %s: %s", a->text, what);
}

static int out_of_memory(const struct assignment *a)
{
    if (a->doc->nodes >= FNL_MAX_YAML_NODES) {
        return FNL_FAIL(a->err, LIMIT, NULL, "--set %s: more than %d values", a->text,
                        FNL_MAX_YAML_NODES);
    }
    return FNL_FAIL(a->err, NOMEM, NULL, "--set %s: out of memory", a->text);
}

/* Where the value of `name` stands in node, or NULL when a map has no such key. */
static int find_slot(const struct assignment *a, struct fnl_yaml_node *node, const char *name,
                     struct fnl_yaml_node ***ret_slot)
{
    char what[256];
    if (node->kind == FNL_YAML_MAP) {
        *ret_slot = NULL;
        for (size_t i = 0; i < node->count; i++) {
            if (strcmp(node->key[i]->scalar, name) == 0) {
                *ret_slot = &node->item[i];
            }
        }
        return 0;
    }
    if (node->kind == FNL_YAML_SCALAR) {
        (void)snprintf(what, sizeof what, "\"%.*s\" is a single value: it has no \"%.64s\" inside",
                       (int)(a->path_used < 120 ? a->path_used : 120), a->text, name);
        return fail(a, "set the value itself, or give a map: key={a: 1}", what);
    }
    int64_t index = 0;
    if (!fnl_parse_int(name, &index) || index < 0 || (uint64_t)index >= node->count) {
        (void)snprintf(what, sizeof what, "\"%.64s\" is not an item of the list \"%.*s\"", name,
                       (int)(a->path_used < 120 ? a->path_used : 120), a->text);
        char hint[96];
        (void)snprintf(hint, sizeof hint, "it has %zu items, counted from 0", node->count);
        return fail(a, hint, what);
    }
    *ret_slot = &node->item[index];
    return 0;
}

static struct fnl_yaml_node *add_key(const struct assignment *a, struct fnl_yaml_node *map,
                                     const char *name, struct fnl_yaml_node *value)
{
    struct fnl_yaml_node *key = fnl__yaml_node(a->doc, FNL_YAML_SCALAR);
    if (key == NULL || value == NULL) {
        return NULL;
    }
    key->scalar = name;
    return fnl__yaml_add(a->doc, map, key, value) == 0 ? value : NULL;
}

/* A value that says nothing becomes a map. */
static void fill(struct fnl_yaml_node *node)
{
    if (fnl_yaml_is_null(node)) {
        node->kind = FNL_YAML_MAP;
        node->scalar = NULL;
        node->line = node->column = 0;
    }
}

/* *in: where to look for `name`: node with its short form written out, or, when node is a layer (a
 * list item of one entry whose value is a map, or would be one), the layer's arguments: its name
 * may be left out. */
static int enter(const struct assignment *a, struct fnl_yaml_node *node, const char *name,
                 struct fnl_yaml_node **ret_in)
{
    int rc = fnl__yaml_open_short(a->doc, a->table, node, name);
    *ret_in = node;
    if (rc != 0 || node->parent == NULL || node->parent->kind != FNL_YAML_SEQUENCE ||
        node->kind != FNL_YAML_MAP || node->count != 1 || strcmp(node->key[0]->scalar, name) == 0) {
        return rc;
    }
    struct fnl_yaml_node *arguments = node->item[0];
    if (a->table != NULL && a->table->is_name(node->key[0]->scalar)) {
        fill(arguments);
        rc = fnl__yaml_open_short(a->doc, a->table, arguments, name);
    }
    *ret_in = arguments->kind == FNL_YAML_MAP ? arguments : node;
    return rc;
}

/* The node that `name` in *node names, made when absent, a map when it said nothing. */
static int step_into(const struct assignment *a, struct fnl_yaml_node **node, const char *name)
{
    struct fnl_yaml_node *in = NULL, **slot = NULL;
    if (enter(a, *node, name, &in) != 0) {
        return out_of_memory(a);
    }
    int rc = find_slot(a, in, name, &slot);
    if (rc != 0) {
        return rc;
    }
    if (slot == NULL) {
        *node = add_key(a, in, name, fnl__yaml_node(a->doc, FNL_YAML_MAP));
        return *node != NULL ? 0 : out_of_memory(a);
    }
    fill(*slot);
    *node = *slot;
    return 0;
}

static int put(const struct assignment *a, struct fnl_yaml_node *node, const char *name,
               struct fnl_yaml_node *value)
{
    struct fnl_yaml_node *in = NULL, **slot = NULL;
    if (enter(a, node, name, &in) != 0) {
        return out_of_memory(a);
    }
    int rc = find_slot(a, in, name, &slot);
    if (rc != 0) {
        return rc;
    }
    if (slot == NULL) {
        return add_key(a, in, name, value) != NULL ? 0 : out_of_memory(a);
    }
    value->parent = in;
    *slot = value;
    return 0;
}

/* Checks the shape of the path: parts that are not empty, not too long, not too many. */
static int check_path(const struct assignment *a, const char *path, int *ret_parts)
{
    int parts = 0;
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, ".");
        parts++;
        if (n == 0 || n > FNL_MAX_YAML_KEY_BYTES) {
            return fail(a, "write names separated by single dots, such as train.batch=64",
                        n == 0 ? "a part of the path is empty" : "a part of the path is too long");
        }
        if (!fnl_utf8_valid(p, n) || (n == 2 && memcmp(p, "<<", 2) == 0)) {
            return fail(a, NULL, "a part of the path cannot be a key");
        }
        if (parts > FNL_MAX_YAML_DEPTH / 2) {
            return fail(a, NULL, "the path is too deep");
        }
        p += n;
        if (*p == 0) {
            *ret_parts = parts;
            return 0;
        }
    }
}

int fnl_yaml_set(struct fnl_yaml *doc, const char *assignment, struct fnl_error *err)
{
    return fnl_yaml_set_short(doc, NULL, assignment, err);
}

int fnl_yaml_set_short(struct fnl_yaml *doc, const struct fnl_yaml_short *table,
                       const char *assignment, struct fnl_error *err)
{
    struct assignment a = {.doc = doc, .text = assignment, .table = table, .err = err};
    const char *equals = strchr(assignment, '=');
    if (equals == NULL) {
        return fail(&a, "write path.to.key=value, such as train.batch=64", "no \"=\" in it");
    }
    char *path = fnl_arena_strndup(&doc->arena, assignment, (size_t)(equals - assignment));
    if (path == NULL) {
        return out_of_memory(&a);
    }
    int parts = 0;
    int rc = check_path(&a, path, &parts);
    if (rc != 0) {
        return rc;
    }
    struct fnl_yaml_node *value = NULL;
    /* A layer's name left out makes the place one deeper than the path says. */
    rc = fnl__yaml_tree(doc, assignment, equals + 1, strlen(equals + 1), 2 * parts, true, &value,
                        err);
    struct fnl_yaml_node *node = doc->root;
    char *name = path;
    while (rc == 0) {
        size_t n = strcspn(name, ".");
        bool last = name[n] == 0;
        name[n] = 0;
        if (last) {
            return put(&a, node, name, value);
        }
        rc = step_into(&a, &node, name);
        name += n + 1;
        a.path_used = (size_t)(name - path) - 1;
    }
    return rc;
}
