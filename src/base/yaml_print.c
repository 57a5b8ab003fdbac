/* yaml_print.c - a tree as YAML again: block style, empty collections as {} and [], a plain scalar
 * as it came when it reads back as itself, everything else in double quotes. Reading the result
 * gives an equal tree. Recursion is bounded by the depth of the tree (FNL_MAX_YAML_DEPTH). */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/yaml_int.h"

/* One character of valid UTF-8 (the parser let nothing else in); its bytes to *size. */
static uint32_t decode(const unsigned char *p, size_t *size)
{
    if (p[0] < 0x80) {
        *size = 1;
        return p[0];
    }
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    uint32_t c = p[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0u) != 0x80u) { /* not from the parser: take the byte as it is */
            *size = 1;
            return 0xFFFD;
        }
        c = c << 6 | (p[i] & 0x3Fu);
    }
    *size = n;
    return c;
}

/* May stand in a file as itself: printable in YAML's sense, and not a line break. */
static bool stands_raw(uint32_t c)
{
    return (c >= 0x20 && c < 0x7F) || (c >= 0xA0 && c <= 0xD7FF && c != 0x2028 && c != 0x2029) ||
           (c >= 0xE000 && c <= 0xFFFD && c != 0xFEFF) || (c >= 0x10000 && c <= 0x10FFFF);
}

/* Does s read back as the same plain scalar? Says no in doubt: quotes do no harm then. */
static bool plain_is_safe(const char *s)
{
    size_t size = strlen(s);
    if (size == 0) {
        return true;
    }
    if (strchr(",[]{}#&*!|>'\"%@` ", s[0]) != NULL || s[size - 1] == ' ' || s[size - 1] == ':') {
        return false;
    }
    if (strchr("-?:", s[0]) != NULL && (size == 1 || s[1] == ' ')) {
        return false;
    }
    if (strncmp(s, "---", 3) == 0 || strncmp(s, "...", 3) == 0) {
        return false;
    }
    if (strstr(s, ": ") != NULL || strstr(s, " #") != NULL) {
        return false;
    }
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p != 0; p += n) {
        if (!stands_raw(decode(p, &n))) {
            return false;
        }
    }
    return true;
}

static void print_quoted(struct fnl_buf *out, const char *s)
{
    (void)fnl_buf_puts(out, "\"");
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p != 0; p += n) {
        uint32_t c = decode(p, &n);
        if (c == '"' || c == '\\') {
            (void)fnl_buf_printf(out, "\\%c", (char)c);
        } else if (c == '\n') {
            (void)fnl_buf_puts(out, "\\n");
        } else if (c == '\t') {
            (void)fnl_buf_puts(out, "\\t");
        } else if (stands_raw(c)) {
            (void)fnl_buf_append(out, p, n);
        } else if (c <= 0xFF) {
            (void)fnl_buf_printf(out, "\\x%02X", (unsigned)c);
        } else if (c <= 0xFFFF) {
            (void)fnl_buf_printf(out, "\\u%04X", (unsigned)c);
        } else {
            (void)fnl_buf_printf(out, "\\U%08X", (unsigned)c);
        }
    }
    (void)fnl_buf_puts(out, "\"");
}

static void print_scalar(struct fnl_buf *out, const struct fnl_yaml_node *node)
{
    if (!node->quoted && plain_is_safe(node->scalar)) {
        (void)fnl_buf_puts(out, node->scalar);
    } else {
        print_quoted(out, node->scalar);
    }
}

/* A scalar or an empty collection, which fits behind "key: " or "- ". */
static bool is_inline(const struct fnl_yaml_node *node)
{
    return node->kind == FNL_YAML_SCALAR || node->count == 0;
}

static void print_inline(struct fnl_buf *out, const char *blank, const struct fnl_yaml_node *node)
{
    if (node->kind != FNL_YAML_SCALAR) {
        (void)fnl_buf_printf(out, "%s%s", blank, node->kind == FNL_YAML_MAP ? "{}" : "[]");
    } else if (node->quoted || node->scalar[0] != 0) {
        (void)fnl_buf_puts(out, blank);
        print_scalar(out, node);
    }
    (void)fnl_buf_puts(out, "\n");
}

/* A collection that is not empty. first_inline: its first line continues the current one. */
static void print_block(struct fnl_buf *out, const struct fnl_yaml_node *node, int indent,
                        bool first_inline)
{
    for (size_t i = 0; i < node->count && !out->failed; i++) {
        const struct fnl_yaml_node *item = node->item[i];
        if (i != 0 || !first_inline) {
            (void)fnl_buf_printf(out, "%*s", indent, "");
        }
        if (node->kind == FNL_YAML_MAP) {
            print_scalar(out, node->key[i]);
            (void)fnl_buf_puts(out, ":");
        } else {
            (void)fnl_buf_puts(out, "-");
        }
        if (is_inline(item)) {
            print_inline(out, " ", item);
        } else if (node->kind == FNL_YAML_MAP) {
            (void)fnl_buf_puts(out, "\n");
            print_block(out, item, indent + 2, false);
        } else {
            (void)fnl_buf_puts(out, " ");
            print_block(out, item, indent + 2, true);
        }
    }
}

int fnl_yaml_print(const struct fnl_yaml *doc, struct fnl_buf *out)
{
    if (is_inline(doc->root)) {
        print_inline(out, "", doc->root);
    } else {
        print_block(out, doc->root, 0, false);
    }
    return out->failed ? out->code : 0;
}
