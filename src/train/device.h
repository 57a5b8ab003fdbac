/* device.h - the names that --device and train.device take, and what `auto` means here. */
#ifndef FNL_TRAIN_DEVICE_H
#define FNL_TRAIN_DEVICE_H

#include "base/error.h"

enum fnl_train_device { FNL_TRAIN_AUTO, FNL_TRAIN_CPU, FNL_TRAIN_REF, FNL_TRAIN_ACCELERATOR };

extern const char *const fnl_train_device_names[]; /* of those without a number; NULL-terminated */

struct fnl_train_choice {
    enum fnl_train_device kind;
    char name[24]; /* "auto", "cpu", "ref", "opencl:0": the name of the engine's back end */
};

/* FNL_E_DEVICE: a GPU that is not here: the message says why, the hint what to do; FNL_E_CONFIG: no
 * such name. The message does not say where the name stood. */
int fnl_train_device_parse(const char *name, struct fnl_train_choice *ret, struct fnl_error *err);

/* The same for an option of the command line: "option: " stands before the message. */
int fnl_train_device_option(const char *option, const char *name, struct fnl_train_choice *ret,
                            struct fnl_error *err);

#define FNL_TRAIN_WHY 900
/* Makes `auto` a device: the fastest GPU here, else the CPU. why: the choice in words, for the
 * user;
 * "" when there was nothing to choose. */
void fnl_train_device_choose(struct fnl_train_choice *choice, char *why, size_t size);

#endif
