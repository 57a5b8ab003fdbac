/* host.h - what of this machine the process may use. */
#ifndef FNL_BASE_HOST_H
#define FNL_BASE_HOST_H

/* CPUs this process may use: its affinity mask, capped by the CPU quota of its control groups
 * (version 2; a quota of 2.5 CPUs counts as 2, below 1 as 1). At least 1. */
int fnl_host_cpus(void);

/* Whole CPUs in the text of a cpu.max file ("150000 100000"); 0 = no limit or not understood. */
int fnl_host_quota_cpus(const char *cpu_max);

#endif
