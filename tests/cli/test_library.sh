#!/bin/sh
# make install-lib: programs in C and C++ built against nothing but what it installs.
#   sh tests/cli/test_library.sh FOURNIL BUILD_DIR
. tests/tap.sh
fournil=$1
build=$2

if ! grep -q '^FNL_SANITIZE:STRING=$' "$build/CMakeCache.txt"; then
    skip "the library is tried without sanitizers"
    finish
    exit
fi

prefix=$work/usr
check "libfournil.a is made" cmake --build "$build" --target libfournil
check "... and installed" cmake --install "$build" --prefix "$prefix" --component library
PKG_CONFIG_PATH=$prefix/lib/pkgconfig:$(echo "$prefix"/lib/*/pkgconfig)
export PKG_CONFIG_PATH
archive=$(find "$prefix" -name libfournil.a)

# ---- what is there ----
only_public() {
    strays=$(find "$prefix/include" -type f | grep -v "/include/fournil/[a-z]*\.h$")
    echo "$strays"
    [ -z "$strays" ]
}
check "only fournil/*.h is installed" only_public
check "as many headers as include/fournil has" test \
    "$(find "$prefix/include/fournil" -name '*.h' | wc -l)" -eq \
    "$(find include/fournil -name '*.h' | wc -l)"
nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort > "$work/symbols"
sed -n 's/^FNL_API .*\(fnl_[a-z_]*\)(.*/\1/p' "$prefix"/include/fournil/*.h | sort > "$work/declared"
same_symbols() { diff "$work/declared" "$work/symbols"; }
check "the public functions, and nothing else, can be linked" same_symbols
check "there are at least 20 of them" test "$(wc -l < "$work/symbols")" -ge 20
check "fournil.pc has the program's version" test \
    "fournil $(pkg-config --modversion fournil)" = "$("$fournil" --version | head -n 1)"

# ---- C ----
compile() { # COMPILER... SOURCE OUTPUT
    # shellcheck disable=SC2046
    "$@" $(pkg-config --cflags --libs fournil)
}
warn="-Wall -Wextra -Werror -pedantic"
for example in train predict; do
    # shellcheck disable=SC2086
    check "examples/c/$example.c, as C99" compile cc -std=c99 $warn -o "$work/$example" \
        "$(find "$prefix" -name $example.c)"
done

here=$PWD
cd "$work" || exit 1
check "a small data set" python3 "$here/tests/cli/make_idx.py" 200 40
cat > small.yaml << 'END'
data:
  format: idx
  train: {images: train-images, labels: train-labels}
  test: {images: test-images, labels: test-labels}
model:
  - flatten
  - dense: {units: 4}
train: {batch: 32, epochs: 5, threads: 1, seed: 1, optimizer: sgd}
END
run ./train small.yaml train.epochs=2
expect "the example trains" 0 "epoch 2 of 2"
check "... and names its model" test -s "$(printf '%s\n' "$out" | tail -n 1)"
run ./train small.yaml train.epochz=2
expect "... and its errors have a message and a status" 3 "epochz"
expect "... and a hint" 3 "hint: "
cd "$here" || exit 1

# ---- numbers ----
model=tests/golden/onnx/mlp.onnx
golden() { # inputs|outputs: of the 3 rows of mlp.f32
    od -An -v -t f4 -j 12 -w4 tests/golden/onnx/mlp.f32 |
        awk -v part="$1" '{ if ((NR <= 36) == (part == "inputs")) print $1 }'
}
golden inputs > "$work/rows"
golden outputs > "$work/wanted"
"$work/predict" $model < "$work/rows" 2> "$work/err" | tr ' ' '\n' > "$work/got"
close() {
    paste "$work/wanted" "$work/got" | awk '{ d = $1 - $2; if (d < -1e-5 || d > 1e-5) bad++; n++ }
        END { print n " numbers, " bad + 0 " wrong"; exit !(n == 12 && bad == 0) }'
}
check "predict gives PyTorch's numbers" close
check "... and says what the model takes" grep -q 'input "input": N x 3 x 2 x 2' "$work/err"
printf '1 2 3' > "$work/odd"
run sh -c "'$work/predict' $model < '$work/odd'"
expect "... and refuses half a row" 3 "are not rows of 12"
run "$work/predict" "$work/none.onnx"
expect "... and a file that is not there" 3 "none.onnx"

# ---- C++, with a function that has an internal name ----
cat > "$work/use.cpp" << 'END'
#include <fournil/error.h>
#include <fournil/predictor.h>
#include <fournil/training.h>
#include <fournil/version.h>
#include <cstdio>
#include <vector>
extern "C" int fnl_graph_create(void) { return 7; }
int main(int, char **argv)
{
    fnl_error err = FNL_ERROR_INIT;
    fnl_predictor_options options = FNL_PREDICTOR_OPTIONS_INIT;
    fnl_training_options training = FNL_TRAINING_OPTIONS_INIT;
    fnl_predictor *p = nullptr;
    options.threads = 1;
    if (fnl_predictor_load(argv[1], &options, &p, &err) != 0) {
        std::fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    fnl_tensor_info in, out;
    if (fnl_predictor_input(p, 0, &in, &err) != 0 || fnl_predictor_output(p, 0, &out, &err) != 0)
        return 1;
    std::vector<float> x(5 * in.row_size, 1.0F), y(5 * out.row_size);
    const float *inputs[] = {x.data()};
    float *outputs[] = {y.data()};
    if (fnl_predictor_run(p, 5, inputs, outputs, &err) != 0)
        return 1;
    fnl_predictor_free(p);
    int refused = fnl_training_run(&training, nullptr, &err);
    std::printf("%s %d %s %d\n", fnl_version(), fnl_graph_create(), fnl_code_name(refused),
                y[0] == y[4 * out.row_size]);
    return 0;
}
END
if command -v g++ > /dev/null; then
    # shellcheck disable=SC2086
    check "a program in C++11, with a name of ours" compile g++ -std=c++11 $warn -o "$work/use" \
        "$work/use.cpp"
    run "$work/use" $model
    expect "... runs" 0 " 7 INVALID 1"
else
    skip "g++ is not installed"
fi
finish
