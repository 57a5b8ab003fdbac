/* library.c - dlopen and dlsym by table (interface in library.h). */
#include "device/library.h"

#include <dlfcn.h>
#include <string.h>

static const char *hidden; /* test hook */

void fnl_library_hide(const char *name)
{
    hidden = name;
}

static bool is_hidden(const char *name)
{
    return hidden != NULL && strcmp(hidden, name) == 0;
}

/* A library that is there but cannot be opened (damaged, of another machine, missing what it needs)
 * says more than those that are not there: its words win over "No such file". */
static void *open_first(const char *const *names, const char **ret_name, struct fnl_error *err)
{
    char why[512] = "";
    const char *said_of = names[0];
    for (size_t i = 0; names[i] != NULL; i++) {
        void *library = is_hidden(names[i]) ? NULL : dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) {
            *ret_name = names[i];
            return library;
        }
        const char *text = is_hidden(names[i]) ? "No such file (hidden by a test)" : dlerror();
        size_t named = strlen(names[i]); /* our message names it too */
        if (text != NULL && strncmp(text, names[i], named) == 0 && text[named] == ':') {
            text += named + 1 + (text[named + 1] == ' ');
        }
        if (text != NULL && (why[0] == 0 || strstr(why, "No such file") != NULL)) {
            said_of = names[i];
            size_t n = strnlen(text, sizeof why - 1);
            memcpy(why, text, n);
            why[n] = 0;
        }
    }
    /* The usual case. (Where something that it needs is missing, that has a name in front.) */
    bool absent = strncmp(why, "cannot open shared object file: No such file", 44) == 0 ||
                  strncmp(why, "No such file", 12) == 0;
    if (absent) {
        (void)FNL_FAIL(err, NOTFOUND, NULL, "%s is not installed", names[0]);
    } else {
        (void)FNL_FAIL(err, NOTFOUND, NULL, "%s: cannot be opened: %s", said_of, why);
    }
    return NULL;
}

int fnl_library_open(const char *const *names, const struct fnl_library_symbol *symbols,
                     size_t count, void *table, void **ret_library, const char **ret_name,
                     struct fnl_error *err)
{
    const char *name = NULL;
    void *library = open_first(names, &name, err);
    if (library == NULL) {
        return FNL_E_NOTFOUND;
    }
    for (size_t i = 0; i < count; i++) {
        void *address = is_hidden(symbols[i].name) ? NULL : dlsym(library, symbols[i].name);
        if (address == NULL && symbols[i].required) {
            (void)dlclose(library);
            return FNL_FAIL(err, UNSUPPORTED, NULL, "%s: too old: it has no %s", name,
                            symbols[i].name);
        }
        /* ISO C has no cast from an object to a function pointer. */
        memcpy((char *)table + symbols[i].slot, &address, sizeof address);
    }
    *ret_library = library;
    if (ret_name != NULL) {
        *ret_name = name;
    }
    return 0;
}

void fnl_library_close(void *library)
{
    if (library != NULL) {
        (void)dlclose(library);
    }
}
