# shellcheck shell=sh
# tap.sh - for shell tests: each check is one line of TAP, counted by scripts/test.sh.
#   . tests/tap.sh; check "name of what must hold" command...; finish
# $work is a folder of the test's own, removed at the end.
tap_count=0
tap_failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/fournil-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

pass() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

fail() {
    tap_count=$((tap_count + 1))
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1"
}

skip() {
    tap_count=$((tap_count + 1))
    echo "not ok $tap_count # SKIP $1"
}

# check NAME COMMAND...: passes when the command does.
check() {
    tap_name=$1
    shift
    if "$@" > "$work/check.out" 2>&1; then
        pass "$tap_name"
    else
        fail "$tap_name"
        sed 's/^/# /' "$work/check.out"
    fi
}

# run COMMAND...: into $out, $err and $status; never ends the test.
run() {
    status=0
    "$@" > "$work/out" 2> "$work/err" < /dev/null || status=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

# expect NAME STATUS [TEXT]: of the last run; TEXT must stand in its output or errors.
expect() {
    if [ "$status" -ne "$2" ]; then
        fail "$1"
        echo "# exit status $status, expected $2"
        printf '%s\n%s\n' "$out" "$err" | sed 's/^/# /'
    elif [ -n "${3-}" ] && ! printf '%s\n%s\n' "$out" "$err" | grep -qF -- "$3"; then
        fail "$1"
        echo "# not found: $3"
        printf '%s\n%s\n' "$out" "$err" | sed 's/^/# /'
    else
        pass "$1"
    fi
}

finish() {
    echo "1..$tap_count"
    [ "$tap_failed" -eq 0 ]
}
