/* fake_opencl.h - for tests that run on the stand-in (fake_opencl.c says how it is set up).
 *
 *   int main(void) { fake_opencl_enter(); ... }     before the first call of the OpenCL driver
 *   fake_opencl()->break_at("clCreateBuffer", 2, false, CL_OUT_OF_RESOURCES); */
#ifndef FNL_TESTS_FAKE_OPENCL_FAKE_OPENCL_H
#define FNL_TESTS_FAKE_OPENCL_FAKE_OPENCL_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the library exports beside OpenCL. */
void fake_opencl_fail(const char *entry, long n, bool forever, int code);
long fake_opencl_calls(const char *entry);
const char *fake_opencl_called(int i);
int fake_opencl_live(void);

#ifdef FAKE_OPENCL_DIR
struct fake_opencl {
    /* The n-th call of the entry point from now on (from 1) fails with the code; forever: and all
     * that follow. NULL: nothing fails. All counts begin anew. */
    void (*break_at)(const char *entry, long n, bool forever, int code);
    long (*calls)(const char *entry); /* since break_at() */
    const char *(*called)(int i);     /* the i-th entry point that was called; NULL: no more */
    int (*live)(void);                /* handles that were not given back */
};

static inline void fake_opencl_enter(void)
{
    (void)setenv("FOURNIL_OPENCL", FAKE_OPENCL_DIR "/libOpenCL.so.1", 1);
}

static inline const struct fake_opencl *fake_opencl(void)
{
    static struct fake_opencl table;
    static const char *const names[] = {"fake_opencl_fail", "fake_opencl_calls",
                                        "fake_opencl_called", "fake_opencl_live"};
    void *library = dlopen(FAKE_OPENCL_DIR "/libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library != NULL && i < 4; i++) {
        void *symbol = dlsym(library, names[i]);
        memcpy((char *)&table + i * sizeof symbol, &symbol, sizeof symbol);
    }
    return &table;
}
#endif

#endif
