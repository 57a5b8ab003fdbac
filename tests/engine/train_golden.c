/* train_golden.c - reads what make_train_golden.py wrote; it says how the file is laid out. */
#include "train_golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static struct fnl_arena arena;
static struct golden_net nets[TRAIN_MAX_NETS];
static struct golden_run *runs; /* the caller's */
static int net_count, run_count;

/* ---- reading the file ---- */

static const float *read_values(char *text, size_t *ret_size)
{
    float *v = fnl_arena_array(&arena, strlen(text) / 2 + 1, sizeof *v);
    size_t size = 0;
    for (char *end = text; v != NULL; text = end) {
        float x = strtof(text, &end);
        if (end == text) {
            break;
        }
        v[size++] = x;
    }
    *ret_size = size;
    return v;
}

/* "NAME SHAPE VALUES..." */
static bool read_array(struct array *a, char *text)
{
    char *shape = strchr(text, ' ');
    if (shape == NULL) {
        return false;
    }
    *shape++ = '\0';
    a->name = fnl_arena_strdup(&arena, text);
    a->shape.rank = 0;
    while (*shape >= '0' && *shape <= '9' && a->shape.rank < FNL_MAX_RANK) {
        a->shape.dim[a->shape.rank++] = strtol(shape, &shape, 10);
        shape += *shape == ',';
    }
    a->value = read_values(shape, &a->size);
    return (int64_t)a->size == fnl_shape_count(&a->shape, -1);
}

static bool read_option(struct golden_run *run, const char *key, const char *value)
{
    struct fnl_optimizer *o = &run->optimizer;
    const struct {
        const char *key;
        float *to;
    } numbers[] = {{"momentum", &o->momentum},
                   {"weight_decay", &o->weight_decay},
                   {"clip_norm", &o->clip_norm},
                   {"clip_value", &o->clip_value}};
    if (strcmp(key, "kind") == 0) {
        o->kind = strcmp(value, "sgd") == 0    ? FNL_SGD
                  : strcmp(value, "adam") == 0 ? FNL_ADAM
                                               : FNL_ADAMW;
        return true;
    }
    if (strcmp(key, "lr") == 0) {
        run->learning_rate = strtod(value, NULL);
        return true;
    }
    if (strcmp(key, "nesterov") == 0) {
        o->nesterov = value[0] == '1';
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(numbers[i].key, key) == 0) {
            *numbers[i].to = strtof(value, NULL);
            return true;
        }
    }
    return false;
}

static bool read_run(char *text)
{
    static const struct fnl_optimizer defaults = FNL_OPTIMIZER_INIT;
    struct golden_run *run = &runs[run_count++];
    memset(run, 0, sizeof *run);
    char name[40], key[24], value[24];
    int used = 0;
    run->net = &nets[net_count - 1];
    run->optimizer = defaults;
    bool good = sscanf(text, "%39s%n", name, &used) == 1;
    for (text += used; good && *text != '\0'; text += used) {
        good =
            sscanf(text, " %23[^=]=%23s%n", key, value, &used) == 2 && read_option(run, key, value);
    }
    snprintf(run->name, sizeof run->name, "%s with %s", run->net->name, name);
    return good;
}

static bool read_labels(struct golden_net *net, char *text)
{
    size_t size;
    const float *v = read_values(text, &size);
    int32_t *labels = fnl_arena_array(&arena, size, sizeof *labels);
    for (size_t i = 0; labels != NULL && i < size; i++) {
        labels[i] = (int32_t)v[i];
    }
    net->labels[net->batch_count - 1] = labels;
    return labels != NULL && net->batch_count > 0;
}

static bool read_line(const char *key, char *rest)
{
    size_t size = 0;
    if (strcmp(key, "net") == 0) {
        if (net_count == TRAIN_MAX_NETS) {
            return false;
        }
        memset(&nets[net_count], 0, sizeof nets[0]);
        nets[net_count++].name = fnl_arena_strdup(&arena, rest);
        return true;
    }
    struct golden_net *net = &nets[net_count > 0 ? net_count - 1 : 0];
    struct golden_run *run = &runs[run_count > 0 ? run_count - 1 : 0];
    if (strcmp(key, "param") == 0 && net->param_count < TRAIN_MAX_PARAMS) {
        return read_array(&net->param[net->param_count++], rest);
    }
    if (strcmp(key, "batch") == 0 && net->batch_count < TRAIN_MAX_BATCHES) {
        struct array *a = &net->batch[net->batch_count++];
        a->value = read_values(rest, &a->size);
        return a->size > 0;
    }
    if (strcmp(key, "labels") == 0) {
        return read_labels(net, rest);
    }
    if (strcmp(key, "run") == 0 && run_count < TRAIN_MAX_RUNS) {
        return read_run(rest);
    }
    if (strcmp(key, "losses") == 0) {
        run->losses = read_values(rest, &size);
        return size == TRAIN_STEPS;
    }
    if (strcmp(key, "eval") == 0) {
        run->eval = strtof(rest, NULL);
        return true;
    }
    return strcmp(key, "final") == 0 && run->final_count < TRAIN_MAX_PARAMS &&
           read_array(&run->final[run->final_count++], rest);
}

int train_golden_load(const char *path, struct golden_run *to)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    bool good = f != NULL;
    runs = to;
    net_count = run_count = 0;
    fnl_arena_init(&arena, (size_t)16 << 20);
    while (good && (length = getline(&line, &capacity, f)) > 0) {
        line[length - 1] = '\0';
        char *rest = strchr(line, ' ');
        if (line[0] != '#') {
            good = rest != NULL;
            if (good) {
                *rest = '\0';
                good = read_line(line, rest + 1);
            }
        }
    }
    free(line);
    if (f != NULL) {
        fclose(f);
    }
    return good ? run_count : -1;
}

void train_golden_free(void)
{
    fnl_arena_free(&arena);
}
