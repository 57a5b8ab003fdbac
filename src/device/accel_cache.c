/* accel_cache.c - compiled GPU programs on disk (interface in accel_cache.h).
 *
 * One file a program, named by its key: a header of fixed size in plain text (HEADER below: key,
 * size and CRC-32 of what follows), then the program as the driver gave it. A file is right when
 * its first bytes are exactly the header that its key and its content would get; anything else (cut
 * off, flipped bits, of another version, renamed) counts as absent.
 *
 * Invariants:
 *  1. A reader sees a whole file or none (fnl_file_write renames), so any number of processes may
 *     share the folder without a lock; two that compile the same program write the same file.
 *  2. What is loaded becomes code that runs, so a file counts only when it belongs to this user or
 *     to root and not everybody may write it.
 *  3. The folder holds at most FNL_MAX_PROGRAM_CACHE_BYTES after a put. Files are removed by the
 *     time they were last used, which get() notes at most once a day (DAY_S).
 *
 * Cost: get is one file read and one CRC (about 1 GB/s); put is a read of the folder more. */
#include "device/accel_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"

#define HEADER "fournil program 1\nkey %s\nsize %020zu\ncrc %08lx\n"
#define HEADER_BYTES (18 + 4 + (FNL_SHA256_TEXT - 1) + 1 + 5 + 20 + 1 + 4 + 8 + 1)
#define DAY_S 86400

void fnl_accel_cache_key(const char *const *parts, struct fnl_accel_cache_key *ret_key)
{
    struct fnl_sha256 s;
    fnl_sha256_init(&s);
    for (; *parts != NULL; parts++) {
        fnl_sha256_add(&s, *parts, strlen(*parts) + 1); /* the NUL parts one from the next */
    }
    fnl_sha256_text(&s, ret_key->text);
}

static char *joined(const char *a, const char *b, const char *c)
{
    char *first = fnl_path_join(a, b);
    char *path = first == NULL ? NULL : fnl_path_join(first, c);
    fnl_free(first);
    return path;
}

char *fnl_accel_cache_dir(void)
{
    const char *own = getenv("FOURNIL_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (own != NULL) {
        return own[0] == 0 ? NULL : fnl_path_join(own, "programs");
    }
    if (xdg != NULL && xdg[0] == '/') { /* its standard says that relative ones are ignored */
        return joined(xdg, "fournil", "programs");
    }
    if (home != NULL && home[0] == '/') {
        return joined(home, ".cache/fournil", "programs");
    }
    return NULL;
}

static char *path_of(const struct fnl_accel_cache_key *key)
{
    char *dir = fnl_accel_cache_dir();
    char *path = dir == NULL ? NULL : fnl_path_join(dir, key->text);
    fnl_free(dir);
    return path;
}

/* The header of this content; out has room for the NUL. */
static void header(const struct fnl_accel_cache_key *key, const void *data, size_t size,
                   char out[HEADER_BYTES + 1])
{
    unsigned long crc = crc32_z(0, data, size);
    (void)snprintf(out, HEADER_BYTES + 1, HEADER, key->text, size, crc);
}

/* Invariant 2; not a folder, a pipe or a device either. */
static bool is_ours(const struct stat *st)
{
    return S_ISREG(st->st_mode) && (st->st_uid == geteuid() || st->st_uid == 0) &&
           (st->st_mode & S_IWOTH) == 0;
}

static void note_use(const char *path, const struct stat *st)
{
    if (time(NULL) - st->st_mtime > DAY_S) {
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    }
}

bool fnl_accel_cache_get(const struct fnl_accel_cache_key *key, char **ret_data, size_t *ret_size)
{
    char want[HEADER_BYTES + 1];
    struct stat st;
    char *data = NULL;
    size_t size = 0;
    char *path = path_of(key);
    bool found =
        path != NULL && stat(path, &st) == 0 && is_ours(&st) &&
        fnl_file_read(path, FNL_MAX_PROGRAM_BYTES + HEADER_BYTES, &data, &size, NULL) == 0 &&
        size > HEADER_BYTES;
    if (found) {
        size -= HEADER_BYTES;
        header(key, data + HEADER_BYTES, size, want);
        found = memcmp(data, want, HEADER_BYTES) == 0;
    }
    if (found) {
        note_use(path, &st);
        memmove(data, data + HEADER_BYTES, size + 1);
        *ret_data = data;
        *ret_size = size;
    } else {
        fnl_free(data);
    }
    fnl_free(path);
    return found;
}

/* ---- keeping the folder small ---- */

struct entry {
    char *path;
    uint64_t bytes;
    struct timespec used;
};

struct listing {
    struct entry *entry;
    size_t count, capacity;
    uint64_t bytes;
};

static void listing_add(struct listing *l, char *path, const struct stat *st)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity == 0 ? 64 : 2 * l->capacity;
        struct entry *entry = fnl_realloc(l->entry, capacity * sizeof *entry);
        if (entry == NULL) {
            fnl_free(path); /* trimmed another time */
            return;
        }
        l->entry = entry;
        l->capacity = capacity;
    }
    l->entry[l->count++] =
        (struct entry){.path = path, .bytes = (uint64_t)st->st_size, .used = st->st_mtim};
    l->bytes += (uint64_t)st->st_size;
}

/* All regular files: also what writers that were killed have left. */
static void listing_read(const char *dir, struct listing *l)
{
    struct stat st;
    DIR *d = opendir(dir);
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL; e = readdir(d)) {
        char *path = fnl_path_join(dir, e->d_name);
        if (path != NULL && lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            listing_add(l, path, &st);
        } else {
            fnl_free(path);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used,
                          *y = &((const struct entry *)b)->used;
    if (x->tv_sec != y->tv_sec) {
        return x->tv_sec < y->tv_sec ? -1 : 1;
    }
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* Removes the files that were not used for longest until `room` bytes more would fit. */
static void trim(const char *dir, uint64_t room)
{
    struct listing l = {0};
    listing_read(dir, &l);
    if (l.count != 0 && l.bytes + room > FNL_MAX_PROGRAM_CACHE_BYTES) {
        qsort(l.entry, l.count, sizeof *l.entry, by_use);
        for (size_t i = 0; i < l.count && l.bytes + room > FNL_MAX_PROGRAM_CACHE_BYTES; i++) {
            if (unlink(l.entry[i].path) == 0) {
                l.bytes -= l.entry[i].bytes;
            }
        }
    }
    for (size_t i = 0; i < l.count; i++) {
        fnl_free(l.entry[i].path);
    }
    fnl_free(l.entry);
}

static int write_whole(const char *path, const struct fnl_accel_cache_key *key, const void *data,
                       size_t size)
{
    struct fnl_file_writer *w = NULL;
    char text[HEADER_BYTES + 1];
    header(key, data, size, text);
    int rc = fnl_file_begin(path, &w, NULL);
    if (rc != 0) {
        return rc;
    }
    rc = fnl_file_append(w, text, HEADER_BYTES, NULL);
    if (rc == 0) {
        rc = fnl_file_append(w, data, size, NULL);
    }
    if (rc != 0) {
        fnl_file_abort(w);
        return rc;
    }
    return fnl_file_commit(w, NULL);
}

bool fnl_accel_cache_put(const struct fnl_accel_cache_key *key, const void *data, size_t size)
{
    if (size == 0 || size > FNL_MAX_PROGRAM_BYTES) {
        return false;
    }
    char *dir = fnl_accel_cache_dir(), *path = path_of(key);
    bool kept = false;
    if (dir != NULL && path != NULL && fnl_path_mkdirs(dir, NULL) == 0) {
        trim(dir, size + HEADER_BYTES);
        kept = write_whole(path, key, data, size) == 0;
    }
    fnl_free(path);
    fnl_free(dir);
    return kept;
}
