/* driver.c - runs a fuzz target over files and folders, where libFuzzer is not built in: the corpus
 * is a test of its own then. After the files as they are, each is fed cut short at a few places and
 * with single bytes changed, by a fixed sequence: the same in every run.
 *
 *   fuzz_idx fuzz/corpus/idx [more files or folders]
 *
 * Exit status: 0 unless the target crashes or there was nothing to run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE ((long)16 << 20)
#define CUTS 16
#define CHANGES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* An exact allocation, so that a sanitizer sees a read of one byte too many. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL) {
        exit(2);
    }
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void feed_variants(uint8_t *data, size_t size)
{
    uint64_t x = 0x9e3779b97f4a7c15U ^ size;

    feed(data, size);
    for (size_t i = 0; i < CUTS && size > 0; i++) {
        feed(data, size * i / CUTS);
    }
    for (size_t i = 0; i < CHANGES && size > 0; i++) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        /* Headers stand in front: half of the changes go there. */
        size_t span = i % 2 == 0 && size > 64 ? 64 : size;
        size_t at = (size_t)(x >> 33) % span;
        uint8_t old = data[at];
        data[at] = (uint8_t)(x >> 25);
        feed(data, size);
        data[at] = old;
    }
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
        rewind(file);
    }
    uint8_t *data = size >= 0 && size <= MAX_FILE ? malloc((size_t)size + 1) : NULL;
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "%s: cannot read, or over 16 MiB\n", path);
        exit(2);
    }
    fclose(file);
    feed_variants(data, (size_t)size);
    free(data);
    return 1;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All files of a folder, in the order of their names. */
static int run_folder(const char *path)
{
    char *names[4096];
    size_t count = 0;
    int ran = 0;
    DIR *dir = opendir(path);

    if (dir == NULL) {
        fprintf(stderr, "%s: cannot open\n", path);
        exit(2);
    }
    for (struct dirent *e = readdir(dir); e != NULL && count < 4096; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            names[count++] = strdup(e->d_name);
        }
    }
    closedir(dir);
    qsort(names, count, sizeof names[0], compare);
    for (size_t i = 0; i < count; i++) {
        char full[4096];
        struct stat st;
        snprintf(full, sizeof full, "%s/%s", path, names[i]);
        if (stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
            ran += run_file(full);
        }
        free(names[i]);
    }
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0;

    if (LLVMFuzzerInitialize != NULL) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) {
            fprintf(stderr, "%s: no such file\n", argv[i]);
            return 2;
        }
        ran += S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
    }
    printf("%d inputs, %d runs each\n", ran, 1 + CUTS + CHANGES);
    return ran > 0 ? 0 : 1;
}
