#!/bin/sh
# make install: what lands where, how large and how light the program is; completion at work.
#   sh tests/cli/test_install.sh FOURNIL BUILD_DIR
. tests/tap.sh
build=$(realpath "$2")
here=$(pwd)

run cmake --install "$build" --prefix "$work/usr" --strip
expect "it installs into any prefix" 0
run "$work/usr/bin/fournil" --version
expect "the installed program runs" 0 "fournil "
check "man page" test -s "$work/usr/share/man/man1/fournil.1"
check "bash completion" test -s "$work/usr/share/bash-completion/completions/fournil"
check "zsh completion" test -s "$work/usr/share/zsh/vendor-completions/_fournil"
check "fish completion" test -s "$work/usr/share/fish/vendor_completions.d/fournil.fish"
find "$work/usr" | grep -E "libcuda|libnvrtc|libOpenCL" > "$work/stand-ins"
check "nothing of the tests is installed" test ! -s "$work/stand-ins"
check "licence" grep -q "Apache License" "$work/usr/share/doc/fournil/copyright"

# Links to files, in all pages that land in the documentation.
cat > "$work/links.py" << 'END'
import glob, os, re, sys
broken = []
pages = glob.glob(sys.argv[1] + "/**/*.md", recursive=True)
for page in pages:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", open(page, encoding="utf-8").read()):
        if "://" not in link and not os.path.exists(os.path.join(os.path.dirname(page), link)):
            broken.append(page + ": " + link)
print("\n".join(broken))
sys.exit(not pages or bool(broken))
END
check "links of the installed pages lead somewhere" python3 "$work/links.py" "$work/usr/share/doc/fournil"

if grep -q '^CMAKE_BUILD_TYPE:STRING=Release' "$build/CMakeCache.txt"; then
    bytes=$(wc -c < "$work/usr/bin/fournil")
    check "stripped, it is at most 2 MB ($bytes bytes)" test "$bytes" -le 2000000
    # Each library costs time before main: libcurl alone 6 ms, with the 30 that it brings.
    libraries=$(ldd "$work/usr/bin/fournil" | wc -l)
    check "it loads at most 16 libraries at start ($libraries)" test "$libraries" -le 16
    check "libcurl is not among them" sh -c "! ldd '$work/usr/bin/fournil' | grep -q libcurl"
else
    skip "size and libraries are those of the release build"
fi

if command -v mandoc > /dev/null; then
    check "the man page has no error" mandoc -T lint -W error "$work/usr/share/man/man1/fournil.1"
else
    skip "mandoc is not installed"
fi

# Completion, as bash calls it.
cat > "$work/complete.bash" << 'END'
source "$1"
shift
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_fournil
printf '%s\n' "${COMPREPLY[@]}"
END
offer() { # WORD...: the line so far
    run bash "$work/complete.bash" "$work/usr/share/bash-completion/completions/fournil" "$@"
}
mkdir -p "$work/here/.fournil/runs/net-1" "$work/here/.fournil/runs/half" "$work/here/other/runs/cnn-2"
: > "$work/here/.fournil/runs/net-1/config.yaml"
: > "$work/here/other/runs/cnn-2/config.yaml"
if command -v bash > /dev/null; then
    offer fournil dev
    expect "a command is completed" 0 devices
    offer fournil devices --js
    expect "an option is completed" 0 --json
    offer fournil help --completion fis
    expect "the value of an option is completed" 0 fish
    offer fournil help --completion = z
    expect "... also after '='" 0 zsh
    offer fournil train --device re
    expect "... words of a value that takes others too" 0 ref
    offer fournil help dev
    expect "help completes commands" 0 devices
    cd "$work/here" || exit 1
    offer fournil train --resume n
    expect "--resume is offered ids of runs" 0 net-1
    offer fournil train --resume ''
    printf "%s\n" "$out" > "$work/offered"
    check "... only of whole ones" test "$(grep -c half "$work/offered")" -eq 0
    offer fournil train --dir other --resume ''
    expect "... of the folder that --dir names" 0 cnn-2
    offer fournil train --dir = other --resume = c
    expect "... also with '='" 0 cnn-2
    FOURNIL_DIR=other
    export FOURNIL_DIR
    offer fournil train --resume ''
    unset FOURNIL_DIR
    expect "... or FOURNIL_DIR" 0 cnn-2
    cd "$here" || exit 1
    offer fournil devices --root
    check "hidden options are not offered" test -z "$out"
else
    skip "bash is not installed"
fi
for shell in zsh fish; do
    case $shell in
    zsh) file=$work/usr/share/zsh/vendor-completions/_fournil ;;
    fish) file=$work/usr/share/fish/vendor_completions.d/fournil.fish ;;
    esac
    if command -v $shell > /dev/null; then
        check "the completion is $shell's language" $shell -n "$file"
        case $shell in
        zsh) # the parts of its completion system that ours calls
            cat > "$work/complete.zsh" << 'END'
_arguments() { :; }; _describe() { :; }; _files() { :; }
compadd() { print -l $runs; }
source $1
shift
words=("$@")
CURRENT=${#words}
_fournil_runs
END
            run zsh -f "$work/complete.zsh" "$file" fournil train --dir "$work/here/other" --resume ''
            ;;
        fish) run fish -c "source $file; complete -C 'fournil train --dir=$work/here/other --resume '" ;;
        esac
        expect "... and offers ids of runs" 0 cnn-2
    else
        skip "$shell is not installed"
    fi
done
finish
