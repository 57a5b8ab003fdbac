/* The element-wise CPU kernels against the C library's double functions, on every instruction set
 * this CPU has. */
#include "engine/kernel_check.h"

#define ALPHA 0.1F
#define LONG_COUNT 1003

/* One face for all kernels of one source (a is x) and of two (a is dy, b is y or x). */
struct op {
    const char *name;
    bool two;
    void (*run)(const struct fnl_cpu_kernels *k, size_t n, const float *a, const float *b,
                float *y);
    double (*want)(double a, double b);
    double tolerance; /* relative to max(1, |want|), or plainly relative when relative is set */
    bool relative;
};

#define RUN1(name, call)                                                                           \
    static void run_##name(const struct fnl_cpu_kernels *k, size_t n, const float *a,              \
                           const float *b, float *y)                                               \
    {                                                                                              \
        (void)b;                                                                                   \
        k->call;                                                                                   \
    }
#define RUN2(name, call)                                                                           \
    static void run_##name(const struct fnl_cpu_kernels *k, size_t n, const float *a,              \
                           const float *b, float *y)                                               \
    {                                                                                              \
        k->call;                                                                                   \
    }
RUN2(add, add(n, a, b, y))
RUN1(relu, relu(n, a, y))
RUN1(leaky_relu, leaky_relu(n, ALPHA, a, y))
RUN1(gelu, gelu(n, false, a, y))
RUN1(gelu_tanh, gelu(n, true, a, y))
RUN1(sigmoid, sigmoid(n, a, y))
RUN1(tanh, tanh_(n, a, y))
RUN1(erf, erf_(n, a, y))
RUN2(relu_grad, relu_grad(n, a, b, y))
RUN2(leaky_relu_grad, leaky_relu_grad(n, ALPHA, a, b, y))
RUN2(gelu_grad, gelu_grad(n, false, a, b, y))
RUN2(gelu_tanh_grad, gelu_grad(n, true, a, b, y))
RUN2(sigmoid_grad, sigmoid_grad(n, a, b, y))
RUN2(tanh_grad, tanh_grad(n, a, b, y))
RUN2(erf_grad, erf_grad(n, a, b, y))
RUN1(round_bf16, round_bf16(n, a, y))

static double want_add(double a, double b)
{
    return (double)((float)a + (float)b);
}

static double want_relu(double a, double b)
{
    (void)b;
    return isnan(a) ? a : fmax(a, 0.0);
}

static double want_leaky_relu(double a, double b)
{
    (void)b;
    return a > 0.0 ? a : (double)ALPHA * a;
}

static double gelu_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

static double want_gelu(double a, double b)
{
    (void)b;
    return a * gelu_cdf(a);
}

static double gelu_inner(double x)
{
    return sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
}

static double want_gelu_tanh(double a, double b)
{
    (void)b;
    return 0.5 * a * (1.0 + tanh(gelu_inner(a)));
}

static double want_sigmoid(double a, double b)
{
    (void)b;
    return 1.0 / (1.0 + exp(-a));
}

static double want_tanh(double a, double b)
{
    (void)b;
    return tanh(a);
}

static double want_erf(double a, double b)
{
    (void)b;
    return erf(a);
}

static double want_relu_grad(double a, double b)
{
    return b <= 0.0 ? 0.0 : a;
}

static double want_leaky_relu_grad(double a, double b)
{
    return b > 0.0 ? a : (double)ALPHA * a;
}

/* Gradients of smooth functions by a central difference in double: an answer that shares no formula
 * with the kernel. */
static double slope(double (*f)(double a, double b), double x)
{
    const double h = 1e-5;
    return (f(x + h, 0.0) - f(x - h, 0.0)) / (2.0 * h);
}

static double want_gelu_grad(double a, double b)
{
    return a * slope(want_gelu, b);
}

static double want_gelu_tanh_grad(double a, double b)
{
    return a * slope(want_gelu_tanh, b);
}

static double want_erf_grad(double a, double b)
{
    return a * slope(want_erf, b);
}

static double want_sigmoid_grad(double a, double b)
{
    return a * b * (1.0 - b);
}

static double want_tanh_grad(double a, double b)
{
    return a * (1.0 - b * b);
}

/* The nearer of the two neighbours of 16 bits, the even one in the middle. */
static double want_round_bf16(double a, double b)
{
    (void)b;
    float x = (float)a;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t low_bits = bits & 0xFFFF0000U, high_bits = low_bits + 0x10000U;
    float low, high;
    memcpy(&low, &low_bits, sizeof low);
    memcpy(&high, &high_bits, sizeof high);
    double below = fabs(a - (double)low), above = fabs((double)high - a);
    bool even = (low_bits & 0x10000U) == 0;
    return below < above || (below == above && even) ? (double)low : (double)high;
}

static const struct op ops[] = {
    {"add", true, run_add, want_add, 0.0, true},
    {"relu", false, run_relu, want_relu, 0.0, true},
    {"leaky_relu", false, run_leaky_relu, want_leaky_relu, 1.2e-7, true},
    {"gelu", false, run_gelu, want_gelu, 3e-7, false},
    {"gelu tanh", false, run_gelu_tanh, want_gelu_tanh, 4e-7, false},
    {"sigmoid", false, run_sigmoid, want_sigmoid, 3e-7, true},
    {"tanh", false, run_tanh, want_tanh, 1.6e-7, true},
    {"erf", false, run_erf, want_erf, 1.3e-7, true},
    {"relu_grad", true, run_relu_grad, want_relu_grad, 0.0, true},
    {"leaky_relu_grad", true, run_leaky_relu_grad, want_leaky_relu_grad, 1.2e-7, true},
    {"gelu_grad", true, run_gelu_grad, want_gelu_grad, 2e-6, false},
    {"gelu tanh_grad", true, run_gelu_tanh_grad, want_gelu_tanh_grad, 1e-6, false},
    {"sigmoid_grad", true, run_sigmoid_grad, want_sigmoid_grad, 3e-7, false},
    {"tanh_grad", true, run_tanh_grad, want_tanh_grad, 3e-7, false},
    {"erf_grad", true, run_erf_grad, want_erf_grad, 1e-6, false},
    {"round_bf16", false, run_round_bf16, want_round_bf16, 0.0, true},
};
#define OP_COUNT (sizeof ops / sizeof ops[0])

static void check_op(const struct fnl_cpu_kernels *k, const struct op *op, size_t n, float range)
{
    const float *a = filled_floats(n, -range, range), *b = filled_floats(n, -range, range);
    float *y = edge_floats(n);
    op->run(k, n, a, b, y);
    for (size_t i = 0; i < n; i++) {
        double want = op->want((double)a[i], (double)b[i]);
        check_close(op->name, k->isa, i, (double)y[i], want, op->tolerance,
                    op->relative ? 1e-30 : 1.0);
    }
    edge_free_all();
}

static void check_lengths(const struct fnl_cpu_kernels *k)
{
    for (size_t o = 0; o < OP_COUNT; o++) {
        for (size_t n = 0; n <= 40; n++) {
            check_op(k, &ops[o], n, 3.0F);
        }
        check_op(k, &ops[o], 20011, 0.9F);
        check_op(k, &ops[o], 20011, 8.0F);
    }
}

static void every_length_and_no_float_beyond(void **state)
{
    (void)state;
    for_each_table(check_lengths);
}

static void check_in_place(const struct fnl_cpu_kernels *k)
{
    for (size_t o = 0; o < OP_COUNT; o++) {
        const float *a = filled_floats(LONG_COUNT, -4.0F, 4.0F);
        const float *b = filled_floats(LONG_COUNT, -4.0F, 4.0F);
        float *y = edge_floats(LONG_COUNT), *on_a = copied_floats(LONG_COUNT, a);
        float *on_b = copied_floats(LONG_COUNT, b);
        ops[o].run(k, LONG_COUNT, a, b, y);
        ops[o].run(k, LONG_COUNT, on_a, b, on_a);
        assert_true(same_bits(y, on_a, LONG_COUNT));
        if (ops[o].two) {
            ops[o].run(k, LONG_COUNT, a, on_b, on_b);
            assert_true(same_bits(y, on_b, LONG_COUNT));
        }
        edge_free_all();
    }
}

static void the_destination_may_be_a_source(void **state)
{
    (void)state;
    for_each_table(check_in_place);
}

/* Blocks of 1 to 37 elements give what the whole gives, bit for bit. */
static void check_blocks(const struct fnl_cpu_kernels *k)
{
    for (size_t o = 0; o < OP_COUNT; o++) {
        const float *a = filled_floats(LONG_COUNT, -4.0F, 4.0F);
        const float *b = filled_floats(LONG_COUNT, -4.0F, 4.0F);
        float *whole = edge_floats(LONG_COUNT), *parts = edge_floats(LONG_COUNT);
        ops[o].run(k, LONG_COUNT, a, b, whole);
        for (size_t i = 0; i < LONG_COUNT;) {
            size_t n = 1 + check_word() % 37;
            n = n < LONG_COUNT - i ? n : LONG_COUNT - i;
            ops[o].run(k, n, a + i, b + i, parts + i);
            i += n;
        }
        assert_true(same_bits(whole, parts, LONG_COUNT));
        edge_free_all();
    }
}

static void a_result_does_not_depend_on_its_place(void **state)
{
    (void)state;
    for_each_table(check_blocks);
}

static void check_edges(const struct fnl_cpu_kernels *k)
{
    static const struct {
        const char *op;
        float x, y;
    } edges[] = {
        {"relu", INFINITY, INFINITY},
        {"relu", -INFINITY, 0.0F},
        {"relu", NAN, NAN},
        {"leaky_relu", NAN, NAN},
        {"leaky_relu", -INFINITY, -INFINITY},
        {"gelu", INFINITY, INFINITY},
        {"gelu", -50.0F, 0.0F},
        {"gelu", NAN, NAN},
        {"gelu tanh", 1e30F, 1e30F},
        {"gelu tanh", -50.0F, 0.0F},
        {"sigmoid", INFINITY, 1.0F},
        {"sigmoid", -INFINITY, 0.0F},
        {"sigmoid", -1000.0F, 0.0F},
        {"sigmoid", 1000.0F, 1.0F},
        {"sigmoid", NAN, NAN},
        {"tanh", INFINITY, 1.0F},
        {"tanh", -INFINITY, -1.0F},
        {"tanh", 1e-30F, 1e-30F},
        {"tanh", 0.0F, 0.0F},
        {"tanh", NAN, NAN},
        {"erf", INFINITY, 1.0F},
        {"erf", -INFINITY, -1.0F},
        {"erf", 3.95F, 1.0F},
        {"erf", 0.0F, 0.0F},
        {"erf", NAN, NAN},
        {"round_bf16", NAN, NAN},
        {"round_bf16", INFINITY, INFINITY},
        {"round_bf16", -INFINITY, -INFINITY},
        {"round_bf16", 3.4028234e38F, INFINITY},
        {"round_bf16", 1.00390625F, 1.0F},      /* half way between 1 and 1.0078125: to even */
        {"round_bf16", 1.01171875F, 1.015625F}, /* half way, the even one above */
        {"round_bf16", -1.00390637F, -1.0078125F},
    };
    for (size_t e = 0; e < sizeof edges / sizeof edges[0]; e++) {
        for (size_t o = 0; o < OP_COUNT; o++) {
            if (strcmp(ops[o].name, edges[e].op) == 0) {
                float x[17], y[17];
                for (size_t i = 0; i < 17; i++) {
                    x[i] = edges[e].x;
                }
                ops[o].run(k, 17, x, x, y);
                for (size_t i = 0; i < 17; i++) {
                    check_close(ops[o].name, k->isa, i, (double)y[i], (double)edges[e].y, 6e-8,
                                1e-25);
                }
            }
        }
    }
}

static void edge_values_and_nan(void **state)
{
    (void)state;
    for_each_table(check_edges);
}

/* A NaN with only low bits set must not turn into infinity. */
static void check_nan_payload(const struct fnl_cpu_kernels *k)
{
    uint32_t bits = 0xFF800001U;
    float x, y;
    memcpy(&x, &bits, sizeof x);
    k->round_bf16(1, &x, &y);
    memcpy(&bits, &y, sizeof bits);
    assert_true(isnan(y));
    assert_int_equal(bits & 0xFFFFU, 0);
}

static void rounding_keeps_nan(void **state)
{
    (void)state;
    for_each_table(check_nan_payload);
}

/* Where the output of a Relu is 0 nothing flows, whatever arrives. */
static void check_relu_gate(const struct fnl_cpu_kernels *k)
{
    const float dy[5] = {INFINITY, NAN, -1.0F, 2.0F, 3.0F}, y[5] = {0.0F, 0.0F, -0.0F, 1.0F, NAN};
    float dx[5];
    k->relu_grad(5, dy, y, dx);
    assert_true(dx[0] == 0.0F && dx[1] == 0.0F && dx[2] == 0.0F);
    assert_true(dx[3] == 2.0F && dx[4] == 3.0F);
}

static void relu_grad_stops_all_at_zero(void **state)
{
    (void)state;
    for_each_table(check_relu_gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_and_no_float_beyond),
        cmocka_unit_test(the_destination_may_be_a_source),
        cmocka_unit_test(a_result_does_not_depend_on_its_place),
        cmocka_unit_test(edge_values_and_nan),
        cmocka_unit_test(rounding_keeps_nan),
        cmocka_unit_test(relu_grad_stops_all_at_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
