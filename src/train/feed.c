/* feed.c - between loader and executor. Nothing is copied but one-hot targets; nothing is allocated
 * after init. */
#include "train/feed.h"

#include "base/mem.h"

static int place_of(const struct fnl_graph *g, int value)
{
    for (int i = 0; i < fnl_graph_input_count(g); i++) {
        if (fnl_graph_input(g, i) == value) {
            return i;
        }
    }
    return -1;
}

static int check_input(const struct fnl_training_graph *graph, const struct fnl_dataset *data,
                       struct fnl_error *err)
{
    const struct fnl_shape *in = &fnl_graph_value(graph->graph, graph->input)->shape;
    struct fnl_shape sample = {.rank = data->sample.rank + 1};
    sample.dim[0] = FNL_DIM_BATCH;
    for (int i = 0; i < data->sample.rank; i++) {
        sample.dim[i + 1] = data->sample.dim[i];
    }
    if (!fnl_shape_equal(in, &sample)) {
        char a[FNL_SHAPE_TEXT], b[FNL_SHAPE_TEXT];
        return FNL_FAIL(err, CONFIG, "give data of the shape that the model was made for",
                        "the model takes %s, but the data has %s", fnl_shape_text(in, a),
                        fnl_shape_text(&sample, b));
    }
    return 0;
}

int fnl__feeder_init(struct fnl__feeder *f, const struct fnl_training_graph *graph,
                     enum fnl_loss loss, const struct fnl_dataset *data, size_t batch,
                     struct fnl_error *err)
{
    *f = (struct fnl__feeder){.graph = graph, .images = data->sample.rank == 3};
    f->input_at = place_of(graph->graph, graph->input);
    f->target_at = place_of(graph->graph, graph->target);
    if (fnl_graph_input_count(graph->graph) != 2 || f->input_at < 0 || f->target_at < 0) {
        return FNL_FAIL(err, UNSUPPORTED, NULL, "the model has more than one input");
    }
    int rc = check_input(graph, data, err);
    if (rc != 0) {
        return rc;
    }
    const struct fnl_shape *scores = &fnl_graph_value(graph->graph, graph->scores)->shape;
    rc = fnl_targets_init(&f->targets, loss, data, scores, batch, err);
    if (rc != 0) {
        return rc;
    }
    f->scores = fnl_calloc(batch * f->targets.units, sizeof *f->scores);
    if (f->scores == NULL) {
        fnl__feeder_free(f);
        return FNL_FAIL(err, NOMEM, "use a smaller batch", "no memory for scores");
    }
    return 0;
}

void fnl__feeder_free(struct fnl__feeder *f)
{
    fnl_targets_free(&f->targets);
    fnl_free(f->scores);
    f->scores = NULL;
}

struct fnl_feed fnl__feeder_feed(struct fnl__feeder *f, const struct fnl_batch *batch)
{
    f->pointer[f->input_at] = batch->x;
    f->pointer[f->target_at] = fnl_targets_of(&f->targets, batch);
    return (struct fnl_feed){
        .rows = batch->rows, .input = f->pointer, .images_channels_last = f->images};
}

int fnl__feeder_read_scores(struct fnl__feeder *f, const struct fnl_exec *exec,
                            struct fnl_error *err)
{
    return fnl_exec_read(exec, f->graph->scores, f->scores, err);
}

int fnl__feeder_class(const struct fnl__feeder *f, size_t row)
{
    return fnl_targets_class(&f->targets, f->scores + row * f->targets.units);
}

int fnl__feeder_correct(struct fnl__feeder *f, const struct fnl_exec *exec,
                        const struct fnl_batch *batch, const struct fnl_step_result *result,
                        uint64_t *ret_correct, struct fnl_error *err)
{
    *ret_correct = result->correct;
    if (!fnl_targets_have_accuracy(&f->targets) || fnl_targets_are_counted(&f->targets)) {
        return 0;
    }
    int rc = fnl__feeder_read_scores(f, exec, err);
    uint64_t correct = 0;
    for (size_t i = 0; rc == 0 && i < batch->rows; i++) {
        correct += fnl__feeder_class(f, i) == batch->labels[i] ? 1 : 0;
    }
    *ret_correct = correct;
    return rc;
}
