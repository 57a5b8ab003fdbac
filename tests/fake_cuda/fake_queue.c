/* fake_queue.c - streams, events and graphs of the stand-in. All streams share one OpenCL queue in
 * order; a graph is the list of what was submitted while its stream was capturing. */
#include <stdlib.h>
#include <string.h>

#include "fake_cuda/fake_int.h"

struct fnl_cu_stream {
    struct fake_object object;
    bool capturing, invalid; /* invalid: something not legal was called inside the capture */
    struct fake_node *first, **end;
};

struct fnl_cu_event {
    struct fake_object object;
    cl_event marker; /* NULL: not recorded */
};

struct fnl_cu_graph {
    struct fake_object object;
    struct fake_node *first;
};

struct fnl_cu_graph_exec {
    struct fake_object object;
    struct fake_node *first;
};

static void free_nodes(struct fake_node *node)
{
    while (node != NULL) {
        struct fake_node *next = node->next;
        free(node);
        node = next;
    }
}

void fake_queue_close(void *object, enum fake_kind kind)
{
    switch (kind) {
    case FAKE_STREAM:
        free_nodes(((struct fnl_cu_stream *)object)->first);
        break;
    case FAKE_GRAPH:
        free_nodes(((struct fnl_cu_graph *)object)->first);
        break;
    case FAKE_EXEC:
        free_nodes(((struct fnl_cu_graph_exec *)object)->first);
        break;
    case FAKE_EVENT:
        if (((struct fnl_cu_event *)object)->marker != NULL) {
            (void)fake_cl()->clReleaseEvent(((struct fnl_cu_event *)object)->marker);
        }
        break;
    default:
        break;
    }
}

/* ---- running ---- */

static int run(const struct fake_node *n)
{
    const struct fake_cl *cl = fake_cl();
    if (n->kind == FAKE_LAUNCH) {
        return fake_setup.noop ? FNL_CU_SUCCESS : fake_launch(n);
    }
    struct fake_memory *to = fake_find(n->dst, n->bytes);
    struct fake_memory *from = n->kind == FAKE_COPY ? fake_find(n->src, n->bytes) : to;
    if (to == NULL || from == NULL) {
        return fake_die(FNL_CU_ILLEGAL_ADDRESS);
    }
    cl_int rc;
    if (n->kind == FAKE_COPY) {
        rc = cl->clEnqueueCopyBuffer(cl->queue, from->buffer, to->buffer, n->src - from->base,
                                     n->dst - to->base, n->bytes, 0, NULL, NULL);
    } else {
        rc = cl->clEnqueueFillBuffer(cl->queue, to->buffer, &n->word, sizeof n->word,
                                     n->dst - to->base, n->bytes, 0, NULL, NULL);
    }
    return rc == CL_SUCCESS ? FNL_CU_SUCCESS : FNL_CU_UNKNOWN;
}

static struct fake_node *copy_node(const struct fake_node *node)
{
    struct fake_node *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        abort();
    }
    *copy = *node;
    copy->next = NULL;
    return copy;
}

/* Ranges are checked when submitted, as the real driver does with copies and fills. */
static bool legal(const struct fake_node *n)
{
    return n->kind == FAKE_LAUNCH ||
           (fake_find(n->dst, n->bytes) != NULL &&
            (n->kind == FAKE_FILL || fake_find(n->src, n->bytes) != NULL));
}

int fake_submit(struct fnl_cu_stream *stream, const struct fake_node *node)
{
    if (!fake_is(stream, FAKE_STREAM)) {
        return FNL_CU_INVALID_HANDLE;
    }
    if (!legal(node)) {
        return FNL_CU_INVALID_VALUE;
    }
    if (!stream->capturing) {
        return run(node);
    }
    if (stream->invalid) {
        return FNL_CU_STREAM_CAPTURE_INVALIDATED;
    }
    *stream->end = copy_node(node);
    stream->end = &(*stream->end)->next;
    return FNL_CU_SUCCESS;
}

int fake_stream_plain(struct fnl_cu_stream *stream)
{
    if (!fake_is(stream, FAKE_STREAM)) {
        return FNL_CU_INVALID_HANDLE;
    }
    if (stream->capturing) {
        stream->invalid = true;
        return FNL_CU_STREAM_CAPTURE_UNSUPPORTED;
    }
    return FNL_CU_SUCCESS;
}

/* ---- streams ---- */

int cuStreamCreate(struct fnl_cu_stream **ret_stream, unsigned flags)
{
    int result = fake_enter_context(FAKE_cuStreamCreate);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (flags > FNL_CU_STREAM_NON_BLOCKING) {
        return FNL_CU_INVALID_VALUE;
    }
    *ret_stream = fake_new(FAKE_STREAM, sizeof **ret_stream);
    return FNL_CU_SUCCESS;
}

int cuStreamDestroy_v2(struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuStreamDestroy_v2);
    if (!fake_is(stream, FAKE_STREAM)) {
        return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_HANDLE : result;
    }
    fake_delete(stream);
    return result;
}

int cuStreamSynchronize(struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuStreamSynchronize);
    (void)fake_cl()->clFinish(fake_cl()->queue); /* also when it fails: nothing writes later */
    return result != FNL_CU_SUCCESS ? result : fake_stream_plain(stream);
}

/* ---- events ---- */

int cuEventCreate(struct fnl_cu_event **ret_event, unsigned flags)
{
    int result = fake_enter_context(FAKE_cuEventCreate);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (flags != FNL_CU_EVENT_DEFAULT) {
        return FNL_CU_INVALID_VALUE;
    }
    *ret_event = fake_new(FAKE_EVENT, sizeof **ret_event);
    return FNL_CU_SUCCESS;
}

int cuEventDestroy_v2(struct fnl_cu_event *event)
{
    int result = fake_enter_context(FAKE_cuEventDestroy_v2);
    if (!fake_is(event, FAKE_EVENT)) {
        return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_HANDLE : result;
    }
    fake_delete(event);
    return result;
}

int cuEventRecord(struct fnl_cu_event *event, struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuEventRecord);
    if (result == FNL_CU_SUCCESS) {
        result = fake_stream_plain(stream);
    }
    if (result == FNL_CU_SUCCESS && !fake_is(event, FAKE_EVENT)) {
        result = FNL_CU_INVALID_HANDLE;
    }
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    const struct fake_cl *cl = fake_cl();
    if (event->marker != NULL) {
        (void)cl->clReleaseEvent(event->marker);
        event->marker = NULL;
    }
    return cl->clEnqueueMarkerWithWaitList(cl->queue, 0, NULL, &event->marker) == CL_SUCCESS
               ? FNL_CU_SUCCESS
               : FNL_CU_UNKNOWN;
}

int cuEventSynchronize(struct fnl_cu_event *event)
{
    int result = fake_enter_context(FAKE_cuEventSynchronize);
    if (result == FNL_CU_SUCCESS && !fake_is(event, FAKE_EVENT)) {
        result = FNL_CU_INVALID_HANDLE;
    }
    if (result == FNL_CU_SUCCESS && event->marker != NULL) {
        (void)fake_cl()->clWaitForEvents(1, &event->marker);
    }
    return result;
}

int cuEventElapsedTime(float *ret_ms, struct fnl_cu_event *from, struct fnl_cu_event *to)
{
    const struct fake_cl *cl = fake_cl();
    cl_ulong begin = 0, end = 0;
    int result = fake_enter_context(FAKE_cuEventElapsedTime);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (!fake_is(from, FAKE_EVENT) || !fake_is(to, FAKE_EVENT) || from->marker == NULL ||
        to->marker == NULL) {
        return FNL_CU_INVALID_HANDLE;
    }
    (void)cl->clGetEventProfilingInfo(from->marker, CL_PROFILING_COMMAND_END, sizeof begin, &begin,
                                      NULL);
    (void)cl->clGetEventProfilingInfo(to->marker, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    *ret_ms = end > begin ? (float)(end - begin) / 1e6f : 0.0f;
    return FNL_CU_SUCCESS;
}

/* ---- launches and graphs ---- */

int cuStreamBeginCapture_v2(struct fnl_cu_stream *stream, int mode)
{
    int result = fake_enter_context(FAKE_cuStreamBeginCapture_v2);
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    if (!fake_is(stream, FAKE_STREAM) || stream->capturing || mode < 0 || mode > 2) {
        return FNL_CU_INVALID_VALUE;
    }
    stream->capturing = true;
    stream->invalid = false;
    stream->first = NULL;
    stream->end = &stream->first;
    return FNL_CU_SUCCESS;
}

int cuStreamEndCapture(struct fnl_cu_stream *stream, struct fnl_cu_graph **ret_graph)
{
    int result = fake_enter_context(FAKE_cuStreamEndCapture);
    if (!fake_is(stream, FAKE_STREAM) || !stream->capturing) {
        return FNL_CU_INVALID_VALUE;
    }
    stream->capturing = false;
    struct fake_node *first = stream->first;
    stream->first = NULL;
    *ret_graph = NULL;
    if (result == FNL_CU_SUCCESS && stream->invalid) {
        result = FNL_CU_STREAM_CAPTURE_INVALIDATED;
    }
    if (result != FNL_CU_SUCCESS) {
        free_nodes(first);
        return result;
    }
    *ret_graph = fake_new(FAKE_GRAPH, sizeof **ret_graph);
    (*ret_graph)->first = first;
    return FNL_CU_SUCCESS;
}

int cuGraphInstantiateWithFlags(struct fnl_cu_graph_exec **ret_exec, struct fnl_cu_graph *graph,
                                unsigned long long flags)
{
    int result = fake_enter_context(FAKE_cuGraphInstantiateWithFlags);
    if (result == FNL_CU_SUCCESS && (!fake_is(graph, FAKE_GRAPH) || flags != 0)) {
        result = FNL_CU_INVALID_VALUE;
    }
    if (result != FNL_CU_SUCCESS) {
        return result;
    }
    struct fnl_cu_graph_exec *exec = fake_new(FAKE_EXEC, sizeof *exec);
    struct fake_node **end = &exec->first;
    for (const struct fake_node *n = graph->first; n != NULL; n = n->next) {
        *end = copy_node(n);
        end = &(*end)->next;
    }
    *ret_exec = exec;
    return FNL_CU_SUCCESS;
}

int cuGraphLaunch(struct fnl_cu_graph_exec *exec, struct fnl_cu_stream *stream)
{
    int result = fake_enter_context(FAKE_cuGraphLaunch);
    if (result == FNL_CU_SUCCESS) {
        result = fake_stream_plain(stream);
    }
    if (result == FNL_CU_SUCCESS && !fake_is(exec, FAKE_EXEC)) {
        result = FNL_CU_INVALID_HANDLE;
    }
    if (result != FNL_CU_SUCCESS || fake_setup.noop) {
        return result;
    }
    for (const struct fake_node *n = exec->first; n != NULL && result == FNL_CU_SUCCESS;
         n = n->next) {
        result = run(n);
    }
    return result;
}

int cuGraphExecDestroy(struct fnl_cu_graph_exec *exec)
{
    int result = fake_enter_context(FAKE_cuGraphExecDestroy);
    if (!fake_is(exec, FAKE_EXEC)) {
        return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_HANDLE : result;
    }
    fake_delete(exec);
    return result;
}

int cuGraphDestroy(struct fnl_cu_graph *graph)
{
    int result = fake_enter_context(FAKE_cuGraphDestroy);
    if (!fake_is(graph, FAKE_GRAPH)) {
        return result == FNL_CU_SUCCESS ? FNL_CU_INVALID_HANDLE : result;
    }
    fake_delete(graph);
    return result;
}
