/* fuzz_cifar.c - CIFAR-10's binary version. */
#include <stdint.h>

#include "base/mem.h"
#include "data/data_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fnl_error err;
    size_t count = 0;

    if (fnl__cifar_count("fuzz", size, &count, &err) == 0) {
        uint8_t *samples = fnl_malloc(count * FNL__CIFAR_SAMPLE);
        int32_t *labels = fnl_malloc(count * sizeof *labels);
        if (samples != NULL && labels != NULL) {
            (void)fnl__cifar_parse("fuzz", (const char *)data, count, samples, labels, &err);
        }
        fnl_free(samples);
        fnl_free(labels);
    }
    return 0;
}
