/* host.c - usable CPUs, and the system's name. A container with a quota of 2 CPUs on a 64-CPU host
 * sees 64 in its affinity mask; 64 threads there are throttled for most of each period, so the
 * quota counts too. */
#include "base/host.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CPUS_MAX 16384 /* the kernel's own limit is 8,192 */

static int affinity_cpus(void)
{
    /* On the stack (2 KiB): must work whatever the state of memory. */
    union {
        cpu_set_t set;
        unsigned char bytes[CPUS_MAX / 8];
    } mask;
    memset(&mask, 0, sizeof mask);
    if (sched_getaffinity(0, sizeof mask, &mask.set) != 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        return online > 0 && online < INT_MAX ? (int)online : 1;
    }
    int count = CPU_COUNT_S(sizeof mask, &mask.set);
    return count > 0 ? count : 1;
}

/* Reads a small file whole into text; false when it cannot. */
static bool read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, size - 1);
    (void)close(fd);
    if (n < 0) {
        return false;
    }
    text[n] = 0;
    return true;
}

int fnl_host_quota_cpus(const char *cpu_max)
{
    int64_t quota = 0, period = 0;
    if (sscanf(cpu_max, "%18" SCNd64 " %18" SCNd64, &quota, &period) != 2 || quota <= 0 ||
        period <= 0) {
        return 0; /* "max 100000" ends here */
    }
    int64_t cpus = quota / period;
    return cpus < 1 ? 1 : cpus > INT_MAX ? INT_MAX : (int)cpus;
}

/* The smallest quota from the process's own group up to the root; 0 = none. */
static int cgroup_cpus(void)
{
    char text[4096], path[sizeof text + 64];
    if (!read_small("/proc/self/cgroup", text, sizeof text)) {
        return 0;
    }
    char *group = strstr(text, "0::/"); /* the line of version 2 */
    if (group == NULL || (group != text && group[-1] != '\n')) {
        return 0;
    }
    group += 3;
    group[strcspn(group, "\n")] = 0;
    int least = 0;
    for (;;) {
        char quota[64];
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        int cpus = read_small(path, quota, sizeof quota) ? fnl_host_quota_cpus(quota) : 0;
        if (cpus > 0 && (least == 0 || cpus < least)) {
            least = cpus;
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = 0;
    }
}

int fnl_host_cpus(void)
{
    int cpus = affinity_cpus();
    int quota = cgroup_cpus();
    return quota > 0 && quota < cpus ? quota : cpus;
}

/* ---- the system ---- */

/* A value of a file of shell assignments: in single, double or no quotes; backslashes before " $ `
 * and backslash in double quotes. */
static bool unquote(const char *value, size_t size, char out[FNL_HOST_OS])
{
    char quote = size > 0 && (value[0] == '"' || value[0] == '\'') ? value[0] : 0;
    if (quote != 0 && (size < 2 || value[size - 1] != quote)) {
        return false;
    }
    size_t used = 0;
    for (size_t i = quote != 0 ? 1 : 0; i < size - (quote != 0 ? 1 : 0); i++) {
        if (value[i] == '\\' && quote != '\'' && i + 1 < size) {
            i++;
        }
        if ((unsigned char)value[i] < 0x20 || used + 1 >= FNL_HOST_OS) {
            return false;
        }
        out[used++] = value[i];
    }
    out[used] = 0;
    return used > 0;
}

bool fnl_host_os_name(const char *os_release, char out[FNL_HOST_OS])
{
    static const char key[] = "PRETTY_NAME=";
    for (const char *line = os_release; *line != 0;) {
        size_t n = strcspn(line, "\n");
        if (n >= sizeof key && strncmp(line, key, sizeof key - 1) == 0) {
            return unquote(line + sizeof key - 1, n - (sizeof key - 1), out);
        }
        line += n + (line[n] == '\n' ? 1 : 0);
    }
    return false;
}

bool fnl_host_os(char out[FNL_HOST_OS])
{
    char text[4096];
    return (read_small("/etc/os-release", text, sizeof text) ||
            read_small("/usr/lib/os-release", text, sizeof text)) &&
           fnl_host_os_name(text, out);
}
