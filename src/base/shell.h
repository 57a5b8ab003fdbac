/* shell.h - commands in messages, to be copied into a shell. */
#ifndef FNL_BASE_SHELL_H
#define FNL_BASE_SHELL_H

#include <stddef.h>

/* word as a shell reads it as one: itself where it needs no quotes, else in single quotes in out.
 * What does not fit comes back as it is: better a command to be mended than none. */
const char *fnl_shell_word(const char *word, char *out, size_t size);

#endif
