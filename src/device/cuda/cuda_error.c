/* cuda_error.c - what the driver's results mean for the user. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/cuda/cuda_int.h"

/* What can be done about a result. Fatal: the context, and with it every buffer, is gone for good;
 * only a new process can use the device again. */
static const struct remedy {
    int result;
    bool fatal;
    const char *hint;
} remedies[] = {
    {FNL_CU_DEINITIALIZED, true, NULL},
    {FNL_CU_STUB_LIBRARY, false,
     "the libcuda.so.1 that was found is the toolkit's stub, for linking only: take its folder out "
     "of "
     "LD_LIBRARY_PATH and install the NVIDIA driver"},
    {FNL_CU_DEVICE_UNAVAILABLE, true,
     "another process has this GPU for itself (exclusive mode): nvidia-smi shows it; nvidia-smi -c "
     "0 "
     "lets processes share it"},
    {FNL_CU_NO_DEVICE, true, "nvidia-smi -L lists the GPUs that the driver sees now"},
    {FNL_CU_INVALID_DEVICE, true, "nvidia-smi -L lists the GPUs that the driver sees now"},
    {FNL_CU_INVALID_CONTEXT, true, NULL},
    {FNL_CU_ECC_UNCORRECTABLE, true,
     "the GPU's memory is damaged: nvidia-smi -q -d ECC,ROW_REMAPPER tells more; reset the GPU or "
     "use another one"},
    {FNL_CU_NVLINK_UNCORRECTABLE, true,
     "nvidia-smi nvlink -e counts the link's errors; reset the GPU or use another one"},
    {FNL_CU_CONTAINED, true,
     "the GPU's memory has an error: nvidia-smi -q -d ECC,ROW_REMAPPER tells more"},
    {FNL_CU_JIT_COMPILER_NOT_FOUND, false,
     "the driver's compiler (libnvidia-ptxjitcompiler.so.1) is missing: install the whole driver"},
    {FNL_CU_ILLEGAL_ADDRESS, true, NULL},
    {FNL_CU_LAUNCH_TIMEOUT, true,
     "the GPU also drives a display, which ends kernels that take seconds: use a smaller batch or "
     "another GPU"},
    {FNL_CU_CONTEXT_IS_DESTROYED, true, NULL},
    {FNL_CU_ASSERT, true, NULL},
    {FNL_CU_HARDWARE_STACK_ERROR, true, NULL},
    {FNL_CU_ILLEGAL_INSTRUCTION, true, NULL},
    {FNL_CU_MISALIGNED_ADDRESS, true, NULL},
    {FNL_CU_INVALID_ADDRESS_SPACE, true, NULL},
    {FNL_CU_INVALID_PC, true, NULL},
    {FNL_CU_LAUNCH_FAILED, true, NULL},
    {FNL_CU_SYSTEM_NOT_READY, false,
     "the machine's NVSwitches are not up yet: systemctl start nvidia-fabricmanager"},
    {FNL_CU_SYSTEM_DRIVER_MISMATCH, false,
     "the driver was updated while it was loaded: restart the machine"},
    {FNL_CU_COMPAT_NOT_SUPPORTED_ON_DEVICE, false,
     "CUDA's forward-compatibility library is not for this GPU: take it out of LD_LIBRARY_PATH"},
    {FNL_CU_UNKNOWN, true, "try nvidia-smi: if it fails too, restart the machine"},
};

#define HINT_LOST "see what the driver noticed with: dmesg | grep -i xid"

static const struct remedy *remedy_of(int result)
{
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++) {
        if (remedies[i].result == result) {
            return &remedies[i];
        }
    }
    return NULL;
}

/* "CUDA_ERROR_X (its text)" */
static void result_text(const struct fnl__cuda_api *api, int result, char *out, size_t size)
{
    const char *name = NULL, *text = NULL;
    if (api->cuGetErrorName == NULL || api->cuGetErrorName(result, &name) != FNL_CU_SUCCESS) {
        name = NULL;
    }
    if (api->cuGetErrorString == NULL || api->cuGetErrorString(result, &text) != FNL_CU_SUCCESS) {
        text = NULL;
    }
    if (name == NULL) {
        (void)snprintf(out, size, "CUDA error %d", result);
    } else {
        (void)snprintf(out, size, "%s%s%s%s", name, text == NULL ? "" : " (",
                       text == NULL ? "" : text, text == NULL ? "" : ")");
    }
}

int fnl__cuda_fail(const struct fnl__cuda_api *api, int index, int result, struct fnl_error *err,
                   const char *what)
{
    char text[256], device[24] = "cuda";
    const struct remedy *remedy = remedy_of(result);
    const char *hint = remedy == NULL ? NULL : remedy->hint;
    result_text(api, result, text, sizeof text);
    if (index >= 0) {
        (void)snprintf(device, sizeof device, "cuda:%d", index);
    }
    return FNL_FAIL(err, DEVICE, hint, "%s: %s: %s", device, what, text);
}

/* Makes the device lost and says so. */
static int lose(struct fnl__cuda *d, const struct remedy *remedy, const char *what,
                const char *text, struct fnl_error *err)
{
    const char *hint = remedy->hint != NULL ? remedy->hint : HINT_LOST;
    (void)FNL_FAIL(&d->lost, DEVICE_LOST, hint, "%s: the device was lost: %s: %s",
                   d->head.info.name, what, text);
    if (err != NULL) {
        *err = d->lost;
    }
    return FNL_E_DEVICE_LOST;
}

int fnl__cuda_check(struct fnl__cuda *d, int result, struct fnl_error *err, const char *format, ...)
{
    if (result == FNL_CU_SUCCESS) {
        return 0;
    }
    char what[256], text[256];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    result_text(d->api, result, text, sizeof text);
    const struct remedy *remedy = remedy_of(result);
    if (remedy != NULL && remedy->fatal) {
        return lose(d, remedy, what, text, err);
    }
    if (result == FNL_CU_OUT_OF_MEMORY) {
        return FNL_FAIL(err, NOMEM,
                        "use a smaller batch, or see with nvidia-smi who has the memory",
                        "%s: %s: %s", d->head.info.name, what, text);
    }
    return FNL_FAIL(err, INTERNAL, remedy == NULL ? NULL : remedy->hint, "%s: %s: %s",
                    d->head.info.name, what, text);
}

int fnl__cuda_enter(struct fnl__cuda *d, struct fnl_error *err)
{
    if (d->lost.code != 0) {
        if (err != NULL) {
            *err = d->lost;
        }
        return d->lost.code;
    }
    return fnl__cuda_check(d, d->api->cuCtxSetCurrent(d->context), err,
                           "cannot use the device's context");
}

int fnl__cuda_enter_outside(struct fnl__cuda *d, const char *call, struct fnl_error *err)
{
    if (d->recording && d->lost.code == 0) {
        struct fnl_error why;
        int rc =
            FNL_FAIL(&why, INTERNAL, NULL, "%s: %s inside a recording", d->head.info.name, call);
        return fnl__cuda_done(d, rc, &why, err);
    }
    return fnl__cuda_enter(d, err);
}

/* "512.0 MiB" */
static void size_text(uint64_t bytes, char *out, size_t size)
{
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int i = 0;
    while (value >= 1024.0 && i < 4) {
        value /= 1024.0;
        i++;
    }
    (void)snprintf(out, size, i == 0 ? "%.0f %s" : "%.1f %s", value, unit[i]);
}

int fnl__cuda_out_of_memory(struct fnl__cuda *d, const char *kind, size_t bytes,
                            struct fnl_error *err)
{
    char asked[32], free_text[32] = "", total_text[32];
    size_t free_bytes = 0, total = 0;
    size_text(bytes, asked, sizeof asked);
    if (d->api->cuMemGetInfo_v2 != NULL &&
        d->api->cuMemGetInfo_v2(&free_bytes, &total) == FNL_CU_SUCCESS) {
        size_text(free_bytes, free_text, sizeof free_text);
        size_text(total, total_text, sizeof total_text);
        return FNL_FAIL(err, NOMEM,
                        "use a smaller batch, or see with nvidia-smi who has the memory",
                        "%s: out of %s: %s asked for, %s of %s free", d->head.info.name, kind,
                        asked, free_text, total_text);
    }
    size_text(d->head.info.memory_bytes, total_text, sizeof total_text);
    return FNL_FAIL(err, NOMEM, "use a smaller batch, or see with nvidia-smi who has the memory",
                    "%s: out of %s: %s asked for; the device has %s", d->head.info.name, kind,
                    asked, total_text);
}

/* Not there: 0; there but not for this user: -1; fine: 1. */
static int device_file(const char *folder, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (access(path, R_OK | W_OK) == 0) {
        return 1;
    }
    return errno == EACCES || errno == EPERM ? -1 : 0;
}

int fnl__cuda_no_device(struct fnl_error *err, const char *dev_folder)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    int control = device_file(dev_folder, "nvidiactl");
    if (visible != NULL && visible[0] == 0) {
        return FNL_FAIL(err, DEVICE,
                        "unset it, or set it to the GPUs that this program may use: "
                        "CUDA_VISIBLE_DEVICES=0",
                        "CUDA_VISIBLE_DEVICES is set and empty, which hides every GPU");
    }
    if (control < 0) {
        return FNL_FAIL(err, DEVICE,
                        "ls -l /dev/nvidia* shows who may: join that group, or have the container "
                        "pass the devices on",
                        "no permission to use %s/nvidiactl", dev_folder);
    }
    if (visible != NULL) {
        return FNL_FAIL(err, DEVICE,
                        "nvidia-smi -L lists the GPUs with their numbers and UUIDs; a UUID is "
                        "written GPU-xxxxxxxx, or unset CUDA_VISIBLE_DEVICES",
                        "CUDA_VISIBLE_DEVICES=%.200s names no GPU that is here", visible);
    }
    if (control == 0) {
        return FNL_FAIL(err, DEVICE,
                        "lspci | grep -i nvidia shows whether there is one; in a container, start "
                        "it with the GPUs, such as docker run --gpus all",
                        "the driver's library is here, but no NVIDIA GPU (there is no "
                        "%s/nvidiactl)",
                        dev_folder);
    }
    return FNL_FAIL(err, DEVICE, "nvidia-smi -L lists what the driver sees",
                    "the driver finds no NVIDIA GPU");
}
