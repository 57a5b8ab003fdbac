/* op_run.c - runs the network of an op_case and collects what comes out. */
#include "op_case.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static float *add_result(struct op_results *r, const char *letter, int index, size_t size)
{
    struct op_tensor *t = &r->item[r->count];
    snprintf(t->name, sizeof t->name, index < 0 ? "%s" : "%s%d", letter, index);
    t->size = size;
    t->value = fnl_calloc(size + 1, sizeof *t->value);
    r->count += t->value != NULL;
    return t->value;
}

static int read_value(const struct fnl_exec *exec, const struct op_net *net, int v, size_t rows,
                      const char *letter, int index, struct op_results *r, struct fnl_error *err)
{
    const struct fnl_shape *s = &fnl_graph_value(net->graph, v)->shape;
    float *dst = add_result(r, letter, index, (size_t)fnl_shape_count(s, (int64_t)rows));
    return dst == NULL ? FNL_E_NOMEM : fnl_exec_read(exec, v, dst, err);
}

static int read_gradients(const struct fnl_exec *exec, const struct op_net *net, size_t rows,
                          struct op_results *r, struct fnl_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < OP_INPUTS; i++) {
        int v = net->value[i];
        if (v < 0 || (net->c->in[i].kind != OP_FED && net->c->in[i].kind != OP_PARAM)) {
            continue;
        }
        char name[16];
        bool fed = net->c->in[i].kind == OP_FED;
        snprintf(name, sizeof name, fed ? "shift%d" : "in%d", i);
        int param = fnl_graph_find_value(net->graph, name);
        size_t size = (size_t)fnl_shape_count(&fnl_graph_value(net->graph, param)->shape, 1);
        if (fed) {
            rc = read_value(exec, net, fnl_graph_value(net->graph, v)->gradient, rows, "d", i, r,
                            err);
        }
        float *dst = rc == 0 ? add_result(r, fed ? "e" : "d", i, size) : NULL;
        rc = rc != 0 || dst == NULL ? rc : fnl_exec_read_gradient(exec, name, dst, err);
    }
    return rc;
}

static int read_states(const struct fnl_params *params, const struct op_net *net,
                       struct op_results *r, struct fnl_error *err)
{
    int rc = 0;
    for (int k = 0; rc == 0 && k < fnl_params_count(params); k++) {
        if (!fnl_params_trainable(params, k)) {
            int i = fnl_params_name(params, k)[2] - '0'; /* "in3" */
            float *dst = add_result(r, "s", i, fnl_params_size(params, k));
            rc = dst == NULL ? FNL_E_NOMEM : fnl_params_read(params, k, 0, dst, err);
        }
    }
    (void)net;
    return rc;
}

/* Images as the caller may have them too: [N, H, W, C]. Copies are the caller's to free. */
static int turn_images(const struct op_net *net, size_t rows, const void **input, void **ret_copy)
{
    for (int i = 0; i < net->feed_count; i++) {
        const struct fnl_value *v = fnl_graph_value(net->graph, net->feed_value[i]);
        input[i] = net->feed[i];
        if (v->shape.rank != 4 || v->dtype != FNL_F32) {
            continue;
        }
        size_t C = (size_t)v->shape.dim[1], P = (size_t)(v->shape.dim[2] * v->shape.dim[3]);
        const float *from = net->feed[i];
        float *to = fnl_malloc(rows * C * P * sizeof *to);
        if (to == NULL) {
            return FNL_E_NOMEM;
        }
        for (size_t k = 0; k < rows * C * P; k++) {
            size_t n = k / (C * P), c = k / P % C, pixel = k % P;
            to[(n * P + pixel) * C + c] = from[k];
        }
        input[i] = ret_copy[i] = to;
    }
    return 0;
}

static int run_once(const struct op_net *net, struct fnl_exec *exec, const struct op_setup *setup,
                    struct fnl_step_result *ret, struct fnl_error *err)
{
    const void *input[8];
    void *copy[8] = {NULL};
    struct fnl_feed feed = {setup->rows, (const void *const *)net->feed, setup->channels_last};
    int rc = 0;
    if (setup->channels_last) {
        rc = turn_images(net, setup->rows, input, copy);
        feed.input = input;
    }
    if (rc == 0) {
        rc = setup->training ? fnl_exec_train_step(exec, &feed, 0.0, OP_STEP, ret, err)
                             : fnl_exec_run(exec, &feed, err);
    }
    for (int i = 0; i < 8; i++) {
        fnl_free(copy[i]);
    }
    return rc;
}

static int run_exec(const struct op_net *net, struct fnl_exec *exec,
                    const struct fnl_params *params, const struct op_setup *setup,
                    struct op_results *r, struct fnl_error *err)
{
    struct fnl_step_result result = {0};
    int rc = run_once(net, exec, setup, &result, err);
    for (int i = 0; rc == 0 && i < net->output_count; i++) {
        rc = read_value(exec, net, net->output[i], setup->rows, "y", i, r, err);
    }
    if (rc == 0 && setup->training) {
        rc = read_gradients(exec, net, setup->rows, r, err);
    }
    if (rc == 0 && setup->training) {
        float *loss = add_result(r, "loss", -1, 1);
        rc = loss == NULL ? FNL_E_NOMEM : read_states(params, net, r, err);
        if (loss != NULL) {
            *loss = (float)(result.loss_sum / (double)setup->rows);
        }
    }
    return rc;
}

int op_run(const struct op_case *c, const struct op_setup *setup, struct op_results *ret_results,
           struct fnl_error *err)
{
    static const struct fnl_optimizer optimizer = FNL_OPTIMIZER_INIT;
    struct op_net net;
    struct fnl_pool *pool = NULL;
    struct fnl_params *params = NULL;
    struct fnl_exec *exec = NULL;
    *ret_results = (struct op_results){0};
    int rc = op_net_create(c, setup->training, c->rows > 0 ? c->rows : OP_ROWS, &net, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_exec_options options = FNL_EXEC_OPTIONS_INIT;
    options.batch = setup->plan_rows;
    options.shards = setup->shards;
    options.training = setup->training;
    options.keep_gradients = true;
    options.seed = OP_SEED;
    options.loss_value = setup->training ? net.loss : -1;
    rc = fnl_pool_create(setup->shards, &pool, err);
    if (rc == 0) {
        rc = fnl_params_create(net.graph, setup->backend, &optimizer, &params, err);
    }
    if (rc == 0) {
        rc = fnl_exec_create(net.graph, params, pool, &options, &exec, err);
    }
    if (rc == 0) {
        rc = run_exec(&net, exec, params, setup, ret_results, err);
    }
    fnl_exec_free(exec);
    fnl_params_free(params);
    fnl_pool_free(pool);
    op_net_free(&net);
    if (rc != 0) {
        op_results_free(ret_results);
    }
    return rc;
}

void op_results_free(struct op_results *r)
{
    for (int i = 0; i < r->count; i++) {
        fnl_free(r->item[i].value);
    }
    r->count = 0;
}

const struct op_tensor *op_results_find(const struct op_results *r, const char *name)
{
    for (int i = 0; i < r->count; i++) {
        if (strcmp(r->item[i].name, name) == 0) {
            return &r->item[i];
        }
    }
    return NULL;
}

double op_nmse(const float *a, const float *b, size_t count)
{
    double error = 0.0, power = 0.0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        error += d * d;
        power += (double)b[i] * (double)b[i];
    }
    if (!isfinite(error) || !isfinite(power)) {
        return INFINITY;
    }
    return error == 0.0 ? 0.0 : error / (power > 1e-30 ? power : 1e-30);
}
