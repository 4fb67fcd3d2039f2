#!/bin/sh
# symbols.sh SHARED STATIC - what the library shows, needs and keeps
#
#   exports   the shared library shows the functions of csp.h and nothing else
#   imports   it calls memory and maths functions, no others: nothing that aborts,
#             prints, reads the environment, sorts, creates threads
#   state     no object of the static library has data that can be written, but for
#             the one word of CPU features
set -eu
export LC_ALL=C

shared=$1
static=$2
nm=${NM:-nm}
failed=0

complain() # what, list
{
    [ -z "$2" ] && return
    echo "$1:"
    echo "$2" | sed 's/^/    /'
    failed=1
}

# Instrumented builds carry symbols of their runtime.
if "$nm" "$static" 2>/dev/null | grep -qE '__(asan|ubsan|tsan|msan|gcov|llvm_prof)'; then
    echo "instrumented build: nothing to check"
    exit 77
fi

exports=$("$nm" -D --defined-only "$shared" | awk '{ print $NF }' | sort)
declared=$(sed -nE 's/^CSP_API .*[ *](csp_[a-z0-9_]+)\(.*/\1/p' \
    "$(dirname "$0")/../include/csp.h" | sort)
for name in $exports; do
    echo "$declared" | grep -qx "$name" || complain "exported, not in csp.h" "$name"
done
for name in $declared; do
    echo "$exports" | grep -qx "$name" || complain "in csp.h, not exported" "$name"
done

# Weak imports are the start-up code's and do not count.
memory='mem(cpy|move|set|cmp)|bcmp|malloc|free'
checks='__stack_chk_fail|__(memcpy|memmove|memset)_chk'
# Exact or correctly rounded ones only: others differ from system to system.
maths='(ldexp|frexp|floor|fma|fmaf|sqrt|sqrtf)'
cpu='__cpu_(model|indicator_init|features2)|__getauxval' # libgcc's
blas='cblas_s(gemm|gemv|axpy)'
imports=$("$nm" -D --undefined-only "$shared" | awk '$1 == "U" { print $2 }' |
    sed 's/@.*//' | sort -u)
complain "imports" "$(echo "$imports" |
    grep -vE "^($memory|$checks|$maths|$blas|$cpu)?\$" || true)"

# Constants that hold pointers lie in .data.rel.ro, which is read-only once loaded.
complain "data that can be written" "$("$nm" --format=sysv "$static" 2>/dev/null |
    awk -F'|' 'NF == 7 { gsub(/ /, "", $7); gsub(/ /, "", $1); gsub(/ /, "", $4)
        if ($7 ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $7 !~ /^\.data\.rel\.ro/ &&
            ($4 == "OBJECT" || $4 == "TLS") && $1 !~ /(^|\.)cpu_features(\.[0-9]+)?$/) print $1, $7 }')"

[ "$failed" = 0 ] && echo "$(echo "$exports" | wc -l) exports, imports:" $imports
exit "$failed"
