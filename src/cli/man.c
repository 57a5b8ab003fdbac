/* man.c - fournil(1) from the command table, in the man macros of groff_man(7) that mandoc reads
 * too. No date in the title: the same source gives the same page. */
#include <string.h>

#include "cli/help.h"

/* Text for roff: '-' is a minus sign (so that options can be copied), '\' and a leading '.' or '\''
 * are quoted, '\n' parts paragraphs. */
static void print_text(FILE *out, const char *text)
{
    bool line_start = true;

    for (const char *p = text; *p != '\0'; p++) {
        if (line_start && (*p == '.' || *p == '\'')) {
            fputs("\\&", out);
        }
        line_start = *p == '\n';
        if (*p == '\\') {
            fputs("\\e", out);
        } else if (*p == '-') {
            fputs("\\-", out);
        } else if (*p == '\n') {
            fputs("\n.PP\n", out);
        } else {
            fputc(*p, out);
        }
    }
}

/* The words of an argument to a macro stand in quotes; a quote in them is doubled. */
static void print_heading(FILE *out, const char *macro, const char *text)
{
    fprintf(out, "%s \"", macro);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"') {
            fputc('"', out);
        }
        fputc(*p, out);
    }
    fputs("\"\n", out);
}

static void print_bold(FILE *out, const char *text)
{
    fputs("\\fB", out);
    print_text(out, text);
    fputs("\\fR", out);
}

static void print_options(FILE *out, const struct fnl_opt *table)
{
    char value[FNL_HELP_VALUE];

    for (const struct fnl_opt *o = table; o != NULL && o->name != NULL; o++) {
        if (o->hidden) {
            continue;
        }
        fputs(".TP\n", out);
        if (o->letter != 0) {
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        }
        fputs("\\fB\\-\\-", out);
        print_text(out, o->name);
        fputs("\\fR", out);
        fnl__help_value(o, value);
        if (value[0] != '\0') {
            fputs(" \\fI", out);
            print_text(out, value);
            fputs("\\fR", out);
        }
        fputc('\n', out);
        print_text(out, o->help);
        fputc('\n', out);
    }
}

static void print_examples(FILE *out, const struct fnl_example *examples)
{
    for (const struct fnl_example *e = examples; e != NULL && e->text != NULL; e++) {
        fputs(".PP\nExample: ", out);
        print_text(out, e->text);
        fputs("\n.PP\n.RS 4\n.nf\n", out);
        print_text(out, e->command);
        fputs("\n.fi\n.RE\n", out);
    }
}

static void print_command(FILE *out, const struct fnl_command *command)
{
    char path[FNL_COMMAND_PATH];
    char heading[160];

    fnl_command_path(command, path);
    snprintf(heading, sizeof heading, "fournil %s%s%s", path, command->arguments != NULL ? " " : "",
             command->arguments != NULL ? command->arguments : "");
    print_heading(out, ".SS", heading);
    print_text(out, command->description != NULL ? command->description : command->summary);
    fputc('\n', out);
    print_options(out, command->options);
    print_examples(out, command->examples);
    for (int i = 0; command->subcommands != NULL && command->subcommands[i] != NULL; i++) {
        const struct fnl_command *sub = command->subcommands[i]; /* one level: no recursion */
        if (!sub->hidden) {
            fnl_command_path(sub, path);
            snprintf(heading, sizeof heading, "fournil %s%s%s", path,
                     sub->arguments != NULL ? " " : "",
                     sub->arguments != NULL ? sub->arguments : "");
            print_heading(out, ".SS", heading);
            print_text(out, sub->description != NULL ? sub->description : sub->summary);
            fputc('\n', out);
            print_options(out, sub->options);
            print_examples(out, sub->examples);
        }
    }
}

static void print_entries(FILE *out, const struct fnl_help_entry *entries)
{
    for (const struct fnl_help_entry *e = entries; e->term != NULL; e++) {
        fputs(".TP\n", out);
        print_bold(out, e->term);
        fputc('\n', out);
        print_text(out, e->text);
        fputc('\n', out);
    }
}

void fnl_help_man(FILE *out)
{
    fputs(".TH FOURNIL 1 \"\" \"fournil " FNL_VERSION "\" \"User Commands\"\n"
          ".SH NAME\n"
          "fournil \\- train, evaluate and export neural networks from one YAML file\n"
          ".SH SYNOPSIS\n"
          ".B fournil\n"
          "\\fICOMMAND\\fR [\\fIarguments\\fR] [\\fIoptions\\fR]\n"
          ".PP\n"
          ".B fournil help\n"
          "[\\fICOMMAND\\fR]\n"
          ".PP\n"
          ".B fournil \\-\\-version\n"
          "[\\fB\\-\\-json\\fR]\n"
          ".SH DESCRIPTION\n"
          "One YAML file describes data, model and training; \\fBfournil train\\fR makes a\n"
          "portable ONNX model of it. Every command takes \\fB\\-\\-help\\fR.\n"
          ".SH COMMANDS\n",
          out);
    for (int i = 0; fnl_commands[i] != NULL; i++) {
        if (!fnl_commands[i]->hidden) {
            print_command(out, fnl_commands[i]);
        }
    }
    fputs(".SH EXIT STATUS\n", out);
    print_entries(out, fnl__help_statuses);
    fputs(".SH ENVIRONMENT\n", out);
    print_entries(out, fnl__help_environment);
}
