/* files_write.c - files that are whole or absent.
 *
 * begin, append any number of times, then commit or abort. The bytes go to a hidden name in the
 * target's folder; commit flushes, syncs, renames over the target and syncs the folder. Until the
 * rename the old file is untouched; when anything fails the hidden file is removed. A reader sees
 * the old bytes or the new ones, never a mixture, also after a power cut.
 *
 * After a failed append the writer stays failed: commit then reports the failure again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/files_int.h"
#include "base/limits.h"
#include "base/mem.h"

#define TEMP_PREFIX ".fournil-"
#define TEMP_SUFFIX ".tmp"
#define BUFFER_BYTES ((size_t)64 << 10)

struct fnl_file_writer {
    char *path, *dir, *temp;
    int fd;
    int failed; /* errno of the first failure, 0 = none */
    size_t used;
    bool synced; /* nothing was written since the last sync */
    char buffer[BUFFER_BYTES];
};

/* Closes, removes the hidden file when there is one still, frees. */
static void writer_free(struct fnl_file_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->fd >= 0) {
        (void)close(w->fd);
        (void)unlink(w->temp);
    }
    fnl_free(w->temp);
    fnl_free(w->dir);
    fnl_free(w->path);
    fnl_free(w);
}

/* A name that open_temp makes. */
static bool is_temp(const char *name)
{
    static const char digits[] = "0123456789";
    size_t n = strlen(TEMP_PREFIX);
    if (strncmp(name, TEMP_PREFIX, n) != 0) {
        return false;
    }
    size_t process = strspn(name + n, digits);
    if (process == 0 || name[n + process] != '-') {
        return false;
    }
    n += process + 1;
    size_t number = strspn(name + n, digits);
    return number > 0 && strcmp(name + n + number, TEMP_SUFFIX) == 0;
}

void fnl_file_sweep(const char *dir)
{
    DIR *folder = opendir(dir);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (is_temp(e->d_name)) {
            (void)unlinkat(dirfd(folder), e->d_name, 0);
        }
    }
    (void)closedir(folder);
}

/* Opens a fresh hidden name; fills w->temp and w->fd. */
static int open_temp(struct fnl_file_writer *w, struct fnl_error *err)
{
    static _Atomic unsigned counter;
    for (int i = 0; i < FNL_MAX_TEMP_TRIES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, TEMP_PREFIX "%ld-%u" TEMP_SUFFIX, (long)getpid(),
                       atomic_fetch_add(&counter, 1));
        fnl_free(w->temp);
        w->temp = fnl_path_join(w->dir, name);
        if (w->temp == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", w->path);
        }
        w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) {
            return 0;
        }
        if (errno != EEXIST && errno != EINTR) {
            break;
        }
    }
    return fnl__file_fail(err, errno, "write", w->path);
}

int fnl_file_begin(const char *path, struct fnl_file_writer **ret_w, struct fnl_error *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        return fnl__file_fail(err, EISDIR, "write", path);
    }
    struct fnl_file_writer *w = fnl_malloc(sizeof *w);
    if (w == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    }
    w->fd = -1;
    w->failed = 0;
    w->used = 0;
    w->synced = false;
    w->temp = NULL;
    w->path = fnl_strdup(path);
    w->dir = fnl_path_dirname(path);
    int rc = 0;
    if (w->path == NULL || w->dir == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path);
    } else {
        rc = open_temp(w, err);
    }
    if (rc != 0) {
        writer_free(w);
        return rc;
    }
    if (there && S_ISREG(st.st_mode)) {
        (void)fchmod(w->fd, st.st_mode & 07777); /* the new file is as open or closed as the old */
    }
    *ret_w = w;
    return 0;
}

static int flush(struct fnl_file_writer *w)
{
    if (w->failed == 0 && w->used != 0) {
        if (fnl__file_write_all(w->fd, w->buffer, w->used) != 0) {
            w->failed = errno;
        }
        w->used = 0;
    }
    return w->failed;
}

int fnl_file_append(struct fnl_file_writer *w, const void *data, size_t size, struct fnl_error *err)
{
    w->synced = false;
    if (w->failed == 0 && size <= BUFFER_BYTES - w->used) {
        if (size != 0) {
            memcpy(w->buffer + w->used, data, size);
        }
        w->used += size;
        return 0;
    }
    if (flush(w) == 0 && fnl__file_write_all(w->fd, data, size) != 0) {
        w->failed = errno;
    }
    return w->failed == 0 ? 0 : fnl__file_fail(err, w->failed, "write", w->path);
}

static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == EACCES ? 0 : -1; /* a folder one may write but not read cannot be synced */
    }
    int rc = fnl__file_sync(fd);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS)) {
        rc = 0; /* file systems that cannot sync a folder say so */
    }
    int number = errno;
    (void)close(fd);
    errno = number;
    return rc;
}

int fnl_path_rename(const char *from, const char *to, struct fnl_error *err)
{
    char *dir = fnl_path_dirname(to);
    if (dir == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", to);
    }
    int rc = 0;
    if (rename(from, to) != 0) {
        bool taken = errno == ENOTEMPTY || errno == EEXIST;
        rc = taken ? FNL_FAIL(err, BUSY, NULL, "%s: is there already", to)
                   : fnl__file_fail(err, errno, "rename", from);
    } else if (sync_dir(dir) != 0) {
        rc = fnl__file_fail(err, errno, "sync the folder after renaming", to);
    }
    fnl_free(dir);
    return rc;
}

int fnl_file_sync(struct fnl_file_writer *w, struct fnl_error *err)
{
    bool synced = w->synced && w->used == 0;
    if (flush(w) == 0 && !synced && fnl__file_sync(w->fd) != 0) {
        w->failed = errno;
    }
    w->synced = w->failed == 0;
    return w->synced ? 0 : fnl__file_fail(err, w->failed, "write", w->path);
}

int fnl_file_commit(struct fnl_file_writer *w, struct fnl_error *err)
{
    int rc = fnl_file_sync(w, err);
    if (rc != 0) {
        writer_free(w);
        return rc;
    }
    int closed = close(w->fd);
    int number = errno;
    w->fd = -1;
    if (closed != 0 || rename(w->temp, w->path) != 0) {
        number = closed != 0 ? number : errno;
        (void)unlink(w->temp);
        rc = fnl__file_fail(err, number, "write", w->path);
    } else if (sync_dir(w->dir) != 0) {
        rc = fnl__file_fail(err, errno, "sync the folder after writing", w->path);
    }
    writer_free(w);
    return rc;
}

void fnl_file_abort(struct fnl_file_writer *w)
{
    writer_free(w);
}

int fnl_file_write(const char *path, const void *data, size_t size, struct fnl_error *err)
{
    struct fnl_file_writer *w = NULL;
    int rc = fnl_file_begin(path, &w, err);
    if (rc != 0) {
        return rc;
    }
    rc = fnl_file_append(w, data, size, err);
    if (rc != 0) {
        fnl_file_abort(w);
        return rc;
    }
    return fnl_file_commit(w, err);
}
