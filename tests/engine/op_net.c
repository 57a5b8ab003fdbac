/* op_net.c - builds the network of an op_case and runs it.
 *
 * So that inputs have gradients that can be read, a trained "shift" of zeros, broadcast over the
 * batch, is added to each fed input: its gradient is the input's, summed over the rows, and the
 * input's own is a value of the graph like any other. */
#include "op_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* ---- shapes and attributes from text ---- */

static struct fnl_shape parse_shape(const char *text)
{
    struct fnl_shape s = {0};
    while (*text != '\0' && s.rank < FNL_MAX_RANK) {
        char *end = NULL;
        int64_t dim = *text == 'N' ? FNL_DIM_BATCH : strtol(text, &end, 10);
        s.dim[s.rank++] = dim;
        text = *text == 'N' ? text + 1 : end;
        text += *text == ',';
    }
    return s;
}

static void parse_ints(const char *text, int32_t *out, int count)
{
    for (int i = 0; i < count; i++) {
        char *end = NULL;
        out[i] = (int32_t)strtol(text, &end, 10);
        text = end + (*end == ',');
    }
}

/* One "name=value". Returns false when there is no such attribute. */
static bool parse_attr(const char *name, const char *value, struct fnl_attrs *a)
{
    const struct {
        const char *name;
        int32_t *ints;
        int count;
        bool *flag;
        float *number;
    } table[] = {
        {"kernel", a->kernel, 2, NULL, NULL},
        {"strides", a->strides, 2, NULL, NULL},
        {"pads", a->pads, 4, NULL, NULL},
        {"dilations", a->dilations, 2, NULL, NULL},
        {"group", &a->group, 1, NULL, NULL},
        {"axis", &a->axis, 1, NULL, NULL},
        {"ceil_mode", NULL, 0, &a->ceil_mode, NULL},
        {"count_include_pad", NULL, 0, &a->count_include_pad, NULL},
        {"trans_a", NULL, 0, &a->trans_a, NULL},
        {"trans_b", NULL, 0, &a->trans_b, NULL},
        {"training", NULL, 0, &a->training, NULL},
        {"keepdims", NULL, 0, &a->keepdims, NULL},
        {"gelu_tanh", NULL, 0, &a->gelu_tanh, NULL},
        {"alpha", NULL, 0, NULL, &a->alpha},
        {"beta", NULL, 0, NULL, &a->beta},
        {"epsilon", NULL, 0, NULL, &a->epsilon},
        {"momentum", NULL, 0, NULL, &a->momentum},
        {"ratio", NULL, 0, NULL, &a->ratio},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) != 0) {
            continue;
        }
        if (table[i].ints != NULL) {
            parse_ints(value, table[i].ints, table[i].count);
        } else if (table[i].flag != NULL) {
            *table[i].flag = value[0] == '1';
        } else {
            *table[i].number = strtof(value, NULL);
        }
        return true;
    }
    if (strcmp(name, "axes_mask") == 0 || strcmp(name, "seed") == 0) {
        *(name[0] == 'a' ? &a->axes_mask : &a->seed) = (uint32_t)strtoul(value, NULL, 10);
        return true;
    }
    if (strcmp(name, "shape") == 0) {
        a->shape = parse_shape(value);
        return true;
    }
    if (strcmp(name, "perm") == 0) {
        parse_ints(value, a->perm, (int)strlen(value) / 2 + 1);
        return true;
    }
    return false;
}

static int parse_attrs(const char *text, struct fnl_attrs *a, struct fnl_error *err)
{
    static const struct fnl_attrs defaults = FNL_ATTRS_INIT;
    *a = defaults;
    while (text != NULL && *text != '\0') {
        char name[32], value[64];
        int used = 0;
        if (sscanf(text, " %31[^= ]=%63s%n", name, value, &used) != 2 ||
            !parse_attr(name, value, a)) {
            return FNL_FAIL(err, INVALID, NULL, "bad attributes: \"%s\"", text);
        }
        text += used;
        text += strspn(text, " ");
    }
    return 0;
}

/* ---- data ---- */

static void fill_one_hot(struct fnl_rng *r, float *v, size_t size, size_t classes)
{
    memset(v, 0, size * sizeof *v);
    for (size_t i = 0; i + classes <= size; i += classes) {
        v[i + fnl_rng_below(r, (uint32_t)classes)] = 1.0F;
    }
}

static int fill_distinct(uint32_t stream, float *v, size_t size)
{
    uint32_t *order = fnl_malloc((size + 1) * sizeof *order);
    if (order == NULL) {
        return FNL_E_NOMEM;
    }
    fnl_rng_permutation(1, FNL_RNG_TEST, stream, order, size);
    for (size_t i = 0; i < size; i++) {
        v[i] = 0.05F * ((float)order[i] - (float)size / 2.0F) + 0.012F;
    }
    fnl_free(order);
    return 0;
}

static int fill_data(const struct op_input *in, uint32_t stream, float *v, size_t size,
                     size_t last_dim)
{
    struct fnl_rng r;
    fnl_rng_init(&r, 1, FNL_RNG_TEST, stream);
    if (in->data != NULL) {
        memcpy(v, in->data, size * sizeof *v);
    } else if (in->fill == OP_DISTINCT) {
        return fill_distinct(stream, v, size);
    } else if (in->fill == OP_ONE_HOT) {
        fill_one_hot(&r, v, size, last_dim);
    } else {
        for (size_t i = 0; i < size; i++) {
            float x = in->fill == OP_POSITIVE || in->fill == OP_BITS ? fnl_rng_uniform(&r)
                                                                     : fnl_rng_normal(&r);
            v[i] = in->fill == OP_POSITIVE ? 0.5F + 1.5F * x
                   : in->fill == OP_BITS   ? (x < 0.5F ? 0.0F : 1.0F)
                   : in->fill == OP_AWAY   ? x + copysignf(0.1F, x)
                                           : x;
        }
    }
    return 0;
}

/* Labels, in place: v holds data when given, else any class. */
static void make_labels(const struct op_input *in, uint32_t stream, void *v, size_t size,
                        uint32_t classes)
{
    struct fnl_rng r;
    fnl_rng_init(&r, 1, FNL_RNG_TEST, stream);
    int32_t *label = v;
    for (size_t i = 0; i < size; i++) {
        label[i] = in->data != NULL ? (int32_t)in->data[i] : (int32_t)fnl_rng_below(&r, classes);
    }
}

/* ---- building ---- */

struct builder {
    struct op_net *net;
    struct fnl_graph *g;
    bool training;
    struct fnl_error *err;
};

/* A graph input with its data. */
static int add_feed(struct builder *b, const char *name, enum fnl_dtype dtype,
                    const struct fnl_shape *s, const struct op_input *in, uint32_t stream)
{
    struct op_net *net = b->net;
    int v = fnl_graph_add_input(b->g, name, dtype, s, b->err);
    if (v < 0) {
        return v;
    }
    size_t size = (size_t)fnl_shape_count(s, (int64_t)net->rows);
    float *data = fnl_malloc((size + 1) * sizeof *data);
    if (data == NULL) {
        return FNL_E_NOMEM;
    }
    net->feed[net->feed_count] = data;
    net->feed_value[net->feed_count++] = v;
    if (dtype == FNL_I32) {
        struct fnl_shape logits = parse_shape(net->c->in[0].shape);
        make_labels(in, stream, data, size, (uint32_t)logits.dim[logits.rank - 1]);
        return v;
    }
    int rc = fill_data(in, stream, data, size, (size_t)s->dim[s->rank - 1]);
    return rc < 0 ? rc : v;
}

static int add_param(struct builder *b, const char *name, const struct fnl_shape *s, bool trainable,
                     const struct op_input *in, uint32_t stream)
{
    size_t size = (size_t)fnl_shape_count(s, 1);
    float *data = fnl_calloc(size + 1, sizeof *data);
    if (data == NULL) {
        return FNL_E_NOMEM;
    }
    int v = in == NULL ? 0 : fill_data(in, stream, data, size, (size_t)s->dim[s->rank - 1]);
    if (v == 0) {
        v = fnl_graph_add_param(b->g, name, s, data, trainable, b->err);
    }
    fnl_free(data);
    return v;
}

static int add_node(struct builder *b, enum fnl_op op, const int *in, int count,
                    const struct fnl_attrs *attrs, int outputs, int *out)
{
    return fnl_graph_add_node(b->g, op, NULL, in, count, attrs, NULL, outputs, out, b->err);
}

/* v + shift, with a shift of zeros of v's row shape. */
static int add_shift(struct builder *b, int v, int index)
{
    char name[16];
    snprintf(name, sizeof name, "shift%d", index);
    struct fnl_shape s = fnl_graph_value(b->g, v)->shape, row = {.rank = s.rank - 1};
    memcpy(row.dim, s.dim + 1, sizeof row.dim - sizeof row.dim[0]);
    int shift = add_param(b, name, &row, true, NULL, 0), out;
    if (shift < 0) {
        return shift;
    }
    int rc = add_node(b, FNL_OP_ADD, (int[]){v, shift}, 2, NULL, 0, &out);
    return rc < 0 ? rc : out;
}

static int add_input(struct builder *b, int i)
{
    const struct op_input *in = &b->net->c->in[i];
    struct fnl_shape s = parse_shape(in->shape);
    char name[16];
    snprintf(name, sizeof name, "in%d", i);
    uint32_t stream = (uint32_t)(100 + i);
    int v;
    if (in->kind == OP_PARAM || in->kind == OP_STATE) {
        v = add_param(b, name, &s, in->kind == OP_PARAM, in, stream);
    } else {
        enum fnl_dtype dtype = in->kind == OP_LABELS ? FNL_I32 : FNL_F32;
        v = add_feed(b, name, dtype, &s, in, stream);
    }
    b->net->source[i] = v;
    if (v >= 0 && in->kind == OP_FED && b->training) {
        v = add_shift(b, v, i);
    }
    b->net->value[i] = v;
    return v < 0 ? v : 0;
}

static bool is_loss(enum fnl_op op)
{
    return op >= FNL_OP_SOFTMAX_CROSS_ENTROPY && op <= FNL_OP_MEAN_SQUARED_ERROR;
}

/* Makes y a batch of at least rank 2: multiplied by something fed when it is none. */
static int make_batch(struct builder *b, int y)
{
    struct fnl_shape s = fnl_graph_value(b->g, y)->shape;
    int out = y, rc = 0;
    if (s.rank == 0 || s.dim[0] != FNL_DIM_BATCH) {
        struct fnl_shape fed = {.rank = s.rank + 1, .dim = {FNL_DIM_BATCH}};
        memcpy(fed.dim + 1, s.dim, sizeof s.dim - sizeof s.dim[0]);
        struct op_input in = {.kind = OP_TARGET, .fill = OP_NORMAL};
        int v = add_feed(b, "factor", FNL_F32, &fed, &in, 98);
        rc = v < 0 ? v : add_node(b, FNL_OP_MUL, (int[]){v, y}, 2, NULL, 0, &out);
    } else if (s.rank == 1) {
        struct fnl_attrs a = FNL_ATTRS_INIT;
        a.shape = fnl_shape_make(2, FNL_DIM_BATCH, 1);
        rc = add_node(b, FNL_OP_RESHAPE, &y, 1, &a, 0, &out);
    }
    return rc < 0 ? rc : out;
}

/* A loss behind the operator's first output. */
static int add_loss(struct builder *b)
{
    struct op_net *net = b->net;
    if (is_loss(net->c->op)) {
        net->loss = net->output[0];
        return 0;
    }
    int y = make_batch(b, net->output[0]);
    if (y < 0) {
        return y;
    }
    struct fnl_shape s = fnl_graph_value(b->g, y)->shape;
    struct op_input in = {.kind = OP_TARGET, .fill = OP_NORMAL};
    for (int i = 0; i < OP_INPUTS; i++) { /* a target given with the case */
        if (net->c->in[i].kind == OP_TARGET) {
            in.data = net->c->in[i].data;
        }
    }
    int target = add_feed(b, "target", FNL_F32, &s, &in, 99);
    if (target < 0) {
        return target;
    }
    int rc = add_node(b, FNL_OP_MEAN_SQUARED_ERROR, (int[]){y, target}, 2, NULL, 0, &net->loss);
    return rc < 0 ? rc : 0;
}

static int add_gradients(struct builder *b)
{
    int rc = fnl_graph_autodiff(b->g, b->net->loss, b->err);
    for (int i = 0; rc == 0 && i < OP_INPUTS; i++) {
        int v = b->net->value[i];
        if (v >= 0 && b->net->c->in[i].kind == OP_FED) {
            int gradient = fnl_graph_value(b->g, v)->gradient;
            rc = gradient < 0 ? FNL_FAIL(b->err, INTERNAL, NULL, "input %d has no gradient", i)
                              : fnl_graph_add_output(b->g, gradient, b->err);
        }
    }
    return rc;
}

static int build(struct builder *b)
{
    struct op_net *net = b->net;
    int last = 0, rc = 0;
    struct fnl_attrs attrs;
    for (int i = 0; rc == 0 && i < OP_INPUTS; i++) {
        /* A target behind an operator that is no loss belongs to add_loss. */
        bool own = net->c->in[i].kind != OP_TARGET || is_loss(net->c->op);
        if (net->c->in[i].kind != OP_NONE && own) {
            rc = add_input(b, i);
            last = i + 1;
        }
    }
    if (rc == 0) {
        rc = parse_attrs(net->c->attrs, &attrs, b->err);
    }
    if (rc == 0) {
        rc = add_node(b, net->c->op, net->value, last, &attrs, net->c->outputs, net->output);
    }
    if (rc < 0) {
        return rc;
    }
    net->output_count = fnl_graph_node(b->g, rc)->output_count;
    rc = 0;
    for (int i = 0; rc == 0 && i < net->output_count; i++) {
        rc = fnl_graph_add_output(b->g, net->output[i], b->err);
    }
    if (rc == 0 && b->training) {
        rc = add_loss(b);
    } else if (is_loss(net->c->op)) {
        net->loss = net->output[0];
    }
    return rc == 0 && b->training ? add_gradients(b) : rc;
}

int op_net_create(const struct op_case *c, bool training, size_t rows, struct op_net *ret_net,
                  struct fnl_error *err)
{
    *ret_net = (struct op_net){.c = c, .loss = -1, .rows = rows};
    for (int i = 0; i < OP_INPUTS; i++) {
        ret_net->source[i] = ret_net->value[i] = -1;
    }
    int rc = fnl_graph_create(&ret_net->graph, err);
    if (rc == 0) {
        struct builder b = {ret_net, ret_net->graph, training, err};
        rc = build(&b);
    }
    if (rc != 0) {
        op_net_free(ret_net);
    }
    return rc;
}

void op_net_free(struct op_net *net)
{
    for (int i = 0; i < net->feed_count; i++) {
        fnl_free(net->feed[i]);
    }
    net->feed_count = 0;
    fnl_graph_free(net->graph);
    net->graph = NULL;
}

float *op_net_fed(const struct op_net *net, int value)
{
    for (int i = 0; i < net->feed_count; i++) {
        if (net->feed_value[i] == value) {
            return net->feed[i];
        }
    }
    return NULL;
}
