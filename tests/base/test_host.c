/* Clock texts, number parsing, log, interrupts, CPUs, the progress bar. */
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/clock.h"
#include "base/host.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/shell.h"
#include "base/text.h"

static void clocks_go_on(void **state)
{
    (void)state;
    uint64_t a = fnl_clock_ns();
    assert_true(fnl_clock_ns() >= a);
    assert_true(fnl_clock_unix_ms() > UINT64_C(1700000000000));
}

static void times_and_durations_have_texts(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(fnl_clock_text(0, out), "1970-01-01T00:00:00Z");
    assert_string_equal(fnl_clock_text(UINT64_C(1795516699999), out), "2026-11-24T10:38:19Z");
    (void)fnl_clock_text(UINT64_MAX, out);
    assert_true(strlen(out) < sizeof out);
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "0 ms"},           {0.85, "850 ms"},
        {0.9994, "999 ms"},    {0.9996, "1.0 s"},
        {12.34, "12.3 s"},     {59.96, "1 min 00 s"},
        {185, "3 min 05 s"},   {3599.6, "1 h 00 min"},
        {3720, "1 h 02 min"},  {360000, "100 h 00 min"},
        {-1, "unknown"},       {NAN, "unknown"},
        {INFINITY, "unknown"}, {1e300, "unknown"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_string_equal(fnl_duration_text(cases[i].seconds, out), cases[i].text);
    }
}

static void short_durations_fit_a_column(void **state)
{
    (void)state;
    char out[32];
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0.85, "850 ms"},  {59.94, "59.9 s"},         {59.96, "1m00s"}, {3599.4, "59m59s"},
        {3599.6, "1h00m"}, {9998 * 3600, "9998h00m"}, {1e11, "long"},   {-1, "unknown"},
        {NAN, "unknown"},  {INFINITY, "unknown"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_string_equal(fnl_duration_short(cases[i].seconds, out), cases[i].text);
        assert_true(strlen(out) <= 8);
    }
}

static void integers_are_parsed_strictly(void **state)
{
    (void)state;
    int64_t v = 77;
    assert_true(fnl_parse_int("0", &v) && v == 0);
    assert_true(fnl_parse_int("-0", &v) && v == 0);
    assert_true(fnl_parse_int("-12", &v) && v == -12);
    assert_true(fnl_parse_int("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(fnl_parse_int("-9223372036854775808", &v) && v == INT64_MIN);
    v = 77;
    const char *bad[] = {"",
                         "-",
                         "+1",
                         " 1",
                         "1 ",
                         "01",
                         "0x10",
                         "1e5",
                         "1k",
                         "1.0",
                         "--1",
                         "1_0",
                         "ten",
                         "1\n",
                         "9223372036854775808",
                         "-9223372036854775809"};
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        if (fnl_parse_int(bad[i], &v)) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
    assert_int_equal(v, 77); /* written only on success */
}

static void numbers_are_parsed_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},       {"1", 1},       {"-0.5", -0.5}, {".5", 0.5}, {"5.", 5},
        {"1e-3", 1e-3}, {"+2E+2", 200}, {"1e-400", 0},  {"007", 7},  {"0.1", 0.1},
    };
    double v = 77;
    for (size_t i = 0; i < TEST_COUNT(good); i++) {
        assert_true(fnl_parse_double(good[i].text, &v));
        assert_true(v == good[i].value);
    }
    v = 77;
    const char *bad[] = {"",    ".",    "-",     "e5",    "1e",  "1e+",   " 1", "1 ",
                         "nan", "-inf", "0x1p3", "1e400", "1,5", "1.2.3", "1f", "infinity"};
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        if (fnl_parse_double(bad[i], &v)) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
    char longest[400];
    memset(longest, '1', sizeof longest);
    longest[399] = 0;
    assert_false(fnl_parse_double(longest, &v));
    assert_true(v == 77);
}

static void only_well_formed_utf8_is_valid(void **state)
{
    (void)state;
    const char *good[] = {"",
                          "a",
                          "\x7F",
                          "\xC2\x80",
                          "\xE0\xA0\x80",
                          "\xED\x9F\xBF",
                          "\xEE\x80\x80",
                          "\xF0\x90\x80\x80",
                          "\xF4\x8F\xBF\xBF"};
    const char *bad[] = {"\x80",
                         "\xC0\x80",
                         "\xC1\xBF",
                         "\xC2",
                         "\xC2\x41",
                         "\xE0\x9F\xBF",
                         "\xED\xA0\x80",
                         "\xE1\x80",
                         "\xF0\x8F\xBF\xBF",
                         "\xF4\x90\x80\x80",
                         "\xF5\x80\x80\x80",
                         "\xFF"};
    for (size_t i = 0; i < TEST_COUNT(good); i++) {
        assert_true(fnl_utf8_valid(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        assert_false(fnl_utf8_valid(bad[i], strlen(bad[i])));
    }
}

static char logged[4][200];
static int logged_count;

static void keep(void *arg, enum fnl_log_level level, const char *text)
{
    assert_ptr_equal(arg, logged);
    (void)snprintf(logged[logged_count++ % 4], 200, "%s: %.100s", fnl_log_level_name(level), text);
}

static void log_lines_go_to_the_callback_by_level(void **state)
{
    (void)state;
    fnl_log(FNL_LOG_ERROR, "to nobody");
    fnl_log_to(keep, logged, FNL_LOG_WARNING);
    fnl_log(FNL_LOG_WARNING, "disk at %d %%\x1b[0m\nnext", 91);
    fnl_log(FNL_LOG_INFO, "not shown");
    assert_int_equal(logged_count, 1);
    assert_string_equal(logged[0], "warning: disk at 91 %?[0m next");
    assert_true(fnl_log_enabled(FNL_LOG_ERROR));
    assert_false(fnl_log_enabled(FNL_LOG_DEBUG));
    fnl_log_to(NULL, NULL, FNL_LOG_DEBUG);
    fnl_log(FNL_LOG_ERROR, "to nobody");
    assert_int_equal(logged_count, 1);
}

/* Status of a child that does what `child` does. */
static int status_of(void (*child)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child();
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void one_signal(void)
{
    fnl_interrupt_install();
    if (fnl_interrupted()) {
        _exit(1);
    }
    (void)raise(SIGTERM);
    _exit(fnl_interrupted() && fnl_interrupt_signal() == SIGTERM ? 0 : 2);
}

static void two_signals(void)
{
    fnl_interrupt_install();
    (void)raise(SIGINT);
    (void)raise(SIGTERM); /* another one, and still the last */
}

static void reset_between(void)
{
    fnl_interrupt_install();
    (void)raise(SIGINT);
    fnl_interrupt_reset();
    if (fnl_interrupted()) {
        _exit(1);
    }
    (void)raise(SIGINT);
    _exit(fnl_interrupted() ? 0 : 2);
}

static void ignored_before(void)
{
    (void)signal(SIGINT, SIG_IGN);
    fnl_interrupt_install();
    (void)raise(SIGINT);
    (void)raise(SIGINT);
    _exit(fnl_interrupted() ? 1 : 0);
}

static void the_first_signal_is_a_flag_and_the_second_kills(void **state)
{
    (void)state;
    assert_int_equal(status_of(one_signal), 0);
    assert_int_equal(status_of(reset_between), 0);
    assert_int_equal(status_of(ignored_before), 0);
    int status = status_of(two_signals);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void cpus_follow_affinity_and_quota(void **state)
{
    (void)state;
    int cpus = fnl_host_cpus();
    assert_true(cpus >= 1);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(cpus <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(fnl_host_cpus(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(fnl_host_quota_cpus("max 100000\n"), 0);
    assert_int_equal(fnl_host_quota_cpus("200000 100000\n"), 2);
    assert_int_equal(fnl_host_quota_cpus("250000 100000\n"), 2);
    assert_int_equal(fnl_host_quota_cpus("50000 100000\n"), 1);
    assert_int_equal(fnl_host_quota_cpus(""), 0);
    assert_int_equal(fnl_host_quota_cpus("5"), 0);
    assert_int_equal(fnl_host_quota_cpus("5 0"), 0);
    assert_int_equal(fnl_host_quota_cpus("-5 100"), 0);
}

static void no_terminal_no_bar(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    struct fnl_progress p;
    fnl_progress_begin(&p, f, "train", 100);
    fnl_progress_update(&p, 50, "loss 0.3");
    fnl_progress_end(&p);
    assert_int_equal(ftell(f), 0);
    assert_int_equal(fclose(f), 0);
}

static void a_terminal_gets_one_line_wiped_at_the_end(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    FILE *f = fopen(ptsname(master), "r+");
    assert_non_null(f);
    struct fnl_progress p;
    fnl_progress_begin(&p, f, "train", 100);
    assert_true(p.live);
    fnl_progress_update(&p, 50, "loss 0.31");
    fnl_progress_update(&p, 51, "too soon");
    fnl_progress_end(&p);
    char text[1000] = "";
    const char *end = " left  loss 0.31\033[K\r\033[K";
    for (size_t used = 0;
         strstr(text, end) == NULL;) { /* the terminal hands on what it gets piece by piece */
        struct pollfd ready = {master, POLLIN, 0};
        assert_int_equal(poll(&ready, 1, 20000), 1);
        ssize_t n = read(master, text + used, sizeof text - 1 - used);
        assert_true(n > 0);
        used += (size_t)n;
    }
    assert_non_null(strstr(text, "\rtrain [#####-----]  50 %"));
    assert_null(strstr(text, "too soon"));
    assert_null(strchr(text, '\n'));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(close(master), 0);
}

static void words_for_a_shell_are_quoted_where_they_must(void **state)
{
    (void)state;
    char out[32];
    static const struct {
        const char *word, *text;
    } cases[] = {
        {"runs/a-1_b.onnx", "runs/a-1_b.onnx"},
        {"my runs/a", "'my runs/a'"},
        {"", "''"},
        {"it's", "'it'\\''s'"},
        {"~/a", "'~/a'"},
        {"$x;`y`", "'$x;`y`'"},
        {"caf\xC3\xA9", "'caf\xC3\xA9'"},
        {"a\nb", "'a\nb'"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_string_equal(fnl_shell_word(cases[i].word, out, sizeof out), cases[i].text);
    }
    const char *fits = "a 34567890123456789012345678"; /* with quotes and the end: 31 */
    assert_ptr_equal(fnl_shell_word(fits, out, strlen(fits) + 2), fits);
    assert_ptr_equal(fnl_shell_word(fits, out, strlen(fits) + 3), out);
    assert_ptr_equal(fnl_shell_word(fits, out, 0), fits);
}

static void the_system_has_a_name(void **state)
{
    (void)state;
    char out[FNL_HOST_OS], text[FNL_HOST_OS + 64];
    static const struct {
        const char *text, *name;
    } cases[] = {
        {"NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n",
         "Debian GNU/Linux 12 (bookworm)"},
        {"PRETTY_NAME='A $b \\c'", "A $b \\c"},
        {"PRETTY_NAME=\"a \\\"b\\\" \\$c\"", "a \"b\" $c"},
        {"PRETTY_NAME=Void", "Void"},
        {"PRETTY_NAME=\"cut", NULL},
        {"PRETTY_NAME=\"", NULL},
        {"PRETTY_NAME=\"\"", NULL},
        {"PRETTY_NAME=", NULL},
        {"PRETTY_NAME=\"a\033[1mb\"", NULL},
        {"OTHER_PRETTY_NAME=x", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_int_equal(fnl_host_os_name(cases[i].text, out), cases[i].name != NULL);
        if (cases[i].name != NULL) {
            assert_string_equal(out, cases[i].name);
        }
    }
    (void)snprintf(text, sizeof text, "PRETTY_NAME=%0*d", FNL_HOST_OS - 1, 0);
    assert_true(fnl_host_os_name(text, out));
    (void)snprintf(text, sizeof text, "PRETTY_NAME=%0*d", FNL_HOST_OS, 0);
    assert_false(fnl_host_os_name(text, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_go_on),
        cmocka_unit_test(times_and_durations_have_texts),
        cmocka_unit_test(short_durations_fit_a_column),
        cmocka_unit_test(integers_are_parsed_strictly),
        cmocka_unit_test(numbers_are_parsed_strictly),
        cmocka_unit_test(only_well_formed_utf8_is_valid),
        cmocka_unit_test(log_lines_go_to_the_callback_by_level),
        cmocka_unit_test(the_first_signal_is_a_flag_and_the_second_kills),
        cmocka_unit_test(cpus_follow_affinity_and_quota),
        cmocka_unit_test(words_for_a_shell_are_quoted_where_they_must),
        cmocka_unit_test(the_system_has_a_name),
        cmocka_unit_test(no_terminal_no_bar),
        cmocka_unit_test(a_terminal_gets_one_line_wiped_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
