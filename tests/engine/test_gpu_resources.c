/* Every GPU kernel compiled by NVRTC to machine code of four generations, without a GPU: that it
 * compiles, that nothing spills, and that registers and shared memory stay within
 * tests/engine/kernel_resources.txt. After a change of kernels:
 * FOURNIL_UPDATE_DOCS=1 ctest -R test_gpu_resources writes the table anew.
 *
 * And the PTX that the build embeds, by ptxas, where a toolkit has it: its version was set back,
 * and only ptxas can tell that the code is right in that version. */
#include "base/test.h"

#include <spawn.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/files.h"
#include "base/mem.h"
#include "device/cuda/embedded.h"
#include "device/cuda/nvrtc.h"
#include "engine/kernels/kernels.h"

#define TABLE "tests/engine/kernel_resources.txt"

static const int archs[] = {75, 80, 90, 100};

struct used {
    char kernel[64];
    int registers, shared_bytes, spill_bytes;
};

static char *whole_source(const struct fnl_kernel_file *f)
{
    struct fnl_buf b;
    fnl_buf_init(&b, 4 << 20);
    assert_int_equal(fnl_buf_puts(&b, fnl__kernel_dialect), 0);
    assert_int_equal(fnl_buf_printf(&b, "#line 1 \"%s.k\"\n", f->name), 0);
    assert_int_equal(fnl_buf_puts(&b, f->source), 0);
    return b.data;
}

/* The next kernel of ptxas' report; NULL: no more. */
static const char *next_used(const char *log, struct used *u)
{
    static const char begin[] = "Compiling entry function '";
    int stores = 0, loads = 0, stack = 0;
    const char *p = strstr(log, begin);
    if (p == NULL) {
        return NULL;
    }
    p += sizeof begin - 1;
    memset(u, 0, sizeof *u);
    (void)snprintf(u->kernel, sizeof u->kernel, "%.*s", (int)strcspn(p, "'"), p);
    const char *end = strstr(p, begin);
    const char *spills = strstr(p, " bytes stack frame"), *used = strstr(p, ": Used ");
    assert_true(spills != NULL && used != NULL && (end == NULL || (spills < end && used < end)));
    while (spills[-1] >= '0' && spills[-1] <= '9') {
        spills--;
    }
    assert_int_equal(sscanf(spills,
                            "%d bytes stack frame, %d bytes spill stores, %d bytes spill loads",
                            &stack, &stores, &loads),
                     3);
    u->spill_bytes = stores + loads;
    assert_int_equal(sscanf(used, ": Used %d registers", &u->registers), 1);
    const char *line = used + strcspn(used, "\n"), *shared = strstr(used, " bytes smem");
    if (shared != NULL && shared < line) {
        while (shared[-1] >= '0' && shared[-1] <= '9') {
            shared--;
        }
        assert_int_equal(sscanf(shared, "%d", &u->shared_bytes), 1);
    }
    return line;
}

/* Registers are handed out in eights: what is within one handful costs the same. */
static int in_eights(int registers)
{
    return (registers + 7) / 8 * 8;
}

static void add_row(struct fnl_buf *out, const struct fnl_kernel_file *f, int variant, int arch,
                    const struct used *u)
{
    if (u->spill_bytes != 0) {
        fail_msg("%s.k, variant %d: %s spills %d bytes for sm_%d", f->name, variant, u->kernel,
                 u->spill_bytes, arch);
    }
    (void)fnl_buf_printf(out, "%s %d %s sm_%d %d %d\n", f->name, variant, u->kernel, arch,
                         in_eights(u->registers), u->shared_bytes);
}

static void compile(const struct fnl__nvrtc *nvrtc, const struct fnl_kernel_file *f, int variant,
                    const char *defines, int arch, struct fnl_buf *out)
{
    struct fnl_error err = FNL_ERROR_INIT;
    char *source = whole_source(f), *image = NULL, *log = NULL;
    size_t size = 0;
    struct used u;
    int kernels = 0;
    const struct fnl__nvrtc_job job = {f->name, source, defines, arch, true};
    if (fnl__nvrtc_compile(nvrtc, &job, &image, &size, &log, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_memory_equal(image, "\177ELF", 4);
    assert_non_null(log);
    for (const char *p = next_used(log, &u); p != NULL; p = next_used(p, &u)) {
        add_row(out, f, variant, arch, &u);
        kernels++;
    }
    assert_true(kernels > 0);
    fnl_free(source);
    fnl_free(image);
    fnl_free(log);
}

static void print_all(const struct fnl__nvrtc *nvrtc, struct fnl_buf *out)
{
    (void)fnl_buf_printf(
        out,
        "# What GPU kernels need: file, variant of its defines (kernels.h), kernel, "
        "architecture,\n"
        "# registers of a work-item (rounded up to 8), bytes of shared memory of a "
        "group; none spills.\n"
        "# Made by test_gpu_resources (FOURNIL_UPDATE_DOCS=1) with NVRTC %s\n",
        fnl__nvrtc_version(nvrtc));
    for (const struct fnl_kernel_file *f = fnl__kernel_files; f->name != NULL; f++) {
        const char *defines;
        for (int v = 0; (defines = fnl__kernel_gpu_defines(f, v)) != NULL; v++) {
            for (size_t i = 0; i < TEST_COUNT(archs); i++) {
                if (fnl__nvrtc_knows(nvrtc, archs[i])) {
                    compile(nvrtc, f, v, defines, archs[i], out);
                } else {
                    (void)fprintf(stderr, "skipped: this NVRTC does not know sm_%d\n", archs[i]);
                }
            }
        }
    }
    assert_false(out->failed);
}

/* The row of the table that begins like this one up to its two numbers; NULL: none. */
static const char *row_like(const char *table, const char *row)
{
    size_t length = strcspn(row, "\n"), blanks = 0;
    while (blanks < 2) {
        blanks += row[--length] == ' ';
    }
    length++;
    for (const char *p = table; *p != 0; p += strcspn(p, "\n"), p += *p != 0) {
        if (strncmp(p, row, length) == 0) {
            return p + length;
        }
    }
    return NULL;
}

static void compare(const char *table, const char *rows, bool same_compiler)
{
    for (const char *p = rows; *p != 0; p += strcspn(p, "\n"), p += *p != 0) {
        int registers = 0, shared = 0, most_registers = 0, most_shared = 0;
        if (*p == '#') {
            continue;
        }
        const char *bound = row_like(table, p), *own = row_like(rows, p);
        if (bound == NULL) {
            fail_msg("%.*s: not in " TABLE "; write it anew with FOURNIL_UPDATE_DOCS=1",
                     (int)strcspn(p, "\n"), p);
        }
        assert_int_equal(sscanf(bound, "%d %d", &most_registers, &most_shared), 2);
        assert_int_equal(sscanf(own, "%d %d", &registers, &shared), 2);
        if ((same_compiler && registers > most_registers) || shared > most_shared) {
            fail_msg("%.*s: at most %d registers and %d bytes are in " TABLE, (int)strcspn(p, "\n"),
                     p, most_registers, most_shared);
        }
    }
}

static void kernels_compile_for_every_generation_within_their_table(void **state)
{
    (void)state;
    const struct fnl__nvrtc *nvrtc = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_buf out;
    char *table = NULL, made_with[64];
    size_t size = 0;
    if (fnl__nvrtc_open(&nvrtc, &err) != 0) {
        (void)fprintf(stderr, "skipped: %s\n", err.message);
        skip();
    }
    fnl_buf_init(&out, 4 << 20);
    print_all(nvrtc, &out);
    if (getenv("FOURNIL_UPDATE_DOCS") != NULL) {
        assert_int_equal(fnl_file_write(TABLE, out.data, out.size, NULL), 0);
    }
    assert_int_equal(fnl_file_read(TABLE, 4 << 20, &table, &size, NULL), 0);
    (void)snprintf(made_with, sizeof made_with, "with NVRTC %s\n", fnl__nvrtc_version(nvrtc));
    bool same = strstr(table, made_with) != NULL;
    if (!same) {
        (void)fprintf(stderr, "note: registers are not compared: another NVRTC made the table\n");
    }
    compare(table, out.data, same);
    fnl_free(table);
    fnl_buf_free(&out);
}

/* ---- the build's PTX ---- */

extern char **environ;

static bool find_ptxas(char *path, size_t size)
{
    const char *const roots[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda",
                                 "/usr"};
    for (size_t i = 0; i < TEST_COUNT(roots); i++) {
        if (roots[i] != NULL) {
            (void)snprintf(path, size, "%s/bin/ptxas", roots[i]);
            if (access(path, X_OK) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void assemble(char *ptxas, const char *ptx)
{
    char arch[] = "-arch=sm_75", output[] = "-o", null[] = "/dev/null", file[256];
    (void)snprintf(file, sizeof file, "%s", test_path("kernel.ptx"));
    char *argv[] = {ptxas, arch, file, output, null, NULL};
    pid_t child = 0;
    int status = -1;
    test_write(file, ptx, strlen(ptx));
    assert_int_equal(posix_spawn(&child, ptxas, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void embedded_ptx_is_right_in_the_version_it_names(void **state)
{
    (void)state;
    char ptxas[512];
    if (fnl__cuda_embedded[0].name == NULL || !find_ptxas(ptxas, sizeof ptxas)) {
        (void)fprintf(stderr, "skipped: no PTX in this build, or no ptxas\n");
        skip();
    }
    for (const struct fnl__cuda_embedded *e = fnl__cuda_embedded; e->name != NULL; e++) {
        char *ptx = fnl__cuda_embedded_ptx(e);
        assert_non_null(ptx);
        assert_non_null(strstr(ptx, "\n.version 7.4\n.target sm_75\n"));
        assemble(ptxas, ptx);
        fnl_free(ptx);
    }
}

static void embedded_ptx_has_every_variant_of_every_file(void **state)
{
    (void)state;
    if (fnl__cuda_embedded[0].name == NULL) {
        (void)fprintf(stderr, "skipped: no PTX in this build\n");
        skip();
    }
    const struct fnl__cuda_embedded *e = fnl__cuda_embedded;
    for (const struct fnl_kernel_file *f = fnl__kernel_files; f->name != NULL; f++) {
        const char *defines;
        for (int v = 0; (defines = fnl__kernel_gpu_defines(f, v)) != NULL; v++, e++) {
            assert_non_null(e->name);
            assert_string_equal(e->name, f->name);
            assert_string_equal(e->defines, defines);
        }
    }
    assert_null(e->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_compile_for_every_generation_within_their_table),
        cmocka_unit_test_setup_teardown(embedded_ptx_is_right_in_the_version_it_names,
                                        test_dir_make, test_dir_remove),
        cmocka_unit_test(embedded_ptx_has_every_variant_of_every_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
