/* progress.h - the one progress bar. On a terminal it redraws one line at most 10 times a second;
 * otherwise it prints nothing (callers print plain lines). Never prints from library code: the
 * command owns it. */
#ifndef FNL_BASE_PROGRESS_H
#define FNL_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct fnl_progress {
    FILE *out;
    bool live; /* out is a terminal */
    uint64_t start_ns, last_draw_ns;
    uint64_t total;
    int width; /* columns of the terminal, at the last draw */
    char label[48];
};

void fnl_progress_begin(struct fnl_progress *p, FILE *out, const char *label, uint64_t total);
/* note: free text at the right, such as "loss 0.31  98k/s". */
void fnl_progress_update(struct fnl_progress *p, uint64_t done, const char *note);
void fnl_progress_end(struct fnl_progress *p); /* wipes the line */

#endif
