/* gpu_update.c - the optimiser's update as launches (interface in gpu_update.h). */
#include "engine/backend/gpu/gpu_update.h"

int fnl__gpu_update(struct fnl_gpu_emit *emit, const struct fnl_gpu_update *u, bool scaled,
                    struct fnl_error *err)
{
    const struct fnl_optimizer *o = u->optimizer;
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "optimizer", o->kind == FNL_SGD ? "sgd" : "adam");
    fnl__gpu_u32(&c, u->count);
    fnl__gpu_buf(&c, emit->control, 0);
    fnl__gpu_buf(&c, u->rates, 0);
    fnl__gpu_buf(&c, u->gradient, 0);
    fnl__gpu_buf(&c, u->block[0], 0);
    fnl__gpu_buf(&c, u->block[1], 0);
    if (o->kind == FNL_SGD) {
        fnl__gpu_f32(&c, o->momentum);
        fnl__gpu_i32(&c, o->nesterov ? 1 : 0);
        fnl__gpu_f32(&c, o->weight_decay);
    } else {
        fnl__gpu_buf(&c, u->block[2], 0);
        fnl__gpu_f32(&c, o->beta1);
        fnl__gpu_f32(&c, o->beta2);
        fnl__gpu_f32(&c, o->epsilon);
        fnl__gpu_f32(&c, o->weight_decay);
        fnl__gpu_i32(&c, o->kind == FNL_ADAMW ? 1 : 0);
    }
    fnl__gpu_f32(&c, o->clip_value);
    fnl__gpu_i32(&c, scaled ? 1 : 0);
    return fnl__gpu_flat(&c, u->count, err);
}

int fnl__gpu_norm(struct fnl_gpu_emit *emit, const struct fnl_gpu_update *u,
                  struct fnl_accel_buf *partial, size_t groups, float limit, struct fnl_error *err)
{
    struct fnl_gpu_call c;
    fnl__gpu_call(&c, emit, "optimizer", "norm2");
    fnl__gpu_u32(&c, u->count);
    fnl__gpu_buf(&c, u->gradient, 0);
    fnl__gpu_buf(&c, partial, 0);
    int rc = fnl__gpu_grid(&c, groups, 1, 1, emit->group, 1, err);
    fnl__gpu_call(&c, emit, "optimizer", "norm2_scale");
    fnl__gpu_u32(&c, groups);
    fnl__gpu_buf(&c, partial, 0);
    fnl__gpu_buf(&c, emit->control, 0);
    fnl__gpu_f32(&c, limit);
    return rc != 0 ? rc : fnl__gpu_grid(&c, 1, 1, 1, 256, 1, err);
}
