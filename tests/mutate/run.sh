#!/usr/bin/env bash
# run.sh DIRECTORY N JOBS - how many of N small changes of src/ the tests notice
#
# Each mutant is one changed line (c.rules), chosen by SEED among all files by their
# size; kernels that cannot run here are left out.  Its objects go into a shared
# library, against which the test programs are run.  Survivors are printed; those in
# equivalent.txt cannot be told from the original.  MUTATE_SECONDS=S stops after so
# long; the next run goes on.  A killed mutant stays killed until its file changes, so
# start with an empty DIRECTORY for a figure to quote.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL

here=$(cd "$(dirname "$0")" && pwd)
export MUTATE_ROOT=${here%/tests/mutate}
mkdir -p "$1"
export MUTATE_DIR=$(cd "$1" && pwd)
n=$2 jobs=$3 seed=${SEED:-1}
export MUTATE_UNTIL=0
[ "${MUTATE_SECONDS:-0}" -gt 0 ] && MUTATE_UNTIL=$(($(date +%s) + MUTATE_SECONDS))
export MUTATE_CC="cc -std=c11 -O1 -fPIC -ffp-contract=off -w -I$MUTATE_ROOT/include"
cd "$MUTATE_DIR"
mkdir -p base candidates picked pick objects results programs

quietly() { "$@" >log 2>&1 </dev/null || { cat log; echo "failed: $*"; exit 1; }; }

# ---- What is changed ----

case $(uname -m) in
x86_64) away='kernels_neon\.c' ;;
aarch64) away='kernels_avx2\.c|kernels_avx512\.c' ;;
*) away='kernels_neon\.c|kernels_avx2\.c|kernels_avx512\.c' ;;
esac
away="$away|kernels_blas\.c" # not in the objects that are made here
files=$(cd "$MUTATE_ROOT/src" && ls -- *.[ch] | grep -vE "^($away)$")
echo "left out: $(echo "$away" | tr -d '\\' | tr '|' ' ')"

[ -e venv/ready ] || {
    quietly python3 -m venv venv
    quietly venv/bin/pip install --disable-pip-version-check universalmutator==1.14.1
    touch venv/ready
}
(cd "$MUTATE_ROOT/src" && "$MUTATE_DIR/venv/bin/python" -B "$here/mutants.py" \
    "$n" "$seed" "$here/c.rules" "$MUTATE_DIR" $files) 2>log || { cat log; exit 1; }
echo "$(cat candidates/* | wc -l) changes in $(echo $files | wc -w) files"

(cd "$MUTATE_ROOT" && for source in src/*.c; do
    $MUTATE_CC -MM "$source" | tr -s ' \\' '\n' | awk -v c="${source#src/}" \
        'sub("^src/", "") && /\.h$/ { print c, $0 }'
done) >dependents

# ---- The original: objects, test programs, how long they take ----

sum=$(cat "$MUTATE_ROOT"/src/*.[ch] | cksum)
if [ "$sum" != "$(cat base/sum 2>/dev/null)" ]; then
    (cd "$MUTATE_ROOT" && for source in src/*.c; do
        $MUTATE_CC -c "$source" -o "$MUTATE_DIR/base/$(basename "$source" .c).o"
    done)
    cc -shared -o programs/libcsp_mutant.so base/*.o -lm
    echo "$sum" >base/sum
    rm -f times
fi

tests=$(sed -n 's/^csp_test(\([a-z_]*\).*/\1/p' "$MUTATE_ROOT/tests/CMakeLists.txt" |
    grep -v ^huge)
echo 'differential --n 400' >arguments
build_tests()
{
    local test objects program
    quietly cmake -S "$MUTATE_ROOT" -B tests -DCMAKE_BUILD_TYPE= -DCMAKE_C_FLAGS=-O1 \
        -DCSP_BLAS=OFF -DCSP_BUILD_CLI=OFF -DCSP_BUILD_EXAMPLES=OFF \
        -DBUILD_SHARED_LIBS=OFF
    quietly cmake --build tests -j "$jobs" --target $(printf 'test_%s ' $tests)
    for test in $tests; do
        program=tests/tests/test_$test
        [ "programs/$test" -nt "$program" ] && continue
        objects=$(find "tests/tests/CMakeFiles/test_$test.dir" -name '*.o')
        cc -o "programs/$test" $objects tests/tests/libcsp_test_support.a \
            "$(find tests -name libcsp_digest.a)" -Lprograms -lcsp_mutant -lcmocka \
            -lm -pthread
        touch programs/stamp
    done
}
sum=$(cd "$MUTATE_ROOT" && cat tests/*.[ch] tests/CMakeLists.txt src/cli/digest/* | cksum)
if [ "$sum" != "$(cat programs/sum 2>/dev/null)" ]; then
    build_tests
    echo "$sum" >programs/sum
fi

[ times -nt programs/stamp ] || for test in $tests; do
    begin=$(date +%s%N)
    LD_LIBRARY_PATH=programs "programs/$test" \
        $(awk -v t="$test" '$1 == t { print $2, $3 }' arguments) >log 2>&1 </dev/null ||
        { cat log; echo "fails without a change: $test"; exit 1; }
    echo "$((($(date +%s%N) - begin) / 1000000)) $test"
done >times.new
[ times -nt programs/stamp ] || sort -n times.new >times

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
