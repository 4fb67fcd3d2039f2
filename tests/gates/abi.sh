#!/usr/bin/env bash
# abi.sh DIRECTORY - the shared library against that of the last tag
#
# Where SONAMEs are the same, nothing a program was compiled against may have changed;
# new functions may have come.  Where they differ, what changed is told.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
jobs=$(nproc)

tag=$(git -C "$source" describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || {
    echo "abi: no tag v* to compare with yet: NOT COMPARED"
    exit 0
}

# build FOLDER SOURCE
build()
{
    { cmake -S "$2" -B "$work/$1" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCSP_BLAS=OFF \
        -DBUILD_SHARED_LIBS=ON -DCSP_BUILD_TESTS=OFF -DCSP_BUILD_EXAMPLES=OFF \
        -DCSP_BUILD_CLI=OFF && cmake --build "$work/$1" --target csp -j "$jobs"
    } >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}

soname() { readelf -d "$work/$1/libcsp.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p'; }

rm -rf "$work/tagged"
mkdir -p "$work/tagged"
git -C "$source" archive "$tag" | tar -x -C "$work/tagged"
build old "$work/tagged"
build new "$source"

result=0
abidiff --no-added-syms --headers-dir1 "$work/tagged/include" \
    --headers-dir2 "$source/include" \
    "$work/old/libcsp.so" "$work/new/libcsp.so" || result=$?
if ((result & 3)); then # abidiff itself failed
    exit 1
fi
if [ "$(soname old)" != "$(soname new)" ]; then
    echo "abi: $(soname old) of $tag has become $(soname new)"
elif ((result != 0)); then
    echo "abi: not that of $tag, but still $(soname new)"
    exit 1
else
    echo "abi: that of $tag"
fi
