/* Reading (gzip too), atomic writing, lines, paths, locks. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zlib.h>

#include "base/files.h"
#include "base/mem.h"

/* gzip of data as one member at out; its size. */
static size_t gzip(const void *data, size_t size, unsigned char *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    union {
        const void *in;
        unsigned char *out;
    } from = {.in = data};
    z.next_in = from.out;
    z.avail_in = (unsigned)size;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t used = z.total_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return used;
}

static void read_is(const char *path, const void *want, size_t size)
{
    char *data = NULL;
    size_t got = 0;
    struct fnl_error err = FNL_ERROR_INIT;
    int rc = fnl_file_read(path, (size_t)64 << 20, &data, &got, &err);
    if (rc != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(got, size);
    assert_memory_equal(data, want, size);
    assert_int_equal(data[size], 0);
    fnl_free(data);
}

static void read_fails(const char *path, size_t max, int code, const char *part)
{
    char *data = NULL;
    size_t got = 0;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_file_read(path, max, &data, &got, &err), code);
    assert_null(data);
    assert_non_null(strstr(err.message, path));
    if (strstr(err.message, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
    }
    assert_true(err.hint[0] != 0);
}

/* Bytes that compress a little; the same each time. */
static unsigned char *pattern(size_t size)
{
    unsigned char *p = fnl_malloc(size);
    uint32_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (unsigned char)(x >> 29);
    }
    return p;
}

static void plain_files_of_all_sizes_are_read(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 2, 65535, 65536, 65537, 1000000};
    unsigned char *p = pattern(1000000);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        test_write(test_path("plain"), p, sizes[i]);
        read_is(test_path("plain"), p, sizes[i]);
    }
    fnl_free(p);
}

static void gzip_files_of_all_sizes_are_read(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 65536, 200000, 3000000};
    unsigned char *p = pattern(3000000), *z = fnl_malloc(4000000);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t n = gzip(p, sizes[i], z, 4000000);
        test_write(test_path("a.bin"), z, n); /* the name does not say gzip */
        read_is(test_path("a.bin"), p, sizes[i]);
    }
    fnl_free(p);
    fnl_free(z);
}

static void gzip_members_follow_one_another(void **state)
{
    (void)state;
    unsigned char *p = pattern(300000), *z = fnl_malloc(1000000);
    size_t a = gzip(p, 100000, z, 500000);
    size_t b = gzip(p + 100000, 200000, z + a, 500000);
    test_write(test_path("two.gz"), z, a + b);
    read_is(test_path("two.gz"), p, 300000);
    memset(z + a + b, 0, 70000); /* padding of zeros, longer than one read */
    test_write(test_path("padded.gz"), z, a + b + 70000);
    read_is(test_path("padded.gz"), p, 300000);
    z[a + b + 69000] = 7;
    test_write(test_path("dirty.gz"), z, a + b + 70000);
    char offset[64];
    (void)snprintf(offset, sizeof offset, "offset %zu: bytes that are not gzip", a + b + 69000);
    read_fails(test_path("dirty.gz"), 1 << 20, FNL_E_FORMAT, offset);
    fnl_free(p);
    fnl_free(z);
}

static void members_that_end_at_a_chunk_are_found(void **state)
{
    (void)state;
    /* Stored members: the size in the file is the size of the data plus a constant, so that the
     * second member can begin at, before and after the end of a 64 KiB chunk. */
    unsigned char *p = pattern(70000), *z = fnl_malloc(200000), *want = fnl_malloc(140000);
    for (size_t target = 65534; target <= 65537; target++) {
        size_t n = 0, size = 65400;
        for (; n != target; size++) {
            z_stream s = {0};
            assert_int_equal(deflateInit2(&s, 0, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
            s.next_in = p;
            s.avail_in = (unsigned)size;
            s.next_out = z;
            s.avail_out = 100000;
            assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
            n = s.total_out;
            assert_int_equal(deflateEnd(&s), Z_OK);
            assert_true(n <= target);
        }
        size--;
        size_t second = gzip(p, 100, z + n, 1000);
        memcpy(want, p, size);
        memcpy(want + size, p, 100);
        test_write(test_path("edge.gz"), z, n + second);
        read_is(test_path("edge.gz"), want, size + 100);
    }
    fnl_free(p);
    fnl_free(z);
    fnl_free(want);
}

static void damaged_gzip_is_refused_at_every_cut(void **state)
{
    (void)state;
    unsigned char *p = pattern(500), z[1000];
    size_t n = gzip(p, 500, z, sizeof z);
    for (size_t cut = 2; cut < n; cut++) {
        test_write(test_path("cut.gz"), z, cut);
        char offset[64];
        (void)snprintf(offset, sizeof offset, "offset %zu: the gzip data ends too early", cut);
        read_fails(test_path("cut.gz"), 1 << 20, FNL_E_FORMAT, offset);
    }
    z[n - 6] ^= 1; /* checksum */
    test_write(test_path("crc.gz"), z, n);
    read_fails(test_path("crc.gz"), 1 << 20, FNL_E_FORMAT, "incorrect data check");
    z[n - 6] ^= 1;
    z[n - 1] = 0x7F; /* length, which is also what the first allocation believes */
    test_write(test_path("length.gz"), z, n);
    read_fails(test_path("length.gz"), (size_t)8 << 30, FNL_E_FORMAT, "incorrect length check");
    z[3] = 0xFF; /* reserved flags */
    test_write(test_path("flags.gz"), z, n);
    read_fails(test_path("flags.gz"), 1 << 20, FNL_E_FORMAT, "bad gzip data");
    fnl_free(p);
}

static void results_beyond_the_maximum_are_refused(void **state)
{
    (void)state;
    const size_t size = (size_t)10 << 20;
    unsigned char *p = fnl_calloc(1, size), *z = fnl_malloc(100000);
    size_t n = gzip(p, size, z, 100000);
    test_write(test_path("bomb.gz"), z, n);
    read_fails(test_path("bomb.gz"), size - 1, FNL_E_LIMIT, "larger than the 10485759 bytes");
    read_fails(test_path("bomb.gz"), 1000, FNL_E_LIMIT, "larger than");
    read_fails(test_path("bomb.gz"), 0, FNL_E_LIMIT, "larger than");
    char *data = NULL;
    size_t got = 0;
    assert_int_equal(fnl_file_read(test_path("bomb.gz"), size, &data, &got, NULL), 0);
    assert_int_equal(got, size);
    fnl_free(data);
    test_write(test_path("plain"), p, 1001);
    read_fails(test_path("plain"), 1000, FNL_E_LIMIT, "larger than the 1000 bytes");
    read_is(test_path("plain"), p, 1001);
    fnl_free(p);
    fnl_free(z);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    read_fails(test_path("absent"), 100, FNL_E_NOTFOUND, "No such file");
    read_fails(test_dir, 100, FNL_E_IO, "directory");
}

static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    const char *path = test_path("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(path, O_WRONLY);
        for (int i = 0; i < 1000; i++) {
            if (write(fd, "0123456789", 10) != 10) {
                _exit(1);
            }
        }
        _exit(0);
    }
    char *data = NULL;
    size_t got = 0;
    assert_int_equal(fnl_file_read(path, 100000, &data, &got, NULL), 0);
    assert_int_equal(got, 10000);
    fnl_free(data);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void reading_survives_each_failed_allocation(void **state)
{
    (void)state;
    unsigned char *p = pattern(300000), *z = fnl_malloc(400000);
    test_write(test_path("t.gz"), z, gzip(p, 300000, z, 400000));
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        char *data = NULL;
        size_t got = 0;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = fnl_file_read(test_path("t.gz"), 1 << 20, &data, &got, &err);
        fnl_mem_fail_at(0);
        if (rc == 0) {
            fnl_free(data);
            break;
        }
        assert_int_equal(rc, FNL_E_NOMEM);
        failures++;
    }
    assert_true(failures >= 3);
    fnl_free(p);
    fnl_free(z);
}

static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    int count = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    assert_int_equal(closedir(d), 0);
    return count;
}

static void a_written_file_is_whole(void **state)
{
    (void)state;
    const char *path = test_path("sub/out");
    assert_int_equal(fnl_path_mkdirs(test_path("sub"), NULL), 0);
    unsigned char *p = pattern(200000);
    assert_int_equal(fnl_file_write(path, p, 200000, NULL), 0);
    read_is(path, p, 200000);
    assert_int_equal(fnl_file_write(path, "new", 3, NULL), 0);
    read_is(path, "new", 3);
    assert_int_equal(fnl_file_write(path, NULL, 0, NULL), 0);
    read_is(path, "", 0);
    struct fnl_file_writer *w = NULL;
    assert_int_equal(fnl_file_begin(path, &w, NULL), 0);
    for (size_t i = 0; i < 200000; i += 50) {
        assert_int_equal(fnl_file_append(w, p + i, 50, NULL), 0);
    }
    read_is(path, "", 0); /* nothing to be seen before the commit */
    assert_int_equal(fnl_file_commit(w, NULL), 0);
    read_is(path, p, 200000);
    assert_int_equal(entries(test_path("sub")), 1);
    fnl_free(p);
}

static void the_mode_of_a_replaced_file_stays(void **state)
{
    (void)state;
    const char *path = test_path("private");
    test_write(path, "a", 1);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(fnl_file_write(path, "b", 1, NULL), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void an_aborted_write_leaves_the_old_file_alone(void **state)
{
    (void)state;
    const char *path = test_path("kept");
    test_write(path, "old", 3);
    struct fnl_file_writer *w = NULL;
    assert_int_equal(fnl_file_begin(path, &w, NULL), 0);
    assert_int_equal(fnl_file_append(w, "new", 3, NULL), 0);
    fnl_file_abort(w);
    fnl_file_abort(NULL);
    read_is(path, "old", 3);
    assert_int_equal(entries(test_dir), 1);
}

/* Fails each write and sync in turn: the file is the old or the new one, whole, nothing beside it.
 */
static void a_full_disk_leaves_old_or_new_and_no_rubbish(void **state)
{
    (void)state;
    const char *path = test_path("kept");
    unsigned char *p = pattern(300000);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        test_write(path, "old", 3);
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_file_fail_at(n);
        struct fnl_file_writer *w = NULL;
        int rc = fnl_file_begin(path, &w, &err);
        assert_int_equal(rc, 0);
        for (size_t i = 0; rc == 0 && i < 300000; i += 30000) {
            rc = fnl_file_append(w, p + i, 30000, &err);
        }
        if (rc == 0) {
            rc = fnl_file_commit(w, &err);
        } else {
            assert_int_equal(fnl_file_append(w, p, 1, NULL), FNL_E_IO); /* stays failed */
            assert_int_equal(fnl_file_commit(w, NULL), FNL_E_IO);
        }
        fnl_file_fail_at(0);
        assert_int_equal(entries(test_dir), 1);
        if (rc == 0) {
            read_is(path, p, 300000);
            break;
        }
        failures++;
        assert_int_equal(rc, FNL_E_IO);
        assert_non_null(strstr(err.message, "No space left"));
        assert_non_null(strstr(err.hint, "free some space"));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        if (st.st_size == 3) {
            read_is(path, "old", 3);
        } else {
            read_is(path, p, 300000); /* only the folder's sync failed */
        }
    }
    assert_true(failures >= 6);
    fnl_free(p);
}

static void writing_survives_each_failed_allocation(void **state)
{
    (void)state;
    test_write(test_path("kept"), "old", 3);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        fnl_mem_fail_at(n);
        int rc = fnl_file_write(test_path("kept"), "new", 3, NULL);
        fnl_mem_fail_at(0);
        assert_int_equal(entries(test_dir), 1);
        if (rc == 0) {
            break;
        }
        assert_int_equal(rc, FNL_E_NOMEM);
        read_is(test_path("kept"), "old", 3);
        failures++;
    }
    assert_int_equal(failures, 4);
}

static void writing_where_one_may_not_says_why(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_file_write(test_path("absent/x"), "a", 1, &err), FNL_E_NOTFOUND);
    assert_non_null(strstr(err.message, "absent/x"));
    assert_int_equal(fnl_file_write(test_dir, "a", 1, &err), FNL_E_IO);
    assert_int_equal(fnl_file_write("/proc/fournil-test", "a", 1, &err), FNL_E_NOTFOUND);
    if (geteuid() == 0) {
        print_message("as root every folder is writable: that part is left out\n");
        return;
    }
    assert_int_equal(fnl_path_mkdirs(test_path("ro"), NULL), 0);
    assert_int_equal(chmod(test_path("ro"), 0500), 0);
    assert_int_equal(fnl_file_write(test_path("ro/x"), "a", 1, &err), FNL_E_IO);
    assert_non_null(strstr(err.hint, "permissions"));
}

static void lines_are_appended_whole(void **state)
{
    (void)state;
    const char *path = test_path("metrics.jsonl");
    assert_int_equal(fnl_file_append_line(path, "{\"a\":1}", NULL), 0);
    assert_int_equal(fnl_file_append_line(path, "", NULL), 0);
    assert_int_equal(fnl_file_append_line(path, "{\"a\":2}", NULL), 0);
    read_is(path, "{\"a\":1}\n\n{\"a\":2}\n", 17);
    struct fnl_error err = FNL_ERROR_INIT;
    fnl_file_fail_at(1);
    assert_int_equal(fnl_file_append_line(path, "lost", &err), FNL_E_IO);
    fnl_file_fail_at(0);
    read_is(path, "{\"a\":1}\n\n{\"a\":2}\n", 17);
    test_write(path, "whole\n{\"torn", 12); /* as a power cut leaves it */
    assert_int_equal(fnl_file_append_line(path, "next", NULL), 0);
    read_is(path, "whole\n{\"torn\nnext\n", 18);
    assert_int_equal(fnl_file_append_line(test_path("no/such"), "x", NULL), FNL_E_NOTFOUND);
}

static void path_is(char *got, const char *want)
{
    assert_non_null(got);
    assert_string_equal(got, want);
    fnl_free(got);
}

static void paths_are_joined_and_split(void **state)
{
    (void)state;
    path_is(fnl_path_join("a", "b"), "a/b");
    path_is(fnl_path_join("a/", "b"), "a/b");
    path_is(fnl_path_join("a", "/b"), "/b");
    path_is(fnl_path_join("", "b"), "b");
    path_is(fnl_path_dirname("a/b/c"), "a/b");
    path_is(fnl_path_dirname("a//c"), "a");
    path_is(fnl_path_dirname("c"), ".");
    path_is(fnl_path_dirname("/c"), "/");
    path_is(fnl_path_dirname("//c"), "/");
    assert_string_equal(fnl_path_basename("a/b.c"), "b.c");
    assert_string_equal(fnl_path_basename("b.c"), "b.c");
}

static void folders_are_made_on_the_way(void **state)
{
    (void)state;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_path_mkdirs(test_path("a//b/c/"), &err), 0);
    assert_true(fnl_path_is_dir(test_path("a/b/c")));
    assert_int_equal(fnl_path_mkdirs(test_path("a/b"), &err), 0);
    test_write(test_path("file"), "", 0);
    assert_true(fnl_path_exists(test_path("file")));
    assert_false(fnl_path_is_dir(test_path("file")));
    assert_int_equal(fnl_path_mkdirs(test_path("file"), &err), FNL_E_IO);
    assert_non_null(strstr(err.message, "a file of this name"));
    assert_int_equal(fnl_path_mkdirs(test_path("file/x"), &err), FNL_E_IO);
    assert_int_equal(fnl_path_mkdirs("", &err), FNL_E_NOTFOUND);
}

static void a_lock_excludes_and_dies_with_its_process(void **state)
{
    (void)state;
    const char *path = test_path("lock");
    int ready[2], go[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = -1;
        char c = fnl_file_lock(path, &fd, NULL) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &c, 1);
        (void)!read(go[0], &c, 1);
        _exit(0); /* without unlocking */
    }
    char c = 0;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    int fd = -1;
    struct fnl_error err = FNL_ERROR_INIT;
    assert_int_equal(fnl_file_lock(path, &fd, &err), FNL_E_BUSY);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(fnl_file_lock(path, &fd, &err), 0);
    fnl_file_unlock(fd);
    fnl_file_unlock(-1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(close(ready[i]), 0);
        assert_int_equal(close(go[i]), 0);
    }
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, test_dir_make, test_dir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(plain_files_of_all_sizes_are_read),
        IN_DIR(gzip_files_of_all_sizes_are_read),
        IN_DIR(gzip_members_follow_one_another),
        IN_DIR(members_that_end_at_a_chunk_are_found),
        IN_DIR(damaged_gzip_is_refused_at_every_cut),
        IN_DIR(results_beyond_the_maximum_are_refused),
        IN_DIR(what_is_no_file_is_refused),
        IN_DIR(a_pipe_is_read_to_its_end),
        IN_DIR(reading_survives_each_failed_allocation),
        IN_DIR(a_written_file_is_whole),
        IN_DIR(the_mode_of_a_replaced_file_stays),
        IN_DIR(an_aborted_write_leaves_the_old_file_alone),
        IN_DIR(a_full_disk_leaves_old_or_new_and_no_rubbish),
        IN_DIR(writing_survives_each_failed_allocation),
        IN_DIR(writing_where_one_may_not_says_why),
        IN_DIR(lines_are_appended_whole),
        IN_DIR(paths_are_joined_and_split),
        IN_DIR(folders_are_made_on_the_way),
        IN_DIR(a_lock_excludes_and_dies_with_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
