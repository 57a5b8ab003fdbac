/* fake_cuda.h - for tests that run on the stand-in driver (tests/fake_cuda/fake_driver.c says how
 * it is set up).
 *
 *   int main(int argc, char **argv)
 *   {
 *       fake_cuda_enter(argv, true);      starts the program again with the stand-in's folder first
 *       ...                               in LD_LIBRARY_PATH
 *   static int set_up(void **state) {
 *       fake_cuda_start();                the environment is read afresh
 */
#ifndef FNL_TESTS_FAKE_CUDA_FAKE_CUDA_H
#define FNL_TESTS_FAKE_CUDA_FAKE_CUDA_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/cuda/cuda_api.h"
#include "device/cuda/nvrtc.h"

/* with_nvrtc: also the stand-in for NVRTC, in front of a real one; without, only where there is no
 * real one. Returns in the second start. */
static inline void fake_cuda_enter(char **argv, bool with_nvrtc)
{
#ifdef FAKE_CUDA_DIR
    if (getenv("FAKE_CUDA_ENTERED") == NULL) {
        static char path[4096];
        const struct fnl__nvrtc *nvrtc = NULL;
        const char *old = getenv("LD_LIBRARY_PATH");
        bool fake_nvrtc = with_nvrtc || fnl__nvrtc_open(&nvrtc, NULL) != 0;
        (void)snprintf(path, sizeof path, "%s%s%s%s%s", FAKE_CUDA_DIR, fake_nvrtc ? ":" : "",
                       fake_nvrtc ? FAKE_NVRTC_DIR : "", old == NULL ? "" : ":",
                       old == NULL ? "" : old);
        (void)setenv("LD_LIBRARY_PATH", path, 1);
        (void)setenv("FAKE_CUDA_ENTERED", "1", 1);
        (void)execv("/proc/self/exe", argv);
    }
#else
    (void)argv;
    (void)with_nvrtc;
#endif
}

/* A function of the stand-in; NULL when it was not built (no OpenCL headers). */
static inline void *fake_cuda__symbol(const char *name)
{
#ifdef FAKE_CUDA_DIR
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library == NULL ? NULL : dlsym(library, name);
#else
    (void)name;
    return NULL;
#endif
}

/* The process's drivers start afresh, by what the environment says now. No device may be open.
 * False: there is no stand-in here, or no OpenCL device to run it on. */
static inline bool fake_cuda_start(void)
{
    void *symbol = fake_cuda__symbol("fake_cuda_reset");
    void (*reset)(void);
    if (symbol == NULL) {
        (void)fprintf(stderr, "skipped: the stand-in driver was not built (opencl-c-headers)\n");
        return false;
    }
    memcpy(&reset, &symbol, sizeof symbol);
    reset();
    fnl__cuda_api_forget();
    fnl__nvrtc_forget();
    return true;
}

/* Handles that were not given back. */
static inline int fake_cuda_live_handles(void)
{
    void *symbol = fake_cuda__symbol("fake_cuda_live");
    int (*live)(void);
    memcpy(&live, &symbol, sizeof symbol);
    return live();
}

/* Calls of an entry point, or "any", since the start. */
static inline long fake_cuda_called(const char *entry)
{
    void *symbol = fake_cuda__symbol("fake_cuda_calls");
    long (*calls)(const char *);
    memcpy(&calls, &symbol, sizeof symbol);
    return calls(entry);
}

#endif
