#!/usr/bin/env bash
# run.sh DIRECTORY [--quick] [TARGET...] - the tests on other architectures, emulated
# by qemu; --quick leaves out those that take longest there
#
# Builds below DIRECTORY, where tools.sh was.  The digest of results that is committed
# for this machine has to come out there as well.  A target x86_64-CPU is this machine's
# architecture on an older CPU, for the choice of kernels.
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

build=
options="-DCMAKE_BUILD_TYPE=Release -DCSP_BLAS=OFF -DCSP_BUILD_EXAMPLES=OFF -DCSP_WERROR=ON"

# ---- Another architecture: all tests but these ----

away='readme|cli_browser|cli_selftest|cli_sparse|huge|huge_moves|soak'
slow='cli_faults|cli_forms|cli_report|metamorphic|pieces|pruner_budgets_random|pruner_random'

without()
{
    echo "not run on other architectures: huge, huge_moves, cli_sparse (an emulator has no"
    echo "    memory or time for them), soak (nor speed), readme, cli_browser (of this machine),"
    echo "    cli_selftest (its digest is that of the test digest)"
    if [ "$quick" = yes ]; then
        echo "nor, as this is quick: $slow" | tr '|' ' '
    else
        echo "run there in part: cli_faults (one call of 19 fails)"
    fi
}

# other TARGET
other()
{
    build=$work/$1/build
    quietly cmake -S "$source" -B "$build" $options \
        -DCMAKE_TOOLCHAIN_FILE="$source/tests/cross/$1.cmake" \
        -DCMAKE_FIND_ROOT_PATH="$work/$1/root" -DCSP_DIFFERENTIAL_N=$few
    quietly cmake --build "$build" -j "$jobs"
    quietly ctest --test-dir "$build" --output-on-failure --no-tests=error \
        --label-exclude install -E "^($away)\$" -j "$jobs"
    passed=$(grep -c ' Passed ' "$work/log")
}

# ---- An older CPU: what depends on it ----

# on CPU COMMAND...
on()
{
    local cpu=$1
    shift
    quietly qemu-x86_64-static -cpu "$cpu" "$build/$1" "${@:2}"
    passed=$((passed + 1))
}

# says PATTERN: the last command did.
says()
{
    grep -q -- "$1" "$work/log" ||
        { cat "$work/log"; echo "failed: expected $1"; exit 1; }
}

# older CPU
older()
{
    build=$work/x86_64/build
    passed=0
    quietly cmake -S "$source" -B "$build" $options
    quietly cmake --build "$build" -j "$jobs" --target \
        test_digest test_tiers test_differential csp_cli
    case $1 in
    nehalem) # no AVX
        on Nehalem tests/test_tiers
        on Nehalem tests/test_differential --n 200
        says ' avx2 0 avx512 0 '
        on Nehalem tests/test_digest
        on Nehalem src/cli/csp selftest
        says '^avx2 *not on this CPU'
        ;;
    haswell) # AVX2, no AVX-512
        echo "not run on x86_64-haswell: tiers (qemu 7.2 reads what a masked load leaves out)"
        on Haswell tests/test_differential --n 200
        says ' avx2 [1-9][0-9]* avx512 0 '
        on Haswell tests/test_digest
        on Haswell src/cli/csp selftest
        says '^avx2 .*as recorded'
        says '^avx512 *not on this CPU'
        ;;
    *) echo "unknown CPU: $1"; exit 1 ;;
    esac
}

shift
quick=no
if [ "${1:-}" = --quick ]; then
    quick=yes
    away="$away|$slow"
    shift
fi
targets=${*:-aarch64 s390x riscv64 i686 x86_64-nehalem x86_64-haswell}
good=0
without
for target in $targets; do
    case $target in
    x86_64-*)
        [ "$(uname -m)" = x86_64 ] || { echo "not run: $target, elsewhere than on x86-64"; continue; }
        older "${target#x86_64-}"
        ;;
    *) other "$target" ;;
    esac
    good=$((good + 1))
    echo "cross $target: $passed passed"
done
echo "figure cross_arches_passed $good"
