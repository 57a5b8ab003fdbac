/* panel.h - moving matrices into and out of panel order, for the kernels of this folder. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_PANEL_H
#define FNL_ENGINE_BACKEND_CPU_ISA_PANEL_H

#include "engine/backend/cpu/isa/isa.h"

/* Shared by the files of this folder, one of each a build. */
#define fnl_k_panel_copy FNL_K(panel_copy)
#define fnl_k_panel_transpose FNL_FLOAT_K(panel_transpose)
#define fnl_k_column_sums FNL_FLOAT_K(column_sums)

/* to[r][0..FNL_PANEL) = from[r * ld + 0..columns), zero beyond; r < rows. */
void fnl_k_panel_copy(size_t rows, size_t columns, const float *from, size_t ld, float *to);

/* to[r][c] = from[c * ld + r] for r < rows, c < columns, zero for c from columns to FNL_PANEL. */
void fnl_k_panel_transpose(size_t rows, size_t columns, const float *from, size_t ld, float *to);

/* sums[c] (+)= from[r * ld + c] over all rows, in order; c < columns. */
void fnl_k_column_sums(size_t rows, size_t columns, const float *from, size_t ld, bool add,
                       float *sums);

#endif
