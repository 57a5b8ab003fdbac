/* config_difference.c - where two configurations differ: a resumed run must have the one it was
 * started with, and the error names the key. Values are compared as written; the depth of the walk
 * is bounded by FNL_MAX_YAML_DEPTH. */
#include <stdio.h>
#include <string.h>

#include "train/config.h"

struct walk {
    const char *const *ignore;
    char path[FNL_CONFIG_PATH]; /* of the nodes being compared */
};

static bool is_ignored(const struct walk *w)
{
    for (int i = 0; w->ignore != NULL && w->ignore[i] != NULL; i++) {
        if (strcmp(w->path, w->ignore[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Extends the path by a key; returns the length to cut it back to. */
static size_t enter(struct walk *w, const char *key)
{
    size_t used = strlen(w->path);
    (void)snprintf(w->path + used, sizeof w->path - used, "%s%s", used > 0 ? "." : "", key);
    return used;
}

static bool differ(struct walk *w, const struct fnl_yaml_node *a, const struct fnl_yaml_node *b);

/* Keys of a whose values in b are absent or others. */
static bool maps_differ(struct walk *w, const struct fnl_yaml_node *a,
                        const struct fnl_yaml_node *b)
{
    for (size_t i = 0; i < a->count; i++) {
        size_t used = enter(w, a->key[i]->scalar);
        if (differ(w, a->item[i], fnl_yaml_get(b, a->key[i]->scalar))) {
            return true;
        }
        w->path[used] = 0;
    }
    return false;
}

static bool lists_differ(struct walk *w, const struct fnl_yaml_node *a,
                         const struct fnl_yaml_node *b)
{
    size_t count = a->count > b->count ? a->count : b->count;
    for (size_t i = 0; i < count; i++) {
        char index[24];
        (void)snprintf(index, sizeof index, "%zu", i);
        size_t used = enter(w, index);
        if (differ(w, i < a->count ? a->item[i] : NULL, i < b->count ? b->item[i] : NULL)) {
            return true;
        }
        w->path[used] = 0;
    }
    return false;
}

/* On true w->path names the place. A map that only one side has is entered, so that keys in it may
 * be ignored too. */
static bool differ(struct walk *w, const struct fnl_yaml_node *a, const struct fnl_yaml_node *b)
{
    static const struct fnl_yaml_node nothing = {.kind = FNL_YAML_MAP};
    if (is_ignored(w)) {
        return false;
    }
    if ((a == NULL && b->kind == FNL_YAML_MAP) || (b == NULL && a->kind == FNL_YAML_MAP)) {
        a = a != NULL ? a : &nothing;
        b = b != NULL ? b : &nothing;
    }
    if (a == NULL || b == NULL || a->kind != b->kind) {
        return true;
    }
    if (a->kind == FNL_YAML_SCALAR) {
        return strcmp(a->scalar, b->scalar) != 0;
    }
    if (a->kind == FNL_YAML_SEQUENCE) {
        return lists_differ(w, a, b);
    }
    return maps_differ(w, a, b) || maps_differ(w, b, a);
}

void fnl_train_config_difference(const struct fnl_yaml *a, const struct fnl_yaml *b,
                                 const char *const *ignore, char out[FNL_CONFIG_PATH])
{
    struct walk w = {.ignore = ignore};
    bool found = differ(&w, fnl_yaml_root(a), fnl_yaml_root(b));
    (void)snprintf(out, FNL_CONFIG_PATH, "%s", found ? w.path : "");
}
