/* accel.c - from names to devices (interface in accel.h). */
#include "device/accel.h"

#include <string.h>

#include "base/text.h"

const struct fnl_accel_driver *const fnl_accel_drivers[] = {&fnl_accel_opencl, NULL};

/* "cuda", "cuda:3": the kind's length and the number; false when it is no number. */
static bool split_name(const char *name, size_t *ret_kind, int64_t *ret_index)
{
    *ret_kind = strcspn(name, ":");
    *ret_index = 0;
    if (name[*ret_kind] == 0) {
        return true;
    }
    const char *digits = name + *ret_kind + 1;
    return *digits != 0 && digits[strspn(digits, "0123456789")] == 0 &&
           fnl_parse_int(digits, ret_index) && *ret_index < 1000000;
}

static bool is_kind(const char *name, size_t length, const char *kind)
{
    return strlen(kind) == length && strncmp(name, kind, length) == 0;
}

bool fnl_accel_is_name(const char *name)
{
    size_t kind;
    int64_t index;
    return split_name(name, &kind, &index) &&
           (is_kind(name, kind, "cuda") || is_kind(name, kind, "opencl"));
}

int fnl_accel_open(const char *name, struct fnl_accel **ret_accel, struct fnl_error *err)
{
    size_t kind;
    int64_t index;
    if (!split_name(name, &kind, &index)) {
        return FNL_FAIL(err, INVALID, "names look like cuda:0; list them with: fournil devices",
                        "\"%.40s\" is no device's name", name);
    }
    for (int i = 0; fnl_accel_drivers[i] != NULL; i++) {
        if (is_kind(name, kind, fnl_accel_drivers[i]->name)) {
            return fnl_accel_drivers[i]->open((int)index, ret_accel, err);
        }
    }
    return FNL_FAIL(err, DEVICE, "list the devices here with: fournil devices",
                    "there is no device \"%.40s\"", name);
}

void fnl_accel_close(struct fnl_accel *accel)
{
    if (accel != NULL) {
        accel->driver->close(accel);
    }
}
