/* version.h - which libfournil a program was compiled for, and which it runs with. Versions follow
 * Semantic Versioning; while the major number is 0, a new minor number may change these headers. */
#ifndef FOURNIL_VERSION_H
#define FOURNIL_VERSION_H

#include "fournil/visibility.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FNL_VERSION_MAJOR 0
#define FNL_VERSION_MINOR 1
#define FNL_VERSION_PATCH 0
/* For comparisons by the preprocessor: 0.1.0 is 100. */
#define FNL_VERSION_NUMBER (FNL_VERSION_MAJOR * 10000 + FNL_VERSION_MINOR * 100 + FNL_VERSION_PATCH)

FNL_API const char *fnl_version(void); /* "0.1.0", of the library linked */
FNL_API int fnl_version_number(void);  /* FNL_VERSION_NUMBER of the library linked */

/* CPUs that this process may use (affinity and control groups counted): what `threads` = 0 stands
 * for in fournil/predictor.h. At least 1. */
FNL_API int fnl_thread_count(void);

#ifdef __cplusplus
}
#endif

#endif
