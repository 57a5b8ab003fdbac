/* loader.c - batches of floats from a dataset.
 *
 *   create -> { start(epoch, first) -> next ... next (rows 0) } ... -> free
 *
 * Batch b of epoch e is a pure function of (seed, e, b): the permutation is drawn from (seed, e),
 * the changes to a sample from (seed, e, its place in the epoch). So prefetching, and resuming in
 * the middle of an epoch, give the same bits.
 *
 * With prefetch > 0 a thread of the loader's own fills a ring of prefetch + 1 slots; one of them
 * may be in the caller's hands. Invariants, under `lock`:
 *  1. taken <= made <= taken + slots; the caller holds slot taken (mod slots) when `holding`.
 *  2. The thread fills slot made (mod slots) only while `filling`; nobody else touches it then.
 *  3. Settings (epoch, order, batch range) change only while !running and !filling.
 * The thread sleeps when the ring is full and is woken when half of it is free, so that a fast
 * caller does not pay a wake-up a batch.
 *
 * Cost: one pass over the batch's bytes. Nothing is allocated after create. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/data_int.h"

struct slot {
    float *x; /* batch * sample_size */
    int32_t *labels;
    float *targets;
    struct fnl_batch batch;
};

struct fnl_loader {
    const struct fnl_dataset *d;
    struct fnl_loader_options options;
    struct fnl__convert convert;
    struct fnl__augment augment;
    bool augmenting;
    size_t batches;
    uint32_t epoch;
    uint32_t *order; /* shuffle: the epoch's permutation; else NULL */
    void *scratch;   /* augmenting: one sample */
    struct slot slot[FNL_MAX_PREFETCH + 1];
    size_t slots;

    size_t made, taken; /* batch indices: next to fill, next to hand out or still held */
    bool holding;
    /* prefetch only */
    bool threaded, running, filling, stop;
    bool thread_sleeps, caller_waits;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work; /* to the thread */
    pthread_cond_t done; /* to the caller */
};

/* --- filling one batch ------------------------------------------------------------------------ */

static size_t sample_index(const struct fnl_loader *l, size_t position)
{
    return l->order != NULL ? l->order[position] : position;
}

static void convert(const struct fnl_loader *l, const void *src, float *dst, size_t count)
{
    if (l->d->dtype == FNL_U8) {
        l->convert.u8(&l->convert, src, dst, count);
    } else {
        l->convert.f32(&l->convert, src, dst, count);
    }
}

/* Asks for the first lines of a sample that is far away in memory. */
static void touch(const void *sample, size_t bytes)
{
    const char *p = sample;
    for (size_t i = 0; i < bytes && i < 1024; i += FNL_CACHE_LINE) {
        __builtin_prefetch(p + i);
    }
}

static void fill_samples(struct fnl_loader *l, struct slot *s, size_t first, size_t rows)
{
    const size_t each = l->d->sample_size, bytes = each * fnl_dtype_size(l->d->dtype);
    const char *samples = l->d->samples;
    s->batch.x = s->x;
    if (l->order == NULL && !l->augmenting) {
        if (s->x == NULL) { /* floats as they are: no copy */
            s->batch.x = (const float *)l->d->samples + first * each;
        } else {
            convert(l, samples + first * bytes, s->x, rows * each);
        }
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        const void *src = samples + sample_index(l, first + r) * bytes;
        if (r + 1 < rows) {
            touch(samples + sample_index(l, first + r + 1) * bytes, bytes);
        }
        if (l->augmenting) {
            uint32_t word[4];
            fnl_rng_at(l->options.seed, FNL_RNG_AUGMENT, l->epoch, first + r, word);
            fnl__augment_sample(&l->augment, l->d, src, l->scratch, word);
            src = l->scratch;
        }
        convert(l, src, s->x + r * each, each);
    }
}

static void fill_targets(const struct fnl_loader *l, struct slot *s, size_t first, size_t rows)
{
    const struct fnl_dataset *d = l->d;
    bool classes = d->target_kind == FNL_TARGET_CLASS;
    if (l->order == NULL) {
        s->batch.labels = classes ? d->labels + first : NULL;
        s->batch.targets = classes ? NULL : d->targets + first * d->target_size;
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        size_t i = l->order[first + r];
        if (classes) {
            s->labels[r] = d->labels[i];
        } else {
            memcpy(s->targets + r * d->target_size, d->targets + i * d->target_size,
                   d->target_size * sizeof(float));
        }
    }
    s->batch.labels = classes ? s->labels : NULL;
    s->batch.targets = classes ? NULL : s->targets;
}

static void fill(struct fnl_loader *l, struct slot *s, size_t index)
{
    size_t first = index * l->options.batch, left = l->d->count - first;
    size_t rows = left < l->options.batch ? left : l->options.batch;
    s->batch.rows = rows;
    fill_samples(l, s, first, rows);
    fill_targets(l, s, first, rows);
}

/* --- the thread ------------------------------------------------------------------------------- */

static bool has_work(const struct fnl_loader *l)
{
    return l->running && l->made < l->batches && l->made - l->taken < l->slots;
}

static void *thread_main(void *arg)
{
    struct fnl_loader *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (!has_work(l)) {
            l->thread_sleeps = true;
            pthread_cond_wait(&l->work, &l->lock);
            l->thread_sleeps = false;
            continue;
        }
        size_t index = l->made;
        l->filling = true;
        pthread_mutex_unlock(&l->lock);
        fill(l, &l->slot[index % l->slots], index);
        pthread_mutex_lock(&l->lock);
        l->filling = false;
        l->made++;
        if (l->caller_waits) {
            pthread_cond_signal(&l->done);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals are the main thread's affair. */
static int start_thread(struct fnl_loader *l, struct fnl_error *err)
{
    sigset_t all, before;
    (void)pthread_mutex_init(&l->lock, NULL); /* these three cannot fail on Linux */
    (void)pthread_cond_init(&l->work, NULL);
    (void)pthread_cond_init(&l->done, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&l->thread, NULL, thread_main, l);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->threaded = number == 0;
    if (number != 0) {
        return FNL_FAIL(err, BUSY, "allow more threads (ulimit -u), or use no prefetch",
                        "cannot start the thread that prepares batches: %s", strerror(number));
    }
    return 0;
}

static void stop_thread(struct fnl_loader *l)
{
    if (!l->threaded) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    (void)pthread_mutex_destroy(&l->lock);
    (void)pthread_cond_destroy(&l->work);
    (void)pthread_cond_destroy(&l->done);
}

/* The thread's next batch; it is there when this returns. */
static struct slot *take_from_thread(struct fnl_loader *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->holding) {
        l->taken++;
        l->holding = false;
    }
    struct slot *s = NULL;
    if (l->taken < l->batches) {
        if (l->thread_sleeps && l->made - l->taken <= l->slots / 2 && has_work(l)) {
            pthread_cond_signal(&l->work);
        }
        while (l->made == l->taken) {
            l->caller_waits = true;
            pthread_cond_wait(&l->done, &l->lock);
            l->caller_waits = false;
        }
        s = &l->slot[l->taken % l->slots];
        l->holding = true;
    }
    pthread_mutex_unlock(&l->lock);
    return s;
}

/* Waits until the thread has its hands off everything. */
static void pause_thread(struct fnl_loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->running = false;
    while (l->filling) {
        l->caller_waits = true;
        pthread_cond_wait(&l->done, &l->lock);
        l->caller_waits = false;
    }
    pthread_mutex_unlock(&l->lock);
}

static void resume_thread(struct fnl_loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->running = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
}

/* --- interface -------------------------------------------------------------------------------- */

static int check_options(const struct fnl_loader_options *o, const struct fnl_dataset *d,
                         struct fnl_error *err)
{
    if (o->batch < 1 || o->batch > FNL_MAX_BATCH) {
        return FNL_FAIL(err, INVALID, NULL, "a batch of %zu rows (1 to %d)", o->batch,
                        FNL_MAX_BATCH);
    }
    if (o->prefetch < 0 || o->prefetch > FNL_MAX_PREFETCH) {
        return FNL_FAIL(err, INVALID, NULL, "%d batches ahead (0 to %d)", o->prefetch,
                        FNL_MAX_PREFETCH);
    }
    if (d->count == 0 || d->count > FNL_MAX_SAMPLES) {
        return FNL_FAIL(err, INVALID, NULL, "a loader needs samples");
    }
    return 0;
}

/* Floats that need no conversion and stay in order are handed out where they lie. */
static bool lends_samples(const struct fnl_loader *l)
{
    return l->d->dtype == FNL_F32 && l->convert.channels == 0 && !l->options.shuffle &&
           !l->augmenting;
}

static int make_slots(struct fnl_loader *l, struct fnl_error *err)
{
    const struct fnl_dataset *d = l->d;
    size_t rows = l->options.batch < d->count ? l->options.batch : d->count, bytes = 0;
    bool fail = __builtin_mul_overflow(rows, d->sample_size * sizeof(float), &bytes);
    l->slots = l->options.prefetch > 0 ? (size_t)l->options.prefetch + 1 : 1;
    for (size_t i = 0; i < l->slots && !fail; i++) {
        struct slot *s = &l->slot[i];
        if (!lends_samples(l)) {
            s->x = fnl_alloc_aligned(bytes);
            fail = s->x == NULL;
        }
        if (l->options.shuffle && d->target_kind == FNL_TARGET_CLASS) {
            s->labels = fnl_alloc_aligned(rows * sizeof *s->labels);
            fail = fail || s->labels == NULL;
        } else if (l->options.shuffle) {
            s->targets = fnl_alloc_aligned(rows * d->target_size * sizeof *s->targets);
            fail = fail || s->targets == NULL;
        }
    }
    if (l->options.shuffle) {
        l->order = fnl_malloc(d->count * sizeof *l->order);
        fail = fail || l->order == NULL;
    }
    if (l->augmenting) {
        l->scratch = fnl_alloc_aligned(d->sample_size * fnl_dtype_size(d->dtype));
        fail = fail || l->scratch == NULL;
    }
    return fail ? FNL_FAIL(err, NOMEM, "use a smaller batch or less prefetch",
                           "out of memory for batches of %zu rows", rows)
                : 0;
}

int fnl_loader_create(const struct fnl_data_config *config, const struct fnl_splits *splits,
                      const struct fnl_dataset *dataset, const struct fnl_loader_options *options,
                      struct fnl_loader **ret_loader, struct fnl_error *err)
{
    int rc = check_options(options, dataset, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_loader *l = fnl_calloc(1, sizeof *l);
    if (l == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    l->d = dataset;
    l->options = *options;
    l->batches = dataset->count / options->batch +
                 (!options->drop_last && dataset->count % options->batch != 0);
    if (config != NULL && options->augment) {
        l->augment = config->augment;
        l->augmenting = fnl__augment_active(&l->augment);
    }
    l->made = l->taken = l->batches; /* no epoch is running */
    if (l->augmenting && dataset->sample.rank != 3) {
        rc = FNL_FAIL(err, CONFIG, "remove data.augment",
                      "data.augment changes images, and these samples are rows");
    }
    if (rc == 0) {
        rc =
            fnl__convert_init(&l->convert, options->normalize ? &splits->normalization : NULL, err);
    }
    if (rc == 0) {
        rc = make_slots(l, err);
    }
    if (rc == 0 && options->prefetch > 0) {
        rc = start_thread(l, err);
    }
    if (rc != 0) {
        fnl_loader_free(l);
        return rc;
    }
    *ret_loader = l;
    return 0;
}

void fnl_loader_free(struct fnl_loader *loader)
{
    if (loader == NULL) {
        return;
    }
    stop_thread(loader);
    for (size_t i = 0; i < loader->slots; i++) {
        fnl_free(loader->slot[i].x);
        fnl_free(loader->slot[i].labels);
        fnl_free(loader->slot[i].targets);
    }
    fnl_free(loader->order);
    fnl_free(loader->scratch);
    fnl__convert_free(&loader->convert);
    fnl_free(loader);
}

size_t fnl_loader_batches(const struct fnl_loader *loader)
{
    return loader->batches;
}

void fnl_loader_order(const struct fnl_loader *loader, uint32_t epoch, uint32_t *dst)
{
    if (loader->options.shuffle) {
        fnl_rng_permutation(loader->options.seed, FNL_RNG_SHUFFLE, epoch, dst, loader->d->count);
        return;
    }
    for (size_t i = 0; i < loader->d->count; i++) {
        dst[i] = (uint32_t)i;
    }
}

int fnl_loader_start(struct fnl_loader *loader, uint32_t epoch, size_t first, struct fnl_error *err)
{
    if (first > loader->batches) {
        return FNL_FAIL(err, INVALID, NULL, "batch %zu of an epoch of %zu", first, loader->batches);
    }
    if (loader->threaded) {
        pause_thread(loader);
    }
    loader->epoch = epoch;
    loader->made = loader->taken = first;
    loader->holding = false;
    if (loader->order != NULL) {
        fnl_rng_permutation(loader->options.seed, FNL_RNG_SHUFFLE, epoch, loader->order,
                            loader->d->count);
    }
    if (loader->threaded) {
        resume_thread(loader);
    }
    return 0;
}

int fnl_loader_next(struct fnl_loader *loader, struct fnl_batch *ret_batch, struct fnl_error *err)
{
    (void)err; /* filling cannot fail; a loader that reads from disk could */
    struct slot *s = NULL;
    if (loader->threaded) {
        s = take_from_thread(loader);
    } else if (loader->taken < loader->batches) {
        s = &loader->slot[0];
        fill(loader, s, loader->taken++);
    }
    *ret_batch = s != NULL ? s->batch : (struct fnl_batch){0};
    return 0;
}
