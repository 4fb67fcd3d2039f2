#!/usr/bin/env bash
# run.sh BUILD SECONDS JOBS [NAME...] - run each fuzzer of a build so long
#
# So many run at a time, from the corpus of this folder and what earlier runs found.
# Inputs that break something are left in BUILD/finds; they are what makes this fail.
set -euo pipefail
export here=$(cd "$(dirname "$0")" && pwd)
export build=$1 seconds=$2
jobs=$3
shift 3
[ $# -gt 0 ] || set -- compact json moments npy options pruner safetensors score \
    select spans

# fuzz NAME
fuzz()
{
    local log=$build/$1.log found=$build/corpus/$1 dictionary=() n cover
    mkdir -p "$found"
    [ -e "$here/dictionaries/$1.dict" ] &&
        dictionary=("-dict=$here/dictionaries/$1.dict")
    "$build/tests/fuzz/fuzz_$1" "${dictionary[@]}" -max_total_time="$seconds" \
        -rss_limit_mb=512 -timeout=5 -max_len=4096 -len_control=20 \
        -print_final_stats=1 -artifact_prefix="$build/finds/$1-" \
        "$found" "$here/corpus/$1" >"$log" 2>&1 </dev/null || {
        echo "fuzz_$1 found something:"
        grep -aE '^fuzz: |runtime error|^SUMMARY|ERROR: ' "$log" | head -5
    }
    n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    printf '%-12s %10s executions, %s edges\n' "$1" "${n:-0}" "${cover:-0}"
}
export -f fuzz

mkdir -p "$build/finds"
printf '%s\n' "$@" | xargs -P "$jobs" -I NAME bash -c 'fuzz NAME' | tee "$build/runs"
finds=$(find "$build/finds" -type f | wc -l)
find "$build/finds" -type f | sed 's/^/find: /'
echo "figure fuzz_execs_total $(awk '$3 == "executions," { n += $2 } END { print n + 0 }' \
    "$build/runs")"
echo "figure fuzz_finds_open $finds"
# One that never ran found nothing, which is no result.
awk '$3 == "executions," && $2 == 0 { bad = 1 } END { exit bad }' "$build/runs" &&
    [ "$finds" -eq 0 ]
