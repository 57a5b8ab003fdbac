/* accel.h - an accelerator as a table: the only thing that the engine knows of a GPU.
 *
 *   driver->count, info        what there is (fnl_accel_list gathers all drivers)
 *   driver->open -> fnl_accel  one device with one in-order queue
 *   buf_*, put, get, ...       memory and transfers, in queue order
 *   prog_build -> kernel_get   source text to kernels; compiled code is cached on disk
 *   launch                     in queue order
 *   rec_begin .. rec_end       the launches, fills and copies between them are not run but kept;
 *   rec_run                    runs them all, as often as wanted
 *
 * Everything queued runs in order. A fault of the device may show at any later call; from then on
 * every call of that device fails with FNL_E_DEVICE_LOST and the same message. Buffers outlive the
 * recordings that use them. Not thread-safe: one
 * thread at a time uses a device. */
#ifndef FNL_DEVICE_ACCEL_H
#define FNL_DEVICE_ACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fnl_accel_info {
    char name[24];   /* for --device: "cuda:0", "opencl:1" */
    char model[128]; /* "NVIDIA H100 80GB HBM3"; printable ASCII */
    char vendor[64];
    char driver[128];  /* "CUDA 13.0, driver 580.65" or "OpenCL 3.0 PoCL 3.1+debian" */
    char platform[96]; /* OpenCL: the platform's name; CUDA: "" */
    char uuid[48];     /* CUDA: "GPU-xxxxxxxx-..."; "" when unknown */
    uint64_t memory_bytes;
    int compute_units;
    int capability_major, capability_minor; /* CUDA; 0 otherwise */
    size_t max_group;                       /* most work-items of a group */
    uint64_t local_bytes;                   /* shared memory of a group */
    bool is_cpu;                            /* an OpenCL driver for the processor, such as PoCL */
    bool has_f16, has_f64;                  /* OpenCL: cl_khr_fp16, cl_khr_fp64; CUDA: true */
};

struct fnl_accel_buf;    /* memory on the device */
struct fnl_accel_prog;   /* compiled source */
struct fnl_accel_kernel; /* owned by its program */
struct fnl_accel_rec;    /* a recording */
struct fnl_accel_event;  /* a moment in the queue */

/* The head of each driver's own device struct. */
struct fnl_accel {
    const struct fnl_accel_driver *driver;
    struct fnl_accel_info info;
};

enum fnl_accel_arg_kind { FNL_ARG_BUF, FNL_ARG_I32, FNL_ARG_U32, FNL_ARG_F32 };

/* An argument of a kernel. BUF is a pointer `offset` bytes into a buffer (KPTR in the dialect of
 * engine/kernels/dialect.h: a pointer in CUDA, a pointer and a ulong offset in OpenCL); a NULL buf
 * is a null pointer, which the kernel must not read. */
struct fnl_accel_arg {
    enum fnl_accel_arg_kind kind;
    struct fnl_accel_buf *buf;
    size_t offset;
    union {
        int32_t i32;
        uint32_t u32;
        float f32;
    } as;
};

#define FNL_ACCEL_MAX_ARGS 32
struct fnl_accel_launch {
    struct fnl_accel_kernel *kernel;
    uint32_t groups[3]; /* work-groups (blocks) along x, y, z; >= 1 */
    uint32_t group[3];  /* work-items of a group along x, y, z; >= 1 */
    const struct fnl_accel_arg *arg;
    int arg_count; /* at most FNL_ACCEL_MAX_ARGS */
};

struct fnl_accel_driver {
    const char *name; /* "cuda", "opencl": what stands before the colon of a device's name */

    /* Devices this process may use, in the order of their numbers. Where there is no driver library
     * or no device: 0 devices, returns 0, and why (static text or a message of the library) goes
     * into reason with its remedy in hint. Never crashes; may be slow once (library start-up). */
    int (*count)(int *ret_count, struct fnl_error *reason);
    int (*info)(int index, struct fnl_accel_info *ret_info, struct fnl_error *err);
    /* FNL_E_DEVICE when it is not there (any more), with reason and hint. */
    int (*open)(int index, struct fnl_accel **ret_accel, struct fnl_error *err);
    void (*close)(struct fnl_accel *accel); /* takes NULL; waits for the queue */

    /* bytes >= 1. FNL_E_NOMEM: the message says how much was asked for and how much is free. */
    int (*buf_alloc)(struct fnl_accel *accel, size_t bytes, struct fnl_accel_buf **ret_buf,
                     struct fnl_error *err);
    void (*buf_free)(struct fnl_accel *accel, struct fnl_accel_buf *buf); /* takes NULL */
    int (*memory_free)(struct fnl_accel *accel, uint64_t *ret_bytes);     /* (optional) */

    /* Host memory from which transfers are fastest (page-locked). (optional) */
    void *(*host_alloc)(struct fnl_accel *accel, size_t bytes); /* NULL: none to be had */
    void (*host_free)(struct fnl_accel *accel, void *host);     /* takes NULL */

    /* Host to device. Queued: src must stay as it is until sync or an event behind it. */
    int (*put)(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset, const void *src,
               size_t bytes, struct fnl_error *err);
    /* Device to host; waits for everything queued before it. */
    int (*get)(struct fnl_accel *accel, const struct fnl_accel_buf *src, size_t offset, void *dst,
               size_t bytes, struct fnl_error *err);
    int (*copy)(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t dst_offset,
                const struct fnl_accel_buf *src, size_t src_offset, size_t bytes,
                struct fnl_error *err);
    /* Sets 32-bit words; offset and bytes are multiples of 4. */
    int (*fill)(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset, uint32_t word,
                size_t bytes, struct fnl_error *err);

    int (*sync)(struct fnl_accel *accel, struct fnl_error *err);
    int (*event_create)(struct fnl_accel *accel, struct fnl_accel_event **ret_event,
                        struct fnl_error *err);
    void (*event_free)(struct fnl_accel *accel, struct fnl_accel_event *event); /* takes NULL */
    int (*event_record)(struct fnl_accel *accel, struct fnl_accel_event *event,
                        struct fnl_error *err);
    int (*event_wait)(struct fnl_accel *accel, struct fnl_accel_event *event,
                      struct fnl_error *err);
    /* Device time between two recorded events, nanoseconds; waits for both. (optional) */
    int (*event_elapsed)(struct fnl_accel *accel, struct fnl_accel_event *from,
                         struct fnl_accel_event *to, uint64_t *ret_ns, struct fnl_error *err);

    /* source: the dialect, then a .k file; name: of that file, for messages. defines: "-DA=1 -DB"
     * or "". FNL_E_INTERNAL: the compiler's words, with kernel and line. */
    int (*prog_build)(struct fnl_accel *accel, const char *name, const char *source,
                      const char *defines, struct fnl_accel_prog **ret_prog, struct fnl_error *err);
    void (*prog_free)(struct fnl_accel *accel, struct fnl_accel_prog *prog); /* takes NULL */
    int (*kernel_get)(struct fnl_accel *accel, struct fnl_accel_prog *prog, const char *name,
                      struct fnl_accel_kernel **ret_kernel, struct fnl_error *err);
    int (*launch)(struct fnl_accel *accel, const struct fnl_accel_launch *launch,
                  struct fnl_error *err);

    /* Between the two, launch, fill and copy are recorded (put, get and sync are not legal).
     * After a failed call in between: rec_end, then rec_free. */
    int (*rec_begin)(struct fnl_accel *accel, struct fnl_error *err);
    int (*rec_end)(struct fnl_accel *accel, struct fnl_accel_rec **ret_rec, struct fnl_error *err);
    int (*rec_run)(struct fnl_accel *accel, struct fnl_accel_rec *rec, struct fnl_error *err);
    void (*rec_free)(struct fnl_accel *accel, struct fnl_accel_rec *rec); /* takes NULL */
};

extern const struct fnl_accel_driver fnl_accel_cuda;
extern const struct fnl_accel_driver fnl_accel_opencl;

/* All drivers, NULL-terminated, in the order in which `--device auto` prefers them. */
extern const struct fnl_accel_driver *const fnl_accel_drivers[];

/* Opens "cuda:0", "opencl:1", or "cuda" (its device 0). FNL_E_DEVICE: not there; the message says
 * why and the hint what to do. FNL_E_INVALID: no such kind of device. */
int fnl_accel_open(const char *name, struct fnl_accel **ret_accel, struct fnl_error *err);
void fnl_accel_close(struct fnl_accel *accel); /* takes NULL */
/* What it is, without opening it; errors as fnl_accel_open. */
int fnl_accel_find(const char *name, struct fnl_accel_info *ret_info, struct fnl_error *err);
/* The device that `auto` takes: the fastest that is not the processor by another name. FNL_E_DEVICE
 * where there is none: the message says why. */
int fnl_accel_best(struct fnl_accel_info *ret_info, struct fnl_error *err);
/* Is a faster than b, as far as can be told without trying? */
bool fnl_accel_faster(const struct fnl_accel_info *a, const struct fnl_accel_info *b);
/* Fills err with "no GPU here: why"; why NULL: there are only processors. Returns FNL_E_DEVICE. */
int fnl_accel_no_gpu(const struct fnl_error *why, struct fnl_error *err);
/* Is the name of an accelerator's form ("cuda", "cuda:3", "opencl:0")? */
bool fnl_accel_is_name(const char *name);

#endif
