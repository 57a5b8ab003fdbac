/* fuzz_csv.c - a CSV file with target column "y" and categorical column "k"; the first byte chooses
 * delimiter, header and task. The input is read twice, as train and as test. */
#include <stdint.h>

#include "base/mem.h"
#include "data/data_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *names[] = {"k"};
    const uint8_t choice = size != 0 ? data[0] : 0;
    struct fnl_data_config config = {.format = FNL_FORMAT_CSV,
                                     .task = choice >> 2 & 3,
                                     .target = (choice & 2) != 0 ? "1" : "y",
                                     .header = (choice & 2) == 0,
                                     .delimiter = (choice & 1) != 0 ? ";" : ","};
    struct fnl__load load = {.config = &config};
    struct fnl_error err;

    if (config.task > FNL_TASK_REGRESSION) {
        config.task = FNL_TASK_AUTO;
    }
    if ((choice & 16) != 0) {
        config.categorical = (struct fnl_strings){1, names};
    }
    if (size != 0 && fnl__store_create(&load.store, &err) == 0) {
        for (int i = 0; i < 2; i++) {
            struct fnl_dataset out = {0};
            if (fnl__csv_parse(&load, "fuzz", (const char *)data + 1, size - 1, &out, &err) != 0) {
                break;
            }
        }
        fnl__csv_plan_free(load.csv);
        fnl__store_free(load.store);
    }
    return 0;
}
