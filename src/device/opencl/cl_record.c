/* cl_record.c - launches, fills and copies, run at once or kept as a list.
 *
 * A recording is an array of commands; each launch has a kernel object of its own with its
 * arguments set, so that replaying sets nothing. (cl_khr_command_buffer would be the driver's own
 * form of this; where it is offered today it runs the commands one by one just so.) */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "device/opencl/opencl_int.h"

enum command_kind { LAUNCH, COPY, FILL };

struct command {
    enum command_kind kind;
    cl_kernel kernel; /* LAUNCH; owned when recorded */
    const char *name;
    size_t global[3], local[3];
    cl_mem dst, src; /* COPY, FILL */
    size_t dst_offset, src_offset, bytes;
    cl_uint word;
};

struct fnl_accel_rec {
    struct command *command;
    size_t count, capacity;
};

static int run_command(struct fnl__cl_accel *a, const struct command *c, struct fnl_error *err)
{
    cl_int code = CL_SUCCESS;
    switch (c->kind) {
    case LAUNCH:
        code = a->cl->clEnqueueNDRangeKernel(a->queue, c->kernel, 3, NULL, c->global, c->local, 0,
                                             NULL, NULL);
        break;
    case COPY:
        code = a->cl->clEnqueueCopyBuffer(a->queue, c->src, c->dst, c->src_offset, c->dst_offset,
                                          c->bytes, 0, NULL, NULL);
        break;
    case FILL:
        code = a->cl->clEnqueueFillBuffer(a->queue, c->dst, &c->word, sizeof c->word, c->dst_offset,
                                          c->bytes, 0, NULL, NULL);
        break;
    }
    if (code == CL_SUCCESS) {
        return 0;
    }
    char what[96];
    snprintf(what, sizeof what, "%s",
             c->kind == LAUNCH ? c->name
             : c->kind == COPY ? "a copy on the device"
                               : "a fill on the device");
    return fnl__cl_fail(a, code, what, err);
}

/* Runs the command, or keeps it. A kernel that is kept is released with the recording. */
static int do_command(struct fnl__cl_accel *a, const struct command *c, struct fnl_error *err)
{
    struct fnl_accel_rec *r = a->recording;
    if (r == NULL) {
        return run_command(a, c, err);
    }
    if (r->count == FNL_MAX_RECORDED) {
        return FNL_FAIL(err, LIMIT, NULL, "%s: a recording of more than %d commands",
                        a->base.info.name, FNL_MAX_RECORDED);
    }
    if (r->count == r->capacity) {
        size_t capacity = r->capacity * 2 + 32;
        struct command *grown = fnl_realloc(r->command, capacity * sizeof *grown);
        if (grown == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "no memory for a recording");
        }
        r->command = grown;
        r->capacity = capacity;
    }
    r->command[r->count++] = *c;
    return 0;
}

/* ---- arguments ---- */

static cl_int set_args(const struct fnl__cl_accel *a, cl_kernel kernel,
                       const struct fnl_accel_launch *l, int *ret_index)
{
    cl_uint at = 0;
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < l->arg_count && code == CL_SUCCESS; i++) {
        const struct fnl_accel_arg *arg = &l->arg[i];
        *ret_index = i;
        if (arg->kind == FNL_ARG_BUF) { /* a pointer, then the offset in bytes: see KPTR */
            cl_ulong offset = arg->offset;
            code = a->cl->clSetKernelArg(kernel, at++, sizeof(cl_mem),
                                         arg->buf != NULL ? &arg->buf->mem : NULL);
            code = code != CL_SUCCESS ? code
                                      : a->cl->clSetKernelArg(kernel, at++, sizeof offset, &offset);
        } else {
            code = a->cl->clSetKernelArg(kernel, at++, sizeof arg->as.u32, &arg->as);
        }
    }
    return code;
}

static int check_sizes(const struct fnl__cl_accel *a, const struct fnl_accel_launch *l,
                       struct fnl_error *err)
{
    size_t items = (size_t)l->group[0] * l->group[1] * l->group[2];
    if (items > l->kernel->max_group) {
        return FNL_FAIL(err, DEVICE, "train on another device; list them with: fournil devices",
                        "%s: %s wants groups of %zu work-items, the device allows %zu",
                        a->base.info.name, l->kernel->name, items, l->kernel->max_group);
    }
    return 0;
}

int fnl__cl_launch(struct fnl_accel *accel, const struct fnl_accel_launch *launch,
                   struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    struct command c = {
        .kind = LAUNCH, .kernel = launch->kernel->kernel, .name = launch->kernel->name};
    int rc = fnl__cl_alive(a, err);
    rc = rc != 0 ? rc : check_sizes(a, launch, err);
    if (rc != 0) {
        return rc;
    }
    cl_int code = CL_SUCCESS;
    if (a->recording != NULL) {
        c.kernel =
            a->cl->clCreateKernel(launch->kernel->prog->program, launch->kernel->name, &code);
        if (c.kernel == NULL) {
            return fnl__cl_fail(a, code, launch->kernel->name, err);
        }
    }
    int index = 0;
    code = set_args(a, c.kernel, launch, &index);
    if (code != CL_SUCCESS) {
        rc = FNL_FAIL(err, INTERNAL, NULL, "%s: %s: argument %d of %d: %s", a->base.info.name,
                      launch->kernel->name, index, launch->arg_count, fnl__cl_error_name(code));
    }
    for (int d = 0; d < 3; d++) {
        c.local[d] = launch->group[d];
        c.global[d] = (size_t)launch->groups[d] * launch->group[d];
    }
    rc = rc != 0 ? rc : do_command(a, &c, err);
    if (rc != 0 && a->recording != NULL) {
        (void)a->cl->clReleaseKernel(c.kernel);
    }
    return rc;
}

int fnl__cl_copy(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t dst_offset,
                 const struct fnl_accel_buf *src, size_t src_offset, size_t bytes,
                 struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    struct command c = {.kind = COPY,
                        .dst = dst->mem,
                        .src = src->mem,
                        .dst_offset = dst_offset,
                        .src_offset = src_offset,
                        .bytes = bytes};
    int rc = fnl__cl_alive(a, err);
    return rc != 0 || bytes == 0 ? rc : do_command(a, &c, err);
}

int fnl__cl_fill(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset, uint32_t word,
                 size_t bytes, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    struct command c = {
        .kind = FILL, .dst = dst->mem, .dst_offset = offset, .bytes = bytes, .word = word};
    int rc = fnl__cl_alive(a, err);
    return rc != 0 || bytes == 0 ? rc : do_command(a, &c, err);
}

/* ---- recordings ---- */

int fnl__cl_rec_begin(struct fnl_accel *accel, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    if (rc != 0) {
        return rc;
    }
    a->recording = fnl_calloc(1, sizeof *a->recording);
    return a->recording != NULL ? 0 : FNL_FAIL(err, NOMEM, NULL, "no memory for a recording");
}

int fnl__cl_rec_end(struct fnl_accel *accel, struct fnl_accel_rec **ret_rec, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    (void)err;
    *ret_rec = a->recording;
    a->recording = NULL;
    return 0;
}

int fnl__cl_rec_run(struct fnl_accel *accel, struct fnl_accel_rec *rec, struct fnl_error *err)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    int rc = fnl__cl_alive(a, err);
    for (size_t i = 0; rc == 0 && i < rec->count; i++) {
        rc = run_command(a, &rec->command[i], err);
    }
    return rc;
}

void fnl__cl_rec_free(struct fnl_accel *accel, struct fnl_accel_rec *rec)
{
    struct fnl__cl_accel *a = (struct fnl__cl_accel *)accel;
    if (rec == NULL) {
        return;
    }
    for (size_t i = 0; i < rec->count; i++) {
        if (rec->command[i].kind == LAUNCH) {
            (void)a->cl->clReleaseKernel(rec->command[i].kernel);
        }
    }
    fnl_free(rec->command);
    fnl_free(rec);
}
