/* fournil.c - the shapes of floor.h by our own kernels, as a step calls them. */
#include <stdlib.h>

#include "floor.h"

struct ours {
    struct work work;
    const struct fnl_cpu_kernels *k;
    struct shape shape;
    bool winograd; /* as the plan of a step would choose; FOURNIL_CONV=direct for none */
    float *x, *w, *y, *bias, *scratch;
};

static void run(struct work *work)
{
    struct ours *o = (struct ours *)work;
    const struct fnl_conv_shape *s = &o->shape.s;
    const struct fnl_cpu_kernels *k = o->k;
    const size_t M = (size_t)o->shape.batch, K = (size_t)s->C, N = (size_t)s->K;
    const bool dense = s->KH == 0, winograd = o->winograd;
    switch (o->shape.direction) {
    case FORWARD:
        if (winograd) {
            k->winograd_forward(s, M, o->x, o->w, o->bias, FNL_CPU_RELU, o->y, o->scratch, true);
        } else if (dense) {
            k->dense_forward(M, K, N, o->x, K, o->w, o->bias, FNL_CPU_RELU, o->y, N);
        } else {
            k->conv_forward(s, M, o->x, o->w, o->bias, FNL_CPU_RELU, o->y, o->scratch);
        }
        break;
    case GRAD_WEIGHTS:
        if (winograd) {
            k->winograd_grad_weights(s, M, o->x, o->y, o->w, o->scratch, true, true);
        } else if (dense) {
            k->dense_grad_weights(M, K, N, o->x, K, o->y, N, o->w, o->bias, false, o->scratch);
        } else {
            k->conv_grad_weights(s, M, o->x, o->y, o->w, o->bias, false, o->scratch);
        }
        break;
    case GRAD_DATA:
        if (winograd) {
            k->winograd_grad_data(s, M, o->y, o->w, o->x, o->scratch, true);
        } else if (dense) {
            k->dense_grad_data(M, K, N, o->y, N, o->w, o->x, K, o->scratch);
        } else {
            k->conv_grad_data(s, M, o->y, o->w, o->x, o->scratch, true);
        }
        break;
    }
}

static void free_work(struct work *work)
{
    struct ours *o = (struct ours *)work;
    free(o->x);
    free(o->w);
    free(o->y);
    free(o->bias);
    free(o->scratch);
    free(o);
}

static float *filled(size_t count)
{
    float *f = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    for (size_t i = 0; i < count; i++) {
        f[i] = (float)(i % 17) / 17 - 0.5f;
    }
    return f;
}

struct work *fournil_work(const struct fnl_cpu_kernels *k, const struct shape *shape)
{
    struct ours *o = calloc(1, sizeof(*o));
    o->work = (struct work){run, free_work};
    o->k = k;
    o->shape = *shape;
    const struct fnl_conv_shape *s = &shape->s;
    const bool dense = s->KH == 0;
    const size_t n = (size_t)shape->batch, panel = (size_t)k->panel;
    const size_t filters = ((size_t)s->K + panel - 1) / panel * panel;
    o->x = filled(n * (size_t)s->C * (size_t)(dense ? 1 : s->H * s->W));
    o->y = filled(n * (size_t)s->K * (size_t)(dense ? 1 : s->OH * s->OW));
    o->w = filled(filters * (size_t)s->C * (size_t)(dense ? 1 : s->KH * s->KW));
    o->bias = filled((size_t)s->K);
    o->winograd = !dense && fnl_cpu_winograd(s);
    o->scratch = filled(dense         ? k->dense_scratch(n, (size_t)s->C, (size_t)s->K)
                        : o->winograd ? k->winograd_scratch(s, n)
                                      : k->conv_scratch(s, n));
    return &o->work;
}
