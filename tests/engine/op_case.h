/* op_case.h - one operator with its inputs, written as a line of a table, and what comes out of it
 * on a back end. Shared by the tests of operators and of gradients. */
#ifndef TESTS_ENGINE_OP_CASE_H
#define TESTS_ENGINE_OP_CASE_H

#include "engine/exec.h"

#define OP_INPUTS 6
#define OP_RESULTS 16
#define OP_ROWS 37 /* most rows a case is run on */

/* Who gives an input its data. */
enum op_kind {
    OP_NONE,   /* no input, or an optional one left out */
    OP_FED,    /* fed, with a gradient; "N,..." */
    OP_TARGET, /* fed, without one */
    OP_LABELS, /* fed int32 classes of input 0's last dimension */
    OP_PARAM,  /* trained */
    OP_STATE,  /* a parameter that is not trained */
};

/* What the data looks like. */
enum op_fill {
    OP_NORMAL,
    OP_AWAY,     /* at least 0.1 away from 0, where activations have kinks */
    OP_DISTINCT, /* no two within 0.05, so that a maximum stays one */
    OP_POSITIVE, /* 0.5 to 2 */
    OP_ONE_HOT,  /* one 1 in each line of the last dimension */
    OP_BITS,     /* 0 or 1 */
};

struct op_input {
    enum op_kind kind;
    const char *shape; /* "N,3,5,5" */
    enum op_fill fill;
    const float *data; /* instead of fill: of `rows` rows */
};

/* Named tensors, e.g. "y0", "d1" (gradient of input 1), "s3" (input 3 after the run), "loss". */
struct op_results {
    int count;
    struct op_tensor {
        char name[16];
        size_t size;
        float *value;
    } item[OP_RESULTS];
};

struct op_case {
    const char *name;
    enum fnl_op op;
    const char *attrs; /* "strides=2,2 pads=1,1,1,1"; names of struct fnl_attrs */
    struct op_input in[OP_INPUTS];
    int outputs;       /* 0: as few as the operator has */
    bool forward_only; /* has no gradient */
    size_t rows;       /* of the given data; 0: any */
    struct op_results expected;
};

/* The hand-written table, its data random. */
extern const struct op_case op_cases[];
extern const int op_case_count;

/* Cases with data and results from PyTorch (tests/golden/make_op_golden.py). Returns how many, or a
 * negative code with a message on stderr. */
int op_golden_load(const char *path, struct op_case **ret_cases);
void op_golden_free(struct op_case *cases, int count);

/* ---- a case as a network ---- */

struct op_net {
    struct fnl_graph *graph;
    const struct op_case *c;
    int source[OP_INPUTS]; /* graph input or parameter of each input, or -1 */
    int value[OP_INPUTS];  /* what the operator reads: behind fed inputs stands "+ shift" */
    int output[4], output_count, loss;
    int feed_count;
    int feed_value[8];
    void *feed[8]; /* rows of each graph input */
    size_t rows;
};

/* training: the operator, a squared error behind it (unless it is a loss), and the gradients.
 * Otherwise the operator alone. Data for `rows` rows. */
int op_net_create(const struct op_case *c, bool training, size_t rows, struct op_net *ret_net,
                  struct fnl_error *err);
void op_net_free(struct op_net *net);
/* The fed data of a value, or NULL. */
float *op_net_fed(const struct op_net *net, int value);

struct op_setup {
    const char *backend;
    int shards;
    size_t plan_rows; /* the plan's batch; rows are run */
    size_t rows;
    bool training;
    bool channels_last; /* images are fed so */
};
#define OP_SEED 7
#define OP_STEP 3

int op_run(const struct op_case *c, const struct op_setup *setup, struct op_results *ret_results,
           struct fnl_error *err);
void op_results_free(struct op_results *r);
const struct op_tensor *op_results_find(const struct op_results *r, const char *name);

/* Every tensor of `want` against `got`; false with the first difference in text. */
bool op_same_results(const struct op_results *got, const struct op_results *want, char *text,
                     size_t size);
/* The case on setup's back end against the reference. */
bool op_compare(const struct op_case *c, const struct op_setup *setup, char *text, size_t size);

/* ---- the edges (op_edges.c), for a cmocka test of any back end ---- */

/* A label outside the classes makes a NaN, whatever lies around it in memory, and is never read by.
 */
void op_edges_bad_label_is_nan(const char *backend);
/* A NaN must come through, or a network with a dead layer would train on as if nothing were; and it
 * stays in its row. */
void op_edges_nan_comes_through(const char *backend);

/* Normalised mean squared error: sum (a - b)^2 / sum b^2; infinite where a is not finite. */
double op_nmse(const float *a, const float *b, size_t count);

#endif
