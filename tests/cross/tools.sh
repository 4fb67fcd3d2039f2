#!/usr/bin/env bash
# tools.sh DIRECTORY - see to it that what run.sh DIRECTORY needs is there
#
# Compilers and qemu are packages of this machine.  cmocka and cJSON for the targets are
# not, and for some of them nobody's: they are built from their sources.  Fails where
# something cannot be had.
set -euo pipefail

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)

"$source/.ci/need" libc6-dev cmake qemu-user-static \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross \
    gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-i686-linux-gnu libc6-dev-i386-cross
for target in aarch64 s390x riscv64; do
    "$source/tests/cross/dependencies.sh" "$work" "$work/$target/root" \
        $target-linux-gnu-gcc
done
"$source/tests/cross/dependencies.sh" "$work" "$work/i686/root" \
    i686-linux-gnu-gcc -msse2 -mfpmath=sse
