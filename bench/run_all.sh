#!/bin/sh
# run_all.sh - every benchmark in one go, as the Markdown that stands in docs/benchmarks.md.
#
#   sh bench/run_all.sh [--quick] [--write] [BUILD_DIR]      (build/release, made by `make`)
#     --quick  one round each, to see that all tools work; its figures mean nothing
#     --write  puts the result into docs/benchmarks.md, between its two marks
#
# Takes about 20 minutes on a quiet machine; nothing else should run. Needs the data sets
# (FOURNIL_DATA, or ../shared/data), hyperfine, GNU time, and for the peers Debian's python3-torch,
# a current PyTorch in build/venv-pytorch, libdnnl-dev and OpenBLAS; what is absent is left out and
# said. Accuracies take longer still: they come from build/accuracy.jsonl, made beforehand by
#   /usr/bin/python3 bench/accuracy_vs_pytorch.py --out build/accuracy.jsonl
set -eu
cd "$(dirname "$0")/.."
repeat=5
whole="--repeat 3"
write=false
build=build/release
for argument in "$@"; do
    case $argument in
    --quick)
        repeat=1
        whole="--repeat 1 --epochs 1"
        ;;
    --write) write=true ;;
    -*)
        echo "usage: sh bench/run_all.sh [--quick] [--write] [BUILD_DIR]" >&2
        exit 2
        ;;
    *) build=$argument ;;
    esac
done
if [ ! -x "$build/step_driver" ]; then
    echo "error: $build/step_driver is missing" >&2
    echo "  hint: run make first" >&2
    exit 1
fi
FOURNIL_DATA=${FOURNIL_DATA:-$PWD/${FOURNIL_SHARED:-../shared}/data}
export FOURNIL_DATA
mkdir -p build/bench
result=build/bench/result.md
log=build/bench/log

# The kernels' floor is no part of the build: it needs oneDNN and OpenBLAS.
build_floor() {
    cc -O2 -std=c11 -D_GNU_SOURCE -Isrc bench/kernels/*.c "$build/libfnl_engine.a" \
        "$build/libfnl_base.a" -ldnnl -l:libopenblas.so.0 -ljansson -lyaml -lz -lm -lpthread \
        -o "$build/floor"
}

section() { # TITLE COMMAND...: its output under a title that names it
    title=$1
    shift
    # shellcheck disable=SC2016 # Markdown, not commands
    printf '\n### %s\n\n`%s`\n\n' "$title" "$*"
    section_began=$(date +%s)
    section_status=0
    "$@" 2>> "$log" || section_status=$?
    if [ "$section_status" -ne 0 ]; then
        echo
        echo "(exit status $section_status)"
        echo "$title: exit status $section_status, see $log" >&2
    fi
    echo "$title: $(($(date +%s) - section_began)) s" >&2
}

head_lines() {
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    echo "- machine: ${model:-unknown CPU}, $(nproc) CPUs, Linux $(uname -r)"
    echo "- date: $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)$(
        git diff --quiet HEAD -- src 2> /dev/null || echo ', src/ changed since')"
    echo "- load before the run: $(cut -d ' ' -f 1-3 /proc/loadavg) (1, 5, 15 minutes)"
    echo "- command: \`sh bench/run_all.sh\`"
}

everything() {
    head_lines
    section "Steps" python3 bench/train_vs_pytorch.py --repeat "$repeat" --build "$build"
    section "Beside a busy process" python3 bench/train_vs_pytorch.py --busy --repeat "$repeat" \
        --build "$build"
    # shellcheck disable=SC2086
    section "Whole command" python3 bench/whole_command.py $whole --build "$build"
    section "Footprint" sh bench/footprint.sh "$build"
    if [ -e build/accuracy.jsonl ]; then
        section "Accuracy" python3 bench/accuracy_vs_pytorch.py --join build/accuracy.jsonl
    else
        # shellcheck disable=SC2016
        printf '\n### Accuracy\n\nNot run: `/usr/bin/python3 bench/accuracy_vs_pytorch.py --out build/accuracy.jsonl` first.\n'
    fi
}

: > "$log"
began=$(date +%s)
build_floor 2>> "$log" || echo "floor: not built, see $log (apt install libdnnl-dev libopenblas0)" >&2
everything > "$result"
cat "$result"
echo "All benchmarks took $((($(date +%s) - began) / 60)) min; log: $log" >&2
if $write; then
    awk -v result="$result" '
        /<!-- results end -->/ { skip = 0 }
        !skip { print }
        /<!-- results begin -->/ { skip = 1; print ""; while ((getline line < result) > 0) print line; print "" }
    ' docs/benchmarks.md > build/bench/page.md
    cp build/bench/page.md docs/benchmarks.md
    echo "docs/benchmarks.md: written" >&2
fi
