/* files_read.c - a whole file into memory, through zlib when it begins with gzip's magic.
 *
 * Never holds more than `max` result bytes (a gzip bomb ends there), and reads compressed data in
 * pieces of 64 KiB, so the peak is the result alone. A gzip file may have several members; zeros
 * after the last one (tape padding) are ignored, anything else is an error with its offset, as are
 * a cut file and a wrong checksum. Source: RFC 1952. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/files.h"
#include "base/files_int.h"
#include "base/mem.h"

#define CHUNK_BYTES ((size_t)64 << 10)
#define FIRST_CAPACITY ((size_t)64 << 10)
#define GZIP_WINDOW (15 + 16) /* zlib: largest window, gzip header and trailer only */
#define DEFLATE_RATIO_MAX 1032u

struct input {
    const char *path;
    int fd;
    uint64_t offset; /* of the end of what was read */
    size_t size;     /* bytes in chunk */
    unsigned char chunk[CHUNK_BYTES];
};

struct output {
    char *data;
    size_t size, capacity; /* one byte more is allocated, for the NUL */
    size_t max;
};

/* Fills the chunk as far as the file goes. */
static int input_next(struct input *in, struct fnl_error *err)
{
    in->size = 0;
    while (in->size < CHUNK_BYTES) {
        ssize_t n = read(in->fd, in->chunk + in->size, CHUNK_BYTES - in->size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fnl__file_fail(err, errno, "read", in->path);
        }
        if (n == 0) {
            break;
        }
        in->size += (size_t)n;
    }
    in->offset += in->size;
    return 0;
}

static int too_large(const struct input *in, const struct output *out, struct fnl_error *err)
{
    return FNL_FAIL(err, LIMIT, "check that this is the file you mean",
                    "%s: larger than the %zu bytes allowed here", in->path, out->max);
}

/* Room for at least one more byte than there is. */
static int output_grow(const struct input *in, struct output *out, size_t capacity,
                       struct fnl_error *err)
{
    if (out->size > out->max) {
        return too_large(in, out, err);
    }
    if (capacity > out->max + 1) {
        capacity = out->max + 1; /* one byte beyond max tells "too large" from "just fits" */
    }
    char *data = fnl_realloc(out->data, capacity + 1);
    if (data == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory for %zu bytes", in->path, capacity);
    }
    if (out->data == NULL) {
        fnl_mem_huge(data, capacity); /* a data set's samples are read in random order */
    }
    out->data = data;
    out->capacity = capacity;
    return 0;
}

static int output_need(const struct input *in, struct output *out, struct fnl_error *err)
{
    if (out->size < out->capacity) {
        return 0;
    }
    size_t capacity = out->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : out->capacity * 2;
    return output_grow(in, out, capacity, err);
}

static int read_plain(struct input *in, struct output *out, struct fnl_error *err)
{
    while (in->size != 0) {
        for (size_t used = 0; used < in->size;) {
            int rc = output_need(in, out, err);
            if (rc != 0) {
                return rc;
            }
            size_t n = in->size - used;
            n = n < out->capacity - out->size ? n : out->capacity - out->size;
            memcpy(out->data + out->size, in->chunk + used, n);
            out->size += n;
            used += n;
        }
        int rc = input_next(in, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
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

/* What follows the last member; *z's input points at it. Only zeros may. */
static int check_padding(struct input *in, const z_stream *z, struct fnl_error *err)
{
    const unsigned char *p = z->next_in;
    size_t left = z->avail_in;
    while (in->size != 0) {
        for (size_t i = 0; i < left; i++) {
            if (p[i] != 0) {
                return FNL_FAIL(err, FORMAT, "the file is damaged: fetch or make it again",
                                "%s: offset %llu: bytes that are not gzip after the gzip data",
                                in->path, (unsigned long long)(in->offset - left + i));
            }
        }
        int rc = input_next(in, err);
        if (rc != 0) {
            return rc;
        }
        p = in->chunk;
        left = in->size;
    }
    return 0;
}

static int inflate_failed(const struct input *in, const z_stream *z, int zrc, struct fnl_error *err)
{
    if (zrc == Z_MEM_ERROR) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", in->path);
    }
    return FNL_FAIL(err, FORMAT, "the file is damaged: fetch or make it again",
                    "%s: offset %llu: bad gzip data: %s", in->path,
                    (unsigned long long)(in->offset - z->avail_in),
                    z->msg != NULL ? z->msg : "not understood");
}

/* Inflates one member; more input is read as needed. */
static int inflate_member(struct input *in, struct output *out, z_stream *z, struct fnl_error *err)
{
    for (;;) {
        int rc = output_need(in, out, err);
        if (rc == 0 && z->avail_in == 0) {
            rc = input_next(in, err);
            z->next_in = in->chunk;
            z->avail_in = (unsigned)in->size;
        }
        if (rc != 0) {
            return rc;
        }
        if (z->avail_in == 0) {
            return FNL_FAIL(err, FORMAT, "the file is cut short: fetch or make it again",
                            "%s: offset %llu: the gzip data ends too early", in->path,
                            (unsigned long long)in->offset);
        }
        size_t room = out->capacity - out->size;
        room = room < UINT_MAX ? room : UINT_MAX;
        z->next_out = (unsigned char *)out->data + out->size;
        z->avail_out = (unsigned)room;
        int zrc = inflate(z, Z_NO_FLUSH);
        out->size += room - z->avail_out;
        if (zrc == Z_STREAM_END) {
            return out->size > out->max ? too_large(in, out, err) : 0;
        }
        if (zrc != Z_OK) {
            return inflate_failed(in, z, zrc, err);
        }
    }
}

/* More members may follow: true when the input goes on with gzip's magic (or its first byte where
 * the chunk ends). */
static bool member_follows(const z_stream *z)
{
    return z->avail_in >= 1 && z->next_in[0] == 0x1F && (z->avail_in == 1 || z->next_in[1] == 0x8B);
}

static int read_gzip(struct input *in, struct output *out, struct fnl_error *err)
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", in->path);
    }
    z.next_in = in->chunk;
    z.avail_in = (unsigned)in->size;
    int rc = 0;
    bool more = true;
    while (rc == 0 && more) {
        rc = inflate_member(in, out, &z, err);
        if (rc == 0 && z.avail_in == 0) {
            rc = input_next(in, err);
            z.next_in = in->chunk;
            z.avail_in = (unsigned)in->size;
        }
        more = member_follows(&z);
        if (rc == 0 && more && inflateReset(&z) != Z_OK) {
            rc = inflate_failed(in, &z, Z_STREAM_ERROR, err);
        }
    }
    if (rc == 0) {
        rc = check_padding(in, &z, err);
    }
    (void)inflateEnd(&z);
    return rc;
}

/* The result's likely size, so that one allocation does: the file's size, or for gzip the size in
 * its last 4 bytes, believed only as far as deflate can reach from so many bytes. */
static size_t likely_size(const struct input *in, bool gzip, uint64_t file_size)
{
    unsigned char tail[4];
    if (!gzip) {
        return (size_t)file_size;
    }
    if (file_size < 18 || pread(in->fd, tail, 4, (off_t)(file_size - 4)) != 4) {
        return 0;
    }
    size_t size = tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    return size / DEFLATE_RATIO_MAX > file_size ? 0 : size;
}

static int read_open(struct input *in, struct output *out, struct fnl_error *err)
{
    struct stat st;
    if (fstat(in->fd, &st) != 0) {
        return fnl__file_fail(err, errno, "read", in->path);
    }
    if (S_ISDIR(st.st_mode)) {
        return fnl__file_fail(err, EISDIR, "read", in->path);
    }
    int rc = input_next(in, err);
    if (rc != 0) {
        return rc;
    }
    bool gzip = in->size >= 2 && in->chunk[0] == 0x1F && in->chunk[1] == 0x8B;
    size_t likely = S_ISREG(st.st_mode) ? likely_size(in, gzip, (uint64_t)st.st_size) : 0;
    if (!gzip && likely > out->max) {
        return too_large(in, out, err);
    }
    rc = output_grow(in, out, likely + 1, err);
    if (rc == 0) {
        rc = gzip ? read_gzip(in, out, err) : read_plain(in, out, err);
    }
    if (rc == 0 && out->size > out->max) {
        rc = too_large(in, out, err);
    }
    return rc;
}

int fnl_file_read(const char *path, size_t max, char **ret_data, size_t *ret_size,
                  struct fnl_error *err)
{
    struct input *in = fnl_malloc(sizeof *in);
    if (in == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    }
    struct output out = {.max = max < PTRDIFF_MAX - 2 ? max : PTRDIFF_MAX - 2};
    in->path = path;
    in->offset = 0;
    in->fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = in->fd >= 0 ? read_open(in, &out, err) : fnl__file_fail(err, errno, "read", path);
    if (in->fd >= 0) {
        (void)close(in->fd);
    }
    fnl_free(in);
    if (rc != 0) {
        fnl_free(out.data);
        return rc;
    }
    out.data[out.size] = 0;
    /* Give back a large unused rest; when that fails, the larger block serves as well. */
    if (out.capacity - out.size > out.size / 4 + 64) {
        char *fit = fnl_realloc(out.data, out.size + 1);
        out.data = fit != NULL ? fit : out.data;
    }
    *ret_data = out.data;
    *ret_size = out.size;
    return 0;
}
