/* gpu_product.c - which tile a product is cut into, and in how many parts its sums are made
 * (interface in gpu_product.h).
 *
 * A large tile reads each element for more outputs; a small one makes more groups. So the largest
 * that still gives every compute unit a group is taken. Where even the smallest does not, and k is
 * long, k is split and a second launch adds the parts in order: results are the same in every run.
 * Cost: a few divisions while recording. */
#include "engine/backend/gpu/gpu_product.h"

#include "engine/kernels/tiles.h"

#define TILE(bm, bn, bk, tm, tn, ks, vw)                                                           \
    {                                                                                              \
        .file = {"gemm " FNL_KERNEL_TILE_DEFINES(bm, bn, bk, tm, tn, ks, vw),                      \
                 "conv " FNL_KERNEL_TILE_DEFINES(bm, bn, bk, tm, tn, ks, vw),                      \
                 "conv_strided " FNL_KERNEL_TILE_DEFINES(bm, bn, bk, tm, tn, ks, vw),              \
                 "conv_weights " FNL_KERNEL_TILE_DEFINES(bm, bn, bk, tm, tn, ks, vw)},             \
        .rows = (bm),                                                                              \
        .columns = (bn),                                                                           \
        .step = (bk),                                                                              \
        .threads = (bm) / (tm) * ((bn) / (tn)) * (ks),                                             \
        .local_bytes = 2 * (bk) * ((bm) + (bn) + 8) * sizeof(float),                               \
        .processor = (vw) == 8,                                                                    \
    },

const struct fnl_gpu_tile fnl__gpu_tiles[] = {FNL_KERNEL_TILES(TILE)};
const int fnl__gpu_tile_count = (int)(sizeof fnl__gpu_tiles / sizeof fnl__gpu_tiles[0]);

#define MOST_SPLITS 32
/* Adding up and a second launch must be worth it: about 2 us against 256 multiply-adds in turn. */
#define SPLIT_FROM 1024
#define SPLIT_STEP 256
#define MOST_SCRATCH ((size_t)32 << 20)

static int forced_tile = -1;
static size_t forced_splits;

void fnl__gpu_cut_force(int tile, size_t splits)
{
    forced_tile = tile;
    forced_splits = splits;
}

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static size_t tiles_of(const struct fnl_gpu_tile *t, size_t M, size_t N)
{
    return divide_up(M, t->rows) * divide_up(N, t->columns);
}

static bool fits(const struct fnl_accel_info *info, const struct fnl_gpu_tile *t)
{
    return t->processor == info->is_cpu &&
           (info->max_group == 0 || t->threads <= info->max_group) &&
           (info->local_bytes == 0 || t->local_bytes <= info->local_bytes);
}

static const struct fnl_gpu_tile *choose_tile(const struct fnl_accel_info *info, size_t M, size_t N,
                                              size_t count)
{
    if (forced_tile >= 0) {
        return &fnl__gpu_tiles[forced_tile];
    }
    size_t units = info->compute_units > 0 ? (size_t)info->compute_units : 1;
    const struct fnl_gpu_tile *last = &fnl__gpu_tiles[fnl__gpu_tile_count - 1];
    for (int i = 0; i < fnl__gpu_tile_count; i++) {
        const struct fnl_gpu_tile *t = &fnl__gpu_tiles[i];
        if (!fits(info, t)) {
            continue;
        }
        last = t;
        /* Half-empty tiles are no gain. */
        bool full = 2 * M > t->rows && 2 * N > t->columns;
        if (full && tiles_of(t, M, N) * count >= units) {
            return t;
        }
    }
    return last;
}

static size_t choose_splits(size_t units, size_t groups, size_t K)
{
    if (forced_splits > 0) {
        return forced_splits;
    }
    if (groups >= units || K < SPLIT_FROM) {
        return 1;
    }
    size_t splits = 2 * units / groups;
    return splits < K / SPLIT_STEP ? splits : K / SPLIT_STEP;
}

void fnl__gpu_cut(const struct fnl_gpu_emit *emit, size_t M, size_t N, size_t K, size_t count,
                  size_t sums, size_t scratch_bytes, struct fnl_gpu_cut *ret_cut)
{
    const struct fnl_accel_info *info = &fnl__gpu_accel(emit->gpu)->info;
    const struct fnl_gpu_tile *t = choose_tile(info, M, N, count);
    size_t tiles = tiles_of(t, M, N);
    size_t units = info->compute_units > 0 ? (size_t)info->compute_units : 1;
    size_t splits = choose_splits(units, tiles * count, K);
    size_t room = scratch_bytes / ((M * N * count + sums) * sizeof(float));
    splits = splits < room ? splits : room;
    splits = splits < 1 ? 1 : splits;
    size_t chunk = divide_up(divide_up(K, splits), t->step) * t->step;
    splits = divide_up(K, chunk);
    *ret_cut = (struct fnl_gpu_cut){.tile = t, .tiles = tiles, .splits = splits, .chunk = chunk};
}

size_t fnl__gpu_cut_scratch(size_t M, size_t N, size_t K, size_t count, size_t sums)
{
    size_t part = (M * N * count + sums) * sizeof(float);
    size_t splits = forced_splits > 0 ? forced_splits : K < SPLIT_FROM ? 0 : K / SPLIT_STEP;
    splits = splits < MOST_SPLITS ? splits : MOST_SPLITS;
    splits = splits < MOST_SCRATCH / part ? splits : MOST_SCRATCH / part;
    return splits < 2 ? 0 : splits * part;
}

uint32_t fnl__gpu_product_flags(const struct fnl_step *step)
{
    uint32_t flags = step->activation != 0 ? FNL_GPU_RELU : 0;
    flags |= step->in[FNL_STEP_MASK].value >= 0 ? FNL_GPU_MASK : 0;
    bool forward = step->node->op == FNL_OP_GEMM || step->node->op == FNL_OP_CONV;
    return flags | (forward && step->in[2].value >= 0 ? FNL_GPU_BIAS : 0);
}

int fnl__gpu_join(const struct fnl_step *step, struct fnl_gpu_emit *emit,
                  const struct fnl_gpu_join *join, struct fnl_error *err)
{
    static const struct fnl_operand absent = {.value = -1};
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "split", "split_sum");
    fnl__gpu_u32(&c, join->M);
    fnl__gpu_u32(&c, join->N);
    fnl__gpu_u32(&c, join->sums);
    fnl__gpu_u32(&c, join->splits);
    fnl__gpu_u32(&c, join->M * join->N + join->sums);
    fnl__gpu_u32(&c, join->flags);
    fnl__gpu_f32(&c, join->alpha);
    fnl__gpu_f32(&c, join->beta);
    fnl__gpu_u32(&c, join->bias_m);
    fnl__gpu_u32(&c, join->bias_n);
    fnl__gpu_buf(&c, emit->scratch, step->scratch_offset);
    fnl__gpu_ptr(&c, (join->flags & FNL_GPU_BIAS) != 0 ? &step->in[2] : &absent);
    fnl__gpu_ptr(&c, &step->in[FNL_STEP_MASK]);
    fnl__gpu_ptr(&c, &step->out[0]);
    fnl__gpu_ptr(&c, join->sums > 0 ? &step->out[FNL_STEP_SUM] : &absent);
    return fnl__gpu_flat(&c, join->M * join->N + join->sums, err);
}
