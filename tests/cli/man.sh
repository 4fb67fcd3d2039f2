#!/bin/sh
# man.sh CSP DIRECTORY - the man page and --help name the same commands and options,
# and the page is sound where something is there to check it
set -eu
export LC_ALL=C

csp=$1
page=$(cd "$(dirname "$0")/../../src/cli" && pwd)/csp.1
mkdir -p "$2"
cd "$2"

# What the page says of a command, as plain text.
section() # command
{
    awk -v title=".SS csp $1" '/^\.S[SH] / { inside = $0 == title } inside' "$page" |
        sed 's/\\-/-/g'
}

options() { grep -oE -e '--[a-z][a-z-]*' | sort -u; }

"$csp" --help | sed -nE 's/^  ([a-z]+) .*/\1/p' | grep -v '^csp$' | sort >in_help
sed -nE 's/^\.SS csp //p' "$page" | sort >in_page
diff in_help in_page || { echo "other commands in the man page (>)"; exit 1; }
[ "$(wc -l <in_help)" -ge 3 ]

while read -r command; do
    "$csp" "$command" --help | options >in_help_of
    {
        section "$command"
        if [ "$command" = report ]; then section prune; fi # it takes these, too
    } | options >in_page_of
    # Every command has it.
    for file in in_help_of in_page_of; do
        echo --help | sort -u - "$file" -o "$file"
    done
    if [ "$command" = report ]; then # from a decision of prune's, or its options
        grep -vxE -e '--(out|json)' in_page_of >kept && mv kept in_page_of
    fi
    diff in_help_of in_page_of ||
        { echo "csp $command: other options in the man page (>)"; exit 1; }
done <in_help

checked=
if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$page"
    checked="$checked mandoc"
fi
if command -v groff >/dev/null; then
    groff -man -Tascii -ww -z "$page" 2>warnings
    [ ! -s warnings ] || { cat warnings; exit 1; }
    checked="$checked groff"
fi
echo "checked by${checked:- nothing: there is neither mandoc nor groff}"
