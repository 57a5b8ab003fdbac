/* curl.c - opens libcurl. */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "net/curl_int.h"

static struct fnl__curl table;
static const char *missing; /* what was not found, or NULL */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
    const char *symbol;
    size_t offset;
} symbols[] = {
    {"curl_global_init", offsetof(struct fnl__curl, global_init)},
    {"curl_easy_init", offsetof(struct fnl__curl, easy_init)},
    {"curl_easy_setopt", offsetof(struct fnl__curl, easy_setopt)},
    {"curl_easy_perform", offsetof(struct fnl__curl, easy_perform)},
    {"curl_easy_getinfo", offsetof(struct fnl__curl, easy_getinfo)},
    {"curl_easy_cleanup", offsetof(struct fnl__curl, easy_cleanup)},
    {"curl_easy_strerror", offsetof(struct fnl__curl, easy_strerror)},
};

static void open_library(void)
{
    /* The same interface, built with OpenSSL or GnuTLS. */
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && library == NULL; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        missing = "libcurl.so.4";
        return;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(library, symbols[i].symbol);
        if (symbol == NULL) {
            missing = symbols[i].symbol;
            return;
        }
        /* ISO C has no cast from an object to a function pointer. */
        memcpy((char *)&table + symbols[i].offset, &symbol, sizeof symbol);
    }
    if (table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        missing = "curl_global_init";
    }
}

int fnl__curl_open(const struct fnl__curl **ret_curl, struct fnl_error *err)
{
    (void)pthread_once(&once, open_library);
    if (missing != NULL) {
        return FNL_FAIL(err, UNSUPPORTED, "install it: apt install libcurl4",
                        "downloads need libcurl: %s is missing", missing);
    }
    *ret_curl = &table;
    return 0;
}
