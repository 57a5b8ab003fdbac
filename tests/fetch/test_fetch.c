/* Fetching sets from a server that behaves well and badly; the real Fashion-MNIST, rebuilt from
 * Debian's copy, against the table's sums. */
#include "../net/server.h"

#include <sys/stat.h>
#include <zlib.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data_set.h"
#include "fetch/fetch.h"
#include "fetch/fetch_int.h"
#include "tar_write.h"

static struct fnl_fetch_report report;
static struct fnl_error err;

static int fetch_dir(const struct fnl_fetch_set *set, const char *mode, const char *dir)
{
    struct fnl_fetch_options o = FNL_FETCH_OPTIONS_INIT;
    o.dir = dir;
    o.url = mode != NULL ? server_url(mode) : NULL;
    o.retry_delay_ms = 1;
    o.stall_timeout_ms = 1000;
    err = (struct fnl_error)FNL_ERROR_INIT;
    return fnl_fetch(set, &o, &report, &err);
}

static int fetch(const struct fnl_fetch_set *set, const char *mode)
{
    return fetch_dir(set, mode, test_path("out"));
}

static void clean(void)
{
    static const char *const names[] = {"one", "two", "pack.tar.gz", "a.bin", "b.bin", "names.txt"};
    char path[300];
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        (void)snprintf(path, sizeof path, "%s/out/set/%s", test_dir, names[i]);
        (void)remove(path);
        (void)snprintf(path, sizeof path, "%s/out/set/%s.part", test_dir, names[i]);
        (void)remove(path);
    }
}

static const char *out_path(const char *name)
{
    static char path[2][300];
    static unsigned turn;
    turn = (turn + 1) % 2;
    (void)snprintf(path[turn], sizeof path[turn], "%s/out/set/%s", test_dir, name);
    return path[turn];
}

static void is_file(const char *name, const void *want, size_t size)
{
    char *data = NULL;
    size_t got = 0;
    assert_int_equal(fnl_file_read(out_path(name), 1 << 20, &data, &got, NULL), 0);
    assert_int_equal(got, size);
    assert_memory_equal(data, want, size);
    fnl_free(data);
}

static void both_are_there(enum fnl_fetch_state state)
{
    assert_int_equal(report.count, 2);
    assert_int_equal(report.file[0].state, state);
    is_file("one", one, sizeof one);
    is_file("two", two, sizeof two);
    assert_true(access(out_path("one.part"), F_OK) != 0);
    assert_true(access(out_path(".fetch.lock"), F_OK) != 0);
}

static void files_come_from_servers_of_all_kinds(void **state)
{
    (void)state;
    static const char *const modes[] = {"ok", "plain", "cut", "once", "chunked", "busy", "move"};
    for (size_t i = 0; i < TEST_COUNT(modes); i++) {
        clean();
        if (fetch(&test_set, modes[i]) != 0) {
            fail_msg("%s: %s", modes[i], err.message);
        }
        both_are_there(FNL_FETCH_DOWNLOADED);
    }
    assert_int_equal(fetch(&test_set, "gone"), 0); /* nothing is asked for */
    both_are_there(FNL_FETCH_PRESENT);
}

static void a_part_is_gone_on_with(void **state)
{
    (void)state;
    clean();
    test_write(out_path("one.part"), one, 3000);
    assert_int_equal(fetch(&test_set, "ok"), 0);
    both_are_there(FNL_FETCH_RESUMED);
    clean();
    test_write(out_path("one.part"), one, sizeof one); /* cut between the last byte and the name */
    assert_int_equal(fetch(&test_set, "ok"), 0);
    both_are_there(FNL_FETCH_RESUMED);
    clean();
    test_write(out_path("one.part"), one, 3000);
    assert_int_equal(fetch(&test_set, "plain"), 0); /* the server starts again */
    both_are_there(FNL_FETCH_DOWNLOADED);
}

static void a_damaged_part_is_thrown_away(void **state)
{
    (void)state;
    static char wrong[sizeof one + 100];
    static const size_t sizes[] = {1, 3000, sizeof one, sizeof one + 100};
    memset(wrong, 0xAA, sizeof wrong);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        clean();
        test_write(out_path("one.part"), wrong, sizes[i]);
        if (fetch(&test_set, "ok") != 0) {
            fail_msg("part of %zu bytes: %s", sizes[i], err.message);
        }
        both_are_there(FNL_FETCH_DOWNLOADED);
    }
    clean();
    test_write(out_path("one"), wrong, sizeof one); /* a file of the right size and wrong bytes */
    assert_int_equal(fetch(&test_set, "ok"), 0);
    both_are_there(FNL_FETCH_DOWNLOADED);
}

static void what_a_server_sends_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        int code;
        const char *part;
    } cases[] = {
        {"gone", FNL_E_NOTFOUND, "HTTP 404"},
        {"forbid", FNL_E_IO, "HTTP 403"},
        {"longer", FNL_E_FORMAT, "expected 5000"},
        {"empty", FNL_E_IO, "0 of 5000"},
        {"cutplain", FNL_E_IO, "one"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        clean();
        assert_int_equal(fetch(&test_set, cases[i].mode), cases[i].code);
        if (strstr(err.message, cases[i].part) == NULL) {
            fail_msg("%s: %s", cases[i].mode, err.message);
        }
        assert_true(access(out_path("one"), F_OK) != 0);
    }
    clean();
    assert_int_equal(fetch(&wrong_set, "ok"), FNL_E_FORMAT);
    assert_non_null(strstr(err.message, "wrong SHA-256"));
    assert_true(access(out_path("one"), F_OK) != 0);
    assert_true(access(out_path("one.part"), F_OK) != 0);
}

static void the_next_address_is_tried(void **state)
{
    (void)state;
    char gone[256], good[256];
    (void)snprintf(gone, sizeof gone, "%s", server_url("gone"));
    (void)snprintf(good, sizeof good, "%s", server_url("ok/"));
    const char *const bases[] = {gone, good, NULL};
    struct fnl_fetch_set set = test_set;
    set.bases = bases;
    clean();
    assert_int_equal(fetch(&set, NULL), 0);
    both_are_there(FNL_FETCH_DOWNLOADED);
}

static void an_interrupted_download_keeps_its_part(void **state)
{
    (void)state;
    clean();
    fnl_interrupt_install();
    assert_int_equal(raise(SIGINT), 0);
    assert_int_equal(fetch(&test_set, "stall"), FNL_E_INTERRUPTED);
    fnl_interrupt_reset();
    clean();
    assert_true(fetch(&test_set, "cutplain") < 0); /* a server that always drops the line */
    assert_int_equal(access(out_path("one.part"), F_OK), 0);
    assert_int_equal(fetch(&test_set, "ok"), 0);
    both_are_there(FNL_FETCH_RESUMED);
}

static void two_commands_refuse_each_other(void **state)
{
    (void)state;
    int fd = -1;
    clean();
    assert_int_equal(fnl_file_lock(out_path(".fetch.lock"), &fd, NULL), 0);
    assert_int_equal(fetch(&test_set, "ok"), FNL_E_BUSY);
    fnl_file_unlock(fd);
    assert_int_equal(fetch(&test_set, "ok"), 0);
}

static void folders_one_may_not_write_say_so(void **state)
{
    (void)state;
    assert_true(fetch_dir(&test_set, "ok", "/proc/nowhere") < 0);
    assert_non_null(strstr(err.message, "/proc/nowhere"));
    assert_true(fetch_dir(&test_set, "ok", test_path("one")) < 0); /* a file */
    assert_non_null(strstr(err.message, test_path("one")));
}

/* --- archives ------------------------------------------------------------------------------------
 */

static struct fnl_fetch_file pack_file[] = {{"pack.tar.gz", 0, NULL}, {NULL}};
static char pack_sum[FNL_SHA256_TEXT];

/* Writes pack.tar.gz where the server finds it. */
static void pack(const char *tar, size_t size)
{
    gzFile z = gzopen(test_path("pack.tar.gz"), "wb");
    struct stat st;
    assert_int_equal(gzwrite(z, tar, (unsigned)size), size);
    assert_int_equal(gzclose(z), Z_OK);
    assert_int_equal(stat(test_path("pack.tar.gz"), &st), 0);
    assert_int_equal(fnl_sha256_file(test_path("pack.tar.gz"), pack_sum, NULL), 0);
    pack_file[0].size_bytes = (uint64_t)st.st_size;
    pack_file[0].sha256 = pack_sum;
}

static void archives_are_unpacked_by_our_names_only(void **state)
{
    (void)state;
    static const struct fnl_fetch_file members[] = {
        {"a.bin", 5000, ONE_SHA256}, {"b.bin", 3000, TWO_SHA256}, {"names.txt", 0, NULL}, {NULL}};
    const struct fnl_fetch_set set = {
        .name = "pack", .folder = "set", .files = pack_file, .members = members};
    static char tar[20000];
    size_t size = 0;
    clean();
    tar_add(tar, &size, "p/", '5', NULL, 0);
    tar_add(tar, &size, "p/../../../evil", '0', "evil", 4);
    tar_add(tar, &size, "p/a.bin", '0', one, sizeof one);
    tar_add(tar, &size, "p/b.bin", '2', NULL, 0); /* a link of a wanted name is none */
    tar_add(tar, &size, "p/b.bin", '0', two, sizeof two);
    tar_add(tar, &size, "../names.txt", '0', "x\ny\n", 4);
    pack(tar, size);
    if (fetch(&set, "ok") != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(report.count, 3);
    assert_int_equal(report.file[0].state, FNL_FETCH_UNPACKED);
    is_file("a.bin", one, sizeof one);
    is_file("b.bin", two, sizeof two);
    is_file("names.txt", "x\ny\n", 4);
    assert_true(access(out_path("pack.tar.gz"), F_OK) != 0);
    assert_true(access(out_path("evil"), F_OK) != 0);
    assert_true(access(test_path("evil"), F_OK) != 0);
    assert_int_equal(fetch(&set, "gone"), 0);
    assert_int_equal(report.file[2].state, FNL_FETCH_PRESENT);
    clean();
    size = 0;
    tar_add(tar, &size, "p/a.bin", '0', two, sizeof two);
    pack(tar, size);
    assert_int_equal(fetch(&set, "ok"), FNL_E_FORMAT);
    assert_non_null(strstr(err.message, "has no a.bin"));
    clean();
    tar[0] ^= 1;
    pack(tar, size);
    assert_int_equal(fetch(&set, "ok"), FNL_E_FORMAT);
    assert_non_null(strstr(err.message, "offset 0: tar: wrong checksum"));
    clean();
}

/* --- the table
 * ------------------------------------------------------------------------------------ */

static void sets_are_found_by_name(void **state)
{
    (void)state;
    const struct fnl_fetch_set *set = NULL;
    assert_int_equal(fnl_fetch_find("cifar10", &set, &err), 0);
    assert_string_equal(set->files[0].name, "cifar-10-binary.tar.gz");
    assert_int_equal(fnl_fetch_find("minst", &set, &err), FNL_E_INVALID);
    assert_string_equal(err.hint, "did you mean \"mnist\"?");
    for (int i = 0; fnl_fetch_sets[i] != NULL; i++) {
        for (const struct fnl_fetch_file *f = fnl_fetch_sets[i]->files; f->name != NULL; f++) {
            assert_int_equal(strlen(f->sha256), 64);
            assert_int_equal(strspn(f->sha256, "0123456789abcdef"), 64);
            assert_true(f->size_bytes > 1000);
        }
        for (int k = 0; fnl_fetch_sets[i]->bases[k] != NULL; k++) {
            assert_int_equal(strncmp(fnl_fetch_sets[i]->bases[k], "http", 4), 0);
        }
    }
}

/* Debian took the file names and times out of the gzip headers; the compressed data is the
 * distributor's. */
static void rebuild(const char *name, uint32_t time)
{
    char path[256], *data = NULL;
    unsigned char head[10] = {0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3};
    (void)snprintf(path, sizeof path, "/usr/share/datasets/fashion-mnist/%s", name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    data = fnl_malloc(1 << 25);
    size_t size = fread(data, 1, 1 << 25, in);
    (void)fclose(in);
    for (int i = 0; i < 4; i++) {
        head[4 + i] = (unsigned char)(time >> (8 * i));
    }
    FILE *out = fopen(test_path(name), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(head, 1, 10, out), 10);
    assert_int_equal(fwrite(name, 1, strlen(name) - 3, out), strlen(name) - 3); /* without .gz */
    assert_int_equal(fputc(0, out), 0);
    assert_int_equal(fwrite(data + 10, 1, size - 10, out), size - 10);
    assert_int_equal(fclose(out), 0);
    fnl_free(data);
}

static void fashion_mnist_has_the_sums_of_the_table(void **state)
{
    (void)state;
    if (access("/usr/share/datasets/fashion-mnist", R_OK) != 0) {
        printf("# skipped: dataset-fashion-mnist is not installed\n");
        skip();
    }
    const struct fnl_fetch_set *set = NULL;
    rebuild("train-images-idx3-ubyte.gz", 1504176606);
    rebuild("train-labels-idx1-ubyte.gz", 1504176606);
    rebuild("t10k-images-idx3-ubyte.gz", 1504176627);
    rebuild("t10k-labels-idx1-ubyte.gz", 1504176627);
    assert_int_equal(fnl_fetch_find("fashion-mnist", &set, NULL), 0);
    if (fetch(set, "ok") != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(report.count, 4);
    assert_int_equal(report.file[0].state, FNL_FETCH_DOWNLOADED);
    assert_int_equal(fetch(set, "gone"), 0);
    assert_int_equal(report.file[3].state, FNL_FETCH_PRESENT);
}

static int start(void **state)
{
    if (test_dir_make(state) != 0) {
        return -1;
    }
    make_files();
    test_write(test_path("one"), one, sizeof one);
    test_write(test_path("two"), two, sizeof two);
    assert_int_equal(fnl_path_mkdirs(test_path("out/set"), NULL), 0);
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
        cmocka_unit_test(files_come_from_servers_of_all_kinds),
        cmocka_unit_test(a_part_is_gone_on_with),
        cmocka_unit_test(a_damaged_part_is_thrown_away),
        cmocka_unit_test(what_a_server_sends_wrong_is_refused),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(an_interrupted_download_keeps_its_part),
        cmocka_unit_test(two_commands_refuse_each_other),
        cmocka_unit_test(folders_one_may_not_write_say_so),
        cmocka_unit_test(archives_are_unpacked_by_our_names_only),
        cmocka_unit_test(sets_are_found_by_name),
        cmocka_unit_test(fashion_mnist_has_the_sums_of_the_table),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
