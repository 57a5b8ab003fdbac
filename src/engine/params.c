/* params.c - the parameters of a network in flat blocks, so that the optimiser is one pass over
 * memory.
 *
 * Block 0 holds values: first all trainable parameters, then the state that is not trained. Blocks
 * 1 and 2 hold the optimiser's moments of the trainable part. Each parameter starts on a cache line
 * and lies as its back end likes it (param_layout); padding is zero and stays zero, because its
 * gradient is. */
#include "engine/params_int.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "engine/backend/gpu/gpu_params.h"

#define LINE_FLOATS (FNL_CACHE_LINE / sizeof(float))

static const struct fnl_backend *const backends[] = {&fnl_backend_cpu, &fnl_backend_ref};

const struct fnl_backend *fnl__backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

/* Plain row-major, for back ends and parameters without wishes. */
static int plan_layout(const struct fnl_backend *backend, const struct fnl_graph *g, int value,
                       struct fnl_param *p)
{
    p->layout = (struct fnl_param_layout){.size = p->count};
    return backend->param_layout != NULL ? backend->param_layout(g, value, &p->layout) : 0;
}

/* Fills the table for one kind (trainable or not), placing each parameter. */
static int list_params(struct fnl_params *ps, const struct fnl_graph *g, bool trainable,
                       struct fnl_error *err)
{
    for (int v = 0; v < fnl_graph_value_count(g); v++) {
        const struct fnl_value *value = fnl_graph_value(g, v);
        if (value->kind != FNL_VALUE_PARAM || value->trainable != trainable) {
            continue;
        }
        struct fnl_param *p = &ps->param[ps->param_count];
        p->name = fnl_arena_strdup(&ps->arena, value->name);
        p->shape = value->shape;
        p->count = (size_t)fnl_shape_count(&value->shape, -1);
        p->trainable = trainable;
        p->offset = ps->size;
        if (p->name == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for parameter \"%s\"", value->name);
        }
        int rc = plan_layout(ps->backend, g, v, p);
        if (rc != 0) {
            return FNL_FAIL(err, UNSUPPORTED, NULL, "parameter \"%s\" cannot be laid out",
                            value->name);
        }
        ps->size += (p->layout.size + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
        ps->param_count++;
    }
    return 0;
}

static int count_slots(const struct fnl_optimizer *o)
{
    if (o == NULL) {
        return 1;
    }
    if (o->kind == FNL_SGD) {
        return o->momentum != 0.0F ? 2 : 1;
    }
    return 3;
}

static int alloc_blocks(struct fnl_params *ps, const struct fnl_graph *g, struct fnl_error *err)
{
    for (int s = 0; s < ps->slots; s++) {
        size_t floats = s == 0 ? ps->size : ps->trainable_size;
        if (ps->gpu != NULL) {
            int rc = fnl__gpu_params_alloc(ps->gpu, s, floats, err);
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        ps->block[s] = fnl_alloc_aligned((floats > 0 ? floats : 1) * sizeof(float));
        if (ps->block[s] == NULL) {
            return FNL_FAIL(err, NOMEM, "use a smaller network",
                            "no memory for %zu parameters (%zu MiB)", floats, floats >> 18);
        }
    }
    for (int i = 0; i < ps->param_count; i++) {
        int v = fnl_graph_find_value(g, ps->param[i].name);
        int rc = fnl_params_write(ps, i, 0, fnl_graph_value(g, v)->data, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int build(struct fnl_params *ps, const struct fnl_graph *g, struct fnl_error *err)
{
    int count = fnl_graph_value_count(g);
    ps->param = fnl_arena_array(&ps->arena, (size_t)count + 1, sizeof *ps->param);
    if (ps->param == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for the parameter table");
    }
    int rc = list_params(ps, g, true, err);
    ps->trainable_size = ps->size;
    if (rc == 0) {
        rc = list_params(ps, g, false, err);
    }
    return rc != 0 ? rc : alloc_blocks(ps, g, err);
}

int fnl_params_create(const struct fnl_graph *g, const char *backend,
                      const struct fnl_optimizer *optimizer, struct fnl_params **ret_params,
                      struct fnl_error *err)
{
    bool on_device = fnl_accel_is_name(backend);
    const struct fnl_backend *b = on_device ? &fnl_backend_gpu : fnl__backend_find(backend);
    if (b == NULL) {
        return FNL_FAIL(err, DEVICE, "use cpu", "no back end named \"%s\"", backend);
    }
    struct fnl_params *ps = fnl_calloc(1, sizeof *ps);
    if (ps == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for parameters");
    }
    fnl_arena_init(&ps->arena, FNL_MAX_GRAPH_BYTES);
    ps->backend = b;
    ps->slots = count_slots(optimizer);
    if (optimizer != NULL) {
        ps->optimizer = *optimizer;
    }
    int rc = on_device ? fnl__gpu_params_create(backend, &ps->gpu, err) : 0;
    rc = rc != 0 ? rc : build(ps, g, err);
    if (rc != 0) {
        fnl_params_free(ps);
        return rc;
    }
    *ret_params = ps;
    return 0;
}

void fnl_params_free(struct fnl_params *params)
{
    if (params == NULL) {
        return;
    }
    for (int s = 0; s < 3; s++) {
        fnl_free(params->block[s]);
    }
    fnl__gpu_params_free(params->gpu);
    fnl_arena_free(&params->arena);
    fnl_free(params);
}

int fnl__params_find(const struct fnl_params *params, const char *name)
{
    for (int i = 0; i < params->param_count; i++) {
        if (strcmp(params->param[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int fnl_params_slots(const struct fnl_params *params)
{
    return params->slots;
}

int fnl_params_count(const struct fnl_params *params)
{
    return params->param_count;
}

const char *fnl_params_name(const struct fnl_params *params, int index)
{
    return params->param[index].name;
}

size_t fnl_params_size(const struct fnl_params *params, int index)
{
    return params->param[index].count;
}

bool fnl_params_trainable(const struct fnl_params *params, int index)
{
    return params->param[index].trainable;
}

/* Is there such a slot of such a parameter? */
static int check_slot(const struct fnl_params *params, int index, int slot, struct fnl_error *err)
{
    if (index < 0 || index >= params->param_count || slot < 0 || slot >= params->slots ||
        (slot > 0 && !params->param[index].trainable)) {
        return FNL_FAIL(err, INVALID, NULL, "no slot %d of parameter %d", slot, index);
    }
    return 0;
}

int fnl_params_read(const struct fnl_params *params, int index, int slot, float *dst,
                    struct fnl_error *err)
{
    int rc = check_slot(params, index, slot, err);
    if (rc != 0) {
        return rc;
    }
    const struct fnl_param *p = &params->param[index];
    if (params->gpu != NULL) {
        return fnl__gpu_params_read(params->gpu, slot, p->offset, p->count, dst, err);
    }
    const float *src = params->block[slot] + p->offset;
    if (p->layout.kind == 0) {
        memcpy(dst, src, p->count * sizeof *dst);
    } else {
        params->backend->param_unpack(&p->layout, src, dst);
    }
    return 0;
}

int fnl_params_write(struct fnl_params *params, int index, int slot, const float *src,
                     struct fnl_error *err)
{
    int rc = check_slot(params, index, slot, err);
    if (rc != 0) {
        return rc;
    }
    const struct fnl_param *p = &params->param[index];
    if (params->gpu != NULL) {
        return fnl__gpu_params_write(params->gpu, slot, p->offset, p->count, src, err);
    }
    float *dst = params->block[slot] + p->offset;
    if (p->layout.kind == 0) {
        memcpy(dst, src, p->count * sizeof *dst);
    } else {
        params->backend->param_pack(&p->layout, src, dst);
    }
    return 0;
}

int fnl_params_store(const struct fnl_params *params, struct fnl_graph *g, struct fnl_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < params->param_count; i++) {
        const struct fnl_param *p = &params->param[i];
        int v = fnl_graph_find_value(g, p->name);
        if (v < 0 || !fnl_shape_equal(&fnl_graph_value(g, v)->shape, &p->shape)) {
            continue; /* a parameter of the training graph alone */
        }
        float *plain = fnl_malloc((p->count > 0 ? p->count : 1) * sizeof *plain);
        if (plain == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for parameter \"%s\"", p->name);
        }
        rc = fnl_params_read(params, i, 0, plain, err);
        if (rc == 0) {
            rc = fnl_graph_set_data(g, v, plain, err);
        }
        fnl_free(plain);
    }
    return rc;
}
