#!/usr/bin/env bash
# stack.sh DIRECTORY - no function of the library takes 4 KiB of stack
#
# As gcc counts it, at the levels that releases are built with.  Of unknown size is
# none: no alloca, no arrays of variable length; no call leads back to itself.
set -euo pipefail

source=$(cd "$(dirname "$0")/../.." && pwd)
limit=4096
mkdir -p "$1"
cd "$1"
cc=${GCC:-gcc}
largest=0

for level in -O2 -O3; do
    rm -f ./*.su
    for file in "$source"/src/*.c; do
        "$cc" -std=c11 $level -ffp-contract=off -fstack-usage -I"$source/include" \
            -c "$file" -o "$(basename "$file" .c).o"
    done
    # Bounded: aligned to a vector.
    if awk -F'\t' -v limit=$limit '$2 >= limit || $3 == "dynamic" { print; bad = 1 }
            END { exit !bad }' ./*.su; then
        echo "functions with too much stack ($level)"
        exit 1
    fi
    of_level=$(cut -f 2 ./*.su | sort -n | tail -1)
    ((of_level > largest)) && largest=$of_level
done
echo "stack: $(cat ./*.su | wc -l) functions, the largest frame $largest bytes"
echo "figure stack_frame_bytes $largest"
