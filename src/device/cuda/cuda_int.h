/* cuda_int.h - what the files of device/cuda share. */
#ifndef FNL_DEVICE_CUDA_CUDA_INT_H
#define FNL_DEVICE_CUDA_CUDA_INT_H

#include "device/accel.h"
#include "device/cuda/cuda_api.h"

struct fnl__cuda {
    struct fnl_accel head;
    const struct fnl__cuda_api *api;
    int device;
    struct fnl_cu_context *context; /* the device's primary one, which vendors' libraries share */
    struct fnl_cu_stream *stream;   /* the queue */
    struct fnl_error lost;          /* code 0 while the device is well */
    bool recording;
    struct fnl_error spoiled; /* the first failure inside a recording; code 0: none */
};

struct fnl_accel_buf {
    uint64_t address;
    size_t bytes;
};

struct fnl_accel_event {
    struct fnl_cu_event *event;
};

struct fnl_accel_rec {
    struct fnl_cu_graph_exec *exec;
};

struct fnl_accel_kernel {
    struct fnl_accel_kernel *next;
    struct fnl_cu_function *function;
    char name[];
};

struct fnl_accel_prog {
    struct fnl_cu_module *module;
    struct fnl_accel_kernel *kernels;
    char name[];
};

static inline struct fnl__cuda *fnl__cuda_of(struct fnl_accel *accel)
{
    return (struct fnl__cuda *)accel;
}

/* ---- cuda_error.c ---- */

/* 0 when the result is success; else an error "cuda:0: what: CUDA_ERROR_X (its text)". A result
 * after which the context is of no use makes the device lost. */
int fnl__cuda_check(struct fnl__cuda *d, int result, struct fnl_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same before there is a device; index < 0: of the driver as a whole. */
int fnl__cuda_fail(const struct fnl__cuda_api *api, int index, int result, struct fnl_error *err,
                   const char *what);
/* First thing of every call: FNL_E_DEVICE_LOST when it is lost; makes the context this thread's. */
int fnl__cuda_enter(struct fnl__cuda *d, struct fnl_error *err);
/* The same for calls that may not stand in a recording. */
int fnl__cuda_enter_outside(struct fnl__cuda *d, const char *call, struct fnl_error *err);
/* Ends a call that may stand in a recording: a failure is kept for rec_end (cuda_queue.c). */
int fnl__cuda_done(struct fnl__cuda *d, int rc, const struct fnl_error *why, struct fnl_error *err);
/* Why there is no device, and what to do: from CUDA_VISIBLE_DEVICES and /dev. Returns code. */
int fnl__cuda_no_device(struct fnl_error *err, const char *dev_folder);
/* Out of memory: with what is free. */
int fnl__cuda_out_of_memory(struct fnl__cuda *d, const char *kind, size_t bytes,
                            struct fnl_error *err);

/* ---- slots of the table (cuda.c) ---- */
int fnl__cuda_buf_alloc(struct fnl_accel *accel, size_t bytes, struct fnl_accel_buf **ret_buf,
                        struct fnl_error *err);
void fnl__cuda_buf_free(struct fnl_accel *accel, struct fnl_accel_buf *buf);
int fnl__cuda_memory_free(struct fnl_accel *accel, uint64_t *ret_bytes);
void *fnl__cuda_host_alloc(struct fnl_accel *accel, size_t bytes);
void fnl__cuda_host_free(struct fnl_accel *accel, void *host);
int fnl__cuda_put(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset,
                  const void *src, size_t bytes, struct fnl_error *err);
int fnl__cuda_get(struct fnl_accel *accel, const struct fnl_accel_buf *src, size_t offset,
                  void *dst, size_t bytes, struct fnl_error *err);
int fnl__cuda_copy(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t dst_offset,
                   const struct fnl_accel_buf *src, size_t src_offset, size_t bytes,
                   struct fnl_error *err);
int fnl__cuda_fill(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset, uint32_t word,
                   size_t bytes, struct fnl_error *err);

int fnl__cuda_sync(struct fnl_accel *accel, struct fnl_error *err);
int fnl__cuda_event_create(struct fnl_accel *accel, struct fnl_accel_event **ret_event,
                           struct fnl_error *err);
void fnl__cuda_event_free(struct fnl_accel *accel, struct fnl_accel_event *event);
int fnl__cuda_event_record(struct fnl_accel *accel, struct fnl_accel_event *event,
                           struct fnl_error *err);
int fnl__cuda_event_wait(struct fnl_accel *accel, struct fnl_accel_event *event,
                         struct fnl_error *err);
int fnl__cuda_event_elapsed(struct fnl_accel *accel, struct fnl_accel_event *from,
                            struct fnl_accel_event *to, uint64_t *ret_ns, struct fnl_error *err);

int fnl__cuda_prog_build(struct fnl_accel *accel, const char *name, const char *source,
                         const char *defines, struct fnl_accel_prog **ret_prog,
                         struct fnl_error *err);
void fnl__cuda_prog_free(struct fnl_accel *accel, struct fnl_accel_prog *prog);
int fnl__cuda_kernel_get(struct fnl_accel *accel, struct fnl_accel_prog *prog, const char *name,
                         struct fnl_accel_kernel **ret_kernel, struct fnl_error *err);

int fnl__cuda_launch(struct fnl_accel *accel, const struct fnl_accel_launch *launch,
                     struct fnl_error *err);
int fnl__cuda_rec_begin(struct fnl_accel *accel, struct fnl_error *err);
int fnl__cuda_rec_end(struct fnl_accel *accel, struct fnl_accel_rec **ret_rec,
                      struct fnl_error *err);
int fnl__cuda_rec_run(struct fnl_accel *accel, struct fnl_accel_rec *rec, struct fnl_error *err);
void fnl__cuda_rec_free(struct fnl_accel *accel, struct fnl_accel_rec *rec);

#endif
