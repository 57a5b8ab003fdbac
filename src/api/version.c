/* version.c - fournil/version.h: what the build was told, and what the machine gives. */
#include "fournil/version.h"

#include "base/host.h"

const char *fnl_version(void)
{
    return FNL_VERSION;
}

int fnl_version_number(void)
{
    return FNL_VERSION_NUMBER;
}

int fnl_thread_count(void)
{
    return fnl_host_cpus();
}
