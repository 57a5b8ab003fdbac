/* openblas.c - the dense shapes of floor.h by one sgemm. The interface is declared here: Debian
 * installs the header only with the -dev package, the library with the run-time one. */
#include <stdlib.h>

#include "floor.h"

void cblas_sgemm(int order, int trans_a, int trans_b, int M, int N, int K, float alpha,
                 const float *A, int lda, const float *B, int ldb, float beta, float *C, int ldc);
void openblas_set_num_threads(int threads);

struct gemm {
    struct work work;
    struct shape shape;
    float *x, *w, *y;
};

static void run(struct work *work)
{
    struct gemm *g = (struct gemm *)work;
    const int M = g->shape.batch, K = g->shape.s.C, N = g->shape.s.K;
    enum { ROWS = 101, PLAIN = 111, TRANSPOSED = 112 };
    switch (g->shape.direction) {
    case FORWARD: /* y[M][N] = x[M][K] w[K][N] */
        cblas_sgemm(ROWS, PLAIN, PLAIN, M, N, K, 1, g->x, K, g->w, N, 0, g->y, N);
        break;
    case GRAD_WEIGHTS:
        cblas_sgemm(ROWS, TRANSPOSED, PLAIN, K, N, M, 1, g->x, K, g->y, N, 0, g->w, N);
        break;
    case GRAD_DATA:
        cblas_sgemm(ROWS, PLAIN, TRANSPOSED, M, K, N, 1, g->y, N, g->w, N, 0, g->x, K);
        break;
    }
}

static void free_work(struct work *work)
{
    struct gemm *g = (struct gemm *)work;
    free(g->x);
    free(g->w);
    free(g->y);
    free(g);
}

static float *filled(size_t count)
{
    float *f = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    for (size_t i = 0; i < count; i++) {
        f[i] = (float)(i % 17) / 17 - 0.5f;
    }
    return f;
}

struct work *openblas_work(const struct shape *shape)
{
    if (shape->s.KH != 0) {
        return NULL;
    }
    openblas_set_num_threads(1);
    struct gemm *g = calloc(1, sizeof(*g));
    g->work = (struct work){run, free_work};
    g->shape = *shape;
    const size_t M = (size_t)shape->batch, K = (size_t)shape->s.C, N = (size_t)shape->s.K;
    g->x = filled(M * K);
    g->w = filled(K * N);
    g->y = filled(M * N);
    return &g->work;
}
