/* device.c - the names that --device and train.device take. */
#include "train/device.h"

#include <string.h>

#include "base/schema.h"
#include "train/config.h"

const char *const fnl_train_device_names[] = {
    [FNL_TRAIN_AUTO] = "auto", [FNL_TRAIN_CPU] = "cpu", [FNL_TRAIN_REF] = "ref", NULL};

/* "cuda", or "cuda:" and a number. */
static bool is_of_kind(const char *name, const char *kind)
{
    size_t n = strlen(kind);
    if (strncmp(name, kind, n) != 0 || (name[n] != 0 && name[n] != ':')) {
        return false;
    }
    return name[n] == 0 ||
           (name[n + 1] != 0 && strspn(name + n + 1, "0123456789") == strlen(name + n + 1));
}

int fnl_train_device_parse(const char *name, int *ret_device, struct fnl_error *err)
{
    static const char *const gpus[] = {"cuda", "opencl", NULL};
    for (int i = 0; fnl_train_device_names[i] != NULL; i++) {
        if (strcmp(name, fnl_train_device_names[i]) == 0) {
            *ret_device = i;
            return 0;
        }
    }
    for (int i = 0; gpus[i] != NULL; i++) {
        if (is_of_kind(name, gpus[i])) {
            return FNL_FAIL(err, DEVICE, "take cpu or auto; the devices here: fournil devices",
                            "\"%s\" is not available: this build trains on the CPU only", name);
        }
    }
    const char *near = fnl_nearest_name(name, fnl_train_device_names);
    int rc = FNL_FAIL(err, CONFIG, "the devices here: fournil devices",
                      "expected auto, cpu or ref, got \"%.40s\"", name);
    if (near != NULL) {
        fnl_error_hint(err, "did you mean \"%s\"? The devices here: fournil devices", near);
    }
    return rc;
}

int fnl_train_device_option(const char *option, const char *name, int *ret_device,
                            struct fnl_error *err)
{
    int rc = fnl_train_device_parse(name, ret_device, err);
    if (rc == FNL_E_CONFIG) { /* a wrong word on the command line is wrong usage */
        rc = FNL_E_INVALID;
        if (err != NULL) {
            err->code = rc;
        }
    }
    return rc != 0 ? fnl_error_context(err, rc, "%s", option) : 0;
}
