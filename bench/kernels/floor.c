/* floor.c - how near our dense and convolution kernels come to the CPU's peak, beside oneDNN and
 * OpenBLAS on the same shapes, one thread each, in turn.
 *
 * usage: ninja floor && taskset -c 1 ./floor [TEXT]: only shapes with TEXT in their name. For each
 * shape every program runs in turn ROUNDS times, at least ROUND_S seconds a time; the fastest round
 * counts, because what disturbs a round only ever slows it. Operations are those of the direct way,
 * so that a convolution by Winograd's algorithm may come out above the peak. The peak is measured
 * in the same way by a loop of independent multiply-adds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "floor.h"

#define ROUNDS 200
#define ROUND_S 0.002

#define CONV(c, h, k, oh, kh)                                                                      \
    {                                                                                              \
        .C = (c), .H = (h), .W = (h), .K = (k), .OH = (oh), .OW = (oh), .KH = (kh), .KW = (kh),    \
        .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .group = 1,                \
    }
#define DENSE(c, k)                                                                                \
    {                                                                                              \
        .C = (c), .H = 1, .W = 1, .K = (k), .OH = 1, .OW = 1                                       \
    }

static const struct shape shapes[] = {
    {"dense 64x784->128 forward", FORWARD, 64, DENSE(784, 128)},
    {"dense 64x784->128 weights", GRAD_WEIGHTS, 64, DENSE(784, 128)},
    {"dense 64x128->10 forward", FORWARD, 64, DENSE(128, 10)},
    {"dense 64x128->10 weights", GRAD_WEIGHTS, 64, DENSE(128, 10)},
    {"dense 64x128->10 data", GRAD_DATA, 64, DENSE(128, 10)},
    {"conv1 32x32x32x3->32 forward", FORWARD, 32, CONV(3, 32, 32, 30, 3)},
    {"conv1 32x32x32x3->32 weights", GRAD_WEIGHTS, 32, CONV(3, 32, 32, 30, 3)},
    {"conv2 32x15x15x32->64 forward", FORWARD, 32, CONV(32, 15, 64, 13, 3)},
    {"conv2 32x15x15x32->64 weights", GRAD_WEIGHTS, 32, CONV(32, 15, 64, 13, 3)},
    {"conv2 32x15x15x32->64 data", GRAD_DATA, 32, CONV(32, 15, 64, 13, 3)},
    {"dense 32x2304->64 forward", FORWARD, 32, DENSE(2304, 64)},
    {"dense 32x2304->64 weights", GRAD_WEIGHTS, 32, DENSE(2304, 64)},
    {"dense 32x2304->64 data", GRAD_DATA, 32, DENSE(2304, 64)},
    {"conv1 2x32x32x3->32 forward", FORWARD, 2, CONV(3, 32, 32, 30, 3)},
    {"conv1 2x32x32x3->32 weights", GRAD_WEIGHTS, 2, CONV(3, 32, 32, 30, 3)},
    {"conv2 2x15x15x32->64 forward", FORWARD, 2, CONV(32, 15, 64, 13, 3)},
    {"conv2 2x15x15x32->64 weights", GRAD_WEIGHTS, 2, CONV(32, 15, 64, 13, 3)},
    {"conv2 2x15x15x32->64 data", GRAD_DATA, 2, CONV(32, 15, 64, 13, 3)},
    {"mnist conv 32x28x28x1->32 forward", FORWARD, 32, CONV(1, 28, 32, 26, 3)},
    {"mnist conv 32x28x28x1->32 weights", GRAD_WEIGHTS, 32, CONV(1, 28, 32, 26, 3)},
    {"dense 1x784->128 forward", FORWARD, 1, DENSE(784, 128)},
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double flops(const struct shape *shape)
{
    const struct fnl_conv_shape *s = &shape->s;
    double window = s->KH ? (double)(s->KH * s->KW) : 1;
    return 2.0 * shape->batch * s->OH * s->OW * s->K * s->C * window;
}

/* Seconds of one run: the average of a round of at least ROUND_S seconds. */
static double round_s(struct work *w)
{
    double begin = now_s(), end;
    int runs = 0;
    do {
        for (int i = 0; i < 4; i++) {
            w->run(w);
        }
        runs += 4;
        end = now_s();
    } while (end - begin < ROUND_S);
    return (end - begin) / runs;
}

/* Floating point operations per second of 2 x 8 lanes that never wait for memory. */
static double peak(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("fma")) {
        return 0;
    }
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const long steps = 100000;
        long left = steps;
        double begin = now_s();
        __asm__ volatile("1:\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm4\n vfmadd231ps %%ymm0, %%ymm1, %%ymm5\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm6\n vfmadd231ps %%ymm0, %%ymm1, %%ymm7\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm8\n vfmadd231ps %%ymm0, %%ymm1, %%ymm9\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm10\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm11\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm12\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm13\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm14\n"
                         "vfmadd231ps %%ymm0, %%ymm1, %%ymm15\n"
                         "dec %0\n jnz 1b\n"
                         : "+r"(left)
                         :
                         : "xmm0", "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                           "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");
        double rate = (double)steps * 12 * 16 / (now_s() - begin);
        best = rate > best ? rate : best;
    }
    return best;
#else
    return 0;
#endif
}

int main(int argc, char **argv)
{
    const struct fnl_cpu_kernels *k = fnl_cpu_kernels();
    /* One thread for the peers; read when their libraries first run. */
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    printf("kernels: %s; peak of this core with 8 lanes: %.1f GF/s\n", k->isa, peak() * 1e-9);
    printf("%-36s %9s | %8s %8s %8s GF/s | %s\n", "shape", "us", "fournil", "oneDNN", "OpenBLAS",
           "ours / best peer, % of peak");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        const struct shape *shape = &shapes[i];
        if (argc > 1 && !strstr(shape->name, argv[1])) {
            continue;
        }
        struct work *work[3] = {fournil_work(k, shape), onednn_work(shape), openblas_work(shape)};
        double best[3] = {1e9, 1e9, 1e9};
        for (int round = 0; round < ROUNDS; round++) {
            for (int w = 0; w < 3; w++) {
                double s = work[w] ? round_s(work[w]) : 1e9;
                best[w] = s < best[w] ? s : best[w];
            }
        }
        const double gf = flops(shape) * 1e-9, peer = best[1] < best[2] ? best[1] : best[2];
        printf("%-36s %9.2f | %8.1f %8.1f %8.1f      | %.2f  %.0f%%\n", shape->name, best[0] * 1e6,
               gf / best[0], gf / best[1], gf / best[2], peer / best[0],
               100 * gf / best[0] / (peak() * 1e-9));
        fflush(stdout);
        for (int w = 0; w < 3; w++) {
            if (work[w]) {
                work[w]->free(work[w]);
            }
        }
    }
    return 0;
}
