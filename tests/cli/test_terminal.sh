#!/bin/sh
# What stands on a terminal of 80 columns during and after a training.
#   sh tests/cli/test_terminal.sh FOURNIL BUILD_DIR
. tests/tap.sh
fournil=$(realpath "$1")
here=$(pwd)
cd "$work" || exit 1

python3 "$here/tests/cli/make_idx.py" 600 200
cat > net.yaml << 'END'
data:
  format: idx
  train: {images: train-images, labels: train-labels}
  test: {images: test-images, labels: test-labels}
  validation_split: 0.2
model:
  - flatten
  - dense: {units: 16, activation: relu}
  - dense: {units: 4}
train:
  batch: 1
  epochs: 3
END
terminal() {
    run python3 "$here/tests/cli/terminal.py" "$@"
}
table() { # the lines of epochs with their heading
    printf '%s\n' "$out" | grep -E '^ +epoch|^ +[0-9]+/[0-9]+ '
}
no_line_of() { # COLUMNS, or more, in the table and the result
    ! { table; printf '%s\n' "$out" | grep "^test loss"; } | grep -qE "^.{$1}"
}
no_error() {
    ! grep -q "error:" "$work/out"
}

no_bar() {
    ! printf '%s\n' "$out" | grep -qE '\[[#-]+'
}

terminal "$fournil" train net.yaml --threads 1 --dir runs
expect "a training on a terminal" 0 "test accuracy"
check "... shows its table without a broken line" test "$(table | wc -l)" -eq 4
check "... the heading is whole" grep -q "val_accuracy .* left$" "$work/out"
check "... no line fills the terminal" no_line_of 80
check "... leaves no bar" no_bar
terminal --interrupt " left  loss" "$fournil" train net.yaml --threads 1 --dir runs --epochs 100000
expect "Ctrl-C on a terminal" 130 "--resume"
check "... leaves no bar, though the terminal shows ^C" no_bar
check "... is no error" no_error
cd "$here" || exit 1
finish
