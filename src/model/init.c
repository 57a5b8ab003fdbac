/* init.c - initialisers of parameters.
 *
 * Most scale their variance by the layer's fan: Glorot and Bengio, "Understanding the difficulty of
 * training deep feedforward neural networks" (2010); He et al., "Delving deep into rectifiers"
 * (2015). Keras draws its normal ones from a normal distribution cut at two deviations and widened
 * so that the variance comes out right; PyTorch from a whole one. Numbers are a pure function of
 * (seed, parameter index). Cost: one draw an element. */
#include "model/init_int.h"

#include <math.h>

#include "base/schema.h"
#include "model/layers_int.h"

enum distribution { CONSTANT, UNIFORM, NORMAL, TRUNCATED };
enum fan { FAN_NONE, FAN_IN, FAN_AVERAGE };

struct fnl__init_kind {
    const char *name;
    enum distribution distribution;
    enum fan fan;
    double scale; /* with a fan: variance = scale / fan; CONSTANT without arguments: the value */
    const struct fnl_field *fields;
    const char *doc;
};

static const struct fnl_field constant_fields[] = {
    {"value", FNL_FIELD_FLOAT, offsetof(struct fnl__init, value), .fallback = "0",
     .doc = "value of every element"},
    {0},
};
static const struct fnl_field uniform_fields[] = {
    {"minval", FNL_FIELD_FLOAT, offsetof(struct fnl__init, minval), .fallback = "-0.05",
     .doc = "smallest value"},
    {"maxval", FNL_FIELD_FLOAT, offsetof(struct fnl__init, maxval), .fallback = "0.05",
     .doc = "largest value"},
    {0},
};
static const struct fnl_field normal_fields[] = {
    {"mean", FNL_FIELD_FLOAT, offsetof(struct fnl__init, mean), .fallback = "0", .doc = "mean"},
    {"stddev", FNL_FIELD_FLOAT, offsetof(struct fnl__init, stddev), .fallback = "0.05", .max = 1e6,
     .doc = "standard deviation"},
    {0},
};
static const struct fnl_field no_fields[] = {{0}};

static const struct fnl__init_kind kinds[] = {
    {"glorot_uniform", UNIFORM, FAN_AVERAGE, 1.0, no_fields,
     "uniform, variance 1 / mean of fan in and fan out"},
    {"glorot_normal", TRUNCATED, FAN_AVERAGE, 1.0, no_fields,
     "the same, normal cut at 2 deviations"},
    {"he_uniform", UNIFORM, FAN_IN, 2.0, no_fields, "uniform, variance 2 / fan in"},
    {"he_normal", TRUNCATED, FAN_IN, 2.0, no_fields, "the same, normal cut at 2 deviations"},
    {"lecun_uniform", UNIFORM, FAN_IN, 1.0, no_fields, "uniform, variance 1 / fan in"},
    {"lecun_normal", TRUNCATED, FAN_IN, 1.0, no_fields, "the same, normal cut at 2 deviations"},
    {"zeros", CONSTANT, FAN_NONE, 0.0, no_fields, "0"},
    {"ones", CONSTANT, FAN_NONE, 1.0, no_fields, "1"},
    {"constant", CONSTANT, FAN_NONE, 0.0, constant_fields, "`value` (0)"},
    {"random_uniform", UNIFORM, FAN_NONE, 0.0, uniform_fields,
     "uniform from `minval` (-0.05) to `maxval` (0.05)"},
    {"random_normal", NORMAL, FAN_NONE, 0.0, normal_fields,
     "normal with `mean` (0) and `stddev` (0.05)"},
    {"truncated_normal", TRUNCATED, FAN_NONE, 0.0, normal_fields,
     "the same, drawn again beyond 2 deviations"},
    {"xavier_uniform", UNIFORM, FAN_AVERAGE, 1.0, no_fields, "PyTorch's name of `glorot_uniform`"},
    {"xavier_normal", NORMAL, FAN_AVERAGE, 1.0, no_fields, "`glorot_normal` without the cut"},
    {"kaiming_uniform", UNIFORM, FAN_IN, 2.0, no_fields, "PyTorch's name of `he_uniform`"},
    {"kaiming_normal", NORMAL, FAN_IN, 2.0, no_fields, "`he_normal` without the cut"},
    {"pytorch", UNIFORM, FAN_IN, 1.0 / 3.0, no_fields,
     "PyTorch's default for weights and biases: uniform within 1 / sqrt(fan in of the weights)"},
};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static const struct fnl__init_kind *find_kind(const char *name)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static int unknown(const struct fnl_yaml *doc, const struct fnl_yaml_node *node, const char *where,
                   const char *name, struct fnl_error *err)
{
    const char *names[KINDS + 1] = {0};
    for (int i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
    }
    const char *near = fnl_nearest_name(name, names);
    int rc = fnl_yaml_fail(doc, node, "for example glorot_uniform, he_normal, zeros or pytorch",
                           err, "%s: no initialiser is called \"%s\"", where, name);
    if (near != NULL) {
        fnl_error_hint(err, "did you mean \"%s\"?", near);
    }
    return rc;
}

int fnl__init_read(const struct fnl_yaml *doc, struct fnl_yaml_node *node, const char *where,
                   const char *fallback, struct fnl_arena *arena, struct fnl__init *ret,
                   struct fnl_error *err)
{
    struct fnl__init init = {0};
    const char *name = fallback;
    struct fnl_yaml_node *arguments = NULL;
    if (node != NULL && node->kind == FNL_YAML_SCALAR) {
        name = node->scalar;
    } else if (node != NULL && node->kind == FNL_YAML_MAP && node->count == 1) {
        name = node->key[0]->scalar;
        arguments = node->item[0];
    } else if (node != NULL) {
        return fnl_yaml_fail(doc, node, "write a name, or \"random_normal: {stddev: 0.02}\"", err,
                             "%s: expected the name of an initialiser", where);
    }
    init.kind = find_kind(name);
    if (init.kind == NULL) {
        return unknown(doc, node, where, name, err);
    }
    struct fnl__short_map map;
    if (init.kind->fields == constant_fields) {
        arguments = fnl__short_map(&map, "value", arguments);
    }
    int rc = fnl_schema_read(doc, arguments, where, init.kind->fields, arena, &init, err);
    if (rc == 0 && init.minval > init.maxval) {
        rc = fnl_yaml_fail(doc, arguments, NULL, err, "%s: minval is above maxval", where);
    }
    if (rc == 0) {
        *ret = init;
    }
    return rc;
}

/* Standard deviation of a standard normal distribution cut at -2 and 2. */
#define CUT_NORMAL_DEVIATION 0.87962566103423978

static float truncated_normal(struct fnl_rng *rng)
{
    for (;;) {
        float z = fnl_rng_normal(rng);
        if (z > -2.0F && z < 2.0F) {
            return z;
        }
    }
}

void fnl__init_fill(const struct fnl__init *init, double fan_in, double fan_out,
                    struct fnl_rng *rng, float *data, size_t count)
{
    const struct fnl__init_kind *k = init->kind;
    double mean = init->mean, deviation = init->stddev;
    double low = init->minval, high = init->maxval;
    double value = k->fields == no_fields ? k->scale : init->value;
    if (k->fan != FAN_NONE) {
        double fan = k->fan == FAN_IN ? fan_in : (fan_in + fan_out) / 2.0;
        double variance = k->scale / (fan > 1.0 ? fan : 1.0);
        high = sqrt(3.0 * variance);
        low = -high;
        deviation = sqrt(variance) / (k->distribution == TRUNCATED ? CUT_NORMAL_DEVIATION : 1.0);
    }
    for (size_t i = 0; i < count; i++) {
        switch (k->distribution) {
        case CONSTANT:
            data[i] = (float)value;
            break;
        case UNIFORM:
            data[i] = (float)(low + (high - low) * (double)fnl_rng_uniform(rng));
            break;
        case NORMAL:
            data[i] = (float)(mean + deviation * (double)fnl_rng_normal(rng));
            break;
        case TRUNCATED:
            data[i] = (float)(mean + deviation * (double)truncated_normal(rng));
            break;
        }
    }
}

int fnl__init_doc(struct fnl_buf *out)
{
    fnl_buf_puts(out, "| initialiser | gives |\n|---|---|\n");
    for (int i = 0; i < KINDS; i++) {
        fnl_buf_printf(out, "| `%s` | %s |\n", kinds[i].name, kinds[i].doc);
    }
    return out->failed ? out->code : 0;
}
