/* fuzz_idx.c - IDX: header, samples and labels from one input. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "data/data_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fnl_data_config config = {.layout = FNL_LAYOUT_AUTO};
    struct fnl__load load = {.config = &config};
    struct fnl_dataset out = {0};
    struct fnl__array a;
    struct fnl_error err;
    char *copy = fnl_malloc(size);

    if (copy != NULL && fnl__store_create(&load.store, &err) == 0) {
        if (size != 0) {
            memcpy(copy, data, size);
        }
        if (fnl__idx_parse("fuzz", copy, size, &a, &err) == 0) {
            out.count = (size_t)a.dim[0];
            (void)fnl__array_targets(&load, &a, &out, &err);
            (void)fnl__array_samples(&load, &a, &copy, &out, &err);
        }
        fnl__store_free(load.store);
    }
    fnl_free(copy);
    return 0;
}
