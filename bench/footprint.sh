#!/bin/sh
# footprint.sh - how quickly the program starts, how large it is, how much memory MNIST takes.
#
#   sh bench/footprint.sh [BUILD_DIR]      (build/release)
#
# Prints rows of Markdown with the target beside each figure. Start: the mean of hyperfine's runs of
# `fournil --version`. Size: a stripped copy. Memory: the largest resident size of training
# examples/mnist_mlp.yaml, as the kernel counts it. Needs hyperfine, strip, GNU time and the MNIST
# files (FOURNIL_DATA).
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
program=$build/fournil
FOURNIL_DATA=${FOURNIL_DATA:-${FOURNIL_SHARED:-../shared}/data}
export FOURNIL_DATA
work=$(mktemp -d "${TMPDIR:-/tmp}/fournil-footprint.XXXXXX")
trap 'rm -rf "$work"' EXIT

row() { # NAME VALUE UNIT LIMIT
    echo "$2 $4" | awk -v name="$1" -v unit="$3" \
        '{ printf "| %s | %s %s | %s %s | %s |\n", name, $1, unit, $2, unit, $1 <= $2 ? "PASS" : "MISS" }'
}

echo "| figure | value | at most | |"
echo "|---|---|---|---|"

if command -v hyperfine > "$work/which"; then
    hyperfine -N --warmup 20 --runs 200 --export-json "$work/start.json" "$program --version" > "$work/log"
    row "\`fournil --version\`" "$(sed -n 's/.*"mean": \([0-9.e-]*\),.*/\1/p' "$work/start.json" |
        awk '{ printf "%.2f", 1000 * $1 }')" ms 5
else
    echo "| \`fournil --version\` | hyperfine is not installed | 5 ms | |"
fi

strip -o "$work/stripped" "$program"
row "program, stripped" "$(wc -c < "$work/stripped" | awk '{ printf "%.2f", $1 / 1000000 }')" MB 2

if [ -e "$FOURNIL_DATA/mnist/train-images-idx3-ubyte.gz" ] && [ -x /usr/bin/time ]; then
    /usr/bin/time -f %M -o "$work/memory" "$program" train examples/mnist_mlp.yaml --dir "$work/runs" \
        > "$work/log"
    row "largest resident memory of training \`examples/mnist_mlp.yaml\`" \
        "$(awk '{ printf "%.0f", $1 * 1024 / 1000000 }' "$work/memory")" MB 150
else
    echo "| memory of training MNIST | no data, or no GNU time (apt install time) | 150 MB | |"
fi
echo "| allocations in a step | counted by tests/engine/test_exec.c, a_step_allocates_nothing | 0 | |"
