/* tiles.h - the tiles that kernels on tile.kh are compiled for, in one list for those who launch
 * them and for the build, which compiles those for GPUs into the program. */
#ifndef FNL_ENGINE_KERNELS_TILES_H
#define FNL_ENGINE_KERNELS_TILES_H

/* BM, BN, BK, TM, TN, KS, VW; largest first, for a processor (VW 8) and for GPUs. In local memory a
 * work-item of the first GPU tile reads 16 numbers for 64 multiply-adds, of the second 12 for 32,
 * of the third 8 for 16. On a processor 8 vectors of sums stay in the 16 registers of AVX2. */
#define FNL_KERNEL_TILES(X)                                                                        \
    X(64, 128, 32, 4, 16, 1, 8)                                                                    \
    X(32, 128, 32, 4, 16, 1, 8)                                                                    \
    X(64, 64, 32, 4, 16, 1, 8)                                                                     \
    X(128, 128, 16, 8, 8, 1, 4)                                                                    \
    X(64, 64, 16, 8, 4, 1, 4)                                                                      \
    X(32, 32, 32, 4, 4, 4, 4)

#define FNL_KERNEL_STRING_(x) #x
#define FNL_KERNEL_STRING(x) FNL_KERNEL_STRING_(x)
/* As a formatter sees them, the options are differences. */
/* clang-format off */
#define FNL_KERNEL_TILE_DEFINES(bm, bn, bk, tm, tn, ks, vw)                                        \
    FNL_KERNEL_STRING(-DBM=bm -DBN=bn -DBK=bk -DTM=tm -DTN=tn -DKS=ks -DVW=vw)
/* clang-format on */

#endif
