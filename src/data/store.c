/* store.c - the memory behind a set of splits. */
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/data_int.h"

int fnl__store_create(struct fnl_data_store **ret_store, struct fnl_error *err)
{
    struct fnl_data_store *store = fnl_calloc(1, sizeof *store);
    if (store == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "out of memory");
    }
    fnl_arena_init(&store->arena, FNL_MAX_DATA_NAMES_BYTES);
    *ret_store = store;
    return 0;
}

void fnl__store_free(struct fnl_data_store *store)
{
    if (store == NULL) {
        return;
    }
    for (int i = 0; i < store->count; i++) {
        fnl_free(store->block[i]);
    }
    fnl_arena_free(&store->arena);
    fnl_free(store);
}

int fnl__store_keep(struct fnl_data_store *store, void *block, struct fnl_error *err)
{
    if (store->count == FNL__STORE_BLOCKS) {
        fnl_free(block);
        return FNL_FAIL(err, INTERNAL, NULL, "more than %d blocks of data", FNL__STORE_BLOCKS);
    }
    store->block[store->count++] = block;
    return 0;
}

int fnl__store_alloc(struct fnl_data_store *store, size_t count, size_t size, const char *what,
                     void **ret_block, struct fnl_error *err)
{
    size_t bytes = 0;
    void *block = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes)) {
        block = fnl_calloc(count, size);
    }
    if (block != NULL) {
        fnl_mem_huge(block, bytes);
    }
    if (block == NULL) {
        return FNL_FAIL(err, NOMEM, "take fewer samples with data.limit",
                        "%s: out of memory for %zu values of %zu bytes", what, count, size);
    }
    int rc = fnl__store_keep(store, block, err);
    if (rc == 0) {
        *ret_block = block;
    }
    return rc;
}

char *fnl__store_text(struct fnl_data_store *store, const char *text, size_t size,
                      struct fnl_error *err)
{
    char *copy = fnl_arena_strndup(&store->arena, text, size);
    if (copy == NULL) {
        (void)FNL_FAIL(err, NOMEM, NULL, "out of memory for names");
    }
    return copy;
}

size_t fnl__data_file_max(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGESIZE);
    size_t max = FNL_MAX_DATA_FILE_BYTES;
    if (pages > 0 && page_size > 0 && (size_t)pages < max / (size_t)page_size) {
        max = (size_t)pages * (size_t)page_size;
    }
    return max;
}
