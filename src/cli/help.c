/* help.c - `fournil help`, from the command table. Lines are wrapped at 80 columns whatever the
 * terminal's width, so that the text looks the same in a mail or a bug report. */
#include "cli/help.h"

#include <string.h>

#include "cli/print.h"

#define OPTION_COLUMN 26 /* where the text of an option starts */

const struct fnl_help_entry fnl__help_statuses[] = {
    {"0", "done"},
    {"1", "done, and the answer is no: a check failed"},
    {"2", "wrong usage of the command line"},
    {"3", "bad input or configuration"},
    {"4", "device or resource not available"},
    {"5", "failed at run time"},
    {"130", "interrupted"},
    {NULL, NULL},
};

const struct fnl_help_entry fnl__help_environment[] = {
    {"FOURNIL_DIR", "where runs are kept, when --dir is not given; .fournil by default"},
    {"FOURNIL_DATA", "one more folder in which relative data paths are looked for"},
    {"FOURNIL_OPENCL", "off: no OpenCL; a path: this loader instead of libOpenCL.so.1"},
    {"FOURNIL_CACHE", "folder of compiled GPU programs, empty: none; ~/.cache/fournil by default"},
    {"NO_COLOR", "when set and not empty, nothing is coloured"},
    {NULL, NULL},
};

const char *fnl__help_value(const struct fnl_opt *o, char out[FNL_HELP_VALUE])
{
    size_t used = 0;

    out[0] = '\0';
    if (o->kind == FNL_OPT_FLAG) {
        return out;
    }
    if (o->kind != FNL_OPT_ENUM || o->value != NULL) {
        snprintf(out, FNL_HELP_VALUE, "%s", o->value != NULL ? o->value : "VALUE");
        return out;
    }
    for (int i = 0; o->names[i] != NULL && used < FNL_HELP_VALUE; i++) {
        used += (size_t)snprintf(out + used, FNL_HELP_VALUE - used, "%s%s", i > 0 ? "|" : "",
                                 o->names[i]);
    }
    return out;
}

static void print_option(FILE *out, char letter, const char *name, const char *value,
                         const char *help)
{
    char left[160];

    snprintf(left, sizeof left, "  %c%c%c --%s%s%s", letter != 0 ? '-' : ' ',
             letter != 0 ? letter : ' ', letter != 0 ? ',' : ' ', name, value[0] != '\0' ? " " : "",
             value);
    int used = fprintf(out, "%s", left);
    if (used + 2 > OPTION_COLUMN) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", OPTION_COLUMN - used, "");
    fnl_print_wrapped(out, help, OPTION_COLUMN, OPTION_COLUMN);
}

static void print_options(FILE *out, const struct fnl_command *command)
{
    char value[FNL_HELP_VALUE];

    fputs("\nOptions:\n", out);
    for (const struct fnl_opt *o = command->options; o != NULL && o->name != NULL; o++) {
        if (!o->hidden) {
            print_option(out, o->letter, o->name, fnl__help_value(o, value), o->help);
        }
    }
    print_option(out, 'h', "help", "", "show this help");
}

static void print_list(FILE *out, const struct fnl_command *const *list)
{
    int width = 0;

    for (int i = 0; list[i] != NULL; i++) {
        int length = (int)strlen(list[i]->name);
        width = !list[i]->hidden && length > width ? length : width;
    }
    for (int i = 0; list[i] != NULL; i++) {
        if (!list[i]->hidden) {
            fprintf(out, "  %-*s  ", width, list[i]->name);
            fnl_print_wrapped(out, list[i]->summary, width + 4, width + 4);
        }
    }
}

static void print_usage(FILE *out, const struct fnl_command *command)
{
    char path[FNL_COMMAND_PATH];
    const char *arguments = command->arguments != NULL ? command->arguments : "";

    fnl_command_path(command, path);
    if (command->subcommands != NULL) {
        fprintf(out, "Usage: fournil %s COMMAND [options]\n\n", path);
    } else if (command->stop_at_argument) {
        fprintf(out, "Usage: fournil %s [options] %s\n\n", path, arguments);
    } else {
        fprintf(out, "Usage: fournil %s %s%s[options]\n\n", path, arguments,
                arguments[0] != '\0' ? " " : "");
    }
}

/* A command line, continued as a shell reads it when it is too long. Words in quotes stay whole:
 * such a line is not broken at all. */
static void print_example(FILE *out, const char *line)
{
    size_t left = strlen(line);
    const char *indent = "  ";

    while (left + strlen(indent) > FNL_PRINT_WIDTH && strpbrk(line, "'\"") == NULL) {
        size_t length = FNL_PRINT_WIDTH - strlen(indent) - strlen(" \\");
        while (length > 0 && line[length] != ' ') {
            length--;
        }
        if (length == 0) {
            break;
        }
        fprintf(out, "%s%.*s \\\n", indent, (int)length, line);
        line += length + 1;
        left -= length + 1;
        indent = "      ";
    }
    fprintf(out, "%s%s\n", indent, line);
}

void fnl_help_command(FILE *out, const struct fnl_command *command)
{
    print_usage(out, command);
    fnl_print_wrapped(out, command->description != NULL ? command->description : command->summary,
                      0, 0);
    if (command->subcommands != NULL) {
        fputs("\nCommands:\n", out);
        print_list(out, command->subcommands);
    }
    print_options(out, command);
    if (command->examples != NULL) {
        fputs("\nExamples:\n", out);
        for (const struct fnl_example *e = command->examples; e->text != NULL; e++) {
            fprintf(out, "  # %s\n", e->text);
            print_example(out, e->command);
        }
    }
}

void fnl_help_overview(FILE *out)
{
    fputs("Usage: fournil COMMAND [arguments] [options]\n\n"
          "Trains, evaluates and exports neural networks from one YAML file.\n\n"
          "Commands:\n",
          out);
    print_list(out, fnl_commands);
    fputs("\nOptions:\n", out);
    print_option(out, 'h', "help", "", "show this help; after a command, the help of that command");
    print_option(out, 'V', "version", "", "show the version; with --json, also how it was built");
    fputs("\nExit status:\n", out);
    for (const struct fnl_help_entry *e = fnl__help_statuses; e->term != NULL; e++) {
        fprintf(out, "  %-3s  %s\n", e->term, e->text);
    }
}
