/* gpu_rows.h - the operators that run on accelerators, one list; each row is defined in the file of
 * its family (gpu_<family>.c) as fnl__gpu_<name>. */
#ifndef FNL_ENGINE_BACKEND_GPU_GPU_ROWS_H
#define FNL_ENGINE_BACKEND_GPU_GPU_ROWS_H

#include "engine/backend/gpu/gpu.h"

/* gpu_linear.c, gpu_conv.c */
#define FNL_GPU_PRODUCT_ROWS(X) X(matmul) X(gemm)

/* gpu_elementwise.c */
#define FNL_GPU_ELEMENTWISE_ROWS(X) X(relu)

#define FNL_GPU_ROWS(X)                                                                            \
    FNL_GPU_PRODUCT_ROWS(X)                                                                        \
    FNL_GPU_ELEMENTWISE_ROWS(X)

#define FNL_GPU_ROW_DECLARE(name) extern const struct fnl_op_impl fnl__gpu_##name;
FNL_GPU_ROWS(FNL_GPU_ROW_DECLARE)
#undef FNL_GPU_ROW_DECLARE

#endif
