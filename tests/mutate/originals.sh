#!/usr/bin/env bash
# originals.sh JOBS - what mutants are compared with, made and run without a change
#
# base/ has the objects of src/, dependents which source includes which header,
# programs/ a program or script for each test, and times how many milliseconds each
# takes.  programs/stamp is touched when a test is another one than before.
set -euo pipefail
cd "$MUTATE_DIR"
here=$MUTATE_ROOT/tests/mutate
jobs=$1

quietly() { "$@" >log 2>&1 </dev/null || { cat log; echo "failed: $*"; exit 1; }; }

# ---- Tests ----

# names FOLDER PREFIX FUNCTION...: the tests that a CMakeLists.txt adds by these.
names()
{
    local list=$MUTATE_ROOT/tests/$1/CMakeLists.txt prefix=$2 function
    shift 2
    for function; do
        sed -nE "s/^ *$function\\(([a-z][a-z_0-9]*).*/$prefix\\1/p" "$list"
    done
}
scripts="cli_help cli_man cli_report"
tests="$(names . '' csp_test | grep -v ^huge)
    $(names cli cli_ csp_cli_test csp_cli_program_test)
    $(names fuzz fuzz_ csp_fuzzer | grep -E '_(json|npy|options|safetensors|spans)$')"

{
    echo 'differential --n 400'
    echo 'cli_faults --every 3' # of ten thousand runs
    for test in $(printf '%s\n' $tests | grep ^fuzz_); do
        echo "$test $MUTATE_ROOT/tests/fuzz/corpus/${test#fuzz_}"
    done
} >arguments

# The CMake target of a test.
target() { case $1 in fuzz_*) echo "fuzz_replay_${1#fuzz_}" ;; *) echo "test_$1" ;; esac; }

sum=$(cd "$MUTATE_ROOT" && find src tests/cli tests/fuzz tests/*.[ch] tests/CMakeLists.txt \
    -type f | sort | xargs cat | cksum)
if [ "$sum" != "$(cat programs/sum 2>/dev/null)" ]; then
    mkdir -p programs
    quietly cmake -S "$MUTATE_ROOT" -B tests -DCMAKE_BUILD_TYPE= -DCMAKE_C_FLAGS=-O1 \
        -DCSP_BLAS=OFF -DCSP_BUILD_CLI=ON -DCSP_BUILD_EXAMPLES=OFF \
        -DBUILD_SHARED_LIBS=OFF
    quietly cmake --build tests -j "$jobs" --target csp_cli sample_scores \
        $(for test in $tests; do target "$test"; done)
fi

# ---- Objects, and a library of them ----

objects_sum=$(find "$MUTATE_ROOT/src" -type f | sort | xargs cat | cksum)
if [ "$objects_sum" != "$(cat base/sum 2>/dev/null)" ]; then
    (cd "$MUTATE_ROOT" && find src -name '*.c' | sort | sed 's|^src/||;s|\.c$||' |
        xargs -P "$jobs" -I @ $MUTATE_CC -c src/@.c -o "$MUTATE_DIR/base/@.o")
    (cd "$MUTATE_ROOT" && $MUTATE_CC -c "$MUTATE_DIR/tests/src/cli/report_assets.c" \
        -o "$MUTATE_DIR/base/cli/report_assets.o")
    (cd "$MUTATE_ROOT" && find src -name '*.c' | sort | while read -r source; do
        $MUTATE_CC -MM "$source" | tr -s ' \\' '\n' | awk -v c="${source#src/}" \
            'sub("^src/", "") && /\.h$/ { print c, $0 }'
    done) >dependents
    "$here/link.sh" programs
    echo "$objects_sum" >base/sum
    rm -f times
fi

# ---- Programs ----

# Linked to that library: csp itself, where tests look for it, and the tests.
csp=$MUTATE_DIR/tests/src/cli/csp
link_programs()
{
    local test target script
    cc -o "$csp" -Lprograms -Wl,--no-as-needed -lcsp_mutant -lcjson -lm -pthread
    for test in $tests; do
        target=$(target "$test")
        [ "programs/$test" -nt "$(find tests/tests -name "$target" -type f)" ] && continue
        if [ "$test" = cli_faults ]; then
            "$here/link.sh" programs
        else
            cc -o "programs/$test" $(find tests/tests -path "*/$target.dir/*.o") \
                tests/tests/libcsp_test_support.a tests/tests/fuzz/libcsp_fuzz_*.a \
                -Lprograms -lcsp_mutant -lcjson -lcmocka -lm -pthread
        fi
        touch programs/stamp
    done
    for test in $scripts; do
        script=$MUTATE_ROOT/tests/cli/${test#cli_}.sh
        [ "programs/$test" -nt "$script" ] && continue
        printf '#!/bin/sh\nexec %s %s "$PWD/folder" %s\n' "$script" "$csp" \
            "$MUTATE_DIR/tests/tests/cli/sample_scores" >"programs/$test"
        chmod +x "programs/$test"
        touch programs/stamp
    done
}
if [ "$sum" != "$(cat programs/sum 2>/dev/null)" ]; then
    link_programs
    echo "$sum" >programs/sum
fi

# ---- Times ----

[ times -nt programs/stamp ] || for test in $tests $scripts; do
    begin=$(date +%s%N)
    "$here/one.sh" "$test" "$MUTATE_DIR/programs" 600 >log 2>&1 ||
        { cat log; echo "fails without a change: $test"; exit 1; } >&2
    echo "$((($(date +%s%N) - begin) / 1000000)) $test"
done >times.new
[ times -nt programs/stamp ] || sort -n times.new >times
