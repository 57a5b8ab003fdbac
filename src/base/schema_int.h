/* schema_int.h - shared by reading and printing of fields. */
#ifndef FNL_BASE_SCHEMA_INT_H
#define FNL_BASE_SCHEMA_INT_H

#include <math.h>

/* Digits for printf's %.*g of a range's end: fifteen show 0.9999999 as it was written, sixteen are
 * needed for whole numbers near 2^53. */
static inline int fnl__schema_digits(double x)
{
    return fabs(x) >= 1e15 && fabs(x) < 1e16 ? 16 : 15;
}

#endif
