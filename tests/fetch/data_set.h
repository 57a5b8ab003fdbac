/* data_set.h - a small set of two files, with sums that Python's hashlib gave. */
#ifndef FNL_TESTS_FETCH_DATA_SET_H
#define FNL_TESTS_FETCH_DATA_SET_H

#include "fetch/fetch.h"

#define ONE_SHA256 "967f5e163318ac72ef679c34ab5fad0ede54aeacbe5a47ed72aecc6435be569f"
#define TWO_SHA256 "7291514d2492fd7ff49e10ba7df95d19d31d199b89d74bcb62cebdee1bc1a498"

static unsigned char one[5000], two[3000];

static inline void make_files(void)
{
    for (unsigned i = 0; i < sizeof one; i++) {
        one[i] = (unsigned char)(i * i >> 3);
    }
    for (unsigned i = 0; i < sizeof two; i++) {
        two[i] = (unsigned char)(i * 7);
    }
}

static const struct fnl_fetch_file test_files[] = {
    {"one", sizeof one, ONE_SHA256}, {"two", sizeof two, TWO_SHA256}, {NULL}};
static const struct fnl_fetch_set test_set = {.name = "test", .folder = "set", .files = test_files};

/* The right name and size, another sum. */
static const struct fnl_fetch_file wrong_files[] = {{"one", sizeof one, TWO_SHA256}, {NULL}};
static const struct fnl_fetch_set wrong_set = {
    .name = "wrong", .folder = "set", .files = wrong_files};

#endif
