#!/usr/bin/env bash
# sanitize.sh DIRECTORY [WHAT...] - the tests under what sees the invisible
#
#   address    AddressSanitizer and LeakSanitizer: every test
#   undefined  UndefinedBehaviorSanitizer, also for casts of floats, implicit
#              conversions and bounds of arrays: every test
#   memory     MemorySanitizer, cmocka and cJSON instrumented like us: every test
#   thread     ThreadSanitizer: every test
#   valgrind   memcheck: the tests that are quick there
#
# With the examples, but for those of MPI and OpenMP: their libraries are not ours.
# Reports are in files of their own, so that none is lost with the output of a program
# that a test runs.  Counted are reports, or, where there are more of those, tests that
# failed.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
jobs=$(nproc)
total=0

# The whole differential test is for `make test`; here it looks at fewer cases.
few=500
reports=$work/reports
export ASAN_OPTIONS=log_path=$reports/r:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=log_path=$reports/r:print_stacktrace=1
export MSAN_OPTIONS=log_path=$reports/r:poison_in_dtor=1
export TSAN_OPTIONS=log_path=$reports/r:halt_on_error=1

# build WHAT FLAGS [OPTION...]
build()
{
    { cmake -S "$source" -B "$work/$1" -DCMAKE_C_COMPILER=clang \
        -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_FLAGS="-O1 -fno-omit-frame-pointer $2" \
        -DCMAKE_CXX_FLAGS="-O1 $2" \
        -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON -DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON \
        -DCSP_BLAS=OFF -DCSP_DIFFERENTIAL_N=$few "${@:3}" &&
        cmake --build "$work/$1" -j "$jobs"
    } >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    # CMake forgets the flags of a folder whose compiler changes; then all would pass.
    [ "$1" = valgrind ] || nm "$work/$1/libcsp.a" | grep -cE ' U __(a|m|t|ub)san_' >/dev/null ||
        { echo "$1: not instrumented; remove $work/$1"; exit 1; }
}

# count WHAT N-FAILED N-RUN
count()
{
    local n
    n=$(find "$reports" -type f -size +0 | wc -l)
    find "$reports" -type f -exec cat {} +
    ((n >= $2)) || n=$2
    ((n == 0)) || cat "$work/$1.txt"
    echo "$1: $3 tests, $n reports, $SECONDS seconds since the first"
    total=$((total + n))
}

# run WHAT [CTEST-OPTION...]
run()
{
    local passed failed status=0
    ctest --test-dir "$work/$1" --output-on-failure --no-tests=error -j "$jobs" \
        --label-exclude 'install|bench|engine' -E '^(readme|symbols|cli_browser)$' \
        "${@:2}" >"$work/$1.txt" 2>&1 </dev/null || status=$?
    passed=$(grep -c ' Passed ' "$work/$1.txt") || true
    failed=$(grep -cE '\*\*\*(Failed|Timeout|Exception|Not Run)|Subprocess aborted' \
        "$work/$1.txt") || true
    # 8: tests failed, which are counted; anything else is an end before the last.
    [ $status = 0 ] || [ $status = 8 ] && grep -q 'tests passed, ' "$work/$1.txt" ||
        { cat "$work/$1.txt"; echo "$1: ctest ended with $status"; exit 1; }
    count "$1" "$failed" $((passed + failed))
}

address()
{
    build address "-fsanitize=address -fno-sanitize-recover=all"
    run address
}

undefined()
{
    build undefined "-fsanitize=undefined,float-cast-overflow,implicit-conversion,local-bounds -fno-sanitize-recover=all"
    run undefined
}

memory()
{
    local flags="-fsanitize=memory -fsanitize-memory-track-origins"
    "$source/tests/cross/dependencies.sh" "$work" "$work/memory-root" clang $flags
    clang -std=c11 -O1 $flags -c "$source/tests/gates/msan_stat.c" -o "$work/msan_stat.o"
    # Shared, or the failing malloc of cli_faults would be cJSON's as well.
    clang -O2 -g -w $flags -fPIC -shared "$work/cjson/cJSON.c" \
        -o "$work/memory-root/usr/lib/libcjson.so"
    build memory "$flags" -DCMAKE_EXE_LINKER_FLAGS="$work/msan_stat.o" \
        -DCMAKE_FIND_ROOT_PATH="$work/memory-root" \
        -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY
    run memory
}

thread()
{
    build thread "-fsanitize=thread"
    run thread
}

# No AVX-512 there: the kernels are those of AVX2.  It reads no DWARF 5 of clang.
valgrind()
{
    local failed=0 n=0 name
    build valgrind "-gdwarf-4"
    : >"$work/valgrind.txt"
    for name in calibrate calibrate_errors compact compact_views correct dropped kept \
        kept_pages moments pieces pruner pruner_apply pruner_plan rank report rows \
        score_errors select select_errors summary tokens values views workspace; do
        n=$((n + 1))
        (cd "$work/valgrind/tests" && timeout 300 valgrind -q --error-exitcode=9 \
            --log-file="$reports/$name" --leak-check=full \
            --errors-for-leak-kinds=all "./test_$name") \
            >"$work/one" 2>&1 </dev/null || {
            cat "$work/one" >>"$work/valgrind.txt"
            failed=$((failed + 1))
        }
    done
    count valgrind $failed $n
}

[ $# -gt 0 ] || set -- address undefined memory thread valgrind
for what; do
    rm -rf "$reports"
    mkdir -p "$reports"
    $what
done
echo "figure sanitizer_reports $total"
[ "$total" = 0 ]
