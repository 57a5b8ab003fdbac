#!/bin/sh
# test.sh - all tests: installs what they need (Debian packages, by apt-get, as root or through
# sudo), then checkers, release build, sanitizer builds, fuzz corpora. The last line counts them.
#
#   sh scripts/test.sh [--peers] [--fast] [--gpu]
#     --gpu    also tests/gpu/*.sh, on the GPUs that are here; without any it says so and counts
#              them as skipped
#     --peers  also tests/peers/*.sh: against other programs, each in an environment of its own
#     --fast   the release build and the checkers only
#   FOURNIL_FUZZ_SECONDS=20  also runs each fuzz target so long (libFuzzer)
#   FOURNIL_SHARED           folder with the real data sets; "../shared" by default
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

peers=false
fast=false
gpu=false
for argument in "$@"; do
    case $argument in
    --peers) peers=true ;;
    --fast) fast=true ;;
    --gpu) gpu=true ;;
    *)
        echo "usage: sh scripts/test.sh [--peers] [--fast] [--gpu]" >&2
        exit 2
        ;;
    esac
done

passed=0
failed=0
skipped=0
jobs=$(nproc)
began=$(date +%s)
mkdir -p build/test
FOURNIL_SHARED=${FOURNIL_SHARED:-../shared}
export FOURNIL_SHARED

# add "x: 1 passed, 2 failed, 3 skipped": to the totals.
add() {
    # shellcheck disable=SC2046
    set -- $(echo "${1##*:}" | tr -cd '0-9 ')
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
}

# step NAME COMMAND...: counts as one test; its output is shown when it fails.
step() {
    step_name=$1
    shift
    if "$@" > build/test/step.log 2>&1; then
        echo "$step_name: passed"
        passed=$((passed + 1))
    else
        echo "$step_name: FAILED"
        # without the lines of progress
        grep -v '^\[[0-9]*/[0-9]*\] ' build/test/step.log | tail -n 60 | sed 's/^/    /'
        failed=$((failed + 1))
        return 1
    fi
}

# build_preset PRESET [TARGET...]
build_preset() {
    preset=$1
    shift
    cmake --preset "$preset" && cmake --build "build/$preset" -j "$jobs" ${1:+--target} "$@"
}

# suite PRESET [CTEST-ARGUMENT...]: runs the tests of a build and counts them.
suite() {
    preset=$1
    shift
    log=build/test/$preset.log
    ctest --test-dir "build/$preset" -V -j "$jobs" "$@" > "$log" 2>&1 || true
    awk -v name="$preset" -f scripts/count_tests.awk "$log" > build/test/count.log
    cat build/test/count.log
    add "$(tail -n 1 build/test/count.log)"
}

# What threads share: pool, loader, executor and what is like them.
THREADED='(pool|thread|loader|exec|shard|interrupt|log|prefetch)'

run_tsan() {
    cmake --preset tsan > build/test/step.log 2>&1 || true
    targets=$(ctest --test-dir build/tsan -N -R "$THREADED" 2> /dev/null |
        sed -n 's/^ *Test *#[0-9]*: \([a-z]*\)\.\(test_.*\)$/\1_\2/p')
    if [ -z "$targets" ]; then
        echo "tsan: no test of threads"
        return
    fi
    # shellcheck disable=SC2086
    step "build tsan" build_preset tsan $targets || return 0
    suite tsan -R "^[a-z]*\.test_.*$THREADED"
}

fuzz_one() { # TARGET SECONDS
    corpus=build/test/corpus_$1
    mkdir -p "$corpus"
    "build/fuzz/$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix=build/test/ "$corpus" "fuzz/corpus/${1#fuzz_}"
}

run_fuzz() { # SECONDS
    targets=$(for f in fuzz/fuzz_*.c; do [ -f "$f" ] && basename "$f" .c; done)
    [ -n "$targets" ] || return 0
    # shellcheck disable=SC2086
    step "build fuzz" build_preset fuzz $targets || return 0
    for target in $targets; do
        step "fuzz $target for $1 s" fuzz_one "$target" "$1" || true
    done
}

# run_scripts FOLDER: tests/FOLDER/*.sh, outside ctest.
run_scripts() {
    for script in tests/"$1"/*.sh; do
        [ -f "$script" ] || continue
        name=$1/$(basename "$script" .sh)
        log=build/test/$1.log
        status=0
        FOURNIL=$PWD/build/fournil sh "$script" "$PWD/build/fournil" "$PWD/build/release" \
            > "$log" 2>&1 || status=$?
        {
            sed 's/^/1: /' "$log"
            case $status in
            0) echo "1/1 Test #1: $name .   Passed 0 sec" ;;
            77) echo "1/1 Test #1: $name .***Skipped" ;;
            *) echo "1/1 Test #1: $name .***Failed" ;;
            esac
        } > "build/test/$1.ctest"
        awk -v name="$name" -f scripts/count_tests.awk "build/test/$1.ctest" > build/test/count.log
        cat build/test/count.log
        add "$(tail -n 1 build/test/count.log)"
    done
}

check_format() {
    find include src tests fuzz examples -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
}

check_shell() {
    find scripts tests .ci \( -name '*.sh' -o -path .ci/run \) -exec shellcheck -x {} +
}

check_clang() {
    cmake --preset clang -DFNL_OPTIMIZE=0 &&
        cmake --build build/clang -j "$jobs"
}

# shellcheck disable=SC2086
install_packages "to build" $BUILD_PACKAGES
# shellcheck disable=SC2086
install_packages "to test" $TEST_PACKAGES

step "check_layers" tools/check_layers || true
step "check_src" tools/check_src || true
step "clang-format" check_format || true
step "shellcheck" check_shell || true
if step "build release (gcc, warnings are errors)" make; then
    step "check_headers" tools/check_headers || true
    suite release
fi
if ! $fast; then
    if step "build asan" build_preset asan; then
        suite asan
    fi
    run_tsan
    step "build clang (warnings are errors)" check_clang || true
fi
if [ -n "${FOURNIL_FUZZ_SECONDS-}" ]; then
    run_fuzz "$FOURNIL_FUZZ_SECONDS"
fi
if $peers; then
    run_scripts peers
fi
if $gpu; then
    run_scripts gpu
fi

seconds=$(($(date +%s) - began))
echo "All tests took $((seconds / 60)) min $((seconds % 60)) s; logs: build/test/"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
