/* fetch_int.h - what the files of src/fetch share. */
#ifndef FNL_FETCH_FETCH_INT_H
#define FNL_FETCH_FETCH_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* ---- SHA-256 (sha256.c) ---- */
struct fnl__sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[64];
};
#define FNL__SHA256_TEXT 65
void fnl__sha256_init(struct fnl__sha256 *s);
void fnl__sha256_add(struct fnl__sha256 *s, const void *data, size_t size);
void fnl__sha256_text(struct fnl__sha256 *s, char out[FNL__SHA256_TEXT]); /* ends it */
/* Of a whole file as it stands; FNL_E_NOTFOUND when it is not there. */
int fnl__sha256_file(const char *path, char out[FNL__SHA256_TEXT], struct fnl_error *err);

/* ---- tar archives in memory (tar.c) ---- */
struct fnl__tar {
    const char *name, *data;
    size_t size, pos;
};
struct fnl__tar_entry {
    char name[101]; /* last part of the path only; "" at the end of the archive */
    bool regular;
    const char *data;
    size_t size;
};
int fnl__tar_next(struct fnl__tar *tar, struct fnl__tar_entry *ret, struct fnl_error *err);

#endif
