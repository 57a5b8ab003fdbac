/* rng.c - Philox4x32-10 and what is drawn from it.
 * Layout of the counter: words 0-1 the block, word 2 the low word of the stream, word 3 its use;
 * the key is the seed. Block n of a struct fnl_rng is therefore fnl_rng_at(..., n). Changing
 * anything here changes every seeded run: the goldens in tests/base/test_rng.c hold it still.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011;
 * bounded integers: Lemire, "Fast Random Integer Generation in an Interval", TOMACS 2019. */
#include "base/rng.h"

#include <math.h>
#include <string.h>

#define PHILOX_ROUNDS 10

void fnl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < PHILOX_ROUNDS; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void fnl_rng_at(uint64_t seed, enum fnl_rng_use use, uint32_t low, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), low, (uint32_t)use};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    fnl_philox(counter, key, out);
}

void fnl_rng_init(struct fnl_rng *r, uint64_t seed, enum fnl_rng_use use, uint32_t low)
{
    memset(r, 0, sizeof *r);
    r->key[0] = (uint32_t)seed;
    r->key[1] = (uint32_t)(seed >> 32);
    r->stream = (uint64_t)use << 32 | low;
}

uint32_t fnl_rng_u32(struct fnl_rng *r)
{
    if (r->left == 0) {
        const uint32_t counter[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32),
                                     (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
        fnl_philox(counter, r->key, r->word);
        r->block++;
        r->left = 4;
    }
    return r->word[4 - r->left--];
}

uint32_t fnl_rng_below(struct fnl_rng *r, uint32_t n)
{
    uint64_t product = (uint64_t)fnl_rng_u32(r) * n;
    if ((uint32_t)product < n) {
        /* 2^32 mod n low values would come once too often: draw again. */
        uint32_t reject = (0u - n) % n;
        while ((uint32_t)product < reject) {
            product = (uint64_t)fnl_rng_u32(r) * n;
        }
    }
    return (uint32_t)(product >> 32);
}

float fnl_rng_uniform(struct fnl_rng *r)
{
    return (float)(fnl_rng_u32(r) >> 8) * 0x1p-24f;
}

float fnl_rng_normal(struct fnl_rng *r)
{
    /* In double, rounded once at the end: the last bits of the C library's log and cos, which
     * differ from release to release, almost never reach the float. */
    double u = ((double)fnl_rng_u32(r) + 1.0) * 0x1p-32; /* (0, 1]: the logarithm is finite */
    double v = (double)fnl_rng_u32(r) * 0x1p-32;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

void fnl_rng_permutation(uint64_t seed, enum fnl_rng_use use, uint32_t low, uint32_t *index,
                         size_t count)
{
    struct fnl_rng r;
    fnl_rng_init(&r, seed, use, low);
    for (size_t i = 0; i < count; i++) {
        index[i] = (uint32_t)i;
    }
    for (size_t i = count; i > 1; i--) {
        uint32_t j = fnl_rng_below(&r, (uint32_t)i);
        uint32_t t = index[i - 1];
        index[i - 1] = index[j];
        index[j] = t;
    }
}
