#!/bin/sh
# readme.sh ROOT - the program that opens the README is examples/prune.c
set -eu

sed -n '/^```c$/,/^```$/p' "$1/README.md" | sed -n '2,/^```$/p' | sed '$d' |
    diff - "$1/examples/prune.c"
