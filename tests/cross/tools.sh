#!/usr/bin/env bash
# tools.sh DIRECTORY - see to it that what run.sh DIRECTORY needs is there
#
# Compilers and qemu are packages of this machine.  cmocka for the targets is not: it is
# downloaded by an apt with lists of its own, below DIRECTORY, and unpacked there, so
# that the machine's apt need not know of other architectures.  Fails where something
# cannot be had.
set -euo pipefail

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)

# unpack_cmocka TARGET DEBIAN-ARCHITECTURE
unpack_cmocka()
{
    local root=$work/$1/root state=$work/$1/apt apt
    [ -e "$root/usr/include/cmocka.h" ] && return
    rm -rf "$root" "$state"
    mkdir -p "$root" "$state/lists/partial" "$state/archives/partial"
    cd "$state"
    apt=(apt-get -q -o APT::Architecture="$2" -o APT::Architectures::="$2"
        -o Dir::State="$state" -o Dir::State::status=/dev/null -o Dir::Cache="$state"
        -o APT::Sandbox::User=root -o Acquire::Languages=none
        -o Acquire::Retries=2 -o Acquire::http::Timeout=30)
    { "${apt[@]}" update && "${apt[@]}" download libcmocka0 libcmocka-dev; } \
        >log 2>&1 </dev/null || { cat log; return 1; }
    for package in *.deb; do
        dpkg-deb -x "$package" "$root"
    done
}

"$source/.ci/need" libc6-dev cmake qemu-user-static \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross
unpack_cmocka aarch64 arm64
unpack_cmocka s390x s390x
