/* clock.h - time. */
#ifndef FNL_BASE_CLOCK_H
#define FNL_BASE_CLOCK_H

#include <stdint.h>

uint64_t fnl_clock_ns(void);      /* monotonic */
uint64_t fnl_clock_unix_ms(void); /* wall clock */
/* RFC 3339 UTC, "2026-11-24T10:38:19Z"; returns out. */
const char *fnl_clock_text(uint64_t unix_ms, char out[32]);
/* "1 h 02 min", "3 min 05 s", "12.3 s", "850 ms"; returns out. */
const char *fnl_duration_text(double seconds, char out[32]);

/* The same in at most 8 columns, for tables and bars: "1h02m", "3m05s", "12.3 s", "850 ms"; a time
 * beyond 9999 hours is "long". */
const char *fnl_duration_short(double seconds, char out[32]);

#endif
