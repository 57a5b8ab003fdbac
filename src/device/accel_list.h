/* accel_list.h - every accelerator of the machine, found without trusting its driver.
 *
 * A driver's library may hang, crash or print while it starts, on a machine where everything else
 * works. So each driver is asked in a child process of its own, all at once, and for a limited
 * time; what a child has said before it came to grief is kept. Children do not touch the caller's
 * process: no driver library is loaded into it. Call this from a process with one thread, before
 * it has opened a device (drivers do not survive fork). */
#ifndef FNL_DEVICE_ACCEL_LIST_H
#define FNL_DEVICE_ACCEL_LIST_H

#include "base/limits.h"
#include "device/accel.h"

/* A device; problem.code != 0: its driver could not describe it, and only info.name is known. */
struct fnl_accel_found {
    struct fnl_accel_info info;
    struct fnl_error problem;
};

/* One driver. problem.code != 0: why it has no devices, or fewer than it counted. */
struct fnl_accel_probe {
    const char *name;
    int device_count;
    struct fnl_error problem;
};

/* A vendor's library of kernels. The engine uses none of them: all kernels are its own. */
struct fnl_accel_library {
    const char *name;   /* "cuBLAS" */
    const char *driver; /* whose devices it is for: "cuda" */
    char found[64];     /* the file that would be opened; "" when there is none */
};

#define FNL_ACCEL_MAX_DRIVERS 8
#define FNL_ACCEL_LIBRARIES 3
struct fnl_accel_list {
    struct fnl_accel_probe driver[FNL_ACCEL_MAX_DRIVERS];
    struct fnl_accel_library library[FNL_ACCEL_LIBRARIES];
    struct fnl_accel_found *device; /* driver by driver, in the order of their numbers */
    int driver_count, device_count;
    int best;                /* place in device of what `auto` takes; -1: the CPU */
    struct fnl_error no_gpu; /* best < 0: why, in the words of fnl_accel_best */
};

/* drivers: NULL-terminated, usually fnl_accel_drivers. Fails only for want of memory or processes;
 * what is wrong with a driver stands in the list. */
int fnl_accel_list_create(const struct fnl_accel_driver *const *drivers, int limit_ms,
                          struct fnl_accel_list **ret_list, struct fnl_error *err);
void fnl_accel_list_free(struct fnl_accel_list *list); /* takes NULL */

#endif
