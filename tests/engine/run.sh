#!/bin/sh
# run.sh DIRECTORY - build and run the tests against a real llama.cpp
set -eu

[ $# = 1 ] || { echo "usage: run.sh DIRECTORY" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
build=$(cd "$1" && pwd)

"$here/fetch.sh" "$build/llama.cpp" && fetched=0 || fetched=$?
if [ $fetched = 77 ]; then
    echo
    echo "!!! NOT TESTED against llama.cpp: it cannot be had here (see above) !!!"
    exit 0
fi
[ $fetched = 0 ] || exit 1

cd "$here/../.."
{
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL cmake -S . -B "$build" \
        -DCMAKE_BUILD_TYPE=Release -DCSP_WERROR=ON -DCSP_LLAMA_DIR="$build/llama.cpp" &&
        cmake --build "$build" -j "$(nproc)" \
            --target csp-llama test_engine engine_models
} >"$build/log" 2>&1 || { cat "$build/log"; exit 1; }
ctest --test-dir "$build" --label-regex engine --exclude-regex '^engine$' \
    --output-on-failure --no-tests=error
exec "$build/tests/engine/test_engine" "$build/tests/engine/models" \
    "$build/llama.cpp/lib"
