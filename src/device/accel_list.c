/* accel_list.c - asks every driver in a child process (interface in accel_list.h).
 *
 * A child writes messages of one fixed form into a pipe: how many devices there are and what is
 * wrong, each device, each library. The parent reads all pipes at once until their ends or until
 * the time is over; then it kills. Why processes and not threads: a thread that hangs in a driver
 * cannot be ended, and one that crashes takes the program with it.
 *
 * Invariants: (1) the list holds exactly the devices that the driver counted, at most
 * FNL_MAX_ACCELS; those it did not get to carry the reason; (2) create returns within limit_ms and
 * a second, whatever the drivers do; a child that the kernel cannot end is left behind. */
#include "device/accel_list.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "device/library.h"

enum message_kind { COUNT, DEVICE, LIBRARY, END };

struct message {
    enum message_kind kind;
    int index; /* DEVICE: its number; LIBRARY: its place; COUNT: devices */
    struct fnl_error problem;
    struct fnl_accel_info info; /* DEVICE */
    char text[64];              /* LIBRARY: the file */
};

static const struct {
    const char *name, *driver;
    const char *files[6];
} libraries[FNL_ACCEL_LIBRARIES] = {
    {"cuBLAS", "cuda", {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", NULL}},
    {"cuDNN", "cuda", {"libcudnn.so.9", "libcudnn.so.8", NULL}},
    {"CLBlast", "opencl", {"libclblast.so.1", NULL}},
};

/* A driver that is being asked. */
struct child {
    const struct fnl_accel_driver *driver;
    struct fnl_accel_probe *report;
    pid_t pid;
    int fd;                 /* -1: closed */
    struct message message; /* being read */
    size_t have;            /* bytes of it */
    bool counted, ended;
    struct fnl_accel_found *device;
};

/* ---- the child ---- */

static void say(int fd, const struct message *m)
{
    const char *p = (const char *)m;
    size_t left = sizeof *m;
    while (left > 0) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            _exit(1); /* nobody listens any more */
        }
        p += n;
        left -= (size_t)n;
    }
}

static void say_libraries(int fd, const char *driver)
{
    for (int i = 0; i < FNL_ACCEL_LIBRARIES; i++) {
        void *table = NULL, *library = NULL;
        struct message m = {.kind = LIBRARY, .index = i};
        const char *name = NULL;
        if (strcmp(libraries[i].driver, driver) == 0 &&
            fnl_library_open(libraries[i].files, NULL, 0, &table, &library, &name, NULL) == 0) {
            (void)snprintf(m.text, sizeof m.text, "%s", name);
            say(fd, &m);
        }
    }
}

/* Does not return. Drivers print what they like: not among our results. */
static void __attribute__((noreturn)) answer(const struct fnl_accel_driver *driver, int fd)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
    struct message m = {.kind = COUNT};
    int rc = driver->count(&m.index, &m.problem);
    if (rc != 0 && m.problem.code == 0) {
        m.problem.code = rc;
    }
    m.index = m.index > FNL_MAX_ACCELS ? FNL_MAX_ACCELS : m.index < 0 ? 0 : m.index;
    int count = m.index;
    say(fd, &m);
    for (int i = 0; i < count; i++) {
        m = (struct message){.kind = DEVICE, .index = i};
        rc = driver->info(i, &m.info, &m.problem);
        m.problem.code = rc;
        say(fd, &m);
    }
    say_libraries(fd, driver->name);
    m = (struct message){.kind = END};
    say(fd, &m);
    _exit(0);
}

static int start(struct child *c, struct fnl_error *err)
{
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        return FNL_FAIL(err, IO, NULL, "no pipe to ask the %s driver", c->driver->name);
    }
    c->pid = fork();
    if (c->pid == 0) {
        answer(c->driver, pipe_fd[1]);
    }
    (void)close(pipe_fd[1]);
    if (c->pid < 0) {
        (void)close(pipe_fd[0]);
        return FNL_FAIL(err, IO, "end other processes, or raise the limit (ulimit -u)",
                        "no process to ask the %s driver", c->driver->name);
    }
    c->fd = pipe_fd[0];
    return 0;
}

/* ---- the parent ---- */

/* Room for the devices; each is unknown until it is described. */
static int take_count(struct child *c, struct fnl_error *err)
{
    int count = c->message.index;
    c->report->problem = c->message.problem;
    if (count > 0) {
        c->device = fnl_calloc((size_t)count, sizeof *c->device);
        if (c->device == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for the list of devices");
        }
    }
    for (int i = 0; i < count; i++) {
        (void)snprintf(c->device[i].info.name, sizeof c->device[i].info.name, "%s:%d",
                       c->driver->name, i);
        c->device[i].problem.code = FNL_E_DEVICE;
    }
    c->report->device_count = count;
    c->counted = true;
    return 0;
}

static int take(struct child *c, struct fnl_accel_list *list, struct fnl_error *err)
{
    const struct message *m = &c->message;
    switch (m->kind) {
    case COUNT:
        return take_count(c, err);
    case DEVICE:
        if (m->index < c->report->device_count) {
            struct fnl_accel_found *f = &c->device[m->index];
            f->problem = m->problem;
            if (m->problem.code == 0) {
                f->info = m->info;
            }
        }
        return 0;
    case LIBRARY:
        memcpy(list->library[m->index].found, m->text, sizeof m->text);
        return 0;
    case END:
        c->ended = true;
        return 0;
    }
    return 0;
}

/* Reads what there is; closes at the end. */
static int listen_to(struct child *c, struct fnl_accel_list *list, struct fnl_error *err)
{
    ssize_t n = read(c->fd, (char *)&c->message + c->have, sizeof c->message - c->have);
    if (n < 0 && errno == EINTR) {
        return 0;
    }
    if (n <= 0) {
        (void)close(c->fd);
        c->fd = -1;
        return 0;
    }
    c->have += (size_t)n;
    if (c->have < sizeof c->message) {
        return 0;
    }
    c->have = 0;
    return take(c, list, err);
}

static int listen_to_all(struct child *child, int count, int limit_ms, struct fnl_accel_list *list,
                         struct fnl_error *err)
{
    uint64_t end_ns = fnl_clock_ns() + (uint64_t)limit_ms * 1000000U;
    for (;;) {
        struct pollfd fds[FNL_ACCEL_MAX_DRIVERS];
        int open = 0;
        for (int i = 0; i < count; i++) {
            fds[i] = (struct pollfd){.fd = child[i].fd, .events = POLLIN}; /* -1 is passed over */
            open += child[i].fd >= 0 ? 1 : 0;
        }
        uint64_t now_ns = fnl_clock_ns();
        if (open == 0 || now_ns >= end_ns) {
            return 0;
        }
        if (poll(fds, (nfds_t)count, (int)((end_ns - now_ns) / 1000000U) + 1) < 0 &&
            errno != EINTR) {
            return FNL_FAIL(err, IO, NULL, "the drivers' answers cannot be waited for");
        }
        for (int i = 0; i < count; i++) {
            int rc = child[i].fd >= 0 && fds[i].revents != 0 ? listen_to(&child[i], list, err) : 0;
            if (rc != 0) {
                return rc;
            }
        }
    }
}

/* Ends the child if it has not; its wait status, or -1 when it cannot be ended. */
static int reap(struct child *c)
{
    int status = 0;
    if (c->fd >= 0) {
        (void)kill(c->pid, SIGKILL);
        (void)close(c->fd);
        c->fd = -1;
    }
    /* One that sleeps in the kernel's driver does not die: it is not waited for. */
    for (int i = 0; i < 100; i++) {
        pid_t pid = waitpid(c->pid, &status, WNOHANG);
        if (pid == c->pid) {
            return status;
        }
        if (pid < 0 && errno != EINTR) {
            return -1;
        }
        (void)poll(NULL, 0, 10);
    }
    return -1;
}

static void blame(const struct child *c, int status, bool late, int limit_ms,
                  struct fnl_error *problem)
{
    const char *name = c->driver->name;
    if (late) {
        (void)FNL_FAIL(problem, DEVICE, NULL, "the %s driver has not answered within %d s", name,
                       (limit_ms + 999) / 1000);
    } else if (status >= 0 && WIFSIGNALED(status)) {
        (void)FNL_FAIL(problem, DEVICE, NULL, "the %s driver crashed when it was asked (%s)", name,
                       strsignal(WTERMSIG(status)));
    } else {
        (void)FNL_FAIL(problem, DEVICE, NULL, "the %s driver ended the process that asked it",
                       name);
    }
    fnl_error_hint(problem, "see the system's log (dmesg), then install the driver anew%s",
                   strcmp(name, "opencl") == 0 ? "; FOURNIL_OPENCL=off leaves OpenCL out" : "");
}

static void finish(struct child *c, int limit_ms)
{
    bool late = c->fd >= 0;
    int status = reap(c);
    if (c->ended) {
        return;
    }
    struct fnl_error problem = FNL_ERROR_INIT;
    blame(c, status, late, limit_ms, &problem);
    c->report->problem = problem;
    for (int i = 0; i < c->report->device_count; i++) {
        if (c->device[i].problem.code != 0 && c->device[i].problem.message[0] == 0) {
            c->device[i].problem = problem;
        }
    }
}

/* ---- the list ---- */

static int gather(struct child *child, struct fnl_accel_list *list, struct fnl_error *err)
{
    size_t count = 0;
    for (int i = 0; i < list->driver_count; i++) {
        count += (size_t)list->driver[i].device_count;
    }
    list->device = count > 0 ? fnl_calloc(count, sizeof *list->device) : NULL;
    if (count > 0 && list->device == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for the list of devices");
    }
    for (int i = 0; i < list->driver_count; i++) {
        for (int d = 0; d < list->driver[i].device_count; d++) {
            list->device[list->device_count++] = child[i].device[d];
        }
    }
    return 0;
}

/* As fnl_accel_best, which asks the drivers itself: the first driver with a GPU has it. */
static void find_best(struct fnl_accel_list *list)
{
    const struct fnl_error *why = NULL;
    int at = 0;
    list->best = -1;
    for (int i = 0; i < list->driver_count; i++) {
        for (int d = 0; d < list->driver[i].device_count; d++, at++) {
            const struct fnl_accel_found *f = &list->device[at];
            if (f->problem.code == 0 && !f->info.is_cpu &&
                (list->best < 0 || fnl_accel_faster(&f->info, &list->device[list->best].info))) {
                list->best = at;
            }
        }
        if (list->best >= 0) {
            return;
        }
        if (why == NULL && list->driver[i].problem.code != 0) {
            why = &list->driver[i].problem;
        }
    }
    fnl_accel_no_gpu(why, &list->no_gpu);
}

static int ask_all(const struct fnl_accel_driver *const *drivers, int limit_ms, struct child *child,
                   struct fnl_accel_list *list, struct fnl_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && drivers[i] != NULL && i < FNL_ACCEL_MAX_DRIVERS; i++) {
        list->driver[i].name = drivers[i]->name;
        child[i] = (struct child){.driver = drivers[i], .report = &list->driver[i], .fd = -1};
        rc = start(&child[i], err);
        list->driver_count += rc == 0 ? 1 : 0;
    }
    rc = rc != 0 ? rc : listen_to_all(child, list->driver_count, limit_ms, list, err);
    for (int i = 0; i < list->driver_count; i++) {
        finish(&child[i], limit_ms);
    }
    return rc;
}

int fnl_accel_list_create(const struct fnl_accel_driver *const *drivers, int limit_ms,
                          struct fnl_accel_list **ret_list, struct fnl_error *err)
{
    struct fnl_accel_list *list = fnl_calloc(1, sizeof *list);
    struct child *child = fnl_calloc(FNL_ACCEL_MAX_DRIVERS, sizeof *child);
    int rc = list == NULL || child == NULL ? FNL_FAIL(err, NOMEM, NULL, "out of memory") : 0;
    for (int i = 0; rc == 0 && i < FNL_ACCEL_LIBRARIES; i++) {
        list->library[i].name = libraries[i].name;
        list->library[i].driver = libraries[i].driver;
    }
    rc = rc != 0 ? rc : ask_all(drivers, limit_ms, child, list, err);
    rc = rc != 0 ? rc : gather(child, list, err);
    for (int i = 0; child != NULL && i < FNL_ACCEL_MAX_DRIVERS; i++) {
        fnl_free(child[i].device);
    }
    fnl_free(child);
    if (rc != 0) {
        fnl_accel_list_free(list);
        return rc;
    }
    find_best(list);
    *ret_list = list;
    return 0;
}

void fnl_accel_list_free(struct fnl_accel_list *list)
{
    if (list != NULL) {
        fnl_free(list->device);
        fnl_free(list);
    }
}
