/* gpu_share.h - how a group of work-items shares the lines of numbers that it adds up (K_LINE,
 * K_LANE in kernels/dialect.h), and how dimensions are given to kernels. */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_SHARE_H
#define FNL_ENGINE_BACKEND_GPU_GPU_SHARE_H

#include "engine/backend/gpu/gpu.h"

/* `lines` sums of `length` numbers each: a group of `group` work-items takes `width` lines, group /
 * width lanes each; both are powers of two. With slices, each line is cut into slices of `chunk`
 * numbers, which are added up by groups of their own and joined afterwards, in order. */
struct fnl_gpu_share {
    uint32_t group, width;
    size_t groups; /* along the lines */
    size_t slices, chunk;
};

/* near: neighbouring lines lie side by side in memory; else the numbers of a line do. sliced: may
 * be cut. */
struct fnl_gpu_share fnl__gpu_share(const struct fnl_gpu_emit *emit, size_t lines, size_t length,
                                    bool near, bool sliced);
/* Launches a call whose kernel works on shares. */
int fnl__gpu_shared(struct fnl_gpu_call *c, const struct fnl_gpu_share *share,
                    struct fnl_error *err);
/* Floats that the slices of `lines` sums of up to `length` numbers may need, at most. */
size_t fnl__gpu_slice_floats(size_t lines, size_t length);
/* Most numbers that an operand has with `max_rows` rows. */
size_t fnl__gpu_max_count(const struct fnl_step *step, const struct fnl_operand *o);
/* The step's scratch, `floats` floats in. */
void fnl__gpu_scratch(struct fnl_gpu_call *c, const struct fnl_step *step, size_t floats);

/* The dimensions of a tensor and an operand's steps along them, innermost first; dimensions that
 * can be walked as one are one, those of size 1 are none. */
struct fnl_gpu_walk {
    int rank;
    size_t size[FNL_MAX_RANK];
    size_t step[2][FNL_MAX_RANK]; /* of up to two operands */
};

/* Walks over `over`, of which p and q (NULL: none) are repeated to the shape by numpy's rules. */
void fnl__gpu_walk(struct fnl_gpu_walk *w, const struct fnl_gpu_emit *emit,
                   const struct fnl_operand *over, const struct fnl_operand *p,
                   const struct fnl_operand *q);
/* Appends a dimension, outside those before. */
void fnl__gpu_walk_add(struct fnl_gpu_walk *w, size_t size, size_t step_p, size_t step_q);
/* `count` arguments each: sizes (1 behind the rank), and steps of operand `which`. */
void fnl__gpu_walk_sizes(struct fnl_gpu_call *c, const struct fnl_gpu_walk *w, int count);
void fnl__gpu_walk_steps(struct fnl_gpu_call *c, const struct fnl_gpu_walk *w, int which,
                         int count);

#endif
