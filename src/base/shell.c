/* shell.c - see shell.h. */
#include "base/shell.h"

#include <string.h>

/* Characters that no shell gives a meaning, wherever they stand. */
static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "%+,-./:=@_";

const char *fnl_shell_word(const char *word, char *out, size_t size)
{
    if (word[0] != 0 && word[strspn(word, plain)] == 0) {
        return word;
    }
    size_t used = 0;
    if (size < 3) {
        return word;
    }
    out[used++] = '\'';
    for (const char *p = word; *p != 0; p++) {
        const char *as = *p == '\'' ? "'\\''" : NULL;
        size_t n = as != NULL ? 4 : 1;
        if (used + n + 2 > size) {
            return word;
        }
        memcpy(out + used, as != NULL ? as : p, n);
        used += n;
    }
    out[used++] = '\'';
    out[used] = 0;
    return out;
}
