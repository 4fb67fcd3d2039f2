#!/usr/bin/env bash
# canary.sh GREEN RED - tests that pass, and fail once the library has a mistake
#
# GREEN and RED are folders for two builds, the second with CSP_CANARY: one comparison
# in src/best.c is wrong.  The differential test, the replay of what fuzzers found and
# the digests have to pass on the first and to fail on the second, each by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
green=$1 red=$2
targets=(test_differential test_digest fuzz_replay_select csp_cli)

build() # FOLDER OPTION...
{
    local folder=$1
    shift
    cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=Release "$@" >build/log 2>&1 &&
        cmake --build "$folder" --target "${targets[@]}" -j "$(nproc)" >build/log 2>&1 ||
        { cat build/log; return 1; }
}

# Each is run in a build FOLDER.
differential() { "$1/tests/test_differential" --n 2000; }
digest() { "$1/tests/test_digest"; }
selftest() { "$1/src/cli/csp" selftest; }
replay() { "$1/tests/fuzz/fuzz_replay_select" tests/fuzz/corpus/select; }

failed=0
caught=0
mkdir -p build
build "$green" -DCSP_CANARY=OFF
build "$red" -DCSP_CANARY=ON -DCSP_BUILD_EXAMPLES=OFF
for check in differential digest selftest replay; do
    with=red without=red
    "$check" "$green" >build/log 2>&1 && without=green
    ("$check" "$red") >build/log 2>&1 && with=green
    printf '%-14s %s without the mistake, %s with it\n' "$check" $without $with
    [ $without = green ] || failed=1
    [ $with = red ] && caught=$((caught + 1)) || failed=1
done
if cmake --install "$red" --prefix "$red/install" >build/log 2>&1; then
    echo "the wrong library can be installed"
    failed=1
fi
echo "figure canary_checks_red $caught"
exit $failed
