/* json_out.c - JSON text (RFC 8259). */
#include "train/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void fnl__json_number(struct fnl_buf *out, double x)
{
    if (!isfinite(x)) {
        (void)fnl_buf_puts(out, "null");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) {
            break;
        }
    }
    (void)fnl_buf_puts(out, text);
}

/* Bytes of the UTF-8 sequence at s, 0 when it is none (also overlong forms and surrogates). */
static int utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) {
        return 1;
    }
    int n = s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : 0;
    n = s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : n;
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) {
        return 0;
    }
    return n;
}

void fnl__json_string(struct fnl_buf *out, const char *s)
{
    if (s == NULL) {
        (void)fnl_buf_puts(out, "null");
        return;
    }
    (void)fnl_buf_puts(out, "\"");
    for (const unsigned char *p = (const unsigned char *)s; *p != 0;) {
        int n = utf8_length(p);
        if (n == 0) {
            (void)fnl_buf_puts(out, "\\ufffd");
            n = 1;
        } else if (*p == '"' || *p == '\\') {
            (void)fnl_buf_printf(out, "\\%c", *p);
        } else if (*p < 0x20 || *p == 0x7F) {
            (void)fnl_buf_printf(out, "\\u%04x", *p);
        } else {
            (void)fnl_buf_append(out, p, (size_t)n);
        }
        p += n;
    }
    (void)fnl_buf_puts(out, "\"");
}
