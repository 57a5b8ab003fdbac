/* winograd.h - what the files of Winograd's convolution share: the tiles, the points, and the maps
 * between the two. The algorithm is told in winograd.c.
 *
 * A product is made at up to 6 x 6 points for each tile. Point (i, j) of all tiles that have it
 * lies in one matrix [tiles][channels]: the operand of a matrix product. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_WINOGRAD_H
#define FNL_ENGINE_BACKEND_CPU_ISA_WINOGRAD_H

#include "engine/backend/cpu/isa/isa.h"

/* Shared by the files of this folder, one of each a build. */
#define fnl_k_wino_spread_x FNL_K(wino_spread_x)
#define fnl_k_wino_spread_dy FNL_K(wino_spread_dy)
#define fnl_k_wino_gather_y FNL_K(wino_gather_y)
#define fnl_k_wino_gather_dx FNL_K(wino_gather_dx)
#define fnl_k_wino_weights FNL_K(wino_weights)
#define fnl_k_wino_weights_adjoint FNL_K(wino_weights_adjoint)

enum {
    FNL_WINO_TILE = 4,                 /* outputs of a tile, in each direction, at most */
    FNL_WINO_LINE = FNL_WINO_TILE + 2, /* points, and inputs, of a tile in each direction */
    FNL_WINO_POINTS = FNL_WINO_LINE * FNL_WINO_LINE,
};

/* Where the next tile's values at each point lie, in the order of the points. */
struct fnl_wino_cursor {
    float *at[FNL_WINO_LINE][FNL_WINO_LINE];
};

/* A tile of height x width outputs (2 to FNL_WINO_TILE) in an image: floats from row to row and
 * from pixel to pixel, and how many channels of each pixel take part. */
struct fnl_wino_tile {
    int height, width;
    size_t row, pixel, channels;
};

/* Inputs x (height + 2 by width + 2 pixels) to points. Each point takes `stride` floats, a multiple
 * of FNL_VL: zeros after the channels. All these functions move the cursor on to the next tile. */
void fnl_k_wino_spread_x(const struct fnl_wino_tile *t, const float *x, size_t stride,
                         struct fnl_wino_cursor *points);
/* Gradients dy of a tile's outputs (height by width pixels) to points. */
void fnl_k_wino_spread_dy(const struct fnl_wino_tile *t, const float *dy, size_t stride,
                          struct fnl_wino_cursor *points);
/* Points, FNL_PANEL floats each, to outputs y = act(... + bias); bias[channels] may be NULL. */
void fnl_k_wino_gather_y(const struct fnl_wino_tile *t, struct fnl_wino_cursor *points,
                         const float *bias, bool relu, float *y);
/* Points, FNL_PANEL floats each, added to the gradients dx of the inputs. */
void fnl_k_wino_gather_dx(const struct fnl_wino_tile *t, struct fnl_wino_cursor *points, float *dx);

/* One panel of weights w[3 * 3][C][FNL_PANEL] to u[FNL_WINO_POINTS][C][FNL_PANEL]; of gradients, du
 * to dw, set. */
void fnl_k_wino_weights(size_t C, const float *w, float *u);
void fnl_k_wino_weights_adjoint(size_t C, const float *du, float *dw);

#endif
