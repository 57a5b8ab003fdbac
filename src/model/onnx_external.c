/* onnx_external.c - tensor data in a file beside the model.
 *
 * The place comes from a stranger's file, so it is confined to the model's folder: only relative
 * paths without "..", opened folder by folder and never through a symbolic link, and only regular
 * files. Offset and length must lie inside the file before memory is taken. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/onnx_int.h"

#define PATH_PARTS_MAX 16
#define PART_BYTES_MAX 255

/* Next part of a path into out; false at its end or when it is not allowed (*good = false). */
static bool next_part(const char **path, char out[PART_BYTES_MAX + 1], bool *good)
{
    size_t size = strcspn(*path, "/");
    if (**path == '\0') {
        return false;
    }
    *good = size > 0 && size <= PART_BYTES_MAX && !(size == 1 && (*path)[0] == '.') &&
            !(size == 2 && memcmp(*path, "..", 2) == 0);
    if (!*good) {
        return false;
    }
    memcpy(out, *path, size);
    out[size] = '\0';
    *path += size;
    if (**path == '/') {
        (*path)++;
        *good = **path != '\0'; /* must not end in a slash */
    }
    return *good;
}

static int refuse(const struct fnl__onnx *o, const char *location)
{
    return FNL_FAIL(o->err, FORMAT,
                    "external data must lie in the model's folder, below it, without "
                    "symbolic links",
                    "external data \"%s\" is outside the model's folder", location);
}

/* Opens location below the folder; *ret_fd. */
static int open_confined(const struct fnl__onnx *o, const char *location, int *ret_fd)
{
    char part[PART_BYTES_MAX + 1];
    const char *rest = location;
    bool good = true;
    int parts = 0;
    int folder =
        open(o->model_dir[0] != '\0' ? o->model_dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return FNL_FAIL(o->err, IO, NULL, "%s: %s", o->model_dir, strerror(errno));
    }
    while (next_part(&rest, part, &good)) {
        bool last = *rest == '\0';
        int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK : O_DIRECTORY);
        int fd = ++parts > PATH_PARTS_MAX ? -1 : openat(folder, part, flags);
        int code = parts > PATH_PARTS_MAX ? ELOOP : errno;
        close(folder);
        if (fd < 0) {
            return code == ELOOP || code == ENOTDIR /* a link to a folder */
                       ? refuse(o, location)
                       : FNL_FAIL(o->err, NOTFOUND, "copy it beside the model",
                                  "external data \"%s\": %s", location, strerror(code));
        }
        if (last) {
            *ret_fd = fd;
            return 0;
        }
        folder = fd;
    }
    close(folder);
    return refuse(o, location);
}

static int number(const struct fnl__onnx *o, const char *key, const char *text, int64_t *ret)
{
    if (!fnl_parse_int(text, ret) || *ret < 0) {
        return FNL_FAIL(o->err, FORMAT, NULL, "external data: bad %s \"%s\"", key, text);
    }
    return 0;
}

struct place {
    const char *location;
    int64_t offset, length; /* length -1: to the end */
};

static int read_place(const struct fnl__onnx *o, const Onnx__TensorProto *t, struct place *p)
{
    *p = (struct place){NULL, 0, -1};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->n_external_data; i++) {
        const char *key = t->external_data[i]->key, *value = t->external_data[i]->value;
        if (key == NULL || value == NULL) {
            continue;
        }
        if (strcmp(key, "location") == 0) {
            p->location = value;
        } else if (strcmp(key, "offset") == 0) {
            rc = number(o, key, value, &p->offset);
        } else if (strcmp(key, "length") == 0) {
            rc = number(o, key, value, &p->length);
        }
    }
    if (rc == 0 && p->location == NULL) {
        rc = FNL_FAIL(o->err, FORMAT, NULL, "external data without location");
    }
    return rc;
}

static int read_all(const struct fnl__onnx *o, int fd, const struct place *p, char *dst,
                    size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, dst + done, size - done, (off_t)(p->offset + (int64_t)done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return FNL_FAIL(o->err, IO, NULL, "external data \"%s\": %s", p->location,
                            n < 0 ? strerror(errno) : "it became shorter while it was read");
        }
        done += (size_t)n;
    }
    return 0;
}

/* The file is regular and holds what the place says, which is size bytes. */
static int check_file(const struct fnl__onnx *o, int fd, const struct place *p, size_t size)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return FNL_FAIL(o->err, FORMAT, NULL, "external data \"%s\" is not a regular file",
                        p->location);
    }
    if ((p->length >= 0 && (uint64_t)p->length != size) || p->offset > st.st_size ||
        size > (uint64_t)(st.st_size - p->offset)) {
        return FNL_FAIL(o->err, FORMAT,
                        "the data file does not belong to this model, or is cut off",
                        "external data \"%s\": %zu bytes at offset %lld, the file has %lld",
                        p->location, size, (long long)p->offset, (long long)st.st_size);
    }
    return 0;
}

int fnl__onnx_external(const struct fnl__onnx *o, const Onnx__TensorProto *t, size_t size,
                       void **ret_data)
{
    struct place p;
    int fd = -1;
    if (o->model_dir == NULL) {
        return FNL_FAIL(o->err, UNSUPPORTED, "load the model from its file",
                        "its data is in another file");
    }
    int rc = read_place(o, t, &p);
    rc = rc == 0 ? open_confined(o, p.location, &fd) : rc;
    if (rc != 0) {
        return rc;
    }
    char *data = NULL;
    rc = check_file(o, fd, &p, size);
    if (rc == 0) {
        data = fnl_malloc(size > 0 ? size : 1);
        rc = data == NULL ? FNL_FAIL(o->err, NOMEM, NULL, "no memory for %zu bytes", size)
                          : read_all(o, fd, &p, data, size);
    }
    close(fd);
    if (rc != 0) {
        fnl_free(data);
        return rc;
    }
    *ret_data = data;
    return 0;
}
