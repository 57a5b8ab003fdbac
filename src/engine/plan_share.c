/* plan_share.c - which steps threads share, instead of each doing it for its own shard.
 *
 * Gradients of parameters that an implementation offers in parts (impl.h). Nothing in the plan
 * reads a parameter's gradient, so these steps go behind all others, and run when the loss is
 * known; what they read must be there for the whole batch until then. */
#include <string.h>

#include "base/mem.h"
#include "engine/plan.h"

enum { OPERANDS = FNL_STEP_INPUTS + FNL_STEP_OUTPUTS };

/* May threads share this step? It must end in a gradient alone: nothing in the plan reads those. */
static int parts_of(const struct fnl_plan *plan, int step)
{
    const struct fnl_step *s = &plan->step[step];
    const int *slot = &plan->step_slot[step * OPERANDS + FNL_STEP_INPUTS];
    bool may = plan->training && plan->backend->shards && s->impl->parts != NULL &&
               s->out_count == 1 && slot[0] >= 0 && plan->slot[slot[0]].space == FNL_SPACE_GRADIENT;
    return may ? s->impl->parts(s, plan->graph, plan->threads) : 0;
}

/* What a shared step reads must be there for the whole batch. */
static void see_batch(struct fnl_plan *plan, int step)
{
    for (int i = 0; i < FNL_STEP_INPUTS; i++) {
        int index = plan->step_slot[step * OPERANDS + i];
        struct fnl_slot *slot = index < 0 ? NULL : &plan->slot[index];
        if (slot != NULL && slot->space == FNL_SPACE_ARENA && slot->row_bytes > 0) {
            slot->space = FNL_SPACE_BATCH;
            slot->bytes = slot->row_bytes * plan->batch_rows;
        }
    }
}

int fnl__plan_share(struct fnl_plan *plan, struct fnl_error *err)
{
    size_t count = (size_t)plan->step_count + 1;
    struct fnl_step *step = fnl_malloc(count * sizeof *step);
    int *slot = fnl_malloc(count * OPERANDS * sizeof *slot), front = 0, back = 0;
    if (step == NULL || slot == NULL) {
        fnl_free(step);
        fnl_free(slot);
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a plan");
    }
    for (int s = 0; s < plan->step_count; s++) {
        plan->step[s].bf16 = plan->bf16;
        plan->step[s].parts = parts_of(plan, s);
        front += plan->step[s].parts > 0 ? 0 : 1;
    }
    plan->shared_first = front;
    front = 0;
    back = plan->shared_first;
    for (int s = 0; s < plan->step_count; s++) {
        if (plan->step[s].parts > 0) {
            see_batch(plan, s);
        }
        int to = plan->step[s].parts > 0 ? back++ : front++;
        step[to] = plan->step[s];
        memcpy(&slot[to * OPERANDS], &plan->step_slot[s * OPERANDS], OPERANDS * sizeof *slot);
    }
    fnl_free(plan->step);
    fnl_free(plan->step_slot);
    plan->step = step;
    plan->step_slot = slot;
    return 0;
}
