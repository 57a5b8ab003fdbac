/* fuzz_onnx.c - the ONNX reader on arbitrary bytes. What it accepts must come through a training
 * form, which reads all of the graph. */
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fnl_graph *g = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    if (fnl_onnx_parse("fuzz.onnx", data, size, NULL, &g, &err) == 0) {
        struct fnl_training_graph t = {0};
        if (fnl_model_training_graph(g, FNL_LOSS_MEAN_SQUARED_ERROR, true, &t, &err) == 0) {
            fnl_graph_free(t.graph);
        }
        fnl_graph_free(g);
    }
    return 0;
}
