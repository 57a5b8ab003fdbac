/* host.h - what this machine runs, and what of it the process may use. */
#ifndef FNL_BASE_HOST_H
#define FNL_BASE_HOST_H

#include <stdbool.h>

/* CPUs this process may use: its affinity mask, capped by the CPU quota of its control groups
 * (version 2; a quota of 2.5 CPUs counts as 2, below 1 as 1). At least 1. */
int fnl_host_cpus(void);

/* Whole CPUs in the text of a cpu.max file ("150000 100000"); 0 = no limit or not understood. */
int fnl_host_quota_cpus(const char *cpu_max);

/* The system's name for people, "Debian GNU/Linux 12 (bookworm)"; false when it is not known. */
#define FNL_HOST_OS 128
bool fnl_host_os(char out[FNL_HOST_OS]);

/* PRETTY_NAME in the text of an os-release file (os-release(5)). */
bool fnl_host_os_name(const char *os_release, char out[FNL_HOST_OS]);

#endif
