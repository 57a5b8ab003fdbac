/* tar_write.h - ustar archives for the tests. */
#ifndef FNL_TESTS_FETCH_TAR_WRITE_H
#define FNL_TESTS_FETCH_TAR_WRITE_H

#include <stdio.h>
#include <string.h>

/* Header, data, padding at out + *used. */
static inline void tar_add(char *out, size_t *used, const char *name, char type, const void *data,
                           size_t size)
{
    char *h = out + *used;
    unsigned sum = 0;
    memset(h, 0, 512);
    memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(h + 100, "0000644", 8);
    (void)snprintf(h + 124, 12, "%011zo", size);
    memset(h + 148, ' ', 8);
    h[156] = type;
    memcpy(h + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++) {
        sum += (unsigned char)h[i];
    }
    (void)snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
    size_t padded = (size + 511) / 512 * 512;
    memset(h + 512, 0, padded);
    if (size != 0) {
        memcpy(h + 512, data, size);
    }
    *used += 512 + padded;
}

#endif
