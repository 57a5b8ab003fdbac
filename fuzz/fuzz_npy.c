/* fuzz_npy.c - an NPY file, or an NPZ archive whose member "x" is one. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "data/data_int.h"

#define ARRAY_MAX ((size_t)1 << 20) /* of one member: deflate reaches 1000 times the input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_array(char **data, size_t size)
{
    struct fnl_data_config config = {.layout = FNL_LAYOUT_AUTO};
    struct fnl__load load = {.config = &config};
    struct fnl_dataset out = {0};
    struct fnl__array a;
    struct fnl_error err;

    if (fnl__npy_parse("fuzz", *data, size, &a, &err) == 0 &&
        fnl__store_create(&load.store, &err) == 0) {
        out.count = (size_t)a.dim[0];
        (void)fnl__array_targets(&load, &a, &out, &err);
        (void)fnl__array_samples(&load, &a, data, &out, &err);
        fnl__store_free(load.store);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fnl_error err;
    char *copy = NULL;

    if (size >= 2 && data[0] == 'P' && data[1] == 'K') {
        if (fnl__zip_extract("fuzz", (const char *)data, size, "x", ARRAY_MAX, &copy, &size,
                             &err) == 0) {
            read_array(&copy, size);
        }
    } else {
        copy = fnl_malloc(size);
        if (copy != NULL && size != 0) {
            memcpy(copy, data, size);
            read_array(&copy, size);
        }
    }
    fnl_free(copy);
    return 0;
}
