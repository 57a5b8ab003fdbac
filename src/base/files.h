/* files.h - reading whole files, writing them so that they are whole or absent, paths, locks. */
#ifndef FNL_BASE_FILES_H
#define FNL_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Reads path, decompressing it when it is gzip (by magic, not by name), up to max bytes of result.
 * *ret_data (fnl_free) is NUL-terminated beyond *ret_size. */
int fnl_file_read(const char *path, size_t max, char **ret_data, size_t *ret_size,
                  struct fnl_error *err);

/* Writes beside path, fsyncs, renames over path, fsyncs the folder. */
int fnl_file_write(const char *path, const void *data, size_t size, struct fnl_error *err);

/* The same as a stream: begin, write..., commit or abort. */
struct fnl_file_writer;
int fnl_file_begin(const char *path, struct fnl_file_writer **ret_w, struct fnl_error *err);
int fnl_file_append(struct fnl_file_writer *w, const void *data, size_t size,
                    struct fnl_error *err);
/* (optional) What was written so far is on the disk when this returns 0: before a commit, for who
 * has something to do between the two that must not be done when the disk is full. */
int fnl_file_sync(struct fnl_file_writer *w, struct fnl_error *err);
int fnl_file_commit(struct fnl_file_writer *w, struct fnl_error *err); /* frees w in any case */
void fnl_file_abort(struct fnl_file_writer *w);                        /* takes NULL */

/* Removes what writers of processes that were killed have left in dir. Only for who may be sure
 * that nobody writes there now: the holder of a lock. */
void fnl_file_sweep(const char *dir);

/* Appends one line to path (O_APPEND, one write, fdatasync): for metrics.jsonl. */
int fnl_file_append_line(const char *path, const char *line, struct fnl_error *err);

bool fnl_path_exists(const char *path);
bool fnl_path_is_dir(const char *path);
int fnl_path_mkdirs(const char *path, struct fnl_error *err); /* like mkdir -p */
/* Gives a file or folder another name in the same file system, on the disk too. FNL_E_BUSY: `to` is
 * a folder with something in it. After another error it may have been renamed. */
int fnl_path_rename(const char *from, const char *to, struct fnl_error *err);
/* Joined into a fresh string (fnl_free); b absolute wins. NULL when out of memory. */
char *fnl_path_join(const char *a, const char *b);
char *fnl_path_dirname(const char *path);        /* fnl_free */
const char *fnl_path_basename(const char *path); /* borrowed */

/* Exclusive advisory lock (flock) on path, created when absent; freed by the kernel when the
 * process ends. FNL_E_BUSY when another process holds it. */
int fnl_file_lock(const char *path, int *ret_fd, struct fnl_error *err);
void fnl_file_unlock(int fd); /* takes -1 */

/* Test hook: the n-th write or fsync from now fails with ENOSPC; 0 turns it off. */
void fnl_file_fail_at(uint64_t n);

#endif
