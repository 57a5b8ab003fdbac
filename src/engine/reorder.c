/* reorder.c - changes a tensor's layout: between ONNX order and channels last, row by row; between
 * ONNX order and a parameter's native layout, whole. The planner puts these steps where two
 * implementations disagree. */
#include <string.h>

#include "engine/plan.h"

bool fnl__layouts_alike(const struct fnl_shape *shape)
{
    return shape->rank != 4 || shape->dim[1] == 1 || (shape->dim[2] == 1 && shape->dim[3] == 1);
}

/* dst[j][i] = src[i][j] for an a x b matrix, in tiles that stay in the first-level cache. */
static void transpose(size_t a, size_t b, const float *src, float *dst)
{
    enum { TILE = 16 };
    for (size_t i0 = 0; i0 < a; i0 += TILE) {
        size_t i1 = i0 + TILE < a ? i0 + TILE : a;
        for (size_t j0 = 0; j0 < b; j0 += TILE) {
            size_t j1 = j0 + TILE < b ? j0 + TILE : b;
            for (size_t j = j0; j < j1; j++) {
                for (size_t i = i0; i < i1; i++) {
                    dst[j * a + i] = src[i * b + j];
                }
            }
        }
    }
}

void fnl__reorder_images(const struct fnl_shape *shape, size_t rows, bool to_channels_last,
                         const float *src, float *dst)
{
    size_t C = (size_t)shape->dim[1], P = (size_t)(shape->dim[2] * shape->dim[3]);
    for (size_t n = 0; n < rows; n++) {
        const float *s = src + n * C * P;
        float *d = dst + n * C * P;
        if (to_channels_last) {
            transpose(C, P, s, d);
        } else {
            transpose(P, C, s, d);
        }
    }
}

static void run(const struct fnl_step *step, const struct fnl_run *r)
{
    const struct fnl_operand *in = &step->in[0], *out = &step->out[0];
    const struct fnl_reorder *how = step->state;
    const float *src = fnl_f32(r, in);
    float *dst = fnl_f32(r, out);
    if (in->layout == FNL_LAYOUT_NATIVE && how->param != NULL) {
        how->backend->param_unpack(how->param, src, dst);
    } else if (out->layout == FNL_LAYOUT_NATIVE && how->param != NULL) {
        how->backend->param_pack(how->param, src, dst);
    } else {
        bool batched = in->shape.dim[0] == FNL_DIM_BATCH;
        fnl__reorder_images(&in->shape, batched ? r->rows : (size_t)in->shape.dim[0],
                            out->layout == FNL_LAYOUT_CHANNELS_LAST, src, dst);
    }
}

const struct fnl_op_impl fnl__reorder_impl = {
    .op = FNL_OP_IDENTITY, .name = "reorder", .rowwise = true, .run = run};
