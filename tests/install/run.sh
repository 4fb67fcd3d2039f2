#!/usr/bin/env bash
# run.sh DIRECTORY - use libcsp in every way the README names
#
# Installs the library below DIRECTORY, static and shared, and builds and runs
# examples/prune.c against it.  The output of the plain build is the measure for all.
set -euo pipefail

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
cmake=${CMAKE:-cmake}
cc=${CC:-cc}
cxx=${CXX:-c++}
export CC=$cc
pedantic="-Wall -Wextra -Wpedantic -Werror"

rm -rf "${work:?}"/*
cd "$work"

step() { echo "-- $*"; }

# Run a command, show its output only if it fails.
quietly()
{
    "$@" >log 2>&1 || { cat log; echo "failed: $*"; exit 1; }
}

same() # program
{
    "$@" >output
    cmp output expected || { echo "another result: $*"; exit 1; }
}

step "header alone: C11 and C++17"
echo '#include "csp.h"' >header.c
cp header.c header.cc
quietly "$cc" -std=c11 $pedantic -I"$source/include" -c header.c -o header.o
if command -v "$cxx" >/dev/null; then
    quietly "$cxx" -std=c++17 $pedantic -I"$source/include" -c header.cc -o header.o
fi

step "no CMake: cc -O2 -Iinclude examples/prune.c src/*.c -lm"
(cd "$source" && "$cc" -O2 -Iinclude examples/prune.c src/*.c -lm \
    -o "$work/plain") >log 2>&1 || { cat log; exit 1; }
[ ! -s log ] || { cat log; echo "the plain build is not silent"; exit 1; }
./plain >expected
[ -s expected ]

for type in static shared; do
    shared=$([ $type = shared ] && echo ON || echo OFF)
    step "install, $type"
    quietly "$cmake" -S "$source" -B "build-$type" -DBUILD_SHARED_LIBS=$shared \
        -DCMAKE_BUILD_TYPE=Release -DCSP_BUILD_TESTS=OFF -DCSP_BUILD_EXAMPLES=OFF \
        -DCMAKE_INSTALL_PREFIX="$work/elsewhere"
    cp log "log-$type"
    quietly "$cmake" --build "build-$type" -j 2
    quietly "$cmake" --install "build-$type" --prefix "$work/moved-$type"
    # Nothing in an installed tree may remember where it was installed to.
    mv "moved-$type" "prefix-$type"
    prefix=$work/prefix-$type
    library=$(dirname "$(find "$prefix" -name 'libcsp.*' | head -n 1)")
    export LD_LIBRARY_PATH=$library DYLD_LIBRARY_PATH=$library

    step "the program, $type"
    if [ -e "$prefix/bin/csp" ]; then
        # It finds the library by itself, wherever the tree was moved to.
        env -u LD_LIBRARY_PATH -u DYLD_LIBRARY_PATH "$prefix/bin/csp" --version >output
        grep -q '^csp [0-9]' output
        [ -s "$prefix/share/man/man1/csp.1" ]
    else
        grep -q 'the program csp is skipped' log-$type || { echo "no csp"; exit 1; }
        echo "   skipped: no cJSON"
    fi

    step "find_package, $type"
    quietly "$cmake" -S "$source/tests/install" -B "package-$type" \
        -DCSP_SOURCE="$source" -DCMAKE_PREFIX_PATH="$prefix"
    quietly "$cmake" --build "package-$type"
    same "package-$type/prune"

    step "pkg-config, $type"
    if command -v pkg-config >/dev/null; then
        static=$([ $type = static ] && echo --static || true)
        flags=$(PKG_CONFIG_PATH=$library/pkgconfig pkg-config $static --cflags --libs csp)
        quietly "$cc" -O2 "$source/examples/prune.c" $flags -o "pkg-$type"
        same "./pkg-$type"
    else
        echo "   skipped: no pkg-config"
    fi

    step "C++ without exceptions and RTTI, $type"
    if command -v "$cxx" >/dev/null; then
        quietly "$cxx" -std=c++17 -O2 $pedantic -fno-exceptions -fno-rtti \
            -I"$prefix/include" "$source/examples/cpp_host.cpp" \
            -L"$library" -lcsp $(sed -n 's/^Libs.private: //p' "$library/pkgconfig/csp.pc") \
            -o "cpp-$type"
        "./cpp-$type" >output
        [ -s output ]
    else
        echo "   skipped: no C++ compiler"
    fi
done
unset LD_LIBRARY_PATH DYLD_LIBRARY_PATH

# A wrong version must not be found.
step "find_package of another version fails"
sed 's/find_package(csp 0.1/find_package(csp 0.2/' "$source/tests/install/CMakeLists.txt" \
    >CMakeLists.txt
if "$cmake" -S . -B other-version -DCMAKE_PREFIX_PATH="$work/prefix-static" \
    -DCSP_SOURCE="$source" >log 2>&1; then
    echo "csp 0.2 was found"
    exit 1
fi
rm CMakeLists.txt

# As part of another project: not a word.
configure() # from, output
{
    rm -rf from
    "$cmake" -S "$source/tests/install" -B from -DCSP_FROM="$1" -DCSP_SOURCE="$source" \
        >log 2>&1 || { cat log; exit 1; }
    grep -v 'Configuring done\|Generating done' log >"$2"
}

configure nothing silence
for from in subdirectory fetch; do
    step "$from"
    configure $from words
    diff silence words || { echo "the configuration is not silent"; exit 1; }
    quietly "$cmake" --build from -j 2
    same from/prune
    [ -z "$(find from -name 'csp_cli*')" ] || { echo "it has the program"; exit 1; }
done
echo "all consumers agree"
