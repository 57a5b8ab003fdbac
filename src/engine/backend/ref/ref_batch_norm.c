/* ref_batch_norm.c - BatchNormalization: x[N, C, ...], one mean and variance a channel.
 *
 * In training mode the batch's own mean and biased variance normalise, and move the running
 * statistics (inputs 3 and 4) in place: running = running * momentum + batch * (1 - momentum). The
 * biased variance goes into the running one too, as in ONNX and Keras (PyTorch takes the unbiased
 * one there). The statistics are those of the whole batch, so the shards meet: run() sums a shard
 * up in its scratch, merge() adds the shards in order and hands the result to all, finish() uses
 * it. With M elements a channel and xhat = (x - mean) / std,
 *   dx = scale / std * (dy - mean(dy) - xhat * mean(dy * xhat)).
 * Sources: Ioffe, Szegedy, "Batch Normalization", 2015; Chan, Golub, LeVeque, "Updating Formulae
 * and a Pairwise Algorithm for Computing Sample Variances", 1979 (two sums of squares into one). */
#include <math.h>

#include "engine/backend/ref/ref_int.h"

/* Elements of each channel, and where the i-th of channel c stands. */
static size_t channel_size(const struct fnl_ref_tensor *x)
{
    return x->count / x->dim[1];
}

static size_t channel_element(const struct fnl_ref_tensor *x, size_t c, size_t i)
{
    size_t pixels = fnl__ref_extent(x, 2, x->rank);
    return (i / pixels * x->dim[1] + c) * pixels + i % pixels;
}

/* ---- inference ---- */

static void normalize(const struct fnl_step *step, const struct fnl_run *run, size_t c, double mean,
                      double inverse)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0), y = fnl__ref_out(step, run, 0);
    double scale = fnl__ref_in(step, run, 1).at[c], bias = fnl__ref_in(step, run, 2).at[c];
    for (size_t i = 0; i < channel_size(&x); i++) {
        size_t at = channel_element(&x, c, i);
        y.at[at] = (float)(((double)x.at[at] - mean) * inverse * scale + bias);
    }
}

static bool is_inference(const struct fnl_graph *g, const struct fnl_node *node)
{
    (void)g;
    return !node->attrs.training && node->output_count == 1;
}

static void run_inference(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor mean = fnl__ref_in(step, run, 3), variance = fnl__ref_in(step, run, 4);
    for (size_t c = 0; c < mean.count; c++) {
        double inverse = 1.0 / sqrt((double)variance.at[c] + (double)step->node->attrs.epsilon);
        normalize(step, run, c, mean.at[c], inverse);
    }
}

FNL_REF_IMPL(batch_normalization, BATCH_NORMALIZATION, "p", .supports = is_inference,
             .run = run_inference);

/* ---- training ---- */

/* A channel's statistics in a shard's scratch: first of the shard's rows, after merge() of all. */
struct moments {
    double count, mean, squares; /* squares: sum of (x - mean)^2 */
};

static struct moments *moments_of(const struct fnl_run *run)
{
    return (struct moments *)(void *)run->scratch;
}

static bool is_training(const struct fnl_graph *g, const struct fnl_node *node)
{
    (void)g;
    return node->attrs.training;
}

static int plan_training(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                         struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    step->scratch_bytes = (size_t)step->in[0].shape.dim[1] * sizeof(struct moments);
    return 0;
}

static void sum_training(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0);
    size_t M = channel_size(&x);
    for (size_t c = 0; c < x.dim[1]; c++) {
        struct moments m = {.count = (double)M};
        for (size_t i = 0; i < M; i++) {
            m.mean += (double)x.at[channel_element(&x, c, i)] / (double)M;
        }
        for (size_t i = 0; i < M; i++) {
            double d = (double)x.at[channel_element(&x, c, i)] - m.mean;
            m.squares += d * d;
        }
        moments_of(run)[c] = m;
    }
}

static struct moments joined(struct moments a, struct moments b)
{
    double count = a.count + b.count, d = b.mean - a.mean;
    return (struct moments){count, a.mean + d * b.count / count,
                            a.squares + b.squares + d * d * a.count * b.count / count};
}

static float moved(float running, double batch, float momentum)
{
    return (float)((double)running * (double)momentum + batch * (1.0 - (double)momentum));
}

static void merge_training(const struct fnl_step *step, const struct fnl_run *runs, int shards)
{
    float momentum = step->node->attrs.momentum;
    struct fnl_ref_tensor mean = fnl__ref_in(step, &runs[0], 3);
    struct fnl_ref_tensor variance = fnl__ref_in(step, &runs[0], 4);
    for (size_t c = 0; c < mean.count; c++) {
        struct moments all = moments_of(&runs[0])[c];
        for (int s = 1; s < shards; s++) {
            all = joined(all, moments_of(&runs[s])[c]);
        }
        for (int s = 0; s < shards; s++) {
            moments_of(&runs[s])[c] = all;
        }
        mean.at[c] = moved(mean.at[c], all.mean, momentum);
        variance.at[c] = moved(variance.at[c], all.squares / all.count, momentum);
    }
}

static void finish_training(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor x = fnl__ref_in(step, run, 0);
    struct fnl_ref_tensor saved_mean = fnl__ref_out(step, run, 1);
    struct fnl_ref_tensor saved_inverse = fnl__ref_out(step, run, 2);
    for (size_t c = 0; c < x.dim[1]; c++) {
        struct moments all = moments_of(run)[c];
        double variance = all.squares / all.count;
        double inverse = 1.0 / sqrt(variance + (double)step->node->attrs.epsilon);
        normalize(step, run, c, all.mean, inverse);
        if (saved_mean.at != NULL) {
            saved_mean.at[c] = (float)all.mean;
        }
        if (saved_inverse.at != NULL) {
            saved_inverse.at[c] = (float)inverse;
        }
    }
}

FNL_REF_IMPL(batch_normalization_training, BATCH_NORMALIZATION, "p", .supports = is_training,
             .plan = plan_training, .run = sum_training, .merge = merge_training,
             .finish = finish_training);

/* ---- gradient ---- */

/* A channel's sums in a shard's scratch; `all` are those of the whole batch, after merge(). */
struct sums {
    double dy, dy_xhat;
};
struct channel_sums {
    struct sums own, all;
    double count; /* elements of the whole batch */
};

static struct channel_sums *sums_of(const struct fnl_run *run)
{
    return (struct channel_sums *)(void *)run->scratch;
}

static int plan_grad(struct fnl_step *step, const struct fnl_graph *g, struct fnl_arena *arena,
                     struct fnl_error *err)
{
    (void)g;
    (void)arena;
    (void)err;
    step->scratch_bytes = (size_t)step->in[1].shape.dim[1] * sizeof(struct channel_sums);
    return 0;
}

static void sum_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), x = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor mean = fnl__ref_in(step, run, 3), inverse = fnl__ref_in(step, run, 4);
    struct fnl_ref_tensor dscale = fnl__ref_out(step, run, 1);
    struct fnl_ref_tensor dbias = fnl__ref_out(step, run, 2);
    for (size_t c = 0; c < x.dim[1]; c++) {
        struct sums own = {0.0, 0.0};
        for (size_t i = 0; i < channel_size(&x); i++) {
            size_t at = channel_element(&x, c, i);
            own.dy += (double)dy.at[at];
            own.dy_xhat +=
                (double)dy.at[at] * ((double)x.at[at] - (double)mean.at[c]) * (double)inverse.at[c];
        }
        sums_of(run)[c] = (struct channel_sums){own, own, (double)channel_size(&x)};
        dscale.at[c] = (float)own.dy_xhat; /* the shards' gradients are added up later */
        dbias.at[c] = (float)own.dy;
    }
}

static void merge_grad(const struct fnl_step *step, const struct fnl_run *runs, int shards)
{
    for (size_t c = 0; c < fnl__ref_in(step, &runs[0], 2).count; c++) {
        struct channel_sums all = sums_of(&runs[0])[c];
        for (int s = 1; s < shards; s++) {
            const struct channel_sums *other = &sums_of(&runs[s])[c];
            all.all.dy += other->own.dy;
            all.all.dy_xhat += other->own.dy_xhat;
            all.count += other->count;
        }
        for (int s = 0; s < shards; s++) {
            sums_of(&runs[s])[c].all = all.all;
            sums_of(&runs[s])[c].count = all.count;
        }
    }
}

static void finish_grad(const struct fnl_step *step, const struct fnl_run *run)
{
    struct fnl_ref_tensor dy = fnl__ref_in(step, run, 0), x = fnl__ref_in(step, run, 1);
    struct fnl_ref_tensor scale = fnl__ref_in(step, run, 2), mean = fnl__ref_in(step, run, 3);
    struct fnl_ref_tensor inverse = fnl__ref_in(step, run, 4), dx = fnl__ref_out(step, run, 0);
    for (size_t c = 0; c < x.dim[1]; c++) {
        const struct channel_sums *s = &sums_of(run)[c];
        for (size_t i = 0; i < channel_size(&x); i++) {
            size_t at = channel_element(&x, c, i);
            double xhat = ((double)x.at[at] - (double)mean.at[c]) * (double)inverse.at[c];
            double centred = (double)dy.at[at] - (s->all.dy + xhat * s->all.dy_xhat) / s->count;
            dx.at[at] = (float)((double)scale.at[c] * (double)inverse.at[c] * centred);
        }
    }
}

FNL_REF_IMPL(batch_normalization_grad, BATCH_NORMALIZATION_GRAD, "p", .plan = plan_grad,
             .run = sum_grad, .merge = merge_grad, .finish = finish_grad);
