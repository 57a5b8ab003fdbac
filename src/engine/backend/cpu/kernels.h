/* kernels.h - the CPU kernels: single-threaded functions on pointers, one table per instruction
 * set.
 *
 * Each kernel file is compiled once per instruction set (baseline x86-64 or any other CPU by plain
 * vectors, AVX2+FMA, AVX-512, AVX-512 with AVX512_BF16) and exports one table; fnl_cpu_kernels()
 * picks the best the CPU has, or the one named by FOURNIL_ISA (tests).
 *
 * Images are channels last: x[N][H][W][C]. Activations are float32, row-major. Sums over k or over
 * pixels of one output element always run in the same order, whatever N is, so a row's result does
 * not depend on its neighbours.
 *
 * Weights lie in panels of `panel` columns: w[ceil(N / panel)][K][panel], zero-padded: the order in
 * which the micro-kernel reads them, so nothing is packed in a step. Dense: K = inputs, N = units.
 * Conv: per group, K = KH*KW*C/group in (kh, kw, c) order, N = filters of the group. Gradients of
 * weights have the same layout. */
#ifndef FNL_ENGINE_BACKEND_CPU_KERNELS_H
#define FNL_ENGINE_BACKEND_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fnl_cpu_activation { FNL_CPU_NONE, FNL_CPU_RELU };

struct fnl_conv_shape {
    int C, H, W;   /* input */
    int K, OH, OW; /* output: filters, size */
    int KH, KW;
    int stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w;
    int group;
};

struct fnl_pool_shape {
    int C, H, W, OH, OW, KH, KW;
    int stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w;
    bool count_include_pad;
};

enum { FNL_POOL_NO_TAP = 255 };

struct fnl_update; /* engine/impl.h */

struct fnl_dense_part {
    size_t panel, panel_end, k, k_end;
};

struct fnl_cpu_kernels {
    const char *isa; /* "generic", "avx2", "avx512", "avx512bf16" */
    int panel;       /* columns of a weight panel: 16 or 32 */

    /* ---- weights: plain <-> panels. plain element (k, n) at plain[k * stride_k + n * stride_n].
     * ---- */
    void (*panel_pack)(size_t K, size_t N, const float *plain, ptrdiff_t stride_k,
                       ptrdiff_t stride_n, float *panels);
    void (*panel_unpack)(size_t K, size_t N, const float *panels, float *plain, ptrdiff_t stride_k,
                         ptrdiff_t stride_n);

    /* ---- dense: y[M][N] = act(x[M][K] w + bias). bias[N] may be NULL; beware: it is not padded.
     * ---- */
    void (*dense_forward)(size_t M, size_t K, size_t N, const float *x, size_t ldx, const float *w,
                          const float *bias, enum fnl_cpu_activation act, float *y, size_t ldy);
    /* dw (panels) = x^T dy, or += when accumulate; dbias[N] likewise unless NULL. scratch:
     * dense_scratch() floats. */
    void (*dense_grad_weights)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                               const float *dy, size_t ldy, float *dw, float *dbias,
                               bool accumulate, float *scratch);
    /* Panels [panel, panel_end) and inputs [k, k_end) of dw alone. With an update: dw is a place of
     * the gradient block, `at` its first float there, and instead of being left there the part's
     * gradient updates the parameters that lie at the same floats of the update's blocks. scratch:
     * dense_part_scratch() floats. */
    void (*dense_grad_weights_part)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                                    const float *dy, size_t ldy, struct fnl_dense_part part,
                                    float *dw, const struct fnl_update *update, size_t at,
                                    float *scratch);
    size_t (*dense_part_scratch)(size_t M, struct fnl_dense_part part);
    /* dx[M][K] = dy w^T. */
    void (*dense_grad_data)(size_t M, size_t K, size_t N, const float *dy, size_t ldy,
                            const float *w, float *dx, size_t ldx, float *scratch);
    size_t (*dense_scratch)(size_t M, size_t K, size_t N); /* floats, enough for both */

    /* ---- general product for operands that are not weights: c[M][N] = op(a) op(b); both row-major
     * ---- */
    void (*matmul)(size_t M, size_t N, size_t K, const float *a, ptrdiff_t a_stride_m,
                   ptrdiff_t a_stride_k, const float *b, ptrdiff_t b_stride_k, ptrdiff_t b_stride_n,
                   float *c, size_t ldc, float *scratch);
    size_t (*matmul_scratch)(size_t M, size_t N, size_t K);

    /* ---- convolution over n images ---- */
    void (*conv_forward)(const struct fnl_conv_shape *s, size_t n, const float *x, const float *w,
                         const float *bias, enum fnl_cpu_activation act, float *y, float *scratch);
    void (*conv_grad_weights)(const struct fnl_conv_shape *s, size_t n, const float *x,
                              const float *dy, float *dw, float *dbias, bool accumulate,
                              float *scratch); /* dbias may be NULL */
    void (*conv_grad_data)(
        const struct fnl_conv_shape *s, size_t n, const float *dy, const float *w, float *dx,
        float *scratch,
        bool first_block); /* first_block: rearranged weights kept in scratch must be made anew */
    size_t (*conv_scratch)(const struct fnl_conv_shape *s,
                           size_t n); /* floats, enough for all three, for up to n images at once */

    /* ---- the same with fewer multiplications, for 3x3 kernels with stride and dilation 1, one
     * group and outputs of at least 2x2. What is kept in scratch from block to block: weights made
     * anew by the first block, or sums of gradients of weights, of which dw is made after the last;
     * dw is not looked at before. ---- */
    void (*winograd_forward)(const struct fnl_conv_shape *s, size_t n, const float *x,
                             const float *w, const float *bias, enum fnl_cpu_activation act,
                             float *y, float *scratch, bool first_block);
    void (*winograd_grad_weights)(const struct fnl_conv_shape *s, size_t n, const float *x,
                                  const float *dy, float *dw, float *scratch, bool first_block,
                                  bool last_block);
    void (*winograd_grad_data)(const struct fnl_conv_shape *s, size_t n, const float *dy,
                               const float *w, float *dx, float *scratch, bool first_block);
    size_t (*winograd_scratch)(const struct fnl_conv_shape *s, size_t n); /* as conv_scratch */

    /* ---- pooling over n images. Max: the first maximum in (kh, kw) order takes the gradient;
     * padding never wins. ---- */
    void (*max_pool)(const struct fnl_pool_shape *s, size_t n, const float *x, float *y);
    /* mask_relu: x is a Relu's output whose gradient is wanted too: nothing flows where y <= 0. */
    void (*max_pool_grad)(const struct fnl_pool_shape *s, size_t n, const float *dy, const float *x,
                          const float *y, bool mask_relu, float *dx);
    /* The same with a note of a byte an output in between: the tap, kh * KW + kw, that takes the
     * gradient, or FNL_POOL_NO_TAP; so the gradient needs neither x nor y. KH * KW is at most that
     * number. mask_relu: as above. */
    void (*max_pool_noted)(const struct fnl_pool_shape *s, size_t n, const float *x, bool mask_relu,
                           float *y, uint8_t *taps);
    void (*max_pool_noted_grad)(const struct fnl_pool_shape *s, size_t n, const float *dy,
                                const uint8_t *taps, float *dx);
    void (*average_pool)(const struct fnl_pool_shape *s, size_t n, const float *x, float *y);
    void (*average_pool_grad)(const struct fnl_pool_shape *s, size_t n, const float *dy, float *dx);

    /* ---- element-wise over count floats; dst may be a source ---- */
    void (*add)(size_t count, const float *a, const float *b, float *y);
    void (*relu)(size_t count, const float *x, float *y);
    void (*leaky_relu)(size_t count, float alpha, const float *x, float *y);
    void (*gelu)(size_t count, bool tanh_form, const float *x, float *y);
    void (*sigmoid)(size_t count, const float *x, float *y);
    void (*tanh_)(size_t count, const float *x, float *y);
    void (*erf_)(size_t count, const float *x, float *y);
    void (*relu_grad)(size_t count, const float *dy, const float *y, float *dx);
    void (*leaky_relu_grad)(size_t count, float alpha, const float *dy, const float *y, float *dx);
    void (*gelu_grad)(size_t count, bool tanh_form, const float *dy, const float *x, float *dx);
    void (*sigmoid_grad)(size_t count, const float *dy, const float *y, float *dx);
    void (*tanh_grad)(size_t count, const float *dy, const float *y, float *dx);
    void (*erf_grad)(size_t count, const float *dy, const float *x, float *dx);

    /* ---- rows of length N ---- */
    void (*softmax)(size_t M, size_t N, bool log_form, const float *x, float *y);
    void (*softmax_grad)(size_t M, size_t N, bool log_form, const float *dy, const float *y,
                         float *dx);
    /* loss[m] = -log softmax(x[m])[label[m]], p = softmax(x); stable for any finite x. */
    void (*softmax_cross_entropy)(size_t M, size_t N, const float *x, const int32_t *label,
                                  float *loss, float *p);
    /* dx = (p - onehot(label)) * scale */
    void (*softmax_cross_entropy_grad)(size_t M, size_t N, const float *p, const int32_t *label,
                                       float scale, float *dx);
    void (*layer_norm)(size_t M, size_t N, float epsilon, const float *x, const float *gain,
                       const float *bias /* or NULL */, float *y, float *mean /* [M] or NULL */,
                       float *inv_std);
    /* dgain, dbias [N]: set, or added to when accumulate. */
    void (*layer_norm_grad)(size_t M, size_t N, const float *dy, const float *x, const float *gain,
                            const float *mean, const float *inv_std, float *dx, float *dgain,
                            float *dbias, bool accumulate);

    /* ---- per channel, channels last: pixels rows of C ---- */
    void (*channel_sums)(size_t pixels, size_t C, const float *x, const float *mean /* or NULL */,
                         double *sum, double *sum2);
    /* ^ sum of (x - mean), and of its square; added up from zero in double */
    void (*channel_affine)(size_t pixels, size_t C, const float *x, const float *mul,
                           const float *add, float *y);
    /* sums of dy and of dy * (x - mean) * inv_std, from zero in double */
    void (*channel_grad_sums)(size_t pixels, size_t C, const float *dy, const float *x,
                              const float *mean, const float *inv_std, double *sum_dy,
                              double *sum_dy_xhat);
    /* dx = a[c] * dy + b[c] * x + k[c] */
    void (*channel_grad)(size_t pixels, size_t C, const float *dy, const float *x, const float *a,
                         const float *b, const float *k, float *dx);
    void (*channel_bias_grad)(size_t pixels, size_t C, const float *dy, float *dbias,
                              bool accumulate);

    /* ---- optimiser: one pass over the flat block, floats [begin, end): sums the shards' gradients
     * in order, then updates ---- */
    void (*update)(const struct fnl_update *u, size_t begin, size_t end);
    double (*gradient_norm2)(float *const *gradient, int count, size_t begin, size_t end);

    /* y = x rounded to bfloat16 (nearest even), kept in a float. */
    void (*round_bf16)(size_t count, const float *x, float *y);

    /* ---- bfloat16: the products above with both operands rounded to bfloat16 on the way into
     * scratch, and float32 sums; biases are float32. Every table has them. In the table
     * "avx512bf16" they multiply by the CPU's instruction (VDPBF16PS), in the others, for tests, by
     * the arithmetic that its manual describes done in float32, except that the instruction takes
     * denormal numbers for zero. Until now only the emulation has been run: of the instruction no
     * more is known than that the code with it compiles. ---- */
    void (*dense_forward_bf16)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                               const float *w, const float *bias, enum fnl_cpu_activation act,
                               float *y, size_t ldy, float *scratch);
    void (*dense_grad_weights_bf16)(size_t M, size_t K, size_t N, const float *x, size_t ldx,
                                    const float *dy, size_t ldy, float *dw, float *dbias,
                                    bool accumulate, float *scratch); /* dbias: of dy unrounded */
    void (*dense_grad_data_bf16)(size_t M, size_t K, size_t N, const float *dy, size_t ldy,
                                 const float *w, float *dx, size_t ldx, float *scratch);
    size_t (*dense_scratch_bf16)(size_t M, size_t K, size_t N); /* floats, enough for all three */
    /* first_block: packed weights kept in scratch must be made anew. */
    void (*conv_forward_bf16)(const struct fnl_conv_shape *s, size_t n, const float *x,
                              const float *w, const float *bias, enum fnl_cpu_activation act,
                              float *y, float *scratch, bool first_block);
    void (*conv_grad_weights_bf16)(const struct fnl_conv_shape *s, size_t n, const float *x,
                                   const float *dy, float *dw, float *dbias, bool accumulate,
                                   float *scratch); /* dbias may be NULL: of dy unrounded */
    void (*conv_grad_data_bf16)(const struct fnl_conv_shape *s, size_t n, const float *dy,
                                const float *w, float *dx, float *scratch, bool first_block);
    size_t (*conv_scratch_bf16)(const struct fnl_conv_shape *s); /* floats, whatever the images */

    bool has_bf16; /* those above multiply by the CPU's own instruction */
};

/* The table for this CPU; never NULL. Decided once. */
const struct fnl_cpu_kernels *fnl_cpu_kernels(void);
/* Should a run in bfloat16 call the *_bf16 products (else the float32 ones on rounded values)?
 * Where the table has_bf16, unless the environment variable FOURNIL_BF16 says "off"; elsewhere only
 * when it says "emulate" (tests). Asked when a plan is made. */
bool fnl_cpu_bf16_products(void);
/* Should this convolution run by the winograd_* kernels? Where they take less time, and never
 * unless they can. The environment variable FOURNIL_CONV says otherwise: "direct" for none,
 * "winograd" for all that can. Asked when a plan is made. */
bool fnl_cpu_winograd(const struct fnl_conv_shape *s);
/* All tables this CPU can run, best first, for tests. Returns the count. */
int fnl_cpu_kernels_list(const struct fnl_cpu_kernels *list[4]);

#endif
