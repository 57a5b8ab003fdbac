/* checkpoint.c - the checkpoint file.
 *
 *   "FNLCKPT\n"  u32 version  u32 sections  u32 the configuration's identity  u32 CRC-32 of these
 * 20 then each section: char tag[4]  u32 CRC-32 of tag, size and payload  u64 size  payload
 *   sections in this order:
 *     STAT  counters, fixed size
 *     HIST  one record an epoch
 *     PARA  one a parameter: u32 bytes of name, u32 slots, u64 elements, name, slots * elements
 *           float32 in ONNX order
 *
 * All little-endian. Invariants: (1) a file is written beside its name and renamed, so a crash
 * leaves the old one; (2) the previous file stays as a hard link, so a checkpoint that cannot be
 * read back costs one save and not the run; (3) a load checks everything (sizes against the file,
 * sums, names and shapes against the network) before it changes anything. Cost: one pass over the
 * weights and one fsync. */
#include "train/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"

#define MAGIC "FNLCKPT\n"
#define MAGIC_BYTES 8
#define VERSION 2 /* 1: the bytes of config.yaml stood in the place of its identity */
#define HEADER_BYTES 24
#define SECTION_BYTES 16
#define PARA_BYTES 16

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints are written as they lie");
_Static_assert(sizeof(struct fnl_epoch) == 64, "the record of an epoch is part of the format");

/* STAT. Explicitly laid out: no padding, every byte has a meaning. */
struct stat_record {
    uint32_t epoch, stopped, best_epoch, wait;
    uint64_t step, batch, correct, rows, total_rows;
    double loss_sum, seconds, learning_rate, total_seconds, best, reference;
};
_Static_assert(sizeof(struct stat_record) == 104, "STAT is part of the format");

/* ---- writing ---- */

struct sink {
    struct fnl_file_writer *file;
    struct fnl_error *err;
};

static uint32_t crc_of(uint32_t crc, const void *data, size_t size)
{
    return (uint32_t)crc32_z(crc, data, size);
}

static int put_header(struct sink *k, uint32_t sections, uint32_t config_id)
{
    unsigned char h[HEADER_BYTES] = MAGIC;
    uint32_t word[3] = {VERSION, sections, config_id};
    memcpy(h + MAGIC_BYTES, word, sizeof word);
    uint32_t crc = crc_of(0, h, HEADER_BYTES - 4);
    memcpy(h + HEADER_BYTES - 4, &crc, 4);
    return fnl_file_append(k->file, h, sizeof h, k->err);
}

struct piece {
    const void *data;
    size_t size;
};

static int put_section(struct sink *k, const char *tag, const struct piece *piece, int pieces)
{
    uint64_t size = 0;
    for (int i = 0; i < pieces; i++) {
        size += piece[i].size;
    }
    uint32_t crc = crc_of(crc_of(0, tag, 4), &size, sizeof size);
    for (int i = 0; i < pieces; i++) {
        crc = piece[i].size > 0 ? crc_of(crc, piece[i].data, piece[i].size) : crc;
    }
    unsigned char h[SECTION_BYTES];
    memcpy(h, tag, 4);
    memcpy(h + 4, &crc, 4);
    memcpy(h + 8, &size, 8);
    int rc = fnl_file_append(k->file, h, sizeof h, k->err);
    for (int i = 0; rc == 0 && i < pieces; i++) {
        rc = piece[i].size > 0 ? fnl_file_append(k->file, piece[i].data, piece[i].size, k->err) : 0;
    }
    return rc;
}

static int put_state(struct sink *k, const struct fnl__state *s)
{
    struct stat_record r = {.epoch = s->epoch,
                            .stopped = s->stopped ? 1 : 0,
                            .best_epoch = s->best_epoch,
                            .wait = s->wait,
                            .step = s->step,
                            .batch = s->batch,
                            .correct = s->correct,
                            .rows = s->rows,
                            .total_rows = s->total_rows,
                            .loss_sum = s->loss_sum,
                            .seconds = s->seconds,
                            .learning_rate = s->learning_rate,
                            .total_seconds = s->total_seconds,
                            .best = s->best,
                            .reference = s->reference};
    struct piece stat = {&r, sizeof r};
    struct piece hist = {s->history, s->epoch * sizeof *s->history};
    int rc = put_section(k, "STAT", &stat, 1);
    return rc != 0 ? rc : put_section(k, "HIST", &hist, 1);
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            return false;
        }
    }
    return true;
}

/* Only what is trained has the optimiser's state. */
static uint32_t slots_of(const struct fnl_params *params, int index)
{
    return fnl_params_trainable(params, index) ? (uint32_t)fnl_params_slots(params) : 1;
}

static int put_param(struct sink *k, const struct fnl_params *params, int index)
{
    const char *name = fnl_params_name(params, index);
    uint64_t count = fnl_params_size(params, index);
    uint32_t kept = slots_of(params, index);
    uint32_t word[2] = {(uint32_t)strlen(name), kept};
    float *values = fnl_malloc((size_t)count * kept * sizeof *values + 1);
    if (values == NULL) {
        return FNL_FAIL(k->err, NOMEM, NULL, "no memory to save \"%s\"", name);
    }
    int rc = 0;
    for (uint32_t s = 0; rc == 0 && s < kept; s++) {
        rc = fnl_params_read(params, index, (int)s, values + s * count, k->err);
    }
    if (rc == 0 && !all_finite(values, (size_t)count)) {
        rc = FNL_FAIL(k->err, DIVERGED,
                      "lower train.optimizer.learning_rate, or set train.clip_norm: 1.0",
                      "the weights of \"%s\" are no longer finite numbers", name);
    }
    struct piece piece[4] = {{word, sizeof word},
                             {&count, sizeof count},
                             {name, word[0]},
                             {values, (size_t)count * kept * sizeof *values}};
    rc = rc != 0 ? rc : put_section(k, "PARA", piece, 4);
    fnl_free(values);
    return rc;
}

/* "to.new", where a link stands before it is renamed; NULL when out of memory. */
static char *fresh_name(const char *to)
{
    size_t size = strlen(to) + sizeof ".new";
    char *fresh = fnl_malloc(size);
    if (fresh != NULL) {
        (void)snprintf(fresh, size, "%s.new", to);
    }
    return fresh;
}

void fnl__checkpoint_sweep(const char *to)
{
    char *fresh = fresh_name(to);
    if (fresh != NULL) {
        (void)unlink(fresh);
    }
    fnl_free(fresh);
}

int fnl__checkpoint_copy(const char *from, const char *to, struct fnl_error *err)
{
    char *fresh = fresh_name(to);
    if (fresh == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", to);
    }
    (void)unlink(fresh);
    bool linked = link(from, fresh) == 0 && rename(fresh, to) == 0;
    (void)unlink(fresh); /* renaming one link of a file over another of the same does nothing */
    fnl_free(fresh);
    if (linked) {
        return 0;
    }
    /* A file system without hard links. */
    char *data = NULL;
    size_t size = 0;
    int rc = fnl_file_read(from, FNL_MAX_CHECKPOINT_BYTES, &data, &size, err);
    rc = rc != 0 ? rc : fnl_file_write(to, data, size, err);
    fnl_free(data);
    return rc;
}

/* path.1 becomes what path is now. Best effort: a missing one costs only the second chance. */
static void keep(const char *path)
{
    char previous[4096];
    int n = snprintf(previous, sizeof previous, "%s.1", path);
    if (n > 0 && (size_t)n < sizeof previous && access(path, F_OK) == 0) {
        (void)fnl__checkpoint_copy(path, previous, NULL);
    }
}

int fnl__checkpoint_save(const char *path, bool keep_previous, uint32_t config_id,
                         const struct fnl__state *state, const struct fnl_params *params,
                         struct fnl_error *err)
{
    struct sink k = {.err = err};
    int rc = fnl_file_begin(path, &k.file, err);
    if (rc != 0) {
        return rc;
    }
    rc = put_header(&k, 2 + (uint32_t)fnl_params_count(params), config_id);
    rc = rc != 0 ? rc : put_state(&k, state);
    for (int i = 0; rc == 0 && i < fnl_params_count(params); i++) {
        rc = put_param(&k, params, i);
    }
    /* Until the new file is whole on the disk, both old ones stay as they are. */
    rc = rc != 0 ? rc : fnl_file_sync(k.file, err);
    if (rc != 0) {
        fnl_file_abort(k.file);
        return rc;
    }
    if (keep_previous) {
        keep(path);
    }
    return fnl_file_commit(k.file, err);
}

/* ---- reading ---- */

struct source {
    const char *path;
    const unsigned char *data;
    size_t size, at;
    struct fnl_error *err;
};

static int corrupt(const struct source *s, const char *what)
{
    return FNL_FAIL(s->err, FORMAT, "the file is damaged", "%s: at byte %zu: %s", s->path, s->at,
                    what);
}

static int get_header(struct source *s, uint32_t config_id, uint32_t *ret_sections)
{
    if (s->size < HEADER_BYTES || memcmp(s->data, MAGIC, MAGIC_BYTES) != 0) {
        return corrupt(s, "this is no checkpoint, or its beginning is missing");
    }
    uint32_t word[4];
    memcpy(word, s->data + MAGIC_BYTES, sizeof word);
    if (word[3] != crc_of(0, s->data, HEADER_BYTES - 4)) {
        return corrupt(s, "the header's checksum does not match");
    }
    if (word[0] != VERSION) {
        return FNL_FAIL(s->err, UNSUPPORTED, "use the version of fournil that wrote it",
                        "%s: checkpoint version %u, this program reads %d", s->path, word[0],
                        VERSION);
    }
    if (word[2] != config_id) {
        return FNL_FAIL(s->err, CONFIG, "resume with the config.yaml that the run was started with",
                        "%s: belongs to another configuration", s->path);
    }
    s->at = HEADER_BYTES;
    *ret_sections = word[1];
    return 0;
}

/* The next section, which must have this tag. */
static int get_section(struct source *s, const char *tag, const unsigned char **ret_data,
                       size_t *ret_size)
{
    if (s->size - s->at < SECTION_BYTES) {
        return corrupt(s, "the file ends in a section's header");
    }
    const unsigned char *h = s->data + s->at;
    uint32_t crc;
    uint64_t size;
    memcpy(&crc, h + 4, 4);
    memcpy(&size, h + 8, 8);
    if (memcmp(h, tag, 4) != 0) {
        return corrupt(s, "an unexpected section");
    }
    if (size > s->size - s->at - SECTION_BYTES) {
        return corrupt(s, "the file ends in a section");
    }
    uint32_t found = crc_of(crc_of(0, h, 4), h + 8, 8);
    found = size > 0 ? crc_of(found, h + SECTION_BYTES, (size_t)size) : found;
    if (crc != found) {
        return corrupt(s, "a section's checksum does not match");
    }
    s->at += SECTION_BYTES + (size_t)size;
    *ret_data = h + SECTION_BYTES;
    *ret_size = (size_t)size;
    return 0;
}

/* One parameter: checked, and written when apply. */
static int get_param(struct source *s, struct fnl_params *params, int index, bool apply)
{
    const unsigned char *p;
    size_t size;
    int rc = get_section(s, "PARA", &p, &size);
    if (rc != 0) {
        return rc;
    }
    uint32_t word[2];
    uint64_t count;
    if (size < PARA_BYTES) {
        return corrupt(s, "a parameter is too short");
    }
    memcpy(word, p, sizeof word);
    memcpy(&count, p + 8, sizeof count);
    const char *name = fnl_params_name(params, index);
    size_t elements = fnl_params_size(params, index);
    uint32_t slots = slots_of(params, index);
    if (word[0] != strlen(name) || count != elements || word[1] != slots ||
        size != PARA_BYTES + word[0] + (uint64_t)word[1] * elements * sizeof(float) ||
        memcmp(p + PARA_BYTES, name, word[0]) != 0) {
        return FNL_FAIL(s->err, FORMAT, "resume with the configuration it was started with",
                        "%s: does not fit the network at parameter \"%s\"", s->path, name);
    }
    if (!apply) {
        return 0;
    }
    float *values = fnl_malloc(elements * sizeof *values + 1);
    if (values == NULL) {
        return FNL_FAIL(s->err, NOMEM, NULL, "%s: out of memory", s->path);
    }
    for (uint32_t k = 0; rc == 0 && k < word[1]; k++) {
        const unsigned char *from = p + PARA_BYTES + word[0] + k * elements * sizeof *values;
        memcpy(values, from, elements * sizeof *values);
        rc = fnl_params_write(params, index, (int)k, values, s->err);
    }
    fnl_free(values);
    return rc;
}

static int get_params(struct source *s, struct fnl_params *params, bool apply)
{
    int rc = 0;
    size_t start = s->at;
    for (int i = 0; rc == 0 && i < fnl_params_count(params); i++) {
        rc = get_param(s, params, i, apply);
    }
    if (rc == 0 && s->at != s->size) {
        rc = corrupt(s, "more bytes than there should be");
    }
    s->at = start;
    return rc;
}

static int get_state(struct source *s, struct fnl__state *ret)
{
    const unsigned char *stat, *hist;
    size_t stat_size, hist_size;
    int rc = get_section(s, "STAT", &stat, &stat_size);
    rc = rc != 0 ? rc : get_section(s, "HIST", &hist, &hist_size);
    if (rc != 0) {
        return rc;
    }
    struct stat_record r;
    if (stat_size != sizeof r) {
        return corrupt(s, "the counters have the wrong size");
    }
    memcpy(&r, stat, sizeof r);
    if (r.epoch > FNL_MAX_EPOCHS || hist_size != r.epoch * sizeof(struct fnl_epoch)) {
        return corrupt(s, "the counters contradict the history");
    }
    rc = fnl__state_reserve(ret, r.epoch + 1, s->err);
    if (rc != 0) {
        return rc;
    }
    memcpy(ret->history, hist, hist_size);
    ret->epoch = r.epoch;
    ret->stopped = r.stopped != 0;
    ret->best_epoch = r.best_epoch;
    ret->wait = r.wait;
    ret->step = r.step;
    ret->batch = r.batch;
    ret->correct = r.correct;
    ret->rows = r.rows;
    ret->total_rows = r.total_rows;
    ret->loss_sum = r.loss_sum;
    ret->seconds = r.seconds;
    ret->learning_rate = r.learning_rate;
    ret->total_seconds = r.total_seconds;
    ret->best = r.best;
    ret->reference = r.reference;
    return 0;
}

static int load(struct source *s, uint32_t config_id, struct fnl__state *state,
                struct fnl_params *params)
{
    uint32_t sections = 0;
    struct fnl__state read = {0};
    int rc = get_header(s, config_id, &sections);
    if (rc == 0 && sections != 2 + (uint32_t)fnl_params_count(params)) {
        rc = FNL_FAIL(s->err, FORMAT, "resume with the configuration it was started with",
                      "%s: has %u parameters, the network has %d", s->path,
                      sections >= 2 ? sections - 2 : 0, fnl_params_count(params));
    }
    rc = rc != 0 ? rc : get_state(s, &read);
    rc = rc != 0 ? rc : get_params(s, params, false);
    rc = rc != 0 ? rc : get_params(s, params, true);
    if (rc == 0 && state != NULL) {
        fnl__state_free(state);
        *state = read;
        return 0;
    }
    fnl__state_free(&read);
    return rc;
}

int fnl__checkpoint_load(const char *path, uint32_t config_id, struct fnl__state *state,
                         struct fnl_params *params, struct fnl_error *err)
{
    char *data = NULL;
    size_t size = 0;
    int rc = fnl_file_read(path, FNL_MAX_CHECKPOINT_BYTES, &data, &size, err);
    if (rc != 0) {
        return rc;
    }
    struct source s = {.path = path, .data = (const unsigned char *)data, .size = size, .err = err};
    rc = load(&s, config_id, state, params);
    fnl_free(data);
    return rc;
}
