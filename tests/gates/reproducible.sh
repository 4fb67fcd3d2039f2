#!/usr/bin/env bash
# reproducible.sh DIRECTORY - builds of two folders, times, locales and umasks agree
#
# Compares what gets installed: the archive, the shared library and the program.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL

source=$(cd "$(dirname "$0")/../.." && pwd)
rm -rf "$1"
mkdir -p "$1"
work=$(cd "$1" && pwd)
jobs=$(nproc)

# build FOLDER: a copy of the sources below it, built and installed there
build()
{
    local folder=$work/$1 shared
    mkdir -p "$folder/from"
    cp -R "$source/CMakeLists.txt" "$source/include" "$source/src" "$folder/from"
    for shared in OFF ON; do
        cmake -S "$folder/from" -B "$folder/build-$shared" -DCMAKE_BUILD_TYPE=Release \
            -DCSP_BUILD_TESTS=OFF -DCSP_BUILD_EXAMPLES=OFF -DBUILD_SHARED_LIBS=$shared
        cmake --build "$folder/build-$shared" -j "$jobs"
        cmake --install "$folder/build-$shared" --prefix "$folder/installed-$shared"
    done >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}

sums()
{
    cd "$work/$1"
    sha256sum $(find installed-* -type f '(' -name '*.a' -o -name '*.so.*' \
        -o -path '*/bin/*' ')' | LC_ALL=C sort)
}

(umask 022; export LC_ALL=C TZ=UTC; build one)
(umask 077; export LC_ALL=C.UTF-8 TZ=Asia/Tokyo; build another/and/longer)
sums one >"$work/one.sums"
sums another/and/longer >"$work/another.sums"
diff "$work/one.sums" "$work/another.sums" || { echo "builds differ"; exit 1; }
echo "reproducible: $(wc -l <"$work/one.sums") files, two builds, the same bytes"
