/* predictor.h - an ONNX model, run on the CPU.
 *
 *   struct fnl_predictor *p;
 *   if (fnl_predictor_load("model.onnx", NULL, &p, &err) == 0) {
 *       fnl_predictor_run(p, rows, inputs, outputs, &err);    any number of times
 *       fnl_predictor_free(p);
 *   }
 *
 * Tensors are float32, row-major, in ONNX's order (images: N, C, H, W). The first dimension of each
 * is the batch, whatever extent the file has there. A row's result depends on that row alone: not
 * on the batch it came in, nor on the number of threads.
 *
 * A predictor may be used by one thread at a time; any number of predictors may run side by side.
 * fnl_predictor_run allocates nothing. */
#ifndef FOURNIL_PREDICTOR_H
#define FOURNIL_PREDICTOR_H

#include <stddef.h>
#include <stdint.h>

#include "fournil/error.h"
#include "fournil/visibility.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fnl_predictor;

struct fnl_predictor_options {
    int version;  /* 1 */
    int threads;  /* worker threads, the caller's among them; 0 = fnl_thread_count() */
    size_t batch; /* rows computed at a time: more are run in parts, memory grows with it */
};
#define FNL_PREDICTOR_OPTIONS_INIT                                                                 \
    {                                                                                              \
        1, 0, 64                                                                                   \
    }

/* Reads a model from a file (weights in files beside it included), or from memory. name: what
 * errors call it. options may be NULL: FNL_PREDICTOR_OPTIONS_INIT. The file is checked whole before
 * anything of it is used; FNL_E_UNSUPPORTED names the first operator and node that cannot be run.
 */
FNL_API int fnl_predictor_load(const char *path, const struct fnl_predictor_options *options,
                               struct fnl_predictor **ret_predictor, struct fnl_error *err);
FNL_API int fnl_predictor_parse(const char *name, const void *data, size_t size,
                                const struct fnl_predictor_options *options,
                                struct fnl_predictor **ret_predictor, struct fnl_error *err);
FNL_API void fnl_predictor_free(struct fnl_predictor *predictor); /* takes NULL */

#define FNL_TENSOR_MAX_RANK 8
struct fnl_tensor_info {
    const char *name; /* the predictor's */
    int rank;
    int64_t dim[FNL_TENSOR_MAX_RANK]; /* dim[0] is -1: the batch */
    size_t row_size;                  /* floats of one row: dim[1] * dim[2] * ... */
};

/* Inputs and outputs, in the file's order. FNL_E_INVALID: there is none of that index. */
FNL_API int fnl_predictor_input_count(const struct fnl_predictor *predictor);
FNL_API int fnl_predictor_output_count(const struct fnl_predictor *predictor);
FNL_API int fnl_predictor_input(const struct fnl_predictor *predictor, int index,
                                struct fnl_tensor_info *ret_info, struct fnl_error *err);
FNL_API int fnl_predictor_output(const struct fnl_predictor *predictor, int index,
                                 struct fnl_tensor_info *ret_info, struct fnl_error *err);

/* A text that the file carries (metadata_props), or NULL; the predictor's. Models that Fournil
 * trained have "fournil.classes", among others: the names of the classes. */
FNL_API const char *fnl_predictor_metadata(const struct fnl_predictor *predictor, const char *key);

/* Threads at work, the caller's among them. */
FNL_API int fnl_predictor_threads(const struct fnl_predictor *predictor);

/* Runs `rows` rows, any number of them. inputs: for each input, rows * row_size floats. outputs:
 * for each output, room for rows * row_size floats, or NULL where it is not wanted. */
FNL_API int fnl_predictor_run(struct fnl_predictor *predictor, size_t rows,
                              const float *const *inputs, float *const *outputs,
                              struct fnl_error *err);

#ifdef __cplusplus
}
#endif

#endif
