/* embed_ptx.c - a tool of the build: the GPU kernels compiled to PTX, as the C table of
 * src/device/cuda/embedded.h.
 *
 *     embed_ptx MODE OUTPUT
 *
 * MODE auto: without NVRTC the table is empty, and a kernel that this NVRTC cannot compile is left
 * out, both with a line on stderr; on: both are errors; off: the table is empty.
 *
 * The PTX is for compute capability 7.5: every later device's driver takes it. NVRTC writes the
 * newest version of the language, which needs the newest driver, though our kernels use nothing of
 * it but a hint to the compiler; so the hint goes, and the version is set back to that of the
 * oldest driver we run on (CUDA 11.4). A test has ptxas check that the PTX is right in that
 * version. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "device/cuda/nvrtc.h"
#include "engine/kernels/kernels.h"

#define ARCH 75
#define VERSION ".version 7.4"
#define HINT ".pragma \"used_bytes_mask "
#define SOURCE_MAX ((size_t)4 << 20)

struct embed {
    bool strict;
    const struct fnl__nvrtc *nvrtc;
    int count;
    struct fnl_buf out, rows;
};

static int say(const struct embed *e, const struct fnl_error *err)
{
    (void)fprintf(stderr, "embed_ptx: %s\n", err->message);
    return e->strict ? 1 : 0;
}

/* Without the hint, and in the older version of the language. */
static void clean(struct fnl_buf *b, const char *ptx)
{
    for (const char *p = ptx; *p != 0;) {
        size_t size = strcspn(p, "\n"), blanks = strspn(p, " \t");
        if (strncmp(p, ".version ", 9) == 0) {
            (void)fnl_buf_puts(b, VERSION "\n");
        } else if (strncmp(p + blanks, HINT, strlen(HINT)) != 0) {
            (void)fnl_buf_append(b, p, size);
            (void)fnl_buf_puts(b, "\n");
        }
        p += size + (p[size] != 0);
    }
}

/* The text deflated, as an array. */
static int append_deflated(struct embed *e, const struct fnl_buf *text)
{
    uLongf size = compressBound(text->size);
    Bytef *data = fnl_malloc(size);
    if (data == NULL || text->failed ||
        compress2(data, &size, (const Bytef *)text->data, text->size, 9) != Z_OK) {
        fnl_free(data);
        return FNL_E_NOMEM;
    }
    (void)fnl_buf_printf(&e->out, "static const unsigned char ptx_%d[] = {", e->count);
    for (size_t i = 0; i < size; i++) {
        (void)fnl_buf_printf(&e->out, "%s%d,", i % 24 == 0 ? "\n    " : "", data[i]);
    }
    (void)fnl_buf_puts(&e->out, "\n};\n\n");
    fnl_free(data);
    return 0;
}

static int embed_one(struct embed *e, const struct fnl_kernel_file *file, const char *defines)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_buf source, text;
    char *ptx = NULL, name[128];
    size_t size = 0;
    (void)snprintf(name, sizeof name, "%s.k", file->name);
    fnl_buf_init(&source, SOURCE_MAX);
    (void)fnl_buf_puts(&source, fnl__kernel_dialect);
    (void)fnl_buf_printf(&source, "#line 1 \"%s\"\n", name);
    (void)fnl_buf_puts(&source, file->source);
    const struct fnl__nvrtc_job job = {name, source.data, defines, ARCH, false};
    int rc = source.failed ? FNL_FAIL(&err, LIMIT, NULL, "%s: too large", name)
                           : fnl__nvrtc_compile(e->nvrtc, &job, &ptx, &size, NULL, &err);
    fnl_buf_init(&text, FNL_MAX_PROGRAM_BYTES);
    if (rc == 0) {
        clean(&text, ptx);
        rc = append_deflated(e, &text);
    }
    if (rc == FNL_E_NOMEM) {
        rc = FNL_FAIL(&err, NOMEM, NULL, "%s: out of memory", name);
    }
    if (rc == 0) {
        (void)fnl_buf_printf(&e->rows, "    {\"%s\", \"%s\", ptx_%d, sizeof ptx_%d, %zu},\n",
                             file->name, defines, e->count, e->count, text.size);
        e->count++;
    }
    fnl_buf_free(&text);
    fnl_free(ptx);
    fnl_buf_free(&source);
    return rc == 0 ? 0 : say(e, &err);
}

static int embed_file(struct embed *e, const struct fnl_kernel_file *file)
{
    const char *defines = "";
    int failed = 0;
    for (int i = 0; failed == 0 && (defines = fnl__kernel_gpu_defines(file, i)) != NULL; i++) {
        failed = embed_one(e, file, defines);
    }
    return failed;
}

static int embed_all(struct embed *e)
{
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl__nvrtc_open(&e->nvrtc, &err) != 0) {
        return say(e, &err);
    }
    int failed = 0;
    for (const struct fnl_kernel_file *f = fnl__kernel_files; f->name != NULL && failed == 0; f++) {
        failed = embed_file(e, f);
    }
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: embed_ptx auto|on|off OUTPUT\n");
        return 2;
    }
    struct embed e = {.strict = strcmp(argv[1], "on") == 0};
    struct fnl_error err = FNL_ERROR_INIT;
    fnl_buf_init(&e.out, (size_t)256 << 20);
    fnl_buf_init(&e.rows, (size_t)1 << 20);
    (void)fnl_buf_puts(&e.out, "/* Made by tools/embed_ptx.c. */\n"
                               "#include \"device/cuda/embedded.h\"\n\n#include <stddef.h>\n\n");
    int failed = strcmp(argv[1], "off") == 0 ? 0 : embed_all(&e);
    (void)fnl_buf_printf(&e.out, "const char fnl__cuda_embedded_by[] = \"%s\";\n",
                         e.nvrtc == NULL ? "" : fnl__nvrtc_version(e.nvrtc));
    (void)fnl_buf_printf(&e.out,
                         "const struct fnl__cuda_embedded fnl__cuda_embedded[] = {\n%s"
                         "    {NULL, NULL, NULL, 0, 0},\n};\n",
                         e.rows.data == NULL ? "" : e.rows.data);
    if (failed == 0 && (e.out.failed || e.rows.failed ||
                        fnl_file_write(argv[2], e.out.data, e.out.size, &err) != 0)) {
        (void)fprintf(stderr, "embed_ptx: %s: cannot be written %s\n", argv[2], err.message);
        failed = 1;
    }
    fnl_buf_free(&e.out);
    fnl_buf_free(&e.rows);
    return failed;
}
