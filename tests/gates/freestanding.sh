#!/usr/bin/env bash
# freestanding.sh DIRECTORY - the library compiles as freestanding C and links alone
#
# What is left to bring is what symbols.sh allows, memory only by pruner.c.
set -euo pipefail

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
cd "$1"
allocating="calloc|free|malloc|realloc|aligned_alloc|posix_memalign"

for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    rm -f ./*.o
    for file in "$source"/src/*.c; do
        $cc -std=c11 -O2 -ffreestanding -ffp-contract=off -I"$source/include" \
            -c "$file" -o "$(basename "$file" .c).o"
    done
    if nm -A --undefined-only ./*.o | grep -E " ($allocating)$" |
        grep -v '^\./pruner\.o:'; then
        echo "allocates outside of the pruner"
        exit 1
    fi
    $cc -nostdlib -r ./*.o -o whole.o
    echo "freestanding by $cc, asks for:" $(nm --undefined-only whole.o |
        awk '{ print $NF }')
done
