/* text.c - numbers from text. The grammar is checked here first, because the C library's parsers
 * take blanks, hexadecimal, "nan" and, in some locales, a decimal comma. */
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
