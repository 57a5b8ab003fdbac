/* model.h - networks from outside: a list of layers (Keras' names in YAML) or an ONNX file, to a
 * graph and back. */
#ifndef FNL_MODEL_MODEL_H
#define FNL_MODEL_MODEL_H

#include <stdbool.h>

#include "base/yaml.h"
#include "engine/graph.h"

/* Builds the inference-form graph of `model:` (a list of layers) for samples of this shape ({C,H,W}
 * or {F}; the batch dimension is added). Input "input", output "output" (logits, or what the last
 * activation gives). Parameters are named "<layer>.weight",
 * "<layer>.bias"... and initialised from seed. classes: expected units of the last layer, 0 = any
 * (else mismatch is an error that names the layer and both numbers). Errors name line and layer. */
int fnl_model_from_layers(const struct fnl_yaml *doc, const struct fnl_yaml_node *layers,
                          const struct fnl_shape *sample, int classes, uint64_t seed,
                          struct fnl_graph **ret_graph, struct fnl_error *err);

/* Is there a layer of this kind? And the argument that a value which is no map stands for ("rate"
 * of dropout), or NULL. */
bool fnl_model_is_layer(const char *kind);
const char *fnl_model_layer_shorthand(const char *kind);

/* Markdown of every layer's arguments, for docs/config.md. */
struct fnl_buf;
int fnl_model_layers_doc(struct fnl_buf *out);

/* The training form of an inference graph: Dropout and BatchNormalization in training mode, a final
 * Softmax (Sigmoid for binary cross-entropy) stripped into the loss, loss node and gradients added.
 */
enum fnl_loss {
    FNL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY,
    FNL_LOSS_CATEGORICAL_CROSSENTROPY,
    FNL_LOSS_BINARY_CROSSENTROPY,
    FNL_LOSS_MEAN_SQUARED_ERROR,
};
struct fnl_training_graph {
    struct fnl_graph *graph; /* owned by the caller */
    int input, target;       /* value indices of the two inputs */
    int loss;                /* per-sample loss [N] */
    int scores;              /* probabilities or predictions */
};
/* gradients = false: the evaluation form, with the loss but inference-mode layers. */
int fnl_model_training_graph(const struct fnl_graph *inference, enum fnl_loss loss, bool gradients,
                             struct fnl_training_graph *ret, struct fnl_error *err);

/* ---- ONNX files (opset 13..21 in, 17 out; IR version 8) ---- */
int fnl_onnx_load(const char *path, struct fnl_graph **ret_graph, struct fnl_error *err);
int fnl_onnx_parse(const char *name, const void *data, size_t size, const char *model_dir,
                   struct fnl_graph **ret_graph, struct fnl_error *err);
/* Writes the graph (inference form), atomically. When mul/add are given, input normalisation is
 * written as Mul and Add nodes in front (x raw), channels entries each. Metadata of the graph goes
 * to metadata_props. */
int fnl_onnx_save(const struct fnl_graph *g, const char *path, int channels, const float *mul,
                  const float *add, struct fnl_error *err);

#endif
