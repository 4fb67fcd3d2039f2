#!/usr/bin/env bash
# coverage.sh DIRECTORY - lines and branches of src/ that the tests there reached
#
# The library and the program apart, and both together, which is what the figures are
# of.  Fails where one of them is below 98 % of lines, or all, or the library, below
# 95 % of branches, or the program below 93 %.  Kernels that cannot run here do not count.
set -euo pipefail

directory=$1
cd "$(dirname "$0")/../.."

# share WHAT OF: the percentage in a summary
share() { sed -n "s/^$1: *\([0-9.]*\)%.*/\1/p" "$directory/$2.txt"; }

# leave_out FILE: neither the file nor what its object has of headers counts.
away=()
leave_out()
{
    echo "left out: $1, which cannot run on this CPU"
    away+=(--exclude "$1")
    find "$directory" -name "${1##*/}.gc*" -delete
}

# What this program reaches is not what tests reached: its counts go elsewhere.
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
for tier in $(GCOV_PREFIX=$elsewhere "$directory/src/cli/csp" selftest |
    sed -n 's/^\([a-z0-9]*\) *not on this CPU$/\1/p'); do
    leave_out "src/kernels_$tier.c"
    # Of the loops that kernels share some are for those of AVX-512 alone.
    [ $tier != avx512 ] || [ "$(uname -m)" != x86_64 ] || leave_out src/kernels_lanes_exp.h
done

report() # NAME LEAST-BRANCHES FILTER...
{
    gcovr --root . --exclude-throw-branches --print-summary "${away[@]}" "${@:3}" "$directory" \
        >"$directory/$1.txt"
    echo "$1: $(share lines "$1") % of lines, $(share branches "$1") % of branches"
    awk -v lines="$(share lines "$1")" -v branches="$(share branches "$1")" -v least="$2" \
        'BEGIN { exit !(lines >= 98 && branches >= least) }' || below="$below $1"
}

below=
report library 95 --filter 'src/[^/]*$'
report program 93 --filter 'src/cli/'
report all 95 --filter 'src/'
echo "figure line_coverage_percent $(share lines all)"
echo "figure branch_coverage_percent $(share branches all)"
[ -z "$below" ] || { cat "$directory/all.txt"; echo "too little:$below"; exit 1; }
