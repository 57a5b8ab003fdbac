/* http_client.h - one HTTP or HTTPS GET whose body is handed on piece by piece, from any offset.
 * Over libcurl, which is opened at the first request. */
#ifndef FNL_NET_HTTP_CLIENT_H
#define FNL_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fnl_http_get {
    int version;
    const char *url;
    uint64_t from;      /* asks for the bytes from here on (0 = all) */
    uint64_t max_bytes; /* of the whole body, what stands before `from` included; 0 = any */
    int connect_timeout_ms;
    int stall_timeout_ms; /* less than a byte a second for so long: given up */
    void *arg;
    /* Once, when the body begins: at which offset (`from`, or 0 when the server sends all), and how
     * long the whole is (0 = not told). An error ends the request and becomes its result. */
    int (*begin)(void *arg, uint64_t offset, uint64_t total, struct fnl_error *err);
    int (*body)(void *arg, const void *data, size_t size, struct fnl_error *err);
    /* (optional) asked several times a second; true ends the request as FNL_E_INTERRUPTED. */
    bool (*cancelled)(void *arg);
};
#define FNL_HTTP_GET_INIT                                                                          \
    {                                                                                              \
        1, NULL, 0, 0, 15000, 30000, NULL, NULL, NULL, NULL                                        \
    }

struct fnl_http_result {
    long status;    /* 200, 404, ...; 0 when there was no answer */
    bool temporary; /* of an error: another try may succeed (no connection, cut off, 5xx, 429) */
};

/* 0 when the whole body was handed on. A status other than 200 and 206 is an error: FNL_E_NOTFOUND
 * for 404 and 410, else FNL_E_IO. ret_result is filled in any case. */
int fnl_http_get(const struct fnl_http_get *get, struct fnl_http_result *ret_result,
                 struct fnl_error *err);

#endif
