# count_tests.awk - counts single tests in the output of `ctest -V`.
#   awk -v name=release -f scripts/count_tests.awk LOG
# A program that prints TAP (cmocka, tests/tap.sh) counts each of its tests; any other counts once.
# A program that fails without a failed test, or ends before all its planned tests ran, adds
# failures. Prints what failed programs said, without the tests that passed, and last:
# "name: P passed, F failed, S skipped".

match($0, /^[0-9]+: /) {
    id = substr($0, 1, RLENGTH - 2)
    text = substr($0, RLENGTH + 1)
    if (text ~ /not ok [0-9]+ # SKIP/) {
        skipped[id]++
    } else if (text ~ /not ok [0-9]+ - /) {
        failed[id]++
    } else if (text ~ /ok [0-9]+ - /) {
        passed[id]++
        next
    } else if (text ~ /^1\.\.[0-9]+$/) {
        planned[id] += substr(text, 4)
    }
    if (lines[id] < 400) {
        output[id] = output[id] "    " text "\n"
        lines[id]++
    }
}

# " 3/10 Test  #3: base.test_arena .........   Passed    0.01 sec"
match($0, /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: /) {
    head = substr($0, 1, RLENGTH)
    sub(/^.*#/, "", head)
    sub(/:.*/, "", head)
    rest = substr($0, RSTART + RLENGTH)
    split(rest, words, " ")
    title[head] = words[1]
    state[head] = rest ~ /   Passed / ? "passed" : rest ~ /\*\*\*Skipped/ ? "skipped" : "failed"
    order[++count] = head
}

END {
    for (i = 1; i <= count; i++) {
        id = order[i]
        ran = passed[id] + failed[id] + skipped[id]
        if (ran == 0) {
            if (state[id] == "failed") {
                failed[id] = 1
            } else if (state[id] == "skipped") {
                skipped[id] = 1
            } else {
                passed[id] = 1
            }
        } else {
            if (planned[id] > ran) {
                failed[id] += planned[id] - ran
            }
            if (state[id] == "failed" && failed[id] == 0) {
                failed[id] = 1
            }
        }
        if (failed[id] > 0) {
            printf "%s: FAILED: %s\n%s", name, title[id], output[id]
        }
        p += passed[id]
        f += failed[id]
        s += skipped[id]
    }
    if (count == 0) {
        f = 1
    }
    printf "%s: %d passed, %d failed, %d skipped\n", name, p, f, s
}
