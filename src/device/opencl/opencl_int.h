/* opencl_int.h - the OpenCL driver's own types. */
#ifndef FNL_DEVICE_OPENCL_OPENCL_INT_H
#define FNL_DEVICE_OPENCL_OPENCL_INT_H

#include "device/accel.h"
#include "device/opencl/cl_api.h"

struct fnl__cl_accel {
    struct fnl_accel base; /* first */
    const struct fnl__cl *cl;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    uint64_t max_alloc_bytes, used_bytes;
    struct fnl_accel_rec *recording; /* between rec_begin and rec_end */
    struct fnl_error lost;           /* code != 0: the device failed; every call says so */
};

struct fnl_accel_buf {
    cl_mem mem;
    size_t bytes;
};

struct fnl_accel_prog {
    cl_program program;
    char name[64];
    struct fnl_accel_kernel *kernels; /* list */
};

struct fnl_accel_kernel {
    struct fnl_accel_kernel *next;
    struct fnl_accel_prog *prog;
    cl_kernel kernel;
    char name[64];
    size_t max_group;
};

/* Fails with the code's name; a code that tells of a lost device makes the failure last. */
int fnl__cl_fail(struct fnl__cl_accel *a, cl_int code, const char *what, struct fnl_error *err);
/* 0, or the failure of the device that lasts. */
int fnl__cl_alive(const struct fnl__cl_accel *a, struct fnl_error *err);

/* ---- cl_program.c ---- */
int fnl__cl_prog_build(struct fnl_accel *accel, const char *name, const char *source,
                       const char *defines, struct fnl_accel_prog **ret_prog,
                       struct fnl_error *err);
void fnl__cl_prog_free(struct fnl_accel *accel, struct fnl_accel_prog *prog);
int fnl__cl_kernel_get(struct fnl_accel *accel, struct fnl_accel_prog *prog, const char *name,
                       struct fnl_accel_kernel **ret_kernel, struct fnl_error *err);

/* ---- cl_record.c ---- */
int fnl__cl_launch(struct fnl_accel *accel, const struct fnl_accel_launch *launch,
                   struct fnl_error *err);
int fnl__cl_copy(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t dst_offset,
                 const struct fnl_accel_buf *src, size_t src_offset, size_t bytes,
                 struct fnl_error *err);
int fnl__cl_fill(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset, uint32_t word,
                 size_t bytes, struct fnl_error *err);
int fnl__cl_rec_begin(struct fnl_accel *accel, struct fnl_error *err);
int fnl__cl_rec_end(struct fnl_accel *accel, struct fnl_accel_rec **ret_rec, struct fnl_error *err);
int fnl__cl_rec_run(struct fnl_accel *accel, struct fnl_accel_rec *rec, struct fnl_error *err);
void fnl__cl_rec_free(struct fnl_accel *accel, struct fnl_accel_rec *rec);

#endif
