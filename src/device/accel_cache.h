/* accel_cache.h - compiled GPU programs kept on disk, so that the second run need not compile.
 *
 *   fnl_accel_cache_key(parts, key)   from all that the compiled code depends on
 *   fnl_accel_cache_get(key, ...)     what an earlier run has put there, or false
 *   fnl_accel_cache_put(key, ...)
 *
 * The folder is $FOURNIL_CACHE/programs, $XDG_CACHE_HOME/fournil/programs or
 * ~/.cache/fournil/programs; FOURNIL_CACHE="" means no cache. Nothing here is an error: a folder
 * that cannot be made, read or written only means that programs are compiled again. */
#ifndef FNL_DEVICE_ACCEL_CACHE_H
#define FNL_DEVICE_ACCEL_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sha256.h"

struct fnl_accel_cache_key {
    char text[FNL_SHA256_TEXT];
};

/* parts: source, defines, device model, version of the driver, version of the compiler, whatever
 * else decides what the code is; NULL-terminated. ("ab", "c") and ("a", "bc") are different keys.
 */
void fnl_accel_cache_key(const char *const *parts, struct fnl_accel_cache_key *ret_key);

/* False: not there, or damaged (then the next put replaces it). *ret_data: fnl_free; one NUL stands
 * behind its end. */
bool fnl_accel_cache_get(const struct fnl_accel_cache_key *key, char **ret_data, size_t *ret_size);

/* True when it was kept. Removes what was not used for longest when the folder is full. */
bool fnl_accel_cache_put(const struct fnl_accel_cache_key *key, const void *data, size_t size);

/* The folder, whether it exists or not (fnl_free); NULL when there is none. */
char *fnl_accel_cache_dir(void);

#endif
