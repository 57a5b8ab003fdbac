/* config.c - the `data:` section. Tables say what may stand where; what depends on the format
 * (which keys it knows, what train, validation and test must name) is checked here, so that after
 * fnl_data_config_read only the files themselves can be wrong. */
#include "data/data.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/data_int.h"

const char *const fnl__split_names[] = {"train", "validation", "test"};

static const char *const format_names[] = {"idx", "cifar10", "npy", "csv", "images", NULL};
static const char *const task_names[] = {"auto", "classification", "regression", NULL};
static const char *const layout_names[] = {"auto", "channels_last", "channels_first", NULL};
static const char *const flip_names[] = {"none", "horizontal", "vertical", "both", NULL};

#define C(member) offsetof(struct fnl_data_config, member)
static const struct fnl_field data_fields[] = {
    {"format", FNL_FIELD_ENUM, C(format), .required = true, .names = format_names,
     .doc = "What the files are; decides what `train`, `validation` and `test` name."},
    {"train", FNL_FIELD_NODE, C(split_node[FNL_SPLIT_TRAIN]),
     .doc = "Files to train on: a map by format, see below."},
    {"validation", FNL_FIELD_NODE, C(split_node[FNL_SPLIT_VALIDATION]),
     .doc = "Files to validate on after each epoch. Or use `validation_split`."},
    {"test", FNL_FIELD_NODE, C(split_node[FNL_SPLIT_TEST]),
     .doc = "Files to test the finished model on."},
    {"validation_split", FNL_FIELD_FLOAT, C(validation_split), .fallback = "0", .min = 0,
     .max = 0.9,
     .doc = "Part of the training samples set aside for validation, drawn by the seed."},
    {"limit", FNL_FIELD_INT, C(limit), .fallback = "0", .min = 0, .max = (double)FNL_MAX_SAMPLES,
     .doc = "Takes only the first so many samples of each file set, for a quick try; 0 = all."},
    {"classes", FNL_FIELD_STRINGS, C(classes),
     .doc =
         "Names of the classes in the order of their labels. Default: from the files, where they "
         "name them; the number of classes is then the largest training label + 1."},
    {"task", FNL_FIELD_ENUM, C(task), .fallback = "auto", .names = task_names,
     .doc = "npy, csv: whether the target is a class or a number. auto: integers and words are "
            "classes, and so are npy rows of 0 with one 1 (one-hot), other numbers are numbers; in "
            "a CSV file, integers are classes when they "
            "are 0, 1, 2... without a gap and fewer than 100."},
    {"normalize", FNL_FIELD_NODE, C(normalize_node),
     .doc = "`computed` (mean and standard deviation of each channel of the training samples), "
            "`none` (raw values), or a map, see below. Default: bytes are divided by 255, other "
            "numbers stay."},
    {"augment", FNL_FIELD_NODE, C(augment_node),
     .doc = "Random changes to training images: a map, see below."},
    {"layout", FNL_FIELD_ENUM, C(layout), .fallback = "auto", .names = layout_names,
     .doc =
         "idx, npy with four dimensions: where the channels are. auto: the one of the second and "
         "last dimension that is 1, 3 or 4."},
    {"target", FNL_FIELD_STRING, C(target), .doc = "csv: the column to predict (required)."},
    {"features", FNL_FIELD_STRINGS, C(features),
     .doc = "csv: the columns to predict from. Default: all but the target and `ignore`."},
    {"ignore", FNL_FIELD_STRINGS, C(ignore), .doc = "csv: columns left out."},
    {"categorical", FNL_FIELD_STRINGS, C(categorical),
     .doc = "csv: feature columns whose values are names: each value of the training file becomes "
            "an input that is 1 or 0 (one-hot), in the order of their bytes."},
    {"delimiter", FNL_FIELD_STRING, C(delimiter), .fallback = "\",\"",
     .doc = "csv: one character, or `tab`."},
    {"header", FNL_FIELD_BOOL, C(header), .fallback = "true",
     .doc = "csv: the first line names the columns; without it they are called 1, 2, 3..."},
    {"size", FNL_FIELD_INTS, C(size), .min = 1, .max = FNL_MAX_IMAGE_SIDE,
     .doc = "images: [height, width] all are resized to (bilinear). Default: they must have one "
            "size."},
    {"channels", FNL_FIELD_INT, C(channels), .fallback = "0", .min = 0, .max = 3,
     .doc = "images: 1 (grey) or 3 (colour). Default, 0: as the first image is."},
    {NULL},
};
#undef C

/* Keys of data: that only some formats know. */
static const struct {
    const char *key;
    unsigned formats; /* a bit for each */
} format_keys[] = {
    {"task", 1u << FNL_FORMAT_NPY | 1u << FNL_FORMAT_CSV},
    {"layout", 1u << FNL_FORMAT_NPY | 1u << FNL_FORMAT_IDX},
    {"target", 1u << FNL_FORMAT_CSV},
    {"features", 1u << FNL_FORMAT_CSV},
    {"ignore", 1u << FNL_FORMAT_CSV},
    {"categorical", 1u << FNL_FORMAT_CSV},
    {"delimiter", 1u << FNL_FORMAT_CSV},
    {"header", 1u << FNL_FORMAT_CSV},
    {"size", 1u << FNL_FORMAT_IMAGES},
    {"channels", 1u << FNL_FORMAT_IMAGES},
};

#define F(member) offsetof(struct fnl__files, member)
static const struct fnl_field idx_fields[] = {
    {"images", FNL_FIELD_STRING, F(images), .required = true,
     .doc =
         "IDX file of the samples, plain or .gz: [count, height, width], or rows [count, values]."},
    {"labels", FNL_FIELD_STRING, F(labels), .required = true,
     .doc = "IDX file of the labels, plain or .gz: [count]."},
    {NULL},
};
static const struct fnl_field cifar_fields[] = {
    {"files", FNL_FIELD_STRINGS, F(files), .required = true,
     .doc = "Files of CIFAR-10's binary version, plain or .gz, in order. Class names are read from "
            "batches.meta.txt beside the first."},
    {NULL},
};
static const struct fnl_field npy_fields[] = {
    {"file", FNL_FIELD_STRING, F(file), .doc = "NPZ archive with the arrays `x` and `y`."},
    {"x", FNL_FIELD_STRING, F(x), .fallback = "x",
     .doc = "Samples, first dimension the count: NPY file, or with `file` the name of an array."},
    {"y", FNL_FIELD_STRING, F(y), .fallback = "y",
     .doc = "Labels or targets: NPY file, or with `file` the name of an array."},
    {NULL},
};
static const struct fnl_field csv_fields[] = {
    {"file", FNL_FIELD_STRING, F(file), .required = true, .doc = "CSV file, plain or .gz."},
    {NULL},
};
static const struct fnl_field images_fields[] = {
    {"folder", FNL_FIELD_STRING, F(folder), .required = true,
     .doc = "Folder with one folder a class, each holding PNG and JPEG files. Pixels are taken as "
            "stored, as torchvision and Keras do: EXIF orientation is not applied."},
    {NULL},
};
#undef F

static const struct fnl_field *const split_fields[] = {idx_fields, cifar_fields, npy_fields,
                                                       csv_fields, images_fields};

static const struct fnl_field normalize_fields[] = {
    {"scale", FNL_FIELD_FLOAT, offsetof(struct fnl__normalize, scale),
     .doc = "Multiplies the value first. Default: 1/255 for bytes, 1 for other numbers."},
    {"mean", FNL_FIELD_FLOATS, offsetof(struct fnl__normalize, mean),
     .doc = "Is then subtracted: one number, or one a channel. Default: 0."},
    {"std", FNL_FIELD_FLOATS, offsetof(struct fnl__normalize, std),
     .doc = "Divides last: one number, or one a channel; above 0. Default: 1."},
    {NULL},
};
static const struct fnl_field augment_fields[] = {
    {"flip", FNL_FIELD_ENUM, offsetof(struct fnl__augment, flip), .fallback = "none",
     .names = flip_names, .doc = "Mirrors images."},
    {"flip_probability", FNL_FIELD_FLOAT, offsetof(struct fnl__augment, flip_probability),
     .fallback = "0.5", .min = 0, .max = 1, .doc = "How often, for each direction by itself."},
    {"pad_and_crop", FNL_FIELD_INT, offsetof(struct fnl__augment, pad_and_crop), .fallback = "0",
     .min = 0, .max = FNL_MAX_PAD,
     .doc = "Adds so many pixels of 0 on each side, then cuts the old size out at a random place."},
    {NULL},
};

/* --- reading ---------------------------------------------------------------------------------- */

static bool given(const struct fnl_yaml_node *map, const char *key)
{
    const struct fnl_yaml_node *node = fnl_yaml_get(map, key);
    return node != NULL && !fnl_yaml_is_null(node);
}

static int check_format_keys(const struct fnl_data_config *c, struct fnl_error *err)
{
    for (size_t i = 0; i < sizeof format_keys / sizeof format_keys[0]; i++) {
        if ((format_keys[i].formats >> c->format & 1u) == 0 && given(c->node, format_keys[i].key)) {
            return fnl_yaml_fail(c->doc, fnl_yaml_get(c->node, format_keys[i].key),
                                 "remove it, or change data.format", err,
                                 "data.%s has no meaning for the format %s", format_keys[i].key,
                                 format_names[c->format]);
        }
    }
    if (c->format == FNL_FORMAT_CSV && c->target == NULL) {
        return fnl_yaml_fail(c->doc, c->node, "add \"target: COLUMN\", the column to predict", err,
                             "data.target is required for the format csv");
    }
    return 0;
}

static int read_splits(struct fnl_data_config *c, struct fnl_error *err)
{
    int present = 0;
    for (int i = 0; i < FNL_SPLIT_COUNT; i++) {
        const struct fnl_yaml_node *node = c->split_node[i];
        if (node == NULL) {
            continue;
        }
        char where[32] = "data.";
        (void)strncat(where, fnl__split_names[i], sizeof where - 6);
        int rc = fnl_schema_read(c->doc, node, where, split_fields[c->format], &c->arena,
                                 &c->split[i], err);
        if (rc != 0) {
            return rc;
        }
        c->split[i].node = node;
        present++;
        if (c->format == FNL_FORMAT_NPY && c->split[i].file == NULL &&
            !(given(node, "x") && given(node, "y"))) {
            return fnl_yaml_fail(c->doc, node, "write {x: x.npy, y: y.npy} or {file: data.npz}",
                                 err, "%s: expected x and y, or file", where);
        }
    }
    if (present == 0) {
        return fnl_yaml_fail(c->doc, c->node, "add \"train:\" with the files to train on", err,
                             "data names no files");
    }
    if (c->validation_split > 0 && c->split_node[FNL_SPLIT_VALIDATION] != NULL) {
        return fnl_yaml_fail(c->doc, c->split_node[FNL_SPLIT_VALIDATION], "remove one of them", err,
                             "data has both validation and validation_split");
    }
    if (c->validation_split > 0 && c->split_node[FNL_SPLIT_TRAIN] == NULL) {
        return fnl_yaml_fail(c->doc, c->node, NULL, err,
                             "data.validation_split needs data.train to take from");
    }
    return 0;
}

static int read_normalize(struct fnl_data_config *c, struct fnl_error *err)
{
    struct fnl__normalize *n = &c->normalize;
    const struct fnl_yaml_node *node = c->normalize_node;
    if (node == NULL) {
        return 0;
    }
    if (node->kind == FNL_YAML_SCALAR) {
        if (strcmp(node->scalar, "computed") == 0) {
            n->kind = FNL_NORMALIZE_COMPUTED;
            return 0;
        }
        if (strcmp(node->scalar, "none") == 0) {
            n->kind = FNL_NORMALIZE_NONE;
            return 0;
        }
        return fnl_yaml_fail(c->doc, node, NULL, err,
                             "data.normalize: expected computed, none or a map of scale, mean and "
                             "std, got \"%.40s\"",
                             node->scalar);
    }
    int rc = fnl_schema_read(c->doc, node, "data.normalize", normalize_fields, &c->arena, n, err);
    if (rc != 0) {
        return rc;
    }
    n->kind = FNL_NORMALIZE_GIVEN;
    n->scale_given = given(node, "scale");
    for (int i = 0; i < n->std.count; i++) {
        if (!(n->std.value[i] > 0)) {
            return fnl_yaml_fail(c->doc, fnl_yaml_get(node, "std"), NULL, err,
                                 "data.normalize.std: expected numbers above 0, got %g",
                                 n->std.value[i]);
        }
    }
    if (n->mean.count > 1 && n->std.count > 1 && n->mean.count != n->std.count) {
        return fnl_yaml_fail(c->doc, node, "give both one number for each channel", err,
                             "data.normalize: mean has %d numbers and std %d", n->mean.count,
                             n->std.count);
    }
    return 0;
}

static int check_values(struct fnl_data_config *c, struct fnl_error *err)
{
    if (c->format == FNL_FORMAT_CSV) {
        if (strcmp(c->delimiter, "tab") == 0 || strcmp(c->delimiter, "\\t") == 0) {
            c->delimiter = "\t";
        }
        if (strlen(c->delimiter) != 1 || strchr("\"\r\n", c->delimiter[0]) != NULL) {
            return fnl_yaml_fail(c->doc, fnl_yaml_get(c->node, "delimiter"), NULL, err,
                                 "data.delimiter: expected one character or tab, got \"%.20s\"",
                                 c->delimiter);
        }
    }
    if (c->size.count != 0 && c->size.count != 2) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(c->node, "size"), NULL, err,
                             "data.size: expected [height, width], got %d numbers", c->size.count);
    }
    if (c->channels == 2) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(c->node, "channels"), NULL, err,
                             "data.channels: expected 1 or 3, got 2");
    }
    if (c->classes.count > FNL_MAX_CLASSES) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(c->node, "classes"), NULL, err,
                             "data.classes: %d classes (at most %d)", c->classes.count,
                             FNL_MAX_CLASSES);
    }
    if (c->classes.count != 0 && c->task == FNL_TASK_REGRESSION) {
        return fnl_yaml_fail(c->doc, fnl_yaml_get(c->node, "classes"), NULL, err,
                             "data.classes has no meaning for the task regression");
    }
    return 0;
}

int fnl_data_config_read(const struct fnl_yaml *doc, const struct fnl_yaml_node *data_node,
                         struct fnl_data_config **ret_config, struct fnl_error *err)
{
    struct fnl_data_config *c = fnl_calloc(1, sizeof *c);
    if (c == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    fnl_arena_init(&c->arena, FNL_MAX_DATA_NAMES_BYTES);
    c->doc = doc;
    c->node = data_node;
    int rc = fnl_schema_read(doc, data_node, "data", data_fields, &c->arena, c, err);
    if (rc == 0) {
        rc = check_format_keys(c, err);
    }
    if (rc == 0) {
        rc = check_values(c, err);
    }
    if (rc == 0) {
        rc = read_splits(c, err);
    }
    if (rc == 0) {
        rc = read_normalize(c, err);
    }
    if (rc == 0) {
        rc = fnl_schema_read(doc, c->augment_node, "data.augment", augment_fields, &c->arena,
                             &c->augment, err);
    }
    if (rc != 0) {
        fnl_data_config_free(c);
        return rc;
    }
    *ret_config = c;
    return 0;
}

void fnl_data_config_free(struct fnl_data_config *config)
{
    if (config != NULL) {
        fnl_arena_free(&config->arena);
        fnl_free(config);
    }
}

bool fnl_data_config_augments(const struct fnl_data_config *config)
{
    return fnl__augment_active(&config->augment);
}

int fnl_data_config_doc(struct fnl_buf *out)
{
    (void)fnl_schema_print(data_fields, out);
    for (size_t i = 0; i < sizeof split_fields / sizeof split_fields[0]; i++) {
        (void)fnl_buf_printf(out, "\n`train`, `validation` and `test` where `format: %s`:\n\n",
                             format_names[i]);
        (void)fnl_schema_print(split_fields[i], out);
    }
    (void)fnl_buf_puts(out, "\n`normalize` as a map; the value is (x * scale - mean) / std:\n\n");
    (void)fnl_schema_print(normalize_fields, out);
    (void)fnl_buf_puts(out, "\n`augment`:\n\n");
    (void)fnl_schema_print(augment_fields, out);
    return out->failed ? out->code : 0;
}
