/* files.c - paths, locks, appended lines, and the system calls that tests can make fail. */
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/files_int.h"
#include "base/mem.h"

static _Atomic uint64_t fail_countdown; /* 0 = off */

void fnl_file_fail_at(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

/* True (with errno set) when this write or sync must fail. */
static bool must_fail(void)
{
    uint64_t n = atomic_load(&fail_countdown);
    while (n != 0) {
        if (atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) {
            if (n == 1) {
                errno = ENOSPC;
            }
            return n == 1;
        }
    }
    return false;
}

int fnl__file_fail(struct fnl_error *err, int number, const char *what, const char *path)
{
    char text[128];
    const char *reason = strerror_r(number, text, sizeof text);
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return FNL_FAIL(err, NOTFOUND, "check the spelling and the folder the path starts from",
                        "%s: cannot %s: %s", path, what, reason);
    case EACCES:
    case EPERM:
        return FNL_FAIL(err, IO,
                        "change its permissions (ls -ld shows them) or choose another place",
                        "%s: cannot %s: %s", path, what, reason);
    case EROFS:
        return FNL_FAIL(err, IO, "the file system is read-only: choose another folder",
                        "%s: cannot %s: %s", path, what, reason);
    case ENOSPC:
    case EDQUOT:
        return FNL_FAIL(err, IO,
                        "free some space (df -h shows what is full) or choose another folder",
                        "%s: cannot %s: %s", path, what, reason);
    case EISDIR:
        return FNL_FAIL(err, IO, "name a file inside this folder", "%s: cannot %s: %s", path, what,
                        reason);
    case ENOMEM:
        return FNL_FAIL(err, NOMEM, NULL, "%s: cannot %s: %s", path, what, reason);
    default:
        return FNL_FAIL(err, IO, NULL, "%s: cannot %s: %s", path, what, reason);
    }
}

int fnl__file_write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size != 0) {
        if (must_fail()) {
            return -1;
        }
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            errno = EIO; /* a regular file never answers so; do not turn in a circle */
            return -1;
        }
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

int fnl__file_sync(int fd)
{
    int rc = 0;
    do {
        rc = must_fail() ? -1 : fsync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

/* One writev of line and newline; puts a newline first when the file ends in a torn line. A write
 * that was cut short (disk full) is taken back, so that the file holds whole lines only. */
static int append_line(int fd, const char *line)
{
    struct stat st;
    char last = '\n';
    if (fstat(fd, &st) != 0) {
        return -1;
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) < 0) {
        return -1;
    }
    union { /* writev takes pointers to non-const it does not write through */
        const void *in;
        void *out;
    } text = {.in = line};
    char newline[] = "\n";
    size_t size = strlen(line);
    struct iovec part[3] = {
        {newline, last != '\n' ? 1u : 0u},
        {text.out, size},
        {newline, 1},
    };
    size_t total = part[0].iov_len + size + 1;
    ssize_t n = -1;
    if (!must_fail()) {
        do {
            n = writev(fd, part, 3);
        } while (n < 0 && errno == EINTR);
    }
    if (n < 0) {
        return -1;
    }
    if ((size_t)n != total) {
        errno = ENOSPC; /* what cuts a write to a regular file short */
        int undone = ftruncate(fd, st.st_size);
        (void)undone; /* the caller hears of a failure either way */
        return -1;
    }
    return must_fail() ? -1 : fdatasync(fd);
}

int fnl_file_append_line(const char *path, const char *line, struct fnl_error *err)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fnl__file_fail(err, errno, "open for appending", path);
    }
    int rc = 0;
    if (append_line(fd, line) != 0) {
        rc = fnl__file_fail(err, errno, "append a line", path);
    }
    if (close(fd) != 0 && rc == 0) {
        rc = fnl__file_fail(err, errno, "append a line", path);
    }
    return rc;
}

bool fnl_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool fnl_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_dir(const char *path, struct fnl_error *err)
{
    if (mkdir(path, 0777) == 0) {
        return 0;
    }
    int number = errno;
    if (fnl_path_is_dir(path)) {
        return 0; /* it was there, or another process was faster */
    }
    if (number == EEXIST) {
        return FNL_FAIL(err, IO, "remove it or choose another name",
                        "%s: cannot make the folder: a file of this name is there", path);
    }
    return fnl__file_fail(err, number, "make the folder", path);
}

int fnl_path_mkdirs(const char *path, struct fnl_error *err)
{
    char *copy = fnl_strdup(path);
    if (copy == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    }
    int rc = 0;
    for (char *p = copy; rc == 0 && *p != 0; p++) {
        if (*p == '/' && p != copy && p[-1] != '/') {
            *p = 0;
            rc = make_dir(copy, err);
            *p = '/';
        }
    }
    if (rc == 0) {
        rc = make_dir(copy, err);
    }
    fnl_free(copy);
    return rc;
}

char *fnl_path_join(const char *a, const char *b)
{
    size_t an = strlen(a), bn = strlen(b);
    if (b[0] == '/' || an == 0) {
        return fnl_strdup(b);
    }
    char *path = fnl_malloc(an + bn + 2);
    if (path == NULL) {
        return NULL;
    }
    memcpy(path, a, an);
    if (a[an - 1] != '/') {
        path[an++] = '/';
    }
    memcpy(path + an, b, bn + 1);
    return path;
}

char *fnl_path_dirname(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return fnl_strdup(".");
    }
    while (slash > path && slash[-1] == '/') {
        slash--;
    }
    return slash == path ? fnl_strdup("/") : fnl_strndup(path, (size_t)(slash - path));
}

const char *fnl_path_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

int fnl_file_lock(const char *path, int *ret_fd, struct fnl_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fnl__file_fail(err, errno, "open the lock file", path);
    }
    int rc = 0;
    do {
        rc = flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        int number = errno;
        (void)close(fd);
        if (number == EWOULDBLOCK) {
            return FNL_FAIL(err, BUSY, "wait until it ends, or use another folder",
                            "%s: in use by another process", path);
        }
        return fnl__file_fail(err, number, "lock", path);
    }
    *ret_fd = fd;
    return 0;
}

void fnl_file_unlock(int fd)
{
    if (fd >= 0) {
        (void)close(fd); /* the last descriptor takes the lock with it */
    }
}
