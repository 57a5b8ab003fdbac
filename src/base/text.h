/* text.h - numbers from text, strictly: decimal, the whole text, no blanks, no locale. */
#ifndef FNL_BASE_TEXT_H
#define FNL_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* "-12", "0", "64". Refused: "", " 1", "1 ", "+1", "007", "0x10", "1e5", "1k", out of range. */
bool fnl_parse_int(const char *text, int64_t *ret_value);
/* "1", "-0.5", ".5", "1e-3". Refused: "", blanks, "nan", "inf", hexadecimal, overflow. */
bool fnl_parse_double(const char *text, double *ret_value);

#endif
