/* optimizer.h - one step of an optimiser, ready for the loop; for kernels that update what they
 * have just computed, while it is in cache.
 *
 *   fnl_k_rule(update, &rule)            once; what depends on the step alone is computed here
 *   fnl_k_rule_run(&rule, begin, end)    any range, any order
 *
 * The caller may point value, slot1, slot2 and gradient elsewhere between the two. */
#ifndef FNL_ENGINE_BACKEND_CPU_ISA_OPTIMIZER_H
#define FNL_ENGINE_BACKEND_CPU_ISA_OPTIMIZER_H

#include "engine/backend/cpu/isa/vops.h"
#include "engine/impl.h"

/* Shared by the files of this folder, one of each a build. */
#define fnl_k_rule FNL_K(rule)
#define fnl_k_rule_run FNL_K(rule_run)

struct fnl_rule {
    enum fnl_optimizer_kind kind;
    float *value, *slot1, *slot2;
    float *const *gradient;
    int gradient_count;
    bool simple; /* one gradient, no clamp, no decay added to it, no momentum */
    bool clips, decays, has_momentum, nesterov;
    fnl_vf scale, clip, decay, rate, momentum;
    fnl_vf beta1, rest1, beta2, rest2; /* rest = 1 - beta */
    fnl_vf inv_root2, epsilon, step_size, shrink;
};

void fnl_k_rule(const struct fnl_update *u, struct fnl_rule *r);
void fnl_k_rule_run(const struct fnl_rule *r, size_t begin, size_t end);

#endif
