/* cmd_data_int.h - the subcommand of `fournil data` that stands in a file of its own. */
#ifndef FNL_CLI_CMD_DATA_INT_H
#define FNL_CLI_CMD_DATA_INT_H

#include "cli/cmd.h"

extern const struct fnl_command fnl__cmd_data_info; /* cmd_data_info.c */

#endif
