/* opencl.c - the OpenCL driver: devices, memory, transfers, events (interface in device/accel.h).
 *
 * Devices are numbered platform by platform, as the loader lists them. A device is opened with one
 * context and one in-order queue. Invariants: (1) only OpenCL 1.2 is used; (2) after a failure that
 * tells of a lost device every call fails with it. Source: Khronos, "The OpenCL Specification",
 * version 1.2, revision 19. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "device/opencl/opencl_int.h"

#define MAX_PLATFORMS 16

int fnl__cl_alive(const struct fnl__cl_accel *a, struct fnl_error *err)
{
    if (a->lost.code != 0 && err != NULL) {
        *err = a->lost;
    }
    return a->lost.code;
}

static bool tells_of_loss(cl_int code)
{
    return code == CL_DEVICE_NOT_AVAILABLE || code == CL_INVALID_COMMAND_QUEUE ||
           code == CL_INVALID_CONTEXT || code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

int fnl__cl_fail(struct fnl__cl_accel *a, cl_int code, const char *what, struct fnl_error *err)
{
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
        code == CL_OUT_OF_HOST_MEMORY) {
        return FNL_FAIL(err, NOMEM, "use a smaller batch, or free the device's memory",
                        "%s: %s: out of memory (%s; %.1f MiB of %.0f are ours)", a->base.info.name,
                        what, fnl__cl_error_name(code), (double)a->used_bytes / 1048576.0,
                        (double)a->base.info.memory_bytes / 1048576.0);
    }
    if (tells_of_loss(code)) {
        (void)FNL_FAIL(&a->lost, DEVICE_LOST, "the system's log (dmesg) says more",
                       "%s: the device was lost in %s (%s)", a->base.info.name, what,
                       fnl__cl_error_name(code));
        return fnl__cl_alive(a, err);
    }
    return FNL_FAIL(err, INTERNAL, "update the device's driver", "%s: %s failed: %s (%d)",
                    a->base.info.name, what, fnl__cl_error_name(code), (int)code);
}

/* ---- what is there ---- */

struct found {
    cl_platform_id platform;
    cl_device_id device;
};

/* No device: drivers of GPUs that may not open their files say nothing else. */
static void explain_none(struct fnl_error *err)
{
    char path[64];
    (void)FNL_FAIL(err, DEVICE,
                   "install the driver of your GPU, or, to try things out, pocl-opencl-icd",
                   "the OpenCL drivers here find no device");
    if (fnl__cl_denied("/dev", path, sizeof path)) {
        (void)FNL_FAIL(err, DEVICE, "sudo usermod -aG render,video $USER, then log in anew",
                       "the OpenCL drivers here find no device, and this user may not open %s",
                       path);
    }
}

/* All devices of all platforms, at most FNL_MAX_ACCELS. */
static int find_devices(const struct fnl__cl *cl, struct found *ret, int *ret_count,
                        struct fnl_error *err)
{
    cl_platform_id platform[MAX_PLATFORMS];
    cl_uint platforms = 0;
    int count = 0;
    cl_int code = cl->clGetPlatformIDs(MAX_PLATFORMS, platform, &platforms);
    if (code != CL_SUCCESS || platforms == 0) {
        *ret_count = 0;
        (void)FNL_FAIL(err, DEVICE, "apt install the driver of your GPU, or pocl-opencl-icd",
                       "the OpenCL loader finds no driver (%s)", fnl__cl_error_name(code));
        return 0;
    }
    platforms = platforms > MAX_PLATFORMS ? MAX_PLATFORMS : platforms;
    for (cl_uint p = 0; p < platforms; p++) {
        cl_device_id device[FNL_MAX_ACCELS];
        cl_uint devices = 0;
        if (cl->clGetDeviceIDs(platform[p], CL_DEVICE_TYPE_ALL, FNL_MAX_ACCELS, device, &devices) !=
            CL_SUCCESS) {
            continue; /* a platform without devices */
        }
        for (cl_uint d = 0; d < devices && d < FNL_MAX_ACCELS && count < FNL_MAX_ACCELS; d++) {
            ret[count++] = (struct found){platform[p], device[d]};
        }
    }
    *ret_count = count;
    if (count == 0) {
        explain_none(err);
    }
    return 0;
}

static int cl_count(int *ret_count, struct fnl_error *reason)
{
    const struct fnl__cl *cl = NULL;
    struct found found[FNL_MAX_ACCELS];
    *ret_count = 0;
    return fnl__cl_open(&cl, reason) != 0 ? 0 : find_devices(cl, found, ret_count, reason);
}

/* A driver's text, made printable ASCII. */
static void device_text(const struct fnl__cl *cl, cl_device_id d, cl_device_info what, char *out,
                        size_t size)
{
    char text[1024] = "";
    if (cl->clGetDeviceInfo(d, what, sizeof text, text, NULL) != CL_SUCCESS) {
        text[0] = 0;
    }
    text[sizeof text - 1] = 0;
    snprintf(out, size, "%s", text);
    for (char *p = out; *p != 0; p++) {
        *p = *p < 0x20 || *p > 0x7e ? '?' : *p;
    }
    for (size_t n = strlen(out); n > 0 && out[n - 1] == ' '; n--) {
        out[n - 1] = 0;
    }
}

static bool has_extension(const struct fnl__cl *cl, cl_device_id d, const char *name)
{
    char text[16384] = "";
    if (cl->clGetDeviceInfo(d, CL_DEVICE_EXTENSIONS, sizeof text, text, NULL) != CL_SUCCESS) {
        return false;
    }
    text[sizeof text - 1] = 0;
    const char *at = strstr(text, name);
    return at != NULL && (at[strlen(name)] == 0 || at[strlen(name)] == ' ');
}

/* A driver may leave out anything but the name and the size of the memory. */
static int read_info(const struct fnl__cl *cl, const struct found *f, int index,
                     struct fnl_accel_info *ret, struct fnl_error *err)
{
    struct fnl_accel_info i = {.compute_units = 0};
    char version[56], driver[56];
    cl_device_type type = 0;
    cl_ulong memory = 0, local = 0;
    cl_uint units = 0;
    size_t group = 0;
    snprintf(i.name, sizeof i.name, "opencl:%d", index);
    device_text(cl, f->device, CL_DEVICE_NAME, i.model, sizeof i.model);
    device_text(cl, f->device, CL_DEVICE_VENDOR, i.vendor, sizeof i.vendor);
    device_text(cl, f->device, CL_DEVICE_VERSION, version, sizeof version);
    device_text(cl, f->device, CL_DRIVER_VERSION, driver, sizeof driver);
    snprintf(i.driver, sizeof i.driver, "%s, driver %s", version, driver);
    char platform[96] = "";
    (void)cl->clGetPlatformInfo(f->platform, CL_PLATFORM_NAME, sizeof platform, platform, NULL);
    platform[sizeof platform - 1] = 0;
    snprintf(i.platform, sizeof i.platform, "%s", platform);
    (void)cl->clGetDeviceInfo(f->device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    cl_int code =
        cl->clGetDeviceInfo(f->device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
    if (code != CL_SUCCESS || i.model[0] == 0) {
        return FNL_FAIL(err, DEVICE, "restart the machine, or install the device's driver anew",
                        "%s: the device does not answer (%s)", i.name, fnl__cl_error_name(code));
    }
    (void)cl->clGetDeviceInfo(f->device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    (void)cl->clGetDeviceInfo(f->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    (void)cl->clGetDeviceInfo(f->device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    i.memory_bytes = memory;
    i.local_bytes = local;
    i.compute_units = units < 1000000 ? (int)units : 0;
    i.max_group = group;
    i.is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    i.has_f16 = has_extension(cl, f->device, "cl_khr_fp16");
    i.has_f64 = has_extension(cl, f->device, "cl_khr_fp64");
    *ret = i;
    return 0;
}

/* The device of this number, or FNL_E_DEVICE. */
static int find_device(int index, const struct fnl__cl **ret_cl, struct found *ret_found,
                       struct fnl_error *err)
{
    struct found found[FNL_MAX_ACCELS];
    int count = 0;
    int rc = fnl__cl_open(ret_cl, err);
    rc = rc != 0 ? rc : find_devices(*ret_cl, found, &count, err);
    if (rc != 0 || (count == 0 && err != NULL)) {
        return rc != 0 ? rc : FNL_E_DEVICE;
    }
    if (index < 0 || index >= count) {
        return FNL_FAIL(err, DEVICE, "list them with: fournil devices",
                        "there is no opencl:%d; OpenCL finds %d device%s here", index, count,
                        count == 1 ? "" : "s");
    }
    *ret_found = found[index];
    return 0;
}

static int cl_info(int index, struct fnl_accel_info *ret_info, struct fnl_error *err)
{
    const struct fnl__cl *cl = NULL;
    struct found f;
    int rc = find_device(index, &cl, &f, err);
    return rc != 0 ? rc : read_info(cl, &f, index, ret_info, err);
}

/* ---- open and close ---- */

static void cl_close(struct fnl_accel *accel)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    if (a == NULL) {
        return;
    }
    if (a->queue != NULL) {
        (void)a->cl->clFinish(a->queue);
        (void)a->cl->clReleaseCommandQueue(a->queue);
    }
    if (a->context != NULL) {
        (void)a->cl->clReleaseContext(a->context);
    }
    fnl_free(a);
}

static int make_queue(struct fnl__cl_accel *a, cl_platform_id platform, struct fnl_error *err)
{
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    cl_int code = CL_SUCCESS;
    cl_bool available = CL_TRUE, compiler = CL_TRUE;
    (void)a->cl->clGetDeviceInfo(a->device, CL_DEVICE_AVAILABLE, sizeof available, &available,
                                 NULL);
    (void)a->cl->clGetDeviceInfo(a->device, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler,
                                 &compiler, NULL);
    if (!available || !compiler) {
        return FNL_FAIL(err, DEVICE, "take another device; list them with: fournil devices",
                        "%s: the driver says that the %s is not available", a->base.info.name,
                        !available ? "device" : "compiler");
    }
    a->context = a->cl->clCreateContext(properties, 1, &a->device, NULL, NULL, &code);
    if (a->context != NULL) {
        a->queue =
            a->cl->clCreateCommandQueue(a->context, a->device, CL_QUEUE_PROFILING_ENABLE, &code);
    }
    if (a->queue == NULL) {
        return FNL_FAIL(err, DEVICE, "close other programs that use it, or update its driver",
                        "%s: the device cannot be opened: %s", a->base.info.name,
                        fnl__cl_error_name(code));
    }
    cl_ulong most = 0;
    (void)a->cl->clGetDeviceInfo(a->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
    a->max_alloc_bytes = most;
    return 0;
}

static int cl_open(int index, struct fnl_accel **ret_accel, struct fnl_error *err)
{
    const struct fnl__cl *cl = NULL;
    struct found f;
    int rc = find_device(index, &cl, &f, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl__cl_accel *a = fnl_calloc(1, sizeof *a);
    if (a == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a device");
    }
    a->base.driver = &fnl_accel_opencl;
    a->cl = cl;
    a->device = f.device;
    rc = read_info(cl, &f, index, &a->base.info, err);
    rc = rc != 0 ? rc : make_queue(a, f.platform, err);
    if (rc != 0) {
        cl_close(&a->base);
        return rc;
    }
    *ret_accel = &a->base;
    return 0;
}

/* ---- memory ---- */

static int cl_buf_alloc(struct fnl_accel *accel, size_t bytes, struct fnl_accel_buf **ret_buf,
                        struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0) {
        return rc;
    }
    if (a->max_alloc_bytes > 0 && bytes > a->max_alloc_bytes) {
        return FNL_FAIL(err, NOMEM, "use a smaller batch",
                        "%s: one piece of %.1f MiB is wanted, the driver gives at most %.1f",
                        a->base.info.name, (double)bytes / 1048576.0,
                        (double)a->max_alloc_bytes / 1048576.0);
    }
    struct fnl_accel_buf *b = fnl_calloc(1, sizeof *b);
    if (b == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a buffer's handle");
    }
    cl_int code = CL_SUCCESS;
    b->mem = a->cl->clCreateBuffer(a->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (b->mem == NULL) {
        fnl_free(b);
        char what[64];
        snprintf(what, sizeof what, "asking for %.1f MiB", (double)bytes / 1048576.0);
        return fnl__cl_fail(a, code, what, err);
    }
    b->bytes = bytes;
    a->used_bytes += bytes;
    *ret_buf = b;
    return 0;
}

static void cl_buf_free(struct fnl_accel *accel, struct fnl_accel_buf *buf)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    if (buf != NULL) {
        (void)a->cl->clReleaseMemObject(buf->mem);
        a->used_bytes -= buf->bytes;
        fnl_free(buf);
    }
}

/* ---- transfers ---- */

static int cl_put(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset,
                  const void *src, size_t bytes, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0 || bytes == 0) {
        return rc;
    }
    cl_int code = a->cl->clEnqueueWriteBuffer(a->queue, dst->mem, CL_FALSE, offset, bytes, src, 0,
                                              NULL, NULL);
    return code == CL_SUCCESS ? 0 : fnl__cl_fail(a, code, "a copy to the device", err);
}

static int cl_get(struct fnl_accel *accel, const struct fnl_accel_buf *src, size_t offset,
                  void *dst, size_t bytes, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0 || bytes == 0) {
        return rc;
    }
    cl_int code =
        a->cl->clEnqueueReadBuffer(a->queue, src->mem, CL_TRUE, offset, bytes, dst, 0, NULL, NULL);
    return code == CL_SUCCESS ? 0 : fnl__cl_fail(a, code, "a copy from the device", err);
}

static int cl_sync(struct fnl_accel *accel, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0) {
        return rc;
    }
    cl_int code = a->cl->clFinish(a->queue);
    return code == CL_SUCCESS ? 0 : fnl__cl_fail(a, code, "waiting for the device", err);
}

/* ---- events: markers in the queue ---- */

struct fnl_accel_event {
    cl_event event; /* NULL: not recorded yet */
};

static int cl_event_create(struct fnl_accel *accel, struct fnl_accel_event **ret_event,
                           struct fnl_error *err)
{
    (void)accel;
    struct fnl_accel_event *e = fnl_calloc(1, sizeof *e);
    if (e == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for an event");
    }
    *ret_event = e;
    return 0;
}

static void cl_event_free(struct fnl_accel *accel, struct fnl_accel_event *event)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    if (event != NULL && event->event != NULL) {
        (void)a->cl->clReleaseEvent(event->event);
    }
    fnl_free(event);
}

static int cl_event_record(struct fnl_accel *accel, struct fnl_accel_event *event,
                           struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0) {
        return rc;
    }
    if (event->event != NULL) {
        (void)a->cl->clReleaseEvent(event->event);
        event->event = NULL;
    }
    cl_int code = a->cl->clEnqueueMarkerWithWaitList(a->queue, 0, NULL, &event->event);
    return code == CL_SUCCESS ? 0 : fnl__cl_fail(a, code, "marking a moment", err);
}

static int cl_event_wait(struct fnl_accel *accel, struct fnl_accel_event *event,
                         struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0 || event->event == NULL) {
        return rc;
    }
    cl_int code = a->cl->clWaitForEvents(1, &event->event);
    return code == CL_SUCCESS ? 0 : fnl__cl_fail(a, code, "waiting for the device", err);
}

static int cl_event_elapsed(struct fnl_accel *accel, struct fnl_accel_event *from,
                            struct fnl_accel_event *to, uint64_t *ret_ns, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    cl_ulong begin = 0, end = 0;
    int rc = cl_event_wait(accel, from, err);
    rc = rc != 0 ? rc : cl_event_wait(accel, to, err);
    if (rc != 0) {
        return rc;
    }
    if (from->event == NULL || to->event == NULL) {
        return FNL_FAIL(err, INVALID, NULL, "an event that was not recorded has no time");
    }
    cl_int code = a->cl->clGetEventProfilingInfo(from->event, CL_PROFILING_COMMAND_END,
                                                 sizeof begin, &begin, NULL);
    if (code == CL_SUCCESS) {
        code = a->cl->clGetEventProfilingInfo(to->event, CL_PROFILING_COMMAND_END, sizeof end, &end,
                                              NULL);
    }
    if (code != CL_SUCCESS) {
        return fnl__cl_fail(a, code, "reading the time", err);
    }
    *ret_ns = end > begin ? end - begin : 0;
    return 0;
}

const struct fnl_accel_driver fnl_accel_opencl = {
    .name = "opencl",
    .count = cl_count,
    .info = cl_info,
    .open = cl_open,
    .close = cl_close,
    .buf_alloc = cl_buf_alloc,
    .buf_free = cl_buf_free,
    .put = cl_put,
    .get = cl_get,
    .copy = fnl__cl_copy,
    .fill = fnl__cl_fill,
    .sync = cl_sync,
    .event_create = cl_event_create,
    .event_free = cl_event_free,
    .event_record = cl_event_record,
    .event_wait = cl_event_wait,
    .event_elapsed = cl_event_elapsed,
    .prog_build = fnl__cl_prog_build,
    .prog_free = fnl__cl_prog_free,
    .kernel_get = fnl__cl_kernel_get,
    .launch = fnl__cl_launch,
    .rec_begin = fnl__cl_rec_begin,
    .rec_end = fnl__cl_rec_end,
    .rec_run = fnl__cl_rec_run,
    .rec_free = fnl__cl_rec_free,
};
