/* train_golden.h - trainings of small networks by PyTorch, read from tests/golden/train_golden.txt.
 */
#ifndef TESTS_ENGINE_TRAIN_GOLDEN_H
#define TESTS_ENGINE_TRAIN_GOLDEN_H

#include "engine/exec.h"

#define TRAIN_GOLDEN "tests/golden/train_golden.txt"
#define TRAIN_MAX_NETS 4
#define TRAIN_MAX_PARAMS 16
#define TRAIN_MAX_BATCHES 8
#define TRAIN_MAX_RUNS 16
#define TRAIN_STEPS 20

struct array {
    const char *name;
    struct fnl_shape shape;
    const float *value;
    size_t size;
};

struct golden_net {
    const char *name;
    struct array param[TRAIN_MAX_PARAMS], batch[TRAIN_MAX_BATCHES];
    int32_t *labels[TRAIN_MAX_BATCHES];
    int param_count, batch_count;
};

struct golden_run {
    char name[64];
    const struct golden_net *net;
    struct fnl_optimizer optimizer;
    double learning_rate;
    const float *losses;
    float eval;
    struct array final[TRAIN_MAX_PARAMS];
    int final_count;
};

/* Fills runs (at most TRAIN_MAX_RUNS); returns how many, or -1. All live until train_golden_free.
 */
int train_golden_load(const char *path, struct golden_run *runs);
void train_golden_free(void);

#endif
