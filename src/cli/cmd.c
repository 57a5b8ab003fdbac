/* cmd.c - the list of commands, in the order of help. A new command is one file and one line. */
#include "cli/cmd.h"

#include <string.h>

const struct fnl_command *const fnl_commands[] = {
    &fnl_cmd_train, &fnl_cmd_evaluate, &fnl_cmd_data, &fnl_cmd_devices, &fnl_cmd_help, NULL,
};

const struct fnl_command *fnl_command_find(const struct fnl_command *const *list, const char *name)
{
    for (int i = 0; list != NULL && list[i] != NULL; i++) {
        if (strcmp(list[i]->name, name) == 0) {
            return list[i];
        }
    }
    return NULL;
}
