/* gpu_share.c - how work is cut for kernels that add up, and how shapes are told to kernels
 * (interface in gpu_share.h).
 *
 * Everything here is a function of shapes and of emit->group, so that a device adds up in the same
 * order in every run. */
#include "engine/backend/gpu/gpu_share.h"

/* Numbers of a slice, at least: a group of 256 then adds up eight each. */
#define SLICE_LENGTH 2048
/* Slices of a line, at most: they are joined one after the other. */
#define MAX_SLICES 32
/* Slices of all lines, at most, so that their sums need little scratch: 64 KiB. */
#define MAX_SLICE_SUMS 16384
/* Lines of a group that lie side by side: neighbours read whole sectors of memory. */
#define NEAR_LINES 32

static size_t power_of_two(size_t at_least)
{
    size_t n = 1;
    while (n < at_least) {
        n *= 2;
    }
    return n;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t slices_of(size_t lines, size_t length)
{
    size_t slices = smaller(length / SLICE_LENGTH, MAX_SLICES);
    slices = smaller(slices, MAX_SLICE_SUMS / lines);
    return slices > 1 ? slices : 1;
}

struct fnl_gpu_share fnl__gpu_share(const struct fnl_gpu_emit *emit, size_t lines, size_t length,
                                    bool near, bool sliced)
{
    struct fnl_gpu_share s = {.group = emit->group};
    size_t slices = sliced ? slices_of(lines, length) : 1;
    s.chunk = (length + slices - 1) / slices;
    s.slices = (length + s.chunk - 1) / s.chunk;
    if (near) {
        size_t width = smaller(power_of_two(lines), NEAR_LINES);
        /* Short lines need no lanes: their work-items take more lines. */
        while (width < s.group && width < lines && s.chunk < 4 * (s.group / width)) {
            width *= 2;
        }
        s.width = (uint32_t)smaller(width, s.group);
    } else {
        s.width = s.group / (uint32_t)smaller(power_of_two(s.chunk), s.group);
    }
    s.groups = (lines + s.width - 1) / s.width;
    return s;
}

int fnl__gpu_shared(struct fnl_gpu_call *c, const struct fnl_gpu_share *share,
                    struct fnl_error *err)
{
    return fnl__gpu_grid(c, share->groups, share->slices, 1, share->group, 1, err);
}

size_t fnl__gpu_slice_floats(size_t lines, size_t length)
{
    return length >= 2 * SLICE_LENGTH && lines < MAX_SLICE_SUMS ? MAX_SLICE_SUMS : lines;
}

size_t fnl__gpu_max_count(const struct fnl_step *step, const struct fnl_operand *o)
{
    return fnl_batched(o) ? step->max_rows * o->row_size : o->row_size;
}

void fnl__gpu_scratch(struct fnl_gpu_call *c, const struct fnl_step *step, size_t floats)
{
    fnl__gpu_buf(c, c->emit->scratch, step->scratch_offset + floats * sizeof(float));
}

/* ---- shapes ---- */

void fnl__gpu_walk_add(struct fnl_gpu_walk *w, size_t size, size_t step_p, size_t step_q)
{
    const size_t step[2] = {step_p, step_q};
    if (size == 1) {
        return;
    }
    int last = w->rank - 1;
    bool joins = w->rank > 0;
    for (int i = 0; joins && i < 2; i++) {
        joins = step[i] == w->step[i][last] * w->size[last];
    }
    if (joins) {
        w->size[last] *= size;
        return;
    }
    w->size[w->rank] = size;
    w->step[0][w->rank] = step_p;
    w->step[1][w->rank] = step_q;
    w->rank++;
}

/* The operand's size in the dimension that is `back` from the right; 1 where it has none. */
static size_t size_from_right(const struct fnl_gpu_emit *emit, const struct fnl_operand *o,
                              int back)
{
    return o == NULL || back >= o->shape.rank ? 1 : fnl__gpu_dim(emit, o, o->shape.rank - 1 - back);
}

void fnl__gpu_walk(struct fnl_gpu_walk *w, const struct fnl_gpu_emit *emit,
                   const struct fnl_operand *over, const struct fnl_operand *p,
                   const struct fnl_operand *q)
{
    const struct fnl_operand *const operand[2] = {p, q};
    size_t stride[2] = {1, 1};
    w->rank = 0;
    for (int back = 0; back < over->shape.rank; back++) {
        size_t size = size_from_right(emit, over, back), step[2];
        for (int i = 0; i < 2; i++) {
            size_t own = size_from_right(emit, operand[i], back);
            step[i] = own == 1 ? 0 : stride[i];
            stride[i] *= own;
        }
        fnl__gpu_walk_add(w, size, step[0], step[1]);
    }
}

void fnl__gpu_walk_sizes(struct fnl_gpu_call *c, const struct fnl_gpu_walk *w, int count)
{
    for (int d = 0; d < count; d++) {
        fnl__gpu_u32(c, d < w->rank ? w->size[d] : 1);
    }
}

void fnl__gpu_walk_steps(struct fnl_gpu_call *c, const struct fnl_gpu_walk *w, int which, int count)
{
    for (int d = 0; d < count; d++) {
        fnl__gpu_u32(c, d < w->rank ? w->step[which][d] : 0);
    }
}
