#!/usr/bin/env bash
# lint.sh DIRECTORY [TOOL...] - what analysers find, in DIRECTORY/TOOL.txt
#
#   format     clang-format: every C source, by .clang-format
#   warnings   gcc and clang at -O0, -O2, -O3: src/, tests/ and examples/, with more
#              warnings than the build asks for
#   cppcheck   src/, tests/ and examples/; not so: cppcheck.txt
#   tidy       clang-tidy: src/ and examples/, by .clang-tidy; not so: NOLINT and a
#              reason
#   scan       scan-build: src/ and examples/, clang's analyser as it comes
#   analyzer   gcc -fanalyzer: src/ and examples/; not so: analyzer.txt
#
# Fails if anything is found, prints it, and counts it.  Examples whose libraries are
# not here, MPI or llama.cpp, and NEON without the headers of an AArch64, are not
# compiled, which is told.
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

# What is asked for on top of csp_c_target's warnings, of C and C++.
more_warnings="-Wfloat-conversion -Wcast-align -Wundef"

# The library, the program and the examples, with BLAS and with what else is here.
configure() # FOLDER OPTION...
{
    local llama=build/engine/llama.cpp
    [ ! -e $llama/include/llama.h ] || set -- "$@" -DCSP_LLAMA_DIR="$source/$llama"
    quietly cmake -S . -B "$work/$1" -DCSP_BUILD_TESTS=OFF \
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "${@:2}"
}

# units FOLDER - each file that is compiled there once, a tab, and the command
units()
{
    local field
    field() { sed -nE "s/^  \"$1\": \"(.*)\",?\$/\1/p" "$2" | sed 's/\\\(.\)/\1/g'; }
    paste <(field file "$work/$1/compile_commands.json") \
        <(field command "$work/$1/compile_commands.json") | sort -u -t $'\t' -k 1,1
}

# The files of src/ and examples/ among them.
analysed() { units "$1" | cut -f 1 | grep -E "^$source/(src|examples)/.*\.c\$"; }

# unseen FOLDER PLACE... - tell which C files of these places are not among them
unseen()
{
    find "${@:2}" -name '*.c' | sed "s|^|$source/|" | sort |
        comm -23 - <(units "$1" | cut -f 1 | sort) | sed "s|^$source/|not compiled: |"
}

have_aarch64() { [ -e /usr/aarch64-linux-gnu/include/stdio.h ]; }
aarch64="--target=aarch64-linux-gnu -std=c11 -Iinclude"

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

# compile FLAGS: what units says on standard input, with these flags at the end
compile()
{
    cut -f 2- | sed "s|\$| $1 -g0 -o /dev/null|" |
        xargs -P "$jobs" -d '\n' -n 1 sh -c 'eval "$0"' >>"$work/warnings.txt" 2>&1 ||
        grep -q ': error: ' "$work/warnings.txt" ||
        { cat "$work/warnings.txt"; echo "failed: compilers"; exit 1; }
}

warnings()
{
    local cc level
    : >"$work/warnings.txt"
    for cc in gcc clang; do
        configure warnings-$cc -DCSP_BUILD_TESTS=ON -DCSP_BUILD_BENCH_PEERS=ON \
            -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=$cc \
            -DCMAKE_CXX_COMPILER=${cc/#gcc/g++} \
            -DCMAKE_C_FLAGS="$more_warnings" -DCMAKE_CXX_FLAGS="$more_warnings"
        for level in -O0 "-O2 -DNDEBUG" "-O3 -DNDEBUG"; do
            units warnings-$cc | grep -E "^$source/(src|examples|tests)/" | compile "$level"
        done
    done
    ! have_aarch64 || echo "	$(units warnings-clang | grep '/src/kernels_avx2\.c	' |
        sed "s|.*	||; s|kernels_avx2|kernels_neon|g") $aarch64" | compile -O3
    unseen warnings-gcc src examples tests
    count warnings ': (fatal )?(error|warning): '
}

# One file a process: its analyser takes a va_list of the second for uninitialised.
tidy()
{
    configure tidy
    : >"$work/tidy.txt"
    analysed tidy | xargs -P "$jobs" -n 1 clang-tidy -p "$work/tidy" --quiet \
        >>"$work/tidy.txt" 2>"$work/log" || [ -s "$work/tidy.txt" ] ||
        { cat "$work/log"; exit 1; }
    if have_aarch64; then
        clang-tidy --quiet src/kernels_neon.c -- $aarch64 >>"$work/tidy.txt" 2>"$work/log" ||
            [ -s "$work/tidy.txt" ] || { cat "$work/log"; exit 1; }
    else
        echo "not looked at: NEON"
    fi
    unseen tidy src examples
    count tidy ': (error|warning): '
}

scan()
{
    rm -rf "$work/scan"
    quietly scan-build -o "$work/reports" cmake -S . -B "$work/scan" \
        -DCSP_BUILD_TESTS=OFF
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
    sed -nE "s/^${source//\//\\/}\/((src|examples)\/[^:]*):([0-9]+):[0-9]+: warning:.*\[(-W[^]]*)\]\$/\1 \3 \4/p" \
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

[ $# -gt 0 ] || set -- format warnings cppcheck tidy scan analyzer
for tool; do
    $tool
done
echo "figure lint_findings $total"
[ "$total" = 0 ]
