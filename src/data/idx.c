/* idx.c - IDX files, the format of MNIST: two zero bytes, a type code, the number of dimensions,
 * the dimensions as big-endian uint32, the elements big-endian. Plain or gzip. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/mem.h"
#include "data/data_int.h"

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool element_of(unsigned code, enum fnl__element *ret)
{
    static const struct {
        unsigned code;
        enum fnl__element element;
    } codes[] = {{0x08, FNL_ELEMENT_U8},  {0x09, FNL_ELEMENT_I8},  {0x0B, FNL_ELEMENT_I16},
                 {0x0C, FNL_ELEMENT_I32}, {0x0D, FNL_ELEMENT_F32}, {0x0E, FNL_ELEMENT_F64}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code == code) {
            *ret = codes[i].element;
            return true;
        }
    }
    return false;
}

int fnl__idx_parse(const char *name, const char *data, size_t size, struct fnl__array *ret,
                   struct fnl_error *err)
{
    const unsigned char *p = (const unsigned char *)data;
    struct fnl__array a = {.name = name, .big_endian = true, .data = data};
    if (size < 4) {
        return FNL_FAIL(err, FORMAT, "the file is cut short: fetch or make it again",
                        "%s: offset %zu: the IDX header needs 4 bytes", name, size);
    }
    if (p[0] != 0 || p[1] != 0 || !element_of(p[2], &a.element)) {
        return FNL_FAIL(
            err, FORMAT, "data.format idx expects files such as train-images-idx3-ubyte",
            "%s: offset 0: not an IDX file (magic %02x%02x%02x%02x)", name, p[0], p[1], p[2], p[3]);
    }
    a.rank = p[3];
    if (a.rank < 1 || a.rank > 4) {
        return FNL_FAIL(err, FORMAT, NULL, "%s: offset 3: %d dimensions, expected 1 to 4", name,
                        a.rank);
    }
    a.offset = 4 + 4 * (size_t)a.rank;
    if (size < a.offset) {
        return FNL_FAIL(err, FORMAT, "the file is cut short: fetch or make it again",
                        "%s: offset %zu: the IDX header needs %zu bytes", name, size, a.offset);
    }
    for (int i = 0; i < a.rank; i++) {
        a.dim[i] = big32(p + 4 + 4 * i);
    }
    int rc = fnl__array_check(&a, size, err);
    if (rc == 0) {
        *ret = a;
    }
    return rc;
}

static int read_samples(struct fnl__load *load, const char *file, struct fnl_dataset *out,
                        struct fnl_error *err)
{
    char *path = NULL, *data = NULL;
    size_t size = 0;
    struct fnl__array a;
    int rc = fnl__load_file(load, file, &path, &data, &size, err);
    if (rc == 0) {
        rc = fnl__idx_parse(path, data, size, &a, err);
    }
    if (rc == 0 && a.rank < 2) {
        rc = FNL_FAIL(err, FORMAT, "are images and labels exchanged?",
                      "%s: offset 3: 1 dimension, expected 2 or more of samples", path);
    }
    if (rc == 0) {
        rc = fnl__array_samples(load, &a, &data, out, err);
    }
    fnl_free(data);
    fnl_free(path);
    return rc;
}

static int read_targets(struct fnl__load *load, const char *file, struct fnl_dataset *out,
                        struct fnl_error *err)
{
    char *path = NULL, *data = NULL;
    size_t size = 0;
    struct fnl__array a;
    int rc = fnl__load_file(load, file, &path, &data, &size, err);
    if (rc == 0) {
        rc = fnl__idx_parse(path, data, size, &a, err);
    }
    if (rc == 0 && a.rank > 2) {
        rc = FNL_FAIL(err, FORMAT, "are images and labels exchanged?",
                      "%s: offset 3: %d dimensions, expected the one of labels", path, a.rank);
    }
    if (rc == 0) {
        rc = fnl__array_targets(load, &a, out, err);
    }
    fnl_free(data);
    fnl_free(path);
    return rc;
}

int fnl__read_idx(struct fnl__load *load, const struct fnl__files *files, struct fnl_dataset *out,
                  struct fnl_error *err)
{
    int rc = read_samples(load, files->images, out, err);
    return rc != 0 ? rc : read_targets(load, files->labels, out, err);
}
