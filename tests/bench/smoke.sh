#!/bin/sh
# smoke.sh PROGRAM [FIGURE...] - run the benchmark at its smallest
#
# Fails unless every figure is a positive number; those named may be absent.
set -eu

program=$1
shift
csv=$(mktemp)
trap 'rm -f "$csv"' EXIT
output=$("$program" --tiny --rounds 1 --csv "$csv")

for figure in w4_f32_read_ratio w3_f32_read_ratio w1_cold_read_ratio \
    w4_f16_over_f32_time w4_avx2_read_ratio scalar_vs_libm w4_vs_onednn \
    select_vs_nth gather_vs_memcpy qk_w2_vs_sgemm threads2_speedup \
    extra_bytes_128k
do
    case " $* " in
    *" $figure "*) lines="figure|absent" ;;
    *) lines=figure ;;
    esac
    echo "$output" | awk -v figure="$figure" -v lines="$lines" '
        $1 == "figure" && $2 == figure && NF == 3 &&
            $3 ~ /^[0-9]+(\.[0-9]+)?$/ && $3 > 0 { found = 1 }
        $1 == "absent" && $2 == figure ":" && lines ~ /absent/ { found = 1 }
        END { exit !found }' ||
        { echo "$output"; echo "no figure $figure"; exit 1; }
done

awk -F, 'NF != 14 { print "not 14 cells: " $0; bad = 1 } END { exit bad }' "$csv"
rows=$(echo "$output" | grep -cE '^.{24} .{4} .{6} (4K|2M) ')
lines=$(grep -cE ',(4K|2M),' "$csv")
[ "$rows" -gt 0 ] && [ "$rows" = "$lines" ] ||
    { echo "$rows rows, but $lines lines of CSV"; exit 1; }
