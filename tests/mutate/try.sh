#!/usr/bin/env bash
# try.sh KEY FILE - run the tests against mutant KEY of FILE, until one fails
#
# First those that concern the file, then all others: results/KEY says `killed TEST`,
# `hung TEST`, which counts as well, or `survived`, which every test agrees to.
set -u
cd "$MUTATE_DIR" || exit 1
key=$1 file=$2
result=results/$key

# A survivor is tried again when a test is newer.
if [ -e "$result" ]; then
    grep -q '^survived' "$result" || exit 0
    [ "$result" -nt programs/stamp ] && exit 0
fi
[ "$MUTATE_UNTIL" -gt 0 ] && [ "$(date +%s)" -ge "$MUTATE_UNTIL" ] && exit 0

# What the shell says of tests that crash is of no interest.
exec 2>>try.log
ulimit -c 0
ulimit -v 8000000
library=$(mktemp -d)
trap 'rm -rf "$library"' EXIT
objects=
for object in base/*.o; do
    [ -e "objects/$key/${object#base/}" ] && object=objects/$key/${object#base/}
    objects="$objects $object"
done
cc -shared -o "$library/libcsp_mutant.so" $objects -lm || exit 1

# Tests for this file first; the table has those that are not named after it.
order()
{
    local stem=${file%.*}
    awk -v f="$file" '$1 == f { for (i = 2; i <= NF; i++) print $i }' \
        "$MUTATE_ROOT/tests/mutate/tests.txt"
    awk -v t="$stem" 'index($2, t) == 1 { print $2 }' times
    printf '%s\n' differential golden
    awk '{ print $2 }' times
}

verdict=survived
for test in $(order | awk '!seen[$0]++'); do
    limit=$(awk -v t="$test" '$2 == t { print int($1 / 100) + 5 }' times)
    LD_LIBRARY_PATH=$library timeout -k 1 "$limit" "programs/$test" \
        $(awk -v t="$test" '$1 == t { print $2, $3 }' arguments) \
        >/dev/null 2>&1 </dev/null
    case $? in
    0) ;;
    124 | 137) verdict="hung $test"; break ;;
    *) verdict="killed $test"; break ;;
    esac
done
echo "$verdict" >"$result"
