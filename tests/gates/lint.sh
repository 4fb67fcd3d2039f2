#!/usr/bin/env bash
# lint.sh DIRECTORY [TOOL...] - what analysers find, in DIRECTORY/TOOL.txt
#
#   format     clang-format: every C source, by .clang-format
#   cppcheck   src/, tests/ and examples/; not so: cppcheck.txt
#   tidy       clang-tidy: src/, by .clang-tidy; not so: NOLINT and a reason
#   scan       scan-build: src/, clang's analyser as it comes
#   analyzer   gcc -fanalyzer: src/; not so: analyzer.txt
#
# Fails if anything is found, prints it, and counts it.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
jobs=$(nproc)
total=0
cd "$source"

# count TOOL PATTERN - lines of TOOL.txt that are findings
count()
{
    local n
    n=$(grep -cE "$2" "$work/$1.txt") || true
    ((n == 0)) || cat "$work/$1.txt"
    echo "$1: $n"
    total=$((total + n))
}

# Run a command, show its output only if it fails.
quietly()
{
    "$@" >"$work/log" 2>&1 </dev/null || { cat "$work/log"; echo "failed: $*"; exit 1; }
}

# The library and the program, with BLAS.
configure() # FOLDER OPTION...
{
    quietly cmake -S . -B "$work/$1" -DCSP_BUILD_TESTS=OFF -DCSP_BUILD_EXAMPLES=OFF \
        "${@:2}"
}

format()
{
    make --no-print-directory format-check >"$work/format.txt" 2>&1 || true
    count format ' (error|warning):|\*\*\*'
}

cppcheck()
{
    command cppcheck --enable=warning,performance,portability --error-exitcode=1 \
        --inline-suppr --std=c11 --library=posix -q -j "$jobs" \
        --suppressions-list="$here/cppcheck.txt" \
        --template='{file}:{line}: {severity}: {message} [{id}]' --template-location= \
        -Iinclude -Isrc -Isrc/cli -Isrc/cli/digest -Iexamples -Itests \
        src tests examples >"$work/cppcheck.txt" 2>&1 || [ -s "$work/cppcheck.txt" ]
    count cppcheck .
}

# One file a process: its analyser takes a va_list of the second for uninitialised.
tidy()
{
    configure tidy -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    printf '%s\n' src/*.c src/cli/*.c src/cli/digest/*.c |
        xargs -P "$jobs" -n 1 clang-tidy -p "$work/tidy" --quiet \
        >"$work/tidy.txt" 2>"$work/log" || [ -s "$work/tidy.txt" ] ||
        { cat "$work/log"; exit 1; }
    count tidy ': (error|warning): '
}

scan()
{
    rm -rf "$work/scan"
    quietly scan-build -o "$work/reports" cmake -S . -B "$work/scan" \
        -DCSP_BUILD_TESTS=OFF -DCSP_BUILD_EXAMPLES=OFF
    quietly scan-build -o "$work/reports" cmake --build "$work/scan" -j "$jobs"
    cp "$work/log" "$work/scan.txt"
    count scan ': warning: '
}

analyzer()
{
    local file line check
    configure analyzer -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="\
-fanalyzer -O1 -fdiagnostics-plain-output -fdiagnostics-path-format=none"
    quietly cmake --build "$work/analyzer" --clean-first -j "$jobs"
    sed -nE "s|^$source/(src/[^:]*):([0-9]+):[0-9]+: warning:.*\[(-W[^]]*)\]$|\1 \2 \3|p" \
        "$work/log" | sort -u | while read -r file line check; do
        echo "$file|$check|$(sed -n "${line}s/^ *//p" "$file")"
    done | sort -u >"$work/found"
    grep -vE '^ *(#.*)?$' "$here/analyzer.txt" | sort -u >"$work/known"
    {
        comm -13 "$work/known" "$work/found" | sed 's/^/found: /'
        comm -23 "$work/known" "$work/found" | sed 's/^/no longer found: /'
    } >"$work/analyzer.txt"
    count analyzer .
}

[ $# -gt 0 ] || set -- format cppcheck tidy scan analyzer
for tool; do
    $tool
done
echo "figure lint_findings $total"
[ "$total" = 0 ]
