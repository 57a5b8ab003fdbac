/* files_int.h - what the files*.c share. */
#ifndef FNL_BASE_FILES_INT_H
#define FNL_BASE_FILES_INT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* Fills err for errno value `number`: "PATH: cannot WHAT: reason", with a hint for what users meet
 * (absent, not allowed, read-only, full). */
int fnl__file_fail(struct fnl_error *err, int number, const char *what, const char *path);

/* write(2) of all bytes, and fsync(2), with the failure switch; 0 or -1 with errno. */
int fnl__file_write_all(int fd, const void *data, size_t size);
int fnl__file_sync(int fd);

#endif
