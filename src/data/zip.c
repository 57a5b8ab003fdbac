/* zip.c - one member out of a zip archive, as numpy.savez and savez_compressed write them: stored
 * or deflated, with ZIP64 fields. The central directory is found from the end; every offset and
 * size is held against the file before use; the member's CRC is checked. Encryption and archives in
 * several parts are refused. Source: PKWARE's APPNOTE.TXT 6.3. */
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/data_int.h"

#define END_BYTES 22u
#define CENTRAL_BYTES 46u
#define LOCAL_BYTES 30u
#define COMMENT_MAX 65535u
#define DEFLATE_RATIO_MAX 1032u

struct zip {
    const char *name;
    const unsigned char *data;
    size_t size;
    uint64_t directory, entries; /* central directory: offset, members */
};

struct member {
    unsigned method, flags;
    uint32_t crc;
    uint64_t packed, size, local; /* bytes in the archive, bytes out, offset of the local header */
};

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

static int damaged(const struct zip *z, uint64_t offset, const char *what, struct fnl_error *err)
{
    return FNL_FAIL(err, FORMAT,
                    "the archive is damaged or cut short: write it again with numpy.savez",
                    "%s: offset %llu: zip: %s", z->name, (unsigned long long)offset, what);
}

/* Whether [offset, offset + bytes) lies in the file. */
static bool inside(const struct zip *z, uint64_t offset, uint64_t bytes)
{
    return offset <= z->size && bytes <= z->size - offset;
}

static int find_directory(struct zip *z, struct fnl_error *err)
{
    if (z->size < END_BYTES) {
        return damaged(z, z->size, "too short for an archive", err);
    }
    size_t lowest = z->size > END_BYTES + COMMENT_MAX ? z->size - END_BYTES - COMMENT_MAX : 0;
    size_t at = z->size - END_BYTES;
    while (little(z->data + at, 4) != 0x06054b50u) {
        if (at == lowest) {
            return damaged(z, z->size, "no end of central directory", err);
        }
        at--;
    }
    z->entries = little(z->data + at + 10, 2);
    z->directory = little(z->data + at + 16, 4);
    if ((z->directory == 0xFFFFFFFFu || z->entries == 0xFFFFu) && at >= 20 &&
        little(z->data + at - 20, 4) == 0x07064b50u) {
        uint64_t end64 = little(z->data + at - 12, 8);
        if (!inside(z, end64, 56) || little(z->data + end64, 4) != 0x06064b50u) {
            return damaged(z, at - 12, "bad ZIP64 end of central directory", err);
        }
        z->entries = little(z->data + end64 + 32, 8);
        z->directory = little(z->data + end64 + 48, 8);
    }
    if (z->entries > FNL_MAX_ZIP_MEMBERS) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: %llu members (at most %d)", z->name,
                        (unsigned long long)z->entries, FNL_MAX_ZIP_MEMBERS);
    }
    return 0;
}

/* Sizes of 0xFFFFFFFF stand in the ZIP64 extra field, in fixed order, only those that are needed.
 */
static void read_zip64(const unsigned char *extra, size_t bytes, struct member *m)
{
    while (bytes >= 4) {
        size_t length = (size_t)little(extra + 2, 2);
        if (length > bytes - 4) {
            return;
        }
        if (little(extra, 2) == 1) {
            const unsigned char *p = extra + 4, *end = p + length;
            uint64_t *const field[] = {&m->size, &m->packed, &m->local};
            for (int i = 0; i < 3; i++) {
                if (*field[i] == 0xFFFFFFFFu && end - p >= 8) {
                    *field[i] = little(p, 8);
                    p += 8;
                }
            }
            return;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
}

static bool is_called(const unsigned char *text, size_t size, const char *name)
{
    size_t n = strlen(name);
    return (size == n || (size == n + 4 && memcmp(text + n, ".npy", 4) == 0)) &&
           memcmp(text, name, n) == 0;
}

static int find_member(const struct zip *z, const char *name, struct member *ret,
                       struct fnl_error *err)
{
    uint64_t at = z->directory;
    for (uint64_t i = 0; i < z->entries; i++) {
        if (!inside(z, at, CENTRAL_BYTES) || little(z->data + at, 4) != 0x02014b50u) {
            return damaged(z, at, "bad central directory", err);
        }
        const unsigned char *p = z->data + at;
        uint64_t names = little(p + 28, 2), extra = little(p + 30, 2), comment = little(p + 32, 2);
        if (!inside(z, at, CENTRAL_BYTES + names + extra + comment)) {
            return damaged(z, at, "the central directory ends too early", err);
        }
        if (is_called(p + CENTRAL_BYTES, (size_t)names, name)) {
            *ret = (struct member){.flags = (unsigned)little(p + 8, 2),
                                   .method = (unsigned)little(p + 10, 2),
                                   .crc = (uint32_t)little(p + 16, 4),
                                   .packed = little(p + 20, 4),
                                   .size = little(p + 24, 4),
                                   .local = little(p + 42, 4)};
            read_zip64(p + CENTRAL_BYTES + names, (size_t)extra, ret);
            return 0;
        }
        at += CENTRAL_BYTES + names + extra + comment;
    }
    return FNL_FAIL(err, FORMAT, "name the arrays of the archive with x and y",
                    "%s: has no array \"%.100s\"", z->name, name);
}

static void *z_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return fnl_calloc(count, size);
}

static void z_free(void *opaque, void *p)
{
    (void)opaque;
    fnl_free(p);
}

/* Inflates exactly m->size bytes. zlib counts in unsigned int, so both sides go in pieces. */
static int inflate_into(const struct zip *z, const struct member *m, uint64_t start, char *out,
                        struct fnl_error *err)
{
    z_stream s = {.zalloc = z_alloc, .zfree = z_free};
    union { /* zlib's next_in is not const */
        const unsigned char *in;
        unsigned char *next;
    } from = {.in = z->data + start};
    uint64_t in_left = m->packed, out_left = m->size;
    int zrc = inflateInit2(&s, -15);
    if (zrc != Z_OK) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", z->name);
    }
    s.next_in = from.next;
    s.next_out = (unsigned char *)out;
    do {
        unsigned in = in_left < UINT_MAX ? (unsigned)in_left : UINT_MAX;
        unsigned room = out_left < UINT_MAX ? (unsigned)out_left : UINT_MAX;
        s.avail_in = in;
        s.avail_out = room;
        zrc = inflate(&s, Z_NO_FLUSH);
        in_left -= in - s.avail_in;
        out_left -= room - s.avail_out;
    } while (zrc == Z_OK && (in_left != 0 || out_left != 0));
    (void)inflateEnd(&s);
    if (zrc == Z_MEM_ERROR) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", z->name);
    }
    if (zrc != Z_STREAM_END || out_left != 0) {
        return damaged(z, start + (m->packed - in_left), "bad compressed data", err);
    }
    return 0;
}

static int unpack(const struct zip *z, const struct member *m, char *out, struct fnl_error *err)
{
    if (!inside(z, m->local, LOCAL_BYTES) || little(z->data + m->local, 4) != 0x04034b50u) {
        return damaged(z, m->local, "bad header of a member", err);
    }
    const unsigned char *p = z->data + m->local;
    uint64_t start = m->local + LOCAL_BYTES + little(p + 26, 2) + little(p + 28, 2);
    if (!inside(z, start, m->packed)) {
        return damaged(z, start, "a member reaches beyond the file", err);
    }
    if (m->method == 0) {
        memcpy(out, z->data + start, (size_t)m->size);
    } else {
        int rc = inflate_into(z, m, start, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    uLong crc = crc32_z(0, (const unsigned char *)out, (size_t)m->size);
    return crc == m->crc ? 0 : damaged(z, start, "wrong checksum of a member", err);
}

int fnl__zip_extract(const char *name, const char *data, size_t size, const char *member,
                     size_t max, char **ret_data, size_t *ret_size, struct fnl_error *err)
{
    struct zip z = {.name = name, .data = (const unsigned char *)data, .size = size};
    struct member m = {0};
    int rc = find_directory(&z, err);
    if (rc == 0) {
        rc = find_member(&z, member, &m, err);
    }
    if (rc != 0) {
        return rc;
    }
    if ((m.flags & 1u) != 0 || (m.method != 0 && m.method != Z_DEFLATED)) {
        return FNL_FAIL(err, UNSUPPORTED, "write it again with numpy.savez",
                        "%s: array \"%.100s\" is %s", name, member,
                        (m.flags & 1u) != 0 ? "encrypted" : "compressed by an unknown method");
    }
    if (m.packed > size || (m.method == 0 && m.packed != m.size) ||
        m.size / DEFLATE_RATIO_MAX > m.packed) {
        return damaged(&z, m.local, "impossible size of a member", err);
    }
    if (m.size > max) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: array \"%.100s\" has %llu bytes (at most %zu here)",
                        name, member, (unsigned long long)m.size, max);
    }
    char *out = fnl_malloc((size_t)m.size);
    if (out == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory for %llu bytes", name,
                        (unsigned long long)m.size);
    }
    rc = unpack(&z, &m, out, err);
    if (rc != 0) {
        fnl_free(out);
        return rc;
    }
    *ret_data = out;
    *ret_size = (size_t)m.size;
    return 0;
}
