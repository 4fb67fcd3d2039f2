#!/usr/bin/env bash
# run.sh BUILD SECONDS [NAME...] - run each fuzzer of a build so long
#
# Fuzzers run one behind the other, from the corpus of this folder and what earlier
# runs found.  Inputs that break something are left in BUILD/finds; they are what makes
# this fail.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1
seconds=$2
shift 2
[ $# -gt 0 ] || set -- compact json moments npy options pruner safetensors score \
    select spans

mkdir -p "$build/finds"
total=0
for name; do
    found=$build/corpus/$name
    log=$build/$name.log
    mkdir -p "$found"
    dictionary=()
    [ -e "$here/dictionaries/$name.dict" ] &&
        dictionary=("-dict=$here/dictionaries/$name.dict")
    "$build/tests/fuzz/fuzz_$name" "${dictionary[@]}" -max_total_time="$seconds" \
        -rss_limit_mb=512 -timeout=5 -max_len=4096 -len_control=20 \
        -print_final_stats=1 -artifact_prefix="$build/finds/$name-" \
        "$found" "$here/corpus/$name" >"$log" 2>&1 || {
        echo "fuzz_$name found something:"
        grep -aE '^fuzz: |runtime error|^SUMMARY|ERROR: ' "$log" | head -5
    }
    n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    printf '%-12s %10s executions, %s edges\n' "$name" "${n:-0}" "${cover:-0}"
    total=$((total + ${n:-0}))
done

finds=$(find "$build/finds" -type f | wc -l)
find "$build/finds" -type f | sed 's/^/find: /'
echo "figure fuzz_execs_total $total"
echo "figure fuzz_finds_open $finds"
[ "$finds" -eq 0 ]
