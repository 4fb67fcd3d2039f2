#!/usr/bin/env bash
# differential.sh PROGRAM N - N cases of the differential test in two processes
set -euo pipefail

half=$(($2 / 2))
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$1" --seed 1 --n $half >"$out/1" 2>&1 &
failed=0
"$1" --seed $((half + 1)) --n $(($2 - half)) >"$out/2" 2>&1 || failed=1
wait $! || failed=1
grep -h -E '^differential (tiers|types)|--seed' "$out/1" "$out/2" || true
awk '/^differential: / { cases += $2; mismatches += $4 }
    END { print "figure differential_cases", cases + 0
          print "figure differential_mismatches", mismatches + 0 }' "$out/1" "$out/2"
exit $failed
