/* fake_memory.c - memory of the stand-in: an address range that traps, with an OpenCL buffer behind
 * it. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_cuda/fake_int.h"

struct host_memory {
    struct fake_object object;
    void *data;
};

struct fake_memory *fake_find(uint64_t address, size_t bytes)
{
    for (struct fake_object *o = fake_objects(); o != NULL; o = o->next) {
        struct fake_memory *m = (struct fake_memory *)o;
        if (o->kind == FAKE_MEMORY && address >= m->base && address - m->base <= m->bytes &&
            bytes <= m->bytes - (address - m->base)) {
            return m;
        }
    }
    return NULL;
}

static size_t used(void)
{
    size_t bytes = 0;
    for (struct fake_object *o = fake_objects(); o != NULL; o = o->next) {
        bytes += o->kind == FAKE_MEMORY ? ((struct fake_memory *)o)->bytes : 0;
    }
    return bytes;
}

int cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total)
{
    int result = fake_enter_context(FAKE_cuMemGetInfo_v2);
    if (result == FNL_CU_SUCCESS) {
        *ret_total = fake_setup.memory;
        *ret_free = fake_setup.memory - used();
    }
    return result;
}

int cuMemAlloc_v2(uint64_t *ret_address, size_t bytes)
{
    int result = fake_enter_context(FAKE_cuMemAlloc_v2);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (bytes == 0) {
        return FNL_CU_INVALID_VALUE;
    }
    if (bytes > fake_setup.memory - used()) {
        return FNL_CU_OUT_OF_MEMORY;
    }
    const struct fake_cl *cl = fake_cl();
    cl_int rc = CL_SUCCESS;
    cl_mem buffer = cl->clCreateBuffer(cl->context, CL_MEM_READ_WRITE, bytes, NULL, &rc);
    /* One page more, so that the end of one range is never the beginning of another. */
    void *range =
        mmap(NULL, bytes + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rc != CL_SUCCESS || range == MAP_FAILED) {
        return FNL_CU_OUT_OF_MEMORY;
    }
    struct fake_memory *m = fake_new(FAKE_MEMORY, sizeof *m);
    m->base = (uint64_t)(uintptr_t)range;
    m->bytes = bytes;
    m->buffer = buffer;
    *ret_address = m->base;
    return FNL_CU_SUCCESS;
}

void fake_memory_close(struct fake_memory *m)
{
    (void)fake_cl()->clReleaseMemObject(m->buffer);
    (void)munmap((void *)(uintptr_t)m->base, m->bytes + 4096);
}

int cuMemFree_v2(uint64_t address)
{
    int result = fake_enter_context(FAKE_cuMemFree_v2);
    struct fake_memory *m = fake_find(address, 0);
    if (m == NULL || m->base != address) {
        return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_VALUE : result;
    }
    (void)fake_cl()->clFinish(fake_cl()->queue); /* as the real one waits for the device */
    fake_delete(m);
    return result;
}

int cuMemAllocHost_v2(void **ret_host, size_t bytes)
{
    int result = fake_enter_context(FAKE_cuMemAllocHost_v2);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    struct host_memory *h = fake_new(FAKE_HOST, sizeof *h + bytes);
    h->data = h + 1;
    *ret_host = h->data;
    return FNL_CU_SUCCESS;
}

int cuMemFreeHost(void *host)
{
    int result = fake_enter_context(FAKE_cuMemFreeHost);
    for (struct fake_object *o = fake_objects(); o != NULL; o = o->next) {
        if (o->kind == FAKE_HOST && ((struct host_memory *)o)->data == host) {
            (void)fake_cl()->clFinish(fake_cl()->queue);
            fake_delete(o);
            return result;
        }
    }
    return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_VALUE : result;
}

int cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t bytes, struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuMemcpyHtoDAsync_v2);
    if (result == FNL_CU_SUCCESS) {
        result = fake_stream_plain(stream);
    }
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    struct fake_memory *m = fake_find(dst, bytes);
    if (m == NULL) {
        return FNL_CU_INVALID_VALUE;
    }
    /* Not waited for: who changes src too early is found out. */
    const struct fake_cl *cl = fake_cl();
    return cl->clEnqueueWriteBuffer(cl->queue, m->buffer, CL_FALSE, dst - m->base, bytes, src, 0,
                                    NULL, NULL) == CL_SUCCESS
               ? FNL_CU_SUCCESS
               : FNL_CU_UNKNOWN;
}

int cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t bytes, struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuMemcpyDtoHAsync_v2);
    if (result == FNL_CU_SUCCESS) {
        result = fake_stream_plain(stream);
    }
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    struct fake_memory *m = fake_find(src, bytes);
    if (m == NULL) {
        return FNL_CU_INVALID_VALUE;
    }
    const struct fake_cl *cl = fake_cl();
    return cl->clEnqueueReadBuffer(cl->queue, m->buffer, CL_FALSE, src - m->base, bytes, dst, 0,
                                   NULL, NULL) == CL_SUCCESS
               ? FNL_CU_SUCCESS
               : FNL_CU_UNKNOWN;
}

int cuMemcpyDtoDAsync_v2(uint64_t dst, uint64_t src, size_t bytes, struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuMemcpyDtoDAsync_v2);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    const struct fake_node node = {.kind = FAKE_COPY, .dst = dst, .src = src, .bytes = bytes};
    return fake_submit(stream, &node);
}

int cuMemsetD32Async(uint64_t dst, unsigned word, size_t words, struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuMemsetD32Async);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (dst % 4 != 0) {
        return FNL_CU_INVALID_VALUE;
    }
    const struct fake_node node = {.kind = FAKE_FILL, .dst = dst, .bytes = 4 * words, .word = word};
    return fake_submit(stream, &node);
}
