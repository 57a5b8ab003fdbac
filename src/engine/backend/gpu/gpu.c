/* gpu.c - an open device with its kernels, and the building of launches (interface in gpu.h).
 *
 * A program is one .k file behind the dialect, with the defines it is asked for with, compiled when
 * the first kernel of it is asked for: a network uses a few of the files. */
#include "engine/backend/gpu/gpu.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/backend/gpu/gpu_rows.h"
#include "engine/kernels/kernels.h"

#define MAX_PROGRAMS 64 /* our files, some of them in several tiles */
/* Groups of a flat launch: enough to fill the largest device, each work-item then loops. */
#define MAX_FLAT_GROUPS 4096
/* Elements of a tensor, at most: kernels count them in u32, and the loop of a flat launch passes
 * the last by up to MAX_FLAT_GROUPS groups. */
#define MAX_ELEMENTS (UINT32_MAX - MAX_FLAT_GROUPS * 1024U)

struct program {
    const char *file; /* as the caller names it: a literal */
    struct fnl_accel_prog *prog;
};

struct fnl_gpu {
    struct fnl_accel *accel;
    struct program program[MAX_PROGRAMS]; /* those built */
    int program_count;
    int owners;
};

int fnl__gpu_open(const char *name, struct fnl_gpu **ret_gpu, struct fnl_error *err)
{
    struct fnl_gpu *gpu = fnl_calloc(1, sizeof *gpu);
    if (gpu == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for a device");
    }
    gpu->owners = 1;
    int rc = fnl_accel_open(name, &gpu->accel, err);
    if (rc != 0) {
        fnl_free(gpu);
        return rc;
    }
    *ret_gpu = gpu;
    return 0;
}

void fnl__gpu_hold(struct fnl_gpu *gpu)
{
    gpu->owners++;
}

void fnl__gpu_release(struct fnl_gpu *gpu)
{
    if (gpu == NULL || --gpu->owners > 0) {
        return;
    }
    for (int i = 0; i < gpu->program_count; i++) {
        gpu->accel->driver->prog_free(gpu->accel, gpu->program[i].prog);
    }
    fnl_accel_close(gpu->accel);
    fnl_free(gpu);
}

struct fnl_accel *fnl__gpu_accel(const struct fnl_gpu *gpu)
{
    return gpu->accel;
}

static int build(struct fnl_gpu *gpu, const struct fnl_kernel_file *f, const char *defines,
                 struct fnl_accel_prog **ret_prog, struct fnl_error *err)
{
    size_t size = strlen(fnl__kernel_dialect) + strlen(f->source) + 64;
    char *source = fnl_malloc(size);
    if (source == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "no memory for the source of %s.k", f->name);
    }
    /* #line: messages of compilers then name the line of the .k file. */
    (void)snprintf(source, size, "%s#line 1 \"%s.k\"\n%s", fnl__kernel_dialect, f->name, f->source);
    int rc = gpu->accel->driver->prog_build(gpu->accel, f->name, source, defines, ret_prog, err);
    fnl_free(source);
    return rc;
}

/* The program of `file`, which is a file's name and the defines it is compiled with. */
static int find_program(struct fnl_gpu *gpu, const char *file, struct fnl_accel_prog **ret_prog,
                        struct fnl_error *err)
{
    for (int i = 0; i < gpu->program_count; i++) {
        if (strcmp(gpu->program[i].file, file) == 0) {
            *ret_prog = gpu->program[i].prog;
            return 0;
        }
    }
    size_t name = strcspn(file, " ");
    const struct fnl_kernel_file *f = fnl__kernel_files;
    while (f->name != NULL && (strlen(f->name) != name || strncmp(f->name, file, name) != 0)) {
        f++;
    }
    if (f->name == NULL || gpu->program_count == MAX_PROGRAMS) {
        return FNL_FAIL(err, INTERNAL, NULL, "there is no file of kernels \"%s\"", file);
    }
    int rc = build(gpu, f, file[name] == 0 ? "" : file + name + 1, ret_prog, err);
    if (rc == 0) {
        gpu->program[gpu->program_count++] = (struct program){file, *ret_prog};
    }
    return rc;
}

int fnl__gpu_kernel(struct fnl_gpu *gpu, const char *file, const char *name,
                    struct fnl_accel_kernel **ret_kernel, struct fnl_error *err)
{
    struct fnl_accel_prog *prog = NULL;
    int rc = find_program(gpu, file, &prog, err);
    return rc != 0 ? rc : gpu->accel->driver->kernel_get(gpu->accel, prog, name, ret_kernel, err);
}

/* ---- a launch ---- */

void fnl__gpu_call(struct fnl_gpu_call *c, struct fnl_gpu_emit *emit, const char *file,
                   const char *name)
{
    c->emit = emit;
    c->file = file;
    c->name = name;
    c->count = 0;
    c->too_large = false;
}

static struct fnl_accel_arg *next_arg(struct fnl_gpu_call *c, enum fnl_accel_arg_kind kind)
{
    static struct fnl_accel_arg beyond; /* more arguments than a launch may have: run() fails */
    int at = c->count++;
    struct fnl_accel_arg *arg = at < FNL_ACCEL_MAX_ARGS ? &c->arg[at] : &beyond;
    *arg = (struct fnl_accel_arg){.kind = kind};
    return arg;
}

void fnl__gpu_u32(struct fnl_gpu_call *c, size_t value)
{
    c->too_large = c->too_large || value > UINT32_MAX;
    next_arg(c, FNL_ARG_U32)->as.u32 = (uint32_t)value;
}

void fnl__gpu_i32(struct fnl_gpu_call *c, int32_t value)
{
    next_arg(c, FNL_ARG_I32)->as.i32 = value;
}

void fnl__gpu_f32(struct fnl_gpu_call *c, float value)
{
    next_arg(c, FNL_ARG_F32)->as.f32 = value;
}

void fnl__gpu_buf(struct fnl_gpu_call *c, struct fnl_accel_buf *buf, size_t offset)
{
    struct fnl_accel_arg *arg = next_arg(c, FNL_ARG_BUF);
    arg->buf = buf;
    arg->offset = offset;
}

void fnl__gpu_ptr(struct fnl_gpu_call *c, const struct fnl_operand *o)
{
    if (o->value < 0) {
        fnl__gpu_buf(c, NULL, 0);
    } else {
        c->too_large = c->too_large || fnl__gpu_count(c->emit, o) > MAX_ELEMENTS;
        fnl__gpu_buf(c, c->emit->space[o->space], o->offset);
    }
}

static int run(struct fnl_gpu_call *c, const struct fnl_accel_launch *sizes, struct fnl_error *err)
{
    struct fnl_accel_launch l = *sizes;
    if (c->count > FNL_ACCEL_MAX_ARGS) {
        return FNL_FAIL(err, INTERNAL, NULL, "%s has %d arguments", c->name, c->count);
    }
    if (c->too_large) {
        return FNL_FAIL(err, LIMIT, "use a smaller batch", "%s: a tensor of 2^32 elements or more",
                        c->name);
    }
    struct fnl_accel *accel = c->emit->gpu->accel;
    int rc = fnl__gpu_kernel(c->emit->gpu, c->file, c->name, &l.kernel, err);
    l.arg = c->arg;
    l.arg_count = c->count;
    rc = rc != 0 ? rc : accel->driver->launch(accel, &l, err);
    c->emit->launches += rc == 0 ? 1 : 0;
    return rc;
}

int fnl__gpu_flat(struct fnl_gpu_call *c, size_t count, struct fnl_error *err)
{
    size_t group = c->emit->group;
    size_t groups = (count + group - 1) / group;
    groups = groups < 1 ? 1 : groups > MAX_FLAT_GROUPS ? MAX_FLAT_GROUPS : groups;
    struct fnl_accel_launch l = {.groups = {(uint32_t)groups, 1, 1},
                                 .group = {(uint32_t)group, 1, 1}};
    return run(c, &l, err);
}

int fnl__gpu_grid(struct fnl_gpu_call *c, size_t groups_x, size_t groups_y, size_t groups_z,
                  uint32_t size_x, uint32_t size_y, struct fnl_error *err)
{
    /* CUDA's limits on y and z are the narrowest. */
    if (groups_x > INT32_MAX || groups_y > 65535 || groups_z > 65535 || groups_x < 1 ||
        groups_y < 1 || groups_z < 1) {
        return FNL_FAIL(err, LIMIT, "use a smaller batch", "%s: %zu x %zu x %zu work-groups",
                        c->name, groups_x, groups_y, groups_z);
    }
    struct fnl_accel_launch l = {
        .groups = {(uint32_t)groups_x, (uint32_t)groups_y, (uint32_t)groups_z},
        .group = {size_x, size_y, 1}};
    return run(c, &l, err);
}

size_t fnl__gpu_dim(const struct fnl_gpu_emit *emit, const struct fnl_operand *o, int d)
{
    return o->shape.dim[d] == FNL_DIM_BATCH ? emit->rows : (size_t)o->shape.dim[d];
}

size_t fnl__gpu_count(const struct fnl_gpu_emit *emit, const struct fnl_operand *o)
{
    return fnl_batched(o) ? emit->rows * o->row_size : o->row_size;
}

/* ---- the back end ---- */

static const struct fnl_op_impl *const impls[] = {
#define ROW(name) &fnl__gpu_##name,
    FNL_GPU_ROWS(ROW)
#undef ROW
        NULL,
};

const struct fnl_backend fnl_backend_gpu = {
    .name = "gpu",
    .impls = impls,
    .views = true,
    .accelerator = true,
};
