#!/usr/bin/env bash
# one.sh TEST FOLDER SECONDS - run a test with what link.sh put into FOLDER
#
# A mutant may write anywhere, for ever: it gets an empty folder that is removed with
# what is in it, so much memory, files and time, and root becomes nobody.  SECONDS are
# of processor time, as the machine may be busy; ten times as many pass for those that
# only wait.  Exit code 124 or 137: it took too long.
set -u
cd "$MUTATE_DIR" || exit 1
test=$1 seconds=$3
export LD_LIBRARY_PATH=$2
program=$MUTATE_DIR/programs/$test
[ -e "$2/$test" ] && program=$2/$test
arguments=$(awk -v t="$test" '$1 == t { $1 = ""; print }' arguments)

folder=$(mktemp -d)
trap 'chmod -R u+rwX "$folder"; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
as=
if [ "$(id -u)" = 0 ]; then
    chown 65534:65534 "$folder"
    as='setpriv --reuid=65534 --regid=65534 --clear-groups --'
fi

case $test in
cli_array | cli_sparse) kib=6000000 ;; # holes, which end so far out
*) kib=200000 ;;
esac
ulimit -c 0 -f "$kib" -t "$seconds" -v 8000000
$as timeout -k 1 $((10 * seconds)) "$program" $arguments </dev/null
