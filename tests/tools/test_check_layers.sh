#!/bin/sh
# tools/check_layers on a tree of its own: clean passes, each kind of fault is found.
. tests/tap.sh

tree() {
    rm -rf "$work/t"
    mkdir -p "$work/t/src/base" "$work/t/src/data" "$work/t/src/engine" "$work/t/tools"
    cp tools/layers.txt "$work/t/tools/"
    echo '#include "base/a.h"' > "$work/t/src/base/a.c"
    printf '#include <stdio.h>\n#include "base/a.h"\n#include "data/d.h"\n' > "$work/t/src/data/d.c"
    printf '/*\n#include "engine/e.h"\n*/\n' >> "$work/t/src/data/d.c"
    printf '#include "data/d.h"\n#include "engine/e_int.h"\n' > "$work/t/src/engine/e.c"
}

faulty() { # NAME FILE LINE-TO-ADD EXPECTED-TEXT
    tree
    mkdir -p "$(dirname "$work/t/$2")"
    echo "$3" >> "$work/t/$2"
    run tools/check_layers --root "$work/t"
    expect "$1" 1 "$4"
}

tree
run tools/check_layers --root "$work/t"
expect "a clean tree passes, includes in comments do not count" 0 "3 files, clean"
faulty "an include of a higher floor is found" src/base/a.c '#include "engine/e.h"' \
    "src/base/a.c:2: base (rank 0) may not include engine (rank 2)"
faulty "an include of the same floor in another folder is found" src/data/d.c \
    '#  include "net/n.h"' "data (rank 1) may not include net (rank 1)"
faulty "another folder's internal header is found" src/engine/e.c '#include "data/d_int.h"' \
    "data/d_int.h is internal to data"
faulty "a header without its folder is found" src/data/d.c '#include "d.h"' "name the folder"
faulty "a folder without a rank is found" src/helpers/h.c '' "src/helpers/h.c: not in a folder"
faulty "an include of a folder without a rank is found" src/data/d.c '#include "misc/m.h"' \
    "folder misc has no rank"
run tools/check_layers
expect "the checkout is clean" 0 "clean"
finish
