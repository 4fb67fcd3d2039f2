#!/usr/bin/env bash
# run.sh DIRECTORY N JOBS - how many of N small changes of src/ the tests notice
#
# Each mutant is one changed line (c.rules), chosen by SEED among all files of the
# library and of the program csp by their size; kernels that cannot run here are left
# out.  Its objects go into a shared library, against which the test programs are run:
# those of the library or, for src/cli/, those of the program.  Survivors are printed;
# those in equivalent.txt cannot be told from the original.  MUTATE_SECONDS=S stops
# after so long; the next run goes on.  A killed mutant stays killed until its file
# changes, so start with an empty DIRECTORY for a figure to quote.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
export MUTATE_ROOT=${here%/tests/mutate}
mkdir -p "$1"
export MUTATE_DIR=$(cd "$1" && pwd)
n=$2 jobs=$3 seed=${SEED:-1}
export MUTATE_UNTIL=0
[ "${MUTATE_SECONDS:-0}" -gt 0 ] && MUTATE_UNTIL=$(($(date +%s) + MUTATE_SECONDS))
export MUTATE_CC="cc -std=c11 -O1 -fPIC -ffp-contract=off -w -I$MUTATE_ROOT/include \
    -Isrc/cli -Isrc/cli/digest -D_DEFAULT_SOURCE -D_FILE_OFFSET_BITS=64"
cd "$MUTATE_DIR"
# Files have paths below src/ as their names, such as cli/npy.c, here as well.
for kind in base candidates picked objects results; do
    mkdir -p "$kind/cli/digest"
done

quietly() { "$@" >log 2>&1 </dev/null || { cat log; echo "failed: $*"; exit 1; }; }

# ---- What is changed ----

away=kernels_blas.c # not in the objects that are made here
leave_out() { away="$away $*"; }
can() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; }
[ "$(uname -m)" = aarch64 ] || leave_out kernels_neon.c
[ "$(uname -m)" = x86_64 ] && can avx2 || leave_out kernels_avx2.c
[ "$(uname -m)" = x86_64 ] && can avx512f || leave_out kernels_avx512.c
files=$(cd "$MUTATE_ROOT/src" && find . -name '*.[ch]' | sed 's|^\./||' | sort |
    grep -vxF "$(echo "$away" | tr ' ' '\n')")
echo "left out: $away"

[ -e venv/ready ] || {
    quietly python3 -m venv venv
    quietly venv/bin/pip install --disable-pip-version-check universalmutator==1.14.1
    touch venv/ready
}
(cd "$MUTATE_ROOT/src" && "$MUTATE_DIR/venv/bin/python" -B "$here/mutants.py" \
    "$n" "$seed" "$here/c.rules" "$MUTATE_DIR" $files) 2>log || { cat log; exit 1; }
echo "$(cut -d' ' -f1 quotas | sed 's|^|candidates/|' | xargs cat | wc -l) changes in" \
    "$(wc -l <quotas) files"

"$here/originals.sh" "$jobs"

# ---- The mutants ----

xargs -P "$jobs" -L 1 "$here/pick.sh" <quotas
for file in $files; do
    cat "picked/$file"
done >mutants
# Those that were never tried first, then the survivors.
cut -f1,2 mutants | while read -r key file; do
    [ -e "results/$key" ] && echo "1 $key $file" || echo "0 $key $file"
done | sort -s -n -k1,1 | cut -d' ' -f2- | xargs -r -P "$jobs" -L 1 "$here/try.sh"

while IFS=$'\t' read -r key file line text; do
    verdict=
    [ -e "results/$key" ] && verdict=$(cat "results/$key")
    printf '%s\t%s\t%s\t%s\t%s\n' "$verdict" "$file" "$line" \
        "$(sed -n "${line}p" "$MUTATE_ROOT/src/$file")" "$text"
done <mutants >verdicts
awk -f "$here/report.awk" "$here/equivalent.txt" verdicts
