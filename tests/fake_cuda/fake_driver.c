/* fake_driver.c - a libcuda.so.1 for tests: start, devices, contexts, and failures on demand.
 *
 * It implements what Fournil uses of the CUDA driver API (device/cuda/cuda_api.h) by running the
 * same kernel sources on an OpenCL device for the processor, such as PoCL, and checks what a real
 * driver would: handles, ranges, a current context, what is legal inside a capture. Set up by
 * environment, read by the first call and by fake_cuda_reset():
 *
 *   FAKE_CUDA_DEVICES=1        devices, 0 to 64; CUDA_VISIBLE_DEVICES chooses among them
 *   FAKE_CUDA_VERSION=13000    of CUDA; PTX newer than that is refused
 *   FAKE_CUDA_MEMORY=4294967296  bytes of each device
 *   FAKE_CUDA_NOOP=1           launches do nothing: what is left is the host's time
 *   FAKE_CUDA_FAIL=cuMemAlloc_v2:3:2   the 3rd call of that entry point gives 2 (out of memory);
 *                              "any:7:719": the 7th of all; a "+" at the end: and all later ones
 *
 * For tests only; never installed. Not thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_cuda/fake_int.h"

struct fnl_cu_context {
    int device;
};

struct fake_setup fake_setup;
static bool was_set_up, initialised;
static struct fnl_cu_context context[FAKE_DEVICES_MAX];
static int retained[FAKE_DEVICES_MAX];
static struct fnl_cu_context *current;
static int dead; /* the result that killed the context; 0: alive */
static struct fake_object *objects;

static long calls[FAKE_ENTRIES], all_calls;
static struct {
    int entry; /* -1: any; -2: none */
    long nth;
    int result;
    bool ever_after;
} failure;

static const char *const names[FAKE_ENTRIES] = {
#define FAKE_NAME(symbol, required, params) #symbol,
    FNL_CUDA_SYMBOLS(FAKE_NAME)
#undef FAKE_NAME
};

/* ---- set-up ---- */

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == 0 ? otherwise : strtol(text, NULL, 10);
}

static void set_up_failure(void)
{
    const char *text = getenv("FAKE_CUDA_FAIL");
    char entry[64] = "", plus = 0;
    failure.entry = -2;
    if (text == NULL ||
        sscanf(text, "%63[^:]:%ld:%d%c", entry, &failure.nth, &failure.result, &plus) < 3) {
        return;
    }
    failure.ever_after = plus == '+';
    failure.entry = strcmp(entry, "any") == 0 ? -1 : -2;
    for (int i = 0; i < FAKE_ENTRIES; i++) {
        if (strcmp(entry, names[i]) == 0) {
            failure.entry = i;
        }
    }
}

static void uuid_of(int device, unsigned char out[16])
{
    for (int i = 0; i < 16; i++) {
        out[i] = (unsigned char)(0x10 * (i % 8) + device + i);
    }
}

/* Device number of "3" or of "GPU-1022"; -1: none. */
static int device_of(const char *text, size_t size, int devices)
{
    char digits[40] = "", *end = NULL;
    if (size == 0 || size > 47) {
        return -1;
    }
    if (strncmp(text, "GPU-", 4) != 0) {
        long n = strtol(text, &end, 10);
        return end == text + size && n >= 0 && n < devices ? (int)n : -1;
    }
    size_t n = 0;
    for (size_t i = 4; i < size && n < 32; i++) {
        if (text[i] != '-') {
            digits[n++] = text[i];
        }
    }
    for (int device = 0; device < devices; device++) {
        unsigned char uuid[16];
        char want[33];
        uuid_of(device, uuid);
        for (int i = 0; i < 16; i++) {
            (void)snprintf(want + (ptrdiff_t)2 * i, 3, "%02x", uuid[i]);
        }
        if (n != 0 && strncmp(want, digits, n) == 0) {
            return device;
        }
    }
    return -1;
}

/* As the driver reads CUDA_VISIBLE_DEVICES: in this order, up to the first that is none. */
static void set_up_visible(int devices)
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    fake_setup.devices = 0;
    if (text == NULL) {
        for (int i = 0; i < devices; i++) {
            fake_setup.visible[fake_setup.devices++] = i;
        }
        return;
    }
    for (;;) {
        size_t size = strcspn(text, ",");
        int device = device_of(text, size, devices);
        if (device < 0 || fake_setup.devices == devices) {
            return;
        }
        fake_setup.visible[fake_setup.devices++] = device;
        if (text[size] == 0) {
            return;
        }
        text += size + 1;
    }
}

static void set_up(void)
{
    long devices = number("FAKE_CUDA_DEVICES", 1);
    devices = devices < 0 ? 0 : devices > FAKE_DEVICES_MAX ? FAKE_DEVICES_MAX : devices;
    set_up_visible((int)devices);
    fake_setup.version = (int)number("FAKE_CUDA_VERSION", 13000);
    fake_setup.noop = number("FAKE_CUDA_NOOP", 0) != 0;
    fake_setup.memory = (size_t)number("FAKE_CUDA_MEMORY", 1L << 32);
    set_up_failure();
    was_set_up = true;
}

/* ---- entry, failures ---- */

int fake_die(int result)
{
    dead = result;
    return result;
}

/* Results after which a real context is of no use. */
static bool kills(int result)
{
    return result == FNL_CU_ECC_UNCORRECTABLE || result == FNL_CU_UNKNOWN ||
           result == FNL_CU_NVLINK_UNCORRECTABLE || result == FNL_CU_CONTAINED ||
           (result >= FNL_CU_ILLEGAL_ADDRESS && result <= FNL_CU_LAUNCH_FAILED &&
            result != FNL_CU_LAUNCH_OUT_OF_RESOURCES);
}

int fake_enter(enum fake_entry entry)
{
    if (!was_set_up) {
        set_up();
    }
    calls[entry]++;
    all_calls++;
    if (failure.entry == -2 || (failure.entry >= 0 && failure.entry != (int)entry)) {
        return FNL_CU_SUCCESS;
    }
    long count = failure.entry == -1 ? all_calls : calls[entry];
    if (count == failure.nth || (failure.ever_after && count > failure.nth)) {
        return kills(failure.result) ? fake_die(failure.result) : failure.result;
    }
    return FNL_CU_SUCCESS;
}

int fake_enter_context(enum fake_entry entry)
{
    int result = fake_enter(entry);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (!initialised) {
        return FNL_CU_NOT_INITIALIZED;
    }
    if (dead != 0) {
        return dead;
    }
    return current == NULL ? FNL_CU_INVALID_CONTEXT : FNL_CU_SUCCESS;
}

/* ---- objects ---- */

void *fake_new(enum fake_kind kind, size_t size)
{
    struct fake_object *o = calloc(1, size);
    if (o == NULL) {
        abort();
    }
    o->kind = kind;
    o->next = objects;
    objects = o;
    return o;
}

bool fake_is(const void *handle, enum fake_kind kind)
{
    for (const struct fake_object *o = objects; o != NULL; o = o->next) {
        if (o == handle) {
            return o->kind == kind;
        }
    }
    return false;
}

struct fake_object *fake_objects(void)
{
    return objects;
}

void fake_delete(void *handle)
{
    struct fake_object **link = &objects;
    while (*link != NULL && (void *)*link != handle) {
        link = &(*link)->next;
    }
    struct fake_object *o = *link;
    if (o == NULL) {
        return;
    }
    *link = o->next;
    if (o->kind == FAKE_MEMORY) {
        fake_memory_close((struct fake_memory *)o);
    } else if (o->kind == FAKE_MODULE) {
        fake_module_close(o);
    } else if (o->kind != FAKE_HOST) {
        fake_queue_close(o, o->kind);
    }
    free(o);
}

/* ---- for tests ---- */

EXPORT void fake_cuda_reset(void);
EXPORT int fake_cuda_live(void);
EXPORT long fake_cuda_calls(const char *entry);

/* As if the process had just begun. */
void fake_cuda_reset(void)
{
    while (objects != NULL) {
        fake_delete(objects);
    }
    memset(retained, 0, sizeof retained);
    memset(calls, 0, sizeof calls);
    all_calls = 0;
    current = NULL;
    dead = 0;
    initialised = false;
    set_up();
}

/* Handles and retained contexts that nobody has given back. */
int fake_cuda_live(void)
{
    int count = 0;
    for (const struct fake_object *o = objects; o != NULL; o = o->next) {
        count++;
    }
    for (int i = 0; i < FAKE_DEVICES_MAX; i++) {
        count += retained[i];
    }
    return count;
}

/* Of one entry point, or of "any", since the reset. */
long fake_cuda_calls(const char *entry)
{
    for (int i = 0; i < FAKE_ENTRIES; i++) {
        if (strcmp(entry, names[i]) == 0) {
            return calls[i];
        }
    }
    return all_calls;
}

/* ---- start, errors ---- */

int cuInit(unsigned flags)
{
    int result = fake_enter(FAKE_cuInit);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (flags != 0) {
        return FNL_CU_INVALID_VALUE;
    }
    if (fake_setup.devices == 0 || fake_cl() == NULL) {
        return FNL_CU_NO_DEVICE;
    }
    initialised = true;
    return FNL_CU_SUCCESS;
}

int cuDriverGetVersion(int *ret_version)
{
    int result = fake_enter(FAKE_cuDriverGetVersion);
    *ret_version = fake_setup.version;
    return result;
}

int cuGetErrorName(int result, const char **ret_name)
{
    static const struct {
        int value;
        const char *name;
    } row[] = {
#define FAKE_RESULT(name, value) {value, "CUDA_ERROR_" #name},
        FNL_CU_RESULTS(FAKE_RESULT)
#undef FAKE_RESULT
    };
    *ret_name = NULL;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (row[i].value == result) {
            *ret_name = row[i].name;
        }
    }
    return *ret_name == NULL ? FNL_CU_INVALID_VALUE : FNL_CU_SUCCESS;
}

int cuGetErrorString(int result, const char **ret_text)
{
    int rc = cuGetErrorName(result, ret_text);
    if (rc == FNL_CU_SUCCESS) {
        *ret_text = "from the stand-in driver";
    }
    return rc;
}

/* ---- devices ---- */

static int enter_device(enum fake_entry entry, int device)
{
    int result = fake_enter(entry);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (!initialised) {
        return FNL_CU_NOT_INITIALIZED;
    }
    return device < 0 || device >= fake_setup.devices ? FNL_CU_INVALID_DEVICE : FNL_CU_SUCCESS;
}

int cuDeviceGetCount(int *ret_count)
{
    int result = fake_enter(FAKE_cuDeviceGetCount);
    if (result == FNL_CU_SUCCESS && !initialised) {
        result = FNL_CU_NOT_INITIALIZED;
    }
    if (result == FNL_CU_SUCCESS) {
        *ret_count = fake_setup.devices;
    }
    return result;
}

int cuDeviceGet(int *ret_device, int ordinal)
{
    int result = enter_device(FAKE_cuDeviceGet, ordinal);
    if (result == FNL_CU_SUCCESS) {
        *ret_device = ordinal;
    }
    return result;
}

int cuDeviceGetName(char *name, int size, int device)
{
    int result = enter_device(FAKE_cuDeviceGetName, device);
    if (result == FNL_CU_SUCCESS) {
        (void)snprintf(name, (size_t)size, "Stand-in GPU %d", fake_setup.visible[device]);
    }
    return result;
}

int cuDeviceGetUuid_v2(struct fnl_cu_uuid *ret_uuid, int device)
{
    int result = enter_device(FAKE_cuDeviceGetUuid_v2, device);
    if (result == FNL_CU_SUCCESS) {
        uuid_of(fake_setup.visible[device], ret_uuid->bytes);
    }
    return result;
}

int cuDeviceTotalMem_v2(size_t *ret_bytes, int device)
{
    int result = enter_device(FAKE_cuDeviceTotalMem_v2, device);
    if (result == FNL_CU_SUCCESS) {
        *ret_bytes = fake_setup.memory;
    }
    return result;
}

int cuDeviceGetAttribute(int *ret_value, int attribute, int device)
{
    int result = enter_device(FAKE_cuDeviceGetAttribute, device);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    switch (attribute) {
    case FNL_CU_MAX_THREADS_PER_BLOCK:
        *ret_value = 1024;
        return FNL_CU_SUCCESS;
    case FNL_CU_MAX_SHARED_MEMORY_PER_BLOCK:
        *ret_value = 49152;
        return FNL_CU_SUCCESS;
    case FNL_CU_MULTIPROCESSOR_COUNT:
        *ret_value = 4;
        return FNL_CU_SUCCESS;
    case FNL_CU_COMPUTE_CAPABILITY_MAJOR:
        *ret_value = (int)number("FAKE_CUDA_CAPABILITY", 80) / 10;
        return FNL_CU_SUCCESS;
    case FNL_CU_COMPUTE_CAPABILITY_MINOR:
        *ret_value = (int)number("FAKE_CUDA_CAPABILITY", 80) % 10;
        return FNL_CU_SUCCESS;
    default:
        return FNL_CU_INVALID_VALUE;
    }
}

/* ---- contexts ---- */

int cuDevicePrimaryCtxRetain(struct fnl_cu_context **ret_context, int device)
{
    int result = enter_device(FAKE_cuDevicePrimaryCtxRetain, device);
    if (result == FNL_CU_SUCCESS && dead != 0) {
        result = dead;
    }
    if (result == FNL_CU_SUCCESS) {
        context[device].device = device;
        retained[device]++;
        *ret_context = &context[device];
    }
    return result;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    int result = enter_device(FAKE_cuDevicePrimaryCtxRelease_v2, device);
    if (device >= 0 && device < FAKE_DEVICES_MAX && retained[device] > 0) {
        retained[device]--;
    } else if (result == FNL_CU_SUCCESS) {
        result = FNL_CU_INVALID_CONTEXT;
    }
    return result;
}

int cuCtxSetCurrent(struct fnl_cu_context *c)
{
    int result = fake_enter(FAKE_cuCtxSetCurrent);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    bool known = c == NULL;
    for (int i = 0; i < FAKE_DEVICES_MAX && !known; i++) {
        known = c == &context[i] && retained[i] > 0;
    }
    if (!known) {
        return FNL_CU_INVALID_CONTEXT;
    }
    current = c;
    return FNL_CU_SUCCESS;
}
