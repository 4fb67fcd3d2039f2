#!/usr/bin/env bash
# differential.sh PROGRAM N JOBS - N seeds of the differential test, on each tier of
# this CPU with each type; and as many cases that draw theirs
set -euo pipefail

export program=$1 n=$2
export out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# run TIER DTYPE, or run "" "": what each case draws
run()
{
    local status=0 at=$out/$1-$2
    "$program" --seed 1 --n "$n" ${1:+--tier $1} ${2:+--dtype $2} >"$at" 2>&1 || status=$?
    case $status in
    0) echo "${1:-drawn} ${2:-drawn}: $(sed -n 's/^differential: //p' "$at")" ;;
    77) echo "$1 $2: not on this CPU" ;;
    *) cat "$at" && return 1 ;;
    esac
}
export -f run

failed=0
{
    printf ' \n'
    for tier in scalar avx2 avx512 neon; do
        printf "$tier %s\n" f32 f16 bf16
    done
} | xargs -P "$3" -d '\n' -I CASE bash -c 'read -r t d <<<"CASE"; run "$t" "$d"' || failed=1
cat "$out"/* | awk '/^differential: / { cases += $2; mismatches += $4 }
    END { print "figure differential_cases", cases + 0
          print "figure differential_mismatches", mismatches + 0 }'
exit $failed
