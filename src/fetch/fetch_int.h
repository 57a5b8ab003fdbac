/* fetch_int.h - what the files of src/fetch share. */
#ifndef FNL_FETCH_FETCH_INT_H
#define FNL_FETCH_FETCH_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

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
