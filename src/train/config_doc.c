/* config_doc.c - docs/config.md, printed from the tables that the readers go by, so that it cannot
 * say other than the program does. */
#include "base/buf.h"
#include "model/model.h"
#include "train/config_int.h"

static const char head[] =
    "# Configuration\n\n"
    "One YAML file describes a run: where the data comes from, the network, and how it is trained. "
    "Names are Keras'. Every key has a default unless it is marked required; an unknown key is an "
    "error that names the line and the nearest known key. `--set train.epochs=5` sets a key from "
    "the command line.\n\n"
    "This page is printed from the tables that the program reads by.\n\n"
    "## Top level\n\n";

static void kinds(struct fnl_buf *out, const char *const *names,
                  const struct fnl_field *const *fields)
{
    for (int i = 0; names[i] != NULL; i++) {
        (void)fnl_buf_printf(out, "\n`name: %s`\n\n", names[i]);
        (void)fnl_schema_print(fields[i], out);
    }
}

int fnl_train_config_doc(struct fnl_buf *out)
{
    (void)fnl_buf_puts(out, head);
    (void)fnl_schema_print(fnl__top_fields, out);
    (void)fnl_buf_puts(out, "\n## data\n\n");
    (void)fnl_data_config_doc(out);
    (void)fnl_buf_puts(out, "\n## model\n\n");
    (void)fnl_model_layers_doc(out);
    (void)fnl_buf_puts(out, "\n## train\n\n");
    (void)fnl_schema_print(fnl__train_fields, out);
    (void)fnl_buf_puts(out,
                       "\n### train.optimizer\n\nA name alone takes the defaults. Names of the "
                       "keys are Keras', their defaults PyTorch's where the two differ.\n");
    kinds(out, fnl__optimizer_names, fnl__optimizer_fields);
    (void)fnl_buf_puts(out, "\n### train.schedule\n\nThe learning rate of each step.\n");
    kinds(out, fnl_schedule_names, fnl__schedule_fields);
    (void)fnl_buf_puts(out, "\n### train.early_stopping\n\n");
    (void)fnl_schema_print(fnl__early_stopping_fields, out);
    (void)fnl_buf_puts(out, "\n### train.checkpoint\n\n");
    return fnl_schema_print(fnl__checkpoint_fields, out);
}
