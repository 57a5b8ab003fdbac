/* cuda.c - NVIDIA GPUs through the driver API alone: what there is, opening and closing, and the
 * driver's table (interface in device/accel.h).
 *
 * A device is its primary context and one stream. The primary context is the one that the runtime
 * API's libraries (cuBLAS, cuDNN, NCCL) use too, so pointers can be handed to them. Which devices
 * there are, and their numbers, is the driver's own reading of CUDA_VISIBLE_DEVICES.
 *
 * Invariants:
 *  1. Every call makes the context current first (fnl__cuda_enter): the caller may be another
 * thread than last time, and a vendor's library may have changed it.
 *  2. Once `lost` is set nothing of the device is called any more but what frees.
 *
 * Source: NVIDIA, "CUDA Driver API", chapters on devices, primary contexts and streams. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "device/cuda/cuda_int.h"

static int cuda_count(int *ret_count, struct fnl_error *reason)
{
    const struct fnl__cuda_api *api = NULL;
    *ret_count = fnl__cuda_api_open(&api, reason) == 0 ? api->count : 0;
    return 0;
}

/* A name that a driver gave goes to terminals and into cache keys. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != 0; p++) {
        if (*p < 0x20 || *p > 0x7E) {
            *p = '?';
        }
    }
}

static void read_uuid(const struct fnl__cuda_api *api, int device, char out[48])
{
    struct fnl_cu_uuid uuid;
    out[0] = 0;
    if (api->cuDeviceGetUuid_v2 == NULL ||
        api->cuDeviceGetUuid_v2(&uuid, device) != FNL_CU_SUCCESS) {
        return;
    }
    char *p = out + snprintf(out, 48, "GPU-");
    for (int i = 0; i < 16; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        p += snprintf(p, (size_t)(out + 48 - p), "%s%02x", dash ? "-" : "", uuid.bytes[i]);
    }
}

static int attribute(const struct fnl__cuda_api *api, int device, int which)
{
    int value = 0;
    return api->cuDeviceGetAttribute(&value, which, device) == FNL_CU_SUCCESS ? value : 0;
}

/* The driver's handle of a device, which must be there. */
static int find(int index, const struct fnl__cuda_api **ret_api, int *ret_device,
                struct fnl_error *err)
{
    const struct fnl__cuda_api *api = NULL;
    int rc = fnl__cuda_api_open(&api, err);
    if (rc != 0) {
        return fnl_error_context(err, rc, "cuda:%d", index);
    }
    if (index < 0 || index >= api->count) {
        const char *visible = getenv("CUDA_VISIBLE_DEVICES");
        (void)FNL_FAIL(err, DEVICE, "fournil devices lists what is here",
                       "cuda:%d: there is no such device: %d CUDA device%s here, numbered from 0",
                       index, api->count, api->count == 1 ? " is" : "s are");
        if (visible != NULL) {
            fnl_error_hint(err,
                           "CUDA_VISIBLE_DEVICES=%.100s hides others, and those that are left are "
                           "numbered from 0",
                           visible);
        }
        return FNL_E_DEVICE;
    }
    int result = api->cuDeviceGet(ret_device, index);
    if (result != FNL_CU_SUCCESS) {
        return fnl__cuda_fail(api, index, result, err, "the device is not there any more");
    }
    *ret_api = api;
    return 0;
}

static int read_info(const struct fnl__cuda_api *api, int index, int device,
                     struct fnl_accel_info *info, struct fnl_error *err)
{
    size_t bytes = 0;
    memset(info, 0, sizeof *info);
    int result = api->cuDeviceGetName(info->model, (int)sizeof info->model, device);
    if (result == FNL_CU_SUCCESS) {
        result = api->cuDeviceTotalMem_v2(&bytes, device);
    }
    if (result != FNL_CU_SUCCESS) {
        return fnl__cuda_fail(api, index, result, err, "the device does not answer");
    }
    info->model[sizeof info->model - 1] = 0;
    make_printable(info->model);
    (void)snprintf(info->name, sizeof info->name, "cuda:%d", index);
    (void)snprintf(info->vendor, sizeof info->vendor, "NVIDIA");
    memcpy(info->driver, api->driver, sizeof info->driver);
    read_uuid(api, device, info->uuid);
    info->memory_bytes = bytes;
    info->compute_units = attribute(api, device, FNL_CU_MULTIPROCESSOR_COUNT);
    info->capability_major = attribute(api, device, FNL_CU_COMPUTE_CAPABILITY_MAJOR);
    info->capability_minor = attribute(api, device, FNL_CU_COMPUTE_CAPABILITY_MINOR);
    int group = attribute(api, device, FNL_CU_MAX_THREADS_PER_BLOCK);
    int local = attribute(api, device, FNL_CU_MAX_SHARED_MEMORY_PER_BLOCK);
    info->max_group = group > 0 ? (size_t)group : 1;
    info->local_bytes = local > 0 ? (uint64_t)local : 0;
    info->has_f16 = info->has_f64 = true;
    return 0;
}

static int cuda_info(int index, struct fnl_accel_info *ret_info, struct fnl_error *err)
{
    const struct fnl__cuda_api *api = NULL;
    struct fnl_accel_info info;
    int device = 0;
    int rc = find(index, &api, &device, err);
    if (rc == 0) {
        rc = read_info(api, index, device, &info, err);
    }
    if (rc == 0) {
        *ret_info = info;
    }
    return rc;
}

/* Context and stream; what was made is in d when it fails. */
static int start(struct fnl__cuda *d, int index, struct fnl_error *err)
{
    const char *what = "the device cannot be opened";
    int result = d->api->cuDevicePrimaryCtxRetain(&d->context, d->device);
    if (result != FNL_CU_SUCCESS) {
        d->context = NULL;
        return fnl__cuda_fail(d->api, index, result, err, what);
    }
    result = d->api->cuCtxSetCurrent(d->context);
    if (result == FNL_CU_SUCCESS) {
        result = d->api->cuStreamCreate(&d->stream, FNL_CU_STREAM_NON_BLOCKING);
    }
    if (result != FNL_CU_SUCCESS) {
        d->stream = NULL;
        return fnl__cuda_fail(d->api, index, result, err, what);
    }
    return 0;
}

static void cuda_close(struct fnl_accel *accel)
{
    if (accel == NULL) {
        return;
    }
    struct fnl__cuda *d = fnl__cuda_of(accel);
    if (d->context != NULL) {
        (void)d->api->cuCtxSetCurrent(d->context);
        if (d->stream != NULL) {
            (void)d->api->cuStreamSynchronize(d->stream);
            (void)d->api->cuStreamDestroy_v2(d->stream);
        }
        (void)d->api->cuCtxSetCurrent(NULL);
        (void)d->api->cuDevicePrimaryCtxRelease_v2(d->device);
    }
    fnl_free(d);
}

static int cuda_open(int index, struct fnl_accel **ret_accel, struct fnl_error *err)
{
    const struct fnl__cuda_api *api = NULL;
    int device = 0;
    int rc = find(index, &api, &device, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl__cuda *d = fnl_calloc(1, sizeof *d);
    if (d == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "cuda:%d: out of memory", index);
    }
    d->head.driver = &fnl_accel_cuda;
    d->api = api;
    d->device = device;
    rc = read_info(api, index, device, &d->head.info, err);
    if (rc == 0) {
        rc = start(d, index, err);
    }
    if (rc != 0) {
        cuda_close(&d->head);
        return rc;
    }
    *ret_accel = &d->head;
    return 0;
}

const struct fnl_accel_driver fnl_accel_cuda = {
    .name = "cuda",
    .count = cuda_count,
    .info = cuda_info,
    .open = cuda_open,
    .close = cuda_close,
    .buf_alloc = fnl__cuda_buf_alloc,
    .buf_free = fnl__cuda_buf_free,
    .memory_free = fnl__cuda_memory_free,
    .host_alloc = fnl__cuda_host_alloc,
    .host_free = fnl__cuda_host_free,
    .put = fnl__cuda_put,
    .get = fnl__cuda_get,
    .copy = fnl__cuda_copy,
    .fill = fnl__cuda_fill,
    .sync = fnl__cuda_sync,
    .event_create = fnl__cuda_event_create,
    .event_free = fnl__cuda_event_free,
    .event_record = fnl__cuda_event_record,
    .event_wait = fnl__cuda_event_wait,
    .event_elapsed = fnl__cuda_event_elapsed,
    .prog_build = fnl__cuda_prog_build,
    .prog_free = fnl__cuda_prog_free,
    .kernel_get = fnl__cuda_kernel_get,
    .launch = fnl__cuda_launch,
    .rec_begin = fnl__cuda_rec_begin,
    .rec_end = fnl__cuda_rec_end,
    .rec_run = fnl__cuda_rec_run,
    .rec_free = fnl__cuda_rec_free,
};
