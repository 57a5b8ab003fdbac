#!/bin/sh
# scripts/count_tests.awk: what ctest and TAP say, added up; a crash is never lost.
. tests/tap.sh

count() { # LINES: the log; leaves the result in $out
    printf '%s\n' "$1" > "$work/log"
    run awk -v name=x -f scripts/count_tests.awk "$work/log"
}

count '1: 1..3
1: ok 1 - a
1: noise without newlineok 2 - b
1: not ok 3 # SKIP c
1/1 Test #1: base.test_a ....   Passed    0.01 sec'
expect "single tests of a program are counted" 0 "x: 2 passed, 0 failed, 1 skipped"
count '1: 1..2
1: ok 1 - a
1: not ok 2 - b
1: # 1 != 2
1/1 Test #1: base.test_a ....***Failed    0.01 sec'
expect "a failed test is counted" 0 "x: 1 passed, 1 failed, 0 skipped"
expect "... and its output shown" 0 "# 1 != 2"
count '2: 1..5
2: ok 1 - a
2: AddressSanitizer: heap-buffer-overflow
1/1 Test #2: base.test_a ....***Exception: SegFault  0.01 sec'
expect "tests that a crash kept from running are failures" 0 "x: 1 passed, 4 failed, 0 skipped"
count '1: 1..1
1: ok 1 - a
1: LeakSanitizer: detected memory leaks
1/1 Test #1: base.test_a ....***Failed  0.01 sec'
expect "a leak found at exit is a failure" 0 "x: 1 passed, 1 failed, 0 skipped"
count '1: 12 inputs
1/3 Test #1: fuzz.idx ....   Passed    0.01 sec
2/3 Test #2: fuzz.csv ....***Timeout   9.01 sec
3/3 Test #3: fuzz.npy ....***Not Run   0.00 sec'
expect "programs without TAP count once" 0 "x: 1 passed, 2 failed, 0 skipped"
count '1: ok 1 - a
2: ok 1 - a
2: 1..1
1: 1..1
 1/12 Test  #2: b ....   Passed    0.01 sec
11/12 Test #1: a ....   Passed    0.01 sec'
expect "programs that ran side by side are kept apart" 0 "x: 2 passed, 0 failed, 0 skipped"
count 'No tests were found!!!'
expect "no tests at all is a failure" 0 "x: 0 passed, 1 failed, 0 skipped"
finish
