/* fetch.c - one set: for each file, what is there is checked, what is missing is downloaded into
 * NAME.part (from where it ends), checked, and renamed.
 *
 * Tries: each address of the set in turn; on one address up to FNL_MAX_DOWNLOAD_TRIES while errors
 * are temporary, counted anew after a try that got further, up to TRIES_IN_ALL. A part whose
 * sum is wrong is deleted; when it had been resumed (the old part may have been the damaged one)
 * the same address is tried once more from the start. A lock file keeps two commands out of each
 * other's parts. */
#include "fetch/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/fetch_int.h"
#include "net/http_client.h"

#define TRIES_IN_ALL 100

const char *const fnl_fetch_state_names[] = {"present", "downloaded", "resumed", "unpacked"};

/* One file on its way. */
struct transfer {
    const struct fnl_fetch_options *options;
    const struct fnl_fetch_file *file;
    char path[512], part[520]; /* where it goes; PATH.part */
    int fd;                    /* of part */
    uint64_t done;             /* bytes in part */
    bool resumed;              /* part holds bytes of an earlier request */
};

static int fail_write(const char *path, int number, struct fnl_error *err)
{
    return FNL_FAIL(err, IO,
                    number == ENOSPC || number == EDQUOT
                        ? "free some space and run the same command again; it goes on where it "
                          "stopped"
                        : "check the folder and its permissions",
                    "%s: cannot write: %s", path, strerror(number));
}

/* --- what the request calls --------------------------------------------------------------------
 */

static int on_begin(void *arg, uint64_t offset, uint64_t total, struct fnl_error *err)
{
    struct transfer *t = arg;
    if (total != 0 && total != t->file->size_bytes) {
        return FNL_FAIL(err, FORMAT, "the server has another file under this name: try a mirror",
                        "%s: the server's file has %llu bytes, expected %llu", t->file->name,
                        (unsigned long long)total, (unsigned long long)t->file->size_bytes);
    }
    if (ftruncate(t->fd, (off_t)offset) != 0 || lseek(t->fd, (off_t)offset, SEEK_SET) < 0) {
        return fail_write(t->part, errno, err);
    }
    t->done = offset;
    t->resumed = offset != 0;
    return 0;
}

static int on_body(void *arg, const void *data, size_t size, struct fnl_error *err)
{
    struct transfer *t = arg;
    const char *p = data;
    while (size != 0) {
        ssize_t n = write(t->fd, p, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_write(t->part, errno, err);
        }
        p += n;
        size -= (size_t)n;
        t->done += (uint64_t)n;
    }
    if (t->options->progress != NULL) {
        t->options->progress(t->options->arg, t->file->name, t->done, t->file->size_bytes);
    }
    return 0;
}

static bool on_cancelled(void *arg)
{
    (void)arg;
    return fnl_interrupted();
}

/* --- one file from one address ------------------------------------------------------------------
 */

static uint64_t part_size(const struct transfer *t)
{
    struct stat st;
    return fstat(t->fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

static int request(struct transfer *t, const char *base, struct fnl_http_result *result,
                   struct fnl_error *err)
{
    char url[1024];
    size_t n = strlen(base);
    int used = snprintf(url, sizeof url, "%s%s%s", base, n != 0 && base[n - 1] == '/' ? "" : "/",
                        t->file->name);
    if (used < 0 || (size_t)used >= sizeof url) {
        return FNL_FAIL(err, INVALID, NULL, "%.60s...: the address is too long", base);
    }
    struct fnl_http_get get = FNL_HTTP_GET_INIT;
    get.url = url;
    get.from = t->done;
    get.max_bytes = t->file->size_bytes;
    get.stall_timeout_ms = t->options->stall_timeout_ms;
    get.arg = t;
    get.begin = on_begin;
    get.body = on_body;
    get.cancelled = on_cancelled;
    int rc = fnl_http_get(&get, result, err);
    if (rc == 0 && t->done < t->file->size_bytes) {
        result->temporary = true;
        rc = FNL_FAIL(err, IO, "run the same command again; it goes on where it stopped",
                      "%s: the server sent %llu of %llu bytes", url, (unsigned long long)t->done,
                      (unsigned long long)t->file->size_bytes);
    }
    return rc;
}

/* Sleeps in short pieces, so that Ctrl-C is heard. */
static void wait_ms(int64_t ms)
{
    for (; ms > 0 && !fnl_interrupted(); ms -= 50) {
        const struct timespec piece = {0, (ms < 50 ? ms : 50) * 1000000};
        (void)nanosleep(&piece, NULL);
    }
}

static int download(struct transfer *t, const char *base, struct fnl_error *err)
{
    int64_t delay_ms = t->options->retry_delay_ms;
    for (int tries = 1, all = 1;; tries++, all++) {
        struct fnl_http_result result;
        t->done = part_size(t);
        if (t->done > t->file->size_bytes) { /* of another file */
            t->done = 0;
        }
        uint64_t before = t->done;
        if (t->done == t->file->size_bytes) {
            t->resumed = true;
            return 0;
        }
        int rc = request(t, base, &result, err);
        if (rc == 0) {
            return 0;
        }
        if (result.status == 416) { /* the part does not belong to the server's file */
            if (ftruncate(t->fd, 0) != 0) {
                return fail_write(t->part, errno, err);
            }
        } else if (!result.temporary) {
            return rc;
        }
        if (t->done > before) {
            tries = 1;
            delay_ms = t->options->retry_delay_ms;
        }
        if (tries >= FNL_MAX_DOWNLOAD_TRIES || all >= TRIES_IN_ALL || fnl_interrupted()) {
            return rc;
        }
        fnl_log(FNL_LOG_INFO, "%s: %s; trying again", t->file->name,
                err != NULL ? err->message : "cut off");
        wait_ms(delay_ms);
        delay_ms *= 2;
    }
}

/* The part's sum against the table; a wrong part is emptied. */
static int check_part(struct transfer *t, struct fnl_error *err)
{
    char sum[FNL_SHA256_TEXT];
    int rc = fnl_sha256_file(t->part, sum, err);
    if (rc != 0) {
        return rc;
    }
    if (strcmp(sum, t->file->sha256) == 0) {
        return 0;
    }
    if (ftruncate(t->fd, 0) != 0) {
        return fail_write(t->part, errno, err);
    }
    return FNL_FAIL(err, FORMAT,
                    "the server has another file under this name, or it was damaged on the way: "
                    "try again, or another mirror with --url",
                    "%s: wrong SHA-256: %s, expected %s", t->file->name, sum, t->file->sha256);
}

static int from_base(struct transfer *t, const char *base, struct fnl_error *err)
{
    for (int turn = 0;; turn++) {
        int rc = download(t, base, err);
        if (rc == 0) {
            rc = check_part(t, err);
            if (rc == FNL_E_FORMAT && t->resumed && turn == 0) {
                continue;
            }
        }
        return rc;
    }
}

static int from_bases(struct transfer *t, const char *const *bases, struct fnl_error *err)
{
    int rc = FNL_E_INTERNAL;
    for (int i = 0; bases[i] != NULL; i++) {
        rc = from_base(t, bases[i], err);
        /* A full disk is full for the next address too. */
        if (rc == 0 || fnl_interrupted() || rc == FNL_E_NOMEM || rc == FNL_E_UNSUPPORTED) {
            break;
        }
        if (bases[i + 1] != NULL) {
            fnl_log(FNL_LOG_WARNING, "%s; trying the next address",
                    err != NULL ? err->message : bases[i]);
        }
    }
    return rc;
}

/* --- one file ------------------------------------------------------------------------------------
 */

static int finish(struct transfer *t, struct fnl_error *err)
{
    if (fsync(t->fd) != 0) {
        return fail_write(t->part, errno, err);
    }
    if (rename(t->part, t->path) != 0) {
        return fail_write(t->path, errno, err);
    }
    return 0;
}

static bool is_whole(const char *path, const struct fnl_fetch_file *file)
{
    char sum[FNL_SHA256_TEXT];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        (file->size_bytes != 0 && (uint64_t)st.st_size != file->size_bytes)) {
        return false;
    }
    return file->sha256 == NULL ||
           (fnl_sha256_file(path, sum, NULL) == 0 && strcmp(sum, file->sha256) == 0);
}

static int make_path(const char *folder, const char *name, char out[512], struct fnl_error *err)
{
    int used = snprintf(out, 512, "%s/%s", folder, name);
    return used > 0 && used < 512 ? 0
                                  : FNL_FAIL(err, INVALID, "choose a shorter folder",
                                             "%.60s...: the path is too long", folder);
}

static int fetch_file(const struct fnl_fetch_set *set, const struct fnl_fetch_options *options,
                      const struct fnl_fetch_file *file, const char *folder,
                      enum fnl_fetch_state *ret_state, char ret_path[512], struct fnl_error *err)
{
    struct transfer t = {.options = options, .file = file, .fd = -1};
    const char *const one[] = {options->url, NULL};
    int rc = make_path(folder, file->name, t.path, err);
    if (rc != 0) {
        return rc;
    }
    memcpy(ret_path, t.path, sizeof t.path);
    if (is_whole(t.path, file)) {
        *ret_state = FNL_FETCH_PRESENT;
        return 0;
    }
    (void)snprintf(t.part, sizeof t.part, "%s.part", t.path);
    t.fd = open(t.part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (t.fd < 0) {
        return fail_write(t.part, errno, err);
    }
    bool had_part = part_size(&t) != 0;
    rc = from_bases(&t, options->url != NULL ? one : set->bases, err);
    if (rc == 0) {
        rc = finish(&t, err);
    }
    if (rc != 0 && part_size(&t) == 0) {
        (void)unlink(t.part); /* nothing to go on from */
    }
    (void)close(t.fd);
    if (rc == 0) {
        *ret_state = had_part && t.resumed ? FNL_FETCH_RESUMED : FNL_FETCH_DOWNLOADED;
    }
    return rc;
}

/* --- archives ------------------------------------------------------------------------------------
 */

static const struct fnl_fetch_file *member_called(const struct fnl_fetch_set *set, const char *name)
{
    for (const struct fnl_fetch_file *m = set->members; m->name != NULL; m++) {
        if (strcmp(m->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}

static int unpack_members(const struct fnl_fetch_set *set, struct fnl__tar *tar, const char *folder,
                          struct fnl_error *err)
{
    struct fnl__tar_entry e;
    char path[512];
    for (;;) {
        int rc = fnl__tar_next(tar, &e, err);
        if (rc != 0 || e.name[0] == 0) {
            return rc;
        }
        const struct fnl_fetch_file *m = e.regular ? member_called(set, e.name) : NULL;
        if (m == NULL || (m->size_bytes != 0 && m->size_bytes != e.size)) {
            continue;
        }
        rc = make_path(folder, m->name, path, err);
        if (rc == 0) {
            rc = fnl_file_write(path, e.data, e.size, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

/* The first member that is not there, or NULL. */
static const struct fnl_fetch_file *missing_member(const struct fnl_fetch_set *set,
                                                   const char *folder)
{
    char path[512];
    for (const struct fnl_fetch_file *m = set->members; m->name != NULL; m++) {
        if (make_path(folder, m->name, path, NULL) != 0 || !is_whole(path, m)) {
            return m;
        }
    }
    return NULL;
}

static int unpack(const struct fnl_fetch_set *set, const char *archive, const char *folder,
                  struct fnl_error *err)
{
    struct fnl__tar tar = {.name = archive};
    char *data = NULL;
    int rc = fnl_file_read(archive, FNL_MAX_ARCHIVE_BYTES, &data, &tar.size, err);
    if (rc == 0) {
        tar.data = data;
        rc = unpack_members(set, &tar, folder, err);
        fnl_free(data);
    }
    if (rc == 0) {
        const struct fnl_fetch_file *m = missing_member(set, folder);
        if (m != NULL) {
            rc = FNL_FAIL(err, FORMAT,
                          "another file stands under this name: try a mirror with --url",
                          "%s: has no %s as we know it", archive, m->name);
        }
    }
    if (rc == 0) {
        (void)unlink(archive); /* its members are there */
    }
    return rc;
}

static int report_members(const struct fnl_fetch_set *set, const char *folder,
                          enum fnl_fetch_state state, struct fnl_fetch_report *report,
                          struct fnl_error *err)
{
    report->count = 0;
    for (const struct fnl_fetch_file *m = set->members;
         m->name != NULL && report->count < FNL_FETCH_FILES_MAX; m++) {
        int rc = make_path(folder, m->name, report->file[report->count].path, err);
        if (rc != 0) {
            return rc;
        }
        report->file[report->count].file = m;
        report->file[report->count++].state = state;
    }
    return 0;
}

/* --- a set ---------------------------------------------------------------------------------------
 */

static int fetch_set(const struct fnl_fetch_set *set, const struct fnl_fetch_options *options,
                     const char *folder, struct fnl_fetch_report *report, struct fnl_error *err)
{
    report->count = 0;
    if (set->members != NULL && missing_member(set, folder) == NULL) {
        return report_members(set, folder, FNL_FETCH_PRESENT, report, err);
    }
    for (const struct fnl_fetch_file *f = set->files;
         f->name != NULL && report->count < FNL_FETCH_FILES_MAX; f++) {
        int i = report->count;
        int rc =
            fetch_file(set, options, f, folder, &report->file[i].state, report->file[i].path, err);
        if (rc != 0) {
            return rc;
        }
        report->file[i].file = f;
        report->count++;
    }
    if (set->members == NULL) {
        return 0;
    }
    int rc = unpack(set, report->file[0].path, folder, err);
    return rc != 0 ? rc : report_members(set, folder, FNL_FETCH_UNPACKED, report, err);
}

int fnl_fetch(const struct fnl_fetch_set *set, const struct fnl_fetch_options *options,
              struct fnl_fetch_report *ret_report, struct fnl_error *err)
{
    char *folder = fnl_path_join(options->dir, set->folder);
    char lock[512];
    int fd = -1;
    if (folder == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    int rc = fnl_path_mkdirs(folder, err);
    if (rc == 0) {
        rc = make_path(folder, ".fetch.lock", lock, err);
    }
    if (rc == 0) {
        rc = fnl_file_lock(lock, &fd, err);
        if (rc == FNL_E_BUSY) {
            rc = FNL_FAIL(err, BUSY, "wait for it to end",
                          "%s: another command is fetching into this folder", folder);
        }
    }
    if (rc == 0) {
        rc = fetch_set(set, options, folder, ret_report, err);
        (void)unlink(lock);
        fnl_file_unlock(fd);
    }
    fnl_free(folder);
    return rc;
}
