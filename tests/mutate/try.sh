#!/usr/bin/env bash
# try.sh KEY FILE - run the tests against mutant KEY of FILE, until one fails
#
# First those that concern the file, then all others of the library or the program:
# results/KEY says `killed TEST`, `hung TEST`, which counts as well, or `survived`,
# which every test agrees to.
set -u
cd "$MUTATE_DIR" || exit 1
key=$1 file=$2
here=$MUTATE_ROOT/tests/mutate
result=results/$key

# A survivor is tried again when a test is newer.
if [ -e "$result" ]; then
    grep -q '^survived' "$result" || exit 0
    [ "$result" -nt programs/stamp ] && exit 0
fi
[ "$MUTATE_UNTIL" -gt 0 ] && [ "$(date +%s)" -ge "$MUTATE_UNTIL" ] && exit 0

# What the shell says of tests that crash is of no interest.
exec 2>>try.log
linked=$(mktemp -d)
trap 'rm -rf "$linked"' EXIT
chmod 755 "$linked"
"$here/link.sh" "$linked" "$key" || exit 1

# Tests for this file first; the table has those that are not named after it.
order()
{
    local stem=${file##*/}
    awk -v f="$file" '$1 == f { for (i = 2; i <= NF; i++) print $i }' "$here/tests.txt"
    case $file in
    cli/*)
        awk -v t="${stem%.*}" \
            'index($2, "cli_" t) == 1 || index($2, "fuzz_" t) == 1 { print $2 }' times
        awk '$2 ~ /^(cli|fuzz)_/ { print $2 }' times
        ;;
    *)
        awk -v t="${stem%.*}" 'index($2, t) == 1 { print $2 }' times
        printf '%s\n' differential golden
        awk '$2 !~ /^(cli|fuzz)_/ { print $2 }' times
        ;;
    esac
}

verdict=survived
for test in $(order | awk '!seen[$0]++'); do
    seconds=$(awk -v t="$test" '$2 == t { print int($1 / 100) + 5 }' times)
    "$here/one.sh" "$test" "$linked" "$seconds" >/dev/null 2>&1
    case $? in
    0) ;;
    124 | 137) verdict="hung $test"; break ;;
    *) verdict="killed $test"; break ;;
    esac
done
echo "$verdict" >"$result"
