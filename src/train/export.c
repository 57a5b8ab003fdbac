/* export.c - the trained network as an ONNX file that takes raw values: normalisation goes in as
 * two nodes in front, so that whoever serves the model cannot forget it. */
#include "train/export.h"

#include <stdio.h>

#include "base/limits.h"
#include "train/json_out.h"

static void floats(struct fnl_buf *out, const char *key, const float *x, int count)
{
    (void)fnl_buf_printf(out, ", \"%s\": [", key);
    for (int i = 0; i < count; i++) {
        (void)fnl_buf_printf(out, "%s%.9g", i > 0 ? ", " : "", (double)x[i]);
    }
    (void)fnl_buf_puts(out, "]");
}

static int set_text(struct fnl_graph *g, const char *key, struct fnl_buf *text,
                    struct fnl_error *err)
{
    int rc = text->failed ? FNL_FAIL(err, NOMEM, NULL, "no memory for %s", key)
                          : fnl_graph_set_meta(g, key, text->data, err);
    fnl_buf_reset(text);
    return rc;
}

static int set_meta(struct fnl_graph *g, const struct fnl_train_config *config,
                    const struct fnl_splits *splits, struct fnl_error *err)
{
    struct fnl_buf text;
    fnl_buf_init(&text, FNL_MAX_RUN_TEXT_BYTES);
    const struct fnl_normalization *n = &splits->normalization;
    (void)fnl_buf_printf(&text, "{\"in_graph\": %s", n->channels > 0 ? "true" : "false");
    floats(&text, "mul", n->mul, n->channels);
    floats(&text, "add", n->add, n->channels);
    (void)fnl_buf_puts(&text, "}");
    int rc = set_text(g, FNL_META_NORMALIZATION, &text, err);
    if (rc == 0 && splits->train.class_names != NULL) {
        for (int i = 0; i < splits->train.class_count; i++) {
            (void)fnl_buf_puts(&text, i > 0 ? ", " : "[");
            fnl__json_string(&text, splits->train.class_names[i]);
        }
        (void)fnl_buf_puts(&text, "]");
        rc = set_text(g, FNL_META_CLASSES, &text, err);
    }
    (void)fnl_buf_printf(&text, "%lld", (long long)config->evaluation_batch);
    rc = rc != 0 ? rc : set_text(g, FNL_META_BATCH, &text, err);
    fnl_buf_free(&text);
    rc = rc != 0 ? rc : fnl_graph_set_meta(g, FNL_META_LOSS, fnl_loss_names[config->loss], err);
    return rc != 0 ? rc : fnl_graph_set_meta(g, FNL_META_VERSION, FNL_VERSION, err);
}

int fnl__export_model(const struct fnl__network *n, const struct fnl_train_config *config,
                      const struct fnl_splits *splits, const char *path, struct fnl_error *err)
{
    struct fnl_graph *g = NULL;
    int rc = fnl_graph_copy(n->inference, &g, err);
    rc = rc != 0 ? rc : fnl_params_store(n->params, g, err);
    rc = rc != 0 ? rc : set_meta(g, config, splits, err);
    const struct fnl_normalization *z = &splits->normalization;
    rc = rc != 0 ? rc : fnl_onnx_save(g, path, z->channels, z->mul, z->add, err);
    fnl_graph_free(g);
    return rc;
}
