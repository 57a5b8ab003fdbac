/* Learning rates against PyTorch's schedulers, and the properties of warm-up. */
#include "base/test.h"

#include <math.h>

#include "train/schedule.h"

#define EPOCHS 10
#define STEPS 7
#define TOTAL (EPOCHS * STEPS)

/* By tests/golden/make_schedules.py. */
static const double step_rates[] = {
    0.10000000000000001,  0.10000000000000001,  0.10000000000000001,  0.10000000000000001,
    0.10000000000000001,  0.10000000000000001,  0.10000000000000001,  0.10000000000000001,
    0.10000000000000001,  0.10000000000000001,  0.10000000000000001,  0.10000000000000001,
    0.10000000000000001,  0.10000000000000001,  0.10000000000000001,  0.10000000000000001,
    0.10000000000000001,  0.10000000000000001,  0.10000000000000001,  0.10000000000000001,
    0.10000000000000001,  0.050000000000000003, 0.050000000000000003, 0.050000000000000003,
    0.050000000000000003, 0.050000000000000003, 0.050000000000000003, 0.050000000000000003,
    0.050000000000000003, 0.050000000000000003, 0.050000000000000003, 0.050000000000000003,
    0.050000000000000003, 0.050000000000000003, 0.050000000000000003, 0.050000000000000003,
    0.050000000000000003, 0.050000000000000003, 0.050000000000000003, 0.050000000000000003,
    0.050000000000000003, 0.050000000000000003, 0.025000000000000001, 0.025000000000000001,
    0.025000000000000001, 0.025000000000000001, 0.025000000000000001, 0.025000000000000001,
    0.025000000000000001, 0.025000000000000001, 0.025000000000000001, 0.025000000000000001,
    0.025000000000000001, 0.025000000000000001, 0.025000000000000001, 0.025000000000000001,
    0.025000000000000001, 0.025000000000000001, 0.025000000000000001, 0.025000000000000001,
    0.025000000000000001, 0.025000000000000001, 0.025000000000000001, 0.012500000000000001,
    0.012500000000000001, 0.012500000000000001, 0.012500000000000001, 0.012500000000000001,
    0.012500000000000001, 0.012500000000000001,
};
static const double cosine_rates[] = {
    0.10000000000000001,   0.099950156793795084,  0.099800727552764354,  0.099552013207512779,
    0.099204514635632179,  0.098758931653000273,  0.098216161604444741,  0.097577297556610113,
    0.09684362609666701,   0.096016624741296838,  0.095097958961169765,  0.09408947882690856,
    0.092993215283292394,  0.091811376059204503,  0.090546341221559926,  0.089200658382167508,
    0.087777037567178778,  0.086278345759455907,  0.084707601124849832,  0.083067966934015788,
    0.081362745192007327,  0.079595369988477424,  0.077769400581879075,  0.075888514231592361,
    0.073956498792413436,  0.071977245086319128,  0.06995473906686922,   0.067893053792026467,
    0.065796341221559904,  0.063668823855550422,  0.061514786230837566,  0.059338566292532521,
    0.057144546657973951,  0.054937145790719961,  0.052720809102350497,  0.050500000000000003,
    0.048279190897649517,  0.046062854209280045,  0.043855453342026063,  0.041661433707467492,
    0.03948521376916244,   0.037331176144449599,  0.03520365877844011,   0.033106946207973546,
    0.031045260933130796,  0.029022754913680879,  0.027043501207586571,  0.025111485768407653,
    0.023230599418120931,  0.021404630011522586,  0.019637254807992693,  0.017932033065984228,
    0.016292398875150202,  0.014721654240544123,  0.013222962432821263,  0.011799341617832523,
    0.010453658778440105,  0.0091886239407955178, 0.0080067847167076267, 0.0069105211730914676,
    0.0059020410388302561, 0.0049833752587031951, 0.004156373903333007,  0.0034227024433898991,
    0.0027838383955552637, 0.0022410683469997303, 0.0017954853643678309, 0.0014479867924872322,
    0.001199272447235666,  0.0010498432062049279,
};
static const double one_cycle_rates[] = {
    0.0040000000000000036,  0.004590959651433385,   0.0063492872178326221,  0.0092316868389583501,
    0.013167184270002533,   0.018058874503045733,   0.023786307889961292,   0.030208456012501758,
    0.037167184270002526,   0.044491145678068916,   0.052000000000000005,   0.059508854321931093,
    0.066832815729997469,   0.073791543987498251,   0.080213692110038703,   0.08594112549695429,
    0.090832815729997476,   0.094768313161041659,   0.097650712782167373,   0.09940904034856661,
    0.10000000000000001,    0.099897270048438278,   0.099589502333159538,   0.099077961537721873,
    0.09836474969297887,    0.097452797539384031,   0.096345852483949626,   0.095048463201347383,
    0.093565960942428653,   0.09190443762697105,    0.090070720810673466,   0.088072345629265053,
    0.085917523835016371,   0.083615110052887798,   0.081174565394976306,   0.078605918582776463,
    0.075919724737012612,   0.073127022004383729,   0.070239286199451065,   0.0672683836480545,
    0.064226522426034299,   0.06112620219362893,    0.057980162831689955,   0.054801332090778906,
    0.051602772468267256,   0.048397627531732754,   0.045199067909221097,   0.042020237168310055,
    0.038874197806371073,   0.035773877573965704,   0.03273201635194551,    0.029761113800548935,
    0.026873377995616298,   0.024080675262987412,   0.021394481417223554,   0.018825834605023701,
    0.016385289947112209,   0.014082876164983646,   0.011928054370734954,   0.0099296791893265478,
    0.008095962373028948,   0.0064344390575713549,  0.0049519367986526289,  0.0036545475160503875,
    0.0025476024606159702,  0.0016356503070211353,  0.00092243846227812629, 0.00041089766684046205,
    0.00010312995156173331, 3.9999999999999998e-07,
};

static void assert_rates(const struct fnl_schedule *s, const double *expected)
{
    for (uint64_t i = 0; i < TOTAL; i++) {
        double rate = fnl_schedule_rate(s, i, STEPS, EPOCHS);
        if (fabs(rate - expected[i]) > 1e-9 * fabs(expected[i]) + 1e-12) {
            fail_msg("step %d: %.17g, PyTorch %.17g", (int)i, rate, expected[i]);
        }
    }
}

static void test_step_is_pytorchs(void **state)
{
    (void)state;
    struct fnl_schedule s = {
        .kind = FNL_SCHEDULE_STEP, .learning_rate = 0.1, .step_epochs = 3, .gamma = 0.5};
    assert_rates(&s, step_rates);
}

static void test_cosine_is_pytorchs(void **state)
{
    (void)state;
    struct fnl_schedule s = {
        .kind = FNL_SCHEDULE_COSINE, .learning_rate = 0.1, .min_learning_rate = 0.001};
    assert_rates(&s, cosine_rates);
}

static void test_one_cycle_is_pytorchs(void **state)
{
    (void)state;
    struct fnl_schedule s = {.kind = FNL_SCHEDULE_ONE_CYCLE,
                             .learning_rate = 0.1,
                             .pct_start = 0.3,
                             .div_factor = 25.0,
                             .final_div_factor = 1e4};
    assert_rates(&s, one_cycle_rates);
    s.max_learning_rate = 0.1;
    s.learning_rate = 7.0; /* not looked at then */
    assert_rates(&s, one_cycle_rates);
}

static void test_constant_is_constant(void **state)
{
    (void)state;
    struct fnl_schedule s = {.kind = FNL_SCHEDULE_CONSTANT, .learning_rate = 0.25};
    for (uint64_t i = 0; i < TOTAL; i++) {
        assert_true(fnl_schedule_rate(&s, i, STEPS, EPOCHS) == 0.25);
    }
}

static void test_warmup_rises_in_a_line_and_reaches_the_rate(void **state)
{
    (void)state;
    struct fnl_schedule s = {
        .kind = FNL_SCHEDULE_CONSTANT, .learning_rate = 1.0, .warmup_steps = 4};
    const double expected[] = {0.25, 0.5, 0.75, 1.0, 1.0, 1.0};
    for (uint64_t i = 0; i < TEST_COUNT(expected); i++) {
        assert_true(fnl_schedule_rate(&s, i, STEPS, EPOCHS) == expected[i]);
    }
    s.warmup_steps = 0;
    s.warmup_epochs = 2;
    assert_true(fnl_schedule_rate(&s, 0, STEPS, EPOCHS) == 1.0 / 14.0);
    assert_true(fnl_schedule_rate(&s, 13, STEPS, EPOCHS) == 1.0);
}

static void test_cosine_begins_after_the_warmup_and_ends_near_its_end(void **state)
{
    (void)state;
    struct fnl_schedule s = {.kind = FNL_SCHEDULE_COSINE,
                             .learning_rate = 1.0,
                             .min_learning_rate = 0.1,
                             .warmup_epochs = 1};
    assert_true(fnl_schedule_rate(&s, STEPS, STEPS, EPOCHS) == 1.0);
    double last = fnl_schedule_rate(&s, TOTAL - 1, STEPS, EPOCHS);
    assert_true(last > 0.1 && last < 0.101);
    for (uint64_t i = STEPS + 1; i < TOTAL; i++) {
        assert_true(fnl_schedule_rate(&s, i, STEPS, EPOCHS) <
                    fnl_schedule_rate(&s, i - 1, STEPS, EPOCHS));
    }
}

static void test_runs_of_one_step_have_a_finite_rate(void **state)
{
    (void)state;
    for (int kind = 0; kind <= FNL_SCHEDULE_ONE_CYCLE; kind++) {
        struct fnl_schedule s = {.kind = kind,
                                 .learning_rate = 0.1,
                                 .step_epochs = 1,
                                 .gamma = 0.1,
                                 .pct_start = 0.3,
                                 .div_factor = 25.0,
                                 .final_div_factor = 1e4};
        double rate = fnl_schedule_rate(&s, 0, 1, 1);
        assert_true(isfinite(rate) && rate > 0.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_is_pytorchs),
        cmocka_unit_test(test_cosine_is_pytorchs),
        cmocka_unit_test(test_one_cycle_is_pytorchs),
        cmocka_unit_test(test_constant_is_constant),
        cmocka_unit_test(test_warmup_rises_in_a_line_and_reaches_the_rate),
        cmocka_unit_test(test_cosine_begins_after_the_warmup_and_ends_near_its_end),
        cmocka_unit_test(test_runs_of_one_step_have_a_finite_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
