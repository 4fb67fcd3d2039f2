#!/usr/bin/env bash
# run.sh DIRECTORY [TARGET...] - tests on other architectures, emulated by qemu
#
# Builds below DIRECTORY, where tools.sh was.  The digest of results that is committed
# for this machine has to come out there as well.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL

source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(cd "$1" && pwd)
jobs=$(nproc)

# The whole differential test is for this machine; there it looks at fewer cases.
few=500

# Run a command, show its output only if it fails.
quietly()
{
    "$@" >"$work/log" 2>&1 </dev/null || { cat "$work/log"; echo "failed: $*"; exit 1; }
}

# Left out: huge tensors and files, which an emulator has no memory or time for; load; a
# browser; each call of the program failing in turn and its own digest, which is that of
# digest, for the time they take there; readme, which is of this machine.
left_out='^(readme|huge.*|soak|cli_(sparse|browser|faults|selftest))$'
echo "left out: $left_out"
shift
targets=${*:-aarch64 s390x riscv64 i686}
passed=0
for target in $targets; do
    build=$work/$target/build
    quietly cmake -S "$source" -B "$build" \
        -DCMAKE_TOOLCHAIN_FILE="$source/tests/cross/$target.cmake" \
        -DCMAKE_FIND_ROOT_PATH="$work/$target/root" -DCMAKE_BUILD_TYPE=Release \
        -DCSP_BLAS=OFF -DCSP_BUILD_EXAMPLES=OFF -DCSP_WERROR=ON -DCSP_DIFFERENTIAL_N=$few
    quietly cmake --build "$build" -j "$jobs"
    quietly ctest --test-dir "$build" --output-on-failure --no-tests=error \
        --label-exclude install -E "$left_out" -j "$jobs"
    cp "$work/log" "$work/$target/log"
done
for target in $targets; do
    passed=$((passed + 1))
    echo "cross $target: $(grep -c ' Passed ' "$work/$target/log") passed"
done
echo "figure cross_arches_passed $passed"
