#!/usr/bin/env bash
# coverage.sh DIRECTORY - lines and branches of the library that the tests there reached
#
# src/cli is reported as well, and has no limit here.  Fails below 98 % of the lines or
# 95 % of the branches of the library.
set -euo pipefail

directory=$1
cd "$(dirname "$0")/../.."

# share WHAT OF: the percentage in a summary
share() { sed -n "s/^$1: *\([0-9.]*\)%.*/\1/p" "$directory/$2.txt"; }

report() # NAME FILTER...
{
    gcovr --root . --exclude-throw-branches --print-summary "${@:2}" "$directory" \
        >"$directory/$1.txt"
}

report library --filter 'src/[^/]*$'
report program --filter 'src/cli/'
cat "$directory/library.txt"
echo "src/cli: $(share lines program) % of lines, $(share branches program) % of branches"
echo "figure line_coverage_percent $(share lines library)"
echo "figure branch_coverage_percent $(share branches library)"
awk -v lines="$(share lines library)" -v branches="$(share branches library)" \
    'BEGIN { exit !(lines >= 98 && branches >= 95) }' ||
    { echo "below 98 % of lines or 95 % of branches"; exit 1; }
