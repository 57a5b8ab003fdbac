/* find.c - where a data file of the configuration is. A relative name is looked for beside the
 * configuration, in its folder data, in ./data and in $FOURNIL_DATA; at each place also with and
 * without .gz, since readers go by magic. Files of Fashion-MNIST are found where Debian's package
 * dataset-fashion-mnist puts them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/data_int.h"

#define DEBIAN_FASHION_MNIST "/usr/share/datasets/fashion-mnist"

struct search {
    const char *name;
    bool folder;
    char *found;
    bool no_memory;
    char tried[512]; /* places, for the message */
    size_t tried_size;
};

static bool is_there(const struct search *s, const char *path)
{
    return s->folder ? fnl_path_is_dir(path) : fnl_path_exists(path) && !fnl_path_is_dir(path);
}

/* path, or path with .gz added or taken away. */
static void try_path(struct search *s, const char *path)
{
    size_t size = strlen(path);
    if (is_there(s, path)) {
        s->found = fnl_strdup(path);
        s->no_memory = s->found == NULL;
        return;
    }
    if (s->folder) {
        return;
    }
    bool gz = size > 3 && strcmp(path + size - 3, ".gz") == 0;
    char *other = fnl_malloc(size + 4);
    if (other == NULL) {
        s->no_memory = true;
        return;
    }
    (void)snprintf(other, size + 4, "%.*s%s", (int)(gz ? size - 3 : size), path, gz ? "" : ".gz");
    if (is_there(s, other)) {
        s->found = other;
    } else {
        fnl_free(other);
    }
}

static void try_place(struct search *s, const char *folder, const char *name)
{
    if (s->found != NULL || s->no_memory || folder == NULL || folder[0] == 0) {
        return;
    }
    char *path = fnl_path_join(folder, name);
    if (path == NULL) {
        s->no_memory = true;
        return;
    }
    int n = snprintf(s->tried + s->tried_size, sizeof s->tried - s->tried_size, "%s%s",
                     s->tried_size != 0 ? ", " : "", path);
    if (n > 0) {
        s->tried_size += (size_t)n;
        s->tried_size = s->tried_size < sizeof s->tried ? s->tried_size : sizeof s->tried - 1;
    }
    try_path(s, path);
    fnl_free(path);
}

static bool is_fashion(const char *name)
{
    static const char *const files[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
    const char *base = fnl_path_basename(name);
    if (strstr(name, "fashion") == NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strncmp(base, files[i], strlen(files[i])) == 0) {
            return true;
        }
    }
    return false;
}

static const char *how_to_get(const char *name)
{
    if (strstr(name, "fashion") != NULL) {
        return "get it with \"fournil data fetch fashion-mnist\" or \"apt install "
               "dataset-fashion-mnist\"";
    }
    if (strstr(name, "mnist") != NULL) {
        return "get it with \"fournil data fetch mnist\", or name the folder that has it in "
               "FOURNIL_DATA";
    }
    if (strstr(name, "cifar") != NULL) {
        return "get it with \"fournil data fetch cifar10\", or name the folder that has it in "
               "FOURNIL_DATA";
    }
    return "correct the path, or name the folder that has it in the environment variable "
           "FOURNIL_DATA";
}

int fnl__data_find(const char *config_dir, const char *name, bool folder, char **ret_path,
                   struct fnl_error *err)
{
    struct search s = {.name = name, .folder = folder};
    if (name[0] == 0) {
        return FNL_FAIL(err, CONFIG, NULL, "the name of a data file is empty");
    }
    if (name[0] == '/') {
        (void)snprintf(s.tried, sizeof s.tried, "%s", name);
        try_path(&s, name);
    } else {
        const char *base = config_dir != NULL && config_dir[0] != 0 ? config_dir : ".";
        char *beside = fnl_path_join(base, "data");
        s.no_memory = beside == NULL;
        try_place(&s, base, name);
        try_place(&s, beside, name);
        if (beside == NULL || (strcmp(beside, "data") != 0 && strcmp(beside, "./data") != 0)) {
            try_place(&s, "data", name);
        }
        try_place(&s, getenv("FOURNIL_DATA"), name);
        if (!folder && is_fashion(name)) {
            try_place(&s, DEBIAN_FASHION_MNIST, fnl_path_basename(name));
        }
        fnl_free(beside);
    }
    if (s.no_memory) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    }
    if (s.found == NULL) {
        return FNL_FAIL(err, NOTFOUND, how_to_get(name), "%s: no such %s; looked for %s", name,
                        folder ? "folder" : "file", s.tried);
    }
    *ret_path = s.found;
    return 0;
}
