#!/bin/sh
# tools/check_src on a tree of its own: clean passes, each ban is found, waivers and look-alikes
# pass.
. tests/tap.sh

tree() {
    rm -rf "$work/t"
    mkdir -p "$work/t/src/base" "$work/t/src/cli" "$work/t/src/data" "$work/t/tests/data"
    cat > "$work/t/src/data/d.c" << 'END'
#include <stdlib.h>
/* strcpy(a, b) in a comment, */
// printf("x") in another,
static const char *s = "system(1); \" atoi(2)";
static int c = '"';
static void f(struct ops *ops)
{
    ops->free(ops);
    ops.malloc(3);
    fnl_free(s);
    fnl_printf(s);
    free(dump); /* check_src: allow free: jansson's */
    fprintf(out, "x");
}
END
    echo 'void *m(void) { return malloc(1); }' > "$work/t/src/base/m.c"
    echo 'int main(void) { printf("x"); exit(0); }' > "$work/t/src/cli/main.c"
    echo 'int main(void) { printf("x"); free(malloc(1)); }' > "$work/t/tests/data/test_d.c"
}

faulty() { # NAME FILE LINE-TO-ADD EXPECTED-TEXT
    tree
    echo "$3" >> "$work/t/$2"
    run tools/check_src --root "$work/t"
    expect "$1" 1 "$4"
}

lines() { # COUNT: that many statements
    i=0
    while [ "$i" -lt "$1" ]; do
        echo '    x++;'
        i=$((i + 1))
    done
}

tree
run tools/check_src --root "$work/t"
expect "a clean tree passes" 0 "4 files, clean"
for name in strcpy strcat sprintf vsprintf atoi strtok system alloca; do
    faulty "$name is banned" src/cli/main.c "int x = $name(a, b);" \
        "src/cli/main.c:2: $name() is banned"
done
faulty "bans hold in tests" tests/data/test_d.c 'x = sprintf (a, b);' "sprintf() is banned"
for name in malloc calloc realloc free strdup; do
    faulty "$name is banned outside base" src/data/d.c "x = $name(y);" "$name() is banned"
done
faulty "malloc is banned in cli" src/cli/main.c 'x = malloc(1);' "malloc() is banned"
for name in printf puts exit abort perror; do
    faulty "$name is banned outside cli" src/base/m.c "$name(y);" "$name() is banned"
done
faulty "writing to stderr is banned outside cli" src/data/d.c 'fprintf(stderr, "x");' "prints to stderr"
faulty "a waiver holds for its own name only" src/data/d.c \
    'strdup(a); /* check_src: allow free */' "strdup() is banned"
faulty "typedef of a struct is banned" src/data/d.c 'typedef struct a b;' "no typedef"
tree
{ echo 'void g(void)'; echo '{'; lines 118; echo '}'; } >> "$work/t/src/data/d.c"
run tools/check_src --root "$work/t"
expect "a function of 120 lines passes" 0 clean
{ echo 'void h(void)'; echo '{'; lines 119; echo '}'; } >> "$work/t/src/data/d.c"
run tools/check_src --root "$work/t"
expect "a function of 121 lines is found" 1 "function of 121 lines"
tree
lines 1001 > "$work/t/src/data/long.c"
run tools/check_src --root "$work/t"
expect "a file of 1001 lines is found" 1 "file of 1001 lines"
run tools/check_src
expect "the checkout is clean" 0 "clean"
finish
