#!/bin/sh
# The program from outside: help, mistakes, exit statuses, streams.
#   sh tests/cli/test_program.sh FOURNIL BUILD_DIR
# shellcheck disable=SC2016 # the quoted scripts expand their own $1
. tests/tap.sh
fournil=$1
trees=tests/device/trees

json() { # EXPRESSION: of python3, on the JSON object d in $out
    printf '%s' "$out" | python3 -c "import json,sys; d=json.load(sys.stdin); sys.exit(not ($1))"
}

run "$fournil"
expect "without a command it shows the commands and exits 2" 2 "Usage: fournil COMMAND"
check "... on stderr" test -z "$out"
run "$fournil" help
expect "help lists the commands" 0 "devices"
run "$fournil" --help
expect "--help is help" 0 "Exit status:"

commands=$("$fournil" help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p')
for command in $commands; do
    run "$fournil" help "$command"
    expect "help $command" 0 "Usage: fournil $command"
    by_help=$out
    run "$fournil" "$command" --help
    expect "$command --help exits 0" 0
    check "$command --help is the same text" test "$by_help" = "$out"
    run "$fournil" "$command" --no-such-option
    expect "$command refuses an unknown option with 2" 2 "--no-such-option"
done

run "$fournil" --version
expect "--version" 0
check "--version is one line, name and number" sh -c \
    'printf "%s\n" "$1" | grep -qxE "fournil [0-9]+\.[0-9]+\.[0-9]+"' sh "$out"
run "$fournil" -V
expect "-V" 0 "fournil "
run "$fournil" --version --json
expect "--version --json" 0
check "... is JSON with the version" json 'd["name"] == "fournil" and d["version"].count(".") == 2'
run "$fournil" --version --jsn
expect "--version refuses anything else" 2 'unexpected argument "--jsn"'

run "$fournil" device
expect "an unknown command names the nearest" 2 'did you mean "devices"?'
run "$fournil" zzz
expect "an unknown command that is near to nothing" 2 'unknown command "zzz"'
check "an error is one line that begins with the name" sh -c \
    'printf "%s\n" "$1" | head -1 | grep -qx "fournil: error: unknown command \"zzz\""' sh "$err"
run "$fournil" --json devices
expect "an option before the command is refused with the order" 2 "options follow the command"
run "$fournil" help zzz
expect "help on an unknown command" 2 'no help on "zzz"'
run "$fournil" "$(printf 'a\033[31mb')"
expect "an escape sequence in an argument does not reach the terminal" 2 'a?[31mb'
run env TERM=xterm "$fournil" zzz
check "no colours where stderr is no terminal" sh -c \
    '! printf "%s" "$1" | grep -q "$(printf "\033")"' sh "$err"

run "$fournil" devices
expect "devices shows the cpu" 0 "cpu "
run "$fournil" devices --json
expect "devices --json" 0
check "... names cpu, and a usable CPU" json \
    'd["auto"] == "cpu" and d["devices"][0]["name"] == "cpu" and d["devices"][0]["cpus_usable"] >= 1'
for tree in epyc xeon_amx grace raspberry bare hostile; do
    run "$fournil" devices --json --root $trees/$tree
    expect "devices on the tree $tree" 0
    check "... is JSON" json 'len(d["devices"]) == 1'
done
run "$fournil" devices --root $trees/xeon_amx
expect "devices shows the widest instruction sets and a memory limit" 0 \
    "amx_bf16 avx512_bf16 avx512f  limit 8.0 GiB of 503.5 GiB"
run "$fournil" devices --root $trees/bare
expect "what is unknown is shown as unknown" 0 "? of ?"
run "$fournil" devices extra
expect "devices takes no argument" 2 'devices: unexpected argument "extra"'

for shell in bash zsh fish; do
    run "$fournil" help --completion $shell
    expect "completion for $shell" 0 devices
done
run "$fournil" help --completion csh
expect "completion for another shell is refused" 2 "expected one of bash, zsh, fish"

run "$fournil" help --config
expect "the page of the configuration" 0 "learning_rate"
check "docs/config.md is what the tables print (else: make docs)" cmp docs/config.md "$work/out"

# Streams that are full, closed, or left early.
if [ -w /dev/full ]; then
    status=0
    "$fournil" devices --json > /dev/full 2> "$work/err" || status=$?
    out=''
    err=$(cat "$work/err")
    expect "a full disk behind stdout is status 5" 5 "No space left on device"
    status=0
    "$fournil" help > /dev/full 2> "$work/err" || status=$?
    err=$(cat "$work/err")
    expect "... also for plain text" 5 "No space left on device"
fi
status=0
"$fournil" devices >&- 2> "$work/err" || status=$?
err=$(cat "$work/err")
expect "a closed stdout is no error" 0
{
    status=0
    "$fournil" help --man || status=$?
    echo "$status" > "$work/status"
} 2> "$work/err" | true
sleep 0.1
check "a reader that leaves early is no error" test "$(cat "$work/status")" -eq 0
check "... and nothing is said about it" test ! -s "$work/err"
finish
