/* progress.c - the progress bar. One line, redrawn at most 10 times a second and cut to the width
 * of the terminal:  label  [########------]  57 %  12.3 s left  note */
#include "base/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

#define DRAW_EVERY_NS 100000000u
#define BAR_CELLS 24
#define BAR_CELLS_NARROW 10 /* on 80 columns the note fits beside it */
#define WIDTH_NARROW 100
#define MARGIN 3 /* a typed ^C is echoed behind the bar: it must not break the line */
#define WIDTH_DEFAULT 80
#define WIDTH_MAX 200

/* Columns a bar may fill. */
static int bar_width(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return WIDTH_DEFAULT - MARGIN;
    }
    int width = size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
    return width > MARGIN ? width - MARGIN : 0;
}

void fnl_progress_begin(struct fnl_progress *p, FILE *out, const char *label, uint64_t total)
{
    memset(p, 0, sizeof *p);
    p->out = out;
    p->live = isatty(fileno(out)) == 1;
    p->start_ns = fnl_clock_ns();
    p->total = total;
    (void)snprintf(p->label, sizeof p->label, "%s", label);
}

void fnl_progress_update(struct fnl_progress *p, uint64_t done, const char *note)
{
    uint64_t now = p->live ? fnl_clock_ns() : 0;
    if (!p->live || (p->last_draw_ns != 0 && now - p->last_draw_ns < DRAW_EVERY_NS)) {
        return;
    }
    p->last_draw_ns = now;
    p->width = bar_width(p->out); /* it may have been resized */
    if (done > p->total) {
        done = p->total;
    }
    double part = p->total != 0 ? (double)done / (double)p->total : 0;
    int cells = p->width < WIDTH_NARROW ? BAR_CELLS_NARROW : BAR_CELLS;
    int filled = (int)(part * cells);
    char bar[BAR_CELLS + 1];
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, '-', (size_t)(cells - filled));
    bar[cells] = 0;
    char left[32] = "";
    if (done != 0 && done < p->total) {
        double gone_s = (double)(now - p->start_ns) / 1e9;
        (void)fnl_duration_short(gone_s * (double)(p->total - done) / (double)done, left);
    }
    char line[WIDTH_MAX + 1];
    (void)snprintf(line, (size_t)p->width + 1, "%s [%s] %3.0f %%%s%s%s%s%s", p->label, bar,
                   part * 100, left[0] != 0 ? "  " : "", left, left[0] != 0 ? " left" : "",
                   note != NULL ? "  " : "", note != NULL ? note : "");
    (void)fprintf(p->out, "\r%s\033[K", line);
    (void)fflush(p->out);
}

void fnl_progress_end(struct fnl_progress *p)
{
    if (p->live && p->last_draw_ns != 0) {
        (void)fputs("\r\033[K", p->out);
        (void)fflush(p->out);
    }
    p->live = false;
}
