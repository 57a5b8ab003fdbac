/* cmd_help.c - `fournil help`, and what the build prints from the command table. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "train/config.h"

enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };
static const char *const shells[] = {"bash", "zsh", "fish", NULL};

struct help_options {
    bool man, config;
    int completion; /* enum shell, or -1 */
};

static const struct help_options defaults = {.completion = -1};

static const struct fnl_opt options[] = {
    {"man", 0, FNL_OPT_FLAG, offsetof(struct help_options, man), .help = "print the man page"},
    {"config", 0, FNL_OPT_FLAG, offsetof(struct help_options, config),
     .help = "print every key of the configuration, as Markdown"},
    {"completion", 0, FNL_OPT_ENUM, offsetof(struct help_options, completion), "SHELL",
     "print the completion script for bash, zsh or fish", .names = shells},
    {NULL},
};

static const struct fnl_example examples[] = {
    {"how to train", "fournil help train"},
    {"every key of the YAML file", "fournil help --config"},
    {"complete commands and options in this bash", "source <(fournil help --completion bash)"},
    {NULL},
};

/* Walks the words down the tree of commands. */
static int find(const struct fnl_call *call, const struct fnl_command **ret, struct fnl_error *err)
{
    const struct fnl_command *const *list = fnl_commands;
    const struct fnl_command *command = NULL;

    for (int i = 0; i < call->argument_count; i++) {
        command = fnl_command_find(list, call->argument[i]);
        if (command == NULL) {
            return FNL_FAIL(err, INVALID, "\"fournil help\" lists the commands",
                            "no help on \"%s\": unknown command", call->argument[i]);
        }
        list = command->subcommands;
    }
    *ret = command;
    return 0;
}

#define MAX_DOC ((size_t)1 << 20) /* docs/config.md has some 30 KiB */

static int print_config(struct fnl_error *err)
{
    struct fnl_buf text;

    fnl_buf_init(&text, MAX_DOC);
    int rc = fnl_train_config_doc(&text);
    if (rc != 0 || text.failed) {
        rc = FNL_FAIL(err, NOMEM, NULL, "out of memory");
    } else {
        fwrite(text.data, 1, text.size, stdout);
    }
    fnl_buf_free(&text);
    return rc;
}

static int run(const struct fnl_call *call, struct fnl_error *err)
{
    const struct help_options *o = call->options;
    const struct fnl_command *command = NULL;

    if (o->man) {
        fnl_help_man(stdout);
        return FNL_EXIT_DONE;
    }
    if (o->config) {
        return print_config(err);
    }
    switch (o->completion) {
    case SHELL_BASH:
        fnl_help_bash(stdout);
        return FNL_EXIT_DONE;
    case SHELL_ZSH:
        fnl_help_zsh(stdout);
        return FNL_EXIT_DONE;
    case SHELL_FISH:
        fnl_help_fish(stdout);
        return FNL_EXIT_DONE;
    default:
        break;
    }
    int rc = find(call, &command, err);
    if (rc != 0) {
        return rc;
    }
    if (command == NULL) {
        fnl_help_overview(stdout);
    } else {
        fnl_help_command(stdout, command);
    }
    return FNL_EXIT_DONE;
}

const struct fnl_command fnl_cmd_help = {
    .name = "help",
    .summary = "show help on a command",
    .arguments = "[COMMAND]",
    .max_arguments = 2,
    .description = "Shows the help of a command, or the list of all commands. With an option it "
                   "prints what is made from the tables: the man page, every key of the "
                   "configuration, or completion for a shell.",
    .options = options,
    .defaults = &defaults,
    .options_size = sizeof(struct help_options),
    .examples = examples,
    .run = run,
};
