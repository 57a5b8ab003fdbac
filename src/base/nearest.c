/* nearest.c - the nearest known name, for "did you mean". Optimal string alignment: edit distance
 * in which a swap of neighbours costs 1, because that is the commonest slip of a typist. Quadratic
 * in the length of names, which FNL_MAX_NAME_COMPARED bounds. */
#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "base/schema.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int lower(const char *s, size_t i)
{
    return tolower((unsigned char)s[i]);
}

static size_t distance(const char *a, size_t an, const char *b, size_t bn)
{
    size_t row[3][FNL_MAX_NAME_COMPARED + 1];
    size_t *before = row[0], *above = row[1], *here = row[2];
    for (size_t j = 0; j <= bn; j++) {
        before[j] = 0;
        above[j] = j;
    }
    for (size_t i = 1; i <= an; i++) {
        here[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t change = lower(a, i - 1) != lower(b, j - 1);
            here[j] = least(least(above[j], here[j - 1]) + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && lower(a, i - 1) == lower(b, j - 2) &&
                lower(a, i - 2) == lower(b, j - 1)) {
                here[j] = least(here[j], before[j - 2] + 1);
            }
        }
        size_t *t = before;
        before = above;
        above = here;
        here = t;
    }
    return above[bn];
}

const char *fnl_nearest_name(const char *name, const char *const *candidates)
{
    size_t n = strnlen(name, FNL_MAX_NAME_COMPARED + 1);
    if (n == 0 || n > FNL_MAX_NAME_COMPARED) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = FNL_MAX_NAME_COMPARED;
    for (; *candidates != NULL; candidates++) {
        size_t cn = strnlen(*candidates, FNL_MAX_NAME_COMPARED + 1);
        if (cn > FNL_MAX_NAME_COMPARED) {
            continue;
        }
        size_t longer = n > cn ? n : cn;
        size_t allowed = longer / 3 > 0 ? longer / 3 : 1;
        size_t d = distance(name, n, *candidates, cn);
        /* A name of one letter is not near to every other name of one letter. */
        if (d <= allowed && d < least(n, cn) && d < best_distance) {
            best = *candidates;
            best_distance = d;
        }
    }
    return best;
}
