/* completion.c - completion scripts for bash, zsh and fish, from the command table. The scripts
 * hold all words themselves and never call fournil, so that completion is immediate; ids of runs
 * are the names of folders. Commands are
 * at most two levels deep. */
#include <string.h>

#include "cli/help.h"

/* Calls visit for every command that help shows, parents before their subcommands. */
static void each_command(FILE *out, void (*visit)(FILE *out, const struct fnl_command *command))
{
    for (int i = 0; fnl_commands[i] != NULL; i++) {
        const struct fnl_command *const *sub = fnl_commands[i]->subcommands;

        if (fnl_commands[i]->hidden) {
            continue;
        }
        visit(out, fnl_commands[i]);
        for (int k = 0; sub != NULL && sub[k] != NULL; k++) {
            if (!sub[k]->hidden) {
                visit(out, sub[k]);
            }
        }
    }
}

/* Text inside single quotes of a shell, with `special` characters behind a backslash. */
static void print_quoted(FILE *out, const char *text, const char *special)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'') {
            fputs("'\\''", out);
        } else {
            if (strchr(special, *p) != NULL) {
                fputc('\\', out);
            }
            fputc(*p, out);
        }
    }
}

/* The names of a list of commands, a blank before each. */
static void print_names(FILE *out, const struct fnl_command *const *list)
{
    for (int i = 0; list[i] != NULL; i++) {
        if (!list[i]->hidden) {
            fprintf(out, " %s", list[i]->name);
        }
    }
}

static void print_words(FILE *out, const char *const *words)
{
    for (int i = 0; words != NULL && words[i] != NULL; i++) {
        fprintf(out, " %s", words[i]);
    }
}

/* ---- bash ---- */

/* "    data/fetch) path='data fetch' ;;": how the words before the cursor lead to a command. */
static void bash_step(FILE *out, const struct fnl_command *command)
{
    char path[FNL_COMMAND_PATH];

    fprintf(out, "        '%s/%s') path='%s' ;;\n",
            command->parent != NULL ? command->parent->name : "", command->name,
            fnl_command_path(command, path));
}

static void bash_value(FILE *out, const struct fnl_opt *o)
{
    if (o->letter != 0) {
        fprintf(out, "        -%c | --%s)", o->letter, o->name);
    } else {
        fprintf(out, "        --%s)", o->name);
    }
    if (o->names != NULL) {
        fputs(" words='", out);
        print_words(out, o->names);
        fputs("' ;;\n", out);
    } else if (o->complete == FNL_COMPLETE_FILE) {
        fputs(" files=-f ;;\n", out);
    } else if (o->complete == FNL_COMPLETE_DIR) {
        fputs(" files=-d ;;\n", out);
    } else if (o->complete == FNL_COMPLETE_RUN) {
        fputs(" words=$(_fournil_runs) files=-d ;;\n", out);
    } else {
        fputs(" return ;;\n", out);
    }
}

static void bash_command(FILE *out, const struct fnl_command *command)
{
    char path[FNL_COMMAND_PATH];

    fprintf(out, "    '%s')\n        case $prev in\n", fnl_command_path(command, path));
    for (const struct fnl_opt *o = command->options; o != NULL && o->name != NULL; o++) {
        if (o->kind != FNL_OPT_FLAG && !o->hidden) {
            bash_value(out, o);
        }
    }
    fputs("        *)\n            words='--help", out);
    for (const struct fnl_opt *o = command->options; o != NULL && o->name != NULL; o++) {
        if (!o->hidden) {
            fprintf(out, " --%s", o->name);
        }
    }
    if (command->subcommands != NULL) {
        print_names(out, command->subcommands);
    }
    print_words(out, command->argument_names);
    fputs("'\n", out);
    if (command == &fnl_cmd_help) {
        fputs("            words+='", out);
        print_names(out, fnl_commands);
        fputs("'\n", out);
    }
    if (command->complete != FNL_COMPLETE_NONE) {
        fprintf(out, "            files=%s\n", command->complete == FNL_COMPLETE_DIR ? "-d" : "-f");
    }
    fputs("            ;;\n        esac\n        ;;\n", out);
}

void fnl_help_bash(FILE *out)
{
    fputs("# bash completion for fournil; printed by `fournil help --completion bash`\n"
          "_fournil_runs() {\n"
          "    local dir=${FOURNIL_DIR:-.fournil} i run\n"
          "    for ((i = 1; i < COMP_CWORD - 1; i++)); do\n"
          "        if [[ ${COMP_WORDS[i]} == --dir ]]; then\n"
          "            dir=${COMP_WORDS[i + 1]}\n"
          "            [[ $dir == '=' ]] && dir=${COMP_WORDS[i + 2]}\n"
          "        fi\n"
          "    done\n"
          "    for run in \"$dir\"/runs/*/config.yaml; do\n"
          "        [[ -e $run ]] && run=${run%/*} && echo \"${run##*/}\"\n"
          "    done\n"
          "}\n"
          "_fournil() {\n"
          "    local cur prev path='' words='' files='' i\n"
          "    cur=${COMP_WORDS[COMP_CWORD]}\n"
          "    prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    # readline makes '=' a word of its own\n"
          "    if [[ $cur == '=' ]]; then\n"
          "        cur=''\n"
          "    elif [[ $prev == '=' ]]; then\n"
          "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    fi\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case $path/${COMP_WORDS[i]} in\n",
          out);
    each_command(out, bash_step);
    fputs("        esac\n"
          "    done\n"
          "    case $path in\n"
          "    '') words='--help --version",
          out);
    print_names(out, fnl_commands);
    fputs("' ;;\n", out);
    each_command(out, bash_command);
    fputs("    esac\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "    if [[ -n $files && $cur != -* ]]; then\n"
          "        compopt -o filenames\n"
          "        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen \"$files\" -- \"$cur\")\n"
          "    fi\n"
          "}\n"
          "complete -F _fournil fournil\n",
          out);
}

/* ---- zsh ---- */

static void zsh_value(FILE *out, const struct fnl_opt *o)
{
    if (o->kind == FNL_OPT_FLAG) {
        return;
    }
    fprintf(out, ":%s:", o->value != NULL ? o->value : o->name);
    if (o->names != NULL) {
        fputc('(', out);
        print_words(out, o->names);
        fputc(')', out);
    } else if (o->complete == FNL_COMPLETE_FILE) {
        fputs("_files", out);
    } else if (o->complete == FNL_COMPLETE_DIR) {
        fputs("_files -/", out);
    } else if (o->complete == FNL_COMPLETE_RUN) {
        fputs("_fournil_runs", out);
    } else {
        fputc(' ', out);
    }
}

static void zsh_option(FILE *out, const struct fnl_opt *o)
{
    const char *repeated = o->kind == FNL_OPT_LIST ? "*" : "";

    if (o->letter != 0) {
        fprintf(out, " \\\n        '%s-%c[", repeated, o->letter);
        print_quoted(out, o->help, "[]:\\");
        fputc(']', out);
        zsh_value(out, o);
        fputc('\'', out);
    }
    fprintf(out, " \\\n        '%s--%s%s[", repeated, o->name, o->kind == FNL_OPT_FLAG ? "" : "=");
    print_quoted(out, o->help, "[]:\\");
    fputc(']', out);
    zsh_value(out, o);
    fputc('\'', out);
}

static void zsh_describe(FILE *out, const struct fnl_command *const *list)
{
    fputs("            commands=(", out);
    for (int i = 0; list[i] != NULL; i++) {
        if (!list[i]->hidden) {
            fprintf(out, "\n                '%s:", list[i]->name);
            print_quoted(out, list[i]->summary, ":\\");
            fputc('\'', out);
        }
    }
    fputs(")\n            _describe -t commands command commands\n", out);
}

static void zsh_command(FILE *out, const struct fnl_command *command)
{
    char path[FNL_COMMAND_PATH];

    fprintf(out, "    '%s')\n", fnl_command_path(command, path));
    if (command->subcommands != NULL) {
        zsh_describe(out, command->subcommands);
        fputs("            ;;\n", out);
        return;
    }
    fputs("        _arguments '(- *)--help[show help]'", out);
    for (const struct fnl_opt *o = command->options; o != NULL && o->name != NULL; o++) {
        if (!o->hidden) {
            zsh_option(out, o);
        }
    }
    if (command->argument_names != NULL || command == &fnl_cmd_help) {
        fputs(" \\\n        '*:argument:(", out);
        print_words(out, command->argument_names);
        if (command == &fnl_cmd_help) {
            print_names(out, fnl_commands);
        }
        fputs(")'", out);
    } else if (command->complete != FNL_COMPLETE_NONE) {
        fprintf(out, " \\\n        '*:file:_files%s'",
                command->complete == FNL_COMPLETE_DIR ? " -/" : "");
    }
    fputs("\n        ;;\n", out);
}

void fnl_help_zsh(FILE *out)
{
    fputs("#compdef fournil\n"
          "# zsh completion for fournil; printed by `fournil help --completion zsh`\n"
          "_fournil_runs() {\n"
          "    local dir=${FOURNIL_DIR:-.fournil}\n"
          "    local i=${words[(I)--dir]} glued=${words[(R)--dir=*]}\n"
          "    [[ -n $glued ]] && dir=${glued#--dir=}\n"
          "    ((i > 0 && i + 1 < CURRENT)) && dir=$words[i+1]\n"
          "    local -a runs=($dir/runs/*/config.yaml(N:h:t))\n"
          "    compadd -a runs\n"
          "    _files -/\n"
          "}\n"
          "_fournil() {\n"
          "    local path_='' i\n"
          "    local -a commands\n"
          "    for ((i = 2; i < CURRENT; i++)); do\n"
          "        case $path_/$words[i] in\n",
          out);
    for (int i = 0; fnl_commands[i] != NULL; i++) {
        const struct fnl_command *const *sub = fnl_commands[i]->subcommands;
        if (fnl_commands[i]->hidden) {
            continue;
        }
        fprintf(out, "        '/%s') path_='%s'; shift words; ((CURRENT--, i--)) ;;\n",
                fnl_commands[i]->name, fnl_commands[i]->name);
        for (int k = 0; sub != NULL && sub[k] != NULL; k++) {
            fprintf(out, "        '%s/%s') path_='%s %s'; shift words; ((CURRENT--, i--)) ;;\n",
                    fnl_commands[i]->name, sub[k]->name, fnl_commands[i]->name, sub[k]->name);
        }
    }
    fputs("        esac\n"
          "    done\n"
          "    case $path_ in\n"
          "    '')\n",
          out);
    zsh_describe(out, fnl_commands);
    fputs("        ;;\n", out);
    each_command(out, zsh_command);
    fputs("    esac\n"
          "}\n"
          "_fournil \"$@\"\n",
          out);
}

/* ---- fish ---- */

static void fish_condition(FILE *out, const struct fnl_command *command)
{
    fputs("complete -c fournil -n '", out);
    if (command->parent != NULL) {
        fprintf(out, "__fish_seen_subcommand_from %s; and ", command->parent->name);
    }
    fprintf(out, "__fish_seen_subcommand_from %s'", command->name);
}

static void fish_option(FILE *out, const struct fnl_command *command, const struct fnl_opt *o)
{
    fish_condition(out, command);
    fprintf(out, " -l %s", o->name);
    if (o->letter != 0) {
        fprintf(out, " -s %c", o->letter);
    }
    if (o->names != NULL) {
        fputs(" -x -a '", out);
        print_words(out, o->names);
        fputc('\'', out);
    } else if (o->complete == FNL_COMPLETE_FILE) {
        fputs(" -r -F", out);
    } else if (o->complete == FNL_COMPLETE_DIR) {
        fputs(" -x -a '(__fish_complete_directories)'", out);
    } else if (o->complete == FNL_COMPLETE_RUN) {
        fputs(" -x -a '(__fournil_runs; __fish_complete_directories)'", out);
    } else if (o->kind != FNL_OPT_FLAG) {
        fputs(" -x", out);
    }
    fputs(" -d '", out);
    print_quoted(out, o->help, "\\");
    fputs("'\n", out);
}

static void fish_command(FILE *out, const struct fnl_command *command)
{
    if (command->parent == NULL) {
        fputs("complete -c fournil -n __fish_use_subcommand", out);
    } else {
        fprintf(out,
                "complete -c fournil -n '__fish_seen_subcommand_from %s; and not "
                "__fish_seen_subcommand_from",
                command->parent->name);
        print_names(out, command->parent->subcommands);
        fputc('\'', out);
    }
    fprintf(out, " -a %s -d '", command->name);
    print_quoted(out, command->summary, "\\");
    fputs("'\n", out);
    for (const struct fnl_opt *o = command->options; o != NULL && o->name != NULL; o++) {
        if (!o->hidden) {
            fish_option(out, command, o);
        }
    }
    if (command->complete == FNL_COMPLETE_FILE) {
        fish_condition(out, command);
        fputs(" -F\n", out);
    } else if (command->complete == FNL_COMPLETE_DIR) {
        fish_condition(out, command);
        fputs(" -a '(__fish_complete_directories)'\n", out);
    }
    if (command->argument_names != NULL) {
        fish_condition(out, command);
        fputs(" -a '", out);
        print_words(out, command->argument_names);
        fputs("'\n", out);
    }
}

void fnl_help_fish(FILE *out)
{
    fputs("# fish completion for fournil; printed by `fournil help --completion fish`\n"
          "function __fournil_runs\n"
          "    set -l dir .fournil\n"
          "    set -q FOURNIL_DIR; and test -n \"$FOURNIL_DIR\"; and set dir $FOURNIL_DIR\n"
          "    set -l words (commandline -opc)\n"
          "    for i in (seq (count $words))\n"
          "        string match -q -- '--dir=*' $words[$i]\n"
          "        and set dir (string replace -- --dir= '' $words[$i])\n"
          "        test $words[$i] = --dir; and test $i -lt (count $words)\n"
          "        and set dir $words[(math $i + 1)]\n"
          "    end\n"
          "    for run in $dir/runs/*/config.yaml\n"
          "        string replace -r '.*/([^/]+)/config.yaml$' '$1' $run\n"
          "    end\n"
          "end\n"
          "complete -c fournil -f\n"
          "complete -c fournil -l help -s h -d 'show help'\n"
          "complete -c fournil -n __fish_use_subcommand -l version -d 'show the version'\n",
          out);
    each_command(out, fish_command);
    fputs("complete -c fournil -n '__fish_seen_subcommand_from help' -a '", out);
    print_names(out, fnl_commands);
    fputs("'\n", out);
}
