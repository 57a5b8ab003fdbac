/* names.c - a set of texts with an index each: classes and categories met in a file. Texts live in
 * an arena; the table grows by doubling and is at most half full. FNV-1a hashing; a file made to
 * collide costs linear searches among at most `max` names. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "data/data_int.h"

void fnl__names_init(struct fnl__names *n, struct fnl_arena *arena, size_t max)
{
    *n = (struct fnl__names){.arena = arena, .max = max};
}

void fnl__names_free(struct fnl__names *n)
{
    fnl_free(n->slot);
    fnl_free(n->name);
    *n = (struct fnl__names){0};
}

static size_t hash(const char *text, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    }
    return (size_t)(h ^ (h >> 32));
}

/* The slot of text, or the free one where it would go. slots > 0 and not full. */
static size_t find_slot(const struct fnl__names *n, const char *text, size_t size)
{
    size_t i = hash(text, size) & (n->slots - 1);
    while (n->slot[i] != 0) {
        const char *name = n->name[n->slot[i] - 1];
        if (strncmp(name, text, size) == 0 && name[size] == 0) {
            break;
        }
        i = (i + 1) & (n->slots - 1);
    }
    return i;
}

int fnl__names_find(const struct fnl__names *n, const char *text, size_t size)
{
    if (n->slots == 0) {
        return -1;
    }
    return (int)n->slot[find_slot(n, text, size)] - 1;
}

static int grow(struct fnl__names *n)
{
    size_t slots = n->slots != 0 ? n->slots * 2 : 64;
    char **name = fnl_realloc(n->name, slots / 2 * sizeof *name);
    if (name == NULL) {
        return FNL_E_NOMEM;
    }
    n->name = name;
    uint32_t *slot = fnl_calloc(slots, sizeof *slot);
    if (slot == NULL) {
        return FNL_E_NOMEM;
    }
    fnl_free(n->slot);
    n->slot = slot;
    n->slots = slots;
    n->capacity = slots / 2;
    for (size_t i = 0; i < n->count; i++) {
        slot[find_slot(n, n->name[i], strlen(n->name[i]))] = (uint32_t)i + 1;
    }
    return 0;
}

int fnl__names_add(struct fnl__names *n, const char *text, size_t size)
{
    int rc = n->count == n->capacity ? grow(n) : 0;
    if (rc != 0) {
        return rc;
    }
    size_t i = find_slot(n, text, size);
    if (n->slot[i] != 0) {
        return 0;
    }
    if (n->count == n->max) {
        return FNL_E_LIMIT;
    }
    char *copy = fnl_arena_strndup(n->arena, text, size);
    if (copy == NULL) {
        return FNL_E_NOMEM;
    }
    n->name[n->count++] = copy;
    n->slot[i] = (uint32_t)n->count;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fnl__names_sort(struct fnl__names *n)
{
    if (n->count == 0) {
        return;
    }
    qsort(n->name, n->count, sizeof *n->name, compare);
    memset(n->slot, 0, n->slots * sizeof *n->slot);
    for (size_t i = 0; i < n->count; i++) {
        n->slot[find_slot(n, n->name[i], strlen(n->name[i]))] = (uint32_t)i + 1;
    }
}
