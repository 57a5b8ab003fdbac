/* environment.h - what a run was made with, so that its numbers can be judged and made again. */
#ifndef FNL_TRAIN_ENVIRONMENT_H
#define FNL_TRAIN_ENVIRONMENT_H

#include "base/buf.h"
#include "train/network.h"

extern const char *const fnl__products[]; /* "float32"... */
/* What multiplies in a training of this precision on this back end: "float32", "bfloat16" (the
 * CPU's own instruction) or "emulated". */
const char *fnl__environment_products(const char *backend, int precision);

/* Who asks for bfloat16 wants its speed: why this training will not have it, and what would; NULL
 * when it will. */
const char *fnl__environment_slow(const char *backend, int precision);

/* {"fournil":..., "compiler":..., "cpu":..., "isa":..., "cpus":..., "threads":..., "os":...,
 * "kernel":..., "date":...} */
void fnl__environment_json(struct fnl_buf *out, const struct fnl__network *network);

#endif
