/* server.h - runs server.py for the tests of a program. */
#ifndef FNL_TESTS_NET_SERVER_H
#define FNL_TESTS_NET_SERVER_H

#include "base/test.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int server_port;
static pid_t server_pid;
static int server_stdin = -1;

/* Serves `folder`. */
static inline void server_start(const char *folder)
{
    int in[2], out[2];
    char line[32] = "";
    char *const argv[] = {(char *)(uintptr_t) "python3", (char *)(uintptr_t) "tests/net/server.py",
                          (char *)(uintptr_t)folder, NULL};
    posix_spawn_file_actions_t actions;
    (void)unsetenv("http_proxy"); /* loopback needs none */
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    /* The child must not inherit our ends: it ends when its standard input does. */
    assert_int_equal(pipe2(in, 02000000 /* O_CLOEXEC */), 0);
    assert_int_equal(pipe2(out, 02000000), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    assert_int_equal(posix_spawnp(&server_pid, "python3", &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    server_stdin = in[1];
    for (size_t n = 0; strchr(line, '\n') == NULL && n < sizeof line - 1; n++) {
        assert_int_equal(read(out[0], line + n, 1), 1);
    }
    (void)close(out[0]);
    server_port = (int)strtol(line, NULL, 10);
    assert_true(server_port > 0);
}

static inline void server_stop(void)
{
    if (server_stdin >= 0) {
        (void)close(server_stdin);
        (void)waitpid(server_pid, NULL, 0);
        server_stdin = -1;
    }
}

/* "http://127.0.0.1:PORT/PATH"; the last 4 results stay valid. */
static inline const char *server_url(const char *path)
{
    static char url[4][256];
    static unsigned turn;
    turn = (turn + 1) % 4;
    (void)snprintf(url[turn], sizeof url[turn], "http://127.0.0.1:%d/%s", server_port, path);
    return url[turn];
}

#endif
