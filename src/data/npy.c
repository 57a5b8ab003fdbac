/* npy.c - NumPy's files. An NPY file is a magic, a version, and a header that is a Python
 * dictionary in text: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. An NPZ file is a
 * zip archive of NPY files. Pickled objects and structured types are refused: the one runs code,
 * the other is no array of numbers. Source: NEP 1, and numpy/lib/format. */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/data_int.h"

struct header {
    const char *name;
    const char *text; /* not terminated */
    size_t size, pos;
    size_t base; /* offset of text in the file */
    struct fnl_error *err;
};

static int bad(const struct header *h, const char *what)
{
    return FNL_FAIL(h->err, FORMAT, "write the file again with numpy.save",
                    "%s: offset %zu: NPY header: %s", h->name, h->base + h->pos, what);
}

static char peek(struct header *h)
{
    while (h->pos < h->size && strchr(" \t\r\n", h->text[h->pos]) != NULL && h->text[h->pos] != 0) {
        h->pos++;
    }
    return h->pos < h->size ? h->text[h->pos] : 0;
}

static bool take(struct header *h, char c)
{
    if (c == 0 || peek(h) != c) {
        return false;
    }
    h->pos++;
    return true;
}

static bool take_word(struct header *h, const char *word)
{
    size_t n = strlen(word);
    (void)peek(h);
    if (h->size - h->pos < n || memcmp(h->text + h->pos, word, n) != 0) {
        return false;
    }
    h->pos += n;
    return true;
}

/* A quoted text without escapes into out; false when there is none or it is too long. */
static bool take_string(struct header *h, char *out, size_t room)
{
    char quote = peek(h);
    if (quote != '\'' && quote != '"') {
        return false;
    }
    size_t n = 0, start = h->pos + 1;
    while (start + n < h->size && h->text[start + n] != quote) {
        n++;
    }
    if (start + n >= h->size || n >= room) {
        return false;
    }
    memcpy(out, h->text + start, n);
    out[n] = 0;
    h->pos = start + n + 1;
    return true;
}

static bool take_number(struct header *h, uint64_t *ret)
{
    uint64_t value = 0;
    char c = peek(h);
    if (c < '0' || c > '9') {
        return false;
    }
    for (; h->pos < h->size && h->text[h->pos] >= '0' && h->text[h->pos] <= '9'; h->pos++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(h->text[h->pos] - '0'), &value)) {
            return false;
        }
    }
    (void)take(h, 'L'); /* Python 2 wrote its longs so */
    *ret = value;
    return true;
}

static int read_shape(struct header *h, struct fnl__array *a)
{
    if (!take(h, '(')) {
        return bad(h, "expected the shape in parentheses");
    }
    a->rank = 0;
    while (!take(h, ')')) {
        if (a->rank == FNL_MAX_RANK) {
            return bad(h, "more than 8 dimensions");
        }
        if (!take_number(h, &a->dim[a->rank])) {
            return bad(h, "expected a dimension");
        }
        a->rank++;
        if (!take(h, ',') && peek(h) != ')') {
            return bad(h, "expected , or )");
        }
    }
    if (a->rank == 0) {
        return bad(h, "the array is a single number, expected samples");
    }
    return 0;
}

static int read_descr(struct header *h, struct fnl__array *a)
{
    static const struct {
        const char *code;
        enum fnl__element element;
    } codes[] = {{"u1", FNL_ELEMENT_U8},  {"i1", FNL_ELEMENT_I8},  {"b1", FNL_ELEMENT_BOOL},
                 {"u2", FNL_ELEMENT_U16}, {"i2", FNL_ELEMENT_I16}, {"u4", FNL_ELEMENT_U32},
                 {"i4", FNL_ELEMENT_I32}, {"u8", FNL_ELEMENT_U64}, {"i8", FNL_ELEMENT_I64},
                 {"f2", FNL_ELEMENT_F16}, {"f4", FNL_ELEMENT_F32}, {"f8", FNL_ELEMENT_F64}};
    char text[64];
    if (peek(h) == '[') {
        return bad(h, "structured types are not supported");
    }
    if (!take_string(h, text, sizeof text)) {
        return bad(h, "expected the type as a text");
    }
    const char *code = text + (text[0] != 0 && strchr("<>|=", text[0]) != NULL);
    a->big_endian = text[0] == '>';
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(code, codes[i].code) == 0) {
            a->element = codes[i].element;
            return 0;
        }
    }
    return FNL_FAIL(h->err, UNSUPPORTED,
                    "convert it in numpy: x.astype('float32') or x.astype('int64')",
                    "%s: offset %zu: the type \"%.40s\" is not an array of numbers", h->name,
                    h->base + h->pos, text);
}

enum { KEY_DESCR = 1, KEY_ORDER = 2, KEY_SHAPE = 4, KEY_ALL = 7 };

static int read_entry(struct header *h, struct fnl__array *a, unsigned *seen)
{
    char key[32];
    if (!take_string(h, key, sizeof key) || !take(h, ':')) {
        return bad(h, "expected 'key':");
    }
    unsigned bit = strcmp(key, "descr") == 0           ? KEY_DESCR
                   : strcmp(key, "fortran_order") == 0 ? KEY_ORDER
                   : strcmp(key, "shape") == 0         ? KEY_SHAPE
                                                       : 0;
    if (bit == 0 || (*seen & bit) != 0) {
        return bad(h, bit == 0 ? "unknown key" : "a key stands twice");
    }
    *seen |= bit;
    if (bit == KEY_DESCR) {
        return read_descr(h, a);
    }
    if (bit == KEY_SHAPE) {
        return read_shape(h, a);
    }
    a->fortran = take_word(h, "True");
    return a->fortran || take_word(h, "False") ? 0 : bad(h, "expected True or False");
}

static int read_header(struct header *h, struct fnl__array *a)
{
    unsigned seen = 0;
    if (!take(h, '{')) {
        return bad(h, "expected {");
    }
    while (!take(h, '}')) {
        int rc = read_entry(h, a, &seen);
        if (rc != 0) {
            return rc;
        }
        if (!take(h, ',') && peek(h) != '}') {
            return bad(h, "expected , or }");
        }
    }
    if (seen != KEY_ALL) {
        return bad(h, "descr, fortran_order or shape is missing");
    }
    return peek(h) == 0 && h->pos == h->size ? 0 : bad(h, "text after the dictionary");
}

int fnl__npy_parse(const char *name, const char *data, size_t size, struct fnl__array *ret,
                   struct fnl_error *err)
{
    const unsigned char *p = (const unsigned char *)data;
    struct fnl__array a = {.name = name, .data = data};
    if (size < 10 || memcmp(data, "\x93NUMPY", 6) != 0) {
        return FNL_FAIL(err, FORMAT, "data.format npy expects files of numpy.save or numpy.savez",
                        "%s: offset 0: not an NPY file", name);
    }
    if (p[6] < 1 || p[6] > 3) {
        return FNL_FAIL(err, UNSUPPORTED, NULL, "%s: offset 6: NPY version %u, expected 1 to 3",
                        name, p[6]);
    }
    size_t start = p[6] == 1 ? 10 : 12;
    size_t length = (size_t)p[8] | (size_t)p[9] << 8;
    if (start == 12 && size >= 12) {
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    }
    if (size < start || length > size - start) {
        return FNL_FAIL(err, FORMAT, "the file is cut short: make it again",
                        "%s: offset %zu: the NPY header needs %zu bytes", name, size,
                        start + length);
    }
    if (length > FNL_MAX_NPY_HEADER_BYTES) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: offset 8: NPY header of %zu bytes (at most %zu)",
                        name, length, FNL_MAX_NPY_HEADER_BYTES);
    }
    struct header h = {name, data + start, length, 0, start, err};
    int rc = read_header(&h, &a);
    a.offset = start + length;
    if (rc == 0) {
        rc = fnl__array_check(&a, size, err);
    }
    if (rc == 0) {
        *ret = a;
    }
    return rc;
}

/* --- the reader ------------------------------------------------------------------------------- */

/* An array from a file of its own, or member `array` of the archive in data. */
struct source {
    char *name, *data; /* fnl_free */
    size_t size;
};

static int source_file(struct fnl__load *load, const char *file, struct source *s,
                       struct fnl_error *err)
{
    return fnl__load_file(load, file, &s->name, &s->data, &s->size, err);
}

static int source_member(const struct source *archive, const char *array, struct source *s,
                         struct fnl_error *err)
{
    size_t room = strlen(archive->name) + strlen(array) + 2;
    s->name = fnl_malloc(room);
    if (s->name == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", archive->name);
    }
    (void)snprintf(s->name, room, "%s:%s", archive->name, array);
    return fnl__zip_extract(archive->name, archive->data, archive->size, array,
                            fnl__data_file_max(), &s->data, &s->size, err);
}

static void source_free(struct source *s)
{
    fnl_free(s->name);
    fnl_free(s->data);
}

int fnl__read_npy(struct fnl__load *load, const struct fnl__files *files, struct fnl_dataset *out,
                  struct fnl_error *err)
{
    struct source archive = {0}, x = {0}, y = {0};
    struct fnl__array a;
    int rc = files->file != NULL ? source_file(load, files->file, &archive, err) : 0;
    if (rc == 0) {
        rc = files->file != NULL ? source_member(&archive, files->x, &x, err)
                                 : source_file(load, files->x, &x, err);
    }
    if (rc == 0) {
        rc = fnl__npy_parse(x.name, x.data, x.size, &a, err);
    }
    if (rc == 0) {
        rc = fnl__array_samples(load, &a, &x.data, out, err);
    }
    if (rc == 0) {
        rc = files->file != NULL ? source_member(&archive, files->y, &y, err)
                                 : source_file(load, files->y, &y, err);
    }
    if (rc == 0) {
        rc = fnl__npy_parse(y.name, y.data, y.size, &a, err);
    }
    if (rc == 0) {
        rc = fnl__array_targets(load, &a, out, err);
    }
    source_free(&archive);
    source_free(&x);
    source_free(&y);
    return rc;
}
