/* nvrtc.c - opens libnvrtc and compiles with it (interface in nvrtc.h).
 *
 * It is searched for by its names of several releases, then in the folders of a toolkit that
 * CUDA_HOME, CUDA_PATH or /usr/local/cuda name. Like the driver's, the library is never closed.
 * Cost: 15 ms to open (a file of 100 MB, mapped), 60 to 100 ms to compile a file of ours.
 * Source: NVIDIA, "NVRTC" documentation, 11.2 to 13. */
#include "device/cuda/nvrtc.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "device/library.h"

struct nvrtc_program; /* nvrtcProgram is a pointer to it */

enum { NVRTC_SUCCESS = 0, NVRTC_ERROR_COMPILATION = 6 };

/* symbol, required, parameters; all return nvrtcResult, an int */
#define NVRTC_SYMBOLS(X)                                                                           \
    X(nvrtcVersion, true, (int *ret_major, int *ret_minor))                                        \
    X(nvrtcGetNumSupportedArchs, true, (int *ret_count))                                           \
    X(nvrtcGetSupportedArchs, true, (int *ret_archs))                                              \
    X(nvrtcCreateProgram, true,                                                                    \
      (struct nvrtc_program * *ret_program, const char *source, const char *name, int headers,     \
       const char *const *header, const char *const *include_name))                                \
    X(nvrtcDestroyProgram, true, (struct nvrtc_program * *program))                                \
    X(nvrtcCompileProgram, true,                                                                   \
      (struct nvrtc_program * program, int options, const char *const *option))                    \
    X(nvrtcGetPTXSize, true, (struct nvrtc_program * program, size_t * ret_size))                  \
    X(nvrtcGetPTX, true, (struct nvrtc_program * program, char *ptx))                              \
    X(nvrtcGetCUBINSize, true, (struct nvrtc_program * program, size_t * ret_size))                \
    X(nvrtcGetCUBIN, true, (struct nvrtc_program * program, char *cubin))                          \
    X(nvrtcGetProgramLogSize, true, (struct nvrtc_program * program, size_t * ret_size))           \
    X(nvrtcGetProgramLog, true, (struct nvrtc_program * program, char *log))

struct fnl__nvrtc {
#define NVRTC_SLOT(symbol, required, params) int(*symbol) params;
    NVRTC_SYMBOLS(NVRTC_SLOT)
#undef NVRTC_SLOT
    char version[16];
    int arch[64]; /* ascending */
    int arch_count;
};

static const struct fnl_library_symbol symbols[] = {
#define NVRTC_ROW(symbol, required, params)                                                        \
    {#symbol, offsetof(struct fnl__nvrtc, symbol), required},
    NVRTC_SYMBOLS(NVRTC_ROW)
#undef NVRTC_ROW
};

static struct fnl__nvrtc table;
static struct fnl_error failure; /* code 0: the table is good */
static bool opened;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define HINT_INSTALL                                                                               \
    "install NVRTC, part of the CUDA toolkit (pip install nvidia-cuda-nvrtc, or Debian: apt "      \
    "install "                                                                                     \
    "nvidia-cuda-toolkit), and have its folder in LD_LIBRARY_PATH or the toolkit's in CUDA_HOME"

/* ---- opening ---- */

static const char *const plain_names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2",
                                          "libnvrtc.so"};
#define PLAIN_COUNT (sizeof plain_names / sizeof plain_names[0])
static const char *const sub_folders[] = {"lib64", "lib"};
#define PATH_BYTES 1024
#define NAMES_MAX (PLAIN_COUNT * 7 + 1)

/* The plain names, then those of every toolkit's folders. */
static void list_names(char (*path)[PATH_BYTES], const char *name[NAMES_MAX])
{
    const char *const toolkit[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    size_t n = 0;
    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        name[n++] = plain_names[i];
    }
    for (size_t t = 0; t < sizeof toolkit / sizeof toolkit[0]; t++) {
        for (size_t f = 0; toolkit[t] != NULL && toolkit[t][0] == '/' && f < 2; f++) {
            for (size_t i = 0; i < PLAIN_COUNT; i++, n++) {
                (void)snprintf(path[n], PATH_BYTES, "%.900s/%s/%s", toolkit[t], sub_folders[f],
                               plain_names[i]);
                name[n] = path[n];
            }
        }
    }
    name[n] = NULL;
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int read_facts(struct fnl__nvrtc *t, struct fnl_error *err)
{
    int major = 0, minor = 0;
    int limit = (int)(sizeof t->arch / sizeof t->arch[0]);
    if (t->nvrtcVersion(&major, &minor) != NVRTC_SUCCESS ||
        t->nvrtcGetNumSupportedArchs(&t->arch_count) != NVRTC_SUCCESS || t->arch_count < 1 ||
        t->arch_count > limit || t->nvrtcGetSupportedArchs(t->arch) != NVRTC_SUCCESS) {
        return FNL_FAIL(err, UNSUPPORTED, HINT_INSTALL, "NVRTC does not answer");
    }
    qsort(t->arch, (size_t)t->arch_count, sizeof t->arch[0], by_value);
    (void)snprintf(t->version, sizeof t->version, "%d.%d", major, minor);
    return 0;
}

static int open_library(struct fnl__nvrtc *t, struct fnl_error *err)
{
    const char *name[NAMES_MAX];
    void *library = NULL;
    char(*path)[PATH_BYTES] = fnl_calloc(NAMES_MAX, PATH_BYTES);
    if (path == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "NVRTC: out of memory");
    }
    list_names(path, name);
    int rc =
        fnl_library_open(name, symbols, sizeof symbols / sizeof symbols[0], t, &library, NULL, err);
    fnl_free(path);
    if (rc != 0) {
        fnl_error_hint(err, "%s", HINT_INSTALL);
        return rc;
    }
    return read_facts(t, err);
}

int fnl__nvrtc_open(const struct fnl__nvrtc **ret_nvrtc, struct fnl_error *err)
{
    (void)pthread_mutex_lock(&lock);
    if (!opened) {
        memset(&table, 0, sizeof table);
        memset(&failure, 0, sizeof failure);
        failure.code = open_library(&table, &failure);
        opened = failure.code != FNL_E_NOMEM; /* which is worth another try */
    }
    int rc = failure.code;
    (void)pthread_mutex_unlock(&lock);
    if (rc != 0) {
        if (err != NULL) {
            *err = failure;
        }
        return rc;
    }
    *ret_nvrtc = &table;
    return 0;
}

void fnl__nvrtc_forget(void)
{
    opened = false;
}

const char *fnl__nvrtc_version(const struct fnl__nvrtc *nvrtc)
{
    return nvrtc->version;
}

int fnl__nvrtc_arch(const struct fnl__nvrtc *nvrtc, int capability)
{
    int best = 0;
    for (int i = 0; i < nvrtc->arch_count && nvrtc->arch[i] <= capability; i++) {
        best = nvrtc->arch[i];
    }
    return best;
}

bool fnl__nvrtc_knows(const struct fnl__nvrtc *nvrtc, int capability)
{
    return fnl__nvrtc_arch(nvrtc, capability) == capability;
}

/* ---- compiling ---- */

#define OPTIONS_MAX 64

/* Arguments of the compiler in one block: the architecture, then the defines, split at blanks. */
struct options {
    const char *option[OPTIONS_MAX];
    int count;
    char arch[24];
    char *defines;
};

static int make_options(struct options *o, const struct fnl__nvrtc_job *job, struct fnl_error *err)
{
    o->count = 0;
    (void)snprintf(o->arch, sizeof o->arch, "-arch=%s_%d", job->machine_code ? "sm" : "compute",
                   job->arch);
    o->option[o->count++] = o->arch;
    if (job->machine_code) {
        o->option[o->count++] = "-Xptxas=-v";
    }
    o->defines = fnl_strdup(job->defines);
    if (o->defines == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", job->name);
    }
    for (char *p = o->defines + strspn(o->defines, " "); *p != 0; p += strspn(p, " ")) {
        if (o->count == OPTIONS_MAX) {
            return FNL_FAIL(err, INTERNAL, NULL, "%s: too many defines", job->name);
        }
        o->option[o->count++] = p;
        p += strcspn(p, " ");
        if (*p != 0) {
            *p++ = 0;
        }
    }
    return 0;
}

/* What one of NVRTC's pairs of functions (size, bytes) gives; NULL when it gives nothing. */
static char *take(int (*get_size)(struct nvrtc_program *, size_t *),
                  int (*get)(struct nvrtc_program *, char *), struct nvrtc_program *program,
                  size_t *ret_size)
{
    size_t size = 0;
    if (get_size(program, &size) != NVRTC_SUCCESS || size == 0 || size > FNL_MAX_PROGRAM_BYTES) {
        return NULL;
    }
    char *data = fnl_malloc(size + 1);
    if (data == NULL || get(program, data) != NVRTC_SUCCESS) {
        fnl_free(data);
        return NULL;
    }
    data[size] = 0;
    *ret_size = size;
    return data;
}

static int compile(const struct fnl__nvrtc *t, struct nvrtc_program *program,
                   const struct options *o, const struct fnl__nvrtc_job *job, char **ret_image,
                   size_t *ret_size, char **ret_log, struct fnl_error *err)
{
    size_t log_size = 0, size = 0;
    int result = t->nvrtcCompileProgram(program, o->count, o->option);
    char *log = take(t->nvrtcGetProgramLogSize, t->nvrtcGetProgramLog, program, &log_size);
    char *image = NULL;
    if (result == NVRTC_SUCCESS) {
        image = job->machine_code ? take(t->nvrtcGetCUBINSize, t->nvrtcGetCUBIN, program, &size)
                                  : take(t->nvrtcGetPTXSize, t->nvrtcGetPTX, program, &size);
    }
    if (image != NULL) {
        *ret_image = image;
        *ret_size = job->machine_code ? size : strlen(image); /* PTX comes with its NUL */
        *ret_log = log;
        return 0;
    }
    int rc;
    if (result == NVRTC_ERROR_COMPILATION) {
        rc =
            FNL_FAIL(err, INTERNAL, "please report it, with the version of NVRTC",
                     "%s: NVRTC %s cannot compile it for compute capability %d.%d: %.500s",
                     job->name, t->version, job->arch / 10, job->arch % 10, log == NULL ? "" : log);
    } else {
        rc = FNL_FAIL(err, UNSUPPORTED, HINT_INSTALL, "%s: NVRTC %s fails (result %d)%s%.300s",
                      job->name, t->version, result, log == NULL ? "" : ": ",
                      log == NULL ? "" : log);
    }
    fnl_free(log);
    return rc;
}

int fnl__nvrtc_compile(const struct fnl__nvrtc *nvrtc, const struct fnl__nvrtc_job *job,
                       char **ret_image, size_t *ret_size, char **ret_log, struct fnl_error *err)
{
    struct options o;
    struct nvrtc_program *program = NULL;
    char *log = NULL;
    int rc = make_options(&o, job, err);
    if (rc == 0 && nvrtc->nvrtcCreateProgram(&program, job->source, job->name, 0, NULL, NULL) !=
                       NVRTC_SUCCESS) {
        program = NULL;
        rc = FNL_FAIL(err, UNSUPPORTED, HINT_INSTALL, "%s: NVRTC %s does not take it", job->name,
                      nvrtc->version);
    }
    if (rc == 0) {
        rc = compile(nvrtc, program, &o, job, ret_image, ret_size, &log, err);
    }
    if (program != NULL) {
        (void)nvrtc->nvrtcDestroyProgram(&program);
    }
    fnl_free(o.defines);
    if (rc == 0 && ret_log != NULL) {
        *ret_log = log;
    } else {
        fnl_free(log);
    }
    return rc;
}
