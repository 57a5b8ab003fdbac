/* tar.c - the entries of a tar archive in memory, one after the other. Blocks of 512 bytes: a
 * header (ustar, or old tar), then the data. Of a path only the last part is given out, so nothing
 * can be written outside; links, devices and extensions are passed over as entries that are not
 * regular files. Every size is held against the archive. Source: POSIX.1-2017, pax, ustar. */
#include <string.h>

#include "fetch/fetch_int.h"

#define BLOCK 512u

static int damaged(const struct fnl__tar *t, const char *what, struct fnl_error *err)
{
    return FNL_FAIL(err, FORMAT, "the archive is damaged: fetch it again",
                    "%s: offset %zu: tar: %s", t->name, t->pos, what);
}

/* Octal digits with blanks before and a blank or NUL behind. */
static bool octal(const char *p, size_t size, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = 0;
    while (i < size && p[i] == ' ') {
        i++;
    }
    size_t first = i;
    for (; i < size && p[i] >= '0' && p[i] <= '7'; i++) {
        value = value * 8 + (uint64_t)(p[i] - '0'); /* at most 12 digits: no overflow */
    }
    *ret = value;
    return i > first && (i == size || p[i] == ' ' || p[i] == 0);
}

static bool checksum_is_right(const char *header)
{
    uint64_t want = 0, sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)header[i];
    }
    return octal(header + 148, 8, &want) && want == sum;
}

static void last_part(const char *path, size_t size, char out[101])
{
    size_t n = strnlen(path, size), start = n;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    memcpy(out, path + start, n - start);
    out[n - start] = 0;
}

int fnl__tar_next(struct fnl__tar *tar, struct fnl__tar_entry *ret, struct fnl_error *err)
{
    static const char zeros[BLOCK];
    struct fnl__tar_entry e = {.name = ""};
    uint64_t size = 0;
    if (tar->pos == tar->size) { /* some archives lack the closing blocks of zeros */
        *ret = e;
        return 0;
    }
    if (tar->size - tar->pos < BLOCK) {
        return damaged(tar, "a header is cut short", err);
    }
    const char *header = tar->data + tar->pos;
    if (memcmp(header, zeros, BLOCK) == 0) {
        *ret = e;
        return 0;
    }
    if (!checksum_is_right(header)) {
        return damaged(tar, "wrong checksum of a header", err);
    }
    if (!octal(header + 124, 12, &size)) {
        return damaged(tar, "bad size of an entry", err);
    }
    size_t left = tar->size - tar->pos - BLOCK;
    if (size > left) {
        return damaged(tar, "an entry reaches beyond the archive", err);
    }
    last_part(header, 100, e.name);
    char type = header[156];
    e.regular = (type == '0' || type == 0) && e.name[0] != 0;
    e.data = header + BLOCK;
    e.size = (size_t)size;
    if (e.name[0] == 0) { /* "folder/": must not look like the end */
        e.name[0] = '/';
    }
    size_t blocks = (e.size + BLOCK - 1) / BLOCK * BLOCK;
    tar->pos += BLOCK + (blocks < left ? blocks : left);
    *ret = e;
    return 0;
}
