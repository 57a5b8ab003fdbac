/* clock.c - time. */
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#define TEXT_SIZE 32

uint64_t fnl_clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t fnl_clock_unix_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

const char *fnl_clock_text(uint64_t unix_ms, char out[32])
{
    time_t seconds = (time_t)(unix_ms / 1000u);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(out, TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        (void)snprintf(out, TEXT_SIZE, "unknown");
    }
    return out;
}

const char *fnl_duration_text(double seconds, char out[32])
{
    /* The limits are where the text of the smaller unit would round up to the next one. */
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e12) {
        (void)snprintf(out, TEXT_SIZE, "unknown");
    } else if (seconds < 0.9995) {
        (void)snprintf(out, TEXT_SIZE, "%.0f ms", seconds * 1e3);
    } else if (seconds < 59.95) {
        (void)snprintf(out, TEXT_SIZE, "%.1f s", seconds);
    } else if (seconds < 3599.5) {
        long s = lround(seconds);
        (void)snprintf(out, TEXT_SIZE, "%ld min %02ld s", s / 60, s % 60);
    } else {
        long m = lround(seconds / 60);
        (void)snprintf(out, TEXT_SIZE, "%ld h %02ld min", m / 60, m % 60);
    }
    return out;
}

const char *fnl_duration_short(double seconds, char out[32])
{
    if (!isfinite(seconds) || seconds < 59.95) {
        return fnl_duration_text(seconds, out);
    }
    if (seconds < 3599.5) {
        long s = lround(seconds);
        (void)snprintf(out, TEXT_SIZE, "%ldm%02lds", s / 60, s % 60);
    } else if (seconds < 9999 * 3600.0) {
        long m = lround(seconds / 60);
        (void)snprintf(out, TEXT_SIZE, "%ldh%02ldm", m / 60, m % 60);
    } else {
        (void)snprintf(out, TEXT_SIZE, "long");
    }
    return out;
}
