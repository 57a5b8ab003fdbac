/* variants.c - how often a kernel file is compiled for a GPU (interface in kernels.h). */
#include "engine/kernels/kernels.h"

#include <stddef.h>
#include <string.h>

#include "engine/kernels/tiles.h"

static const struct {
    int vector;
    const char *defines;
} tiles[] = {
#define ROW(bm, bn, bk, tm, tn, ks, vw) {vw, FNL_KERNEL_TILE_DEFINES(bm, bn, bk, tm, tn, ks, vw)},
    FNL_KERNEL_TILES(ROW)
#undef ROW
};

const char *fnl__kernel_gpu_defines(const struct fnl_kernel_file *file, int index)
{
    if (strstr(file->source, "\"tile.kh\"") == NULL) {
        return index == 0 ? "" : NULL;
    }
    for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++) {
        if (tiles[i].vector != 8 && index-- == 0) { /* 8 is for processors */
            return tiles[i].defines;
        }
    }
    return NULL;
}
