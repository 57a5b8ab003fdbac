/* Element types, shapes, bfloat16. */
#include "test.h"

#include <math.h>

#include "base/tensor_type.h"

static void dtypes_have_size_and_numpy_name(void **state)
{
    (void)state;
    assert_int_equal(fnl_dtype_size(FNL_F32), 4);
    assert_int_equal(fnl_dtype_size(FNL_BF16), 2);
    assert_int_equal(fnl_dtype_size(FNL_I64), 8);
    assert_int_equal(fnl_dtype_size(FNL_BOOL), 1);
    assert_int_equal(fnl_dtype_size(FNL_DTYPE_NONE), 0);
    assert_int_equal(fnl_dtype_size((enum fnl_dtype)99), 0);
    assert_string_equal(fnl_dtype_name(FNL_U8), "uint8");
    assert_string_equal(fnl_dtype_name((enum fnl_dtype)99), "unknown");
}

static void shapes_compare_and_count(void **state)
{
    (void)state;
    struct fnl_shape a = fnl_shape_make(3, FNL_DIM_BATCH, 3, 5);
    struct fnl_shape b = a, scalar = {0}, empty = fnl_shape_make(2, 0, 7);
    assert_true(fnl_shape_equal(&a, &b));
    b.dim[2] = 6;
    assert_false(fnl_shape_equal(&a, &b));
    b = a;
    b.rank = 2;
    assert_false(fnl_shape_equal(&a, &b));
    assert_int_equal(fnl_shape_count(&a, 64), 960);
    assert_int_equal(fnl_shape_count(&scalar, 64), 1);
    assert_int_equal(fnl_shape_count(&empty, 1), 0);
}

static void bad_shapes_have_no_count(void **state)
{
    (void)state;
    struct fnl_shape negative = fnl_shape_make(2, 3, -2);
    struct fnl_shape huge = fnl_shape_make(3, 1LL << 31, 1LL << 31, 4);
    struct fnl_shape rank = {.rank = 9}, batch = fnl_shape_make(1, FNL_DIM_BATCH);
    assert_int_equal(fnl_shape_count(&negative, 1), -1);
    assert_int_equal(fnl_shape_count(&huge, 1), -1);
    assert_int_equal(fnl_shape_count(&rank, 1), -1);
    assert_int_equal(fnl_shape_count(&batch, -5), -1);
}

static void shape_text_fits_whatever_the_shape(void **state)
{
    (void)state;
    char out[FNL_SHAPE_TEXT];
    struct fnl_shape a = fnl_shape_make(4, FNL_DIM_BATCH, 3, 32, 32), scalar = {0};
    assert_string_equal(fnl_shape_text(&a, out), "[N, 3, 32, 32]");
    assert_string_equal(fnl_shape_text(&scalar, out), "[]");
    struct fnl_shape big = {.rank = 8};
    for (int i = 0; i < 8; i++) {
        big.dim[i] = INT64_MIN;
    }
    size_t n = strlen(fnl_shape_text(&big, out));
    assert_true(n < FNL_SHAPE_TEXT);
    assert_string_equal(out + n - 4, "...]");
}

static uint16_t bf16_of_bits(uint32_t bits)
{
    float f = 0;
    memcpy(&f, &bits, sizeof f);
    return fnl_bf16_from_f32(f);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(bf16_of_bits(0x3F800000), 0x3F80);
    assert_int_equal(bf16_of_bits(0x3F808000), 0x3F80); /* tie, even below */
    assert_int_equal(bf16_of_bits(0x3F808001), 0x3F81);
    assert_int_equal(bf16_of_bits(0x3F818000), 0x3F82); /* tie, even above */
    assert_int_equal(bf16_of_bits(0x3F817FFF), 0x3F81);
    assert_int_equal(bf16_of_bits(0x7F7FFFFF), 0x7F80); /* beyond the largest: infinity */
    assert_int_equal(bf16_of_bits(0x80000000), 0x8000);
    assert_int_equal(bf16_of_bits(0x00000001), 0x0000);
    assert_int_equal(bf16_of_bits(0x0000FFFF), 0x0001); /* a subnormal */
}

static void bf16_keeps_nan_and_infinity(void **state)
{
    (void)state;
    assert_int_equal(bf16_of_bits(0x7F800001), 0x7FC0); /* would become infinity by rounding */
    assert_int_equal(bf16_of_bits(0xFF800001), 0xFFC0);
    assert_int_equal(bf16_of_bits(0x7FFFFFFF), 0x7FFF); /* would wrap to -0 by rounding */
    assert_int_equal(bf16_of_bits(0x7F800000), 0x7F80);
    assert_int_equal(bf16_of_bits(0xFF800000), 0xFF80);
    assert_true(isnan(fnl_bf16_to_f32(fnl_bf16_from_f32(NAN))));
}

static void bf16_round_trips_every_value(void **state)
{
    (void)state;
    for (uint32_t x = 0; x <= 0xFFFF; x++) {
        float f = fnl_bf16_to_f32((uint16_t)x);
        uint16_t want = (uint16_t)(isnan(f) ? x | 0x40u : x);
        assert_int_equal(fnl_bf16_from_f32(f), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dtypes_have_size_and_numpy_name),
        cmocka_unit_test(shapes_compare_and_count),
        cmocka_unit_test(bad_shapes_have_no_count),
        cmocka_unit_test(shape_text_fits_whatever_the_shape),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_keeps_nan_and_infinity),
        cmocka_unit_test(bf16_round_trips_every_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
