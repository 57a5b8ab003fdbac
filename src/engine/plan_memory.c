/* plan_memory.c - groups steps into blocks of rows and places every tensor of a shard in one arena.
 *
 * A group is a run of row-wise steps. It is run block of rows by block of rows, the block so small
 * that what passes between its steps stays in the second-level cache, but not smaller than a step
 * asks for. A tensor that lives inside
 * one group needs room for one block only. Other tensors live from the group that writes them to
 * the last that reads them; offsets are given greedily, largest first, to the lowest gap that is
 * free all that time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
 * Inference", 2020). Cost: O(slots^2) in the worst case, once. */
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/plan.h"

enum { OPERANDS = FNL_STEP_INPUTS + FNL_STEP_OUTPUTS };

static bool is_batched(const struct fnl_operand *o)
{
    return o->value >= 0 && o->shape.rank > 0 && o->shape.dim[0] == FNL_DIM_BATCH;
}

/* May this step be run in blocks of rows? */
static bool in_blocks(const struct fnl_plan *plan, const struct fnl_step *s)
{
    if (!plan->backend->shards || !s->impl->rowwise || s->impl->merge != NULL) {
        return false;
    }
    for (int i = 0; i < s->in_count; i++) {
        if (is_batched(&s->in[i])) {
            return true;
        }
    }
    return false;
}

/* Bytes one row of step s touches beyond what the group has counted. seen: per slot, the last group
 * that counted it. */
static size_t added_bytes(const struct fnl_plan *plan, int s, int *seen, int mark)
{
    size_t bytes = 0;
    for (int i = 0; i < OPERANDS; i++) {
        int slot = plan->step_slot[s * OPERANDS + i];
        if (slot >= 0 && seen[slot] != mark) {
            seen[slot] = mark;
            bytes += plan->slot[slot].row_bytes;
        }
    }
    return bytes;
}

/* What is known of a group that grows, by row: bytes of all steps, of the largest, and how many
 * rows at a time a step asks for. */
struct growth {
    size_t bytes, largest, wish;
};

static struct growth grown(const struct fnl_plan *plan, struct growth g, int s, int *seen, int mark)
{
    const struct fnl_step *step = &plan->step[s];
    size_t bytes = added_bytes(plan, s, seen, mark);
    size_t wish = step->impl->block_rows != NULL ? step->impl->block_rows(step) : 1;
    wish = wish < plan->shard_rows ? wish : plan->shard_rows;
    g.bytes += bytes;
    g.largest = bytes > g.largest ? bytes : g.largest;
    g.wish = wish > g.wish ? wish : g.wish;
    return g;
}

/* Where one step asks for more rows than fit, all others get them too. That costs little but for a
 * step whose own rows would no longer fit into the cache (twice block_bytes): it goes into another
 * group. */
static bool go_together(const struct fnl_plan *plan, const struct growth *g)
{
    return g->bytes * g->wish <= plan->block_bytes || g->wish <= 1 ||
           g->largest * g->wish <= 2 * plan->block_bytes;
}

static size_t rows_at_a_time(const struct fnl_plan *plan, const struct growth *g)
{
    size_t rows = g->bytes == 0 ? plan->shard_rows : plan->block_bytes / g->bytes;
    rows = rows > g->wish ? rows : g->wish;
    return rows < 1 ? 1 : rows < plan->shard_rows ? rows : plan->shard_rows;
}

static int make_groups(struct fnl_plan *plan, struct fnl_error *err)
{
    int *seen = fnl_calloc((size_t)plan->slot_count + 1, sizeof *seen);
    plan->group = fnl_calloc((size_t)plan->step_count + 1, sizeof *plan->group);
    if (seen == NULL || plan->group == NULL) {
        fnl_free(seen);
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    for (int s = 0; s < plan->shared_first;) {
        const int mark = ++plan->group_count;
        struct fnl_group *g = &plan->group[mark - 1];
        *g = (struct fnl_group){.first = s, .count = 1, .block_rows = plan->shard_rows};
        g->merge = plan->step[s].impl->merge != NULL;
        if (in_blocks(plan, &plan->step[s])) {
            struct growth have = grown(plan, (struct growth){.wish = 1}, s, seen, mark);
            for (int next = s + 1; next < plan->shared_first && in_blocks(plan, &plan->step[next]);
                 next++) {
                struct growth with = grown(plan, have, next, seen, mark);
                if (!go_together(plan, &with)) {
                    break;
                }
                have = with;
                g->count++;
            }
            g->block_rows = rows_at_a_time(plan, &have);
        }
        s += g->count;
    }
    fnl_free(seen);
    return 0;
}

/* When each slot lives, and whether only inside one group. */
static void find_lives(struct fnl_plan *plan)
{
    for (int g = 0; g < plan->group_count; g++) {
        const struct fnl_group *group = &plan->group[g];
        for (int k = group->first * OPERANDS; k < (group->first + group->count) * OPERANDS; k++) {
            struct fnl_slot *slot = plan->step_slot[k] < 0 ? NULL : &plan->slot[plan->step_slot[k]];
            if (slot != NULL) {
                slot->first_group = slot->first_group < 0 ? g : slot->first_group;
                slot->last_group = g;
            }
        }
    }
    /* Shared steps run when all groups have. */
    for (int k = plan->shared_first * OPERANDS; k < plan->step_count * OPERANDS; k++) {
        if (plan->step_slot[k] >= 0) {
            plan->slot[plan->step_slot[k]].last_group = plan->group_count;
        }
    }
    for (int i = 0; i < plan->slot_count; i++) {
        struct fnl_slot *slot = &plan->slot[i];
        bool placed = slot->space == FNL_SPACE_ARENA || slot->space == FNL_SPACE_BATCH;
        if (!placed || slot->first_group < 0) {
            continue;
        }
        const struct fnl_group *g = &plan->group[slot->first_group];
        if (slot->kept) {
            slot->last_group = INT_MAX;
        } else if (slot->space == FNL_SPACE_ARENA && slot->last_group == slot->first_group &&
                   slot->row_bytes > 0 && g->block_rows < plan->shard_rows) {
            slot->one_block = true;
            slot->bytes = slot->row_bytes * g->block_rows;
        }
    }
}

static _Thread_local const struct fnl_slot *sort_slots; /* qsort takes no context */

static int larger_first(const void *a, const void *b)
{
    const struct fnl_slot *x = &sort_slots[*(const int *)a], *y = &sort_slots[*(const int *)b];
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return *(const int *)a - *(const int *)b;
}

static bool live_together(const struct fnl_slot *a, const struct fnl_slot *b)
{
    return a->first_group <= b->last_group && b->first_group <= a->last_group;
}

/* The lowest offset where slot fits among those placed; placed is kept sorted by offset. */
static size_t lowest_gap(const struct fnl_plan *plan, const int *placed, int count,
                         const struct fnl_slot *slot)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct fnl_slot *other = &plan->slot[placed[i]];
        if (!live_together(slot, other)) {
            continue;
        }
        if (other->offset >= at + slot->bytes) {
            break;
        }
        if (other->offset + other->bytes > at) {
            at = other->offset + other->bytes;
        }
    }
    return at;
}

static size_t round_up(size_t n)
{
    return (n + FNL_CACHE_LINE - 1) / FNL_CACHE_LINE * FNL_CACHE_LINE;
}

static int place_slots(struct fnl_plan *plan, enum fnl_space space, size_t *ret_bytes,
                       struct fnl_error *err)
{
    int *order = fnl_malloc(((size_t)plan->slot_count + 1) * 2 * sizeof *order);
    if (order == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    int *placed = order + plan->slot_count + 1;
    int count = 0, done = 0;
    for (int i = 0; i < plan->slot_count; i++) {
        if (plan->slot[i].space == space && plan->slot[i].first_group >= 0) {
            plan->slot[i].bytes = round_up(plan->slot[i].bytes);
            order[count++] = i;
        }
    }
    sort_slots = plan->slot;
    qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int i = 0; i < count; i++) {
        struct fnl_slot *slot = &plan->slot[order[i]];
        slot->offset = lowest_gap(plan, placed, done, slot);
        int k = done++;
        for (; k > 0 && plan->slot[placed[k - 1]].offset > slot->offset; k--) {
            placed[k] = placed[k - 1];
        }
        placed[k] = order[i];
        size_t end = slot->offset + slot->bytes;
        *ret_bytes = end > *ret_bytes ? end : *ret_bytes;
    }
    fnl_free(order);
    return 0;
}

/* Writes the slots' addresses into the steps' operands. */
static void resolve_operands(struct fnl_plan *plan)
{
    for (int s = 0; s < plan->step_count; s++) {
        for (int i = 0; i < OPERANDS; i++) {
            int index = plan->step_slot[s * OPERANDS + i];
            if (index < 0) {
                continue;
            }
            const struct fnl_slot *slot = &plan->slot[index];
            struct fnl_operand *o = i < FNL_STEP_INPUTS ? &plan->step[s].in[i]
                                                        : &plan->step[s].out[i - FNL_STEP_INPUTS];
            o->space = slot->space;
            o->offset = slot->offset;
            o->row_bytes = slot->one_block ? 0 : slot->row_bytes;
        }
    }
}

/* Lets each implementation prepare; scratch of one group's steps lies side by side, so that what a
 * step keeps from block to block is not overwritten by its neighbours. */
static int plan_steps(struct fnl_plan *plan, struct fnl_error *err)
{
    for (int g = 0; g < plan->group_count; g++) {
        size_t scratch = 0;
        for (int k = 0; k < plan->group[g].count; k++) {
            struct fnl_step *s = &plan->step[plan->group[g].first + k];
            s->max_rows = plan->group[g].block_rows;
            int rc = s->impl->plan != NULL ? s->impl->plan(s, plan->graph, &plan->arena, err) : 0;
            if (rc != 0) {
                return rc;
            }
            s->scratch_offset = scratch;
            scratch += round_up(s->scratch_bytes);
        }
        plan->scratch_bytes = scratch > plan->scratch_bytes ? scratch : plan->scratch_bytes;
    }
    for (int i = plan->shared_first; i < plan->step_count; i++) {
        struct fnl_step *s = &plan->step[i];
        s->max_rows = plan->batch_rows;
        int rc = s->impl->plan != NULL ? s->impl->plan(s, plan->graph, &plan->arena, err) : 0;
        if (rc != 0) {
            return rc;
        }
        s->scratch_bytes = round_up(s->scratch_bytes);
        s->scratch_offset = plan->shared_scratch_bytes;
        plan->shared_scratch_bytes += s->scratch_bytes * (size_t)s->parts;
    }
    return 0;
}

int fnl__plan_memory(struct fnl_plan *plan, struct fnl_error *err)
{
    int rc = fnl__plan_share(plan, err);
    rc = rc != 0 ? rc : make_groups(plan, err);
    if (rc != 0) {
        return rc;
    }
    find_lives(plan);
    rc = place_slots(plan, FNL_SPACE_ARENA, &plan->arena_bytes, err);
    rc = rc != 0 ? rc : place_slots(plan, FNL_SPACE_BATCH, &plan->batch_bytes, err);
    if (rc != 0) {
        return rc;
    }
    resolve_operands(plan);
    return plan_steps(plan, err);
}
