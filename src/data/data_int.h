/* data_int.h - what the files of src/data share: the configuration as read, the memory of a set of
 * splits, arrays as they stand in a file, and the readers' table. */
#ifndef FNL_DATA_DATA_INT_H
#define FNL_DATA_DATA_INT_H

#include "base/arena.h"
#include "base/schema.h"
#include "data/data.h"

/* ---- configuration (config.c) ---- */
enum fnl__split { FNL_SPLIT_TRAIN, FNL_SPLIT_VALIDATION, FNL_SPLIT_TEST, FNL_SPLIT_COUNT };
extern const char *const fnl__split_names[]; /* "train", ... */

enum fnl__format {
    FNL_FORMAT_IDX,
    FNL_FORMAT_CIFAR10,
    FNL_FORMAT_NPY,
    FNL_FORMAT_CSV,
    FNL_FORMAT_IMAGES
};
enum fnl__task { FNL_TASK_AUTO, FNL_TASK_CLASSIFICATION, FNL_TASK_REGRESSION };
enum fnl__layout { FNL_LAYOUT_AUTO, FNL_LAYOUT_CHANNELS_LAST, FNL_LAYOUT_CHANNELS_FIRST };
enum fnl__flip { FNL_FLIP_NONE, FNL_FLIP_HORIZONTAL, FNL_FLIP_VERTICAL, FNL_FLIP_BOTH };

/* What one of train, validation and test names; the format decides which fields are used. */
struct fnl__files {
    const struct fnl_yaml_node *node; /* NULL: this split is absent */
    const char *images, *labels;      /* idx */
    struct fnl_strings files;         /* cifar10 */
    const char *file;                 /* npy (an .npz), csv */
    const char *x, *y;                /* npy: files, or arrays of `file` */
    const char *folder;               /* images */
};

enum fnl__normalize_kind {
    FNL_NORMALIZE_DEFAULT,
    FNL_NORMALIZE_NONE,
    FNL_NORMALIZE_COMPUTED,
    FNL_NORMALIZE_GIVEN
};
struct fnl__normalize {
    int kind;
    bool scale_given; /* else 1/255 for bytes, 1 for other numbers */
    double scale;
    struct fnl_floats mean, std;
};

struct fnl__augment {
    int flip;
    double flip_probability;
    int64_t pad_and_crop;
};

struct fnl_data_config {
    struct fnl_arena arena;
    const struct fnl_yaml *doc; /* borrowed: for messages */
    const struct fnl_yaml_node *node;
    int format, task, layout;
    struct fnl__files split[FNL_SPLIT_COUNT];
    struct fnl_yaml_node *split_node[FNL_SPLIT_COUNT];
    struct fnl_yaml_node *normalize_node, *augment_node;
    const char *target, *delimiter;
    struct fnl_strings features, ignore, categorical, classes;
    bool header;
    struct fnl_ints size;
    int64_t channels, limit;
    double validation_split;
    struct fnl__normalize normalize;
    struct fnl__augment augment;
};

/* ---- memory (store.c): blocks of any size and an arena for names, freed together ---- */
#define FNL__STORE_BLOCKS 32
struct fnl_data_store {
    struct fnl_arena arena;
    void *block[FNL__STORE_BLOCKS];
    int count;
};
int fnl__store_create(struct fnl_data_store **ret_store, struct fnl_error *err);
void fnl__store_free(struct fnl_data_store *store); /* takes NULL */
/* Takes over a block of fnl_malloc. FNL_E_INTERNAL (block freed) when there are too many. */
int fnl__store_keep(struct fnl_data_store *store, void *block, struct fnl_error *err);
/* Zeroed memory in the store, overflow-checked; `what` for the message. */
int fnl__store_alloc(struct fnl_data_store *store, size_t count, size_t size, const char *what,
                     void **ret_block, struct fnl_error *err);
char *fnl__store_text(struct fnl_data_store *store, const char *text, size_t size,
                      struct fnl_error *err); /* NULL: out of memory, err filled */

/* Memory that one data file may take: its limit, or what the machine has. */
size_t fnl__data_file_max(void);

/* ---- finding files (find.c) ---- */
/* The path of a file or folder named by the configuration, fnl_free. */
int fnl__data_find(const char *config_dir, const char *name, bool folder, char **ret_path,
                   struct fnl_error *err);

/* ---- reading (load.c) ---- */
struct fnl__load {
    const struct fnl_data_config *config;
    const char *config_dir;
    struct fnl_data_store *store;
    enum fnl__split split; /* being read */
    /* Known once the first split is read: later labels are held against it. */
    int class_count; /* 0 = not known yet */
    char **class_names;
    struct fnl__csv_plan *csv;
    int image_height, image_width, image_channels; /* 0 = the first image decides */
};

/* Fills samples, labels or targets; class_count where the format knows it (else 0: from the
 * labels). */
typedef int fnl__reader_fn(struct fnl__load *load, const struct fnl__files *files,
                           struct fnl_dataset *out, struct fnl_error *err);
fnl__reader_fn fnl__read_idx, fnl__read_cifar, fnl__read_npy, fnl__read_csv, fnl__read_images;

/* A whole data file, found and read: *ret_path (fnl_free) names it in messages. */
int fnl__load_file(const struct fnl__load *load, const char *name, char **ret_path, char **ret_data,
                   size_t *ret_size, struct fnl_error *err);
/* Classes that labels may have now, and where that number comes from. */
int fnl__load_class_limit(const struct fnl__load *load);
const char *fnl__load_class_source(const struct fnl__load *load);

/* ---- arrays in files (array.c) ---- */
enum fnl__element {
    FNL_ELEMENT_U8,
    FNL_ELEMENT_I8,
    FNL_ELEMENT_BOOL,
    FNL_ELEMENT_U16,
    FNL_ELEMENT_I16,
    FNL_ELEMENT_U32,
    FNL_ELEMENT_I32,
    FNL_ELEMENT_U64,
    FNL_ELEMENT_I64,
    FNL_ELEMENT_F16,
    FNL_ELEMENT_F32,
    FNL_ELEMENT_F64,
};
size_t fnl__element_size(enum fnl__element e);
const char *fnl__element_name(enum fnl__element e);
bool fnl__element_is_float(enum fnl__element e);

/* Where the elements of an array stand in a file. rank >= 1, every dim >= 1, all elements inside
 * the file: whoever makes one has checked. */
struct fnl__array {
    const char *name; /* of the file (and member), for messages */
    enum fnl__element element;
    bool big_endian, fortran;
    int rank;
    uint64_t dim[FNL_MAX_RANK];
    uint64_t count;   /* elements */
    size_t offset;    /* of the first element in the file's bytes */
    const char *data; /* the file's bytes */
};

/* dims against limits and against the bytes there are; fills count. */
int fnl__array_check(struct fnl__array *a, size_t size, struct fnl_error *err);
/* The first dimension is samples. Turns the rest into a sample's shape and the elements into u8 or
 * f32 with channels last. *data is the allocation behind a->data, taken over (set to NULL): where
 * the bytes serve as they are, nothing is copied. */
int fnl__array_samples(struct fnl__load *load, const struct fnl__array *a, char **data,
                       struct fnl_dataset *out, struct fnl_error *err);
/* Labels or targets for out->count samples, by the configuration's task. */
int fnl__array_targets(struct fnl__load *load, const struct fnl__array *a, struct fnl_dataset *out,
                       struct fnl_error *err);

int fnl__idx_parse(const char *name, const char *data, size_t size, struct fnl__array *ret,
                   struct fnl_error *err);
int fnl__npy_parse(const char *name, const char *data, size_t size, struct fnl__array *ret,
                   struct fnl_error *err);

/* Pixels of planes to pixels of channels: dst[p * channels + c] = src[c * pixels + p], of 1 or 4
 * bytes each. */
void fnl__planes_to_pixels(const void *src, void *dst, size_t channels, size_t pixels,
                           size_t element_size);

/* ---- CIFAR-10 (cifar.c) ---- */
#define FNL__CIFAR_PIXELS 1024u
#define FNL__CIFAR_SAMPLE 3072u
#define FNL__CIFAR_RECORD 3073u
/* Records of a file; checks the size. */
int fnl__cifar_count(const char *name, size_t size, size_t *ret_count, struct fnl_error *err);
/* Fills samples[count * 3072] and labels[count] from data[count * 3073]. */
int fnl__cifar_parse(const char *name, const char *data, size_t count, uint8_t *samples,
                     int32_t *labels, struct fnl_error *err);

/* ---- zip archives (zip.c), for NPZ ---- */
/* Extracts the member called `member` or `member`.npy into a fresh buffer (fnl_free). */
int fnl__zip_extract(const char *name, const char *data, size_t size, const char *member,
                     size_t max, char **ret_data, size_t *ret_size, struct fnl_error *err);

/* ---- CSV (csv.c: text to fields; csv_table.c: fields to samples, by csv_int.h) ---- */
struct fnl__csv_field {
    const char *text; /* not terminated */
    size_t size;
    bool quoted;
    bool escaped; /* text holds "" for each " */
};
struct fnl__csv {
    const char *name, *data;
    size_t size, pos;
    char delimiter;
    size_t line;      /* of the record last read, from 1 */
    size_t next_line; /* of what follows */
    int fields_max;   /* room in field */
    struct fnl__csv_field *field;
};
void fnl__csv_begin(struct fnl__csv *csv, const char *name, const char *data, size_t size,
                    char delimiter, struct fnl__csv_field *field, int fields_max);
/* The next record that is not an empty line; *ret_count 0 at the end. */
int fnl__csv_next(struct fnl__csv *csv, int *ret_count, struct fnl_error *err);
/* One whole file by the configuration of load. */
int fnl__csv_parse(struct fnl__load *load, const char *name, const char *data, size_t size,
                   struct fnl_dataset *out, struct fnl_error *err);
void fnl__csv_plan_free(struct fnl__csv_plan *plan); /* takes NULL */

/* ---- sets of names (names.c): text to index, in order of first sight or sorted ---- */
struct fnl__names {
    struct fnl_arena *arena;
    char **name;
    uint32_t *slot; /* open addressing: index + 1, 0 = free */
    size_t count, capacity, slots, max;
};
void fnl__names_init(struct fnl__names *n, struct fnl_arena *arena, size_t max);
void fnl__names_free(struct fnl__names *n); /* the table; names stay in the arena */
int fnl__names_find(const struct fnl__names *n, const char *text, size_t size); /* or -1 */
/* FNL_E_LIMIT beyond max, FNL_E_NOMEM; the caller fills err. */
int fnl__names_add(struct fnl__names *n, const char *text, size_t size);
void fnl__names_sort(struct fnl__names *n); /* by bytes */

/* ---- images (image.c, resize.c) ---- */
struct fnl__image {
    int height, width, channels; /* 1 or 3 */
    uint8_t *pixels;             /* H, W, C; fnl_free */
};
bool fnl__image_is_name(const char *file_name); /* .png, .jpg, .jpeg */
/* PNG or JPEG by magic. channels: 1, 3, or 0 = as the file is. */
int fnl__image_decode(const char *name, const char *data, size_t size, int channels,
                      struct fnl__image *ret, struct fnl_error *err);
void fnl__image_free(struct fnl__image *image);
/* Bilinear, with the filter widened where it shrinks (no aliasing). dst: height * width *
 * src->channels. */
int fnl__image_resize(const struct fnl__image *src, int height, int width, uint8_t *dst,
                      struct fnl_error *err);

/* ---- normalisation (normalize.c) ---- */
int fnl__normalization_make(const struct fnl_data_config *config, struct fnl_splits *splits,
                            struct fnl_error *err);
/* Elements between which the channel repeats: 1 for rows (each element a channel of its own would
 * be sample_size), C for images. */
int fnl__dataset_channels(const struct fnl_dataset *d);

/* ---- conversion (convert.c) ---- */
/* y[i] = x[i] * mul[i % channels] + add[i % channels], one multiply, then one add; count elements,
 * a multiple of channels. */
struct fnl__convert {
    int channels;   /* as in struct fnl_normalization; 0 = plain conversion */
    size_t pattern; /* elements of mul and add, a multiple of channels */
    float *mul,
        *add; /* expanded, so that a vector's worth is contiguous; fnl_free(mul) frees both */
    void (*u8)(const struct fnl__convert *c, const uint8_t *x, float *y, size_t count);
    void (*f32)(const struct fnl__convert *c, const float *x, float *y, size_t count);
};
int fnl__convert_init(struct fnl__convert *c, const struct fnl_normalization *n,
                      struct fnl_error *err);
void fnl__convert_free(struct fnl__convert *c);

/* ---- augmentation (augment.c) ---- */
/* One sample changed as `word` (4 random words) says, from src to dst, in the data's own type. */
void fnl__augment_sample(const struct fnl__augment *a, const struct fnl_dataset *d, const void *src,
                         void *dst, const uint32_t word[4]);
bool fnl__augment_active(const struct fnl__augment *a);

#endif
