/* json_out.h - JSON text of numbers and strings. Numbers are written with the fewest digits that
 * read back to the same bits (jansson's writer gives 0.28999999999999998 for 0.29), so that metrics
 * are exact and readable at once. */
#ifndef FNL_TRAIN_JSON_OUT_H
#define FNL_TRAIN_JSON_OUT_H

#include "base/buf.h"

void fnl__json_number(struct fnl_buf *out, double x);      /* null when not finite */
void fnl__json_string(struct fnl_buf *out, const char *s); /* null when NULL; bad UTF-8: U+FFFD */

#endif
