/* error.c - filling the error object. Texts are cut to the size of the object (ending in "...") and
 * cleaned of control characters, because names from files and from the network end up on a
 * terminal. Formatting goes through a local buffer: the arguments may point into the error being
 * filled. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Marks the cut, dropping a UTF-8 character that was cut in half. */
static void mark_cut(char *text, size_t size)
{
    size_t end = size - 4; /* room for "..." and NUL */
    while (end > 0 && ((unsigned char)text[end] & 0xC0u) == 0x80u) {
        end--;
    }
    memcpy(text + end, "...", 4);
}

static void clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != 0; p++) {
        if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7F) {
            *p = '?';
        }
    }
}

__attribute__((format(printf, 3, 0))) static void format_into(char *out, size_t size,
                                                              const char *format, va_list ap)
{
    int n = vsnprintf(out, size, format, ap);
    if (n < 0) {
        out[0] = 0;
    } else if ((size_t)n >= size) {
        mark_cut(out, size);
    }
    clean(out);
}

int fnl_error_set(struct fnl_error *err, int code, const char *source_file, int source_line,
                  const char *hint, const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    char message[sizeof err->message];
    va_list ap;
    va_start(ap, format);
    format_into(message, sizeof message, format, ap);
    va_end(ap);
    char hint_text[sizeof err->hint] = "";
    if (hint != NULL) {
        int n = snprintf(hint_text, sizeof hint_text, "%s", hint);
        if (n >= (int)sizeof hint_text) {
            mark_cut(hint_text, sizeof hint_text);
        }
        clean(hint_text);
    }
    err->code = code;
    err->source_file = source_file;
    err->source_line = source_line;
    memcpy(err->message, message, sizeof message);
    memcpy(err->hint, hint_text, sizeof hint_text);
    return code;
}

int fnl_error_context(struct fnl_error *err, int code, const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    char text[sizeof err->message];
    va_list ap;
    va_start(ap, format);
    format_into(text, sizeof text, format, ap);
    va_end(ap);
    size_t used = strlen(text);
    int n = snprintf(text + used, sizeof text - used, ": %s", err->message);
    if (n >= (int)(sizeof text - used)) {
        mark_cut(text, sizeof text);
    }
    memcpy(err->message, text, sizeof text);
    return err->code;
}

void fnl_error_hint(struct fnl_error *err, const char *format, ...)
{
    if (err == NULL) {
        return;
    }
    char text[sizeof err->hint];
    va_list ap;
    va_start(ap, format);
    format_into(text, sizeof text, format, ap);
    va_end(ap);
    memcpy(err->hint, text, sizeof text);
}

const char *fnl_code_name(int code)
{
    switch (code) {
#define FNL_CODE_NAME(name, value, status, text)                                                   \
    case (value):                                                                                  \
        return #name;
        FNL_CODES(FNL_CODE_NAME)
#undef FNL_CODE_NAME
    default:
        return "UNKNOWN";
    }
}

const char *fnl_code_text(int code)
{
    switch (code) {
#define FNL_CODE_TEXT(name, value, status, text)                                                   \
    case (value):                                                                                  \
        return text;
        FNL_CODES(FNL_CODE_TEXT)
#undef FNL_CODE_TEXT
    default:
        return "unknown error";
    }
}

int fnl_code_status(int code)
{
    switch (code) {
#define FNL_CODE_STATUS(name, value, status, text)                                                 \
    case (value):                                                                                  \
        return (status);
        FNL_CODES(FNL_CODE_STATUS)
#undef FNL_CODE_STATUS
    default:
        return 5;
    }
}
