/* gpu_params.c - the parameter blocks of a network on a device (interface in gpu_params.h). */
#include "engine/backend/gpu/gpu_params.h"

#include "base/mem.h"

int fnl__gpu_params_create(const char *device, struct fnl_gpu_params **ret_params,
                           struct fnl_error *err)
{
    struct fnl_gpu_params *p = fnl_calloc(1, sizeof *p);
    if (p == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for parameters");
    }
    int rc = fnl__gpu_open(device, &p->gpu, err);
    if (rc != 0) {
        fnl_free(p);
        return rc;
    }
    *ret_params = p;
    return 0;
}

void fnl__gpu_params_free(struct fnl_gpu_params *p)
{
    if (p == NULL) {
        return;
    }
    struct fnl_accel *accel = fnl__gpu_accel(p->gpu);
    for (int b = 0; b < 3; b++) {
        accel->driver->buf_free(accel, p->block[b]);
    }
    fnl__gpu_release(p->gpu);
    fnl_free(p);
}

int fnl__gpu_params_alloc(struct fnl_gpu_params *p, int block, size_t floats, struct fnl_error *err)
{
    struct fnl_accel *accel = fnl__gpu_accel(p->gpu);
    size_t count = floats > 0 ? floats : 1;
    int rc = accel->driver->buf_alloc(accel, count * sizeof(float), &p->block[block], err);
    if (rc != 0) {
        return fnl_error_context(err, rc, "%zu parameters", floats);
    }
    p->size[block] = floats;
    return accel->driver->fill(accel, p->block[block], 0, 0, count * sizeof(float), err);
}

int fnl__gpu_params_read(const struct fnl_gpu_params *p, int block, size_t offset, size_t count,
                         float *dst, struct fnl_error *err)
{
    struct fnl_accel *accel = fnl__gpu_accel(p->gpu);
    return accel->driver->get(accel, p->block[block], offset * sizeof(float), dst,
                              count * sizeof(float), err);
}

int fnl__gpu_params_write(struct fnl_gpu_params *p, int block, size_t offset, size_t count,
                          const float *src, struct fnl_error *err)
{
    struct fnl_accel *accel = fnl__gpu_accel(p->gpu);
    int rc = accel->driver->put(accel, p->block[block], offset * sizeof(float), src,
                                count * sizeof(float), err);
    return rc != 0 ? rc : accel->driver->sync(accel, err);
}
