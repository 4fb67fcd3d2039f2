#!/usr/bin/env bash
# pick.sh FILE QUOTA - take the first QUOTA candidates of FILE that make other code
#
# Reads candidates/FILE, writes picked/FILE: key, file, line number, changed line.  The
# objects of mutant KEY lie in objects/KEY/, of a header's mutant those of all sources
# that include it.  What does not compile, or gives the same objects, is passed over.
set -u
cd "$MUTATE_DIR" || exit 1
file=$1 quota=$2
sum=$(cksum <"$MUTATE_ROOT/src/$file" | cut -d' ' -f1)
work=pick/$file
rm -rf "$work"
mkdir -p "$work"
cp -r "$MUTATE_ROOT/src" "$work/src"

case $file in
*.h) sources=$(awk -v h="$file" '$2 == h { print $1 }' dependents) ;;
*) sources=$file ;;
esac

# Compile the sources into objects/KEY; fails unless one of them changed.
differs()
{
    local into=$1 source object changed=1
    mkdir -p "$into.new/cli/digest"
    for source in $sources; do
        object=$into.new/${source%.c}.o
        (cd "$work" && $MUTATE_CC -c "src/$source" -o "$MUTATE_DIR/$object") 2>/dev/null ||
            return 1
        if cmp -s "$object" "base/${source%.c}.o"; then rm "$object"; else changed=0; fi
    done
    return $changed
}

: >"picked/$file.new"
n=0
while [ "$n" -lt "$quota" ] && IFS=$'\t' read -r line text; do
    key=$file.$(printf '%s\t%s\t%s' "$sum" "$line" "$text" | cksum | cut -d' ' -f1)
    if [ -e "objects/$key.none" ]; then continue; fi
    if [ ! -e "objects/$key" ]; then
        TEXT=$text awk -v line="$line" \
            'NR == line { print ENVIRON["TEXT"]; next } { print }' \
            "$MUTATE_ROOT/src/$file" >"$work/src/$file"
        if ! differs "objects/$key"; then
            rm -rf "objects/$key.new"
            : >"objects/$key.none"
            continue
        fi
        mv "objects/$key.new" "objects/$key"
    fi
    printf '%s\t%s\t%s\t%s\n' "$key" "$file" "$line" "$text" >>"picked/$file.new"
    n=$((n + 1))
done <"candidates/$file"
mv "picked/$file.new" "picked/$file"
rm -rf "$work"
