/* accel.c - from names to devices (interface in accel.h). */
#include "device/accel.h"

#include <string.h>

#include "base/text.h"

const struct fnl_accel_driver *const fnl_accel_drivers[] = {&fnl_accel_cuda, &fnl_accel_opencl,
                                                            NULL};

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

/* The driver and the number that a name means. */
static int resolve(const char *name, const struct fnl_accel_driver **ret_driver, int *ret_index,
                   struct fnl_error *err)
{
    size_t kind;
    int64_t index;
    if (!split_name(name, &kind, &index)) {
        return FNL_FAIL(err, INVALID, "names look like cuda:0; list them with: fournil devices",
                        "\"%.40s\" is no device's name", name);
    }
    for (int i = 0; fnl_accel_drivers[i] != NULL; i++) {
        if (is_kind(name, kind, fnl_accel_drivers[i]->name)) {
            *ret_driver = fnl_accel_drivers[i];
            *ret_index = (int)index;
            return 0;
        }
    }
    return FNL_FAIL(err, DEVICE, "list the devices here with: fournil devices",
                    "there is no device \"%.40s\"", name);
}

int fnl_accel_open(const char *name, struct fnl_accel **ret_accel, struct fnl_error *err)
{
    const struct fnl_accel_driver *driver = NULL;
    int index = 0;
    int rc = resolve(name, &driver, &index, err);
    return rc != 0 ? rc : driver->open(index, ret_accel, err);
}

int fnl_accel_find(const char *name, struct fnl_accel_info *ret_info, struct fnl_error *err)
{
    const struct fnl_accel_driver *driver = NULL;
    int index = 0;
    int rc = resolve(name, &driver, &index, err);
    return rc != 0 ? rc : driver->info(index, ret_info, err);
}

/* Newer and wider is faster: among one maker's GPUs this orders them as their speed does. */
static int64_t speed_rank(const struct fnl_accel_info *i)
{
    return ((int64_t)i->capability_major * 100 + i->capability_minor) * 1000000 + i->compute_units;
}

bool fnl_accel_faster(const struct fnl_accel_info *a, const struct fnl_accel_info *b)
{
    return speed_rank(a) > speed_rank(b);
}

int fnl_accel_no_gpu(const struct fnl_error *why, struct fnl_error *err)
{
    return FNL_FAIL(err, DEVICE, why != NULL ? why->hint : NULL, "no GPU here: %s",
                    why != NULL ? why->message : "the devices of the drivers here are processors");
}

int fnl_accel_best(struct fnl_accel_info *ret_info, struct fnl_error *err)
{
    struct fnl_error why = FNL_ERROR_INIT;
    for (int d = 0; fnl_accel_drivers[d] != NULL; d++) {
        int count = 0;
        bool found = false;
        struct fnl_accel_info info;
        (void)fnl_accel_drivers[d]->count(&count, why.code == 0 ? &why : NULL);
        for (int i = 0; i < count; i++) {
            if (fnl_accel_drivers[d]->info(i, &info, NULL) == 0 && !info.is_cpu &&
                (!found || fnl_accel_faster(&info, ret_info))) {
                *ret_info = info;
                found = true;
            }
        }
        if (found) {
            return 0;
        }
    }
    return fnl_accel_no_gpu(why.code != 0 ? &why : NULL, err);
}

void fnl_accel_close(struct fnl_accel *accel)
{
    if (accel != NULL) {
        accel->driver->close(accel);
    }
}
