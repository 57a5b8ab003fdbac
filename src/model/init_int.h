/* init_int.h - initialisers of parameters, by Keras' and PyTorch's names. */
#ifndef FNL_MODEL_INIT_INT_H
#define FNL_MODEL_INIT_INT_H

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/yaml.h"

struct fnl__init {
    const struct fnl__init_kind *kind;
    double mean, stddev, minval, maxval, value; /* of those that have arguments */
};

/* Reads "he_normal" or "random_normal: {stddev: 0.02}". node NULL: the initialiser called fallback.
 * where names the key in messages. */
int fnl__init_read(const struct fnl_yaml *doc, struct fnl_yaml_node *node, const char *where,
                   const char *fallback, struct fnl_arena *arena, struct fnl__init *ret,
                   struct fnl_error *err);

/* fan_in, fan_out: inputs that each output sums, outputs that each input feeds. */
void fnl__init_fill(const struct fnl__init *init, double fan_in, double fan_out,
                    struct fnl_rng *rng, float *data, size_t count);

int fnl__init_doc(struct fnl_buf *out); /* Markdown */

#endif
