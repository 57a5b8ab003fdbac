/* print.c - the one error printer, JSON lines, colours. */
#include "cli/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 80

bool fnl_print_is_terminal(FILE *out)
{
    int fd = fileno(out);
    return fd >= 0 && isatty(fd) == 1;
}

bool fnl_print_colors(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (no_color != NULL && no_color[0] != '\0') {
        return false;
    }
    return term != NULL && strcmp(term, "dumb") != 0 && fnl_print_is_terminal(out);
}

int fnl_print_width(FILE *out)
{
    struct winsize size = {0};

    if (fnl_print_is_terminal(out) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 &&
        size.ws_col > 0) {
        return size.ws_col;
    }
    return DEFAULT_WIDTH;
}

/* Text may hold bytes of a hostile file: no control character reaches the terminal. C1 controls
 * are two bytes in UTF-8: C2 80 to C2 9F. */
static void print_clean(FILE *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            fputc('?', out);
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
            fputc('?', out);
            p++;
        } else {
            fputc(*p, out);
        }
    }
}

void fnl_print_styled(FILE *out, enum fnl_style style, const char *text)
{
    static const char *const codes[] = {"", "1", "2", "1;31", "33", "32"};

    if (style == FNL_STYLE_NONE || !fnl_print_colors(out)) {
        print_clean(out, text);
        return;
    }
    fprintf(out, "\033[%sm", codes[style]);
    print_clean(out, text);
    fputs("\033[0m", out);
}

void fnl_print_wrapped(FILE *out, const char *text, int indent, int at)
{
    int column = at;

    while (*text != '\0') {
        int length = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + length > FNL_PRINT_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", length, text);
        column += length;
        text += length;
        if (*text == '\n') {
            fprintf(out, "\n\n%*s", indent, ""); /* the next paragraph */
            column = indent;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

void fnl_print_error(const struct fnl_error *err)
{
    fflush(stdout);
    fputs("fournil: ", stderr);
    if (err->code != FNL_E_INTERRUPTED) { /* the user's own wish */
        fnl_print_styled(stderr, FNL_STYLE_RED, "error:");
        fputc(' ', stderr);
    }
    print_clean(stderr, err->message[0] != '\0' ? err->message : fnl_code_text(err->code));
    fputc('\n', stderr);
    if (err->hint[0] != '\0') {
        fputs("  ", stderr);
        fnl_print_styled(stderr, FNL_STYLE_BOLD, "hint:");
        fputc(' ', stderr);
        print_clean(stderr, err->hint);
        fputc('\n', stderr);
    }
}

static void print_message(const char *label, enum fnl_style style, const char *format, va_list ap)
{
    char text[1024];

    vsnprintf(text, sizeof text, format, ap);
    fflush(stdout);
    flockfile(stderr); /* the library logs from any thread */
    fputs("fournil: ", stderr);
    if (label != NULL) {
        fnl_print_styled(stderr, style, label);
        fputc(' ', stderr);
    }
    print_clean(stderr, text);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void fnl_print_warning(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_message("warning:", FNL_STYLE_YELLOW, format, ap);
    va_end(ap);
}

void fnl_print_note(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_message(NULL, FNL_STYLE_NONE, format, ap);
    va_end(ap);
}

int fnl_print_json(json_t *value, struct fnl_error *err)
{
    if (value == NULL) {
        return FNL_FAIL(err, NOMEM, NULL,
                        "cannot make JSON: out of memory, or text that is not UTF-8");
    }
    errno = 0;
    int rc = json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    if (rc != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0) {
        if (errno == EPIPE) {
            return 0; /* the reader has seen enough; main says nothing either */
        }
        return FNL_FAIL(err, IO, NULL, "standard output: %s",
                        errno != 0 ? strerror(errno) : "cannot write JSON");
    }
    return 0;
}
