/* cmd.h - what a command is. One file cmd_<name>.c holds one const entry; cmd.c lists them. The
 * entry alone makes parsing, `fournil help`, the man page and shell completion.
 *
 *     struct hello_options { bool json; int64_t times; };
 *     static const struct hello_options defaults = {.times = 1};
 *     static const struct fnl_opt options[] = {
 *         {"json", 0, FNL_OPT_FLAG, offsetof(struct hello_options, json), .help = "print JSON"},
 *         {"times", 'n', FNL_OPT_INT, offsetof(struct hello_options, times), "N", "say it N times",
 *          .min = 1, .max = 100},
 *         {NULL},
 *     };
 *     static int run(const struct fnl_call *call, struct fnl_error *err) { ... }
 *     const struct fnl_command fnl_cmd_hello = {
 *         .name = "hello", .summary = "say hello", .arguments = "[NAME]", .max_arguments = 1,
 *         .options = options, .defaults = &defaults, .options_size = sizeof defaults, .run = run,
 *         .examples = examples};
 */
#ifndef FNL_CLI_CMD_H
#define FNL_CLI_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "cli/opt.h"

/* Exit statuses beside those of fnl_code_status(). */
enum fnl_exit {
    FNL_EXIT_DONE = 0,
    FNL_EXIT_NO = 1, /* done, and the answer is no: a check failed */
    FNL_EXIT_USAGE = 2,
};

/* One call of a command. */
struct fnl_call {
    const struct fnl_command *command;
    const void *options; /* the command's struct, filled */
    int argument_count;  /* between min_arguments and max_arguments */
    const char *const *argument;
};

struct fnl_example {
    const char *text;    /* what it does, lower case first; NULL ends the list */
    const char *command; /* "fournil train examples/mnist_mlp.yaml" */
};

#define FNL_ARGUMENTS_ANY 4096 /* max_arguments of commands that take any number */

struct fnl_command {
    const char *name;
    const char *summary;     /* one line, lower case first, no full stop */
    const char *arguments;   /* "CONFIG.yaml"; "" or NULL: none */
    const char *description; /* (optional) paragraphs for help and man page; '\n' parts them */
    int min_arguments, max_arguments;
    bool stop_at_argument;         /* options end at the first argument: it is another program */
    bool hidden;                   /* not in help, man page or completion */
    const struct fnl_opt *options; /* (optional) terminated by name == NULL */
    const void *defaults;          /* (optional) options_size bytes; NULL: zeroes */
    size_t options_size;
    const struct fnl_example *examples;           /* (optional) terminated by text == NULL */
    enum fnl_opt_complete complete;               /* what the shell offers for arguments */
    const char *const *argument_names;            /* (optional) NULL-terminated: or these words */
    const struct fnl_command *const *subcommands; /* (optional) NULL-terminated; then run is NULL */
    const struct fnl_command *parent;             /* of a subcommand */
    /* Returns an exit status (0 done, 1 the answer is no) or a negative enum fnl_code with err
     * filled, which main prints and turns into the exit status. Prints results to stdout; errors
     * never. */
    int (*run)(const struct fnl_call *call, struct fnl_error *err);
};

/* All commands in the order of help; NULL-terminated. */
extern const struct fnl_command *const fnl_commands[];

extern const struct fnl_command fnl_cmd_train;    /* cmd_train.c */
extern const struct fnl_command fnl_cmd_evaluate; /* cmd_evaluate.c */
extern const struct fnl_command fnl_cmd_data;     /* cmd_data.c: subcommand fetch */
extern const struct fnl_command fnl_cmd_devices;  /* cmd_devices.c */
extern const struct fnl_command fnl_cmd_help;     /* cmd_help.c */

/* Finds a command by name in a list; NULL when unknown. */
const struct fnl_command *fnl_command_find(const struct fnl_command *const *list, const char *name);

#endif
