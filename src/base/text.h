/* text.h - numbers from text, strictly (decimal, the whole text, no blanks, no locale), and UTF-8.
 */
#ifndef FNL_BASE_TEXT_H
#define FNL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "-12", "0", "64". Refused: "", " 1", "1 ", "+1", "007", "0x10", "1e5", "1k", out of range. */
bool fnl_parse_int(const char *text, int64_t *ret_value);
/* "1", "-0.5", ".5", "1e-3". Refused: "", blanks, "nan", "inf", hexadecimal, overflow. */
bool fnl_parse_double(const char *text, double *ret_value);

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF, nothing cut off. */
bool fnl_utf8_valid(const char *text, size_t size);

#endif
