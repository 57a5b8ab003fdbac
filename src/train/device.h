/* device.h - the names that --device and train.device take. */
#ifndef FNL_TRAIN_DEVICE_H
#define FNL_TRAIN_DEVICE_H

#include "base/error.h"

extern const char *const fnl_train_device_names[]; /* NULL-terminated */

/* "auto", "cpu", "ref" to enum fnl_train_device. FNL_E_DEVICE: a device that Fournil has a name for
 * ("cuda:0", "opencl:1") but this build cannot train on; FNL_E_CONFIG: no such name. The message
 * does not say where the name stood. */
int fnl_train_device_parse(const char *name, int *ret_device, struct fnl_error *err);

/* The same for an option of the command line: "option: " stands before the message. */
int fnl_train_device_option(const char *option, const char *name, int *ret_device,
                            struct fnl_error *err);

#endif
