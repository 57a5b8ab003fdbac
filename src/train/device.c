/* device.c - the names that --device and train.device take, and what `auto` means here. */
#include "train/device.h"

#include <stdio.h>
#include <string.h>

#include "base/schema.h"
#include "device/accel.h"

const char *const fnl_train_device_names[] = {
    [FNL_TRAIN_AUTO] = "auto", [FNL_TRAIN_CPU] = "cpu", [FNL_TRAIN_REF] = "ref", NULL};

static void set_choice(struct fnl_train_choice *c, enum fnl_train_device kind, const char *name)
{
    c->kind = kind;
    (void)snprintf(c->name, sizeof c->name, "%s", name);
}

int fnl_train_device_parse(const char *name, struct fnl_train_choice *ret, struct fnl_error *err)
{
    for (int i = 0; fnl_train_device_names[i] != NULL; i++) {
        if (strcmp(name, fnl_train_device_names[i]) == 0) {
            set_choice(ret, (enum fnl_train_device)i, name);
            return 0;
        }
    }
    if (fnl_accel_is_name(name)) {
        struct fnl_accel_info info;
        struct fnl_error why = FNL_ERROR_INIT;
        int rc = fnl_accel_find(name, &info, &why);
        if (rc == 0) {
            set_choice(ret, FNL_TRAIN_ACCELERATOR, info.name);
            return 0;
        }
        rc = FNL_FAIL(err, DEVICE, why.hint, "\"%s\" is not available: %s", name, why.message);
        if (strstr(why.hint, "fournil devices") == NULL) {
            fnl_error_hint(err, "%s%swhat is here: fournil devices", why.hint,
                           why.hint[0] != 0 ? "; " : "");
        }
        return rc;
    }
    const char *near = fnl_nearest_name(name, fnl_train_device_names);
    int rc = FNL_FAIL(err, CONFIG, "the devices here: fournil devices",
                      "expected auto, cpu, ref, or a GPU such as cuda:0, got \"%.40s\"", name);
    if (near != NULL) {
        fnl_error_hint(err, "did you mean \"%s\"? The devices here: fournil devices", near);
    }
    return rc;
}

int fnl_train_device_option(const char *option, const char *name, struct fnl_train_choice *ret,
                            struct fnl_error *err)
{
    int rc = fnl_train_device_parse(name, ret, err);
    if (rc == FNL_E_CONFIG) { /* a wrong word on the command line is wrong usage */
        rc = FNL_E_INVALID;
        if (err != NULL) {
            err->code = rc;
        }
    }
    return rc != 0 ? fnl_error_context(err, rc, "%s", option) : 0;
}

void fnl_train_device_choose(struct fnl_train_choice *choice, char *why, size_t size)
{
    struct fnl_accel_info info;
    struct fnl_error none = FNL_ERROR_INIT;
    (void)snprintf(why, size, "%s", "");
    if (choice->kind != FNL_TRAIN_AUTO) {
        return;
    }
    if (fnl_accel_best(&info, &none) == 0) {
        set_choice(choice, FNL_TRAIN_ACCELERATOR, info.name);
        (void)snprintf(why, size, "the fastest GPU here, %s", info.model);
    } else {
        set_choice(choice, FNL_TRAIN_CPU, "cpu");
        (void)snprintf(why, size, "%s", none.message);
    }
}
