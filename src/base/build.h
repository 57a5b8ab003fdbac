/* build.h - how this program was built. */
#ifndef FNL_BASE_BUILD_H
#define FNL_BASE_BUILD_H

const char *fnl_build_compiler(void); /* "gcc 12.2.0" */
const char *fnl_build_type(void);     /* "release": without assertions; else "debug" */

#endif
