/* cuda_memory.c - buffers, page-locked host memory and transfers of a CUDA device. All transfers
 * are queued on the device's stream; get() waits for its own. */
#include "base/mem.h"
#include "device/cuda/cuda_int.h"

int fnl__cuda_buf_alloc(struct fnl_accel *accel, size_t bytes, struct fnl_accel_buf **ret_buf,
                        struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter(d, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_accel_buf *buf = fnl_calloc(1, sizeof *buf);
    if (buf == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", d->head.info.name);
    }
    int result = d->api->cuMemAlloc_v2(&buf->address, bytes);
    if (result == FNL_CU_OUT_OF_MEMORY) {
        fnl_free(buf);
        return fnl__cuda_out_of_memory(d, "GPU memory", bytes, err);
    }
    rc = fnl__cuda_check(d, result, err, "cannot allocate %zu bytes", bytes);
    if (rc != 0) {
        fnl_free(buf);
        return rc;
    }
    buf->bytes = bytes;
    *ret_buf = buf;
    return 0;
}

void fnl__cuda_buf_free(struct fnl_accel *accel, struct fnl_accel_buf *buf)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    if (buf != NULL) {
        (void)d->api->cuCtxSetCurrent(d->context);
        (void)d->api->cuMemFree_v2(buf->address);
        fnl_free(buf);
    }
}

int fnl__cuda_memory_free(struct fnl_accel *accel, uint64_t *ret_bytes)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    size_t free_bytes = 0, total = 0;
    int rc = fnl__cuda_enter(d, NULL);
    if (rc != 0) {
        return rc;
    }
    if (d->api->cuMemGetInfo_v2 == NULL) {
        return FNL_E_UNSUPPORTED;
    }
    rc = fnl__cuda_check(d, d->api->cuMemGetInfo_v2(&free_bytes, &total), NULL,
                         "cannot read the free memory");
    if (rc == 0) {
        *ret_bytes = free_bytes;
    }
    return rc;
}

void *fnl__cuda_host_alloc(struct fnl_accel *accel, size_t bytes)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    void *host = NULL;
    bool can = d->api->cuMemAllocHost_v2 != NULL && d->api->cuMemFreeHost != NULL;
    if (!can || fnl__cuda_enter(d, NULL) != 0 ||
        fnl__cuda_check(d, d->api->cuMemAllocHost_v2(&host, bytes), NULL,
                        "cannot allocate page-locked memory") != 0) {
        return NULL;
    }
    return host;
}

void fnl__cuda_host_free(struct fnl_accel *accel, void *host)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    if (host != NULL) {
        (void)d->api->cuCtxSetCurrent(d->context);
        (void)d->api->cuMemFreeHost(host);
    }
}

/* A caller's mistake, but one that would write into somebody else's memory. */
static int check_range(const struct fnl__cuda *d, const struct fnl_accel_buf *buf, size_t offset,
                       size_t bytes, struct fnl_error *err)
{
    if (offset > buf->bytes || bytes > buf->bytes - offset) {
        return FNL_FAIL(err, INTERNAL, NULL, "%s: bytes %zu to %zu of a buffer of %zu",
                        d->head.info.name, offset, offset + bytes, buf->bytes);
    }
    return 0;
}

int fnl__cuda_put(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset,
                  const void *src, size_t bytes, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "put", err);
    if (rc == 0) {
        rc = check_range(d, dst, offset, bytes, err);
    }
    if (rc != 0 || bytes == 0) {
        return rc;
    }
    return fnl__cuda_check(
        d, d->api->cuMemcpyHtoDAsync_v2(dst->address + offset, src, bytes, d->stream), err,
        "cannot copy %zu bytes to the device", bytes);
}

int fnl__cuda_get(struct fnl_accel *accel, const struct fnl_accel_buf *src, size_t offset,
                  void *dst, size_t bytes, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "get", err);
    if (rc == 0) {
        rc = check_range(d, src, offset, bytes, err);
    }
    if (rc == 0 && bytes != 0) {
        rc = fnl__cuda_check(
            d, d->api->cuMemcpyDtoHAsync_v2(dst, src->address + offset, bytes, d->stream), err,
            "cannot copy %zu bytes from the device", bytes);
    }
    if (rc == 0) {
        rc = fnl__cuda_check(d, d->api->cuStreamSynchronize(d->stream), err,
                             "the work before a copy of %zu bytes failed", bytes);
    }
    return rc;
}

int fnl__cuda_copy(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t dst_offset,
                   const struct fnl_accel_buf *src, size_t src_offset, size_t bytes,
                   struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    struct fnl_error why; /* set by whatever fails */
    int rc = fnl__cuda_enter(d, &why);
    if (rc == 0) {
        rc = check_range(d, dst, dst_offset, bytes, &why);
    }
    if (rc == 0) {
        rc = check_range(d, src, src_offset, bytes, &why);
    }
    if (rc == 0 && bytes != 0) {
        rc = fnl__cuda_check(d,
                             d->api->cuMemcpyDtoDAsync_v2(dst->address + dst_offset,
                                                          src->address + src_offset, bytes,
                                                          d->stream),
                             &why, "cannot copy %zu bytes on the device", bytes);
    }
    return fnl__cuda_done(d, rc, &why, err);
}

int fnl__cuda_fill(struct fnl_accel *accel, struct fnl_accel_buf *dst, size_t offset, uint32_t word,
                   size_t bytes, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    struct fnl_error why; /* set by whatever fails */
    int rc = fnl__cuda_enter(d, &why);
    if (rc == 0) {
        rc = check_range(d, dst, offset, bytes, &why);
    }
    if (rc == 0 && (offset % 4 != 0 || bytes % 4 != 0)) {
        rc = FNL_FAIL(&why, INTERNAL, NULL, "%s: fill of %zu bytes at %zu: not whole words",
                      d->head.info.name, bytes, offset);
    }
    if (rc == 0 && bytes != 0) {
        rc = fnl__cuda_check(
            d, d->api->cuMemsetD32Async(dst->address + offset, word, bytes / 4, d->stream), &why,
            "cannot fill %zu bytes", bytes);
    }
    return fnl__cuda_done(d, rc, &why, err);
}
