/* fake_nvrtc.c - a libnvrtc for tests where the real one is absent, or is to fail. Its "PTX" is the
 * head of a file and no code: the stand-in driver builds the source itself. Set up by environment:
 *
 *   FAKE_NVRTC_VERSION=13.0         also decides the version of the PTX
 *   FAKE_NVRTC_ARCHS=75,80,90       compute capabilities it knows
 *   FAKE_NVRTC_RESULT=7             of compiling; 6 comes with a message
 *   FAKE_NVRTC_COUNT=/path          gets one byte more at each compilation
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct program {
    char name[64];
    char log[256], ptx[256];
};

EXPORT int nvrtcVersion(int *major, int *minor);
EXPORT int nvrtcGetNumSupportedArchs(int *count);
EXPORT int nvrtcGetSupportedArchs(int *archs);
EXPORT int nvrtcCreateProgram(struct program **ret, const char *source, const char *name,
                              int headers, const char *const *header, const char *const *as);
EXPORT int nvrtcDestroyProgram(struct program **program);
EXPORT int nvrtcCompileProgram(struct program *program, int count, const char *const *option);
EXPORT int nvrtcGetPTXSize(struct program *program, size_t *size);
EXPORT int nvrtcGetPTX(struct program *program, char *ptx);
EXPORT int nvrtcGetCUBINSize(struct program *program, size_t *size);
EXPORT int nvrtcGetCUBIN(struct program *program, char *cubin);
EXPORT int nvrtcGetProgramLogSize(struct program *program, size_t *size);
EXPORT int nvrtcGetProgramLog(struct program *program, char *log);

static const char *setting(const char *name, const char *otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : text;
}

int nvrtcVersion(int *major, int *minor)
{
    return sscanf(setting("FAKE_NVRTC_VERSION", "13.0"), "%d.%d", major, minor) == 2 ? 0 : 11;
}

static int archs(int *out)
{
    int count = 0, value = 0, used = 0;
    const char *p = setting("FAKE_NVRTC_ARCHS", "75,80,90");
    while (sscanf(p, "%d%n", &value, &used) == 1) {
        if (out != NULL) {
            out[count] = value;
        }
        count++;
        p += used + (p[used] == ',');
    }
    return count;
}

int nvrtcGetNumSupportedArchs(int *count)
{
    *count = archs(NULL);
    return 0;
}

int nvrtcGetSupportedArchs(int *out)
{
    (void)archs(out);
    return 0;
}

int nvrtcCreateProgram(struct program **ret, const char *source, const char *name, int headers,
                       const char *const *header, const char *const *as)
{
    struct program *p = calloc(1, sizeof *p);
    if (p == NULL || source == NULL || headers != 0 || header != NULL || as != NULL) {
        free(p);
        return 3;
    }
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    *ret = p;
    return 0;
}

int nvrtcDestroyProgram(struct program **program)
{
    free(*program);
    *program = NULL;
    return 0;
}

static void count_it(void)
{
    const char *path = getenv("FAKE_NVRTC_COUNT");
    FILE *f = path == NULL ? NULL : fopen(path, "ab");
    if (f != NULL) {
        (void)fputc('x', f);
        (void)fclose(f);
    }
}

int nvrtcCompileProgram(struct program *program, int count, const char *const *option)
{
    int major = 0, minor = 0;
    int result = (int)strtol(setting("FAKE_NVRTC_RESULT", "0"), NULL, 10);
    count_it();
    if (result == 6) {
        (void)snprintf(program->log, sizeof program->log,
                       "%s(7): error: identifier \"oops\" is undefined\n", program->name);
    }
    if (result != 0 || count < 1 || strncmp(option[0], "-arch=compute_", 14) != 0) {
        return result != 0 ? result : 5;
    }
    (void)nvrtcVersion(&major, &minor);
    (void)snprintf(program->ptx, sizeof program->ptx,
                   "//\n.version %d.%d\n.target sm_%s\n.address_size 64\n", major - 4, minor,
                   option[0] + 14);
    return 0;
}

int nvrtcGetPTXSize(struct program *program, size_t *size)
{
    *size = strlen(program->ptx) + 1;
    return 0;
}

int nvrtcGetPTX(struct program *program, char *ptx)
{
    memcpy(ptx, program->ptx, strlen(program->ptx) + 1);
    return 0;
}

int nvrtcGetCUBINSize(struct program *program, size_t *size)
{
    (void)program;
    *size = 0;
    return 0;
}

int nvrtcGetCUBIN(struct program *program, char *cubin)
{
    (void)program;
    (void)cubin;
    return 4;
}

int nvrtcGetProgramLogSize(struct program *program, size_t *size)
{
    *size = strlen(program->log) + 1;
    return 0;
}

int nvrtcGetProgramLog(struct program *program, char *log)
{
    memcpy(log, program->log, strlen(program->log) + 1);
    return 0;
}
