/* sha256.h - SHA-256 of bytes and of files, as 64 hexadecimal digits. */
#ifndef FNL_BASE_SHA256_H
#define FNL_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fnl_sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[64];
};
#define FNL_SHA256_TEXT 65 /* digits and NUL */

void fnl_sha256_init(struct fnl_sha256 *s);
void fnl_sha256_add(struct fnl_sha256 *s, const void *data, size_t size);
void fnl_sha256_text(struct fnl_sha256 *s, char out[FNL_SHA256_TEXT]); /* ends it */
/* Of a whole file as it stands; FNL_E_NOTFOUND when it is not there. */
int fnl_sha256_file(const char *path, char out[FNL_SHA256_TEXT], struct fnl_error *err);

#endif
