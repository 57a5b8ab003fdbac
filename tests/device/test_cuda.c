/* The CUDA driver's host code on the stand-in: what there is, memory, kernels, recordings, and
 * where compiled programs come from. */
#include "cuda_test.h"

#include "device/cuda/embedded.h"

/* ---- what there is ---- */

static void devices_are_listed_with_their_facts(void **state)
{
    (void)state;
    static const char *const pairs[] = {"FAKE_CUDA_DEVICES=3", "FAKE_CUDA_CAPABILITY=90",
                                        "FAKE_CUDA_MEMORY=1000000", NULL};
    struct fnl_accel_info info;
    int count = -1;
    start_with_device(pairs);
    assert_int_equal(cuda->count(&count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(cuda->info(2, &info, NULL), 0);
    assert_string_equal(info.name, "cuda:2");
    assert_string_equal(info.model, "Stand-in GPU 2");
    assert_string_equal(info.vendor, "NVIDIA");
    assert_memory_equal(info.driver, "CUDA 13.0", 9);
    assert_string_equal(info.platform, "");
    assert_string_equal(info.uuid, "GPU-02132435-4657-6879-0a1b-2c3d4e5f7081");
    assert_int_equal(info.memory_bytes, 1000000);
    assert_int_equal(info.compute_units, 4);
    assert_int_equal(info.capability_major, 9);
    assert_int_equal(info.capability_minor, 0);
    assert_int_equal(info.max_group, 1024);
    assert_int_equal(info.local_bytes, 49152);
    assert_true(info.has_f16 && info.has_f64 && !info.is_cpu);
}

static void there_may_be_64_devices_and_each_opens(void **state)
{
    (void)state;
    static const char *const pairs[] = {"FAKE_CUDA_DEVICES=64", NULL};
    struct fnl_accel *open[64];
    int count = 0;
    start_with_device(pairs);
    assert_int_equal(cuda->count(&count, NULL), 0);
    assert_int_equal(count, 64);
    for (int i = 0; i < 64; i++) {
        open[i] = open_cuda(i);
        assert_int_equal(open[i]->driver == cuda, 1);
    }
    for (int i = 0; i < 64; i++) {
        cuda->close(open[i]);
    }
    cuda->close(NULL);
    assert_int_equal(fake_cuda_live_handles(), 0);
}

static void visible_devices_are_the_drivers_own_reading(void **state)
{
    (void)state;
    static const struct {
        const char *value, *first;
        int count;
    } row[] = {
        {"CUDA_VISIBLE_DEVICES=2,0", "Stand-in GPU 2", 2},
        {"CUDA_VISIBLE_DEVICES=GPU-02132435", "Stand-in GPU 2", 1},
        {"CUDA_VISIBLE_DEVICES=1,9,0", "Stand-in GPU 1", 1}, /* up to the first that is none */
    };
    for (size_t i = 0; i < TEST_COUNT(row); i++) {
        const char *const pairs[] = {"FAKE_CUDA_DEVICES=3", row[i].value, NULL};
        struct fnl_accel_info info;
        int count = 0;
        start_with_device(pairs);
        assert_int_equal(cuda->count(&count, NULL), 0);
        assert_int_equal(count, row[i].count);
        assert_int_equal(cuda->info(0, &info, NULL), 0);
        assert_string_equal(info.model, row[i].first);
    }
}

/* ---- memory ---- */

static void bytes_come_back_from_where_they_were_put(void **state)
{
    (void)state;
    struct fnl_accel_buf *a = NULL, *b = NULL;
    uint32_t in[64], out[64] = {0};
    start_with_device(NULL);
    struct fnl_accel *d = open_cuda(0);
    uint32_t *page = cuda->host_alloc(d, sizeof in);
    assert_non_null(page);
    for (uint32_t i = 0; i < 64; i++) {
        in[i] = page[i] = 1000 + i;
    }
    assert_int_equal(cuda->buf_alloc(d, sizeof in, &a, NULL), 0);
    assert_int_equal(cuda->buf_alloc(d, sizeof in, &b, NULL), 0);
    assert_int_equal(cuda->put(d, a, 0, page, sizeof in, NULL), 0);
    assert_int_equal(cuda->fill(d, b, 0, 7, sizeof in, NULL), 0);
    assert_int_equal(cuda->copy(d, b, 16, a, 32, 64, NULL), 0);
    assert_int_equal(cuda->put(d, b, 252, in, 4, NULL), 0);
    assert_int_equal(cuda->fill(d, b, 248, 0xFFFFFFFFu, 4, NULL), 0);
    assert_int_equal(cuda->get(d, b, 0, out, sizeof out, NULL), 0);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t want = i >= 4 && i < 20 ? 1000 + i + 4
                        : i == 62        ? 0xFFFFFFFFu
                        : i == 63        ? 1000
                                         : 7;
        assert_int_equal(out[i], want);
    }
    /* nothing is a legal amount */
    assert_int_equal(cuda->put(d, a, 256, in, 0, NULL), 0);
    assert_int_equal(cuda->get(d, a, 256, out, 0, NULL), 0);
    assert_int_equal(cuda->copy(d, a, 0, b, 256, 0, NULL), 0);
    assert_int_equal(cuda->fill(d, a, 0, 1, 0, NULL), 0);
    cuda->buf_free(d, a);
    cuda->buf_free(d, b);
    cuda->buf_free(d, NULL);
    cuda->host_free(d, page);
    cuda->host_free(d, NULL);
    cuda->close(d);
    assert_int_equal(fake_cuda_live_handles(), 0);
}

static void ranges_outside_a_buffer_are_refused(void **state)
{
    (void)state;
    struct fnl_accel_buf *a = NULL;
    char bytes[32] = {0};
    start_with_device(NULL);
    struct fnl_accel *d = open_cuda(0);
    assert_int_equal(cuda->buf_alloc(d, 16, &a, NULL), 0);
    assert_int_equal(cuda->put(d, a, 8, bytes, 9, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->put(d, a, SIZE_MAX, bytes, 2, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->get(d, a, 17, bytes, 0, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->copy(d, a, 0, a, 8, 9, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->copy(d, a, 9, a, 0, 8, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->fill(d, a, 8, 0, 12, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->fill(d, a, 2, 0, 4, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->fill(d, a, 0, 0, 6, NULL), FNL_E_INTERNAL);
    cuda->buf_free(d, a);
    cuda->close(d);
}

static void too_much_memory_says_how_much_is_free(void **state)
{
    (void)state;
    static const char *const pairs[] = {"FAKE_CUDA_MEMORY=4194304", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_buf *a = NULL, *b = NULL;
    uint64_t free_bytes = 0;
    start_with_device(pairs);
    struct fnl_accel *d = open_cuda(0);
    assert_int_equal(cuda->buf_alloc(d, 1 << 20, &a, &err), 0);
    assert_int_equal(cuda->memory_free(d, &free_bytes), 0);
    assert_int_equal(free_bytes, 3 << 20);
    assert_int_equal(cuda->buf_alloc(d, (3 << 20) + 512 * 1024, &b, &err), FNL_E_NOMEM);
    assert_string_equal(err.message,
                        "cuda:0: out of GPU memory: 3.5 MiB asked for, 3.0 MiB of 4.0 MiB free");
    assert_non_null(strstr(err.hint, "smaller batch"));
    assert_null(b);
    cuda->buf_free(d, a);
    assert_int_equal(cuda->buf_alloc(d, 4 << 20, &b, &err), 0); /* and goes on */
    cuda->buf_free(d, b);
    cuda->close(d);
}

/* ---- kernels ---- */

struct probe {
    struct fnl_accel *d;
    struct fnl_accel_prog *prog;
    struct fnl_accel_kernel *scale, *sum, *transpose;
};

static void open_probe(struct probe *p)
{
    struct fnl_error err = FNL_ERROR_INIT;
    p->d = open_cuda(0);
    if (build_probe(p->d, "-DWIDTH=4", &p->prog, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(cuda->kernel_get(p->d, p->prog, "probe_scale", &p->scale, NULL), 0);
    assert_int_equal(cuda->kernel_get(p->d, p->prog, "probe_sum", &p->sum, NULL), 0);
    assert_int_equal(cuda->kernel_get(p->d, p->prog, "probe_transpose", &p->transpose, NULL), 0);
}

static void close_probe(struct probe *p)
{
    cuda->prog_free(p->d, p->prog);
    cuda->close(p->d);
    assert_int_equal(fake_cuda_live_handles(), 0);
}

static struct fnl_accel_buf *new_buf(struct fnl_accel *d, const void *data, size_t bytes)
{
    struct fnl_accel_buf *b = NULL;
    assert_int_equal(cuda->buf_alloc(d, bytes, &b, NULL), 0);
    assert_int_equal(data == NULL ? cuda->fill(d, b, 0, 0, bytes, NULL)
                                  : cuda->put(d, b, 0, data, bytes, NULL),
                     0);
    return b;
}

static int launch(struct probe *p, struct fnl_accel_kernel *kernel, uint32_t groups, uint32_t group,
                  const struct fnl_accel_arg *arg, int count, struct fnl_error *err)
{
    const struct fnl_accel_launch l = {.kernel = kernel,
                                       .groups = {groups, 1, 1},
                                       .group = {group, 1, 1},
                                       .arg = arg,
                                       .arg_count = count};
    return cuda->launch(p->d, &l, err);
}

static void arguments_of_every_kind_arrive(void **state)
{
    (void)state;
    struct probe p;
    float x[100], y[100];
    for (int i = 0; i < 100; i++) {
        x[i] = (float)i;
    }
    start_with_device(NULL);
    open_probe(&p);
    struct fnl_accel_buf *in = new_buf(p.d, x, sizeof x), *out = new_buf(p.d, NULL, sizeof y);
    const struct fnl_accel_arg arg[] = {BUF(in, 40), F32(0.5f), I32(-3), U32(80), BUF(out, 8)};
    assert_int_equal(launch(&p, p.scale, 3, 16, arg, 5, NULL), 0);
    assert_int_equal(cuda->get(p.d, out, 0, y, sizeof y, NULL), 0);
    for (int i = 0; i < 100; i++) {
        float want = i < 2 || i >= 82 ? 0.0f : 0.5f * (float)(i - 2 + 10) - 3.0f;
        assert_true(y[i] == want);
    }
    cuda->buf_free(p.d, in);
    cuda->buf_free(p.d, out);
    close_probe(&p);
}

static void null_pointers_barriers_and_defines_work(void **state)
{
    (void)state;
    struct probe p;
    uint32_t x[150], mask[150], y[3], matrix[6 * 5], turned[6 * 5];
    uint32_t want[3] = {0}, want_masked[3] = {0};
    for (uint32_t i = 0; i < 150; i++) {
        x[i] = i * i;
        mask[i] = i % 3;
        want[i / 64] += x[i];
        want_masked[i / 64] += mask[i] != 0 ? x[i] : 0;
    }
    for (uint32_t i = 0; i < 30; i++) {
        matrix[i] = i;
    }
    start_with_device(NULL);
    open_probe(&p);
    struct fnl_accel_buf *in = new_buf(p.d, x, sizeof x), *m = new_buf(p.d, mask, sizeof mask),
                         *out = new_buf(p.d, NULL, sizeof y),
                         *a = new_buf(p.d, matrix, sizeof matrix),
                         *b = new_buf(p.d, NULL, sizeof turned);
    const struct fnl_accel_arg plain[] = {BUF(in, 0), BUF(NULL, 0), U32(150), U32(0), BUF(out, 0)};
    const struct fnl_accel_arg masked[] = {BUF(in, 0), BUF(m, 0), U32(150), U32(1), BUF(out, 0)};
    const struct fnl_accel_arg turn[] = {BUF(a, 0), U32(6), U32(5), BUF(b, 0)};
    assert_int_equal(launch(&p, p.sum, 3, 64, plain, 5, NULL), 0);
    assert_int_equal(cuda->get(p.d, out, 0, y, sizeof y, NULL), 0);
    assert_memory_equal(y, want, sizeof want);
    assert_int_equal(launch(&p, p.sum, 3, 64, masked, 5, NULL), 0);
    assert_int_equal(cuda->get(p.d, out, 0, y, sizeof y, NULL), 0);
    assert_memory_equal(y, want_masked, sizeof want_masked);
    const struct fnl_accel_launch l = {.kernel = p.transpose,
                                       .groups = {2, 2, 1},
                                       .group = {4, 4, 1},
                                       .arg = turn,
                                       .arg_count = 4};
    assert_int_equal(cuda->launch(p.d, &l, NULL), 0);
    assert_int_equal(cuda->get(p.d, b, 0, turned, sizeof turned, NULL), 0);
    for (uint32_t r = 0; r < 6; r++) {
        for (uint32_t c = 0; c < 5; c++) {
            assert_int_equal(turned[c * 6 + r], matrix[r * 5 + c]);
        }
    }
    struct fnl_accel_buf *all[] = {in, m, out, a, b};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        cuda->buf_free(p.d, all[i]);
    }
    close_probe(&p);
}

static void impossible_launches_are_refused_with_the_kernels_name(void **state)
{
    (void)state;
    struct probe p;
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_kernel *none = NULL;
    start_with_device(NULL);
    open_probe(&p);
    struct fnl_accel_buf *b = new_buf(p.d, NULL, 64);
    const struct fnl_accel_arg arg[] = {BUF(b, 0), F32(1.0f), I32(0), U32(4), BUF(b, 0), U32(0)};
    const struct fnl_accel_arg outside[] = {BUF(b, 65), F32(1.0f), I32(0), U32(4), BUF(b, 0)};
    assert_int_equal(launch(&p, p.scale, 0, 16, arg, 5, &err), FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "probe_scale"));
    assert_int_equal(launch(&p, p.scale, 1, 0, arg, 5, &err), FNL_E_INTERNAL);
    assert_int_equal(launch(&p, p.scale, 1, 1025, arg, 5, &err), FNL_E_INTERNAL);
    assert_int_equal(launch(&p, p.scale, 1, 16, arg, FNL_ACCEL_MAX_ARGS + 1, &err), FNL_E_INTERNAL);
    assert_int_equal(launch(&p, p.scale, 1, 16, outside, 5, &err), FNL_E_INTERNAL);
    assert_int_equal(launch(&p, p.scale, 1, 16, arg, 4, &err), FNL_E_INTERNAL); /* too few */
    assert_non_null(strstr(err.message, "CUDA_ERROR_INVALID_VALUE"));
    assert_int_equal(launch(&p, p.scale, 1, 16, arg, 6, &err), FNL_E_INTERNAL); /* too many */
    assert_int_equal(launch(&p, p.scale, 1, 16, arg, 5, &err), 0);
    assert_int_equal(cuda->kernel_get(p.d, p.prog, "nothing", &none, &err), FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "probe.k: no kernel nothing in it"));
    assert_null(none);
    assert_int_equal(cuda->kernel_get(p.d, p.prog, "probe_sum", &none, &err), 0);
    assert_ptr_equal(none, p.sum); /* the same one again */
    cuda->buf_free(p.d, b);
    close_probe(&p);
}

/* ---- recordings ---- */

static void a_recording_runs_as_often_as_wanted(void **state)
{
    (void)state;
    struct probe p;
    struct fnl_accel_rec *rec = NULL, *empty = NULL;
    float x[4] = {1.0f, 2.0f, 3.0f, 4.0f}, y[8];
    start_with_device(NULL);
    open_probe(&p);
    struct fnl_accel_buf *a = new_buf(p.d, x, sizeof x), *b = new_buf(p.d, NULL, sizeof y);
    const struct fnl_accel_arg arg[] = {BUF(a, 0), F32(2.0f), I32(1), U32(4), BUF(a, 0)};
    assert_int_equal(cuda->rec_begin(p.d, NULL), 0);
    assert_int_equal(launch(&p, p.scale, 1, 4, arg, 5, NULL), 0);
    assert_int_equal(cuda->copy(p.d, b, 16, a, 0, 16, NULL), 0);
    assert_int_equal(cuda->fill(p.d, b, 0, 0x40400000u, 16, NULL), 0);
    assert_int_equal(cuda->rec_end(p.d, &rec, NULL), 0);
    assert_int_equal(cuda->get(p.d, b, 0, y, sizeof y, NULL), 0);
    assert_true(y[0] == 0.0f && y[4] == 0.0f); /* nothing has run yet */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cuda->rec_run(p.d, rec, NULL), 0);
    }
    assert_int_equal(cuda->get(p.d, b, 0, y, sizeof y, NULL), 0);
    for (int i = 0; i < 4; i++) {
        assert_true(y[i] == 3.0f);
        assert_true(y[4 + i] == 8.0f * x[i] + 7.0f);
    }
    assert_int_equal(cuda->rec_begin(p.d, NULL), 0);
    assert_int_equal(cuda->rec_end(p.d, &empty, NULL), 0);
    assert_int_equal(cuda->rec_run(p.d, empty, NULL), 0);
    cuda->rec_free(p.d, rec);
    cuda->rec_free(p.d, empty);
    cuda->rec_free(p.d, NULL);
    cuda->buf_free(p.d, a);
    cuda->buf_free(p.d, b);
    close_probe(&p);
}

static void what_is_not_legal_inside_spoils_the_recording_only(void **state)
{
    (void)state;
    struct probe p;
    struct fnl_accel_rec *rec = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    uint32_t word = 5;
    start_with_device(NULL);
    open_probe(&p);
    struct fnl_accel_buf *b = new_buf(p.d, NULL, 64), *more = NULL;
    assert_int_equal(cuda->rec_end(p.d, &rec, &err), FNL_E_INTERNAL);
    assert_int_equal(cuda->rec_begin(p.d, &err), 0);
    assert_int_equal(cuda->buf_alloc(p.d, 64, &more, &err), 0); /* legal */
    assert_int_equal(cuda->sync(p.d, &err), FNL_E_INTERNAL);
    assert_string_equal(err.message, "cuda:0: sync inside a recording");
    assert_int_equal(cuda->get(p.d, b, 0, &word, 4, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->fill(p.d, b, 0, 1, 4, &err), 0);
    assert_int_equal(cuda->rec_end(p.d, &rec, &err), FNL_E_INTERNAL);
    assert_string_equal(err.message, "cuda:0: sync inside a recording"); /* the first */
    assert_null(rec);

    assert_int_equal(cuda->rec_begin(p.d, &err), 0);
    assert_int_equal(cuda->fill(p.d, b, 0, 1, 128, NULL), FNL_E_INTERNAL);
    assert_int_equal(cuda->rec_end(p.d, &rec, &err), FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "of a buffer of 64"));

    assert_int_equal(cuda->rec_begin(p.d, &err), 0);
    assert_int_equal(cuda->fill(p.d, b, 0, 9, 4, &err), 0);
    assert_int_equal(cuda->rec_end(p.d, &rec, &err), 0);
    assert_int_equal(cuda->rec_run(p.d, rec, &err), 0);
    assert_int_equal(cuda->get(p.d, b, 0, &word, 4, NULL), 0);
    assert_int_equal(word, 9);
    cuda->rec_free(p.d, rec);
    cuda->buf_free(p.d, b);
    cuda->buf_free(p.d, more);
    close_probe(&p);
}

static void events_tell_when_and_how_long(void **state)
{
    (void)state;
    struct fnl_accel_event *from = NULL, *to = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    uint64_t ns = 0;
    start_with_device(NULL);
    struct fnl_accel *d = open_cuda(0);
    struct fnl_accel_buf *b = new_buf(d, NULL, 1 << 20);
    assert_int_equal(cuda->event_create(d, &from, NULL), 0);
    assert_int_equal(cuda->event_create(d, &to, NULL), 0);
    assert_int_equal(cuda->event_elapsed(d, from, to, &ns, &err),
                     FNL_E_INTERNAL); /* not recorded */
    assert_int_equal(cuda->event_record(d, from, NULL), 0);
    assert_int_equal(cuda->fill(d, b, 0, 1, 1 << 20, NULL), 0);
    assert_int_equal(cuda->event_record(d, to, NULL), 0);
    assert_int_equal(cuda->event_wait(d, to, NULL), 0);
    assert_int_equal(cuda->event_elapsed(d, from, to, &ns, NULL), 0);
    assert_true(ns < UINT64_C(60000000000));
    cuda->event_free(d, from);
    cuda->event_free(d, to);
    cuda->event_free(d, NULL);
    cuda->buf_free(d, b);
    cuda->close(d);
    assert_int_equal(fake_cuda_live_handles(), 0);
}

static void the_noop_mode_runs_nothing(void **state)
{
    (void)state;
    static const char *const pairs[] = {"FAKE_CUDA_NOOP=1", NULL};
    struct probe p;
    float x[4] = {1.0f, 2.0f, 3.0f, 4.0f}, y[4];
    start_with_device(pairs);
    open_probe(&p);
    struct fnl_accel_buf *a = new_buf(p.d, x, sizeof x);
    const struct fnl_accel_arg arg[] = {BUF(a, 0), F32(2.0f), I32(1), U32(4), BUF(a, 0)};
    assert_int_equal(launch(&p, p.scale, 1, 4, arg, 5, NULL), 0);
    assert_int_equal(cuda->get(p.d, a, 0, y, sizeof y, NULL), 0);
    assert_memory_equal(x, y, sizeof x);
    cuda->buf_free(p.d, a);
    close_probe(&p);
}

/* ---- where programs come from ---- */

static size_t compilations(void)
{
    char *data = NULL;
    size_t size = 0;
    if (fnl_file_read(test_path("count"), 1 << 20, &data, &size, NULL) != 0) {
        return 0;
    }
    fnl_free(data);
    return size;
}

static void build_and_free(const char *defines)
{
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_prog *prog = NULL;
    struct fnl_accel *d = open_cuda(0);
    if (build_probe(d, defines, &prog, &err) != 0) {
        fail_msg("%s", err.message);
    }
    cuda->prog_free(d, prog);
    cuda->prog_free(d, NULL);
    cuda->close(d);
}

static void the_second_run_compiles_nothing(void **state)
{
    (void)state;
    char count[300];
    (void)snprintf(count, sizeof count, "FAKE_NVRTC_COUNT=%s", test_path("count"));
    const char *const first[] = {count, NULL};
    const char *const newer_driver[] = {count, "FAKE_CUDA_VERSION=13010", NULL};
    const char *const newer_nvrtc[] = {count, "FAKE_NVRTC_VERSION=12.9", NULL};
    const char *const other_model[] = {count, "FAKE_CUDA_CAPABILITY=90", NULL};
    start_with_device(first);
    build_and_free("");
    assert_int_equal(compilations(), 1);
    build_and_free("");
    assert_int_equal(compilations(), 1);
    build_and_free("-DWIDTH=2");
    assert_int_equal(compilations(), 2);
    start(first);
    build_and_free("");
    assert_int_equal(compilations(), 2);
    const char *const *const others[] = {newer_driver, newer_nvrtc, other_model};
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        start(others[i]);
        build_and_free("");
        assert_int_equal(compilations(), 3 + i);
        build_and_free("");
        assert_int_equal(compilations(), 3 + i);
    }
}

static void an_older_driver_gets_the_builds_own_ptx(void **state)
{
    (void)state;
    static const char *const old[] = {"FAKE_CUDA_VERSION=12020", NULL}; /* NVRTC is 13.0 */
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_prog *prog = NULL;
    start_with_device(old);
    struct fnl_accel *d = open_cuda(0);
    /* not among the kernels of the build */
    assert_int_equal(build_probe(d, "", &prog, &err), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "(CUDA 12.2"));
    assert_non_null(strstr(err.message, "probe.k: it does not know PTX 9.0, made by NVRTC 13.0"));
    assert_non_null(strstr(err.hint, "CUDA 12.2"));
    assert_null(prog);
    if (fnl__cuda_embedded[0].name == NULL) {
        (void)fprintf(stderr, "note: this build has no PTX of its own\n");
    } else {
        char *source = read_source("src/engine/kernels/elementwise.k");
        assert_int_equal(cuda->prog_build(d, "elementwise", source, "", &prog, &err), 0);
        cuda->prog_free(d, prog);
        fnl_free(source);
    }
    cuda->close(d);
}

static void the_compilers_words_come_with_file_and_line(void **state)
{
    (void)state;
    static const char *const pairs[] = {"FAKE_NVRTC_RESULT=6", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_prog *prog = NULL;
    start_with_device(pairs);
    struct fnl_accel *d = open_cuda(0);
    assert_int_equal(build_probe(d, "", &prog, &err), FNL_E_INTERNAL);
    assert_non_null(strstr(err.message, "probe.k(7): error: identifier \"oops\" is undefined"));
    assert_non_null(strstr(err.message, "NVRTC 13.0"));
    cuda->close(d);
}

static void a_compiler_that_does_not_work_is_told_with_what_to_install(void **state)
{
    (void)state;
    static const char *const broken[] = {"FAKE_NVRTC_RESULT=7", NULL};
    static const char *const old_device[] = {"FAKE_CUDA_CAPABILITY=70", NULL};
    struct fnl_error err = FNL_ERROR_INIT;
    struct fnl_accel_prog *prog = NULL;
    start_with_device(broken);
    struct fnl_accel *d = open_cuda(0);
    assert_int_equal(build_probe(d, "", &prog, &err), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "cuda:0: probe.k cannot be compiled"));
    assert_non_null(strstr(err.hint, "install NVRTC"));
    cuda->close(d);
    start(old_device);
    d = open_cuda(0);
    assert_int_equal(build_probe(d, "", &prog, &err), FNL_E_DEVICE);
    assert_non_null(strstr(err.message, "no longer knows devices of compute capability 7.0"));
    cuda->close(d);
}

static int set_up(void **state)
{
    return test_dir_make(state) == 0 && setenv("FOURNIL_CACHE", test_dir, 1) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    (void)argc;
    fake_cuda_enter(argv, true);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_dir_remove)
    const struct CMUnitTest tests[] = {
        TEST(devices_are_listed_with_their_facts),
        TEST(there_may_be_64_devices_and_each_opens),
        TEST(visible_devices_are_the_drivers_own_reading),
        TEST(bytes_come_back_from_where_they_were_put),
        TEST(ranges_outside_a_buffer_are_refused),
        TEST(too_much_memory_says_how_much_is_free),
        TEST(arguments_of_every_kind_arrive),
        TEST(null_pointers_barriers_and_defines_work),
        TEST(impossible_launches_are_refused_with_the_kernels_name),
        TEST(a_recording_runs_as_often_as_wanted),
        TEST(what_is_not_legal_inside_spoils_the_recording_only),
        TEST(events_tell_when_and_how_long),
        TEST(the_noop_mode_runs_nothing),
        TEST(the_second_run_compiles_nothing),
        TEST(an_older_driver_gets_the_builds_own_ptx),
        TEST(the_compilers_words_come_with_file_and_line),
        TEST(a_compiler_that_does_not_work_is_told_with_what_to_install),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
