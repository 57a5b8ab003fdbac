/* plan.h - a plan: the steps of a graph on a back end, each operand placed; for the engine's own
 * files.
 *
 * plan.c chooses implementations, fuses, resolves layouts and makes the steps; plan_memory.c groups
 * steps into blocks of rows and places every slot; exec_run.c runs them. */
#ifndef FNL_ENGINE_PLAN_H
#define FNL_ENGINE_PLAN_H

#include "engine/impl.h"
#include "engine/params_int.h"

/* A tensor in memory. A value may have one slot a layout; views share a slot of another value. */
struct fnl_slot {
    enum fnl_space space;
    size_t offset;               /* bytes; ARENA: set by plan_memory.c */
    size_t row_bytes;            /* batched: bytes of a row; else 0 */
    size_t bytes;                /* of all rows of a shard, or of the tensor */
    int first_group, last_group; /* life, in groups; last = INT_MAX: kept */
    bool kept;                   /* read by the caller after the run */
    bool one_block;              /* only one block of rows is kept */
};

enum { FNL_LAYOUTS = 3 };

/* Steps [first, first + count), run block of rows by block of rows. */
struct fnl_group {
    int first, count;
    size_t block_rows;
    bool merge; /* one step with merge(): all shards meet */
};

struct fnl_plan {
    const struct fnl_graph *graph;
    const struct fnl_backend *backend;
    struct fnl_params *params;
    struct fnl_arena arena;
    size_t shard_rows;  /* most rows of one shard */
    size_t batch_rows;  /* most rows of all shards */
    int threads;        /* that may share a step */
    size_t block_bytes; /* what a block of rows may touch */
    bool training, bf16;
    struct fnl_slot *slot;
    int slot_count;
    int (*slot_of)[FNL_LAYOUTS]; /* per value: slot of each layout, or -1 */
    struct fnl_step *step;
    int *step_slot; /* [step][FNL_STEP_INPUTS + FNL_STEP_OUTPUTS]: operand's slot, or -1 */
    int step_count;
    int shared_first; /* steps from here on are shared by threads, after all groups */
    struct fnl_group *group;
    int group_count;
    unsigned char *constants; /* FNL_SPACE_CONST */
    size_t constant_bytes, arena_bytes, scratch_bytes;
    size_t batch_bytes, shared_scratch_bytes; /* BATCH space; scratch of all parts */
};

struct fnl_plan_options {
    size_t shard_rows, batch_rows;
    int threads;
    size_t block_bytes;
    bool training;
    bool bf16;       /* the run's precision: implementations may multiply bfloat16 */
    const int *kept; /* values the caller reads after a run */
    int kept_count;
};

int fnl__plan_create(const struct fnl_graph *g, struct fnl_params *params,
                     const struct fnl_plan_options *options, struct fnl_plan **ret_plan,
                     struct fnl_error *err);
void fnl__plan_free(struct fnl_plan *plan);

/* plan_share.c: marks the steps that threads share and puts them behind all others, in order. */
int fnl__plan_share(struct fnl_plan *plan, struct fnl_error *err);

/* Groups, lifetimes, offsets, scratch. */
int fnl__plan_memory(struct fnl_plan *plan, struct fnl_error *err);

/* Any slot of a value, and its layout; -1 when it has none. */
int fnl__plan_slot(const struct fnl_plan *plan, int value, enum fnl_layout *ret_layout);

/* ---- reorder.c: the step that changes a tensor's layout ---- */
extern const struct fnl_op_impl fnl__reorder_impl;
struct fnl_reorder {
    const struct fnl_backend *backend;
    const struct fnl_param_layout *param; /* PLAIN <-> NATIVE */
};
/* rows images between [C][HW] and [HW][C]. */
void fnl__reorder_images(const struct fnl_shape *shape, size_t rows, bool to_channels_last,
                         const float *src, float *dst);
/* Do the two layouts of this shape have the same bytes? */
bool fnl__layouts_alike(const struct fnl_shape *shape);

#endif
