/* data_test.h - a configuration text and its files in the test's folder, loaded. */
#ifndef FNL_TESTS_DATA_TEST_H
#define FNL_TESTS_DATA_TEST_H

#include "base/test.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "data/data.h"

struct loaded {
    struct fnl_yaml *doc;
    struct fnl_data_config *config;
    struct fnl_splits *splits;
};

static inline void unload(struct loaded *l)
{
    fnl_splits_free(l->splits);
    fnl_data_config_free(l->config);
    fnl_yaml_free(l->doc);
    *l = (struct loaded){0};
}

/* text: what stands under `data:`, in flow style or indented by two. */
static inline int try_load(const char *text, uint64_t seed, struct loaded *l, struct fnl_error *err)
{
    static char all[1 << 16];
    *l = (struct loaded){0};
    int n = snprintf(all, sizeof all, "data:%s%s\n", text[0] == '{' ? " " : "\n", text);
    assert_true(n > 0 && (size_t)n < sizeof all);
    int rc = fnl_yaml_parse("test.yaml", all, (size_t)n, &l->doc, err);
    if (rc == 0) {
        const struct fnl_yaml_node *data = fnl_yaml_get(fnl_yaml_root(l->doc), "data");
        rc = fnl_data_config_read(l->doc, data, &l->config, err);
    }
    if (rc == 0) {
        rc = fnl_data_load(l->config, test_dir, seed, &l->splits, err);
    }
    if (rc != 0) {
        unload(l);
    }
    return rc;
}

static inline void load(const char *text, struct loaded *l)
{
    struct fnl_error err = FNL_ERROR_INIT;
    if (try_load(text, 1, l, &err) != 0) {
        fail_msg("%s (%s)", err.message, err.hint);
    }
}

/* Loading fails with the code, and message or hint hold each part ("a|b|c"). */
static inline void load_fails(const char *text, int code, const char *parts)
{
    struct loaded l;
    struct fnl_error err = FNL_ERROR_INIT;
    char all[1400], part[256];
    int rc = try_load(text, 1, &l, &err);
    if (rc == 0) {
        unload(&l);
        fail_msg("loaded: %s", text);
    }
    (void)snprintf(all, sizeof all, "%s / %s", err.message, err.hint);
    if (rc != code) {
        fail_msg("code %d, not %d: %s", rc, code, all);
    }
    while (*parts != 0) {
        size_t n = strcspn(parts, "|");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, parts);
        if (strstr(all, part) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", part, all);
        }
        parts += n + (parts[n] == '|');
    }
}

static inline void write_text(const char *name, const char *text)
{
    test_write(test_path(name), text, strlen(text));
}

static inline void put32(unsigned char *p, uint32_t v)
{
    p[0] = (unsigned char)(v >> 24);
    p[1] = (unsigned char)(v >> 16);
    p[2] = (unsigned char)(v >> 8);
    p[3] = (unsigned char)v;
}

/* IDX of bytes; dims end with 0. Returns the file's size. */
static inline size_t write_idx(const char *name, const uint32_t *dims, const void *data)
{
    static unsigned char file[1 << 20];
    size_t rank = 0, bytes = 1;
    for (; dims[rank] != 0; rank++) {
        put32(file + 4 + 4 * rank, dims[rank]);
        bytes *= dims[rank];
    }
    put32(file, 0x0800u | (uint32_t)rank);
    assert_true(4 + 4 * rank + bytes <= sizeof file);
    memcpy(file + 4 + 4 * rank, data, bytes);
    test_write(test_path(name), file, 4 + 4 * rank + bytes);
    return 4 + 4 * rank + bytes;
}

/* Copies the first `size` bytes of a file of the test's folder. */
static inline void write_cut(const char *from, const char *to, size_t size)
{
    static char bytes[1 << 20];
    FILE *f = fopen(test_path(from), "rb");
    assert_non_null(f);
    assert_true(fread(bytes, 1, sizeof bytes, f) >= size);
    (void)fclose(f);
    test_write(test_path(to), bytes, size);
}

static inline size_t file_size(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static inline void assert_floats(const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(got[i] == want[i])) {
            fail_msg("value %zu: %.9g, not %.9g", i, (double)got[i], (double)want[i]);
        }
    }
}

/* $FOURNIL_SHARED/data, or NULL with a line that says so. */
static inline const char *shared_data(void)
{
    static char path[512];
    const char *shared = getenv("FOURNIL_SHARED");
    (void)snprintf(path, sizeof path, "%s/data", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) {
        printf("# skipped: %s is not there (set FOURNIL_SHARED)\n", path);
        return NULL;
    }
    return path;
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, test_dir_make, test_dir_remove)

#endif
