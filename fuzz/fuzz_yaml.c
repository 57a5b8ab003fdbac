/* fuzz_yaml.c - YAML text, --set and schema. The first line of the input, when it begins with "=",
 * is an assignment for --set; the rest is a document. Properties: no crash, and what is printed
 * reads back and prints the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/schema.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    int64_t integer;
    double number;
    bool flag;
    const char *text;
    int choice;
    struct fnl_ints ints;
    struct fnl_floats floats;
    struct fnl_strings texts;
    struct fnl_yaml_node *node;
};

static const char *const choices[] = {"sgd", "adam", NULL};
#define AT(member) offsetof(struct target, member)
static const struct fnl_field fields[] = {
    {"i", FNL_FIELD_INT, AT(integer), false, "1", 1, 100, NULL, ""},
    {"f", FNL_FIELD_FLOAT, AT(number), false, "0.5", 0, 0, NULL, ""},
    {"b", FNL_FIELD_BOOL, AT(flag), false, NULL, 0, 0, NULL, ""},
    {"s", FNL_FIELD_STRING, AT(text), false, NULL, 0, 0, NULL, ""},
    {"e", FNL_FIELD_ENUM, AT(choice), false, "adam", 0, 0, choices, ""},
    {"is", FNL_FIELD_INTS, AT(ints), false, "[1, 2]", 0, 0, NULL, ""},
    {"fs", FNL_FIELD_FLOATS, AT(floats), false, NULL, 0, 1, NULL, ""},
    {"ss", FNL_FIELD_STRINGS, AT(texts), false, NULL, 0, 0, NULL, ""},
    {"n", FNL_FIELD_NODE, AT(node), false, NULL, 0, 0, NULL, ""},
    {NULL, FNL_FIELD_INT, 0, false, NULL, 0, 0, NULL, NULL},
};

static void read_by_schema(const struct fnl_yaml *doc)
{
    struct fnl_arena arena;
    struct target target;
    struct fnl_error err;
    fnl_arena_init(&arena, (size_t)16 << 20);
    (void)fnl_schema_read(doc, fnl_yaml_root(doc), "", fields, &arena, &target, &err);
    fnl_arena_free(&arena);
}

static void check_round_trip(const struct fnl_yaml *doc)
{
    struct fnl_buf first, second;
    struct fnl_yaml *again = NULL;
    struct fnl_error err;
    /* Escapes and indentation make the text longer: only what stays under the limit can be read. */
    fnl_buf_init(&first, FNL_MAX_YAML_BYTES);
    fnl_buf_init(&second, FNL_MAX_YAML_BYTES);
    if (fnl_yaml_print(doc, &first) == 0) {
        if (fnl_yaml_parse("again", first.data, first.size, &again, &err) != 0 ||
            fnl_yaml_print(again, &second) != 0 || first.size != second.size ||
            memcmp(first.data, second.data, first.size) != 0) {
            abort();
        }
    }
    fnl_yaml_free(again);
    fnl_buf_free(&first);
    fnl_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char assignment[256] = "";
    if (size > 0 && data[0] == '=') {
        const char *newline = memchr(text, '\n', size);
        size_t line = newline != NULL ? (size_t)(newline - text) : size;
        size_t n = line - 1 < sizeof assignment - 1 ? line - 1 : sizeof assignment - 1;
        memcpy(assignment, text + 1, n);
        assignment[n] = 0;
        text += line;
        size -= line;
    }
    struct fnl_yaml *doc = NULL;
    struct fnl_error err;
    if (fnl_yaml_parse("fuzz", text, size, &doc, &err) != 0) {
        return 0;
    }
    if (assignment[0] != 0) {
        (void)fnl_yaml_set(doc, assignment, &err);
    }
    read_by_schema(doc);
    check_round_trip(doc);
    fnl_yaml_free(doc);
    return 0;
}
