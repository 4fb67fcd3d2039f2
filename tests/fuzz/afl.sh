#!/usr/bin/env bash
# afl.sh BUILD SECONDS - the readers of files by a second engine, AFL++
#
# The fuzzers are the same, with AFL++'s driver in place of libFuzzer's.  Fails if one
# of them crashed or hung.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1
seconds=$2
export AFL_USE_ASAN=1 AFL_USE_UBSAN=1 AFL_QUIET=1

cmake -S "$here/../.." -B "$build" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_C_COMPILER=afl-clang-fast -DCMAKE_C_FLAGS=-O1 -DCSP_BLAS=OFF \
    -DCSP_FUZZ=ON -DCSP_BUILD_EXAMPLES=OFF >"$build.log" 2>&1 &&
    cmake --build "$build" --target fuzz_npy fuzz_safetensors -j 2 >"$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }

# A machine's CPU scaling and core dumps are not this test's to change.
export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 \
    AFL_NO_AFFINITY=1
total=0
finds=0
for name in npy safetensors; do
    out=$build/found/$name
    rm -rf "$out"
    mkdir -p "$out"
    afl-fuzz -i "$here/corpus/$name" -o "$out" -x "$here/dictionaries/$name.dict" \
        -V "$seconds" -m none -t 5000 -- "$build/tests/fuzz/fuzz_$name" \
        >"$build/$name.log" 2>&1 </dev/null || { tail -20 "$build/$name.log"; exit 1; }
    stats=$out/default/fuzzer_stats
    n=$(sed -n 's/^execs_done *: *//p' "$stats")
    bad=$(find "$out/default/crashes" "$out/default/hangs" -name 'id:*' | wc -l)
    printf '%-12s %10s executions, %s finds\n' "$name" "$n" "$bad"
    total=$((total + n))
    finds=$((finds + bad))
done
find "$build/found" -path '*/crashes/id:*' -o -path '*/hangs/id:*' | sed 's/^/find: /'
echo "figure fuzz_afl_execs_total $total"
echo "figure fuzz_afl_finds_open $finds"
[ "$finds" -eq 0 ]
