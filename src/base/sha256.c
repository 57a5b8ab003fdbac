/* sha256.c - SHA-256 by FIPS 180-4, in portable C: about 250 MB/s, more than a download brings. */
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t right(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void add_block(struct fnl_sha256 *s, const uint8_t *p)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (right(a, 7) ^ right(a, 18) ^ a >> 3) + w[i - 7] +
               (right(b, 17) ^ right(b, 19) ^ b >> 10);
    }
    memcpy(v, s->state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t t1 = v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + K[i] + w[i];
        uint32_t t2 =
            (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        s->state[i] += v[i];
    }
}

void fnl_sha256_init(struct fnl_sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->state, start, sizeof start);
    s->size = 0;
}

void fnl_sha256_add(struct fnl_sha256 *s, const void *data, size_t size)
{
    const uint8_t *p = data;
    while (size != 0) {
        size_t used = s->size % 64, n = 64 - used < size ? 64 - used : size;
        if (n == 64) {
            add_block(s, p);
        } else {
            memcpy(s->block + used, p, n);
            if (used + n == 64) {
                add_block(s, s->block);
            }
        }
        s->size += n;
        p += n;
        size -= n;
    }
}

void fnl_sha256_text(struct fnl_sha256 *s, char out[FNL_SHA256_TEXT])
{
    static const uint8_t pad[64] = {0x80};
    uint64_t bits = s->size * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    size_t used = (size_t)(s->size % 64);
    fnl_sha256_add(s, pad, used < 56 ? 56 - used : 120 - used);
    fnl_sha256_add(s, length, 8);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(out + (ptrdiff_t)8 * i, 9, "%08x", s->state[i]);
    }
}

int fnl_sha256_file(const char *path, char out[FNL_SHA256_TEXT], struct fnl_error *err)
{
    struct fnl_sha256 s;
    uint8_t chunk[1 << 14];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? FNL_FAIL(err, NOTFOUND, NULL, "%s: no such file", path)
                               : FNL_FAIL(err, IO, "check its permissions", "%s: cannot open: %s",
                                          path, strerror(errno));
    }
    fnl_sha256_init(&s);
    ssize_t n = 1;
    while (n > 0) {
        n = read(fd, chunk, sizeof chunk);
        if (n > 0) {
            fnl_sha256_add(&s, chunk, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            n = 1;
        }
    }
    int number = errno;
    (void)close(fd);
    if (n < 0) {
        return FNL_FAIL(err, IO, NULL, "%s: cannot read: %s", path, strerror(number));
    }
    fnl_sha256_text(&s, out);
    return 0;
}
