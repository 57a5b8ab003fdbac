/* text.c - numbers from text, and UTF-8. The grammar is checked here first, because the C library's
 * parsers take blanks, hexadecimal, "nan" and, in some locales, a decimal comma. */
#include "base/text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* built in: nothing to load or to free */
}

static size_t digits(const char *p)
{
    size_t n = 0;
    while (p[n] >= '0' && p[n] <= '9') {
        n++;
    }
    return n;
}

bool fnl_parse_int(const char *text, int64_t *ret_value)
{
    const char *p = text + (text[0] == '-');
    size_t n = digits(p);
    if (n == 0 || p[n] != 0 || n > FNL_MAX_NUMBER_BYTES || (p[0] == '0' && n > 1)) {
        return false;
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool is_decimal(const char *p)
{
    p += *p == '-' || *p == '+';
    size_t whole = digits(p), fraction = 0;
    p += whole;
    if (*p == '.') {
        p++;
        fraction = digits(p);
        p += fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t exponent = digits(p);
        if (exponent == 0) {
            return false;
        }
        p += exponent;
    }
    return *p == 0;
}

bool fnl_parse_double(const char *text, double *ret_value)
{
    if (strnlen(text, FNL_MAX_NUMBER_BYTES + 1) > FNL_MAX_NUMBER_BYTES || !is_decimal(text)) {
        return false;
    }
    (void)pthread_once(&c_locale_once, make_c_locale);
    char *end = NULL;
    double value = c_locale != (locale_t)0 ? strtod_l(text, &end, c_locale) : strtod(text, &end);
    if (*end != 0 || !isfinite(value)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* Bytes of the character at p, 0 when it is not well-formed. Source: Unicode, table 3-7. */
static size_t utf8_size(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    size_t n = 0;
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        n = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        n = 3;
        low = p[0] == 0xE0 ? 0xA0 : low;
        high = p[0] == 0xED ? 0x9F : high;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        n = 4;
        low = p[0] == 0xF0 ? 0x90 : low;
        high = p[0] == 0xF4 ? 0x8F : high;
    }
    if (n == 0 || n > left || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xC0u) != 0x80u) {
            return 0;
        }
    }
    return n;
}

bool fnl_utf8_valid(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    while (size != 0) {
        size_t n = utf8_size(p, size);
        if (n == 0) {
            return false;
        }
        p += n;
        size -= n;
    }
    return true;
}
