/* build.c - see build.h. */
#include "base/build.h"

const char *fnl_build_compiler(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *fnl_build_type(void)
{
#ifdef NDEBUG
    return "release";
#else
    return "debug";
#endif
}
