/* op_compare.c - results of an operator on one back end against those of another. */
#include "op_case.h"

#include <math.h>
#include <stdio.h>

/* Of the normalised mean squared error: float32 rounding is about 1e-14, the fast exponentials and
 * their like are within a few units of the last place. */
#define TOLERANCE 1e-11

static double power(const struct op_tensor *t)
{
    double sum = 0.0;
    for (size_t i = 0; t != NULL && i < t->size; i++) {
        sum += (double)t->value[i] * (double)t->value[i];
    }
    return sum;
}

/* "e0" is "d0" summed over the batch, where a normalisation leaves nothing but rounding: its error
 * is judged by the size of what was summed. */
static double share_of(const struct op_results *r, const struct op_tensor *t)
{
    if (t->name[0] != 'e') {
        return 1.0;
    }
    const char name[] = {'d', t->name[1], '\0'};
    double own = fmax(power(t), 1e-30), summed = power(op_results_find(r, name));
    return own < summed ? own / summed : 1.0;
}

bool op_same_results(const struct op_results *got, const struct op_results *want, char *text,
                     size_t size)
{
    for (int i = 0; i < want->count; i++) {
        const struct op_tensor *w = &want->item[i], *g = op_results_find(got, w->name);
        if (g == NULL || g->size != w->size) {
            snprintf(text, size, "%s: %zu elements, expected %zu", w->name, g == NULL ? 0 : g->size,
                     w->size);
            return false;
        }
        double error = op_nmse(g->value, w->value, w->size) * share_of(want, w);
        if (!(error <= TOLERANCE)) {
            size_t worst = 0;
            for (size_t k = 1; k < w->size; k++) {
                worst = fabsf(g->value[k] - w->value[k]) > fabsf(g->value[worst] - w->value[worst])
                            ? k
                            : worst;
            }
            snprintf(text, size, "%s: error %.2e, e.g. element %zu of %zu is %.7g, expected %.7g",
                     w->name, error, worst, w->size, (double)g->value[worst],
                     (double)w->value[worst]);
            return false;
        }
    }
    return true;
}

bool op_compare(const struct op_case *c, const struct op_setup *setup, char *text, size_t size)
{
    struct op_setup reference = *setup;
    struct op_results want, got;
    struct fnl_error err = FNL_ERROR_INIT;
    reference.backend = "ref";
    reference.shards = 1;
    if (op_run(c, &reference, &want, &err) != 0) {
        snprintf(text, size, "ref: %.200s", err.message);
        return false;
    }
    if (op_run(c, setup, &got, &err) != 0) {
        snprintf(text, size, "%s: %.200s", setup->backend, err.message);
        op_results_free(&want);
        return false;
    }
    char what[160] = "";
    bool same = op_same_results(&got, &want, what, sizeof what);
    if (!same) {
        snprintf(text, size, "%s, %zu of %zu rows: %s", setup->training ? "training" : "inference",
                 setup->rows, setup->plan_rows, what);
    }
    op_results_free(&want);
    op_results_free(&got);
    return same;
}
