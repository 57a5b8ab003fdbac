/* library.h - libraries that are opened at run time: a driver, a compiler, a vendor's kernels.
 *
 * Each has a struct of function pointers (its table) and an array of struct fnl_library_symbol; one
 * loop fills the one from the other. */
#ifndef FNL_DEVICE_LIBRARY_H
#define FNL_DEVICE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct fnl_library_symbol {
    const char *name;
    size_t slot; /* offsetof its pointer in the table */
    bool required;
};

/* Opens the first of names (NULL-terminated; with a slash it is a path) that can be opened and
 * fills the table; a slot whose symbol is not there is NULL. *ret_library is for
 * fnl_library_close, *ret_name (may be NULL) the name that was opened. FNL_E_NOTFOUND: none could
 * be opened, the message ends in the loader's words. FNL_E_UNSUPPORTED: a required symbol is
 * missing. */
int fnl_library_open(const char *const *names, const struct fnl_library_symbol *symbols,
                     size_t count, void *table, void **ret_library, const char **ret_name,
                     struct fnl_error *err);
void fnl_library_close(void *library); /* takes NULL */

/* Test hook: from now on there is no symbol and no library of this name (NULL: all are there
 * again).
 */
void fnl_library_hide(const char *name);

#endif
