#!/usr/bin/env bash
# faults.sh DIRECTORY - the tests there that let memory and system calls fail
set -euo pipefail

pruner=$("$1/test_pruner_faults" --figures)
tool=$("$1/cli/test_cli_faults" --figures)
printf '%s\n%s\n' "$pruner" "$tool" | awk '
    /^faults of memory / { memory += $4 }
    /^faults of io / { io += $4 }
    END {
        print "figure alloc_faults", memory + 0
        print "figure io_faults", io + 0
    }'
