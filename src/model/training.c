/* training.c - the training (or evaluation) form of an inference graph.
 *
 * A graph cannot be changed, so it is written anew, value by value: indices may differ, names stay,
 * and names are what parameters are found by. Written are all parameters and the nodes that the
 * network's output needs. A final Softmax or LogSoftmax (Sigmoid for binary cross-entropy) is left
 * out, because the fused loss takes logits and gives the probabilities. With gradients, Dropout and
 * BatchNormalization are put in training mode, normalisations give the statistics that their
 * gradients need, and fnl_graph_autodiff appends the rest. Cost: O(nodes + bytes of parameters). */
#include <string.h>

#include "base/mem.h"
#include "model/model.h"

#define INPUTS_MAX 8
#define OUTPUTS_MAX 4

struct rewrite {
    const struct fnl_graph *from;
    struct fnl_graph *to;
    bool *needed; /* per value of from */
    int *value;   /* per value of from: in to, or -1 */
    bool gradients;
    struct fnl_error *err;
};

static const char *const loss_names[] = {
    [FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY] = "sparse_categorical_crossentropy",
    [FNL_LOSS_CATEGORICAL_CROSSENTROPY] = "categorical_crossentropy",
    [FNL_LOSS_BINARY_CROSSENTROPY] = "binary_crossentropy",
    [FNL_LOSS_MEAN_SQUARED_ERROR] = "mean_squared_error",
};

/* ---- which value the loss takes ---- */

static bool is_categorical(enum fnl_loss loss)
{
    return loss == FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY ||
           loss == FNL_LOSS_CATEGORICAL_CROSSENTROPY;
}

static bool over_last_axis(const struct fnl_graph *g, const struct fnl_node *n)
{
    int rank = fnl_graph_value(g, n->output[0])->shape.rank;
    return n->attrs.axis == -1 || n->attrs.axis == rank - 1;
}

/* *ret: the logits (or predictions) behind output. */
static int find_scores(const struct fnl_graph *g, int output, enum fnl_loss loss, int *ret,
                       struct fnl_error *err)
{
    *ret = output;
    int producer = fnl_graph_value(g, output)->producer;
    if (producer < 0 || loss == FNL_LOSS_MEAN_SQUARED_ERROR) {
        return 0;
    }
    const struct fnl_node *n = fnl_graph_node(g, producer);
    bool softmax = (n->op == FNL_OP_SOFTMAX || n->op == FNL_OP_LOG_SOFTMAX) && over_last_axis(g, n);
    bool sigmoid = n->op == FNL_OP_SIGMOID;
    if (is_categorical(loss) ? sigmoid : softmax) {
        return FNL_FAIL(err, CONFIG,
                        sigmoid
                            ? "use binary_crossentropy, or end the network with softmax or "
                              "without activation"
                            : "use categorical_crossentropy, or end the network with sigmoid or "
                              "without activation",
                        "the network ends with %s, which does not go with the loss %s",
                        sigmoid ? "sigmoid" : "softmax", loss_names[loss]);
    }
    if (softmax || sigmoid) {
        *ret = n->input[0];
    }
    return 0;
}

/* ---- the copy ---- */

/* Marks what value needs. Nodes read only values before their own, so one pass from behind does. */
static void mark_needed(struct rewrite *r, int value)
{
    r->needed[value] = true;
    for (int v = value; v >= 0; v--) {
        int producer = fnl_graph_value(r->from, v)->producer;
        if (!r->needed[v] || producer < 0) {
            continue;
        }
        const struct fnl_node *n = fnl_graph_node(r->from, producer);
        for (int i = 0; i < n->input_count; i++) {
            if (n->input[i] >= 0) {
                r->needed[n->input[i]] = true;
            }
        }
    }
}

/* How many outputs the node has in the new graph. */
static int output_count(const struct rewrite *r, const struct fnl_node *n)
{
    if (!r->gradients) {
        return 1;
    }
    switch (n->op) {
    case FNL_OP_DROPOUT:
        return 2; /* mask */
    case FNL_OP_BATCH_NORMALIZATION:
    case FNL_OP_LAYER_NORMALIZATION:
        return 3; /* mean, 1/std */
    default:
        return 1;
    }
}

static int copy_node(struct rewrite *r, const struct fnl_node *n)
{
    int inputs[INPUTS_MAX], outputs[OUTPUTS_MAX];
    const char *names[OUTPUTS_MAX] = {fnl_graph_value(r->from, n->output[0])->name};
    if (n->backward || n->input_count > INPUTS_MAX) {
        return FNL_FAIL(r->err, INVALID, NULL, "node \"%s\" is no part of an inference graph",
                        n->name);
    }
    for (int i = 0; i < n->input_count; i++) {
        inputs[i] = n->input[i] < 0 ? -1 : r->value[n->input[i]];
    }
    struct fnl_attrs attrs = n->attrs;
    attrs.training =
        r->gradients && (n->op == FNL_OP_DROPOUT || n->op == FNL_OP_BATCH_NORMALIZATION);
    int rc = fnl_graph_add_node(r->to, n->op, n->name, inputs, n->input_count, &attrs, names,
                                output_count(r, n), outputs, r->err);
    r->value[n->output[0]] = rc < 0 ? -1 : outputs[0];
    return rc < 0 ? rc : 0;
}

static int copy_value(struct rewrite *r, int v)
{
    const struct fnl_value *value = fnl_graph_value(r->from, v);
    int made = -1;
    switch (value->kind) {
    case FNL_VALUE_INPUT:
        made = fnl_graph_add_input(r->to, value->name, value->dtype, &value->shape, r->err);
        break;
    case FNL_VALUE_PARAM: /* all of them: an evaluation and a training graph share parameters */
        made = fnl_graph_add_param(r->to, value->name, &value->shape, value->data,
                                   value->trainable && r->needed[v], r->err);
        break;
    case FNL_VALUE_CONST:
        if (!r->needed[v]) {
            return 0;
        }
        made = fnl_graph_add_const(r->to, value->name, value->dtype, &value->shape, value->data,
                                   r->err);
        break;
    case FNL_VALUE_NODE:
        if (!r->needed[v]) {
            return 0;
        }
        if (fnl_graph_node(r->from, value->producer)->output[0] != v) {
            return FNL_FAIL(r->err, UNSUPPORTED, NULL,
                            "tensor \"%s\": second outputs are not used in training", value->name);
        }
        return copy_node(r, fnl_graph_node(r->from, value->producer));
    }
    r->value[v] = made;
    return made < 0 ? made : 0;
}

static int copy_meta(struct rewrite *r)
{
    for (int i = 0; i < fnl_graph_meta_count(r->from); i++) {
        const char *key, *text;
        fnl_graph_meta_at(r->from, i, &key, &text);
        int rc = fnl_graph_set_meta(r->to, key, text, r->err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the loss ---- */

/* name, or NULL (one is made up) when the network has such a tensor already. */
static const char *fresh(const struct fnl_graph *g, const char *name)
{
    return fnl_graph_find_value(g, name) < 0 ? name : NULL;
}

static int check_scores(const struct fnl_value *x, enum fnl_loss loss, struct fnl_error *err)
{
    char text[FNL_SHAPE_TEXT];
    const struct fnl_shape *s = &x->shape;
    if (x->dtype != FNL_F32 || s->rank < 1 || s->dim[0] != FNL_DIM_BATCH || s->rank < 2 ||
        (is_categorical(loss) && s->rank != 2)) {
        return FNL_FAIL(err, CONFIG, "end the network with a dense layer",
                        "the loss %s needs an output [N, K], the network gives %s",
                        loss_names[loss], fnl_shape_text(s, text));
    }
    if (is_categorical(loss) && s->dim[1] < 2) {
        return FNL_FAIL(err, CONFIG, "use binary_crossentropy, or one unit a class",
                        "the loss %s needs at least 2 outputs, the network gives %s",
                        loss_names[loss], fnl_shape_text(s, text));
    }
    return 0;
}

static int add_loss(struct fnl_graph *g, int x, enum fnl_loss loss, struct fnl_training_graph *t,
                    struct fnl_error *err)
{
    static const enum fnl_op ops[] = {
        [FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY] = FNL_OP_SOFTMAX_CROSS_ENTROPY,
        [FNL_LOSS_CATEGORICAL_CROSSENTROPY] = FNL_OP_CATEGORICAL_CROSS_ENTROPY,
        [FNL_LOSS_BINARY_CROSSENTROPY] = FNL_OP_BINARY_CROSS_ENTROPY,
        [FNL_LOSS_MEAN_SQUARED_ERROR] = FNL_OP_MEAN_SQUARED_ERROR,
    };
    int rc = check_scores(fnl_graph_value(g, x), loss, err);
    if (rc != 0) {
        return rc;
    }
    bool sparse = loss == FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY;
    struct fnl_shape target = fnl_graph_value(g, x)->shape;
    if (sparse) {
        target = fnl_shape_make(1, FNL_DIM_BATCH);
    }
    t->target =
        fnl_graph_add_input(g, fresh(g, "target"), sparse ? FNL_I32 : FNL_F32, &target, err);
    if (t->target < 0) {
        return t->target;
    }
    int outputs[2] = {-1, x};
    const char *names[2] = {fresh(g, "loss"), fresh(g, "scores")};
    rc = fnl_graph_add_node(g, ops[loss], "loss", (int[]){x, t->target}, 2, NULL, names, 0, outputs,
                            err);
    t->loss = outputs[0];
    t->scores = outputs[1]; /* mean squared error: the predictions themselves */
    return rc < 0 ? rc : 0;
}

/* ---- all of it ---- */

static int check_form(const struct fnl_graph *g, struct fnl_error *err)
{
    int inputs = fnl_graph_input_count(g), outputs = fnl_graph_output_count(g);
    if (inputs != 1 || outputs != 1) {
        return FNL_FAIL(err, UNSUPPORTED, NULL,
                        "training needs a network of one input and one output, this one has %d "
                        "and %d",
                        inputs, outputs);
    }
    return 0;
}

static int write_anew(struct rewrite *r, int x, enum fnl_loss loss, struct fnl_training_graph *t)
{
    mark_needed(r, x);
    int rc = 0;
    for (int v = 0; rc == 0 && v < fnl_graph_value_count(r->from); v++) {
        rc = copy_value(r, v);
    }
    rc = rc == 0 ? copy_meta(r) : rc;
    rc = rc == 0 ? add_loss(r->to, r->value[x], loss, t, r->err) : rc;
    if (rc != 0) {
        return rc;
    }
    t->graph = r->to;
    t->input = r->value[fnl_graph_input(r->from, 0)];
    rc = fnl_graph_add_output(r->to, t->loss, r->err);
    rc = rc == 0 ? fnl_graph_add_output(r->to, t->scores, r->err) : rc;
    return rc == 0 && r->gradients ? fnl_graph_autodiff(r->to, t->loss, r->err) : rc;
}

int fnl_model_training_graph(const struct fnl_graph *inference, enum fnl_loss loss, bool gradients,
                             struct fnl_training_graph *ret, struct fnl_error *err)
{
    int x;
    int rc = check_form(inference, err);
    rc = rc == 0 ? find_scores(inference, fnl_graph_output(inference, 0), loss, &x, err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct rewrite r = {.from = inference, .gradients = gradients, .err = err};
    struct fnl_training_graph t = {0};
    size_t count = (size_t)fnl_graph_value_count(inference);
    r.needed = fnl_calloc(count, sizeof *r.needed);
    r.value = fnl_malloc(count * sizeof *r.value);
    if (r.needed == NULL || r.value == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "no memory for a graph");
        goto out;
    }
    memset(r.value, -1, count * sizeof *r.value);
    rc = fnl_graph_create(&r.to, err);
    rc = rc == 0 ? write_anew(&r, x, loss, &t) : rc;
    if (rc == 0) {
        *ret = t;
        r.to = NULL;
    }
out:
    fnl_graph_free(r.to);
    fnl_free(r.needed);
    fnl_free(r.value);
    return rc;
}
