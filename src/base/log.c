/* log.c - log lines to a callback. Control characters are replaced: lines hold names from outside.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static struct {
    fnl_log_fn *fn;
    void *arg;
    enum fnl_log_level level;
} sink; /* written before threads start, read-only afterwards */

void fnl_log_to(fnl_log_fn *fn, void *arg, enum fnl_log_level level)
{
    sink.fn = fn;
    sink.arg = arg;
    sink.level = level;
}

bool fnl_log_enabled(enum fnl_log_level level)
{
    return sink.fn != NULL && level <= sink.level;
}

void fnl_log(enum fnl_log_level level, const char *format, ...)
{
    if (!fnl_log_enabled(level)) {
        return;
    }
    char text[1024];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (unsigned char *p = (unsigned char *)text; *p != 0; p++) {
        if (*p < 0x20 || *p == 0x7F) {
            *p = *p == '\t' || *p == '\n' ? ' ' : '?';
        }
    }
    sink.fn(sink.arg, level, text);
}

const char *fnl_log_level_name(enum fnl_log_level level)
{
    switch (level) {
    case FNL_LOG_ERROR:
        return "error";
    case FNL_LOG_WARNING:
        return "warning";
    case FNL_LOG_INFO:
        return "info";
    case FNL_LOG_DEBUG:
        return "debug";
    }
    return "unknown";
}
