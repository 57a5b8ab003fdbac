/* cuda_queue.c - the queue of a CUDA device: waiting, events, launches and recordings.
 *
 * A recording is a CUDA graph made by capturing the stream: between rec_begin and rec_end the same
 * calls are made as otherwise, and the driver keeps them instead of running them. The capture is
 * relaxed, so memory may be allocated and programs loaded in between. A recording keeps addresses,
 * not buffers: the buffers must live as long as it does.
 *
 * Cost of a launch on the host: one call of the driver (2 to 5 us on common machines); of a replay,
 * one call for the whole graph. Source: "CUDA Driver API", stream capture and graphs. */
#include <string.h>

#include "base/mem.h"
#include "device/cuda/cuda_int.h"

/* Keeps the first failure inside a recording, for rec_end; passes the failure on. `why` is separate
 * from err because that may be NULL. */
int fnl__cuda_done(struct fnl__cuda *d, int rc, const struct fnl_error *why, struct fnl_error *err)
{
    if (rc == 0) {
        return 0;
    }
    if (d->recording && d->spoiled.code == 0) {
        d->spoiled = *why;
    }
    if (err != NULL) {
        *err = *why;
    }
    return rc;
}

int fnl__cuda_sync(struct fnl_accel *accel, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "sync", err);
    if (rc != 0) {
        return rc;
    }
    return fnl__cuda_check(d, d->api->cuStreamSynchronize(d->stream), err,
                           "what was queued failed");
}

/* ---- events ---- */

int fnl__cuda_event_create(struct fnl_accel *accel, struct fnl_accel_event **ret_event,
                           struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter(d, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_accel_event *event = fnl_calloc(1, sizeof *event);
    if (event == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", d->head.info.name);
    }
    rc = fnl__cuda_check(d, d->api->cuEventCreate(&event->event, FNL_CU_EVENT_DEFAULT), err,
                         "cannot make an event");
    if (rc != 0) {
        fnl_free(event);
        return rc;
    }
    *ret_event = event;
    return 0;
}

void fnl__cuda_event_free(struct fnl_accel *accel, struct fnl_accel_event *event)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    if (event != NULL) {
        (void)d->api->cuCtxSetCurrent(d->context);
        (void)d->api->cuEventDestroy_v2(event->event);
        fnl_free(event);
    }
}

int fnl__cuda_event_record(struct fnl_accel *accel, struct fnl_accel_event *event,
                           struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "event_record", err);
    if (rc != 0) {
        return rc;
    }
    return fnl__cuda_check(d, d->api->cuEventRecord(event->event, d->stream), err,
                           "cannot record an event");
}

int fnl__cuda_event_wait(struct fnl_accel *accel, struct fnl_accel_event *event,
                         struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "event_wait", err);
    if (rc != 0) {
        return rc;
    }
    return fnl__cuda_check(d, d->api->cuEventSynchronize(event->event), err,
                           "what was queued before an event failed");
}

int fnl__cuda_event_elapsed(struct fnl_accel *accel, struct fnl_accel_event *from,
                            struct fnl_accel_event *to, uint64_t *ret_ns, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    float ms = 0.0f;
    if (d->api->cuEventElapsedTime == NULL) {
        return FNL_FAIL(err, UNSUPPORTED, NULL, "%s: this driver measures no time",
                        d->head.info.name);
    }
    int rc = fnl__cuda_event_wait(accel, from, err);
    if (rc == 0) {
        rc = fnl__cuda_event_wait(accel, to, err);
    }
    if (rc == 0) {
        rc = fnl__cuda_check(d, d->api->cuEventElapsedTime(&ms, from->event, to->event), err,
                             "cannot tell the time between two events");
    }
    if (rc == 0) {
        *ret_ns = ms > 0.0f ? (uint64_t)((double)ms * 1e6) : 0;
    }
    return rc;
}

/* ---- launches ---- */

/* A kernel's arguments as the driver takes them: a pointer to each, then NULL. A kernel with more
 * parameters than were given ends at the NULL and not in what happens to follow. */
struct packed {
    uint64_t value[FNL_ACCEL_MAX_ARGS];
    void *pointer[FNL_ACCEL_MAX_ARGS + 1];
};

static void pack(const struct fnl_accel_launch *l, struct packed *p)
{
    for (int i = 0; i < l->arg_count; i++) {
        const struct fnl_accel_arg *arg = &l->arg[i];
        if (arg->kind == FNL_ARG_BUF) {
            p->value[i] = arg->buf == NULL ? 0 : arg->buf->address + arg->offset;
        } else {
            memcpy(&p->value[i], &arg->as, sizeof arg->as); /* i32, u32, f32: 4 bytes each */
        }
        p->pointer[i] = &p->value[i];
    }
    p->pointer[l->arg_count] = NULL;
}

static int check_launch(const struct fnl__cuda *d, const struct fnl_accel_launch *l,
                        struct fnl_error *err)
{
    uint64_t items = (uint64_t)l->group[0] * l->group[1] * l->group[2];
    uint64_t groups = (uint64_t)l->groups[0] * l->groups[1] * l->groups[2];
    bool fits = items >= 1 && items <= d->head.info.max_group && groups >= 1 && l->arg_count >= 0 &&
                l->arg_count <= FNL_ACCEL_MAX_ARGS;
    for (int i = 0; fits && i < l->arg_count; i++) {
        const struct fnl_accel_arg *arg = &l->arg[i];
        fits = arg->kind != FNL_ARG_BUF || arg->buf == NULL || arg->offset <= arg->buf->bytes;
    }
    if (!fits) {
        return FNL_FAIL(err, INTERNAL, NULL,
                        "%s: kernel %s: a launch of %u x %u x %u groups of %u x %u x %u with %d "
                        "arguments is not possible",
                        d->head.info.name, l->kernel->name, l->groups[0], l->groups[1],
                        l->groups[2], l->group[0], l->group[1], l->group[2], l->arg_count);
    }
    return 0;
}

int fnl__cuda_launch(struct fnl_accel *accel, const struct fnl_accel_launch *launch,
                     struct fnl_error *err)
{
    const struct fnl_accel_launch *l = launch;
    struct fnl__cuda *d = fnl__cuda_of(accel);
    struct fnl_error why; /* set by whatever fails */
    struct packed p;
    int rc = fnl__cuda_enter(d, &why);
    if (rc == 0) {
        rc = check_launch(d, l, &why);
    }
    if (rc == 0) {
        pack(l, &p);
        int result = d->api->cuLaunchKernel(l->kernel->function, l->groups[0], l->groups[1],
                                            l->groups[2], l->group[0], l->group[1], l->group[2], 0,
                                            d->stream, p.pointer, NULL);
        rc = fnl__cuda_check(d, result, &why, "kernel %s, %u x %u x %u groups of %u x %u x %u",
                             l->kernel->name, l->groups[0], l->groups[1], l->groups[2], l->group[0],
                             l->group[1], l->group[2]);
    }
    return fnl__cuda_done(d, rc, &why, err);
}

/* ---- recordings ---- */

int fnl__cuda_rec_begin(struct fnl_accel *accel, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "rec_begin", err);
    if (rc == 0) {
        rc = fnl__cuda_check(d, d->api->cuStreamBeginCapture_v2(d->stream, FNL_CU_CAPTURE_RELAXED),
                             err, "cannot start a recording");
    }
    if (rc == 0) {
        d->recording = true;
        d->spoiled.code = 0;
    }
    return rc;
}

/* The graph that was captured, made ready to run. */
static int instantiate(struct fnl__cuda *d, struct fnl_cu_graph *graph,
                       struct fnl_accel_rec **ret_rec, struct fnl_error *err)
{
    struct fnl_accel_rec *rec = fnl_calloc(1, sizeof *rec);
    if (rec == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", d->head.info.name);
    }
    int rc = fnl__cuda_check(d, d->api->cuGraphInstantiateWithFlags(&rec->exec, graph, 0), err,
                             "cannot make a recording ready");
    if (rc != 0) {
        fnl_free(rec);
        return rc;
    }
    *ret_rec = rec;
    return 0;
}

int fnl__cuda_rec_end(struct fnl_accel *accel, struct fnl_accel_rec **ret_rec,
                      struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    struct fnl_cu_graph *graph = NULL;
    if (!d->recording) {
        return FNL_FAIL(err, INTERNAL, NULL, "%s: rec_end without rec_begin", d->head.info.name);
    }
    d->recording = false;
    int rc = fnl__cuda_enter(d, err);
    if (rc == 0) { /* also when spoiled: the stream must leave its capture */
        int result = d->api->cuStreamEndCapture(d->stream, &graph);
        rc = d->spoiled.code != 0 ? d->spoiled.code
                                  : fnl__cuda_check(d, result, err, "cannot end a recording");
        if (d->spoiled.code != 0 && err != NULL) {
            *err = d->spoiled;
        }
    }
    if (rc == 0) {
        rc = instantiate(d, graph, ret_rec, err);
    }
    if (graph != NULL) {
        (void)d->api->cuGraphDestroy(graph);
    }
    return rc;
}

int fnl__cuda_rec_run(struct fnl_accel *accel, struct fnl_accel_rec *rec, struct fnl_error *err)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    int rc = fnl__cuda_enter_outside(d, "rec_run", err);
    if (rc != 0) {
        return rc;
    }
    return fnl__cuda_check(d, d->api->cuGraphLaunch(rec->exec, d->stream), err,
                           "cannot run a recording");
}

void fnl__cuda_rec_free(struct fnl_accel *accel, struct fnl_accel_rec *rec)
{
    struct fnl__cuda *d = fnl__cuda_of(accel);
    if (rec != NULL) {
        (void)d->api->cuCtxSetCurrent(d->context);
        (void)d->api->cuGraphExecDestroy(rec->exec);
        fnl_free(rec);
    }
}
