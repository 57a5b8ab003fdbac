/* embedded.c - the PTX of the build as text again (interface in embedded.h). */
#include "device/cuda/embedded.h"

#include <zlib.h>

#include "base/mem.h"

char *fnl__cuda_embedded_ptx(const struct fnl__cuda_embedded *e)
{
    char *text = fnl_malloc(e->size + 1);
    uLongf size = e->size;
    if (text == NULL || uncompress((Bytef *)text, &size, e->deflated, e->deflated_size) != Z_OK ||
        size != e->size) {
        fnl_free(text);
        return NULL;
    }
    text[size] = 0;
    return text;
}
