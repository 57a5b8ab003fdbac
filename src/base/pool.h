/* pool.h - worker threads for fork-join work. The caller takes part, so a pool of 1 has no thread
 * of its own. Items are claimed one by one from an atomic counter, so a thread that lost its core
 * holds up only the item it has. Waiting threads spin for a few microseconds, then sleep (futex):
 * spinning teams collapse when a core is shared. A run allocates nothing. */
#ifndef FNL_BASE_POOL_H
#define FNL_BASE_POOL_H

#include "base/error.h"

struct fnl_pool;

int fnl_pool_create(int threads, struct fnl_pool **ret_pool, struct fnl_error *err);
void fnl_pool_free(struct fnl_pool *pool); /* takes NULL */
int fnl_pool_threads(const struct fnl_pool *pool);

/* Calls fn(arg, item) once for each item in [0, items) and returns when all are done. Not
 * reentrant; one caller at a time. */
void fnl_pool_run(struct fnl_pool *pool, void (*fn)(void *arg, int item), void *arg, int items);

#endif
