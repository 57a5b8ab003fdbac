/* cuda_api.c - opens libcuda.so.1 and starts it, once for the process.
 *
 * The library is never closed: it starts threads and keeps handlers of its own. Whatever is wrong
 * (no library, one that is too old, no device, a driver that does not start) is found out here once
 * and told to every caller in the same words. */
#include "device/cuda/cuda_api.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/mem.h"
#include "device/cuda/cuda_int.h"
#include "device/library.h"

#define RELEASE_FILE "/proc/driver/nvidia/version"
#define OLDEST "CUDA 11.4 (NVIDIA driver 470)"

static struct fnl__cuda_api table;
static struct fnl_error failure; /* code 0: the table is good */
static bool opened;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const struct fnl_library_symbol symbols[] = {
#define FNL_CUDA_ROW(symbol, required, params)                                                     \
    {#symbol, offsetof(struct fnl__cuda_api, symbol), required},
    FNL_CUDA_SYMBOLS(FNL_CUDA_ROW)
#undef FNL_CUDA_ROW
};

void fnl__cuda_release(const char *text, char *ret_release, size_t size)
{
    /* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 ..." */
    const char *p = strstr(text, "Kernel Module");
    ret_release[0] = 0;
    if (p == NULL) {
        return;
    }
    p += strcspn(p, "0123456789\n"); /* "for x86_64" stands before the number in open drivers */
    while (*p != 0 && *p != '\n') {
        size_t n = strspn(p, "0123456789.");
        if (n > 2 && n < size && (p[n] == ' ' || p[n] == '\n' || p[n] == 0) &&
            memchr(p, '.', n) != NULL) {
            memcpy(ret_release, p, n);
            ret_release[n] = 0;
            return;
        }
        p += n;
        p += strcspn(p, " \n");
        p += strcspn(p, "0123456789\n");
    }
}

static void describe_driver(struct fnl__cuda_api *api)
{
    char release[32] = "", *text = NULL;
    size_t size = 0;
    if (fnl_file_read(RELEASE_FILE, 4096, &text, &size, NULL) == 0) {
        fnl__cuda_release(text, release, sizeof release);
        fnl_free(text);
    }
    (void)snprintf(api->driver, sizeof api->driver, "CUDA %d.%d%s%s", api->version / 1000,
                   api->version % 1000 / 10, release[0] == 0 ? "" : ", driver ", release);
}

static int open_library(struct fnl__cuda_api *api, struct fnl_error *err)
{
    static const char *const names[] = {"libcuda.so.1", NULL};
    void *library = NULL;
    int rc = fnl_library_open(names, symbols, sizeof symbols / sizeof symbols[0], api, &library,
                              NULL, err);
    if (rc == FNL_E_UNSUPPORTED) {
        fnl_error_hint(err, "install an NVIDIA driver for " OLDEST " or later");
        return FNL_E_DEVICE;
    }
    if (rc == FNL_E_NOTFOUND) {
        fnl_error_hint(err, "where there is an NVIDIA GPU, install its driver (Debian: apt install "
                            "nvidia-driver; in a container: start it with the GPUs, such as docker "
                            "run --gpus all)");
        return FNL_E_DEVICE;
    }
    return rc;
}

static int start(struct fnl__cuda_api *api, struct fnl_error *err)
{
    int rc = open_library(api, err);
    if (rc != 0) {
        return rc;
    }
    int result = api->cuInit(0);
    if (result == FNL_CU_SUCCESS) {
        result = api->cuDriverGetVersion(&api->version);
    }
    if (result == FNL_CU_SUCCESS) {
        result = api->cuDeviceGetCount(&api->count);
    }
    if (result == FNL_CU_NO_DEVICE || (result == FNL_CU_SUCCESS && api->count <= 0)) {
        return fnl__cuda_no_device(err, "/dev");
    }
    if (result != FNL_CU_SUCCESS) {
        return fnl__cuda_fail(api, -1, result, err, "the CUDA driver does not start");
    }
    describe_driver(api);
    return 0;
}

int fnl__cuda_api_open(const struct fnl__cuda_api **ret_api, struct fnl_error *err)
{
    (void)pthread_mutex_lock(&lock);
    if (!opened) {
        memset(&failure, 0, sizeof failure);
        memset(&table, 0, sizeof table);
        int rc = start(&table, &failure);
        failure.code = rc == 0 ? 0 : FNL_E_DEVICE;
        opened = true;
    }
    (void)pthread_mutex_unlock(&lock);
    if (failure.code != 0) {
        if (err != NULL) {
            *err = failure;
        }
        return failure.code;
    }
    *ret_api = &table;
    return 0;
}

void fnl__cuda_api_forget(void)
{
    opened = false;
}
