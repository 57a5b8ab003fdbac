/* opt.c - the one option parser; interface and accepted forms in opt.h.
 *
 * One pass over argv from left to right. Values are checked as they are met, so that the first
 * mistake on the line is the one reported. `--help` wins as soon as it is reached, also where a
 * value was expected. A value that starts with "--" is only taken in the form --name=--value:
 * `--dir --json` is far more often a forgotten value. */
#include "cli/opt.h"

#include <stdio.h>
#include <string.h>

#include "base/schema.h"
#include "base/text.h"
#include "cli/cmd.h"

/* Where the parser stands. */
struct reader {
    const struct fnl_command *command;
    int argc;
    char *const *argv;
    int next; /* index of the next word */
    char *options;
    struct fnl_error *err;
};

const char *fnl_command_path(const struct fnl_command *command, char out[FNL_COMMAND_PATH])
{
    if (command->parent != NULL) {
        snprintf(out, FNL_COMMAND_PATH, "%s %s", command->parent->name, command->name);
    } else {
        snprintf(out, FNL_COMMAND_PATH, "%s", command->name);
    }
    return out;
}

static const struct fnl_opt *find_long(const struct fnl_opt *table, const char *name, size_t length)
{
    for (const struct fnl_opt *o = table; o != NULL && o->name != NULL; o++) {
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0) {
            return o;
        }
    }
    return NULL;
}

static const struct fnl_opt *find_letter(const struct fnl_opt *table, char letter)
{
    for (const struct fnl_opt *o = table; o != NULL && o->name != NULL; o++) {
        if (o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

#define MAX_CANDIDATES 64

static int fail_unknown(const struct reader *r, const char *word)
{
    char path[FNL_COMMAND_PATH];
    const char *names[MAX_CANDIDATES + 2];
    int count = 0;
    char name[64];

    for (const struct fnl_opt *o = r->command->options; o != NULL && o->name != NULL; o++) {
        if (count < MAX_CANDIDATES && !o->hidden) {
            names[count++] = o->name;
        }
    }
    names[count++] = "help";
    names[count] = NULL;
    fnl_command_path(r->command, path);
    FNL_FAIL(r->err, INVALID, NULL, "%s: unknown option %s", path, word);
    /* The part that names the option: without dashes and value. */
    const char *start = word + strspn(word, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(start, "="), start);
    const char *nearest = word[1] == '-' ? fnl_nearest_name(name, names) : NULL;
    if (nearest != NULL) {
        fnl_error_hint(r->err, "did you mean --%s? See: fournil help %s", nearest, path);
    } else {
        fnl_error_hint(r->err, "see: fournil help %s", path);
    }
    return FNL_E_INVALID;
}

static int fail_value(const struct reader *r, const struct fnl_opt *o, const char *expected,
                      const char *got)
{
    char path[FNL_COMMAND_PATH];
    return FNL_FAIL(r->err, INVALID, NULL, "%s: --%s: expected %s, got \"%s\"",
                    fnl_command_path(r->command, path), o->name, expected, got);
}

static int set_int(const struct reader *r, const struct fnl_opt *o, const char *text)
{
    char expected[96] = "an integer";
    int64_t value = 0;
    bool ranged = o->min != 0.0 || o->max != 0.0;
    if (ranged) {
        snprintf(expected, sizeof expected, "an integer from %.0f to %.0f", o->min, o->max);
    }
    if (!fnl_parse_int(text, &value) ||
        (ranged && ((double)value < o->min || (double)value > o->max))) {
        return fail_value(r, o, expected, text);
    }
    *(int64_t *)(void *)(r->options + o->offset) = value;
    return 0;
}

static int set_float(const struct reader *r, const struct fnl_opt *o, const char *text)
{
    char expected[96] = "a number";
    double value = 0.0;
    bool ranged = o->min != 0.0 || o->max != 0.0;
    if (ranged) {
        snprintf(expected, sizeof expected, "a number from %g to %g", o->min, o->max);
    }
    if (!fnl_parse_double(text, &value) || (ranged && (value < o->min || value > o->max))) {
        return fail_value(r, o, expected, text);
    }
    *(double *)(void *)(r->options + o->offset) = value;
    return 0;
}

static int set_enum(const struct reader *r, const struct fnl_opt *o, const char *text)
{
    char expected[256] = "one of";
    size_t used = strlen(expected);

    for (int i = 0; o->names[i] != NULL; i++) {
        if (strcmp(o->names[i], text) == 0) {
            *(int *)(void *)(r->options + o->offset) = i;
            return 0;
        }
        if (used < sizeof expected) {
            used += (size_t)snprintf(expected + used, sizeof expected - used, "%s %s",
                                     i > 0 ? "," : "", o->names[i]);
        }
    }
    fail_value(r, o, expected, text);
    const char *nearest = fnl_nearest_name(text, o->names);
    if (nearest != NULL) {
        fnl_error_hint(r->err, "did you mean %s?", nearest);
    }
    return FNL_E_INVALID;
}

static int set_list(const struct reader *r, const struct fnl_opt *o, const char *text)
{
    char path[FNL_COMMAND_PATH];
    struct fnl_opt_list *list = (struct fnl_opt_list *)(void *)(r->options + o->offset);

    if (list->count == FNL_OPT_LIST_MAX) {
        return FNL_FAIL(r->err, INVALID, NULL, "%s: --%s: given more than %d times",
                        fnl_command_path(r->command, path), o->name, FNL_OPT_LIST_MAX);
    }
    list->value[list->count++] = text;
    return 0;
}

static int set_value(const struct reader *r, const struct fnl_opt *o, const char *text)
{
    switch (o->kind) {
    case FNL_OPT_FLAG:
        *(bool *)(void *)(r->options + o->offset) = true;
        return 0;
    case FNL_OPT_STRING:
        *(const char **)(void *)(r->options + o->offset) = text;
        return 0;
    case FNL_OPT_INT:
        return set_int(r, o, text);
    case FNL_OPT_FLOAT:
        return set_float(r, o, text);
    case FNL_OPT_ENUM:
        return set_enum(r, o, text);
    case FNL_OPT_LIST:
        return set_list(r, o, text);
    }
    return FNL_FAIL(r->err, INTERNAL, NULL, "--%s: unknown kind of option", o->name);
}

/* Option o was met; inline_value is what stood in the same word (after '=' or the letter) or NULL.
 */
static int take_option(struct reader *r, const struct fnl_opt *o, const char *inline_value,
                       bool *ret_help)
{
    char path[FNL_COMMAND_PATH];

    fnl_command_path(r->command, path);
    if (o->kind == FNL_OPT_FLAG) {
        if (inline_value != NULL) {
            return FNL_FAIL(r->err, INVALID, NULL, "%s: --%s takes no value", path, o->name);
        }
        return set_value(r, o, NULL);
    }
    if (inline_value != NULL) {
        return set_value(r, o, inline_value);
    }
    const char *word = r->next < r->argc ? r->argv[r->next] : NULL;
    if (word != NULL && strcmp(word, "--help") == 0) {
        *ret_help = true;
        return 0;
    }
    if (word == NULL || (word[0] == '-' && word[1] == '-')) {
        FNL_FAIL(r->err, INVALID, NULL, "%s: --%s needs a value", path, o->name);
        if (word != NULL && word[2] != '\0') {
            fnl_error_hint(r->err, "write --%s=%s if %s is the value", o->name, word, word);
        }
        return FNL_E_INVALID;
    }
    r->next++;
    return set_value(r, o, word);
}

static int take_long(struct reader *r, const char *word, bool *ret_help)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");

    if (strcmp(name, "help") == 0) {
        *ret_help = true;
        return 0;
    }
    const struct fnl_opt *o = find_long(r->command->options, name, length);
    if (o == NULL) {
        return fail_unknown(r, word);
    }
    return take_option(r, o, name[length] == '=' ? name + length + 1 : NULL, ret_help);
}

/* "-n5", "-n 5", "-abc". */
static int take_letters(struct reader *r, const char *word, bool *ret_help)
{
    for (const char *p = word + 1; *p != '\0' && !*ret_help; p++) {
        const struct fnl_opt *o = find_letter(r->command->options, *p);
        if (o == NULL && *p == 'h') {
            *ret_help = true;
            return 0;
        }
        if (o == NULL) {
            return fail_unknown(r, word);
        }
        bool flag = o->kind == FNL_OPT_FLAG;
        int rc = take_option(r, o, !flag && p[1] != '\0' ? p + 1 : NULL, ret_help);
        if (rc != 0 || !flag) {
            return rc;
        }
    }
    return 0;
}

static int check_count(const struct reader *r, const char *const *args, int count)
{
    char path[FNL_COMMAND_PATH];
    const struct fnl_command *c = r->command;

    fnl_command_path(c, path);
    if (count < c->min_arguments) {
        FNL_FAIL(r->err, INVALID, NULL, "%s: expected %s", path,
                 c->arguments != NULL ? c->arguments : "an argument");
        fnl_error_hint(r->err, "usage: fournil %s %s; see: fournil help %s", path,
                       c->arguments != NULL ? c->arguments : "", path);
        return FNL_E_INVALID;
    }
    if (count > c->max_arguments) {
        FNL_FAIL(r->err, INVALID, NULL, "%s: unexpected argument \"%s\"", path,
                 args[c->max_arguments]);
        fnl_error_hint(r->err, "see: fournil help %s", path);
        return FNL_E_INVALID;
    }
    return 0;
}

int fnl_opt_parse(const struct fnl_command *command, int argc, char *const *argv, void *options,
                  const char **args, int *ret_count, bool *ret_help, struct fnl_error *err)
{
    struct reader r = {command, argc, argv, 0, options, err};
    bool only_arguments = false;
    bool help = false;
    int count = 0;

    while (r.next < argc) {
        const char *word = argv[r.next++];
        int rc = 0;

        if (only_arguments || word[0] != '-' || word[1] == '\0') {
            args[count++] = word;
            only_arguments = only_arguments || command->stop_at_argument;
        } else if (strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (word[1] == '-') {
            rc = take_long(&r, word, &help);
        } else {
            rc = take_letters(&r, word, &help);
        }
        if (rc != 0) {
            return rc;
        }
        if (help) {
            *ret_help = true;
            *ret_count = 0;
            return 0;
        }
    }
    int rc = check_count(&r, args, count);
    if (rc != 0) {
        return rc;
    }
    *ret_help = false;
    *ret_count = count;
    return 0;
}
