/* cmd_devices_int.h - the accelerators' part of `fournil devices`. */
#ifndef FNL_CLI_CMD_DEVICES_INT_H
#define FNL_CLI_CMD_DEVICES_INT_H

#include <jansson.h>

#include "device/accel_list.h"

/* Appends an object to `devices` for each device; the arrays are new references (NULL: no memory).
 */
void fnl__devices_json(const struct fnl_accel_list *list, json_t *devices);
json_t *fnl__devices_json_drivers(const struct fnl_accel_list *list);
json_t *fnl__devices_json_libraries(const struct fnl_accel_list *list);

/* The table of accelerators, drivers with what is wrong with them, libraries, and `auto`. */
int fnl__devices_print(const struct fnl_accel_list *list, struct fnl_error *err);

/* What `auto` takes, and why: "no GPU here: ...". */
const char *fnl__devices_auto(const struct fnl_accel_list *list);
#define FNL__DEVICES_WHY 900
void fnl__devices_why(const struct fnl_accel_list *list, char out[FNL__DEVICES_WHY]);

#endif
