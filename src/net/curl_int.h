/* curl_int.h - what we use of libcurl, by pointer: the library is opened when the first request is
 * made, so that the program starts without it and runs where it is missing. */
#ifndef FNL_NET_CURL_INT_H
#define FNL_NET_CURL_INT_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/error.h"

struct fnl__curl {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *easy);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    void (*easy_cleanup)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
};

/* The table, opened once for the process; never closed. FNL_E_UNSUPPORTED where there is none. */
int fnl__curl_open(const struct fnl__curl **ret_curl, struct fnl_error *err);

#endif
