#!/usr/bin/env bash
# dependencies.sh DIRECTORY ROOT COMPILER [FLAG...] - cmocka and cJSON by this compiler
#
# For targets, and instrumentation, that this machine's packages were not built for.
# The sources are Debian's, downloaded once, below DIRECTORY, by an apt with lists of
# its own, so that the machine's apt need not know.  Static libraries and headers go
# below ROOT/usr.
set -euo pipefail

mkdir -p "$1" "$2"
work=$(cd "$1" && pwd)
root=$(cd "$2" && pwd)
shift 2

fetch()
{
    local state=$work/apt apt
    [ -e "$work/cmocka/src/cmocka.c" ] && [ -e "$work/cjson/cJSON.c" ] && return
    rm -rf "$state" "$work/cmocka" "$work/cjson"
    mkdir -p "$state/lists/partial" "$state/archives/partial" \
        "$work/cmocka" "$work/cjson"
    cd "$state"
    apt-get indextargets 'Created-By: Packages' 'Component: main' 'Origin: Debian' \
        --format 'deb-src $(REPO_URI) $(CODENAME) main' |
        grep -vE -- '-(security|updates|backports) ' | sort -u >sources.list
    apt=(apt-get -q -o Dir::State="$state" -o Dir::State::status=/dev/null
        -o Dir::Cache="$state" -o Dir::Etc::sourcelist="$state/sources.list"
        -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root
        -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30)
    { "${apt[@]}" update && "${apt[@]}" --download-only source cmocka cjson; } \
        >log 2>&1 </dev/null || { cat log; return 1; }
    tar -x -C "$work/cmocka" --strip-components=1 -f cmocka_*.orig.tar.*z
    tar -x -C "$work/cjson" --strip-components=1 -f cjson_*.orig.tar.*z
}

fetch
[ -e "$root/usr/lib/libcjson.a" ] && exit 0
mkdir -p "$root/usr/include/cjson" "$root/usr/lib"
cd "$root"
has=
for name in SETJMP_H SIGNAL_H INTTYPES_H STRINGS_H MALLOC_H TIME_H STRUCT_TIMESPEC \
    CLOCK_GETTIME CLOCK_REALTIME GCC_THREAD_LOCAL_STORAGE STRSIGNAL VSNPRINTF; do
    has="$has -DHAVE_$name=1"
done
"$@" -O2 -g -w -D_GNU_SOURCE $has -I"$work/cmocka/include" \
    -c "$work/cmocka/src/cmocka.c" -o cmocka.o
"$@" -O2 -g -w -c "$work/cjson/cJSON.c" -o cJSON.o
cp "$work"/cmocka/include/cmocka*.h usr/include
cp "$work/cjson/cJSON.h" usr/include/cjson
ar rcs usr/lib/libcmocka.a cmocka.o
ar rcs usr/lib/libcjson.a cJSON.o
