/* visibility.h - what libfournil shows: functions marked FNL_API and nothing else. */
#ifndef FOURNIL_VISIBILITY_H
#define FOURNIL_VISIBILITY_H

#if defined(__GNUC__) || defined(__clang__)
#define FNL_API __attribute__((visibility("default")))
#else
#define FNL_API
#endif

#endif
