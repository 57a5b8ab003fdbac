/* panel.c - matrices into panels of FNL_PANEL columns and back: weights once at the start, small
 * operands in a step.
 *
 * Panels are [ceil(N / panel)][K][panel], zero in the columns beyond N; the zeros are never seen in
 * a result, but a tile reads them. Costs: a copy is a load and a store a vector; a transposition
 * with AVX2 goes by 8 x 8 blocks in registers, about 12 cycles each. */
#include "engine/backend/cpu/isa/panel.h"
#include "engine/backend/cpu/isa/kernel_list.h"

void fnl_k_panel_copy(size_t rows, size_t columns, const float *from, size_t ld, float *to)
{
    if (columns == FNL_PANEL) {
        for (size_t r = 0; r < rows; r++, from += ld, to += FNL_PANEL) {
            fnl_v_store(to, fnl_v_load(from));
            fnl_v_store(to + FNL_VL, fnl_v_load(from + FNL_VL));
        }
        return;
    }
    for (size_t r = 0; r < rows; r++, from += ld, to += FNL_PANEL) {
        memcpy(to, from, columns * sizeof(float));
        memset(to + columns, 0, (FNL_PANEL - columns) * sizeof(float));
    }
}

#if defined(__AVX2__)
/* to[r * FNL_PANEL + c] = from[c * ld + r], r and c < 8. */
static void transpose_8x8(const float *from, size_t ld, float *to)
{
    __m256 in[8], pair[8];
    for (int i = 0; i < 4; i++) {
        const float *low = from + (size_t)i * ld, *high = from + (size_t)(i + 4) * ld;
        in[i] =
            _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
        in[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low + 4)),
                                         _mm_loadu_ps(high + 4), 1);
    }
    for (int half = 0; half < 8; half += 4) {
        pair[half] = _mm256_unpacklo_ps(in[half], in[half + 1]);
        pair[half + 1] = _mm256_unpackhi_ps(in[half], in[half + 1]);
        pair[half + 2] = _mm256_unpacklo_ps(in[half + 2], in[half + 3]);
        pair[half + 3] = _mm256_unpackhi_ps(in[half + 2], in[half + 3]);
        float *row = to + half * FNL_PANEL;
        _mm256_storeu_ps(row, _mm256_shuffle_ps(pair[half], pair[half + 2], 0x44));
        _mm256_storeu_ps(row + FNL_PANEL, _mm256_shuffle_ps(pair[half], pair[half + 2], 0xee));
        _mm256_storeu_ps(row + 2 * FNL_PANEL,
                         _mm256_shuffle_ps(pair[half + 1], pair[half + 3], 0x44));
        _mm256_storeu_ps(row + 3 * FNL_PANEL,
                         _mm256_shuffle_ps(pair[half + 1], pair[half + 3], 0xee));
    }
}
#endif

void fnl_k_panel_transpose(size_t rows, size_t columns, const float *from, size_t ld, float *to)
{
    size_t whole_rows = 0, whole_columns = 0;
#if defined(__AVX2__)
    whole_rows = rows & ~(size_t)7;
    whole_columns = columns & ~(size_t)7;
    for (size_t r = 0; r < whole_rows; r += 8) {
        for (size_t c = 0; c < whole_columns; c += 8) {
            transpose_8x8(from + c * ld + r, ld, to + r * FNL_PANEL + c);
        }
    }
#endif
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = r < whole_rows ? whole_columns : 0; c < columns; c++) {
            to[r * FNL_PANEL + c] = from[c * ld + r];
        }
        for (size_t c = columns; c < FNL_PANEL; c++) {
            to[r * FNL_PANEL + c] = 0;
        }
    }
}

void fnl_k_column_sums(size_t rows, size_t columns, const float *from, size_t ld, bool add,
                       float *sums)
{
    size_t c = 0;
    for (; c + 2 * FNL_VL <= columns; c += 2 * FNL_VL) {
        fnl_vf sum0 = {0}, sum1 = {0};
        if (add) {
            sum0 = fnl_v_load(sums + c);
            sum1 = fnl_v_load(sums + c + FNL_VL);
        }
        const float *row = from + c;
        for (size_t r = 0; r < rows; r++, row += ld) {
            sum0 += fnl_v_load(row);
            sum1 += fnl_v_load(row + FNL_VL);
        }
        fnl_v_store(sums + c, sum0);
        fnl_v_store(sums + c + FNL_VL, sum1);
    }
    if (c == columns) {
        return;
    }
    float edge[FNL_PANEL] = {0};
    if (add) {
        memcpy(edge, sums + c, (columns - c) * sizeof(float));
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = c; i < columns; i++) {
            edge[i - c] += from[r * ld + i];
        }
    }
    memcpy(sums + c, edge, (columns - c) * sizeof(float));
}

void FNL_K(panel_pack)(size_t K, size_t N, const float *plain, ptrdiff_t stride_k,
                       ptrdiff_t stride_n, float *panels)
{
    for (size_t n = 0; n < N; n += FNL_PANEL, panels += K * FNL_PANEL) {
        const size_t columns = N - n < FNL_PANEL ? N - n : FNL_PANEL;
        const float *from = plain + (ptrdiff_t)n * stride_n;
        if (stride_n == 1 && stride_k >= 0) {
            fnl_k_panel_copy(K, columns, from, (size_t)stride_k, panels);
        } else if (stride_k == 1 && stride_n >= 0) {
            fnl_k_panel_transpose(K, columns, from, (size_t)stride_n, panels);
        } else {
            for (size_t k = 0; k < K; k++) {
                for (size_t c = 0; c < FNL_PANEL; c++) {
                    panels[k * FNL_PANEL + c] =
                        c < columns ? from[(ptrdiff_t)k * stride_k + (ptrdiff_t)c * stride_n] : 0;
                }
            }
        }
    }
}

void FNL_K(panel_unpack)(size_t K, size_t N, const float *panels, float *plain, ptrdiff_t stride_k,
                         ptrdiff_t stride_n)
{
    for (size_t n = 0; n < N; n++) {
        const float *from = panels + n / FNL_PANEL * K * FNL_PANEL + n % FNL_PANEL;
        float *to = plain + (ptrdiff_t)n * stride_n;
        for (size_t k = 0; k < K; k++) {
            to[(ptrdiff_t)k * stride_k] = from[k * FNL_PANEL];
        }
    }
}
