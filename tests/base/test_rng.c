/* Philox against published vectors, the streams against goldens (tests/golden/make_philox.py). */
#include "test.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"

static void philox_gives_the_known_answers_of_random123(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        uint32_t out[4];
        fnl_philox(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void stream_is_golden_and_equals_random_access(void **state)
{
    (void)state;
    static const uint32_t golden[6] = {0xbb673f05, 0xfdab98b5, 0x5734f889,
                                       0xdec34a6d, 0x37ac08fb, 0x4fd4cbc2};
    struct fnl_rng r;
    fnl_rng_init(&r, 42, FNL_RNG_TEST, 7);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(fnl_rng_u32(&r), golden[i]);
    }
    uint32_t block[4];
    fnl_rng_at(42, FNL_RNG_TEST, 7, 1, block);
    assert_int_equal(block[0], golden[4]);
    assert_int_equal(block[1], golden[5]);
}

static void seed_use_and_low_each_change_the_stream(void **state)
{
    (void)state;
    uint32_t out[5][4];
    fnl_rng_at(1, FNL_RNG_INIT, 0, 0, out[0]);
    fnl_rng_at(2, FNL_RNG_INIT, 0, 0, out[1]);
    fnl_rng_at(1, FNL_RNG_SHUFFLE, 0, 0, out[2]);
    fnl_rng_at(1, FNL_RNG_INIT, 1, 0, out[3]);
    fnl_rng_at(1 + ((uint64_t)1 << 32), FNL_RNG_INIT, 0, 0, out[4]);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < i; j++) {
            assert_memory_not_equal(out[i], out[j], sizeof out[0]);
        }
    }
}

static void a_copy_forks_the_stream(void **state)
{
    (void)state;
    struct fnl_rng a, b;
    fnl_rng_init(&a, 5, FNL_RNG_TEST, 0);
    (void)fnl_rng_u32(&a);
    b = a;
    for (int i = 0; i < 9; i++) {
        assert_int_equal(fnl_rng_u32(&a), fnl_rng_u32(&b));
    }
}

static void below_stays_below_and_is_even(void **state)
{
    (void)state;
    struct fnl_rng r;
    fnl_rng_init(&r, 1, FNL_RNG_TEST, 0);
    int seen[6] = {0};
    for (int i = 0; i < 60000; i++) {
        uint32_t x = fnl_rng_below(&r, 6);
        assert_true(x < 6);
        seen[x]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_true(abs(seen[i] - 10000) < 450); /* 5 deviations */
    }
    assert_int_equal(fnl_rng_below(&r, 1), 0);
    for (int i = 0; i < 1000; i++) {
        assert_true(fnl_rng_below(&r, 0xC0000001u) <= 0xC0000000u);
    }
}

static void uniform_and_normal_have_their_moments(void **state)
{
    (void)state;
    struct fnl_rng r;
    fnl_rng_init(&r, 3, FNL_RNG_TEST, 0);
    const int n = 200000;
    double u = 0, m = 0, v = 0;
    for (int i = 0; i < n; i++) {
        float x = fnl_rng_uniform(&r);
        assert_true(x >= 0 && x < 1);
        u += (double)x;
        double z = (double)fnl_rng_normal(&r);
        assert_true(isfinite(z));
        m += z;
        v += z * z;
    }
    assert_true(fabs(u / n - 0.5) < 0.004);
    assert_true(fabs(m / n) < 0.012);
    assert_true(fabs(v / n - 1) < 0.016);
}

static void permutation_is_one_and_is_golden(void **state)
{
    (void)state;
    static const uint32_t golden[16] = {15, 0, 8, 5, 14, 7, 13, 11, 10, 12, 3, 9, 1, 4, 6, 2};
    uint32_t small[16];
    fnl_rng_permutation(1, FNL_RNG_SHUFFLE, 3, small, 16);
    assert_memory_equal(small, golden, sizeof golden);

    const size_t count = 60000;
    uint32_t *index = fnl_malloc(count * sizeof *index);
    unsigned char *seen = fnl_calloc(count, 1);
    fnl_rng_permutation(2026, FNL_RNG_SHUFFLE, 0, index, count);
    uint64_t hash = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(index[i] < count);
        assert_int_equal(seen[index[i]]++, 0);
        hash = hash * 1000003u + index[i];
    }
    assert_true(hash == UINT64_C(0x21c64c8203ade408));
    fnl_free(index);
    fnl_free(seen);
}

static void permutations_of_nothing_and_one(void **state)
{
    (void)state;
    uint32_t index[1] = {77};
    fnl_rng_permutation(1, FNL_RNG_SHUFFLE, 0, index, 0);
    assert_int_equal(index[0], 77);
    fnl_rng_permutation(1, FNL_RNG_SHUFFLE, 0, index, 1);
    assert_int_equal(index[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers_of_random123),
        cmocka_unit_test(stream_is_golden_and_equals_random_access),
        cmocka_unit_test(seed_use_and_low_each_change_the_stream),
        cmocka_unit_test(a_copy_forks_the_stream),
        cmocka_unit_test(below_stays_below_and_is_even),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(permutation_is_one_and_is_golden),
        cmocka_unit_test(permutations_of_nothing_and_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
