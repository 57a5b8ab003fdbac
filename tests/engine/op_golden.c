/* op_golden.c - reads tests/golden/op_golden.txt: cases with the data and results of another
 * implementation. One item a line: "case NAME", "op TEXT", "attrs ...", "outputs COUNT", then
 * inputs "fed|target|labels|param|state SHAPE VALUES..." (or "absent") and results
 * "y0|d1|s3|loss COUNT VALUES...", and "end". */
#include "op_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define MAX_CASES 256

static struct fnl_arena arena; /* of the loaded cases */

static enum fnl_op op_named(const char *text)
{
    for (int i = 0; i < FNL_OP_COUNT; i++) {
        if (strcmp(fnl_op_text((enum fnl_op)i), text) == 0) {
            return (enum fnl_op)i;
        }
    }
    return FNL_OP_COUNT;
}

/* The numbers of a line, in the arena. */
static float *parse_values(const char *text, size_t *ret_count)
{
    float *v = fnl_arena_array(&arena, strlen(text) / 2 + 1, sizeof *v);
    size_t count = 0;
    for (char *end = NULL; v != NULL; text = end) {
        float x = strtof(text, &end);
        if (end == text) {
            break;
        }
        v[count++] = x;
    }
    *ret_count = count;
    return v;
}

static bool parse_input(struct op_input *in, const char *key, const char *rest)
{
    static const struct {
        const char *name;
        enum op_kind kind;
    } kinds[] = {{"fed", OP_FED},     {"target", OP_TARGET}, {"labels", OP_LABELS},
                 {"param", OP_PARAM}, {"state", OP_STATE},   {"absent", OP_NONE}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, key) == 0) {
            size_t count, length = strcspn(rest, " ");
            in->kind = kinds[i].kind;
            in->shape = fnl_arena_strndup(&arena, rest, length);
            in->data = parse_values(rest + length, &count);
            return true;
        }
    }
    return false;
}

static bool parse_result(struct op_results *r, const char *key, const char *rest)
{
    char *end = NULL;
    size_t wanted = strtoul(rest, &end, 10), count = 0;
    if (end == rest || r->count == OP_RESULTS) {
        return false;
    }
    struct op_tensor *t = &r->item[r->count++];
    snprintf(t->name, sizeof t->name, "%s", key);
    t->value = parse_values(end, &count);
    t->size = count;
    return count == wanted && t->value != NULL;
}

/* One line of an open case; *inputs counts its inputs. */
static bool parse_line(struct op_case *c, int *inputs, const char *key, const char *rest)
{
    if (strcmp(key, "op") == 0) {
        c->op = op_named(rest);
        return c->op != FNL_OP_COUNT;
    }
    if (strcmp(key, "attrs") == 0) {
        c->attrs = fnl_arena_strdup(&arena, rest);
        return true;
    }
    if (strcmp(key, "outputs") == 0 || strcmp(key, "rows") == 0) {
        size_t number = strtoul(rest, NULL, 10);
        c->outputs = key[0] == 'o' ? (int)number : c->outputs;
        c->rows = key[0] == 'r' ? number : c->rows;
        return true;
    }
    if (*inputs < OP_INPUTS && parse_input(&c->in[*inputs], key, rest)) {
        (*inputs)++;
        return true;
    }
    return parse_result(&c->expected, key, rest);
}

static int parse_file(FILE *f, struct op_case *cases)
{
    char *line = NULL;
    size_t capacity = 0;
    int count = 0, inputs = 0, number = 0;
    bool good = true;
    ssize_t length;
    while (good && (length = getline(&line, &capacity, f)) > 0) {
        number++;
        line[length - 1] = '\0';
        char *rest = strchr(line, ' ');
        if (rest != NULL) {
            *rest++ = '\0';
        }
        if (line[0] == '#') {
            continue;
        }
        if (strcmp(line, "case") == 0) {
            good = rest != NULL && count < MAX_CASES;
            inputs = 0;
            if (good) {
                cases[count++].name = fnl_arena_strdup(&arena, rest);
            }
        } else if (strcmp(line, "end") != 0) {
            good =
                count > 0 && parse_line(&cases[count - 1], &inputs, line, rest != NULL ? rest : "");
        }
    }
    free(line);
    if (!good) {
        fprintf(stderr, "line %d of the golden file is bad\n", number);
    }
    return good ? count : FNL_E_FORMAT;
}

int op_golden_load(const char *path, struct op_case **ret_cases)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fprintf(stderr, "%s cannot be read\n", path);
        return FNL_E_NOTFOUND;
    }
    fnl_arena_init(&arena, (size_t)64 << 20);
    struct op_case *cases = fnl_arena_array(&arena, MAX_CASES, sizeof *cases);
    int count = cases == NULL ? FNL_E_NOMEM : parse_file(f, cases);
    fclose(f);
    if (count < 0) {
        fnl_arena_free(&arena);
        return count;
    }
    *ret_cases = cases;
    return count;
}

void op_golden_free(struct op_case *cases, int count)
{
    (void)cases;
    (void)count;
    fnl_arena_free(&arena);
}
