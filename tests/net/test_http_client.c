/* GET requests against a server that behaves well and badly. */
#include "server.h"

#include "net/http_client.h"

#define SIZE 5000

static unsigned char file[SIZE];

struct got {
    unsigned char data[2 * SIZE];
    size_t size;
    int begins;
    uint64_t offset, total;
    int fail_begin, fail_body; /* codes to answer with */
    bool cancel;
};

static int on_begin(void *arg, uint64_t offset, uint64_t total, struct fnl_error *err)
{
    struct got *g = arg;
    g->begins++;
    g->offset = offset;
    g->total = total;
    g->size = (size_t)offset;
    return g->fail_begin != 0 ? FNL_FAIL(err, LIMIT, NULL, "begin refuses") : 0;
}

static int on_body(void *arg, const void *data, size_t size, struct fnl_error *err)
{
    struct got *g = arg;
    assert_true(g->size + size <= sizeof g->data);
    memcpy(g->data + g->size, data, size);
    g->size += size;
    return g->fail_body != 0 ? FNL_FAIL(err, IO, NULL, "the disk is full") : 0;
}

static bool on_cancelled(void *arg)
{
    return ((struct got *)arg)->cancel;
}

static struct got got;
static struct fnl_http_result result;
static struct fnl_error err;

static int get(const char *path, uint64_t from)
{
    struct fnl_http_get g = FNL_HTTP_GET_INIT;
    g.url = strstr(path, "://") != NULL ? path : server_url(path);
    g.from = from;
    g.max_bytes = SIZE;
    g.stall_timeout_ms = 1000;
    g.arg = &got;
    g.begin = on_begin;
    g.body = on_body;
    g.cancelled = on_cancelled;
    got.size = 0;
    got.begins = 0;
    memcpy(got.data, file, (size_t)from); /* what an earlier request brought */
    err = (struct fnl_error)FNL_ERROR_INIT;
    return fnl_http_get(&g, &result, &err);
}

static void has_all(void)
{
    assert_int_equal(got.begins, 1);
    assert_int_equal(got.size, SIZE);
    assert_memory_equal(got.data, file, SIZE);
}

static void whole_files_come_through(void **state)
{
    (void)state;
    static const char *const paths[] = {"ok/f", "plain/f", "chunked/f", "move/f"};
    for (size_t i = 0; i < TEST_COUNT(paths); i++) {
        got = (struct got){0};
        if (get(paths[i], 0) != 0) {
            fail_msg("%s: %s", paths[i], err.message);
        }
        has_all();
        assert_int_equal(result.status, 200);
        assert_int_equal(got.offset, 0);
        assert_int_equal(got.total, strcmp(paths[i], "chunked/f") == 0 ? 0 : SIZE);
    }
}

static void requests_go_on_where_asked(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("ok/f", 1234), 0);
    has_all();
    assert_int_equal(result.status, 206);
    assert_int_equal(got.offset, 1234);
    assert_int_equal(got.total, SIZE);
    assert_int_equal(get("plain/f", 1234), 0); /* a server without ranges starts again */
    has_all();
    assert_int_equal(result.status, 200);
    assert_int_equal(got.offset, 0);
    assert_int_equal(get("ok/f", SIZE), FNL_E_IO);
    assert_int_equal(result.status, 416);
    assert_int_equal(got.begins, 0);
}

static void another_range_than_asked_for_is_refused(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("shift/f", 100), FNL_E_IO);
    assert_non_null(strstr(err.message, "another part"));
    assert_int_equal(got.begins, 0);
}

static void cut_connections_are_temporary_errors(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("cut/f", 0), FNL_E_IO);
    assert_true(result.temporary);
    assert_int_equal(got.size, 1000);
    assert_memory_equal(got.data, file, 1000);
    assert_int_equal(get("cut/f", 1000), FNL_E_IO);
    assert_int_equal(got.size, 2000);
    assert_memory_equal(got.data, file, 2000);
}

static void statuses_become_errors(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("gone/f", 0), FNL_E_NOTFOUND);
    assert_int_equal(result.status, 404);
    assert_false(result.temporary);
    assert_non_null(strstr(err.message, "HTTP 404"));
    assert_int_equal(got.begins, 0); /* the page about it is no body */
    assert_int_equal(get("forbid/f", 0), FNL_E_IO);
    assert_int_equal(result.status, 403);
    assert_false(result.temporary);
    assert_int_equal(get("busy/f", 0), FNL_E_IO);
    assert_int_equal(result.status, 503);
    assert_true(result.temporary);
}

static void redirects_stay_on_http_and_end(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_true(get("loop/f", 0) < 0);
    assert_int_equal(got.begins, 0);
    assert_true(get("file/f", 0) < 0);
    assert_int_equal(got.begins, 0);
    assert_int_equal(get("file:///etc/passwd", 0), FNL_E_INVALID);
    assert_int_equal(get("nonsense://x", 0), FNL_E_INVALID);
    assert_int_equal(got.begins, 0);
}

static void longer_bodies_than_expected_are_refused(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("longer/f", 0), FNL_E_LIMIT);
    assert_true(got.size <= SIZE);
}

static void stalled_servers_are_given_up(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("stall/f", 0), FNL_E_IO);
    assert_true(result.temporary);
    assert_int_equal(got.size, SIZE / 2);
}

static void nobody_listening_is_a_temporary_error(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("http://127.0.0.1:9/f", 0), FNL_E_IO);
    assert_true(result.temporary);
    assert_int_equal(result.status, 0);
    assert_true(err.hint[0] != 0);
    assert_true(get("head/f", 0) < 0);
}

static void empty_bodies_begin_and_end(void **state)
{
    (void)state;
    got = (struct got){0};
    assert_int_equal(get("empty/f", 0), 0);
    assert_int_equal(got.begins, 1);
    assert_int_equal(got.size, 0);
}

static void errors_of_the_caller_end_the_request(void **state)
{
    (void)state;
    got = (struct got){.fail_begin = 1};
    assert_int_equal(get("ok/f", 0), FNL_E_LIMIT);
    assert_string_equal(err.message, "begin refuses");
    got = (struct got){.fail_body = 1};
    assert_int_equal(get("ok/f", 0), FNL_E_IO);
    assert_string_equal(err.message, "the disk is full");
    got = (struct got){.cancel = true};
    assert_int_equal(get("stall/f", 0), FNL_E_INTERRUPTED);
}

static int start(void **state)
{
    if (test_dir_make(state) != 0) {
        return -1;
    }
    for (size_t i = 0; i < SIZE; i++) {
        file[i] = (unsigned char)(i * i >> 3);
    }
    test_write(test_path("f"), file, SIZE);
    server_start(test_dir);
    return 0;
}

static int stop(void **state)
{
    server_stop();
    return test_dir_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_come_through),
        cmocka_unit_test(requests_go_on_where_asked),
        cmocka_unit_test(another_range_than_asked_for_is_refused),
        cmocka_unit_test(cut_connections_are_temporary_errors),
        cmocka_unit_test(statuses_become_errors),
        cmocka_unit_test(redirects_stay_on_http_and_end),
        cmocka_unit_test(longer_bodies_than_expected_are_refused),
        cmocka_unit_test(stalled_servers_are_given_up),
        cmocka_unit_test(nobody_listening_is_a_temporary_error),
        cmocka_unit_test(empty_bodies_begin_and_end),
        cmocka_unit_test(errors_of_the_caller_end_the_request),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
