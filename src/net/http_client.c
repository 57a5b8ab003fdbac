/* http_client.c - a GET by libcurl's easy interface.
 *
 * Only http and https, also after redirects; certificates are checked. A resumed request is
 * believed only when the answer's Content-Range says that it begins where we asked; a server that
 * ignores the range sends all, and the caller is told offset 0. An error of the caller's functions,
 * kept in `call->err`, wins over what curl says about it. */
#include "net/http_client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/text.h"
#include "net/curl_int.h"

#define ERROR_BODY_MAX 65536 /* body of a 404 page: read and thrown away up to here */

struct call {
    const struct fnl_http_get *get;
    const struct fnl__curl *curl;
    CURL *easy;
    struct fnl_error *err;
    int rc; /* of the caller's functions or our checks; 0 so far */
    bool began;
    uint64_t range_start, range_total; /* Content-Range of the last answer */
    bool has_range;
    uint64_t offset; /* of the next body byte */
    uint64_t thrown; /* of an error's body */
};

/* "Content-Range: bytes 100-199/200" */
static void read_range(struct call *c, const char *text)
{
    unsigned long long start = 0, end = 0, total = 0;
    c->has_range = sscanf(text, " bytes %llu-%llu/%llu", &start, &end, &total) == 3;
    c->range_start = start;
    c->range_total = total;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    static const char name[] = "content-range:";
    struct call *c = arg;
    char line[128];
    size_t n = size * count, used = n < sizeof line - 1 ? n : sizeof line - 1;
    memcpy(line, data, used);
    line[used] = 0;
    if (strncmp(line, "HTTP/", 5) == 0) { /* each redirect has headers of its own */
        c->has_range = false;
    } else if (strncasecmp(line, name, sizeof name - 1) == 0) {
        read_range(c, line + sizeof name - 1);
    }
    return n;
}

static long status_of(const struct call *c)
{
    long status = 0;
    (void)c->curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* At the first body byte of a good answer, or at the end of an empty one. */
static int begin(struct call *c, long status)
{
    curl_off_t length = -1;
    uint64_t total = 0;
    c->began = true;
    if (status == 206) {
        if (!c->has_range || c->range_start != c->get->from) {
            return FNL_FAIL(c->err, IO, "try again, or another mirror",
                            "%s: the server sent another part than the one asked for", c->get->url);
        }
        c->offset = c->range_start;
        total = c->range_total;
    } else {
        c->offset = 0;
        (void)c->curl->easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        total = length > 0 ? (uint64_t)length : 0;
    }
    return c->get->begin(c->get->arg, c->offset, total, c->err);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    size_t n = size * count;
    long status = status_of(c);
    if (status != 200 && status != 206) {
        c->thrown += n;
        return c->thrown <= ERROR_BODY_MAX ? n : 0;
    }
    if (!c->began) {
        c->rc = begin(c, status);
    }
    if (c->rc == 0 && c->get->max_bytes != 0 &&
        (c->offset > c->get->max_bytes || n > c->get->max_bytes - c->offset)) {
        c->rc = FNL_FAIL(c->err, LIMIT, "the server has another file under this name: try a mirror",
                         "%s: longer than the %llu bytes expected", c->get->url,
                         (unsigned long long)c->get->max_bytes);
    }
    if (c->rc == 0) {
        c->rc = c->get->body(c->get->arg, data, n, c->err);
    }
    c->offset += n;
    return c->rc == 0 ? n : 0;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    struct call *c = arg;
    (void)total;
    (void)now;
    (void)up_total;
    (void)up;
    return c->get->cancelled != NULL && c->get->cancelled(c->get->arg);
}

static int set_options(struct call *c)
{
    const struct fnl_http_get *g = c->get;
    CURLcode (*set)(CURL *, CURLoption, ...) = c->curl->easy_setopt;
    CURLcode rc = set(c->easy, CURLOPT_URL, g->url);
    /* Deprecated in 7.85 for options that take names, which older libraries do not know. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    rc |= set(c->easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    rc |= set(c->easy, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#pragma GCC diagnostic pop
    rc |= set(c->easy, CURLOPT_FOLLOWLOCATION, 1L);
    rc |= set(c->easy, CURLOPT_MAXREDIRS, (long)FNL_MAX_REDIRECTS);
    rc |= set(c->easy, CURLOPT_NOSIGNAL, 1L);
    rc |= set(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)g->connect_timeout_ms);
    rc |= set(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    rc |= set(c->easy, CURLOPT_LOW_SPEED_TIME, (long)(g->stall_timeout_ms + 999) / 1000);
    rc |= set(c->easy, CURLOPT_USERAGENT, "fournil/" FNL_VERSION);
    rc |= set(c->easy, CURLOPT_HEADERFUNCTION, on_header);
    rc |= set(c->easy, CURLOPT_HEADERDATA, c);
    rc |= set(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    rc |= set(c->easy, CURLOPT_WRITEDATA, c);
    rc |= set(c->easy, CURLOPT_NOPROGRESS, 0L);
    rc |= set(c->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    rc |= set(c->easy, CURLOPT_XFERINFODATA, c);
    if (g->from != 0) {
        char range[32];
        (void)snprintf(range, sizeof range, "%llu-", (unsigned long long)g->from);
        rc |= set(c->easy, CURLOPT_RANGE, range); /* copied by curl */
    }
    return rc == CURLE_OK ? 0 : FNL_FAIL(c->err, INTERNAL, NULL, "libcurl refused an option");
}

static int fail_transport(const struct call *c, CURLcode code, struct fnl_http_result *result)
{
    const char *text = c->curl->easy_strerror(code);
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return FNL_FAIL(c->err, INTERRUPTED, "run the same command again to go on",
                        "%s: interrupted", c->get->url);
    case CURLE_OUT_OF_MEMORY:
        return FNL_FAIL(c->err, NOMEM, NULL, "%s: out of memory", c->get->url);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return FNL_FAIL(c->err, INVALID, "addresses begin with https:// or http://", "%s: %s",
                        c->get->url, text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_TOO_MANY_REDIRECTS:
        return FNL_FAIL(c->err, IO, "check the address, or use another mirror", "%s: %s",
                        c->get->url, text);
    default:
        result->temporary = true;
        return FNL_FAIL(c->err, IO,
                        "check the network (behind a proxy: set https_proxy) and run the same "
                        "command again; it goes on where it stopped",
                        "%s: %s", c->get->url, text);
    }
}

static int fail_status(const struct call *c, struct fnl_http_result *result)
{
    long status = result->status;
    if (status == 404 || status == 410) {
        return FNL_FAIL(c->err, NOTFOUND, "check the address, or use another mirror",
                        "%s: the server does not have it (HTTP %ld)", c->get->url, status);
    }
    result->temporary = status >= 500 || status == 429 || status == 408;
    return FNL_FAIL(c->err, IO,
                    result->temporary ? "try again later, or use another mirror"
                                      : "check the address, or use another mirror",
                    "%s: the server answered HTTP %ld", c->get->url, status);
}

static int perform(struct call *c, struct fnl_http_result *result)
{
    int rc = set_options(c);
    if (rc != 0) {
        return rc;
    }
    CURLcode code = c->curl->easy_perform(c->easy);
    result->status = status_of(c);
    if (c->rc != 0) {
        return c->rc;
    }
    bool good = result->status == 200 || result->status == 206;
    if (result->status != 0 && !good && (code == CURLE_OK || code == CURLE_WRITE_ERROR)) {
        return fail_status(c, result);
    }
    if (code != CURLE_OK) {
        return fail_transport(c, code, result);
    }
    return c->began ? 0 : begin(c, result->status); /* an empty body */
}

int fnl_http_get(const struct fnl_http_get *get, struct fnl_http_result *ret_result,
                 struct fnl_error *err)
{
    struct call c = {.get = get, .err = err};
    *ret_result = (struct fnl_http_result){0};
    int rc = fnl__curl_open(&c.curl, err);
    if (rc != 0) {
        return rc;
    }
    c.easy = c.curl->easy_init();
    if (c.easy == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    rc = perform(&c, ret_result);
    c.curl->easy_cleanup(c.easy);
    return rc;
}
