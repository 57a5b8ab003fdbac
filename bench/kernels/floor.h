/* floor.h - the shapes timed by floor.c, and the peers that time them too. */
#ifndef FNL_BENCH_KERNELS_FLOOR_H
#define FNL_BENCH_KERNELS_FLOOR_H

#include "engine/backend/cpu/kernels.h"

enum direction { FORWARD, GRAD_WEIGHTS, GRAD_DATA };

struct shape {
    const char *name;
    enum direction direction;
    int batch;
    struct fnl_conv_shape s; /* dense: C inputs, K filters, KH == 0 */
};

/* A prepared piece of work: run it as often as wanted, then free it. NULL where a peer has none. */
struct work {
    void (*run)(struct work *w);
    void (*free)(struct work *w);
};

struct work *onednn_work(const struct shape *shape);
struct work *openblas_work(const struct shape *shape);
struct work *fournil_work(const struct fnl_cpu_kernels *k, const struct shape *shape);

#endif
