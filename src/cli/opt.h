/* opt.h - the one option parser. A command describes its options in a table; the parser fills a
 * plain struct from the command line by it, and help, man page and shell completion are printed
 * from the same table.
 *
 * Accepted: --name value, --name=value, -n value, -nvalue, -abc for flags, `--` (what follows is
 * an argument), a lone `-` is an argument. Options and arguments may be mixed, unless the command
 * stops at its first argument (it runs another program). A repeated option overrides the earlier
 * one; only a LIST collects. Errors are FNL_E_INVALID (exit status 2), an unknown option names the
 * nearest known one. */
#ifndef FNL_CLI_OPT_H
#define FNL_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum fnl_opt_kind {
    FNL_OPT_FLAG,   /* bool, set to true; takes no value */
    FNL_OPT_STRING, /* const char *, borrowed from argv */
    FNL_OPT_INT,    /* int64_t in [min, max] */
    FNL_OPT_FLOAT,  /* double in [min, max] */
    FNL_OPT_ENUM,   /* int, index into names */
    FNL_OPT_LIST,   /* struct fnl_opt_list: each use adds one value */
};

/* What the shell offers when it completes the value. */
enum fnl_opt_complete {
    FNL_COMPLETE_NONE,
    FNL_COMPLETE_FILE,
    FNL_COMPLETE_DIR,
    FNL_COMPLETE_RUN, /* ids in the folder of runs: --dir of the line, FOURNIL_DIR, or .fournil */
};

#define FNL_OPT_LIST_MAX 64
struct fnl_opt_list {
    int count;
    const char *value[FNL_OPT_LIST_MAX]; /* borrowed from argv */
};

struct fnl_opt {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* short name, or 0 */
    enum fnl_opt_kind kind;
    size_t offset;            /* of the field in the command's options struct */
    const char *value;        /* how help calls the value: "N", "FILE"; NULL for flags and enums */
    const char *help;         /* one sentence without a full stop, lower case first */
    double min, max;          /* INT, FLOAT: both 0 = no range */
    const char *const *names; /* ENUM: NULL-terminated; STRING: (optional) what the shell offers */
    enum fnl_opt_complete complete;
    bool hidden; /* not in help */
};

struct fnl_command;

/* Reads argv[0..argc) by the command's table. options: the command's struct, already holding the
 * defaults. args: room for argc pointers; takes the arguments that are not options, *ret_count of
 * them. *ret_help: --help or -h was given (then nothing else is checked). */
int fnl_opt_parse(const struct fnl_command *command, int argc, char *const *argv, void *options,
                  const char **args, int *ret_count, bool *ret_help, struct fnl_error *err);

/* "train" or "data fetch": a command's name with its parents', as typed, into out. */
#define FNL_COMMAND_PATH 64
const char *fnl_command_path(const struct fnl_command *command, char out[FNL_COMMAND_PATH]);

#endif
