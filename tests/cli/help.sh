#!/bin/sh
# help.sh CSP DIRECTORY - the program says what it can do, and which version it is
set -eu
export LC_ALL=C

csp=$1

"$csp" --help | grep -q '^usage: csp COMMAND'
"$csp" --version | grep -qE '^csp [0-9]+\.[0-9]+\.[0-9]+$'
for arguments in "" "nonsense" "--nonsense"; do
    code=0
    words=$("$csp" $arguments 2>&1 >/dev/null) || code=$?
    [ "$code" = 1 ] || { echo "csp $arguments: exit code $code, not 1"; exit 1; }
    [ "$(echo "$words" | wc -l)" = 1 ] || { echo "more than a line: $words"; exit 1; }
done

# A full disk does not go unnoticed.
for command in "" prune compact inspect report gap selftest; do
    [ -c /dev/full ] || continue
    code=0
    "$csp" $command --help >/dev/full 2>&1 || code=$?
    [ "$code" = 3 ] || { echo "csp $command --help >/dev/full: exit code $code, not 3"; exit 1; }
done
