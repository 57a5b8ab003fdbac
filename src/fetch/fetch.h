/* fetch.h - public data sets from their canonical addresses, checked by SHA-256.
 *
 * A file is downloaded as NAME.part, goes on where it stopped when the command is run again, and
 * gets its name only when its checksum is right. An archive is unpacked member by member into the
 * set's folder, names taken from our table and never from the archive. */
#ifndef FNL_FETCH_FETCH_H
#define FNL_FETCH_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fnl_fetch_file {
    const char *name;
    uint64_t size_bytes;
    const char *sha256; /* 64 hexadecimal digits */
};

struct fnl_fetch_set {
    const char *name;         /* "mnist" */
    const char *summary;      /* one line */
    const char *folder;       /* below the data folder */
    const char *const *bases; /* addresses of the folder, the first that works; NULL-terminated */
    const struct fnl_fetch_file *files;   /* what is downloaded; name NULL ends */
    const struct fnl_fetch_file *members; /* (optional) what is unpacked from the one file (tar.gz),
                                             which is deleted then */
};

extern const struct fnl_fetch_set *const fnl_fetch_sets[]; /* NULL-terminated */
/* FNL_E_INVALID with the nearest name. */
int fnl_fetch_find(const char *name, const struct fnl_fetch_set **ret_set, struct fnl_error *err);

enum fnl_fetch_state {
    FNL_FETCH_PRESENT, /* was there, with the right checksum */
    FNL_FETCH_DOWNLOADED,
    FNL_FETCH_RESUMED, /* went on from an earlier try */
    FNL_FETCH_UNPACKED,
};
extern const char *const fnl_fetch_state_names[];

#define FNL_FETCH_FILES_MAX 16
struct fnl_fetch_report {
    int count;
    struct {
        const struct fnl_fetch_file *file;
        enum fnl_fetch_state state;
        char path[512];
    } file[FNL_FETCH_FILES_MAX];
};

struct fnl_fetch_options {
    int version;
    const char *dir; /* the data folder; the set's folder is made in it */
    const char *url; /* (optional) base address used instead of the set's */
    int stall_timeout_ms;
    int retry_delay_ms; /* before the second try; doubles with each */
    void *arg;
    /* (optional) bytes of one file there are, of its size */
    void (*progress)(void *arg, const char *name, uint64_t done, uint64_t total);
};
#define FNL_FETCH_OPTIONS_INIT                                                                     \
    {                                                                                              \
        1, "data", NULL, 30000, 500, NULL, NULL                                                    \
    }

/* All files of the set. Looks at fnl_interrupted(). */
int fnl_fetch(const struct fnl_fetch_set *set, const struct fnl_fetch_options *options,
              struct fnl_fetch_report *ret_report, struct fnl_error *err);

#endif
