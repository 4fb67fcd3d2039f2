#!/usr/bin/env bash
# symbols.sh DIRECTORY - what the built library and program are made of
#
#   exports, imports, state   see ../symbols.sh; here with BLAS and without
#   hardening                 of the program: see hardening.sh
#   stack                     of every function of src/, by two compilers: stack.sh
#   freestanding              the library compiles where there is no hosted C
#   reproducible              two builds in two folders are the same bytes
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
jobs=$(nproc)

# Run a command, show its output only if it fails.
quietly()
{
    "$@" >"$work/log" 2>&1 </dev/null || { cat "$work/log"; echo "failed: $*"; exit 1; }
}

# build FOLDER TARGETS [OPTION...]
build()
{
    quietly cmake -S "$source" -B "$work/$1" -DCMAKE_BUILD_TYPE=Release \
        -DCSP_BUILD_TESTS=OFF -DCSP_BUILD_EXAMPLES=OFF "${@:3}"
    quietly cmake --build "$work/$1" --target $2 -j "$jobs"
}

for blas in OFF ON; do
    build static-$blas "csp csp_cli" -DCSP_BLAS=$blas
    build shared-$blas "csp" -DCSP_BLAS=$blas -DBUILD_SHARED_LIBS=ON
    "$here/../symbols.sh" "$work/shared-$blas/libcsp.so" "$work/static-$blas/libcsp.a"
done
"$here/hardening.sh" "$work/static-OFF/src/cli/csp"
"$here/stack.sh" "$work/stack"
"$here/freestanding.sh" "$work/freestanding"
"$here/reproducible.sh" "$work/reproducible"
