/* docs/operators.md is printed from the tables of operators and back ends, and this test holds it
 * to them. After a change: FOURNIL_UPDATE_DOCS=1 ctest -R test_operators_doc writes it anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/backend/gpu/gpu.h"

#define PAGE "docs/operators.md"

/* What an operator takes of ONNX's, where that is not all. */
static const struct {
    enum fnl_op op;
    const char *text;
} notes[] = {
    {FNL_OP_GELU, "opset 20; written to files in its Erf form"},
    {FNL_OP_IDENTITY, "costs nothing where the bytes may stay"},
    {FNL_OP_RESHAPE, "as Identity; constant target shape, the batch stays in front"},
    {FNL_OP_FLATTEN, "as Identity; axis 1 for batches"},
    {FNL_OP_TRANSPOSE, "the batch stays in front"},
    {FNL_OP_MATMUL, "rank 2"},
    {FNL_OP_CONV, "2-D"},
    {FNL_OP_MAX_POOL, "2-D, without indices"},
    {FNL_OP_AVERAGE_POOL, "2-D"},
    {FNL_OP_GLOBAL_AVERAGE_POOL, "2-D"},
    {FNL_OP_GLOBAL_MAX_POOL, "2-D"},
    {FNL_OP_BATCH_NORMALIZATION, "the biased variance goes into the running one"},
    {FNL_OP_REDUCE_SUM, "constant axes, not the batch"},
    {FNL_OP_REDUCE_MEAN, "constant axes, not the batch"},
    {FNL_OP_SOFTMAX_CROSS_ENTROPY, "logits [N, K], labels int32 [N]"},
    {FNL_OP_CATEGORICAL_CROSS_ENTROPY, "logits and targets [N, K]"},
    {FNL_OP_BINARY_CROSS_ENTROPY, "logits; mean over a sample's features"},
    {FNL_OP_MEAN_SQUARED_ERROR, "mean over a sample's features"},
};

static const char *note_of(enum fnl_op op)
{
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (notes[i].op == op) {
            return notes[i].text;
        }
    }
    return "";
}

/* The names of a back end's implementations, or what stands in for them. */
static void print_impls(struct fnl_buf *out, const struct fnl_backend *b, enum fnl_op op)
{
    int count = 0;
    for (const struct fnl_op_impl *const *i = b->impls; *i != NULL; i++) {
        if ((*i)->op == op) {
            fnl_buf_printf(out, "%s`%s`", count++ > 0 ? ", " : "", (*i)->name);
        }
    }
    if (count == 0) {
        fnl_buf_puts(out, b->fallback != NULL ? "falls back to the reference" : "-");
    }
}

static void print_table(struct fnl_buf *out, int begin, int end)
{
    fnl_buf_puts(out, "| operator | on the CPU | on a GPU | notes |\n|---|---|---|---|\n");
    for (int op = begin; op < end; op++) {
        fnl_buf_printf(out, "| %s | ", fnl_op_text((enum fnl_op)op));
        print_impls(out, &fnl_backend_cpu, (enum fnl_op)op);
        fnl_buf_puts(out, " | ");
        print_impls(out, &fnl_backend_gpu, (enum fnl_op)op);
        fnl_buf_printf(out, " | %s |\n", note_of((enum fnl_op)op));
    }
}

static void print_page(struct fnl_buf *out)
{
    fnl_buf_puts(
        out,
        "# Operators\n\n"
        "What a network may be made of. This page is printed from the tables in the source "
        "by\n`tests/engine/test_operators_doc.c`; the reference back end has every "
        "operator, and so has\nthe one for GPUs (CUDA and OpenCL), where nothing falls back to "
        "the CPU.\n\n## ONNX\n\n");
    print_table(out, 0, FNL_OP_SOFTMAX_CROSS_ENTROPY);
    fnl_buf_puts(out, "\n## Losses\n\nOne number a sample; training takes the mean over the "
                      "batch. Never written to a file.\n\n");
    print_table(out, FNL_OP_SOFTMAX_CROSS_ENTROPY, FNL_OP_SOFTMAX_CROSS_ENTROPY_GRAD);
    fnl_buf_puts(out, "\n## Gradients\n\nMade by differentiation, beside the operators above. "
                      "Never written to a file.\n\n");
    print_table(out, FNL_OP_SOFTMAX_CROSS_ENTROPY_GRAD, FNL_OP_COUNT);
}

static void page_is_what_the_tables_say(void **state)
{
    (void)state;
    struct fnl_buf want, have;
    char chunk[4096];
    fnl_buf_init(&want, (size_t)1 << 20);
    fnl_buf_init(&have, (size_t)1 << 20);
    print_page(&want);
    assert_false(want.failed);
    if (getenv("FOURNIL_UPDATE_DOCS") != NULL) {
        FILE *f = fopen(PAGE, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(want.data, 1, want.size, f), want.size);
        assert_int_equal(fclose(f), 0);
    }
    FILE *f = fopen(PAGE, "r");
    assert_non_null(f);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) {
        fnl_buf_append(&have, chunk, n);
    }
    fclose(f);
    if (have.size != want.size || memcmp(have.data, want.data, want.size) != 0) {
        fail_msg(PAGE " is out of date: run this test with FOURNIL_UPDATE_DOCS=1");
    }
    fnl_buf_free(&want);
    fnl_buf_free(&have);
}

/* Nothing may be missing where nothing else is asked: neither the reference nor a GPU falls back.
 */
static void reference_and_gpu_have_every_operator(void **state)
{
    (void)state;
    for (int op = 0; op < FNL_OP_COUNT; op++) {
        bool found = false, on_gpu = false;
        for (const struct fnl_op_impl *const *i = fnl_backend_ref.impls; *i != NULL; i++) {
            found = found || ((*i)->op == (enum fnl_op)op && (*i)->run != NULL);
        }
        for (const struct fnl_op_impl *const *i = fnl_backend_gpu.impls; *i != NULL; i++) {
            on_gpu = on_gpu || ((*i)->op == (enum fnl_op)op && (*i)->launch != NULL);
        }
        if (!found || !on_gpu) {
            fail_msg("no %s: %s", fnl_op_text((enum fnl_op)op), found ? "GPU" : "reference");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reference_and_gpu_have_every_operator),
                                       cmocka_unit_test(page_is_what_the_tables_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
