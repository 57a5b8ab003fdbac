/* help.h - all that the command table says in words: help, man page, shell completion. */
#ifndef FNL_CLI_HELP_H
#define FNL_CLI_HELP_H

#include <stdio.h>

#include "cli/cmd.h"

/* `fournil help`: all commands, one line each. */
void fnl_help_overview(FILE *out);
/* `fournil help COMMAND`: usage, description, options, examples; wrapped at 80 columns. */
void fnl_help_command(FILE *out, const struct fnl_command *command);
/* fournil(1) in man macros. */
void fnl_help_man(FILE *out);
/* Completion scripts for the shells of their names. */
void fnl_help_bash(FILE *out);
void fnl_help_zsh(FILE *out);
void fnl_help_fish(FILE *out);

/* Exit statuses and environment variables, for help and man page; each ends with NULLs. */
struct fnl_help_entry {
    const char *term, *text;
};
extern const struct fnl_help_entry fnl__help_statuses[];
extern const struct fnl_help_entry fnl__help_environment[];

/* "--epochs=N" without its dashes: what stands for the value in help; "" for flags. Into out. */
#define FNL_HELP_VALUE 64
const char *fnl__help_value(const struct fnl_opt *o, char out[FNL_HELP_VALUE]);

#endif
