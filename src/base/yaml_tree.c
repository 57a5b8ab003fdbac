/* yaml_tree.c - YAML text to a tree of nodes, over libyaml's event parser.
 *
 * The builder keeps a stack of open collections of FNL_MAX_YAML_DEPTH entries, so depth costs no C
 * stack. Nodes, arrays and texts live in the document's arena.
 * Invariants: an array of children has room for 4, 8, 16, ... entries, so it is full exactly when
 * count is 0 or such a power of two and no capacity is stored; the keys of a map are distinct,
 * non-empty SCALAR nodes; no node is deeper than FNL_MAX_YAML_DEPTH. Cost: linear, but for one sort
 * of the keys of each map (duplicates). Source: YAML 1.1 as libyaml reads it; scalars are typed by
 * their readers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/yaml_int.h"

#define FIRST_CHILDREN 4u

struct builder {
    struct fnl_yaml *doc;
    const char *name;
    const char *text;
    size_t size;
    int base_depth;
    bool from_set;
    int depth; /* open collections */
    struct fnl_yaml_node *open[FNL_MAX_YAML_DEPTH];
    struct fnl_yaml_node *pending_key[FNL_MAX_YAML_DEPTH]; /* MAP: key whose value comes next */
    struct fnl_yaml_node *root;
    struct fnl_error *err;
};

static int out_of_memory(const struct builder *b)
{
    return FNL_FAIL(b->err, NOMEM, NULL, "%s: out of memory", b->name);
}

/* "name:line:column: text"; marks count from 0. */
__attribute__((format(printf, 4, 5))) static int fail_at(const struct builder *b, yaml_mark_t mark,
                                                         const char *hint, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (b->from_set) {
        return FNL_FAIL(b->err, CONFIG, hint, "--set %s: %s", b->name, text);
    }
    return FNL_FAIL(b->err, CONFIG, hint, "%s:%zu:%zu: %s", b->name, mark.line + 1, mark.column + 1,
                    text);
}

struct fnl_yaml_node *fnl__yaml_node(struct fnl_yaml *doc, enum fnl_yaml_kind kind)
{
    if (doc->nodes >= FNL_MAX_YAML_NODES) {
        return NULL;
    }
    struct fnl_yaml_node *node = fnl_arena_alloc(&doc->arena, sizeof *node);
    if (node != NULL) {
        doc->nodes++;
        node->kind = kind;
    }
    return node;
}

/* A copy with room for twice as many children, or NULL. */
static struct fnl_yaml_node **grow(struct fnl_yaml *doc, struct fnl_yaml_node **old, size_t count)
{
    size_t capacity = count == 0 ? FIRST_CHILDREN : count * 2;
    struct fnl_yaml_node **fresh = fnl_arena_array(&doc->arena, capacity, sizeof(void *));
    if (fresh != NULL && count != 0) {
        memcpy(fresh, old, count * sizeof(void *));
    }
    return fresh;
}

int fnl__yaml_add(struct fnl_yaml *doc, struct fnl_yaml_node *to, struct fnl_yaml_node *key,
                  struct fnl_yaml_node *item)
{
    size_t n = to->count;
    if (n == 0 || (n >= FIRST_CHILDREN && (n & (n - 1)) == 0)) {
        struct fnl_yaml_node **items = grow(doc, to->item, n);
        struct fnl_yaml_node **keys = key != NULL ? grow(doc, to->key, n) : NULL;
        if (items == NULL || (key != NULL && keys == NULL)) {
            return FNL_E_NOMEM;
        }
        to->item = items;
        to->key = keys;
    }
    to->item[n] = item;
    item->parent = to;
    if (key != NULL) {
        to->key[n] = key;
        key->parent = to;
    }
    to->count++;
    return 0;
}

static int by_text_then_place(const void *pa, const void *pb)
{
    const struct fnl_yaml_node *a = *(struct fnl_yaml_node *const *)pa;
    const struct fnl_yaml_node *b = *(struct fnl_yaml_node *const *)pb;
    int order = strcmp(a->scalar, b->scalar);
    if (order != 0) {
        return order;
    }
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    return (a->column > b->column) - (a->column < b->column);
}

/* Sorted copy of the keys, then neighbours: a quadratic search would let one file stop us. */
static int check_duplicates(struct builder *b, const struct fnl_yaml_node *map)
{
    if (map->count < 2) {
        return 0;
    }
    size_t bytes = map->count * sizeof(void *);
    struct fnl_yaml_node **keys = fnl_malloc(bytes);
    if (keys == NULL) {
        return out_of_memory(b);
    }
    memcpy(keys, map->key, bytes);
    qsort(keys, map->count, sizeof(void *), by_text_then_place);
    int rc = 0;
    for (size_t i = 1; rc == 0 && i < map->count; i++) {
        if (strcmp(keys[i - 1]->scalar, keys[i]->scalar) == 0 && b->from_set) {
            rc = FNL_FAIL(b->err, CONFIG, "remove one of the two", "--set %s: duplicate key \"%s\"",
                          b->name, keys[i]->scalar);
        } else if (strcmp(keys[i - 1]->scalar, keys[i]->scalar) == 0) {
            rc = FNL_FAIL(b->err, CONFIG, "remove one of the two",
                          "%s:%d:%d: duplicate key \"%s\" (first given at line %d)", b->name,
                          keys[i]->line, keys[i]->column, keys[i]->scalar, keys[i - 1]->line);
        }
    }
    fnl_free(keys);
    return rc;
}

static int new_node(struct builder *b, enum fnl_yaml_kind kind, yaml_mark_t mark,
                    struct fnl_yaml_node **ret_node)
{
    struct fnl_yaml_node *node = fnl__yaml_node(b->doc, kind);
    if (node == NULL && b->doc->nodes >= FNL_MAX_YAML_NODES) {
        return fail_at(b, mark, "a configuration has a few hundred values: is this the right file?",
                       "more than %d values", FNL_MAX_YAML_NODES);
    }
    if (node == NULL) {
        return out_of_memory(b);
    }
    node->line = b->from_set ? 0 : (int)mark.line + 1; /* the size limit keeps both in an int */
    node->column = b->from_set ? 0 : (int)mark.column + 1;
    *ret_node = node;
    return 0;
}

/* Puts a finished scalar or an opened collection where the parser stands. */
static int place(struct builder *b, struct fnl_yaml_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    struct fnl_yaml_node *top = b->open[b->depth - 1];
    struct fnl_yaml_node **key = &b->pending_key[b->depth - 1];
    if (top->kind == FNL_YAML_SEQUENCE) {
        return fnl__yaml_add(b->doc, top, NULL, node) == 0 ? 0 : out_of_memory(b);
    }
    int rc = fnl__yaml_add(b->doc, top, *key, node);
    *key = NULL;
    return rc == 0 ? 0 : out_of_memory(b);
}

static bool wants_key(const struct builder *b)
{
    return b->depth > 0 && b->open[b->depth - 1]->kind == FNL_YAML_MAP &&
           b->pending_key[b->depth - 1] == NULL;
}

static int refuse_extras(const struct builder *b, const yaml_event_t *e, const void *anchor,
                         const void *tag)
{
    if (anchor != NULL) {
        return fail_at(b, e->start_mark, "write the value out where it is used",
                       "anchors (&name) are not supported");
    }
    if (tag != NULL) {
        return fail_at(b, e->start_mark, "leave the tag out: the key decides the type",
                       "tags (!name) are not supported");
    }
    return 0;
}

static int check_key(const struct builder *b, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t size = e->data.scalar.length;
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (size == 0) {
        return fail_at(b, e->start_mark, "write a name before the colon", "a key is missing");
    }
    if (size > FNL_MAX_YAML_KEY_BYTES) {
        return fail_at(b, e->start_mark, "is a line break or a quote missing?",
                       "a key of %zu bytes; at most %d are allowed", size, FNL_MAX_YAML_KEY_BYTES);
    }
    if (plain && strcmp(text, "<<") == 0) {
        return fail_at(b, e->start_mark, "write the values out where they are used",
                       "merge keys (<<) are not supported");
    }
    return 0;
}

static int on_scalar(struct builder *b, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    int rc = refuse_extras(b, e, e->data.scalar.anchor, e->data.scalar.tag);
    if (rc != 0) {
        return rc;
    }
    if (strlen(text) != e->data.scalar.length) {
        return fail_at(b, e->start_mark, "remove \\0 from the text", "a text holds a zero byte");
    }
    bool is_key = wants_key(b);
    if (is_key) {
        rc = check_key(b, e);
    }
    struct fnl_yaml_node *node = NULL;
    if (rc == 0) {
        rc = new_node(b, FNL_YAML_SCALAR, e->start_mark, &node);
    }
    if (rc != 0) {
        return rc;
    }
    node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->scalar = fnl_arena_strndup(&b->doc->arena, text, e->data.scalar.length);
    if (node->scalar == NULL) {
        return out_of_memory(b);
    }
    if (is_key) {
        b->pending_key[b->depth - 1] = node;
        return 0;
    }
    return place(b, node);
}

static int on_open(struct builder *b, const yaml_event_t *e, enum fnl_yaml_kind kind)
{
    const void *anchor =
        kind == FNL_YAML_MAP ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    const void *tag = kind == FNL_YAML_MAP ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    int rc = refuse_extras(b, e, anchor, tag);
    if (rc != 0) {
        return rc;
    }
    if (wants_key(b)) {
        return fail_at(b, e->start_mark, "keys are plain names", "a list or map cannot be a key");
    }
    if (b->base_depth + b->depth >= FNL_MAX_YAML_DEPTH) {
        return fail_at(b, e->start_mark, "flatten the structure", "nested deeper than %d levels",
                       FNL_MAX_YAML_DEPTH);
    }
    struct fnl_yaml_node *node = NULL;
    rc = new_node(b, kind, e->start_mark, &node);
    if (rc == 0) {
        rc = place(b, node);
    }
    if (rc == 0) {
        b->open[b->depth] = node;
        b->pending_key[b->depth] = NULL;
        b->depth++;
    }
    return rc;
}

static int on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root != NULL) {
            return fail_at(b, e->start_mark, "keep one document a file: remove the second \"---\"",
                           "a second document");
        }
        return 0;
    case YAML_ALIAS_EVENT:
        return fail_at(b, e->start_mark, "write the value out where it is used",
                       "aliases (*name) are not supported");
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, e, FNL_YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, e, FNL_YAML_MAP);
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return check_duplicates(b, b->open[b->depth]);
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

/* Is the blank before the problem's first character a tab? libyaml only says that something "cannot
 * start any token", which no beginner understands. */
static bool tab_indents(const struct builder *b, size_t line)
{
    const char *p = b->text, *end = b->text + b->size;
    for (; line > 0; line--) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        if (newline == NULL) {
            return false;
        }
        p = newline + 1;
    }
    while (p < end && *p == ' ') {
        p++;
    }
    return p < end && *p == '\t';
}

/* Line and column of a byte offset, for errors of the decoder, which have no mark. */
static yaml_mark_t mark_of(const struct builder *b, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < b->size; i++) {
        unsigned char c = (unsigned char)b->text[i];
        if (c == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((c & 0xC0u) != 0x80u) {
            mark.column++;
        }
    }
    return mark;
}

static int parser_failed(const struct builder *b, const yaml_parser_t *p)
{
    const char *problem = p->problem != NULL ? p->problem : "not understood";
    switch (p->error) {
    case YAML_MEMORY_ERROR:
        return out_of_memory(b);
    case YAML_READER_ERROR:
        return fail_at(b, mark_of(b, p->problem_offset), "save the file as UTF-8 text",
                       "not UTF-8 text: %s", problem);
    default:
        break;
    }
    if (tab_indents(b, p->problem_mark.line)) {
        return fail_at(b, p->problem_mark, "YAML indents with spaces: replace the tab",
                       "a tab in the indentation");
    }
    if (p->context != NULL && p->context_mark.line != p->problem_mark.line) {
        return fail_at(b, p->problem_mark,
                       "check indentation, quotes, brackets and the blank after each colon",
                       "%s (%s that begins at line %zu)", problem, p->context,
                       p->context_mark.line + 1);
    }
    return fail_at(b, p->problem_mark,
                   "check indentation, quotes, brackets and the blank after each colon", "%s",
                   problem);
}

static int parse_events(struct builder *b, yaml_parser_t *parser)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            return parser_failed(b, parser);
        }
        bool end = event.type == YAML_STREAM_END_EVENT;
        int rc = on_event(b, &event);
        yaml_event_delete(&event);
        if (rc != 0 || end) {
            return rc;
        }
    }
}

int fnl__yaml_tree(struct fnl_yaml *doc, const char *name, const char *text, size_t size, int depth,
                   bool from_set, struct fnl_yaml_node **ret_root, struct fnl_error *err)
{
    struct builder b = {.doc = doc,
                        .name = name,
                        .text = text,
                        .size = size,
                        .base_depth = depth,
                        .from_set = from_set,
                        .err = err};
    if (size > FNL_MAX_YAML_BYTES) {
        return FNL_FAIL(err, LIMIT, "is this the right file?",
                        "%s: a YAML text of %zu bytes; at most %zu are allowed", name, size,
                        FNL_MAX_YAML_BYTES);
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return out_of_memory(&b);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    int rc = parse_events(&b, &parser);
    yaml_parser_delete(&parser);
    if (rc != 0) {
        return rc;
    }
    if (b.root == NULL) { /* no document at all: blanks and comments */
        yaml_mark_t start = {0};
        rc = new_node(&b, FNL_YAML_SCALAR, start, &b.root);
        if (rc != 0) {
            return rc;
        }
        b.root->scalar = "";
    }
    *ret_root = b.root;
    return 0;
}
