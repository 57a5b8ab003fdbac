/* rng.h - Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers:
 * As Easy as 1, 2, 3" (SC 2011). Every random number is a pure function of (seed, stream, index),
 * so any thread, shard or resumed run draws the same ones. */
#ifndef FNL_BASE_RNG_H
#define FNL_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* out = philox4x32_10(counter, key). */
void fnl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Purposes of random numbers: the high word of the stream, so that no two uses ever overlap. */
enum fnl_rng_use {
    FNL_RNG_INIT = 1, /* low word: parameter index */
    FNL_RNG_SHUFFLE,  /* low word: epoch */
    FNL_RNG_AUGMENT,  /* low word: epoch */
    FNL_RNG_DROPOUT,  /* low word: node */
    FNL_RNG_SPLIT,
    FNL_RNG_TEST,
};

/* Sequential view of one stream. Plain data: copying it forks it. */
struct fnl_rng {
    uint32_t key[2];
    uint64_t stream;
    uint64_t block; /* next counter */
    uint32_t word[4];
    int left; /* words not yet handed out */
};

void fnl_rng_init(struct fnl_rng *r, uint64_t seed, enum fnl_rng_use use, uint32_t low);
uint32_t fnl_rng_u32(struct fnl_rng *r);
uint32_t fnl_rng_below(struct fnl_rng *r, uint32_t n); /* uniform in [0, n), unbiased (Lemire) */
float fnl_rng_uniform(struct fnl_rng *r);              /* [0, 1), 24 bits */
float fnl_rng_normal(struct fnl_rng *r);               /* mean 0, deviation 1 (Box-Muller) */

/* Four words of (seed, use, low, index): random access. */
void fnl_rng_at(uint64_t seed, enum fnl_rng_use use, uint32_t low, uint64_t index, uint32_t out[4]);

/* Fisher-Yates over index[count], which becomes a permutation of 0..count-1. */
void fnl_rng_permutation(uint64_t seed, enum fnl_rng_use use, uint32_t low, uint32_t *index,
                         size_t count);

#endif
