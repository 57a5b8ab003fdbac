/* predict.c - runs an ONNX model with one input on rows of numbers.
 *
 *   cc -o predict predict.c $(pkg-config --cflags --libs fournil)
 *   ./predict model.onnx < rows.txt
 *
 * Standard input: the numbers of the rows, one row after the other, with blanks between. Printed:
 * a line a row, the values of the first output. */
#include <fournil/predictor.h>
#include <fournil/version.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(const struct fnl_error *err)
{
    fprintf(stderr, "error: %s\n", err->message);
    if (err->hint[0] != '\0') {
        fprintf(stderr, "hint: %s\n", err->hint);
    }
    return fnl_code_status(err->code);
}

static void show_tensor(const char *what, const struct fnl_tensor_info *t)
{
    int d;
    fprintf(stderr, "%s \"%s\": N", what, t->name);
    for (d = 1; d < t->rank; d++) {
        fprintf(stderr, " x %ld", (long)t->dim[d]);
    }
    fprintf(stderr, "\n");
}

/* All numbers of standard input; *ret_count of them. NULL when there is no memory. */
static float *read_numbers(size_t *ret_count)
{
    size_t count = 0, room = 1024;
    float *number = malloc(room * sizeof *number);
    while (number != NULL && scanf("%f", &number[count]) == 1) {
        if (++count == room) {
            float *more = realloc(number, 2 * room * sizeof *more);
            if (more == NULL) {
                free(number);
                return NULL;
            }
            number = more;
            room *= 2;
        }
    }
    *ret_count = count;
    return number;
}

static int predict(struct fnl_predictor *model, struct fnl_error *err)
{
    struct fnl_tensor_info in, out;
    size_t count = 0, rows, r, k;
    int outputs = fnl_predictor_output_count(model), status = 0;
    float *x = read_numbers(&count);
    float **y = calloc((size_t)outputs, sizeof *y); /* NULL: not wanted */

    if (fnl_predictor_input(model, 0, &in, err) != 0 ||
        fnl_predictor_output(model, 0, &out, err) != 0) {
        status = fail(err);
    } else if (x == NULL || y == NULL || count == 0 || count % in.row_size != 0) {
        fprintf(stderr, "error: %lu numbers are not rows of %lu\n", (unsigned long)count,
                (unsigned long)in.row_size);
        status = 3;
    } else {
        const float *inputs[1];
        show_tensor("input", &in);
        show_tensor("output", &out);
        rows = count / in.row_size;
        inputs[0] = x;
        y[0] = malloc(rows * out.row_size * sizeof *y[0]);
        if (y[0] == NULL) {
            status = 5;
        } else if (fnl_predictor_run(model, rows, inputs, y, err) != 0) {
            status = fail(err);
        }
        for (r = 0; status == 0 && r < rows; r++) {
            for (k = 0; k < out.row_size; k++) {
                printf(k == 0 ? "%.6g" : " %.6g", (double)y[0][r * out.row_size + k]);
            }
            printf("\n");
        }
        free(y[0]);
    }
    free(y);
    free(x);
    return status;
}

int main(int argc, char **argv)
{
    struct fnl_predictor *model = NULL;
    struct fnl_error err = FNL_ERROR_INIT;
    int status;

    if (argc != 2) {
        fprintf(stderr, "usage: predict MODEL.onnx < ROWS (libfournil %s)\n", fnl_version());
        return 2;
    }
    if (fnl_predictor_load(argv[1], NULL, &model, &err) != 0) {
        return fail(&err);
    }
    if (fnl_predictor_input_count(model) != 1) {
        fprintf(stderr, "error: %s has %d inputs, not 1\n", argv[1],
                fnl_predictor_input_count(model));
        status = 3;
    } else {
        status = predict(model, &err);
    }
    fnl_predictor_free(model);
    return status;
}
