/* log.h - what the library has to say while it works. It never prints: lines go to the one callback
 * the program has set, and nowhere when none is set. */
#ifndef FNL_BASE_LOG_H
#define FNL_BASE_LOG_H

#include <stdbool.h>

enum fnl_log_level { FNL_LOG_ERROR, FNL_LOG_WARNING, FNL_LOG_INFO, FNL_LOG_DEBUG };

/* text: one line without newline. Called from any thread, maybe from several at once. */
typedef void fnl_log_fn(void *arg, enum fnl_log_level level, const char *text);

/* Lines up to `level` go to fn. Call it before threads start; fn NULL turns logging off. */
void fnl_log_to(fnl_log_fn *fn, void *arg, enum fnl_log_level level);
bool fnl_log_enabled(enum fnl_log_level level);
void fnl_log(enum fnl_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *fnl_log_level_name(enum fnl_log_level level); /* "warning" */

#endif
