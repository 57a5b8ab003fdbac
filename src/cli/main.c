/* main.c - the program: finds the command, reads its options, runs it, prints its error, and turns
 * the outcome into the exit status. Only here the process ends.
 *
 * Standard output: a reader that leaves early (EPIPE) is no error and stops no training; anything
 * else that keeps results from being written (a full disk) is status 5. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/build.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/schema.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "cli/print.h"

/* A file opened by us must never take the number of a closed standard stream. */
static void open_standard_streams(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

/* What the library has to say: warnings and worse. */
static void print_log(void *arg, enum fnl_log_level level, const char *text)
{
    (void)arg;
    if (level <= FNL_LOG_WARNING) {
        fnl_print_warning("%s", text);
    } else {
        fnl_print_note("%s", text);
    }
}

static int print_version(bool json, struct fnl_error *err)
{
    if (json) {
        return fnl_print_json(json_pack("{s:s, s:s, s:s, s:s}", "name", "fournil", "version",
                                        FNL_VERSION, "build", fnl_build_type(), "compiler",
                                        fnl_build_compiler()),
                              err);
    }
    puts("fournil " FNL_VERSION);
    return 0;
}

/* --version [--json], --help, or an option nobody knows. */
static int run_global(int argc, char *const *argv, struct fnl_error *err)
{
    bool json = argc == 3 && strcmp(argv[2], "--json") == 0;
    const char *word = argv[1];

    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        if (argc > 2 && !json) {
            return FNL_FAIL(err, INVALID, NULL, "--version: unexpected argument \"%s\"", argv[2]);
        }
        return print_version(json, err);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        fnl_help_overview(stdout);
        return 0;
    }
    return FNL_FAIL(err, INVALID,
                    "options follow the command: fournil COMMAND [options]; see: fournil help",
                    "unknown option %s", word);
}

static int fail_unknown(const struct fnl_command *parent, const struct fnl_command *const *list,
                        const char *word, struct fnl_error *err)
{
    const char *names[64];
    int count = 0;

    for (int i = 0; list[i] != NULL && count < 63; i++) {
        if (!list[i]->hidden) {
            names[count++] = list[i]->name;
        }
    }
    names[count] = NULL;
    const char *space = parent != NULL ? " " : "";
    const char *name = parent != NULL ? parent->name : "";
    const char *nearest = fnl_nearest_name(word, names);
    FNL_FAIL(err, INVALID, NULL, "unknown command \"%s%s%s\"", name, space, word);
    if (nearest != NULL) {
        fnl_error_hint(err, "did you mean \"%s%s%s\"? \"fournil help%s%s\" lists the commands",
                       name, space, nearest, space, name);
    } else {
        fnl_error_hint(err, "\"fournil help%s%s\" lists the commands", space, name);
    }
    return FNL_E_INVALID;
}

static int run_command(const struct fnl_command *command, int argc, char *const *argv,
                       struct fnl_error *err)
{
    struct fnl_call call = {.command = command};
    bool help = false;
    int rc;

    void *options = fnl_calloc(1, command->options_size + 1);
    const char **args = fnl_calloc((size_t)argc + 1, sizeof *args);
    if (options == NULL || args == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "out of memory");
        goto out;
    }
    if (command->defaults != NULL) {
        memcpy(options, command->defaults, command->options_size);
    }
    rc = fnl_opt_parse(command, argc, argv, options, args, &call.argument_count, &help, err);
    if (rc == 0 && help) {
        fnl_help_command(stdout, command);
    } else if (rc == 0) {
        call.options = options;
        call.argument = args;
        rc = command->run(&call, err);
    }
out:
    fnl_free(args);
    fnl_free(options);
    return rc;
}

static int dispatch(int argc, char *const *argv, struct fnl_error *err)
{
    const struct fnl_command *const *list = fnl_commands;
    const struct fnl_command *command = NULL;
    int next = 1;

    if (argc < 2) {
        fnl_help_overview(stderr);
        return FNL_EXIT_USAGE;
    }
    if (argv[1][0] == '-') {
        return run_global(argc, argv, err);
    }
    while (list != NULL) {
        const struct fnl_command *parent = command;
        const char *word = next < argc ? argv[next] : NULL;

        if (parent != NULL && (word == NULL || word[0] == '-')) {
            bool asked = word != NULL && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
            if (word != NULL && !asked) {
                return FNL_FAIL(err, INVALID, "options follow the subcommand",
                                "%s: unknown option %s", parent->name, word);
            }
            fnl_help_command(asked ? stdout : stderr, parent);
            return asked ? FNL_EXIT_DONE : FNL_EXIT_USAGE;
        }
        command = fnl_command_find(list, word);
        if (command == NULL) {
            return fail_unknown(parent, list, word, err);
        }
        list = command->subcommands;
        next++;
    }
    return run_command(command, argc - next, argv + next, err);
}

int main(int argc, char **argv)
{
    struct fnl_error err = FNL_ERROR_INIT;

    open_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    fnl_log_to(print_log, NULL, FNL_LOG_WARNING);
    int rc = dispatch(argc, argv, &err);
    if (rc < 0) {
        fnl_print_error(&err);
    }
    int status = rc < 0 ? fnl_code_status(rc) : rc;
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE && errno != 0) {
        fprintf(stderr, "fournil: error: standard output: %s\n", strerror(errno));
        status = status == 0 ? 5 : status;
    }
    return status;
}
